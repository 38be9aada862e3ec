"""What a configuration holds once it is read: values with their places. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from issuer.errors import AccreditError, PeerError

_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9,
    "h": 3600 * 10**9,
}  # fmt: skip
_BROKEN: Final = re.compile("[\ud800-\udfff]")
_MARKUP: Final = re.compile("[<>&\u2028\u2029]")
_LONGEST: Final = 2**63 - 1
_EXPONENTIAL_FROM: Final = 1e21
_EXPONENTIAL_BELOW: Final = 1e-6


class SyntaxFault(PeerError):
    """The text of a configuration cannot be read; `at` is file:line:column."""

    code = "configuration.syntax"


class DurationFault(PeerError):
    """A text that is no duration."""

    code = "configuration.duration"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands. Line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Value:
    """A value and where it stands; one that belongs to a key stands where the key does."""

    data: Data
    place: Place
    referenced: bool = False
    """Somebody asked for it as a variable: then its key need not be one the server knows."""


Table = Mapping[str, Value]
Data = str | int | float | bool | datetime | tuple[Value, ...] | Table


def kind_of(data: Data) -> str:
    """What a value is, for messages."""
    if isinstance(data, bool):
        return "a boolean"
    names = {int: "an integer", float: "a float", str: "a string", datetime: "a date", tuple: "an array"}
    return names.get(type(data), "a map")


# What a `read` may end with; a byte that is no UTF-8 is the reader's to refuse.
UNREADABLE: Final = (OSError, UnicodeDecodeError, AccreditError)


def unreadable(error: Exception) -> str:
    """Why a file cannot be read, in a few words."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def nanoseconds(text: str) -> int:
    """A duration as Go writes it: `1m30s`, `1.5h`, `-2s`, and a bare `0`.

    Raises:
        DurationFault: it is something else.
    """
    body = text[1:] if text[:1] in {"-", "+"} else text
    if body == "0":
        return 0
    parts = _SPAN.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise DurationFault(f"invalid duration {text!r}", hint="as 500ms, 2s, 1m30s")
    total = sum(_whole(number, _NANOSECONDS[unit]) for number, unit in parts)
    if total > _LONGEST:
        raise DurationFault(f"invalid duration {text!r}", hint="the longest is about 292 years")
    return -total if text[0] == "-" else total


def digest(table: Table) -> str:
    """The fingerprint the real server shows for a configuration: of its values, in one form of JSON."""
    return "sha256:" + hashlib.sha256(f"{_json(table)}\n".encode()).hexdigest()


def _json(data: Data) -> str:
    if isinstance(data, Mapping):
        return "{" + ",".join(f"{_quoted(key)}:{_json(data[key].data)}" for key in sorted(data)) + "}"
    if isinstance(data, tuple):
        return "[" + ",".join(_json(value.data) for value in data) + "]"
    if isinstance(data, datetime):
        return f'"{data:%Y-%m-%dT%H:%M:%SZ}"'
    if isinstance(data, str):
        return _quoted(data)
    if isinstance(data, float) and data and not _EXPONENTIAL_BELOW <= abs(data) < _EXPONENTIAL_FROM:
        return re.sub(r"e([+-])0*", r"e\1", repr(data))
    if isinstance(data, float):
        return f"{Decimal(repr(data)).normalize():f}"
    return json.dumps(data)


def _quoted(text: str) -> str:
    """A text in Go's JSON: what could end a script in HTML is escaped, a broken byte is U+FFFD."""
    quoted = json.dumps(_BROKEN.sub("\ufffd", text), ensure_ascii=False)
    return _MARKUP.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _whole(number: str, unit: int) -> int:
    whole, _, fraction = number.partition(".")
    return int(whole or "0") * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
