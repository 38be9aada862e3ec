"""Who may import what, and under which subjects: from claims alone (enforcement spec §4.1-4.3).

The steps for one import, in nats-server's order; the first that fails leaves it out:

1. ACCOUNT    the exporter is known
2. SUBJECT    both subjects are valid
3. LEAVE      an export takes the subject in, and is public or grants it to the importer
4. CYCLE      it does not lead back to the importer
5. RENAMING   the subjects can be turned into each other
6. DUPLICATE  the same is not imported already
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from broker.exporting import DEFAULT_THRESHOLD_NS, Decode, Exports, Leave, decode_activation, exports_of
from broker.renaming import (
    RenamingError,
    ServiceImport,
    StreamImport,
    collide,
    prefixed,
    service_names,
    stream_names,
    valid,
)
from broker.transforms import as_pattern, within
from issuer.claims.account import AccountClaims, Import
from issuer.errors import Refused
from issuer.keys.nkeys import PublicKey
from issuer.subjects import has_wildcards

__all__ = ["Gate", "ServiceImport", "Shared", "Skipped", "StreamImport", "resolve"]

MAX_ACCOUNTS: Final = 1024
"""How many accounts a search for cycles visits before it gives up."""

Find = Callable[[PublicKey], AccountClaims | None]
Strict = Callable[[AccountClaims], bool]


class Gate(StrEnum):
    """Which step an import failed at."""

    ACCOUNT = "account"
    SUBJECT = "subject"
    LEAVE = "leave"
    CYCLE = "cycle"
    RENAMING = "renaming"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Skipped:
    """An import that is not in force. `words` are nats-server's, `why` is ours."""

    index: int
    gate: Gate
    words: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Shared:
    """The imports of one account. `next_expiry`: the second at which to look again."""

    streams: tuple[StreamImport, ...] = ()
    services: tuple[ServiceImport, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    next_expiry: int | None = None


InForce = Callable[[PublicKey], Shared | None]
"""The imports of other accounts as they stand, which cycles are looked for in."""


def resolve(
    importer: AccountClaims,
    find: Find,
    *,
    strict: Strict,
    now: int,
    decode: Decode = decode_activation,
    in_force: InForce | None = None,
) -> Shared:
    """Which imports of an account hold at second `now`.

    nats-server keeps that part of a cycle which it met first. `in_force` says what stands at
    other accounts already; without it no part of a cycle holds.
    """
    return _Resolution(importer, find, strict, now, decode, in_force).run()


class _No(Refused):
    """One step said no."""

    def __init__(self, gate: Gate, words: str, why: str = "") -> None:
        super().__init__(words)
        self.gate = gate
        self.why = why


class _Resolution:
    """One account's imports, one after another."""

    def __init__(
        self,
        importer: AccountClaims,
        find: Find,
        strict: Strict,
        now: int,
        decode: Decode,
        in_force: InForce | None,
        *,
        cycles: bool = True,
    ) -> None:
        self._importer = importer
        self._public = PublicKey(importer.sub)
        self._find, self._strict, self._now, self._decode = find, strict, now, decode
        self._in_force = in_force
        self._cycles = cycles
        self._known: dict[PublicKey, Shared] = {}
        self._exports: dict[PublicKey, Exports] = {}
        self._streams: list[StreamImport] = []
        self._taken: set[tuple[PublicKey, str]] = set()
        """The streams taken, by exporter and subject."""
        self._services: list[ServiceImport] = []
        self._asked: dict[tuple[PublicKey, str], ServiceImport] = {}
        """The services taken, by exporter and the pattern here."""

    def run(self) -> Shared:
        skipped: list[Skipped] = []
        for index, entry in enumerate(self._importer.nats.imports):
            try:
                if entry.type == "stream":
                    self._streams.append(self._stream(index, entry))
                elif entry.type == "service":
                    self._services.append(self._service(index, entry))
            except _No as no:
                skipped.append(Skipped(index, no.gate, no.message, no.why))
            except RenamingError as error:
                skipped.append(Skipped(index, Gate.RENAMING, error.message))
        taken: list[StreamImport | ServiceImport] = [*self._streams, *self._services]
        expiries = [each.expires for each in taken if each.expires is not None]
        return Shared(
            tuple(self._streams), tuple(self._services), tuple(skipped), min(expiries, default=None)
        )

    # --- streams -----------------------------------------------------------------------------------

    def _stream(self, index: int, entry: Import) -> StreamImport:
        exporter = self._exporter(entry)
        subject = str(entry.subject)
        leave = self._leave(exporter, entry, subject)
        local = str(entry.local_subject) or prefixed(str(entry.to), subject)
        if self._cycles:
            for text in dict.fromkeys((local, subject)):
                self._refuse_stream_cycle(exporter, text, {self._public})
        to_local, back, pattern = stream_names(subject, local)
        if (exporter, subject) in self._taken:
            raise _No(Gate.DUPLICATE, "stream import already exists")
        self._taken.add((exporter, subject))
        return StreamImport(
            index, exporter, subject, pattern, to_local, back, entry.allow_trace, leave.expires
        )

    def _refuse_stream_cycle(self, account: PublicKey, local: str, visited: set[PublicKey]) -> None:
        _refuse_depth(visited)
        exports = self._exports_of(account)
        if exports is None or not exports.takes_in("stream", local):
            return
        for stream in self._imports_of(account).streams:
            if not collide(local, stream.local):
                continue
            if stream.exporter in visited:
                raise _No(Gate.CYCLE, "import forms a cycle")
            visited.add(account)
            inner = stream.local if within(stream.local.split("."), local.split(".")) else local
            self._refuse_stream_cycle(stream.exporter, inner, visited)

    # --- services ----------------------------------------------------------------------------------

    def _service(self, index: int, entry: Import) -> ServiceImport:
        exporter = self._exporter(entry)
        local, subject = str(entry.local_subject), str(entry.subject)
        if not local:
            # In the old form the subject is the importer's, and `to` the exporter's.
            local, subject = subject, str(entry.to) or subject
        if not (valid(local) and valid(subject)):
            raise _No(Gate.SUBJECT, "invalid subject")
        leave = self._leave(exporter, entry, subject)
        seen = as_pattern(local) if has_wildcards(subject) else local
        if self._cycles:
            self._refuse_service_cycle(exporter, seen, {self._public})
        earlier = self._asked.get((exporter, local))
        if earlier is not None:
            words = (
                f'duplicate service import subject "{local}", previously used in import '
                f'for account "{exporter}", subject "{earlier.subject}"'
            )
            raise _No(Gate.DUPLICATE, words)
        renaming, pattern = service_names(subject, local)
        export = leave.export
        assert export is not None  # noqa: S101  leave is given by an export
        made = ServiceImport(
            index,
            exporter,
            subject,
            pattern,
            renaming,
            str(export.subject),
            export.response_type or "Singleton",
            export.response_threshold or DEFAULT_THRESHOLD_NS,
            entry.share,
            export.allow_trace,
            leave.expires,
        )
        self._asked.setdefault((exporter, pattern), made)
        return made

    def _refuse_service_cycle(self, account: PublicKey, local: str, visited: set[PublicKey]) -> None:
        _refuse_depth(visited)
        for service in self._imports_of(account).services:
            if not collide(local, service.subject):
                continue
            if service.exporter in visited:
                raise _No(Gate.CYCLE, "import forms a cycle")
            visited.add(account)
            inner = service.local if within(service.local.split("."), local.split(".")) else local
            self._refuse_service_cycle(service.exporter, inner, visited)

    # --- other accounts ----------------------------------------------------------------------------

    def _exporter(self, entry: Import) -> PublicKey:
        public = PublicKey(entry.account)
        if self._exports_of(public) is None:
            raise _No(Gate.ACCOUNT, "account missing", f"account {public} is not known here")
        return public

    def _exports_of(self, account: PublicKey) -> Exports | None:
        if account not in self._exports:
            claims = self._importer if account == self._public else self._find(account)
            if claims is None:
                return None
            self._exports[account] = exports_of(claims)
        return self._exports[account]

    def _leave(self, exporter: PublicKey, entry: Import, subject: str) -> Leave:
        exports = self._exports_of(exporter)
        assert exports is not None  # noqa: S101  asked for before
        leave = exports.leave(
            self._public,
            entry,
            subject,
            strict=self._strict(exports.claims),
            now=self._now,
            read=self._decode,
        )
        if not leave.granted or not valid(subject):
            raise _No(Gate.LEAVE, f"{entry.type} import not authorized", leave.why)
        return leave

    def _imports_of(self, account: PublicKey) -> Shared:
        if account == self._public:
            return Shared(tuple(self._streams), tuple(self._services))
        if self._in_force is not None:
            return self._in_force(account) or Shared()
        if account not in self._known:
            exports = self._exports_of(account)
            self._known[account] = (
                Shared()
                if exports is None
                else _Resolution(
                    exports.claims, self._lookup, self._strict, self._now, self._decode, None, cycles=False
                ).run()
            )
        return self._known[account]

    def _lookup(self, account: PublicKey) -> AccountClaims | None:
        exports = self._exports_of(account)
        return None if exports is None else exports.claims


def _refuse_depth(visited: set[PublicKey]) -> None:
    if len(visited) >= MAX_ACCOUNTS:
        raise _No(Gate.CYCLE, "search cycle depth exhausted")
