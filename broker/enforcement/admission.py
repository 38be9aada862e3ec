"""Whether a connection may come in (enforcement spec §2).

The steps, in the server's order; the first that fails ends the proof:

 1. PROXY            a proxy's signature is that of a trusted one
 2. PASSWORD_TOKEN   MQTT: the password may be the user's token
 3. TOKEN            there is a user token that can be read, or a default one
 4. SENTINEL         the default one can be read
 5. PROXY_REQUIRED   a user that must come by a proxy does
 6. CLAIMS           the user's claims are sound, and it is their time
 7. PINNED           the account is one of those pinned
 8. ACCOUNT          the account is known
 9. OPERATOR         the account is signed by an operator trusted here
10. ISSUER           the user is signed by a key of the account
11. ROLE             a role's user carries nothing of its own, and the role's template can be filled in;
                     a role that wants a proxy is asked for it here, under 5
12. ACCOUNT_TIME     the account is not expired
13. BEARER           a bearer token is one the account allows
14. CONNECTION_TYPE  it comes the way it may
15. SIGNATURE        it holds the user's key, unless it bears a bearer token
16. REVOCATION       the user is not revoked
17. NETWORK          it comes from where it may
18. TIME_WINDOW      it comes when it may
19. CONNECTIONS      the account has room for one more connection
20. DELEGATION       an account with a callout asks there, but for those who answer

Steps 1 to 7 are `identify`, the others `admit`: between them the account is looked up.
Left to the caller: that it does, the time a client has, and what else CONNECT asks (spec §1.3).
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

import msgspec

from broker.enforcement.admitting import ADMITTING
from broker.enforcement.case import ACCOUNT_TOKEN, NOBODY, Asks, Attempt, Case, Reads, take
from broker.enforcement.identifying import IDENTIFYING
from broker.enforcement.limits import UNLIMITED, HasLimits, Limits, limits_of
from broker.enforcement.permissions import EVERYTHING, USER_TOKEN, Permissions, permissions_of, silenced
from broker.enforcement.signatures import signature_holds
from broker.enforcement.trust import Trust, TrustError
from broker.enforcement.verdict import Gate, Step, Verdict
from broker.protocol import texts
from broker.protocol.texts import Closed
from issuer.claims.account import AccountClaims, Scope
from issuer.claims.fields import Permission, with_body
from issuer.claims.templates import EVERYTHING as EVERY_SUBJECT
from issuer.claims.user import UserClaims
from issuer.findings import Level, blocking, validate
from issuer.keys.nkeys import PublicKey
from issuer.tokens.envelope import Verified

LOOKUP: Final = "Account JWT lookup error"
_NANOSECONDS: Final = 10**9
_MOST_SECONDS: Final = (2**63 - 1) // _NANOSECONDS
CALLOUT_SUBJECT: Final = "$SYS.REQ.USER.AUTH"
_CLOSED: Final = {
    Gate.PROXY: Closed.PROXY_NOT_TRUSTED,
    Gate.PROXY_REQUIRED: Closed.PROXY_REQUIRED,
    Gate.CONNECTIONS: Closed.MAX_ACCOUNT_CONNECTIONS,
}


class Identified(msgspec.Struct, frozen=True):
    """Who it says it is, as far as that can be told without the account."""

    steps: tuple[Step, ...]
    user: Verified[UserClaims] | None = None
    account: PublicKey | None = None
    """The account to look up."""
    sentinel: bool = False
    """The token is the configured default one."""
    proxied: bool = False
    """A trusted proxy vouches for it."""

    @property
    def refusal(self) -> Step | None:
        return self.steps[-1] if not self.steps[-1].passed else None

    @property
    def closed(self) -> Closed:
        """The reason for the end, if it is refused."""
        return _CLOSED.get(self.steps[-1].gate, Closed.AUTHENTICATION_FAILURE)


class AccountFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it stands: `connections` are those in it now."""

    claims: AccountClaims
    expired: bool = False
    connections: int = 0


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """The decision, and what holds for the connection if it is in."""

    verdict: Verdict
    issued: UserClaims = NOBODY
    """As its token says it."""
    user: UserClaims = NOBODY
    """As it holds: with its role's template applied."""
    scope: Scope | None = None
    permissions: Permissions = EVERYTHING
    limits: Limits = Limits()
    expires_at: float | None = None
    """When the user's time or its window ends."""
    delegated: bool = False
    """Nothing here refuses, but the account's callout decides."""
    closed: Closed = Closed.AUTHENTICATION_FAILURE
    """The reason for the end, if it is refused."""
    text: str = texts.AUTHORIZATION_VIOLATION
    """What a refused client is told."""


