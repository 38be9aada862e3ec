"""The callout's account as the store has it: what answers are signed and sealed with, and its two users."""

from __future__ import annotations

from dataclasses import dataclass

from callout.answer import Voice
from callout.request import Rules
from issuer.authority.enabling import SENTINEL, SERVICE
from issuer.authority.signing import first_held, head, plain_keys
from issuer.claims.account import AccountClaims
from issuer.claims.operator import OperatorClaims
from issuer.custody.keyring import Keyring
from issuer.errors import NotFound, Refused
from issuer.keys.nkeys import PublicKey
from issuer.store import hierarchy
from issuer.store.hierarchy import Operator
from issuer.store.unit import Database, Unit
from issuer.tokens.envelope import Token
from issuer.tokens.signer import Signer


class NotEnabled(Refused):
    """The account asks no callout."""

    code = "callout.not-enabled"


@dataclass(frozen=True, slots=True)
class CalloutAccount:
    """One view of it."""

    version: int
    """Of the account's token; what is here holds as long as that is the newest."""
    public: PublicKey
    voice: Voice
    service: tuple[Token, Signer]
    """The user that hears questions."""
    sentinel: tuple[Token, Signer] | None
    """The user whose token every client shows; None if it was taken away."""


def callout_account(unit: Unit, keyring: Keyring, operator: Operator, name: str) -> CalloutAccount:
    """Read it from the store.

    Raises:
        NotFound: no such account, no service user, or a seed that is not stored here.
        NotEnabled: the account asks no callout.
    """
    row = hierarchy.find_account(unit, operator.id, name)
    how = f"accredit callout enable -a {name}"
    if row is None:
        raise NotFound(f"there is no account {name!r}", at="account", hint=how)
    claims: AccountClaims = head(unit, "account", row.id).claims
    setting = claims.nats.authorization
    if not setting.auth_users:
        raise NotEnabled(f"account {name!r} asks no callout", at="account", hint=how)
    service = _user(unit, keyring, row.id, SERVICE)
    if service is None:
        raise NotFound(f"account {name!r} has no user {SERVICE!r}", at="account", hint=how)
    authority: OperatorClaims = head(unit, "operator", operator.id).claims
    curve = keyring.seed(unit, PublicKey(setting.xkey)) if setting.xkey else None
    # A role's key signs no answers (enforcement spec §6.4).
    signer = first_held(unit, keyring, plain_keys(claims, authority), f"account {name!r}")
    return CalloutAccount(
        version=row.head,
        public=claims.sub,
        voice=Voice(account=claims.sub, signer=signer, curve=curve),
        service=service,
        sentinel=_user(unit, keyring, row.id, SENTINEL),
    )


class AccountKept:
    """The account, kept up with the store; while that cannot be read, as it was."""

    def __init__(self, database: Database, keyring: Keyring, operator: Operator, name: str) -> None:
        self._database = database
        self._keyring = keyring
        self._operator = operator
        self._name = name
        self._kept: CalloutAccount | None = None

    @property
    def now(self) -> CalloutAccount:
        assert self._kept is not None, "refreshed first"  # noqa: S101
        return self._kept

    def refresh(self) -> None:
        """Look at the store once; blocks.

        Raises:
            AccreditError: as `callout_account`, or the store does not answer.
        """
        with self._database.reading() as unit:
            version = account_version(unit, self._operator, self._name)
            if self._kept is None or self._kept.version != version:
                self._kept = callout_account(unit, self._keyring, self._operator, self._name)

    def rules(self, servers: frozenset[str]) -> Rules:
        """What requests are held against."""
        return Rules(account=self.now.public, curve=self.now.voice.curve, servers=servers)


def account_version(unit: Unit, operator: Operator, name: str) -> int:
    """Of its newest token; 0 if there is no such account."""
    row = hierarchy.find_account(unit, operator.id, name)
    return row.head if row is not None else 0


def _user(unit: Unit, keyring: Keyring, account_id: int, name: str) -> tuple[Token, Signer] | None:
    row = hierarchy.find_user(unit, account_id, name)
    if row is None:
        return None
    return Token(hierarchy.head_token(unit, "user", row.id).token), keyring.signer(unit, row.public)
