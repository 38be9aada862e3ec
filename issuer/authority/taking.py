"""What every adoption keeps to: keys into custody, tokens as versions, and a list of what was left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Detail
from issuer.authority.desk import Turn
from issuer.errors import AlreadyExists, PeerError, Refused
from issuer.keys.nkeys import PublicKey, Seed
from issuer.store import hierarchy, keys
from issuer.store.hierarchy import Account, Entity, TokenVersion
from issuer.tokens.envelope import token_hash

State = Literal["new", "updated", "same", "older"]
# From so many users on, all keys of the store are looked through once.
_MANY: Final = 200
TAKEN: Final[frozenset[State]] = frozenset({"new", "updated"})
_ADOPTED: Final = {
    "operator": EventCode.OPERATOR_ADOPTED,
    "account": EventCode.ACCOUNT_ADOPTED,
    "user": EventCode.USER_ADOPTED,
}


class NotTaken(Refused):
    """Something from elsewhere that does not fit what is here."""

    code = "adoption.refused"


class Untrusted(NotTaken):
    """A token whose issuer has no say here."""

    code = "adoption.untrusted"


class DeletedHere(NotTaken):
    """Something that was deleted here, and does not come back by an import."""

    code = "adoption.deleted"


class NameTaken(AlreadyExists):
    """Another thing has this name here."""

    code = "adoption.name"


@dataclass(frozen=True, slots=True)
class Adopted:
    """One thing and what became of it."""

    kind: str
    name: str
    public: PublicKey
    state: State


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was not taken in, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Adoption:
    """What an import has done."""

    adopted: tuple[Adopted, ...]
    left_out: tuple[LeftOut, ...]
    keys: int

    def count(self, kind: str, *states: State) -> int:
        wanted = frozenset(states) or TAKEN
        return sum(1 for one in self.adopted if one.kind == kind and one.state in wanted)

    @property
    def changed(self) -> bool:
        return self.keys > 0 or any(one.state in TAKEN for one in self.adopted)


@dataclass(slots=True)
class Taking:
    """One adoption under way: its rules, and what it has done so far."""

    turn: Turn
    source: str
    overwrite: bool = False
    skip_clashes: bool = False
    adopted: list[Adopted] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    keys: int = 0
    _known: set[str] | None = field(default=None, repr=False)

    def look_ahead(self, publics: Iterable[str]) -> None:
        """Find out at once which of many keys are known: one by one, each costs a question."""
        wanted = set(publics)
        if len(wanted) >= _MANY:
            self._known = {row.public for row in keys.all_keys(self.turn.unit) if row.public in wanted}

    def unknown(self, public: str) -> bool:
        """Whether a key is certainly not known here; each key is answered for once."""
        if self._known is None or public in self._known:
            return False
        self._known.add(public)
        return True

    def names_in(self, account: Account) -> set[str] | None:
        """The names of an account's users, when there are many to compare with."""
        if self._known is None:
            return None
        return {user.name for user in hierarchy.users(self.turn.unit, account.id)}

    def leave(self, path: str, reason: str) -> None:
        self.left_out.append(LeftOut(path, reason))

    def report(self) -> Adoption:
        return Adoption(tuple(self.adopted), tuple(self.left_out), self.keys)

    def clash(self, path: str, fault: Refused | PeerError) -> None:
        """Refuse everything over a clash, unless it is to be left out; some things always are."""
        if not self.skip_clashes and not isinstance(fault, DeletedHere | PeerError):
            fault.at = fault.at or path or None
            raise fault
        self.leave(path, fault.message)

    def row_id(self, public: PublicKey, what: str) -> int:
        """The row of an identity key; one imported before as nobody's becomes somebody's.

        Raises:
            NotTaken: the key is another thing's, or of something that was deleted here.
        """
        unit, now = self.turn.unit, self.turn.now
        known = keys.find_key(unit, public)
        if known is None:
            row_id = hierarchy.allocate_ids(unit, 1)[0]
            keys.insert_key(unit, row_id, public, public[0], "identity", None, None, now)
            return row_id
        if known.purpose == "external":
            if known.sealed is not None:
                seed = self.turn.keyring.seed(unit, public)
                sealed = self.turn.keyring.sealed(seed, row_id=known.id, purpose="identity")
                keys.give_seed(unit, public, sealed, purpose="identity")
            return known.id
        if known.purpose == "identity":
            raise DeletedHere(f"{what} was deleted here", hint="issue it anew under a new key")
        raise NotTaken(f"the key of {what} is a {known.purpose} key here")

    def keep_seed(self, seed: Seed | None, *, purpose: str = "identity", owner_id: int | None = None) -> None:
        if seed is None or self.turn.keyring.has(self.turn.unit, seed.public):
            return
        self.turn.keyring.store(self.turn.unit, seed, purpose=purpose, owner_id=owner_id, now=self.turn.now)
        detail: Detail = {"purpose": purpose, "role": str(seed.role), "source": self.source}
        self.turn.record(EventCode.KEY_ADDED, seed.public, detail=detail)
        self.keys += 1

    def standing(self, kind: str, row: Entity, token: str, issued_at: int) -> State:
        """What a token is to a row: its first, a newer one, the one it has, or one of the past."""
        if not row.head:
            return "new"
        unit, digest = self.turn.unit, token_hash(token)
        newest = hierarchy.head_token(unit, kind, row.id)
        if newest.sha256 == digest:
            return "same"
        if self.overwrite:
            return "updated"
        # Of the same second and not of our making: somebody changed it after it left us.
        ours = hierarchy.token_by_hash(unit, digest, public=row.public) is not None
        if issued_at < newest.iat or ours:
            return "older"
        return "updated"

    def version(self, kind: str, row: Entity, token: str, claims: Any, detail: Detail) -> TokenVersion | None:
        """Make a token the newest of its row, if it is; what it became is written down."""
        unit, digest = self.turn.unit, token_hash(token)
        state = self.standing(kind, row, token, claims.iat)
        self.adopted.append(Adopted(kind, row.name, row.public, state))
        if state not in TAKEN:
            return None
        before = hierarchy.head_token(unit, kind, row.id).sha256 if row.head else None
        version = hierarchy.save_version(
            unit,
            kind,
            row.id,
            row.head,
            jti=claims.jti,
            sha256=digest,
            iat=claims.iat,
            exp=claims.exp or None,
            issuer=claims.iss,
            token=token,
        )
        self.turn.record(
            _ADOPTED[kind],
            row.public,
            before=before,
            after=digest,
            artefacts=((claims.jti, digest),),
            detail={"name": row.name, "source": self.source, **detail},
        )
        return version
