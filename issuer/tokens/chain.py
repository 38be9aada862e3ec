"""Whether a key may speak for another: operator, account, user (claims spec §6, 14 and 15).

The steps, in order; the first that fails ends the proof:

1. OPERATOR  the operator's token is signed by a key it names itself
2. ACCOUNT   the account is signed by a key of the operator; with strict usage not by its identity
3. MEMBER    the user says it belongs to this account, and says so itself if a signing key signed it
4. ISSUER    the user is signed by a key of the account; with strict usage not by its identity
5. ROLE      a role's key signed a user that carries nothing of its own
6. EXPORTER  the activation says it comes from this account
7. GRANTER   the activation is signed by a key of that account

Signatures are not checked here: only `Verified` comes in, whose signature fits its issuer.
Left to the caller: that the operator is one it trusts, time, revocation, and what claims say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from issuer.claims.account import AccountClaims, Scope, signing_key
from issuer.claims.exchange import ActivationClaims
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.keys.nkeys import PublicKey
from issuer.tokens.envelope import Verified, plain_claims, written_by_us

SCOPED_USER_WORDS: Final = "scoped users require no permissions or limits set"

# Absent and null are nothing; anything else, an empty list too, the server takes for a setting.
_ROLE_DECIDES: Final = (
    "resp",
    "src",
    "times",
    "times_location",
    "subs",
    "data",
    "payload",
    "bearer_token",
    "proxy_required",
    "allowed_connection_types",
)


class Gate(IntEnum):
    """Which step of the proof."""

    OPERATOR = 1
    ACCOUNT = 2
    MEMBER = 3
    ISSUER = 4
    ROLE = 5
    EXPORTER = 6
    GRANTER = 7


@dataclass(frozen=True, slots=True)
class Step:
    """One step taken; `words` say what held, or why it did not."""

    gate: Gate
    passed: bool
    words: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The steps taken. True only if there are any and every one passed."""

    steps: tuple[Step, ...]
    scope: Scope | None = None
    """The role whose template holds for the user, if a role's key signed it."""

    def __bool__(self) -> bool:
        return bool(self.steps) and all(step.passed for step in self.steps)

    @property
    def refusal(self) -> Step | None:
        """The step that failed."""
        return next((step for step in self.steps if not step.passed), None)


def account_trusted(operator: Verified[OperatorClaims], account: Verified[AccountClaims]) -> Proof:
    """Steps 1 and 2: is this an account of this operator?"""
    return _proof(_account_steps(operator.claims, account.claims))


def user_trusted(
    operator: Verified[OperatorClaims], account: Verified[AccountClaims], user: Verified[UserClaims]
) -> Proof:
    """Steps 1 to 5: is this a user of this account, which is one of this operator?"""

    strict = operator.claims.nats.strict_signing_key_usage

    def steps() -> Iterator[Step]:
        yield from _account_steps(operator.claims, account.claims)
        yield from _user_steps(account.claims, user, strict=strict)

    return _proof(steps(), role_of_signer(account.claims, user.claims.iss, strict=strict))


def member_trusted(account: AccountClaims, user: Verified[UserClaims], *, strict: bool = False) -> Proof:
    """Steps 3 to 5: is this a user of this account, whose own trust is known already?

    With `strict`, the account is one of an operator with strict signing key usage.
    """
    return _proof(
        _user_steps(account, user, strict=strict), role_of_signer(account, user.claims.iss, strict=strict)
    )


def account_signers(operator: OperatorClaims) -> frozenset[PublicKey]:
    """The keys that may sign the operator's accounts."""
    keys = frozenset(operator.nats.signing_keys)
    return keys if operator.nats.strict_signing_key_usage else keys | {operator.sub}


def may_sign_users(account: AccountClaims, key: str, *, strict: bool) -> bool:
    """Whether a key is one whose users the account takes in."""
    return (key == account.sub and not strict) or any(
        signing_key(entry) == key for entry in account.nats.signing_keys
    )


def role_of_signer(account: AccountClaims, key: str, *, strict: bool) -> Scope | None:
    """The role that a signer gives to its users."""
    # Unless usage is strict the identity key stands in the servers' map by itself, after the listed ones.
    return None if key == account.sub and not strict else account.scope(key)


