"""Steps 1 to 7 of an admission: whose token it is, and of which account (enforcement spec §2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from broker.enforcement.case import CLIENT, CONFIGURATION, Asks, Case
from broker.enforcement.permissions import USER_TOKEN
from broker.enforcement.signatures import signed, urlsafe_bytes
from broker.enforcement.verdict import Gate, Step
from issuer.claims.fields import Permission, Permissions
from issuer.claims.user import UserClaims
from issuer.claims.wire import AmbiguousMemberError
from issuer.errors import PeerError
from issuer.findings import Level, blocking, validate
from issuer.findings.access import permissions
from issuer.keys.nkeys import Role, is_public, verify
from issuer.subjects import Subject
from issuer.tokens.envelope import TokenRoleError, Verified

_SENTINEL_STANDS_IN: Final = Step(Gate.TOKEN, True, "default_sentinel", None, CONFIGURATION)


def _proxy(case: Case) -> Step | None:
    signature, keys = case.attempt.proxy_signature, case.trust.proxies
    if not signature or not keys:
        return None
    raw = urlsafe_bytes(signature)
    nonce = signed(case.attempt.nonce)
    case.proxied = raw is not None and any(verify(key, nonce, raw) for key in keys)
    words = "" if case.proxied else "proxy is not trusted"
    return Step(Gate.PROXY, case.proxied, "the proxy's signature", None, CONFIGURATION, words)


def _password_token(case: Case) -> Step | None:
    attempt = case.attempt
    if not attempt.by_password:
        return None
    case.user = _read(case, attempt.password)
    if case.user is None:
        return None
    return Step(Gate.PASSWORD_TOKEN, True, "the password", "a user token", CLIENT)


def _token(case: Case) -> Step:
    fault: PeerError | None = None
    if case.user is None and case.attempt.token:
        try:
            case.user = case.read(case.attempt.token)
        except PeerError as error:
            fault = error
    if case.user is None:
        if fault is not None and _servers_read_it(fault):
            # The default token is for who brings none: this one a server would judge, and so is refused.
            words = "User JWT not valid"
            return Step(Gate.TOKEN, False, f"user {fault.at or ''}".strip(), fault.message, USER_TOKEN, words)
        if not case.trust.default_sentinel:
            words = "Authentication requires a user JWT"
            return Step(Gate.TOKEN, False, "the token", None, CLIENT, words)
        case.sentinel = True
        return _SENTINEL_STANDS_IN
    case.claims = case.user.claims
    case.body = case.claims.nats
    return Step(Gate.TOKEN, True, "user /sub", case.claims.sub, USER_TOKEN)


def _servers_read_it(fault: PeerError) -> bool:
    """Whether the real server can read a token that we cannot: it looks at subjects and spellings later."""
    subject = isinstance(fault, TokenRoleError) and fault.at == "/sub"
    return subject or isinstance(fault, AmbiguousMemberError)


def _sentinel(case: Case) -> Step | None:
    if not case.sentinel:
        return None
    try:
        case.user = case.read(case.trust.default_sentinel)
    except PeerError as error:
        words = "User JWT not valid"
        return Step(Gate.SENTINEL, False, "default_sentinel", error.message, CONFIGURATION, words)
    case.claims = case.user.claims
    case.body = case.claims.nats
    return Step(Gate.SENTINEL, True, "user /sub", case.claims.sub, "default sentinel")


def _read(case: Case, text: str) -> Verified[UserClaims] | None:
    if not text:
        return None
    try:
        return case.read(text)
    except PeerError:
        return None


def proxy_required(case: Case) -> Step | None:
    if not case.body.proxy_required:
        return None
    words = "" if case.proxied else "proxy connection required"
    return Step(Gate.PROXY_REQUIRED, case.proxied, f"{case.field}/proxy_required", True, case.source, words)


def _claims(case: Case) -> Step:
    claims, now = case.claims, int(case.now)
    if _plainly_sound(claims, now):
        return Step(Gate.CLAIMS, True, "user /exp", claims.exp, USER_TOKEN)
    findings = validate(claims, now=now)
    if blocking(findings, include_time=True):
        first = next(finding for finding in findings if finding.level is not Level.WARNING)
        issues = " ".join(finding.message for finding in findings)
        words = f"User JWT no longer valid: &{{Issues:[{issues}]}}"
        return Step(Gate.CLAIMS, False, f"user {first.pointer}", first.message, USER_TOKEN, words)
    return Step(Gate.CLAIMS, True, "user /exp", claims.exp, USER_TOKEN)


def _plainly_sound(claims: UserClaims, now: int) -> bool:
    """Whether most users' claims need no closer look: what few have sends them through all rules."""
    body = claims.nats
    account = body.issuer_account
    return not (
        0 < claims.exp < now
        or 0 < claims.nbf > now
        or body.src
        or body.times
        or body.times_location
        or (account and not is_public(account, Role.ACCOUNT))
        or not _sound_lists(body.pub.allow, body.pub.deny, body.sub.allow, body.sub.deny)
    )


@lru_cache(maxsize=4096)
def _sound_lists(
    pub_allow: tuple[Subject, ...],
    pub_deny: tuple[Subject, ...],
    sub_allow: tuple[Subject, ...],
    sub_deny: tuple[Subject, ...],
) -> bool:
    pub, sub = Permission(allow=pub_allow, deny=pub_deny), Permission(allow=sub_allow, deny=sub_deny)
    return not any(permissions(Permissions(pub=pub, sub=sub), ""))


def _pinned(case: Case) -> Step | None:
    pins = case.trust.pinned
    if not pins:
        return None
    account = case.claims.account
    known = account in pins
    words = "" if known else f"Account {account} not listed as operator pinned account"
    return Step(Gate.PINNED, known, "resolver_pinned_accounts", account, CONFIGURATION, words)


IDENTIFYING: Final[tuple[Asks, ...]] = (
    _proxy,
    _password_token,
    _token,
    _sentinel,
    proxy_required,
    _claims,
    _pinned,
)
