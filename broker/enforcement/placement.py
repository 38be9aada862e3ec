"""What a callout's answer means: whether it is one, whom it lets in, and where (enforcement spec §6.3, §6.4).

The gates, in the order in which the server goes through them; the first that fails decides:

1. CONTENT      the answer is not empty
2. SEAL         what does not look like a token opens with the account's curve key
3. RESPONSE     it is a token, its signature fits, and it is an authorization response
4. CLAIMS       the response itself is sound and in time
5. REQUEST      it is about the user key that was asked for
6. SERVER       it is for this server
7. SPEAKER      it does not say that it comes from another account than the callout's    (not if sealed)
8. SIGNER       a key of the callout's account signed it                                 (not if sealed)
9. REFUSAL      the service did not refuse
10. USER        the token in it is a user token, and its signature fits
11. PROXY       the user may come without a proxy
12. SOUND       the user's claims are sound, and in time
13. SUBJECT     the user is the key that was asked for
14. TIMES       now is one of the user's hours
15. TYPES       of the connection types the user names, one at least is known
16. ALLOWED     the account it belongs to is the callout's own, or one that the callout may place into
17. ACCOUNT     that account is known and in force
18. ISSUER      a key of that account signed the user
19. ROLE        if that key is a role's, the user leaves everything to the role, whose template fits
20. ROLE_PROXY  the role may come without a proxy
21. ROOM        the account has room for one more connection

Not asked, as the server does not: revocations, where the connection comes from, its type,
whether the account takes bearers. The user's own limits do not hold, the account's do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from msgspec.structs import replace

from broker.enforcement.admission import CALLOUT_SUBJECT, AccountFacts, expiry
from broker.enforcement.limits import HasLimits, Limits, full, limits_of
from broker.enforcement.permissions import Permissions, permissions_of, silenced
from broker.enforcement.times import window_at
from broker.protocol import texts
from broker.protocol.texts import Closed
from issuer.claims.account import AccountClaims, Scope
from issuer.claims.exchange import AuthorizationResponseClaims
from issuer.claims.fields import CONNECTION_TYPES, UNLIMITED, Envelope
from issuer.claims.quoting import quoted
from issuer.claims.templates import EVERYTHING, TemplateError, expand_template
from issuer.claims.user import UserClaims
from issuer.claims.wire import ClaimSyntaxError
from issuer.findings import validate
from issuer.keys.nkeys import PublicKey, Seed
from issuer.keys.xkeys import SealedTooShortError, SealedVersionError, SealError, open_sealed
from issuer.tokens import chain
from issuer.tokens.envelope import TokenError, Verified, decode

ANY_ACCOUNT: Final = "*"
_TOKEN_PREFIX: Final = b"eyJ"


class Gate(IntEnum):
    """Which step of the judgement."""

    CONTENT = 1
    SEAL = 2
    RESPONSE = 3
    CLAIMS = 4
    REQUEST = 5
    SERVER = 6
    SPEAKER = 7
    SIGNER = 8
    REFUSAL = 9
    USER = 10
    PROXY = 11
    SOUND = 12
    SUBJECT = 13
    TIMES = 14
    TYPES = 15
    ALLOWED = 16
    ACCOUNT = 17
    ISSUER = 18
    ROLE = 19
    ROLE_PROXY = 20
    ROOM = 21


@dataclass(frozen=True, slots=True)
class Question:
    """What a request was about, to hold its answer against."""

    callout: PublicKey
    """The account that was asked."""
    server: PublicKey
    user: PublicKey
    """The key made for this one connection."""
    xkey: str = ""
    """The account's curve key, if the request was sealed."""
    proxied: bool = False
    """It came through a proxy that is trusted."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The gate that did not open; `words` are those of the server's log and of the account's event."""

    gate: Gate
    words: str
    closed: Closed = Closed.AUTHENTICATION_FAILURE
    text: str = texts.AUTHORIZATION_VIOLATION

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that holds by itself: a user for an account that is still to be looked at."""

    user: Verified[UserClaims]
    account: PublicKey
    until: float | None
    """When its hours end today."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A place in an account, as a connection is bound to it."""

    issued: UserClaims
    user: UserClaims
    """What holds: its role's permissions in place of its own, nothing of its limits."""
    scope: Scope | None
    permissions: Permissions
    limits: Limits
    expires_at: float | None


class _Stop(Exception):
    def __init__(self, denied: Denied) -> None:
        self.denied = denied


