"""What a verb works with: settings, the store, the authority, the actor. Opened as far as it is needed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from issuer.cli.output import Screen, is_terminal, outcome_plain
from issuer.errors import NotFound, PeerError
from issuer.settings import Settings, load, write_selection

if TYPE_CHECKING:
    from issuer.authority.desk import Actor, Authority, Outcome, Turn
    from issuer.store.unit import Database, Unit

A = TypeVar("A")
R = TypeVar("R")

_SEED_SIZE: Final = 58
_KEPT: Final = 200


class Workspace:
    """One run of one verb. Making it costs nothing; the database opens at the first question."""

    def __init__(
        self, flags: Mapping[str, Any], screen: Screen, *, clock: Callable[[], int] = lambda: int(time.time())
    ) -> None:
        self._flags = dict(flags)
        self._clock = clock
        self.screen = screen
        self.reason: str = flags.get("reason") or ""
        self._closing: list[Callable[[], None]] = []

    @cached_property
    def settings(self) -> Settings:
        return load(self._flags, os.environ)

    @property
    def now(self) -> int:
        return self._clock()

    @cached_property
    def actor(self) -> Actor:
        from issuer.authority.desk import Actor

        return Actor(self.settings.actor, "cli")

    @cached_property
    def database(self) -> Database:
        from issuer.store.unit import Database

        return self._opened(Database.open(self.settings.database))

    @cached_property
    def authority(self) -> Authority:
        from issuer.authority.opening import open_authority

        ask = ask_passphrase if is_terminal(sys.stdin) and is_terminal(sys.stderr) else None
        return open_authority(self.settings, os.environ, clock=self._clock, database=self.database, ask=ask)

    def create(self, choose: Callable[[], str] | None = None) -> None:
        """Make the store, if there is none yet."""
        from issuer.authority.opening import create_store

        made = create_store(self.settings, os.environ, actor=self.actor, now=self.now, choose=choose)
        self.__dict__["database"] = self._opened(made)

    def ask(self, function: Callable[[Unit, A], R], question: A) -> R:
        """Answer a question from one view of the store; no key is needed for it."""
        with self.database.reading() as unit:
            return function(unit, question)

    def perform(self, function: Callable[[Turn, A], R], act: A) -> R:
        """Perform an act as whoever runs us, with the key -K names."""
        return self.authority.perform(function, act, self.actor, reason=self.reason, signer=self.signer)

    @cached_property
    def signer(self) -> str | None:
        """The key or role `-K` asks for; a seed must be one in custody.

        Raises:
            NotFound: a seed was given that is not stored here.
        """
        text = self._flags.get("signer")
        if not text:
            return None
        path = Path(text).expanduser()
        if path.is_file():
            return self._known(path.read_text(encoding="utf-8", errors="replace"), str(path))
        if len(text) == _SEED_SIZE and text.startswith("S"):
            self.screen.warn("a seed on the command line is seen by every process: name a file instead")
            return self._known(text, "-K")
        return str(text)

    # Defaults: what was named, else what was selected, else the only one there is

    @property
    def operator(self) -> str | None:
        return self.settings.operator

    def account(self, named: str | None) -> str:
        """The account meant, by name or key.

        Raises:
            NotFound: nothing was named or selected, and there is not exactly one to choose from.
        """
        found = named or self.settings.account
        if found:
            return found
        from issuer.authority.inspecting import only_account

        return self.ask(only_account, self.operator)

    def select(self, *, operator: str | None = None, account: str | None = None) -> None:
        """Remember what the next commands mean by default; what a flag names is not forgotten for it."""
        chosen = operator or self.operator
        if chosen is None:
            from issuer.authority.inspecting import only_operator

            chosen = self.ask(only_operator, None)
        write_selection(self.settings.context_file, operator=chosen, account=account)
        self.__dict__.pop("settings", None)

    def use(self, **flags: Any) -> None:
        """Take a flag of the verb's own for one of ours, before anything is opened."""
        self._flags |= flags
        self.__dict__.pop("settings", None)

    # Rendering

    def finish(self, document: Any) -> None:
        """What a verb that shows words alone gives programs."""
        if self.screen.as_json:
            self.screen.document(document)

    def show(
        self, action: str, kind: str, outcome: Outcome, *, words: str | None = None, **more: Any
    ) -> None:
        """What an act did: words for people, one object for programs."""
        screen = self.screen
        if screen.as_json:
            screen.document(outcome_plain(action, kind, outcome, more))
        elif outcome.changed:
            screen.say(words or f"{action} {kind} {outcome.name} {outcome.public}")
        else:
            screen.say(f"{kind} {outcome.name} is so already: nothing changed")
        for note in outcome.notes:
            screen.note(note)
        for finding in outcome.findings:
            screen.warn(finding.message)

    def remind_of_push(self, account: str) -> None:
        self.screen.hint(f"servers get it by: accredit push -a {account}")

    def close(self) -> None:
        while self._closing:
            self._closing.pop()()

    def _opened(self, database: Database) -> Database:
        self._closing.append(database.close)
        return database

    def _known(self, text: str, at: str) -> str:
        from issuer.keys.creds import parse_decorated_seed
        from issuer.store.keys import has_seed

        public = parse_decorated_seed(text).public
        if not self.ask(has_seed, public):
            raise NotFound(f"the seed of {public} is not stored here", at=at, hint="accredit import keys")
        return public


def ask_passphrase() -> str:
    """Ask for the passphrase of the store, unseen."""
    import getpass

    return getpass.getpass("passphrase of the store: ", stream=sys.stderr)


def choose_passphrase() -> str:
    """Ask for a new passphrase, twice.

    Raises:
        PeerError: the two differ.
    """
    import getpass

    first = getpass.getpass("new passphrase: ", stream=sys.stderr)
    if first != getpass.getpass("once more: ", stream=sys.stderr):
        raise PeerError("the two passphrases differ", at="passphrase")
    return first


def creds_path(settings: Settings, operator: str, account: str, user: str) -> Path:
    """Where a user's creds are kept, whatever the names hold."""
    return settings.creds_dir / file_name(operator) / file_name(account) / f"{file_name(user)}.creds"


def file_name(name: str) -> str:
    """A name as one component of a path, and no two names as the same one."""
    safe = "".join(
        char if char.isprintable() and char not in '/\\%:*?"<>|' else f"%{ord(char):02x}" for char in name
    )
    if safe.startswith("."):
        safe = "%2e" + safe[1:]
    if len(safe.encode()) > _KEPT:
        import hashlib

        mark = hashlib.sha256(name.encode()).hexdigest()[:16]
        safe = safe.encode()[:_KEPT].decode(errors="ignore") + "%" + mark
    return safe
