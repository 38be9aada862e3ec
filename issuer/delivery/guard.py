"""What must hold of an account token before it leaves for the servers. Pure.

A full resolver stores whatever decodes, even a foreign operator's token or an expired one over
the good one, and answers "jwt updated" (enforcement spec §0.2, §5.4); so nobody else checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from issuer.claims.account import AccountClaims
from issuer.claims.operator import OperatorClaims
from issuer.errors import PeerError, Refused
from issuer.findings.finding import Finding, Level
from issuer.tokens.envelope import MAX_BYTES, Verified, decode

MIB: Final = MAX_BYTES

Validate = Callable[[AccountClaims], Iterable[Finding]]


class DeliveryRefused(Refused):
    """We do not send this."""

    code = "delivery.refused"


class UnreadableToken(DeliveryRefused):
    """Not an account token at all, or its signature is wrong."""

    code = "delivery.unreadable"


class WrongAccount(DeliveryRefused):
    """The token of another account."""

    code = "delivery.wrong-account"


class ForeignToken(DeliveryRefused):
    """Signed by a key the operator does not trust for it."""

    code = "delivery.foreign"


class ExpiredToken(DeliveryRefused):
    """A server would store it over the good one and never apply it."""

    code = "delivery.expired"


class OlderToken(DeliveryRefused):
    """Servers do not guard against going back in time, so we do."""

    code = "delivery.older"


class OversizeToken(DeliveryRefused):
    """More than the server takes in one message, or than any decodes."""

    code = "delivery.oversize"


class InvalidToken(DeliveryRefused):
    """Its claims have findings that make servers refuse it."""

    code = "delivery.invalid"


def check(
    token: str,
    operator: OperatorClaims,
    *,
    now: int,
    account: str | None = None,
    last_iat: int = 0,
    max_payload: int | None = None,
    validate: Validate | None = None,
) -> Verified[AccountClaims]:
    """The claims of a token that may be sent.

    Raises:
        DeliveryRefused: the first fault of `faults`.
    """
    found, verified = _examine(token, operator, now, account, last_iat, max_payload, validate)
    if found or verified is None:
        raise found[0]
    return verified


def faults(
    token: str,
    operator: OperatorClaims,
    *,
    now: int,
    account: str | None = None,
    last_iat: int = 0,
    max_payload: int | None = None,
    validate: Validate | None = None,
) -> list[DeliveryRefused]:
    """Everything that stands against sending a token; empty when it may go."""
    return _examine(token, operator, now, account, last_iat, max_payload, validate)[0]


def _examine(
    token: str,
    operator: OperatorClaims,
    now: int,
    account: str | None,
    last_iat: int,
    max_payload: int | None,
    validate: Validate | None,
) -> tuple[list[DeliveryRefused], Verified[AccountClaims] | None]:
    found: list[DeliveryRefused] = []
    limit = MIB if max_payload is None else min(MIB, max_payload)
    if len(token) > limit:
        whose = "any server decodes" if limit == MIB else "the server takes in one message"
        found.append(
            OversizeToken(
                f"token of {len(token)} bytes is over the {limit} that {whose}",
                hint="compact revocations, split the account, or raise max_payload on the servers",
            )
        )
    if len(token) > MIB:
        return found, None
    try:
        verified = decode(token, AccountClaims)
    except PeerError as error:
        found.append(UnreadableToken(f"not an account token: {error}"))
        return found, None
    claims = verified.claims
    if account is not None and claims.sub != account:
        found.append(WrongAccount(f"token is of account {claims.sub}, not of {account}"))
    if not operator.trusts(claims.iss, claims.sub):
        strict = claims.iss == operator.sub
        why = "strict signing key usage forbids the operator's identity key" if strict else "unknown key"
        found.append(
            ForeignToken(
                f"issuer {claims.iss} is not trusted by operator {operator.name or operator.sub}: {why}",
                hint="sign the account again with a signing key of the operator",
            )
        )
    # The second of `exp` itself still counts as valid, but not by the time it has arrived.
    if 0 < claims.exp <= now:
        found.append(
            ExpiredToken(f"token expired at {claims.exp}", hint="edit the account with a later expiry")
        )
    if claims.iat < last_iat:
        found.append(OlderToken(f"issued at {claims.iat}, but {last_iat} was sent already"))
    findings = validate(claims) if validate is not None else ()
    found += [InvalidToken(f.message, at=f.pointer) for f in findings if f.level is Level.ERROR]
    return found, verified