def read_answer(
    payload: bytes, question: Question, callout: AccountClaims, *, curve: Seed, now: float
) -> Answered | Denied:
    """Gates 1 to 16: what the answer says, if it may say so. `callout` is the account as it is now."""
    try:
        return _read(payload, question, callout, curve, now)
    except _Stop as stop:
        return stop.denied


def place(
    answered: Answered,
    question: Question,
    target: AccountFacts | None,
    *,
    strict: bool,
    server: HasLimits,
    now: float,
) -> Placement | Denied:
    """Gates 17 to 21: whether the account takes the user, and what may be done there.

    With `strict`, the account is one of an operator that forbids identity keys.
    """
    try:
        return _place(answered, question, target, server, now, strict=strict)
    except _Stop as stop:
        return stop.denied


def _refuse(gate: Gate, words: str) -> _Stop:
    return _Stop(Denied(gate, words[:1].upper() + words[1:]))


def _proxy_required(gate: Gate) -> _Stop:
    return _Stop(Denied(gate, "Proxy connection required", Closed.PROXY_REQUIRED))


# --- the answer ------------------------------------------------------------------------------------


def _read(payload: bytes, question: Question, callout: AccountClaims, curve: Seed, now: float) -> Answered:
    name = quoted(question.callout)
    if not payload:
        raise _refuse(Gate.CONTENT, f'auth callout violation: "no reason supplied" on account {name}')

    sealed = bool(question.xkey) and not payload.startswith(_TOKEN_PREFIX)
    if sealed:
        payload = _opened(payload, question, curve)

    response = _decoded(Gate.RESPONSE, payload.decode("ascii", "replace"))
    if not isinstance(response.claims, AuthorizationResponseClaims):
        # The library's own slip: the word is "request".
        raise _refuse(Gate.RESPONSE, "not an authorization request claim")
    claims = response.claims
    _sound(Gate.CLAIMS, claims, now, "authorization response had validation errors")
    if claims.sub != question.user:
        words = "auth callout violation: auth callout response is not for expected user"
        raise _refuse(Gate.REQUEST, words)
    if claims.aud != question.server:
        raise _refuse(Gate.SERVER, "auth callout violation: auth callout response is not for server")
    if not sealed:
        _spoken_by(claims, callout)
    if claims.nats.error:
        raise _refuse(Gate.REFUSAL, f"auth callout service returned an error: {claims.nats.error}")

    return _user(claims.nats.jwt, question, callout, now)


def _opened(payload: bytes, question: Question, curve: Seed) -> bytes:
    try:
        return open_sealed(payload, recipient=curve, sender=PublicKey(question.xkey))
    except SealedTooShortError:
        fault = "encrypted input is not valid"
    except SealedVersionError:
        fault = "encrypted input wrong version"
    except SealError:
        fault = "could not decrypt input"
    name = quoted(question.callout)
    raise _refuse(Gate.SEAL, f"error decrypting auth callout response on account {name}: nkeys: {fault}")


def _decoded(gate: Gate, text: str) -> Verified[Envelope]:
    # Without a kind: the server finds a broken signature before the wrong kind of token.
    try:
        return decode(text)
    except (TokenError, ClaimSyntaxError) as error:
        raise _refuse(gate, error.message) from None


def _sound(gate: Gate, claims: Envelope, now: float, prelude: str) -> None:
    # Any finding counts here, warnings too.
    finding = next(iter(validate(claims, now=int(now))), None)
    if finding is not None:
        raise _refuse(gate, f"{prelude}: {finding.message}")


def _spoken_by(response: AuthorizationResponseClaims, callout: AccountClaims) -> None:
    said = response.nats.issuer_account
    if said and said != callout.sub:
        words = f"auth callout response issuer account {quoted(said)} is not the callout account"
        raise _refuse(Gate.SPEAKER, words)
    # Even where users must be signed by signing keys, the identity key may speak.
    if response.iss != callout.sub and response.iss not in callout.signing_keys():
        raise _refuse(Gate.SIGNER, "auth callout signing key is unknown")


# --- the user --------------------------------------------------------------------------------------


