"""Is the whole tree sound: every token's findings, every chain, and what accounts share with each other.

Beyond what the claims library finds (`issuer.findings`), as nsc does and further:
 1. an operator signs itself, an account is signed by a key its operator trusts;
 2. with strict usage no identity key signs;
 3. the system account has no JetStream;
 4. a user is signed by a key its account names, and a role's user carries nothing of its own;
 5. every import finds an export that offers it, and a private one an activation that holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from issuer.authority.finding import the_account, the_operator
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims, Export, Import, cut_off
from issuer.claims.exchange import ActivationClaims
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.errors import PeerError
from issuer.findings import Finding, Level, validate
from issuer.store import hierarchy
from issuer.store.unit import Unit
from issuer.subjects import covers
from issuer.tokens.envelope import decode


@dataclass(frozen=True, slots=True)
class Question:
    """Validate an operator with one of its accounts, or with all of them."""

    now: int
    operator: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """One subject and what was found."""

    kind: str
    name: str
    public: str
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        return all(one.level is Level.WARNING for one in self.findings)


def validate_tree(unit: Unit, asked: Question) -> list[Checked]:
    """The operator, then its accounts; what is found of users stands with their account."""
    operator = the_operator(unit, asked.operator)
    authority: OperatorClaims = head(unit, "operator", operator.id).claims
    found = [
        Checked(
            "operator",
            operator.name,
            operator.public,
            (*validate(authority, now=asked.now), *_operator(authority)),
        )
    ]
    if asked.account is not None:
        accounts = [the_account(unit, operator, asked.account)]
    else:
        accounts = list(hierarchy.accounts(unit, operator.id))
    for account in accounts:
        claims: AccountClaims = head(unit, "account", account.id).claims
        findings = [*validate(claims, now=asked.now), *check_account(authority, claims)]
        findings += _imports(unit, claims, asked.now)
        for user in hierarchy.users(unit, account.id):
            member: UserClaims = head(unit, "user", user.id).claims
            each = (*validate(member, now=asked.now), *check_user(authority, claims, member))
            findings += [
                Finding(one.level, one.code, f'user "{user.name}": {one.message}', one.pointer)
                for one in each
            ]
        found.append(Checked("account", account.name, account.public, tuple(findings)))
    return found


def _operator(claims: OperatorClaims) -> Iterator[Finding]:
    if claims.iss != claims.sub:
        yield _error("chain.operator", "the operator is not signed by itself", "/iss")


def check_account(authority: OperatorClaims, claims: AccountClaims) -> Iterator[Finding]:
    """Whether the operator stands behind the account."""
    if claims.iss == authority.sub and authority.nats.strict_signing_key_usage:
        yield _error("chain.strict", "the operator requires signing keys, its identity signed", "/iss")
    elif not authority.trusts(claims.iss, claims.sub):
        yield _error("chain.account", f"signed by {claims.iss}, which the operator does not name", "/iss")
    if authority.nats.system_account == claims.sub and claims.nats.limits.jetstream_enabled():
        yield _error("account.system-jetstream", "the system account has JetStream enabled", "/nats/limits")


def check_user(authority: OperatorClaims, account: AccountClaims, claims: UserClaims) -> Iterator[Finding]:
    """Whether the account stands behind the user."""
    if claims.account != account.sub:
        yield _error("chain.user-account", f"belongs to account {claims.account}", "/nats/issuer_account")
    if claims.iss == account.sub:
        if authority.nats.strict_signing_key_usage:
            yield _error("chain.strict", "signing keys are required, the account's identity signed", "/iss")
        return
    if claims.iss not in account.signing_keys():
        yield _error("chain.user", f"signed by {claims.iss}, which the account does not name", "/iss")
    if account.scope(claims.iss) is not None and not claims.nats.unrestricted_by_itself():
        yield _error(
            "user.scoped", "a user of a role carries permissions of its own: servers refuse it", "/nats"
        )
    if account.revoked(claims.sub, claims.iat):
        yield Finding(Level.WARNING, "user.revoked", "its token is revoked", "/iat")


def _imports(unit: Unit, claims: AccountClaims, now: int) -> Iterator[Finding]:
    for index, entry in enumerate(claims.nats.imports):
        at = f"/nats/imports/{index}"
        row = hierarchy.account_by_public(unit, entry.account)
        if row is None:
            message = f"import {entry.subject!r}: account {entry.account} is not known here"
            yield Finding(Level.WARNING, "import.unknown-account", message, at)
            continue
        exporter: AccountClaims = head(unit, "account", row.id).claims
        yield from check_import(claims, entry, exporter, row.name, at=at, now=now)


def check_import(
    importer: AccountClaims, entry: Import, exporter: AccountClaims, name: str, *, at: str, now: int
) -> Iterator[Finding]:
    """Whether an export offers what is imported, and lets this account have it."""
    what = f"import {entry.subject!r} from {name}"
    export = next(
        (
            one
            for one in exporter.nats.exports
            if one.type == entry.type and covers(one.subject, entry.subject)
        ),
        None,
    )
    if export is None:
        yield _error("import.no-export", f"{what}: it exports no {entry.type} that covers it", at)
        return
    if export.account_token_position and not _own_token(export, entry, importer.sub):
        yield _error(
            "import.account-token", f"{what}: the export wants the importer's key in its subject", at
        )
    if not export.token_req:
        return
    if not entry.token:
        yield _error(
            "import.no-activation", f"{what}: the export is private and the import has no activation", at
        )
        return
    try:
        activation = decode(entry.token, ActivationClaims).claims
    except PeerError as fault:
        yield _error("import.activation", f"{what}: its activation: {fault.message}", f"{at}/token")
        return
    if activation.iss not in (exporter.sub, *exporter.signing_keys()):
        yield _error(
            "import.activation-issuer", f"{what}: {name} does not stand behind its activation", f"{at}/token"
        )
    if 0 < activation.exp < now:
        yield Finding(
            Level.TIME, "import.activation-expired", f"{what}: its activation has expired", f"{at}/token"
        )
    if cut_off(export.revocations, importer.sub, activation.iat):
        yield _error("import.activation-revoked", f"{what}: its activation is revoked", f"{at}/token")


def _own_token(export: Export, entry: Import, importer: str) -> bool:
    tokens = entry.subject.split(".")
    place = export.account_token_position - 1
    return place < len(tokens) and tokens[place] == importer


def _error(code: str, message: str, pointer: str) -> Finding:
    return Finding(Level.ERROR, code, message, pointer)
