"""Acts on subject mappings (claims spec §3.2, enforcement spec §4.4)."""

from __future__ import annotations

from dataclasses import dataclass

from issuer.authority.accounts import resign
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_account, the_operator
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims, WeightedMapping
from issuer.claims.fields import with_body
from issuer.errors import NotFound
from issuer.subjects import Subject


@dataclass(frozen=True, slots=True)
class AddMapping:
    """Send what is published on `source` to `destination`; an equal destination is replaced."""

    account: str
    source: str
    destination: str
    weight: int = 100
    cluster: str = ""
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveMapping:
    """Take away a mapping, or only one of its destinations or clusters."""

    account: str
    source: str
    destination: str | None = None
    cluster: str | None = None
    operator: str | None = None


def add_mapping(turn: Turn, act: AddMapping) -> Outcome:
    row = the_account(turn.unit, the_operator(turn.unit, act.operator), act.account)
    claims: AccountClaims = head(turn, "account", row.id).claims
    entry = WeightedMapping(subject=Subject(act.destination), weight=act.weight, cluster=act.cluster)
    kept = tuple(
        other
        for other in claims.nats.mappings.get(act.source, ())
        if (other.subject, other.cluster) != (entry.subject, entry.cluster)
    )
    mappings = {**claims.nats.mappings, act.source: (*kept, entry)}
    if sum(other.weight or 100 for other in (*kept, entry) if other.cluster == act.cluster) < 100:
        listed = any(other.subject == act.source for other in (*kept, entry))
        turn.notes.append(
            "the weights stay under 100: the rest is "
            + ("lost, because the source is listed itself" if listed else "left on the source subject")
        )
    return resign(turn, row, claims, with_body(claims, mappings=mappings), "mapping added")


def remove_mapping(turn: Turn, act: RemoveMapping) -> Outcome:
    row = the_account(turn.unit, the_operator(turn.unit, act.operator), act.account)
    claims: AccountClaims = head(turn, "account", row.id).claims
    present = claims.nats.mappings.get(act.source)
    if present is None:
        raise NotFound(f"account {row.name!r} maps nothing from {act.source!r}", at="from")
    kept = tuple(
        entry
        for entry in present
        if (act.destination is not None and entry.subject != act.destination)
        or (act.cluster is not None and entry.cluster != act.cluster)
    )
    if len(kept) == len(present):
        raise NotFound(f"no such destination of {act.source!r}", at="to")
    mappings = {source: entries for source, entries in claims.nats.mappings.items() if source != act.source}
    if kept:
        mappings[act.source] = kept
    return resign(turn, row, claims, with_body(claims, mappings=mappings), "mapping removed")
