"""Steps 8 to 20 of an admission: whether the account takes the user in (enforcement spec §2)."""

from __future__ import annotations

from typing import Final

import msgspec

from broker.enforcement.case import ACCOUNT_TOKEN, CLIENT, Asks, Case
from broker.enforcement.identifying import proxy_required
from broker.enforcement.limits import full, template_limit
from broker.enforcement.networks import from_networks
from broker.enforcement.permissions import USER_TOKEN, role_field, role_source
from broker.enforcement.signatures import signature_bytes, signed
from broker.enforcement.times import window_at
from broker.enforcement.verdict import Gate, Step
from broker.protocol import texts
from issuer.claims.fields import CONNECTION_TYPES
from issuer.claims.quoting import quoted
from issuer.claims.templates import TemplateError, expand_template
from issuer.claims.user import UserBody, UserTemplate
from issuer.keys.nkeys import verify
from issuer.tokens import chain


def _account(case: Case) -> Step:
    return Step(Gate.ACCOUNT, True, "account /sub", case.account.sub, USER_TOKEN)


def _operator(case: Case) -> Step:
    issuer = case.account.iss
    known = issuer in case.trust.keys
    words = "" if known else "Account JWT not signed by trusted operator"
    return Step(Gate.OPERATOR, known, "account /iss", issuer, ACCOUNT_TOKEN, words)


def _issuer(case: Case) -> Step:
    strict = case.account.iss in case.trust.strict_signers
    known = chain.may_sign_users(case.account, case.claims.iss, strict=strict)
    if known:
        case.scope = chain.role_of_signer(case.account, case.claims.iss, strict=strict)
    words = "" if known else "User JWT issuer is not known"
    return Step(Gate.ISSUER, known, "user /iss", case.claims.iss, USER_TOKEN, words)


def _role(case: Case) -> Step | None:
    scope, user = case.scope, case.user
    if scope is None or user is None:
        return None
    field = "user /nats"
    if not chain.leaves_all_to_role(user):
        words = f"User JWT is not valid: {chain.SCOPED_USER_WORDS}"
        return Step(Gate.ROLE, False, field, f"role {scope.role}", USER_TOKEN, words)
    case.source, case.field = role_source(case.account, scope), role_field(case.account, scope)
    try:
        template = expand_template(scope.template, case.claims, case.account)
    except TemplateError as error:
        words = "User JWT generated invalid permissions"
        return Step(Gate.ROLE, False, error.at or "", error.message, case.source, words)
    case.body = filled_in(case.body, template)
    return Step(Gate.ROLE, True, field, f"role {scope.role}", ACCOUNT_TOKEN)


def _role_proxy(case: Case) -> Step | None:
    # The server asks again once the role is known: a role may want a proxy as well.
    return None if case.scope is None else proxy_required(case)


def filled_in(body: UserBody, template: UserTemplate) -> UserBody:
    """A user's body with everything a role decides."""
    return msgspec.structs.replace(
        body,
        pub=template.pub,
        sub=template.sub,
        resp=template.resp,
        src=template.src,
        times=template.times,
        times_location=template.times_location,
        subs=template_limit(template, "subs"),
        data=template_limit(template, "data"),
        payload=template_limit(template, "payload"),
        bearer_token=template.bearer_token,
        proxy_required=template.proxy_required,
        allowed_connection_types=template.allowed_connection_types,
    )


def _account_time(case: Case) -> Step:
    words = "Account JWT has expired" if case.expired else ""
    exp = case.account.exp
    return Step(Gate.ACCOUNT_TIME, not case.expired, "account /exp", exp, ACCOUNT_TOKEN, words)


def _bearer(case: Case) -> Step | None:
    if not case.body.bearer_token:
        return None
    refused = case.account.nats.limits.disallow_bearer
    words = "Account does not allow bearer tokens" if refused else ""
    field = "account /nats/limits/disallow_bearer"
    return Step(Gate.BEARER, not refused, field, refused, ACCOUNT_TOKEN, words)


