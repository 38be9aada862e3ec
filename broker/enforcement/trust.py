"""Whom the broker believes: operators or their keys, and what a configuration adds (spec §2.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.errors import AccreditError, Refused
from issuer.keys.nkeys import PublicKey, Role, is_public
from issuer.tokens.chain import account_signers
from issuer.tokens.envelope import decode


class TrustError(Refused):
    """Options about trust with which no server would start."""

    code = "broker.trust"


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """The root of every decision about a connection."""

    operators: tuple[OperatorClaims, ...] = ()
    """None where only their keys are configured."""
    keys: frozenset[PublicKey] = frozenset()
    """May sign accounts."""
    strict_signers: frozenset[PublicKey] = frozenset()
    """Those of operators under which no identity key may sign."""
    pinned: frozenset[PublicKey] = frozenset()
    """The accounts that may connect; empty is all."""
    system_account: PublicKey | None = None
    default_sentinel: str = ""
    """The token of clients that bring none."""
    proxies: frozenset[PublicKey] = frozenset()

    @classmethod
    def of(
        cls,
        operator_tokens: Sequence[str],
        trusted_keys: Iterable[PublicKey] = (),
        *,
        pinned: Iterable[PublicKey] = (),
        system_account: PublicKey | None = None,
        default_sentinel: str = "",
        proxies: Iterable[PublicKey] = (),
    ) -> Trust:
        """Trust as a configuration says it.

        Raises:
            TrustError: with the words the server has for it when it refuses to start.
            TokenError: an operator's token does not verify.
        """
        operators = tuple(decode(token, OperatorClaims).claims for token in operator_tokens)
        given = frozenset(trusted_keys)
        if operators and given:
            raise TrustError(
                "conflicting options for 'TrustedKeys' and 'TrustedOperators'", at="trusted_keys"
            )
        if not operators and not given:
            raise TrustError("no operator is trusted", at="operator", hint="name an operator's token or key")
        keys = given.union(*map(account_signers, operators))
        for key in keys:
            if not is_public(key, Role.OPERATOR):
                words = f'trusted keys "{key}" are required to be a valid public operator nkey'
                raise TrustError(words, at="trusted_keys")
        allowed = frozenset(pinned)
        for key in allowed:
            if not is_public(key, Role.ACCOUNT):
                words = f'pinned account key "{key}" is not a valid public account nkey'
                raise TrustError(words, at="resolver_pinned_accounts")
        if default_sentinel:
            _require_sentinel(default_sentinel, operators)
        system = system_account or _system_account(operators)
        return cls(
            operators=operators,
            keys=keys,
            strict_signers=_strict_signers(operators),
            # The operator's own account must never lock itself out.
            pinned=allowed | {system} if allowed and system else allowed,
            system_account=system,
            default_sentinel=default_sentinel,
            proxies=frozenset(proxies),
        )


def _strict_signers(operators: Iterable[OperatorClaims]) -> frozenset[PublicKey]:
    strict = (each for each in operators if each.nats.strict_signing_key_usage)
    return frozenset(key for each in strict for key in each.nats.signing_keys)


def _system_account(operators: Sequence[OperatorClaims]) -> PublicKey | None:
    named = operators[0].nats.system_account if operators else ""
    return PublicKey(named) if named else None


def _require_sentinel(token: str, operators: Sequence[OperatorClaims]) -> None:
    at = "default_sentinel"
    if not operators:
        raise TrustError("default sentinel requires operators and accounts", at=at)
    try:
        body = decode(token, UserClaims).claims.nats
    except AccreditError:
        raise TrustError("default sentinel JWT not valid", at=at) from None
    looks_scoped = bool(body.issuer_account) and body.unrestricted_by_itself()
    if not body.bearer_token and not looks_scoped:
        raise TrustError("default sentinel must be a bearer token", at=at)