def _user(token: str, question: Question, callout: AccountClaims, now: float) -> Answered:
    name = quoted(question.callout)
    verified = _decoded(Gate.USER, token)
    if not isinstance(verified.claims, UserClaims):
        raise _refuse(Gate.USER, "not user claim")
    claims = verified.claims
    user = Verified(verified.token, claims, verified.version)
    if claims.nats.proxy_required and not question.proxied:
        raise _proxy_required(Gate.PROXY)
    _sound(Gate.SOUND, claims, now, "error validating user JWT")
    if claims.sub != question.user:
        words = f"expected authorized user of {quoted(question.user)} but got {quoted(claims.sub)}"
        raise _refuse(Gate.SUBJECT, f"{words} on account {name}")

    window = window_at(claims.nats.times, claims.nats.times_location, now)
    if not window.open:
        raise _refuse(Gate.TIMES, f"authorized user on account {name} outside of valid connect times")
    types = claims.nats.allowed_connection_types
    if types and not any(each.upper() in CONNECTION_TYPES for each in types):
        raise _refuse(Gate.TYPES, f"authorized user on account {name} using invalid connection type")

    account = PublicKey(claims.account)
    if account != callout.sub and not _may_place(callout, account):
        words = f"account {quoted(claims.iss)} not permitted as valid account option for auth callout"
        raise _refuse(Gate.ALLOWED, f"{words} for account {name}")
    return Answered(user, account, window.until)


def _may_place(callout: AccountClaims, account: PublicKey) -> bool:
    external = callout.nats.authorization
    if not external.auth_users:
        return False  # switched off while the answer was awaited
    allowed = external.allowed_accounts
    return allowed == (ANY_ACCOUNT,) or account in allowed


# --- its place -------------------------------------------------------------------------------------


def _place(
    answered: Answered,
    question: Question,
    target: AccountFacts | None,
    server: HasLimits,
    now: float,
    *,
    strict: bool,
) -> Placement:
    issued = answered.user.claims
    if target is None or target.expired:
        fault = "account missing" if target is None else "account validation failed"
        words = f"no valid account {quoted(answered.account)} for auth callout response"
        raise _refuse(Gate.ACCOUNT, f"{words} on account {quoted(question.callout)}: {fault}")

    account = target.claims
    proof = chain.member_trusted(account, answered.user, strict=strict)
    refusal = proof.refusal
    if refusal is not None and refusal.gate is chain.Gate.ROLE:
        raise _refuse(Gate.ROLE, f"user JWT is not valid: {refusal.words}")
    if refusal is not None:
        raise _refuse(Gate.ISSUER, f"user JWT issuer {quoted(issued.iss)} is not known")
    user = _effective(answered.user, account, proof.scope)
    if user.nats.proxy_required and not question.proxied:
        raise _proxy_required(Gate.ROLE_PROXY)

    if full(target.connections, account.nats.limits.conn):
        words = f"Could not register auth callout user: {texts.TOO_MANY_ACCOUNT_CONNECTIONS}"
        raise _Stop(
            Denied(
                Gate.ROOM,
                words,
                Closed.MAX_ACCOUNT_CONNECTIONS,
                texts.TOO_MANY_ACCOUNT_CONNECTIONS,
            )
        )
    permissions = permissions_of(user, account, scope=proof.scope)
    if account.sub == question.callout:
        # Nobody in the account may pretend to be the server that asks (enforcement spec §6.2).
        permissions = permissions.denying(CALLOUT_SUBJECT)
    return Placement(
        issued=issued,
        user=user,
        scope=proof.scope,
        permissions=permissions,
        limits=limits_of(None, account, server, strict=strict),
        expires_at=expiry(issued, answered.until, now),
    )


def _effective(verified: Verified[UserClaims], account: AccountClaims, scope: Scope | None) -> UserClaims:
    """The user as it counts from now on: permissions, and no limit of its own or its role's."""
    issued = verified.claims
    body = issued.nats
    if scope is not None:
        try:
            template = expand_template(scope.template, issued, account)
        except TemplateError as error:
            raise _refuse(Gate.ROLE, f"user JWT generated invalid permissions: {error.message}") from None
        body = replace(
            body,
            pub=template.pub,
            sub=template.sub,
            resp=template.resp,
            proxy_required=template.proxy_required,
        )
    elif silenced(verified):
        body = replace(body, pub=replace(body.pub, deny=(*body.pub.deny, EVERYTHING)))
    return replace(
        issued,
        nats=replace(
            body,
            subs=UNLIMITED,
            data=UNLIMITED,
            payload=UNLIMITED,
            src=(),
            times=(),
            times_location="",
            allowed_connection_types=(),
            bearer_token=False,
        ),
    )


def earlier(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