def _connection_type(case: Case) -> Step | None:
    listed = case.body.allowed_connection_types
    if not listed:
        return None
    spelt = [each.upper() for each in listed]
    known = [each for each in spelt if each in CONNECTION_TYPES]
    field = f"{case.field}/allowed_connection_types"
    if not known:
        words = f"invalid connection types [{' '.join(map(quoted, spelt))}]"
        return Step(Gate.CONNECTION_TYPE, False, field, listed, case.source, words)
    fits = case.attempt.connection_type in known
    words = "" if fits else "Connection type not allowed"
    return Step(Gate.CONNECTION_TYPE, fits, field, listed, case.source, words)


def _signature(case: Case) -> Step:
    field = "the signature"
    if case.body.bearer_token:
        return Step(Gate.SIGNATURE, True, f"{case.field}/bearer_token", True, case.source)
    signature = case.attempt.signature
    if not signature:
        return Step(Gate.SIGNATURE, False, field, None, CLIENT, "Signature missing")
    raw = signature_bytes(signature)
    if raw is None:
        return Step(Gate.SIGNATURE, False, field, None, CLIENT, "Signature not valid base64")
    public = case.claims.sub
    if not verify(public, signed(case.attempt.nonce), raw):
        return Step(Gate.SIGNATURE, False, field, public, CLIENT, "Signature not verified")
    return Step(Gate.SIGNATURE, True, "user /sub", public, USER_TOKEN)


def _revocation(case: Case) -> Step | None:
    if not case.account.nats.revocations:
        return None
    revoked = case.account.revoked(case.claims.sub, case.claims.iat)
    words = "User authentication revoked" if revoked else ""
    return Step(Gate.REVOCATION, not revoked, "user /iat", case.claims.iat, ACCOUNT_TOKEN, words)


def _network(case: Case) -> Step | None:
    networks = case.body.src
    if not networks:
        return None
    fits = from_networks(networks, case.attempt.address)
    words = "" if fits else f"Bad src Ip {case.attempt.address}"
    return Step(Gate.NETWORK, fits, f"{case.field}/src", networks, case.source, words)


def _time_window(case: Case) -> Step | None:
    body = case.body
    if not body.times:
        return None
    window = window_at(body.times, body.times_location, case.now, local=case.local)
    case.until = window.until
    words = "" if window.open else "Outside connect times"
    return Step(Gate.TIME_WINDOW, window.open, f"{case.field}/times", body.times, case.source, words)


def _connections(case: Case) -> Step:
    limit = case.account.nats.limits.conn
    room = not full(case.room, limit)
    words = "" if room else texts.TOO_MANY_ACCOUNT_CONNECTIONS
    return Step(Gate.CONNECTIONS, room, "account /nats/limits/conn", limit, ACCOUNT_TOKEN, words)


def _delegation(case: Case) -> Step | None:
    answering = case.account.nats.authorization.auth_users
    if not answering:
        return None
    if case.claims.sub in answering:
        return None
    return Step(Gate.DELEGATION, True, "account /nats/authorization/auth_users", answering, ACCOUNT_TOKEN)


ADMITTING: Final[tuple[Asks, ...]] = (
    _account,
    _operator,
    _issuer,
    _role,
    _role_proxy,
    _account_time,
    _bearer,
    _connection_type,
    _signature,
    _revocation,
    _network,
    _time_window,
    _connections,
    _delegation,
)


def _taken_for_granted(case: Case) -> Step:
    return Step(Gate.SIGNATURE, True, "user /sub", case.claims.sub, "taken for granted")


GRANTING: Final[tuple[Asks, ...]] = tuple(
    _taken_for_granted if ask is _signature else ask for ask in ADMITTING
)
"""The same for who asks without connecting: that the user's key is there is taken for granted."""