def identify(attempt: Attempt, trust: Trust, *, now: float, read: Reads, proxied: bool = False) -> Identified:
    """Steps 1 to 7: whose token it is, and of which account. That it is `proxied` may be known already."""
    case = Case(attempt, trust, now)
    case.read, case.proxied = read, proxied
    steps = tuple(take(IDENTIFYING, case))
    if not steps[-1].passed:
        return Identified(steps, case.user, None, case.sentinel, case.proxied)
    return Identified(steps, case.user, PublicKey(case.claims.account), case.sentinel, case.proxied)


def admit(
    identified: Identified,
    attempt: Attempt,
    trust: Trust,
    account: AccountFacts | None,
    *,
    now: float,
    server_limits: HasLimits = UNLIMITED,
    local: tzinfo | None = None,
    asks: tuple[Asks, ...] = ADMITTING,
) -> Admission:
    """Steps 8 to 20: whether the account takes it in, and on which terms.

    `account` is None if it could not be found; `local` is the zone of windows without one (None:
    this machine's). Other `asks` are for explanations only.
    """
    user = identified.user
    if user is None or identified.account is None:
        return _refused(identified.steps, user)
    if account is None:
        step = Step(Gate.ACCOUNT, False, "user /nats/issuer_account", identified.account, USER_TOKEN, LOOKUP)
        return _refused((*identified.steps, step), user)
    case = Case(attempt, trust, now)
    case.user, case.claims, case.body = user, user.claims, user.claims.nats
    case.account, case.expired, case.room = account.claims, account.expired, account.connections
    case.local, case.proxied = local, identified.proxied
    steps = (*identified.steps, *take(asks, case))
    if not steps[-1].passed:
        return _refused(steps, user)
    return _terms(case, steps, server_limits)


def account_fault(account: AccountClaims, trust: Trust, *, now: float) -> Step | None:
    """Why an account that was found cannot be put in force; as far as the server's log tells, all one."""
    words = f"{LOOKUP}: account validation failed"
    if account.iss not in trust.keys:
        return Step(Gate.ACCOUNT, False, "account /iss", account.iss, ACCOUNT_TOKEN, words)
    findings = validate(account, now=int(now))
    if not blocking(findings, include_time=True):
        return None
    first = next(finding for finding in findings if finding.level is not Level.WARNING)
    return Step(Gate.ACCOUNT, False, f"account {first.pointer}", first.message, ACCOUNT_TOKEN, words)


def _refused(steps: tuple[Step, ...], user: Verified[UserClaims] | None) -> Admission:
    gate = steps[-1].gate
    issued = NOBODY if user is None else user.claims
    full_up = gate is Gate.CONNECTIONS
    return Admission(
        verdict=Verdict(steps),
        issued=issued,
        user=issued,
        closed=_CLOSED.get(gate, Closed.AUTHENTICATION_FAILURE),
        text=texts.TOO_MANY_ACCOUNT_CONNECTIONS if full_up else texts.AUTHORIZATION_VIOLATION,
    )


def _terms(case: Case, steps: tuple[Step, ...], server: HasLimits) -> Admission:
    claims, account = case.claims, case.account
    strict = account.iss in case.trust.strict_signers
    effective = claims
    if case.scope is not None:
        effective = msgspec.structs.replace(claims, nats=case.body)
    elif case.user is not None and silenced(case.user):
        pub = Permission(deny=(*claims.nats.pub.deny, EVERY_SUBJECT))
        effective = with_body(claims, pub=pub)
    permissions = permissions_of(effective, account, scope=case.scope)
    delegated = steps[-1].gate is Gate.DELEGATION
    if account.nats.authorization.auth_users and not delegated:
        # Nobody in the account may pretend to be the server that asks (enforcement spec §6.2).
        permissions = permissions.denying(CALLOUT_SUBJECT)
    # When it binds, the server does not know yet that the password of MQTT was a token.
    shown = None if case.attempt.by_password else claims
    return Admission(
        verdict=Verdict(steps),
        issued=claims,
        user=effective,
        scope=case.scope,
        permissions=permissions,
        limits=limits_of(shown, account, server, strict=strict),
        expires_at=expiry(claims, case.until, case.now),
        delegated=delegated,
    )


def expiry(claims: UserClaims, until: float | None, now: float) -> float | None:
    """When a connection's time is over: its token's, or that of the window it came in.

    The server counts whole seconds from when it came in.
    """
    if claims.exp == 0:
        return until
    left = max(claims.exp - int(now), 0)
    if left > _MOST_SECONDS:
        # Centuries ahead, the server's count of nanoseconds begins again: such a token is over at once.
        left = ((left * _NANOSECONDS + 2**63) % 2**64 - 2**63) // _NANOSECONDS
    ends = now + left
    return ends if until is None else min(ends, until)


__all__ = [
    "CALLOUT_SUBJECT",
    "AccountFacts",
    "Admission",
    "Attempt",
    "Identified",
    "Limits",
    "Reads",
    "Trust",
    "TrustError",
    "account_fault",
    "admit",
    "expiry",
    "identify",
    "signature_holds",
]
