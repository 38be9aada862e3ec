"""Who issued what was shown to a server: tokens by hash, and the events that made them.

Neither has an index by hash, on purpose (see `schema`). A token is found by its owner's key, an event by
the second it was written in: the log goes on with time, so that second is found by halving.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, tuple_

from issuer.store import schema
from issuer.store.connections import pieces
from issuer.store.unit import Log, Unit

_NEAR: Final = 2  # seconds an event may be off the time of its token
_LOGIN_NEAR: Final = 30


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token of ours, and whose. `stored_at` is when its owner's key came to us."""

    sha256: str
    public: str
    name: str
    role: str
    issued_at: int
    stored_at: int


@dataclass(frozen=True, slots=True)
class LetIn:
    """A session of the callout."""

    id: int
    user_key: str
    identity: str
    issuer: str
    subject: str
    role: str
    started_at: int


def issued_tokens(unit: Unit, shown: Mapping[str, str]) -> dict[str, IssuedToken]:
    """By hash: those of these tokens, hash to subject's key, that we issued or took in."""
    keys, tokens, users = schema.keys.c, schema.tokens.c, schema.users.c
    found: dict[str, IssuedToken] = {}
    blocks = list(unit.key_blocks())
    for some in pieces(sorted(shown.items())):
        query = (
            select(tokens.sha256, keys.public, users.name, users.role, tokens.iat, keys.stored_at)
            .join(schema.tokens, tokens.key_id == keys.id)
            .join(schema.users, users.id == keys.id)
            .where(
                keys.block.in_(blocks),
                keys.public.in_([public for _, public in some]),
                tokens.sha256.in_([sha256 for sha256, _ in some]),
            )
        )
        found.update((row[0], IssuedToken(*row)) for row in unit.fetch_all(query))
    return {sha256: token for sha256, token in found.items() if shown[sha256] == token.public}


def known_keys(unit: Unit, publics: Collection[str]) -> set[str]:
    """Those of these keys that are ours."""
    found: set[str] = set()
    keys = schema.keys.c
    blocks = list(unit.key_blocks())
    for some in pieces(sorted(set(publics))):
        query = select(keys.public).where(keys.block.in_(blocks), keys.public.in_(some))
        found.update(str(row[0]) for row in unit.fetch_all(query))
    return found


def sessions_by_link(
    unit: Unit, operator_id: int, links: Mapping[tuple[str, int], int]
) -> dict[tuple[str, int], LetIn]:
    """The sessions of these connections, server and client to when it began."""
    columns = schema.sessions.c
    wanted = (
        columns.server_id, columns.client_id, columns.id, columns.user_key, columns.identity,
        columns.issuer, columns.subject, columns.role, columns.started_at,
    )  # fmt: skip
    found: dict[tuple[str, int], LetIn] = {}
    for some in pieces(sorted(links)):
        began = [links[link] for link in some]
        # Of those that are open there is an index; the others are looked for by time.
        window = columns.started_at.between(min(began) - _LOGIN_NEAR, max(began) + _LOGIN_NEAR)
        for condition in (columns.ended_at.is_(None), window & (columns.operator_id == operator_id)):
            left = [link for link in some if link not in found]
            if not left:
                break
            pair = tuple_(columns.server_id, columns.client_id).in_(left)
            for row in unit.fetch_all(select(*wanted).where(pair, condition)):
                found[row[0], row[1]] = LetIn(*row[2:])
    return found


def sessions_by_key(unit: Unit, publics: Collection[str]) -> dict[str, LetIn]:
    """The sessions that carry their own key about; open ones, for of those alone there is an index."""
    columns = schema.sessions.c
    wanted = (
        columns.id, columns.user_key, columns.identity, columns.issuer, columns.subject, columns.role,
        columns.started_at,
    )  # fmt: skip
    found: dict[str, LetIn] = {}
    for some in pieces(sorted(set(publics))):
        query = select(*wanted).where(columns.user_key.in_(some), columns.ended_at.is_(None))
        found.update((row[1], LetIn(*row)) for row in unit.fetch_all(query))
    return found


def session_ids_of(unit: Unit, subject: str) -> list[int]:
    """The sessions of somebody, newest first, some thousand at most."""
    columns = schema.sessions.c
    query = select(columns.id).where(columns.subject == subject).order_by(columns.id.desc()).limit(1000)
    return [int(row[0]) for row in unit.fetch_all(query)]


def who_let_in(unit: Unit, ids: Collection[int]) -> dict[int, LetIn]:
    columns = schema.sessions.c
    wanted = (
        columns.id, columns.user_key, columns.identity, columns.issuer, columns.subject, columns.role,
        columns.started_at,
    )  # fmt: skip
    found: dict[int, LetIn] = {}
    for some in pieces(sorted(set(ids))):
        for row in unit.fetch_all(select(*wanted).where(columns.id.in_(some))):
            found[row[0]] = LetIn(*row)
    return found


class Events:
    """Looks for events of the log `admin` by time; made for one transaction."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._newest = unit.log_head(Log.ADMIN).seq
        self._times: dict[int, int] = {}

    def naming(self, wanted: Iterable[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
        """By target and text: the first event about the target, near the second given, that says the text."""
        by_window: dict[tuple[int, int], list[tuple[str, str]]] = {}
        for target, text, at in wanted:
            window = (self._first(at - _NEAR), self._first(at + _NEAR + 1))
            by_window.setdefault(window, []).append((target, text))
        found: dict[tuple[str, str], int] = {}
        columns = schema.events.c
        for (low, high), asked in by_window.items():
            for some in pieces(asked):
                targets = sorted({target for target, _ in some})
                query = select(columns.seq, columns.target, columns.body).where(
                    columns.seq >= low, columns.seq < high, columns.target.in_(targets)
                )
                bodies: dict[str, list[tuple[int, str]]] = {}
                for seq, about, body in self._unit.fetch_all(query.order_by(columns.seq)):
                    bodies.setdefault(about, []).append((int(seq), body))
                for target, text in some:
                    for seq, body in bodies.get(target, ()):
                        if text in body:
                            found.setdefault((target, text), seq)
        return found

    def _first(self, at: int) -> int:
        """The first event at this second or later."""
        low, high = 1, self._newest + 1
        while low < high:
            middle = (low + high) // 2
            if self._at(middle) < at:
                low = middle + 1
            else:
                high = middle
        return low

    def _at(self, seq: int) -> int:
        if seq not in self._times:
            row = self._unit.fetch_one(select(schema.events.c.at).where(schema.events.c.seq == seq))
            self._times[seq] = int(row[0]) if row else 0
        return self._times[seq]
