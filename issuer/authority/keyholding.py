"""Acts on seeds as such: take them into custody, give them out. Each one is an event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Detail
from issuer.authority.desk import Turn
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims
from issuer.claims.operator import OperatorClaims
from issuer.errors import NotFound
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.store import hierarchy, keys

_LOOSE = "external"


@dataclass(frozen=True, slots=True)
class TakeSeeds:
    """Seeds to seal; each finds the operator, account or user it belongs to by its public key."""

    seeds: Sequence[Seed]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """One seed: `known` says that we had it already, `name` whose it is, if anybody's."""

    public: PublicKey
    role: Role
    name: str
    known: bool


@dataclass(frozen=True, slots=True)
class GiveSeeds:
    """Seeds to hand to `give`, within the transaction that writes them down."""

    publics: Sequence[str]
    give: Callable[[Seed], None]
    path: str = ""
    shown: bool = False


def take_seeds(turn: Turn, act: TakeSeeds) -> list[Taken]:
    """Take seeds into custody; one that is here already is left alone."""
    owners = _owners(turn)
    taken = []
    for seed in act.seeds:
        row_id, name = owners.get(seed.public, (None, ""))
        known = turn.keyring.has(turn.unit, seed.public)
        taken.append(Taken(seed.public, seed.role, name, known))
        if known:
            continue
        purpose = _LOOSE if row_id is None else "curve" if seed.role is Role.CURVE else "signing"
        # A key whose row is there keeps that row's purpose and owner.
        turn.keyring.store(turn.unit, seed, purpose=purpose, owner_id=row_id, now=turn.now)
        detail: Detail = {"purpose": purpose, "role": str(seed.role), "source": act.source}
        turn.record(EventCode.KEY_ADDED, seed.public, detail=detail)
    return taken


def give_seeds(turn: Turn, act: GiveSeeds) -> int:
    """Hand out seeds; how many.

    Raises:
        NotFound: one of them is not here: none is given.
    """
    code = EventCode.KEY_REVEALED if act.shown else EventCode.KEY_EXPORTED
    for public in act.publics:
        row = keys.find_key(turn.unit, public)
        if row is None or row.sealed is None:
            raise NotFound(f"the seed of {public} is not stored here", hint="accredit list keys")
        seed = turn.keyring.seed(turn.unit, row.public)
        turn.record(
            code, row.public, detail={"purpose": row.purpose, "role": str(seed.role), "path": act.path}
        )
        act.give(seed)
    return len(act.publics)


def _owners(turn: Turn) -> dict[str, tuple[int | None, str]]:
    """By public key: the row a signing or curve key belongs to, and its name."""
    unit = turn.unit
    found: dict[str, tuple[int | None, str]] = {}
    for operator in hierarchy.operators(unit):
        authority: OperatorClaims = head(unit, "operator", operator.id).claims
        found[operator.public] = (operator.id, operator.name)
        found.update(dict.fromkeys(authority.nats.signing_keys, (operator.id, operator.name)))
        for account in hierarchy.accounts(unit, operator.id):
            claims: AccountClaims = head(unit, "account", account.id).claims
            found[account.public] = (account.id, account.name)
            found.update(dict.fromkeys(claims.signing_keys(), (account.id, account.name)))
            if claims.nats.authorization.xkey:
                found[claims.nats.authorization.xkey] = (account.id, account.name)
    return found
