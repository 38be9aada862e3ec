"""Asking the servers of a directory in turn: with the service account, or as whoever logs in.

Blocking, for worker threads. A question goes to the next server when one gives no answer, and each gets its
share of the time, so that one that hangs leaves enough for the others. A bind that was sent is never sent to
another server: it may have been counted as a failure, and the servers share the count (callout spec §3.2).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from callout.directories.ldap.answers import Meaning, Outcome, outcome_of
from callout.directories.ldap.port import (
    LIMITS,
    Code,
    Dial,
    Entry,
    Found,
    Scope,
    Search,
    Session,
    Unanswered,
    Unreached,
)
from callout.directories.ldap.roster import Roster
from callout.directories.ldap.settings import LdapSettings, Server
from callout.directories.ldap.standing import Facts, facts_of
from callout.refusals import DirectoryDownError, LoginRefusedError

T = TypeVar("T")

_TRY_ANOTHER: Final = frozenset({Code.BUSY, Code.UNAVAILABLE})


class TooMuch(Exception):
    """There are more entries than may be read; nothing is known of those left out."""


class Reader:
    """Questions on one bound connection, until one moment on the monotonic clock."""

    def __init__(self, session: Session, facts: Facts, until: float) -> None:
        self._session = session
        self._until = until
        self.facts = facts

    def search(self, search: Search) -> Found:
        """The answer, or as much of it as the server gives (`code` in LIMITS).

        Raises:
            Unanswered: it gave none.
            DirectoryDownError: it cannot answer this question, and no other server could.
        """
        return _checked(self._session.search(search, until=self._until), search.base)

    def entry(self, search: Search) -> Entry | None:
        """The one entry of this name, None if it does not exist or does not fit the filter.

        Raises:
            Unanswered, DirectoryDownError: as `search`.
        """
        search = msgspec.structs.replace(search, scope=Scope.BASE)
        found = self._session.search(search, until=self._until)
        if found.code == Code.NO_SUCH_OBJECT:
            return None
        return next(iter(_checked(found, search.base).entries), None)

    def every(self, search: Search, *, page: int, most: int) -> list[Entry]:
        """All entries, page by page.

        Raises:
            TooMuch: there are more than `most`, or the server gives no more.
            Unanswered, DirectoryDownError: as `search`.
        """
        entries: list[Entry] = []
        cookie = b""
        while True:
            found = self.search(msgspec.structs.replace(search, page=page, cookie=cookie))
            entries += found.entries
            if found.code != Code.SUCCESS or len(entries) > most:
                raise TooMuch
            if not found.cookie:
                return entries
            cookie = found.cookie


def _checked(found: Found, base: str) -> Found:
    if found.code == Code.SUCCESS or found.code in LIMITS:
        return found
    if found.code in _TRY_ANOTHER:
        raise Unanswered(f"busy or not available (result {found.code})")
    if found.code == Code.REFERRAL:
        raise DirectoryDownError(
            f"the directory refers us to another server for {base!r}; we follow nobody",
            hint="name a server that holds these entries",
        )
    if found.code == Code.NO_SUCH_OBJECT:
        raise DirectoryDownError(f"there is no {base!r}, or the service account may not see it")
    raise DirectoryDownError(f"the directory answered a search with result {found.code}")


class Login(NamedTuple, Generic[T]):
    """What a login's bind came to, and what was read with its own rights."""

    outcome: Outcome
    read: T | None = None
    fault: DirectoryDownError | LoginRefusedError | None = None
    """Why nothing was read although the bind was good."""


class _Kept(NamedTuple):
    session: Session
    facts: Facts
    since: float


