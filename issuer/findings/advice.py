"""Advice of our own: what every server accepts and hardly anybody means. Never blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from issuer.claims.account import AccountBody, AccountClaims, Scope
from issuer.claims.exchange import ActivationClaims
from issuer.claims.fields import CONNECTION_TYPES, EVERYONE, Envelope, Permission
from issuer.claims.operator import OperatorClaims
from issuer.claims.quoting import quoted
from issuer.claims.templates import functions, has_template, is_function
from issuer.claims.user import UserBody, UserClaims, UserTemplate
from issuer.findings.access import connection
from issuer.findings.finding import Finding, Findings, step, warning
from issuer.findings.subjects import reference
from issuer.keys.nkeys import Role, is_public
from issuer.subjects import SubjectFault, has_wildcards, subject_faults

# The library reports these itself.
_LIBRARY_FAULTS: Final = frozenset(
    {SubjectFault.EMPTY, SubjectFault.SPACE, SubjectFault.OUTER_DOT, SubjectFault.DOUBLE_DOT}
)


def advise(claims: Envelope) -> tuple[Finding, ...]:
    """What to think over before these claims are signed; warnings only, codes `advice.*`."""
    advice = _ADVICE.get(type(claims))
    return tuple(advice(claims)) if advice else ()


def _operator(claims: OperatorClaims) -> Findings:
    body = claims.nats
    yield from _tags(body.tags)
    if body.strict_signing_key_usage and not body.signing_keys:
        words = "strict signing key usage without a signing key: no key may sign accounts"
        yield warning("advice.strict-without-key", words, "/nats/strict_signing_key_usage")


def _account(claims: AccountClaims) -> Findings:
    body = claims.nats
    yield from _tags(body.tags)
    yield from _permission(body.default_permissions.pub, "/nats/default_permissions/pub", template=False)
    yield from _permission(body.default_permissions.sub, "/nats/default_permissions/sub", template=False)
    for index, entry in enumerate(body.signing_keys):
        if isinstance(entry, Scope):
            yield from _scope(entry, f"/nats/signing_keys/{index}")
    yield from _sharing(body)
    yield from _mappings(body)
    yield from _revoked(body.revocations, Role.USER, "/nats/revocations")
    if body.limits.wildcards is False and body.limits.exports < 0:
        for index, export in enumerate(body.exports):
            if has_wildcards(export.subject):
                words = "wildcard exports are off, but that counts only together with a limit of exports"
                yield warning("advice.wildcard-export", words, f"/nats/exports/{index}/subject")


def _sharing(body: AccountBody) -> Findings:
    for index, export in enumerate(body.exports):
        at = f"/nats/exports/{index}"
        yield from _subject(export.subject, at + "/subject")
        yield from _revoked(export.revocations, Role.ACCOUNT, at + "/revocations")
        if export.revocations and not export.token_req:
            words = "activations are revoked of an export that asks for none"
            yield warning("advice.public-revocations", words, at + "/revocations")
    for index, entry in enumerate(body.imports):
        at = f"/nats/imports/{index}"
        yield from _subject(entry.subject, at + "/subject")
        if entry.account and not is_public(entry.account, Role.ACCOUNT):
            yield warning("advice.import-account", "the exporter is no account key", at + "/account")
        numbers = [reference(token) for token in entry.local_subject.split(".")]
        if any(number is not None and number < 1 for number in numbers):
            words = "references count from $1"
            yield warning("advice.import-reference", words, at + "/local_subject")


def _mappings(body: AccountBody) -> Findings:
    for source, destinations in body.mappings.items():
        at = "/nats/mappings" + step(source)
        yield from _subject(source, at)
        names = [destination.subject for destination in destinations]
        for index, name in enumerate(names):
            if name in names[:index]:
                words = f"destination {quoted(name)} twice: the server ignores the whole mapping"
                yield warning("advice.mapping-twice", words, f"{at}/{index}/subject")


def _scope(scope: Scope, at: str) -> Findings:
    template = scope.template
    # The library never looks inside a template; a fault there locks out every user of the role.
    for finding in connection(template, at + "/template"):
        if finding.code != "permission.spaces" or not _calls_with_blanks(template, finding.pointer):
            yield warning("advice.scope-template", finding.message, finding.pointer)
    for name in ("subs", "data", "payload"):
        if getattr(template, name) == 0:
            words = f"{name} 0 in a role becomes unlimited as soon as a Go tool writes the account again"
            yield warning("advice.scope-limit-zero", words, f"{at}/template/{name}")
    yield from _connecting(template, at + "/template", template=True)


def _calls_with_blanks(template: UserTemplate, pointer: str) -> bool:
    """Whether the blanks of an entry all stand inside `{{ }}`, where they do no harm."""
    side, name, index = pointer.rsplit("/", 3)[1:]
    entry = getattr(getattr(template, side), name)[int(index)]
    return has_template(entry) and all(is_function(call) for call in functions(entry))


def _user(claims: UserClaims) -> Findings:
    body = claims.nats
    yield from _tags(body.tags)
    yield from _connecting(body, "/nats", template=False)
    if not body.unrestricted_by_itself():
        for name in ("subs", "data", "payload"):
            if getattr(body, name) == 0:
                words = f"{name} is 0, which is none; -1 is unlimited"
                yield warning("advice.user-limit-zero", words, f"/nats/{name}")
    if body.resp is not None and not body.pub.allow:
        words = "with allowed responses and no publish allow list, only responses may be published"
        yield warning("advice.responses-only", words, "/nats/resp")


def _connecting(body: UserBody | UserTemplate, at: str, *, template: bool) -> Findings:
    yield from _permission(body.pub, at + "/pub", template=template)
    yield from _permission(body.sub, at + "/sub", template=template)
    if body.pub.allow and body.sub.empty():
        words = "publishing is limited, subscribing is not: without a list everything is allowed"
        yield warning("advice.allows-everything", words, at + "/sub")
    if body.sub.allow and body.pub.empty() and body.resp is None:
        words = "subscribing is limited, publishing is not: without a list everything is allowed"
        yield warning("advice.allows-everything", words, at + "/pub")
    for index, kind in enumerate(body.allowed_connection_types):
        if kind.upper() not in CONNECTION_TYPES:
            words = f"no server knows the connection type {quoted(kind)}"
            yield warning("advice.connection-type", words, f"{at}/allowed_connection_types/{index}")


def _permission(permission: Permission, at: str, *, template: bool) -> Findings:
    for name, entries in (("allow", permission.allow), ("deny", permission.deny)):
        filled = template and any(map(has_template, entries))
        for index, entry in enumerate(entries):
            pointer = f"{at}/{name}/{index}"
            calls = functions(entry)
            for call in calls:
                if not template:
                    words = f"{{{{{call}}}}} is filled in in roles only; here it stays as it is"
                    yield warning("advice.template-outside-role", words, pointer)
                elif not is_function(call) or call.startswith(("TAG", "ACCOUNT")):
                    words = f"no server knows the template function {quoted(call)}"
                    yield warning("advice.template-function", words, pointer)
            if filled and not calls and " " in entry:
                words = "a queue entry is lost in a list that has template functions"
                yield warning("advice.template-queue", words, pointer)
            if not calls:
                for part in entry.split(" ")[:2]:
                    yield from _subject(part, pointer)


def _subject(text: str, at: str) -> Findings:
    for fault in subject_faults(text):
        if fault not in _LIBRARY_FAULTS:
            yield warning("advice.subject", f"{quoted(text)}: {fault.text}", at)


def _tags(tags: Sequence[str]) -> Findings:
    for index, tag in enumerate(tags):
        if tag != tag.strip().lower():
            words = f"tag {quoted(tag)} never matches: only lower case without blanks around does"
            yield warning("advice.tag", words, f"/nats/tags/{index}")


def _revoked(revocations: Mapping[str, int], role: Role, at: str) -> Findings:
    for key in revocations:
        if key != EVERYONE and not is_public(key, role):
            yield warning("advice.revocation-key", f"no {role} has the key {quoted(key)}", at + step(key))


def _activation(claims: ActivationClaims) -> Findings:
    yield from _tags(claims.nats.tags)
    yield from _subject(claims.nats.subject, "/nats/subject")


_ADVICE: Final[dict[type[Any], Callable[[Any], Findings]]] = {
    OperatorClaims: _operator,
    AccountClaims: _account,
    UserClaims: _user,
    ActivationClaims: _activation,
}
