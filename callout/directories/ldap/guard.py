"""So that we never lock anybody out: how many failed binds the directory has got from us, and for whom.

A device that reconnects with an old password would lock its owner's account within seconds. So we stop one
failure below the directory's threshold, and a password that was wrong is not asked about again: it is
answered from memory, and costs the account nothing. Several passwords under way at once count as failures
until their answers are in, or many at a time would pass the threshold together.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Final, NamedTuple

MAX_ACCOUNTS: Final = 100_000
MAX_WRONG: Final = 64
"""Wrong passwords remembered for one account."""


class Entrance(Enum):
    """What may be done with a password now."""

    ASK = "ask"
    """Ask the directory: it is noted as under way until `settle`."""
    KNOWN_WRONG = "known wrong"
    GUARDED = "guarded"
    WAIT = "wait"
    """Others are under way; ask again when one is settled."""


class Settled(Enum):
    """How an attempt ended."""

    GOOD = "good"
    WRONG = "wrong"
    REFUSED = "refused"
    """By the directory, for something that is no failure."""
    NOT_SENT = "not sent"
    UNKNOWN = "unknown"
    """No answer came: it may have been counted."""


class _Failure(NamedTuple):
    at: float
    stamp: str
    """Of the password then: a failure says nothing of one that was set since."""


class _Account:
    __slots__ = ("failures", "good", "under_way", "wrong")

    def __init__(self) -> None:
        self.failures: list[_Failure] = []
        self.wrong: dict[str, _Failure] = {}
        """Digests of passwords that the directory has refused."""
        self.under_way: dict[str, int] = {}
        self.good: tuple[str, str] | None = None
        """The digest that was right last, and the stamp of the password then."""


class Guard:
    """The counts of one directory. For one thread; times are handed in, in seconds since 1970."""

    def __init__(self, *, threshold: int, window: float, most: int = MAX_ACCOUNTS) -> None:
        self._allowed = threshold - 1
        self._threshold = threshold
        self._window = window
        self._most = most
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def __len__(self) -> int:
        return len(self._accounts)

    def enter(self, account: str, digest: str, *, now: float, stamp: str = "", counted: int = 0) -> Entrance:
        """Whether to ask the directory about this password.

        `stamp` changes when the account's password does; `counted` is what the directory itself has counted.
        """
        found = self._account(account, now)
        # A directory that locks nobody is asked always, and so is one whose password is as it was when this
        # one was right.
        if self._threshold == 0 or (stamp and found.good == (digest, stamp)):
            self._begin(found, digest)
            return Entrance.ASK
        refused = found.wrong.get(digest)
        if refused is not None and refused.stamp == stamp:
            return Entrance.KNOWN_WRONG
        if digest in found.under_way:
            return Entrance.WAIT
        # Its own count knows of failures elsewhere, and of those that other replicas of this service made.
        failed = max(sum(failure.stamp == stamp for failure in found.failures), counted)
        if failed >= self._allowed:
            return Entrance.GUARDED
        if failed + len(found.under_way) >= self._allowed:
            return Entrance.WAIT
        self._begin(found, digest)
        return Entrance.ASK

    def settle(self, account: str, digest: str, ended: Settled, *, now: float, stamp: str = "") -> None:
        """Note how an attempt ended; once for each ASK."""
        found = self._account(account, now)
        left = found.under_way.get(digest, 1) - 1
        if left > 0:
            found.under_way[digest] = left
        else:
            found.under_way.pop(digest, None)
        if ended is Settled.GOOD:
            # As in the directory: who gets in starts from nothing.
            found.failures = []
            found.wrong.pop(digest, None)
            found.good = (digest, stamp)
        elif ended in {Settled.WRONG, Settled.UNKNOWN}:
            found.failures.append(_Failure(now, stamp))
            if ended is Settled.WRONG:
                found.wrong[digest] = _Failure(now, stamp)
                while len(found.wrong) > MAX_WRONG:
                    del found.wrong[next(iter(found.wrong))]
            if found.good is not None and found.good[0] == digest:
                found.good = None

    def _begin(self, account: _Account, digest: str) -> None:
        account.under_way[digest] = account.under_way.get(digest, 0) + 1

    def _account(self, name: str, now: float) -> _Account:
        found = self._accounts.get(name)
        if found is None:
            found = self._accounts[name] = _Account()
            self._make_room()
        self._accounts.move_to_end(name)
        since = now - self._window
        found.failures = [failure for failure in found.failures if failure.at > since]
        found.wrong = {digest: wrong for digest, wrong in found.wrong.items() if wrong.at > since}
        return found

    def _make_room(self) -> None:
        # The oldest goes first; one with passwords under way would lose count of them.
        if len(self._accounts) > self._most:
            for name, account in self._accounts.items():
                if not account.under_way:
                    del self._accounts[name]
                    return
