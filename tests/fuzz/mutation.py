"""Bytes that are almost what they were. Knows no format; the words of one are given."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

_NUMBERS: Final = (
    b"0",
    b"1",
    b"2",
    b"3",
    b"4",
    b"5",
    b"-1",
    b"00",
    b"1e1",
    b"99",
    b"4096",
    b"1048577",
    b"999999999",
    b"9999999999",
    b"2147483648",
    b"+1",
    b" 1",
    b"",
)
_BYTES: Final = (
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\xff",
    b"\x80",
    b"{",
    b"}",
    b'"',
    b",",
    b":",
    b".",
    b"*",
    b">",
    b"'",
    b"=",
    b"\\",
    b"/",
    b"-",
    b"_",
)
_NUMBER: Final = re.compile(rb"\d+")

Mutation = Callable[[random.Random, bytes], bytes]


class Mutator:
    """Changes one to a few places of a sample; `words` are put in now and then."""

    def __init__(self, rand: random.Random, words: Sequence[bytes], samples: Sequence[bytes]) -> None:
        self._rand = rand
        self._words = words
        self._samples = samples
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._byte, self._insert, self._delete, self._double, self._word, self._number, self._case, self._splice, self._cut, self._blanks,
        )  # fmt: skip

    def sample(self) -> bytes:
        return self._rand.choice(self._samples)

    def mutated(self, data: bytes) -> bytes:
        for _ in range(self._rand.choice((0, 1, 1, 1, 2, 2, 3, 5))):
            data = self._rand.choice(self._ways)(data)
        return data

    def pieces(self, data: bytes) -> list[bytes]:
        """The same bytes, cut."""
        rand = self._rand
        if rand.random() < 0.2:
            return [data[place : place + 1] for place in range(len(data))]
        cuts = sorted(rand.randrange(len(data) + 1) for _ in range(rand.randrange(6)))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def _place(self, data: bytes) -> int:
        return self._rand.randrange(len(data) + 1)

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        place = self._rand.randrange(len(data))
        return data[:place] + bytes([data[place] ^ (1 << self._rand.randrange(8))]) + data[place + 1 :]

    def _byte(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + bytes([self._rand.randrange(256)]) + data[place + 1 :]

    def _insert(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._rand.choice(_BYTES) * self._rand.choice((1, 1, 1, 2, 40)) + data[place:]

    def _delete(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + data[place + self._rand.choice((1, 1, 2, 5, 20)) :]

    def _double(self, data: bytes) -> bytes:
        start, end = sorted((self._place(data), self._place(data)))
        return data[:end] + data[start:end] * self._rand.choice((1, 1, 2, 8)) + data[end:]

    def _word(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._rand.choice(self._words) + data[place:]

    def _number(self, data: bytes) -> bytes:
        found = list(_NUMBER.finditer(data))
        if not found:
            return data
        match = self._rand.choice(found)
        return data[: match.start()] + self._rand.choice(_NUMBERS) + data[match.end() :]

    def _case(self, data: bytes) -> bytes:
        start, end = sorted((self._place(data), self._place(data)))
        return data[:start] + data[start:end].swapcase() + data[end:]

    def _splice(self, data: bytes) -> bytes:
        other = self.sample()
        return data[: self._place(data)] + other[self._place(other) :]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _blanks(self, data: bytes) -> bytes:
        return data.replace(
            b" ", self._rand.choice((b"  ", b"\t", b" \t ", b"")), self._rand.choice((1, 1, 3))
        )
