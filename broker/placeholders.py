"""Tokens of a destination that are computed from the subject: `$1`, `{{partition(3,1)}}` and others.

Read and computed exactly as nats-server does it (enforcement spec §4.4), slips included: what
a subject becomes here decides which permission is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from issuer.errors import Defect, Refused

Chance = Callable[[], float]
"""A random number from 0 up to, not including, 1."""

UNKNOWN: Final = "unknown function"
OUT_OF_RANGE: Final = "wildcard index out of range"
TOO_FEW: Final = "not enough arguments passed to the function"
TOO_MANY: Final = "too many arguments passed to the function"
BAD_ARGUMENT: Final = "function argument is invalid or in the wrong format"

_FNV_OFFSET: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193
_WORD: Final = 0xFFFFFFFF
_INT32: Final = 2**31
_INT64: Final = 2**63
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_COMMA: Final = re.compile(r",[\t\n\f\r ]*")


class TransformError(Refused):
    """A source and destination that make no transform; the words are nats-server's."""

    code = "transform.invalid"


class Function(StrEnum):
    """What computes a token. In the order in which a destination is searched for their names."""

    WILDCARD = "wildcard"
    PARTITION = "partition"
    SPLIT_FROM_LEFT = "splitFromLeft"
    SPLIT_FROM_RIGHT = "splitFromRight"
    SLICE_FROM_LEFT = "sliceFromLeft"
    SLICE_FROM_RIGHT = "sliceFromRight"
    RIGHT = "right"
    LEFT = "left"
    SPLIT = "split"
    RANDOM = "random"


def _pattern(name: str) -> re.Pattern[str]:
    # The first letter of each word in the name may be large or small.
    letters = "".join(
        f"[{letter.lower()}{letter.upper()}]" if place == 0 or letter.isupper() else letter
        for place, letter in enumerate(name)
    )
    return re.compile(r"\{\{[\t\n\f\r ]*" + letters + r"[\t\n\f\r ]*\((.*)\)[\t\n\f\r ]*\}\}")


_CALLS: Final = tuple((function, _pattern(function.value)) for function in Function)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A token to be computed: from the wildcards of these numbers (1 is the first), and arguments."""

    function: Function
    wildcards: tuple[int, ...] = ()
    number: int = -1
    text: str = ""


def parse(token: str) -> Placeholder | None:
    """What a token of a destination stands for; None when for itself.

    Raises:
        TransformError: it looks like a function and is none, or its arguments do not fit.
    """
    if token.startswith("$") and len(token) > 1:
        # Other tokens that begin with a dollar are names, as those of the JetStream API.
        number = integer(token[1:])
        return None if number is None else Placeholder(Function.WILDCARD, (number,))
    if not looks_like_function(token):
        return None
    function, arguments = _call(token)
    match function:
        case Function.WILDCARD:
            if arguments == [""]:
                raise refused(TOO_FEW, token)
            if len(arguments) > 1:
                raise refused(TOO_MANY, token)
            return Placeholder(function, (_argument(arguments[0], token),))
        case Function.PARTITION:
            buckets = _bounded(arguments[0], token)
            return Placeholder(function, tuple(_argument(each, token) for each in arguments[1:]), buckets)
        case Function.RANDOM:
            if len(arguments) != 1:
                raise refused(TOO_FEW, token)
            return Placeholder(function, (), _bounded(arguments[0], token))
    if len(arguments) < 2:
        raise refused(TOO_FEW, token)
    if len(arguments) > 2:
        raise refused(TOO_MANY, token)
    wildcard = _argument(arguments[0], token)
    if function is Function.SPLIT:
        if " " in arguments[1]:
            raise refused(BAD_ARGUMENT, token)
        return Placeholder(function, (wildcard,), text=arguments[1])
    number = _argument(arguments[1], token)
    if not -_INT32 <= number < _INT32:
        raise refused(BAD_ARGUMENT, token)
    return Placeholder(function, (wildcard,), number)


def looks_like_function(token: str) -> bool:
    return len(token) > 4 and token.startswith("{{") and token.endswith("}}")


def is_wildcard_call(token: str) -> bool:
    """Whether a token holds `{{wildcard(...)}}` with one argument, good or not."""
    found = _CALLS[0][1].search(token)
    return found is not None and bool(found[1]) and len(_COMMA.split(found[1])) == 1


def integer(text: str) -> int | None:
    """A decimal number of 64 bits as Go reads it; None when it is none."""
    if not _NUMBER.fullmatch(text) or not text.isascii():
        return None
    value = int(text)
    return value if -_INT64 <= value < _INT64 else None


def refused(words: str, token: str = "") -> TransformError:
    place = f" in {token}" if token else ""
    return TransformError(f"invalid mapping destination: {words}{place}")


def compute(
    placeholder: Placeholder, places: Sequence[int], tokens: Sequence[str], chance: Chance | None
) -> str:
    """The text in a placeholder's stead; `places` are where its wildcards stand in `tokens`."""
    match placeholder.function:
        case Function.WILDCARD:
            place = places[0]
            return tokens[place] if place < len(tokens) else ""
        case Function.PARTITION:
            # The tokens one after another, without anything between them.
            key = "".join(tokens[place] for place in places) if places else ".".join(tokens)
            return str(partition(_bytes(key), placeholder.number))
        case Function.RANDOM:
            if chance is None:
                raise Defect("a random token needs chance")
            ceiling = abs(placeholder.number)
            return str(int(chance() * _INT32) % ceiling if ceiling else 0)
        case Function.SPLIT:
            return split(tokens[places[0]], placeholder.text)
    # Lengths count bytes, and a letter of several may be cut.
    return _text(_CUTS[placeholder.function](_bytes(tokens[places[0]]), placeholder.number))


