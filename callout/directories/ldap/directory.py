"""The LDAP directory as the callout asks it: who shows a name and a password, and may they log in.

The order of a login (callout spec §3.2):

1. the name and the password could be somebody's: nothing is asked for an empty password;
2. exactly one entry has the name, found with the service account;
3. the account is not shut, as far as the entry tells;
4. our guard lets the password be tried: never so often that the directory locks the account;
5. the directory lets it in, on a connection of its own;
6. all its groups are known.

With `direct` the bind comes before the search, and whoever logs in reads their own entry and groups.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from callout.directories.directory import Credentials
from callout.directories.ldap.answers import Meaning, Outcome
from callout.directories.ldap.changes import Change, changes_of
from callout.directories.ldap.groups import groups_of
from callout.directories.ldap.guard import Entrance, Guard, Settled
from callout.directories.ldap.ldap3_port import Ldap3Dial
from callout.directories.ldap.names import belongs, is_blank, is_sound, likeness, taken_apart
from callout.directories.ldap.people import (
    Person,
    bind_name,
    found_by_key,
    found_by_login,
    found_by_name,
    identity_of,
)
from callout.directories.ldap.port import Unanswered, Unreached, UnsendableError
from callout.directories.ldap.servers import Login, Reader, Servers
from callout.directories.ldap.settings import LdapSettings
from callout.directories.ldap.standing import (
    Objection,
    failures_counted,
    lasting_objection,
    objection,
    password_stamp,
    seems_locked,
)
from callout.directories.ldap.threads import Threads
from callout.directories.ldap.turns import Turns
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.grants import Identity

T = TypeVar("T")

MAX_PASSWORD: Final = 1024
Read = tuple[Person, tuple[str, ...]]
"""Who it is, and all their groups."""

_SETTLED: Final = {
    Meaning.GOOD: Settled.GOOD,
    Meaning.WRONG: Settled.WRONG,
    Meaning.REFUSED: Settled.REFUSED,
    # It did answer, though not to the question: a password it has not looked at is not counted.
    Meaning.NO_ANSWER: Settled.REFUSED,
}


class _Attempt(msgspec.Struct, frozen=True):
    """A password on its way: what the guard counts it under."""

    account: str
    digest: str
    now: float
    stamp: str = ""
    counted: int = 0
    locked: bool = False
    """Its entry says that it was locked, perhaps no longer."""


class LdapDirectory:
    """One LDAP directory. It starts although no server answers: they are asked when somebody logs in."""

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        self._servers: Servers | None = None
        self._threads: Threads | None = None
        self._guard = Guard(threshold=settings.lockout_threshold, window=settings.lockout_window)
        self._turns = Turns()
        # For this process alone: a digest that somebody has got hold of is of no use for guessing.
        self._key = secrets.token_bytes(32)

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def servers_aside(self) -> tuple[str, ...]:
        """The servers that gave no answer when last asked; for health and metrics."""
        return tuple(str(server) for server in self._servers.roster.aside()) if self._servers else ()

    async def start(self) -> None:
        """Make ready; no server is asked.

        Raises:
            LdapSettingsError: the certificates cannot be read.
        """
        # In a thread: it reads the certificates.
        dial = await asyncio.to_thread(Ldap3Dial, self._settings)
        self._servers = Servers(self._settings, dial)
        self._threads = Threads(self._settings.threads, waiting=self._settings.waiting, name=self.name)

    async def close(self) -> None:
        if self._threads is not None:
            self._threads.close()
        if self._servers is not None:
            # Saying goodbye to a server that hangs takes a moment.
            await asyncio.to_thread(self._servers.close)

    def claims(self, credentials: Credentials) -> bool:
        """By the form of the name alone; without a password it is for others."""
        return bool(credentials.password) and belongs(credentials.user, self._settings)

    async def identify(self, credentials: Credentials, *, now: float, deadline: float) -> Identity:
        """Whose they are; `Directory.identify`."""
        shown, password = credentials.user, credentials.password
        user = taken_apart(shown).user
        _check_shape(user, password)
        if self._settings.direct:
            person, groups, digest = await self._directly(user, shown, password, now, deadline)
        else:
            person, groups, digest = await self._by_search(user, shown, password, now, deadline)
        identity = identity_of(person, self._settings, groups)
        return msgspec.structs.replace(identity, authenticated_at=int(now), credential=digest)

    async def lookup(self, subject: str, *, now: float, deadline: float) -> Identity:
        """Who has this `Identity.subject` now, as `identify` would tell; nothing is proved by it, so it says
        neither when nor with what. `now` and `deadline` as there.

        Raises:
            LoginRefusedError: GONE: no entry has it any more, or none that could log in by a name. DISABLED,
                EXPIRED, PASSWORD_EXPIRED, LOCKED: it is shut. GROUPS_INCOMPLETE: as in `identify`.
            DirectoryDownError: it could not be found out.
        """

        def job(until: float) -> Read:
            return self._ready().ask(lambda reader, _: self._read_by_key(reader, subject, now), until=until)

        person, groups = await self._run(job, deadline)
        return identity_of(person, self._settings, groups)

    async def changes_since(self, cursor: str, *, now: float, deadline: float) -> tuple[str, list[Change]]:
        """The next cursor and what changed since this one; an empty one begins now and tells nothing. It is
        text to be kept as it is. What the changes mean: `changes`. `now` and `deadline` as in `identify`.

        Raises:
            CursorError: that is no cursor.
            DirectoryDownError: it could not be found out.
        """

        def job(until: float) -> tuple[str, list[Change]]:
            return self._ready().ask(
                lambda reader, _: changes_of(reader, self._settings, cursor, now), until=until
            )

        return await self._run(job, deadline)

    # Search, then bind

    async def _by_search(
        self, user: str, shown: str, password: str, now: float, deadline: float
    ) -> tuple[Person, tuple[str, ...], str]:
        servers = self._ready()
        person = await self._run(
            lambda until: servers.ask(
                lambda reader, server: found_by_name(
                    reader, self._settings, user=user, shown=shown, server=server
                ),
                until=until,
            ),
            deadline,
        )
        if person is None:
            raise LoginRefusedError(Reason.CREDENTIALS_WRONG, f"nobody is called {user!r}")
        _check(objection(person.entry, person.facts, now), person)
        attempt = _Attempt(
            person.key,
            self._digest(person.key, password),
            now,
            password_stamp(person.entry),
            failures_counted(person.entry, now, self._settings.lockout_window),
            seems_locked(person.entry),
        )
        login = await self._try(
            attempt,
            lambda until: servers.log_in(person.entry.dn, password, first=person.server, until=until),
            deadline,
        )
        if login.outcome.meaning is Meaning.WRONG and attempt.locked:
            raise LoginRefusedError(
                Reason.LOCKED, f"{person.entry.dn} is refused, and its entry says that it was locked"
            )
        _check_outcome(login.outcome, person.entry.dn)
        groups = await self._run(
            lambda until: servers.ask(
                lambda reader, _: groups_of(reader, self._settings, person), until=until
            ),
            deadline,
        )
        return person, groups, attempt.digest

    # Bind at once

    async def _directly(
        self, user: str, shown: str, password: str, now: float, deadline: float
    ) -> tuple[Person, tuple[str, ...], str]:
        servers = self._ready()
        name = bind_name(self._settings, user)
        if name is None:
            raise LoginRefusedError(Reason.CREDENTIALS_MALFORMED, f"{user!r} can be nobody's account name")
        account = likeness(user)
        attempt = _Attempt(account, self._digest(account, password), now)

        def read(reader: Reader) -> Read:
            person = found_by_login(reader, self._settings, user=user, shown=shown)
            _check(objection(person.entry, person.facts, now), person)
            return person, groups_of(reader, self._settings, person)

        login = await self._try(
            attempt,
            lambda until: servers.log_in(name, password, first=None, until=until, read=read),
            deadline,
        )
        _check_outcome(login.outcome, name)
        if login.fault is not None:
            raise login.fault
        if login.read is None:
            raise DirectoryDownError(f"{name} was let in, and its entry was not read")
        person, groups = login.read
        return person, groups, self._digest(person.key, password)

    # Both

    async def _try(
        self, attempt: _Attempt, job: Callable[[float], Login[Any]], deadline: float
    ) -> Login[Any]:
        """Bind, if the guard lets us; what came of it is noted even if nobody waits for it any more."""
        await self._enter(attempt, deadline)
        try:
            login = self._ready_threads().begin(
                job, deadline=deadline, after=lambda future: self._settle(attempt, _ended(future, attempt))
            )
        except DirectoryDownError:
            self._settle(attempt, Settled.NOT_SENT)
            raise
        try:
            return await login
        except UnsendableError:
            raise LoginRefusedError(
                Reason.CREDENTIALS_WRONG, "no directory can have stored this password (SASLprep)"
            ) from None
        except Unreached as fault:
            raise DirectoryDownError(f"no server could be reached: {fault}") from None
        except Unanswered as fault:
            raise DirectoryDownError(f"a login was not answered: {fault}") from None

    async def _enter(self, attempt: _Attempt, deadline: float) -> None:
        while True:
            entrance = self._guard.enter(
                attempt.account, attempt.digest, now=attempt.now, stamp=attempt.stamp, counted=attempt.counted
            )
            if entrance is not Entrance.WAIT:
                break
            left = deadline - asyncio.get_running_loop().time() - 0.01
            try:
                await self._turns.wait(attempt.account, left)
            except TimeoutError:
                raise DirectoryDownError(
                    "other logins of the same account were not answered in time"
                ) from None
        # Whoever waits behind us may be able to go on as well.
        self._turns.next(attempt.account)
        if entrance is Entrance.KNOWN_WRONG:
            raise LoginRefusedError(
                Reason.CREDENTIALS_WRONG, "the password was refused before; the directory is not asked again"
            )
        if entrance is Entrance.GUARDED and attempt.locked:
            raise LoginRefusedError(Reason.LOCKED, "its entry says that it was locked, so it is not asked")
        if entrance is Entrance.GUARDED:
            raise LoginRefusedError(
                Reason.GUARDED,
                "one more failure could lock the account in the directory, so it is not asked",
                hint=f"failures are forgotten after {self._settings.lockout_window:g} s",
            )

    def _settle(self, attempt: _Attempt, ended: Settled) -> None:
        self._guard.settle(attempt.account, attempt.digest, ended, now=attempt.now, stamp=attempt.stamp)
        self._turns.next(attempt.account)

    async def _run(self, job: Callable[[float], T], deadline: float) -> T:
        return await self._ready_threads().begin(job, deadline=deadline)

    def _read_by_key(self, reader: Reader, subject: str, now: float) -> Read:
        person = found_by_key(reader, self._settings, subject)
        if person is None:
            raise LoginRefusedError(Reason.GONE, f"nobody who could log in has the id {subject!r}")
        window = self._settings.lockout_window
        _check(lasting_objection(person.entry, person.facts, now, window), person)
        return person, groups_of(reader, self._settings, person)

    def _digest(self, account: str, password: str) -> str:
        text = f"{self._settings.realm}\0{account}\0{password}"
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def _ready(self) -> Servers:
        return self._servers or _not_started()

    def _ready_threads(self) -> Threads:
        return self._threads or _not_started()


def _not_started() -> NoReturn:
    raise DirectoryDownError("it was not started")


def _ended(future: Future[Login[Any]], attempt: _Attempt) -> Settled:
    if future.cancelled():
        return Settled.NOT_SENT
    fault = future.exception()
    if fault is None:
        meaning = future.result().outcome.meaning
        # Without ppolicy_use_lockout OpenLDAP answers for a locked account as for a wrong password: the
        # right one must not be taken for wrong when the lock has gone.
        return Settled.UNKNOWN if meaning is Meaning.WRONG and attempt.locked else _SETTLED[meaning]
    return Settled.NOT_SENT if isinstance(fault, Unreached | UnsendableError) else Settled.UNKNOWN


def _check_shape(user: str, password: str) -> None:
    if not password or is_blank(password):
        # To a directory a name without a password is an anonymous bind, and that succeeds (RFC 4513 §5.1.2).
        raise LoginRefusedError(Reason.CREDENTIALS_WRONG, "the password is empty")
    if len(password) > MAX_PASSWORD:
        raise LoginRefusedError(
            Reason.CREDENTIALS_TOO_LARGE,
            f"a password of {len(password)} characters; {MAX_PASSWORD} are the most",
        )
    if not is_sound(user):
        raise LoginRefusedError(Reason.CREDENTIALS_MALFORMED, "the name can be nobody's")


def _check(found: Objection | None, person: Person) -> None:
    if found is not None:
        raise LoginRefusedError(found.reason, f"{person.entry.dn}: {found.message}")


def _check_outcome(outcome: Outcome, name: str) -> None:
    if outcome.meaning is Meaning.NO_ANSWER:
        raise DirectoryDownError(f"{name}: {outcome.message}")
    if outcome.meaning is not Meaning.GOOD:
        raise LoginRefusedError(outcome.reason, f"{name}: {outcome.message}")
