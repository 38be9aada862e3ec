"""How far one account token, or one deletion, has come on each server. Pure.

A server's answer is evidence of what it was told, not of what it does: only what it says it
applies counts (enforcement spec §5.6). The whole of the rules is this table; a state that is
not named in a row takes the row's `ELSE`.

    heard of it     what it means                                  then it is
    sent            the token left for it                          sent; a proof stays
    accepted        "200 jwt updated": stored, not yet applied     acknowledged; a proof stays
    skipped         "200 … skipped": it does not hold the account  unloaded
    refused         an error, with its words                       refused
    no-answer       it is there and did not answer                 silent; a proof stays
    applied         it says it enforces exactly our token          in force
    held            not loaded there; what it would load is ours   stored
    other           it enforces, or would load, something else     awaited; a refusal stays
    left            it is not on the roster                        silent; a proof or refusal stays
    returned        it is back, or was restarted                   awaited

For a deletion "applied" reads: its list is without the account.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where one server stands with one version."""

    AWAITED = "awaited"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    IN_FORCE = "in-force"
    STORED = "stored"
    UNLOADED = "unloaded"
    REFUSED = "refused"
    SILENT = "silent"


class Heard(StrEnum):
    """What can be heard of a server, or done to it."""

    SENT = "sent"
    ACCEPTED = "accepted"
    SKIPPED = "skipped"
    REFUSED = "refused"
    NO_ANSWER = "no-answer"
    APPLIED = "applied"
    HELD = "held"
    OTHER = "other"
    LEFT = "left"
    RETURNED = "returned"


PROVED: Final = frozenset({State.IN_FORCE, State.STORED})
_KEEP_PROOF: Final = {state: state for state in PROVED}
_KEEP_REFUSAL: Final = {State.REFUSED: State.REFUSED}

# Heard -> (ELSE, the states that go elsewhere).
TRANSITIONS: Final[Mapping[Heard, tuple[State, Mapping[State, State]]]] = {
    Heard.SENT: (State.SENT, _KEEP_PROOF),
    Heard.ACCEPTED: (State.ACKNOWLEDGED, _KEEP_PROOF),
    Heard.SKIPPED: (State.UNLOADED, {}),
    Heard.REFUSED: (State.REFUSED, {}),
    Heard.NO_ANSWER: (State.SILENT, _KEEP_PROOF),
    Heard.APPLIED: (State.IN_FORCE, {}),
    Heard.HELD: (State.STORED, {}),
    Heard.OTHER: (State.AWAITED, _KEEP_REFUSAL),
    Heard.LEFT: (State.SILENT, {**_KEEP_PROOF, **_KEEP_REFUSAL}),
    Heard.RETURNED: (State.AWAITED, {}),
}

LONGEST_PAUSE: Final = 64  # seconds between tries where something may still come right by itself
REFUSED_PAUSE: Final = 60  # a refusal seldom mends itself: start slow
LONGEST_REFUSED_PAUSE: Final = 960


def follow(state: State, heard: Heard) -> State:
    """The state after something was heard."""
    otherwise, exceptions = TRANSITIONS[heard]
    return exceptions.get(state, otherwise)


@dataclass(frozen=True, slots=True)
class Standing:
    """One server: its state, the id it had then, and its own words where it said any."""

    state: State = State.AWAITED
    server_id: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """One account head on its way to every server that is known, by the servers' names."""

    servers: Mapping[str, Standing] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether it is proved everywhere. Nobody to prove it means no."""
        return bool(self.servers) and all(s.state in PROVED for s in self.servers.values())

    @property
    def refused(self) -> Mapping[str, str]:
        """Who refused, and in which words."""
        return {name: s.words for name, s in self.servers.items() if s.state is State.REFUSED}

    def expecting(self, names: Iterable[str]) -> Progress:
        """The same with these servers on the roster."""
        added = {name: Standing() for name in names if name not in self.servers}
        return replace(self, servers={**self.servers, **added}) if added else self

    def without(self, names: Collection[str]) -> Progress:
        """The same without servers that will not come back."""
        return replace(self, servers={n: s for n, s in self.servers.items() if n not in names})

    def heard(self, name: str, what: Heard, *, server_id: str = "", words: str = "") -> Progress:
        """The same after something was heard of one server."""
        before = self.servers.get(name, Standing())
        state = follow(before.state, what)
        # The words belong to the state they were said with.
        kept = before.words if state is before.state and not words else words
        after = Standing(state, server_id or before.server_id, kept)
        return self if after == before and name in self.servers else self._with(name, after)

    def restarted(self, ids: Mapping[str, str]) -> Progress:
        """The same after seeing who is there: another id under a known name was restarted."""
        found = self
        for name, server_id in ids.items():
            known = self.servers.get(name)
            if known is not None and known.server_id and known.server_id != server_id:
                found = found.heard(name, Heard.RETURNED, server_id=server_id)
        return found

    def _with(self, name: str, standing: Standing) -> Progress:
        return replace(self, servers={**self.servers, name: standing})


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: whom to send to, whom to read back, whose return to wait for."""

    send: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    give_up: tuple[str, ...] = ()


def next_step(progress: Progress, present: Collection[str]) -> Step:
    """What to do with those present; servers away are waited for, refusals are not repeated."""
    send, read, unseen, give_up = [], [], [], []
    for name, standing in sorted(progress.servers.items()):
        if standing.state in PROVED:
            continue
        if standing.state is State.REFUSED:
            give_up.append(name)
        elif name not in present:
            unseen.append(name)
        elif standing.state is State.ACKNOWLEDGED:
            read.append(name)
        else:
            send.append(name)
    return Step(tuple(send), tuple(read), tuple(unseen), tuple(give_up))


def pause(progress: Progress, attempts: int) -> int:
    """Seconds until the next try, doubling with each; longer where only refusals are left."""
    open_states = {s.state for s in progress.servers.values()} - PROVED
    if open_states == {State.REFUSED}:
        return min(REFUSED_PAUSE * (1 << min(attempts, 10)), LONGEST_REFUSED_PAUSE)
    return min(1 << min(attempts, 10), LONGEST_PAUSE)