class Servers:
    """The servers of one directory. Safe for many threads."""

    def __init__(self, settings: LdapSettings, dial: Dial) -> None:
        self._settings = settings
        self._dial = dial
        self.roster = Roster(settings.addresses, retry_after=settings.retry_after)
        self._lock = threading.Lock()
        self._kept: dict[Server, list[_Kept]] = {server: [] for server in settings.addresses}
        self._binding = {server: threading.Lock() for server in settings.addresses}
        self._refused_until = 0.0
        self._closed = False

    def ask(self, question: Callable[[Reader, Server], T], *, until: float) -> T:
        """The answer of the first server that gives one, asked with the service account.

        Raises:
            DirectoryDownError: none did, or what the question raises.
            LoginRefusedError: what the question raises.
        """
        fault = "no time left"
        order = self.roster.order(time.monotonic())
        for place, server in enumerate(order):
            now = time.monotonic()
            if now >= until:
                break
            try:
                answer = self._ask(server, question, now + (until - now) / (len(order) - place))
            except (Unreached, Unanswered) as error:
                fault = str(error)
                self.roster.failed(server, time.monotonic())
                continue
            self.roster.answered(server)
            return answer
        raise DirectoryDownError(f"no server answered; the last one: {fault}")

    def log_in(
        self,
        name: str,
        password: str,
        *,
        first: Server | None,
        until: float,
        read: Callable[[Reader], T] | None = None,
    ) -> Login[T]:
        """Bind as somebody on a connection of its own, at the server that knows of them already.

        Raises:
            Unreached: no server was asked.
            Unanswered: one was asked and did not answer in time.
            UnsendableError: nobody can have this password; no server was asked.
        """
        fault = "no time left"
        order = self.roster.order(time.monotonic(), first=first)
        for place, server in enumerate(order):
            now = time.monotonic()
            if now >= until:
                break
            share = now + (until - now) / (len(order) - place)
            try:
                session = self._dial(server, share)
            except Unreached as error:
                fault = str(error)
                self.roster.failed(server, time.monotonic())
                continue
            with contextlib.closing(session):
                return self._log_in(session, server, name, password, until, read)
        raise Unreached(fault)

    def _log_in(
        self,
        session: Session,
        server: Server,
        name: str,
        password: str,
        until: float,
        read: Callable[[Reader], T] | None,
    ) -> Login[T]:
        try:
            # Longer than its caller waits: whether the directory counted a failure must be known.
            patience = max(until, time.monotonic() + self._settings.bind_patience)
            answer = session.bind(name, password, until=patience)
        except Unanswered:
            self.roster.failed(server, time.monotonic())
            raise
        outcome = outcome_of(answer)
        if outcome.meaning is not Meaning.GOOD or read is None:
            return Login(outcome)
        try:
            return Login(outcome, read(Reader(session, facts_of(session, until), until)))
        except (DirectoryDownError, LoginRefusedError) as error:
            return Login(outcome, None, error)
        except Unanswered as error:
            return Login(outcome, None, DirectoryDownError(f"it let in and then gave no answer: {error}"))

    def close(self) -> None:
        """Close what is kept open; what is in use closes when its user is done."""
        with self._lock:
            self._closed = True
            kept = [each for sessions in self._kept.values() for each in sessions]
            for sessions in self._kept.values():
                sessions.clear()
        for each in kept:
            each.session.close()

    # Connections of the service account

    def _ask(self, server: Server, question: Callable[[Reader, Server], T], until: float) -> T:
        while (kept := self._take(server)) is not None:
            try:
                return self._use(kept, server, question, until)
            except Unanswered:
                # A restarted server has dropped all that were open; only a new one can tell.
                self._drop_all(server)
        return self._use(self._open(server, until), server, question, until)

    def _use(self, kept: _Kept, server: Server, question: Callable[[Reader, Server], T], until: float) -> T:
        try:
            answer = question(Reader(kept.session, kept.facts, until), server)
        except (DirectoryDownError, LoginRefusedError, TooMuch):
            self._give_back(server, kept)
            raise
        except BaseException:
            kept.session.close()
            raise
        self._give_back(server, kept)
        return answer

    def _open(self, server: Server, until: float) -> _Kept:
        service = self._settings.service
        if service is None:
            raise DirectoryDownError("there is no service account to ask with", at="service")
        session = self._dial(server, until)
        try:
            # One at a time: many at once with a password that has changed would lock the account.
            with self._alone(server, until):
                self._bind(session, server, service.name, service.password.reveal(), until)
            return _Kept(session, facts_of(session, until), time.monotonic())
        except BaseException:
            session.close()
            raise

    @contextlib.contextmanager
    def _alone(self, server: Server, until: float) -> Iterator[None]:
        if not self._binding[server].acquire(timeout=max(until - time.monotonic(), 0)):
            raise Unanswered(f"{server}: others wait for its answer to the service account")
        try:
            yield
        finally:
            self._binding[server].release()

    def _bind(self, session: Session, server: Server, name: str, password: str, until: float) -> None:
        if (left := self._refused_until - time.monotonic()) > 0:
            raise DirectoryDownError(
                f"the service account was refused; it is tried again in {left:.0f} s",
                at="service",
                hint="correct the password and restart",
            )
        outcome = outcome_of(session.bind(name, password, until=until))
        if outcome.meaning is Meaning.NO_ANSWER:
            raise Unanswered(f"{server}: {outcome.message}")
        if outcome.meaning is not Meaning.GOOD:
            self._refused_until = time.monotonic() + self._pause(outcome.meaning)
            raise DirectoryDownError(f"{server} refuses the service account: {outcome.message}", at="service")

    def _pause(self, meaning: Meaning) -> float:
        """Seconds until the service account may be tried again."""
        settings = self._settings
        if meaning is not Meaning.WRONG or settings.lockout_threshold == 0:
            return settings.retry_after
        # The directory counts it: so few of them fit into its window that it never locks the account.
        return settings.lockout_window / (settings.lockout_threshold - 1)

    def _take(self, server: Server) -> _Kept | None:
        stale = []
        found = None
        with self._lock:
            sessions = self._kept[server]
            while sessions and found is None:
                kept = sessions.pop()
                if time.monotonic() - kept.since < self._settings.idle:
                    found = kept
                else:
                    stale.append(kept)
        for kept in stale:
            kept.session.close()
        return found

    def _give_back(self, server: Server, kept: _Kept) -> None:
        with self._lock:
            sessions = self._kept[server]
            room = not self._closed and len(sessions) < self._settings.connections
            if room:
                sessions.append(kept._replace(since=time.monotonic()))
        if not room:
            kept.session.close()

    def _drop_all(self, server: Server) -> None:
        with self._lock:
            dropped, self._kept[server] = self._kept[server], []
        for kept in dropped:
            kept.session.close()
