"""Questions for whoever looks again at sessions: whose are open, as whom they were let in, and by what."""

from __future__ import annotations

from dataclasses import dataclass

from issuer.authority.sessions import with_identities
from issuer.grants import Identity, Session
from issuer.store.grants import policy_at
from issuer.store.sessions import Wanted, find_sessions
from issuer.store.unit import Unit

_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQuestion:
    """Sessions of an operator that are open: those wanted, and of a policy older than one, if it is given."""

    operator_id: int
    wanted: Wanted
    older_than: int | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class LivePage:
    """Some of them; `after` is where the next page begins, None: there is none."""

    sessions: tuple[tuple[Session, Identity], ...]
    after: int | None


def live_sessions(unit: Unit, question: LiveQuestion) -> LivePage:
    """Each with the identity it was let in as."""
    rows = find_sessions(unit, question.operator_id, question.wanted, after=question.after, limit=_PAGE)
    older = question.older_than
    chosen = [each for each in rows if older is None or each.policy_version < older]
    found = tuple(with_identities(unit, question.operator_id, chosen))
    return LivePage(found, rows[-1].id if len(rows) >= _PAGE else None)


def live_subjects(unit: Unit, question: tuple[int, str]) -> frozenset[str]:
    """Of an operator and an issuer: who has a session that is open."""
    operator_id, issuer = question
    found: set[str] = set()
    after = 0
    while True:
        rows = find_sessions(unit, operator_id, Wanted(issuer=issuer), after=after, limit=_PAGE)
        found.update(each.subject for each in rows)
        if len(rows) < _PAGE:
            return frozenset(found)
        after = rows[-1].id


def policy_text(unit: Unit, question: tuple[int, int]) -> str | None:
    """The policy of an operator at a version, as JSON."""
    found = policy_at(unit, *question)
    return found.body if found is not None else None
