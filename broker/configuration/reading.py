"""From values with places to typed ones; what is wrong is collected, so that one run names everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NoReturn, TypeVar

from broker.configuration.model import Notice, NoticeKind
from broker.configuration.values import DurationFault, Place, Table, Value, kind_of, nanoseconds
from issuer.errors import PeerError

T = TypeVar("T")
Handler = Callable[[Value], None]

REAL_SERVER: Final = "the real nats-server does it: start that one with this configuration"
_SECOND: Final = 10**9
_NO_PORT: Final = -1


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a configuration."""

    at: str
    words: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.at}: {self.words}"


class ConfigurationError(PeerError):
    """A configuration the real server would not start with either; `faults` are all there are."""

    code = "configuration.malformed"

    def __init__(self, *faults: Fault) -> None:
        first, *others = faults
        hints = dict.fromkeys(fault.hint for fault in faults if fault.hint)
        super().__init__(
            "\n".join([first.words, *map(str, others)]), at=first.at, hint="; ".join(hints) or None
        )
        self.faults = faults


@dataclass(slots=True)
class Reading:
    """A configuration being read: how to read the files it names, and what was found on the way."""

    read: Callable[[str], str]
    faults: list[Fault] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def fault(self, place: Place, words: str, hint: str = "") -> None:
        self.faults.append(Fault(str(place), words, hint))

    def notice(self, kind: NoticeKind, key: str, place: Place, words: str, hint: str = "") -> None:
        self.notices.append(Notice(kind, key, str(place), words, hint))

    def unsupported(self, key: str, value: Value, reason: str) -> None:
        self.notice("unsupported", key, value.place, f'"{key}" does nothing here: {reason}', REAL_SERVER)

    def unknown(self, key: str, value: Value) -> None:
        # A key that only serves as a variable need not be one the server knows.
        if not value.referenced:
            self.fault(value.place, f'unknown field "{key}"')

    def each(self, table: Table, handlers: Mapping[str, Handler]) -> None:
        """Hand every key to its handler; keys are known in any letter case."""
        for key, value in table.items():
            handler = handlers.get(key.lower())
            if handler is None:
                self.unknown(key, value)
                continue
            try:
                handler(value)
            except ConfigurationError as error:
                self.faults.extend(error.faults)

    def every(self, items: Iterable[Value], convert: Callable[[Value], T]) -> Iterator[T]:
        """Every item that is not at fault."""
        for item in items:
            try:
                yield convert(item)
            except ConfigurationError as error:
                self.faults.extend(error.faults)

    def span(self, key: str, value: Value) -> float:
        """A duration; a bare number is seconds, of which the server warns."""
        if isinstance(value.data, int) and not isinstance(value.data, bool):
            words = f'invalid use of field "{key}": {key} should be converted to a duration'
            self.notice("deprecated", key, value.place, words, f'{key}: "{value.data}s"')
            return float(value.data)
        return duration(value)


def keep(found: dict[str, Any], name: str, convert: Callable[[Value], Any]) -> Handler:
    """A handler that keeps what it was given under a name."""

    def handler(value: Value) -> None:
        found[name] = convert(value)

    return handler


def wrong(value: Value, words: str, hint: str = "") -> NoReturn:
    raise ConfigurationError(Fault(str(value.place), words, hint))


def text(value: Value) -> str:
    if not isinstance(value.data, str):
        hint = "put it in quotes" if isinstance(value.data, int | float | datetime) else ""
        wrong(value, f"expected a string, got {kind_of(value.data)}", hint)
    return value.data


def integer(value: Value) -> int:
    if not isinstance(value.data, int) or isinstance(value.data, bool):
        wrong(value, f"expected an integer, got {kind_of(value.data)}")
    return value.data


def boolean(value: Value) -> bool:
    if not isinstance(value.data, bool):
        wrong(value, f"expected a boolean, got {kind_of(value.data)}")
    return value.data


def table(value: Value, what: str) -> Table:
    if not isinstance(value.data, Mapping):
        wrong(value, f"expected {what} to be a map, got {kind_of(value.data)}")
    return value.data


def array(value: Value, what: str) -> tuple[Value, ...]:
    if not isinstance(value.data, tuple):
        wrong(value, f"expected {what} to be an array, got {kind_of(value.data)}")
    return value.data


def texts(value: Value) -> tuple[str, ...]:
    """One string, or an array of them."""
    if isinstance(value.data, tuple):
        return tuple(text(item) for item in value.data)
    if not isinstance(value.data, str):
        wrong(value, f"expected a string or an array of strings, got {kind_of(value.data)}")
    return (value.data,)


def port(value: Value) -> int:
    """A port, or -1 for any free one. The real server looks at the number only when it listens."""
    number = integer(value)
    if not _NO_PORT <= number <= 65535:
        wrong(value, f"{number} is no port")
    return number


def duration(value: Value) -> float:
    """A duration in its textual form, in seconds."""
    return nanoseconds_of(value) / _SECOND


def nanoseconds_of(value: Value) -> int:
    if not isinstance(value.data, str):
        wrong(value, f"expected a duration as a string, got {kind_of(value.data)}", 'as "2s", "1m30s"')
    try:
        return nanoseconds(value.data)
    except DurationFault as error:
        wrong(value, error.message, error.hint or "")


def seconds(value: Value) -> float:
    """Seconds as a number, or a duration."""
    if isinstance(value.data, int | float) and not isinstance(value.data, bool):
        return float(value.data)
    return duration(value)


def address(value: Value) -> tuple[str, int]:
    """A `listen` value: a port alone, or host:port."""
    if not isinstance(value.data, str):
        return "", port(value)
    host, colon, number = value.data.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (not bracketed and (":" in host or "[" in host or "]" in host)):
        wrong(value, f"could not parse address string {value.data!r}", "host:port; an IPv6 host in brackets")
    try:
        found = int(number)
    except ValueError:
        wrong(value, f"could not parse port {number!r}")
    return host[1:-1] if bracketed else host, port(Value(found, value.place))
