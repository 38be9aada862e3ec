"""Who is connected as whom: questions about sessions, answered a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from issuer.authority.finding import the_account
from issuer.grants import Identity, Session
from issuer.store import hierarchy
from issuer.store.identities import identities_of
from issuer.store.sessions import Wanted, find_sessions, servers_with_sessions
from issuer.store.unit import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionQuestion:
    """What sessions, from which on; `account` is a name or key, `group` is by `issuer`, if that is given."""

    operator_id: int
    wanted: Wanted = field(default_factory=Wanted)
    group: str | None = None
    after: int = 0
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some of them, oldest first. `after` is where the next page begins; None: this is the last."""

    sessions: tuple[Session, ...]
    after: int | None
    accounts: dict[str, str] = field(default_factory=dict)
    """Names of their accounts by key."""


def session_page(unit: Unit, question: SessionQuestion) -> SessionPage:
    """One page. With a group it may hold few, or none, and not be the last.

    Raises:
        NotFound: there is no such account.
    """
    wanted = question.wanted
    if wanted.account is not None:
        operator = hierarchy.operator_by_id(unit, question.operator_id)
        assert operator is not None  # noqa: S101  asked about one that is there
        wanted = _with_account(wanted, the_account(unit, operator, wanted.account).public)
    rows = find_sessions(unit, question.operator_id, wanted, after=question.after, limit=question.limit)
    last = rows[-1].id if len(rows) >= question.limit else None
    if question.group is not None:
        group = question.group
        rows = [
            each for each, who in with_identities(unit, question.operator_id, rows) if group in who.groups
        ]
    names: dict[str, str] = {}
    for key in {each.account for each in rows}:
        row = hierarchy.find_account(unit, question.operator_id, key)
        names[key] = row.name if row is not None else ""
    return SessionPage(tuple(rows), last, names)


def open_session_count(unit: Unit, operator_id: int) -> int:
    """How many connections are open, whichever replica let them in."""
    return sum(servers_with_sessions(unit, operator_id).values())


def with_identities(
    unit: Unit, operator_id: int, sessions: Iterable[Session]
) -> Iterator[tuple[Session, Identity]]:
    """Each with the identity as it was at its login, and when that was proved."""
    rows = list(sessions)
    known = identities_of(unit, operator_id, {each.identity for each in rows})
    for each in rows:
        who = known.get(each.identity)
        if who is None:
            # What the session itself tells; its groups are lost.
            who = Identity(
                issuer=each.issuer,
                subject=each.subject,
                name=each.name,
                directory=each.directory,
                kind=each.kind,
            )
        yield each, replace(who, authenticated_at=each.proved_at)


def _with_account(wanted: Wanted, account: str) -> Wanted:
    return Wanted(
        issuer=wanted.issuer,
        subject=wanted.subject,
        directory=wanted.directory,
        binding=wanted.binding,
        account=account,
        server=wanted.server,
        ended=wanted.ended,
        since=wanted.since,
    )