def activation_trusted(
    exporter: Verified[AccountClaims], activation: Verified[ActivationClaims], *, strict: bool = False
) -> Proof:
    """Steps 6 and 7: may the signer give away what `exporter` exports?

    With `strict`, the account is one of an operator with strict signing key usage.
    """
    return _proof(_activation_steps(exporter.claims, activation.claims, strict=strict))


def _proof(steps: Iterator[Step], scope: Scope | None = None) -> Proof:
    taken: list[Step] = []
    for step in steps:
        taken.append(step)
        if not step.passed:
            return Proof(tuple(taken))
    return Proof(tuple(taken), scope)


def _account_steps(operator: OperatorClaims, account: AccountClaims) -> Iterator[Step]:
    keys = operator.nats.signing_keys
    known = account.iss in account_signers(operator)
    own = operator.iss == operator.sub or operator.iss in keys
    yield _step(Gate.OPERATOR, own, "operator signed itself", "operator is signed by a foreign key")
    if account.iss == operator.sub:
        refused = "account is signed by the operator's identity key, which strict usage forbids"
        yield _step(Gate.ACCOUNT, known, "account is signed by its operator", refused)
    else:
        held = "account is signed by a signing key of its operator"
        yield _step(Gate.ACCOUNT, known, held, "account is not signed by a key of the operator")


def _user_steps(account: AccountClaims, user: Verified[UserClaims], *, strict: bool) -> Iterator[Step]:
    claims = user.claims
    if claims.nats.issuer_account:
        words = "user belongs to another account"
    else:
        words = "user names no account, and its signer is not the account itself"
    yield _step(Gate.MEMBER, claims.account == account.sub, "user belongs to the account", words)
    known = may_sign_users(account, claims.iss, strict=strict)
    if claims.iss == account.sub:
        refused = "user is signed by the account's identity key, which strict usage forbids"
        yield _step(Gate.ISSUER, known, "user is signed by its account", refused)
    else:
        held = "user is signed by a signing key of its account"
        yield _step(Gate.ISSUER, known, held, "user is not signed by a key of the account")
    if role_of_signer(account, claims.iss, strict=strict) is not None:
        yield _step(
            Gate.ROLE, leaves_all_to_role(user), "user leaves everything to its role", SCOPED_USER_WORDS
        )


def _activation_steps(
    exporter: AccountClaims, activation: ActivationClaims, *, strict: bool
) -> Iterator[Step]:
    named = activation.nats.issuer_account
    own = (named or activation.iss) == exporter.sub
    yield _step(
        Gate.EXPORTER, own, "activation comes from the exporter", "activation comes from another account"
    )
    if activation.iss == exporter.sub:
        # Without issuer_account the server asks no further, not even under strict usage.
        refused = "activation is signed by the identity key, which strict usage forbids"
        yield _step(Gate.GRANTER, not (strict and named), "activation is signed by the exporter", refused)
        return
    held = "activation is signed by a signing key of the exporter"
    refused = "activation is not signed by a key of the exporter"
    yield _step(Gate.GRANTER, activation.iss in exporter.signing_keys(), held, refused)


def leaves_all_to_role(user: Verified[UserClaims]) -> bool:
    """Whether the token leaves out, or nulls, everything a role decides (enforcement spec §2.2)."""
    if not user.claims.nats.unrestricted_by_itself():
        return False
    if written_by_us(user):
        return True
    body: dict[str, Any] = plain_claims(user.token).get("nats") or {}
    sides = (body.get("pub") or {}, body.get("sub") or {})
    lists = [side.get(name) for side in sides for name in ("allow", "deny")]
    # Values that mean nothing to us but something to Go: a list or object, even an empty one.
    return not any(isinstance(value, list | dict) for value in lists) and not any(
        _counts_as_set(name, body.get(name)) for name in _ROLE_DECIDES
    )


def _counts_as_set(name: str, value: object) -> bool:
    # An old-style `src` text is split into a list, and a list is there even when it is empty.
    return isinstance(value, list | dict) or (name == "src" and value is not None)


def _step(gate: Gate, passed: bool, held: str, refused: str) -> Step:  # noqa: FBT001  reads as a table
    return Step(gate, passed, held if passed else refused)
