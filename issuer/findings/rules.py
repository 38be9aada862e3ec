"""Which rules hold for which kind of token, in the order the reference library applies them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from issuer.claims.account import AccountClaims
from issuer.claims.exchange import (
    ActivationClaims,
    AuthorizationRequestClaims,
    AuthorizationResponseClaims,
    GenericClaims,
)
from issuer.claims.fields import Envelope
from issuer.claims.operator import OperatorClaims
from issuer.claims.quoting import quoted
from issuer.claims.user import UserClaims
from issuer.errors import Defect
from issuer.findings.access import connection
from issuer.findings.account import account
from issuer.findings.finding import Finding, Findings, Level, error
from issuer.findings.operator import operator
from issuer.findings.sharing import activation_body
from issuer.keys.nkeys import Role, is_public


def validate(claims: Envelope, *, now: int) -> tuple[Finding, ...]:
    """Everything the reference library would say about these claims at second `now`."""
    rules = _RULES.get(type(claims))
    if rules is None:
        raise Defect(f"no rules for {type(claims).__name__}")
    time = tuple(_time(claims, now))
    # The two callout kinds are asked about their time last.
    if isinstance(claims, AuthorizationRequestClaims | AuthorizationResponseClaims):
        return (*rules(claims), *time)
    return (*time, *rules(claims))


def _time(claims: Envelope, now: int) -> Findings:
    # The second of `exp` itself is still good (§4.2).
    if 0 < claims.exp < now:
        yield Finding(Level.TIME, "time.expired", "claim is expired", "/exp")
    if claims.nbf > 0 and claims.nbf > now:
        yield Finding(Level.TIME, "time.not-yet", "claim is not yet valid", "/nbf")


def _user(claims: UserClaims) -> Findings:
    yield from connection(claims.nats, "/nats")
    issuer_account = claims.nats.issuer_account
    if issuer_account and not is_public(issuer_account, Role.ACCOUNT):
        words = "account_id is not an account public key"
        yield error("user.issuer-account", words, "/nats/issuer_account")


def _activation(claims: ActivationClaims) -> Findings:
    yield from activation_body(claims.nats, "/nats")


def _request(claims: AuthorizationRequestClaims) -> Findings:
    key = claims.nats.user_nkey
    if not key:
        yield error("request.user-nkey", "User nkey is required", "/nats/user_nkey")
    elif not is_public(key, Role.USER):
        words = f"User nkey {quoted(key)} is not a valid user public key"
        yield error("request.user-nkey", words, "/nats/user_nkey")


def _response(claims: AuthorizationResponseClaims) -> Findings:
    body = claims.nats
    if not is_public(claims.sub, Role.USER):
        yield error("response.subject", "Subject must be a user public key", "/sub")
    if not is_public(claims.aud, Role.SERVER):
        yield error("response.audience", "Audience must be a server public key", "/aud")
    if not body.error and not body.jwt:
        yield error("response.content", "Error or Jwt is required", "/nats")
    if body.error and body.jwt:
        yield error("response.content", "Only Error or Jwt can be set", "/nats")
    if body.issuer_account and not is_public(body.issuer_account, Role.ACCOUNT):
        words = "issuer_account is not an account public key"
        yield error("response.issuer-account", words, "/nats/issuer_account")


def _nothing(_: GenericClaims) -> Findings:
    yield from ()


_RULES: Final[dict[type[Any], Callable[[Any], Findings]]] = {
    OperatorClaims: operator,
    AccountClaims: account,
    UserClaims: _user,
    ActivationClaims: _activation,
    AuthorizationRequestClaims: _request,
    AuthorizationResponseClaims: _response,
    GenericClaims: _nothing,
}