def partition(key: bytes, buckets: int) -> int:
    """Which of the buckets a key falls into: FNV-1a of 32 bits, modulo their number."""
    buckets &= _WORD
    if not buckets:
        return 0
    hashed = _FNV_OFFSET
    for byte in key:
        hashed = (hashed ^ byte) * _FNV_PRIME & _WORD
    return hashed % buckets


def split(token: str, separator: str) -> str:
    """The parts of a token between separators, as tokens; empty parts leave nothing behind."""
    parts = token.split(separator) if separator else list(token)
    made: list[str] = []
    for place, part in enumerate(parts):
        made.append(part)
        more = place + 1 < len(parts) and parts[place + 1]
        if more and not (place == 0 and not part):
            made.append(".")
    return "".join(made)


def _split_from_left(token: bytes, at: int) -> bytes:
    return token[:at] + b"." + token[at:]


def _split_from_right(token: bytes, at: int) -> bytes:
    return token[:-at] + b"." + token[-at:]


def _slice_from_left(token: bytes, size: int) -> bytes:
    return b".".join(token[at : at + size] for at in range(0, len(token), size))


def _slice_from_right(token: bytes, size: int) -> bytes:
    rest = len(token) % size
    parts = [token[at : at + size] for at in range(rest, len(token), size)]
    return b".".join([token[:rest], *parts] if rest else parts)


def _cut(how: Callable[[bytes, int], bytes]) -> Callable[[bytes, int], bytes]:
    # A token too short for the number given stays whole.
    return lambda token, number: how(token, number) if 0 < number < len(token) else token


_CUTS: Final = {
    Function.SPLIT_FROM_LEFT: _cut(_split_from_left),
    Function.SPLIT_FROM_RIGHT: _cut(_split_from_right),
    Function.SLICE_FROM_LEFT: _cut(_slice_from_left),
    Function.SLICE_FROM_RIGHT: _cut(_slice_from_right),
    Function.LEFT: _cut(lambda token, number: token[:number]),
    Function.RIGHT: _cut(lambda token, number: token[-number:]),
}


def _call(token: str) -> tuple[Function, list[str]]:
    for function, pattern in _CALLS:
        found = pattern.search(token)
        if found is not None:
            return function, _COMMA.split(found[1])
    raise refused(UNKNOWN, token)


def _argument(text: str, token: str) -> int:
    value = integer(text.strip(" "))
    if value is None:
        raise refused(BAD_ARGUMENT, token)
    return value


def _bounded(text: str, token: str) -> int:
    value = _argument(text, token)
    if value >= _INT32:
        raise refused(BAD_ARGUMENT, token)
    # Below the smallest number of 32 bits it wraps around there, and so here.
    return (value + _INT32) % (2 * _INT32) - _INT32


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
