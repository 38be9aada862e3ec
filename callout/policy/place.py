"""Plain data with places: every fault names its JSON pointer (RFC 6901) and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from callout.policy.spans import parse_moment, parse_span
from issuer.errors import PeerError

MAX_TEXT: Final = 1024
MAX_ITEMS: Final = 10_000


class PolicyError(PeerError):
    """A policy that cannot be read; `at` is a JSON pointer."""

    code = "policy.malformed"


@dataclass(frozen=True, slots=True)
class Place:
    """One value, and where it stands."""

    value: Any
    pointer: str = ""

    def fault(self, message: str, *, hint: str) -> PolicyError:
        return PolicyError(message, at=self.pointer or "/", hint=hint)

    def child(self, name: str | int) -> str:
        return self.pointer + "/" + str(name).replace("~", "~0").replace("/", "~1")

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, Mapping)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list | tuple)

    def entries(self) -> dict[str, Place]:
        """The members of a mapping whose names are the file's own."""
        if not self.is_mapping:
            raise self.fault(f"must be a mapping, not {self.shown()}", hint="write members as `name: value`")
        if len(self.value) > MAX_ITEMS:
            raise self.fault(f"has {len(self.value)} members", hint=f"{MAX_ITEMS} are the most")
        found = {}
        for name, value in self.value.items():
            if not isinstance(name, str):
                key = Place(name)
                raise self.fault(
                    f"the name {key.shown()} is no text", hint=f"write it in quotes{key._quoted()}"
                )
            found[name] = Place(value, self.child(name))
        return found

    def members(self, known: Iterable[str], *, needed: Iterable[str] = ()) -> dict[str, Place]:
        """The members of a mapping whose names are fixed."""
        names = tuple(known)
        found = self.entries()
        for name, place in found.items():
            if name not in names:
                raise place.fault("is not known here", hint=nearest(name, names))
        for name in needed:
            if name not in found:
                raise self.fault(f"lacks {name!r}", hint=f"add {name}:")
        return found

    def items(self) -> list[Place]:
        if not self.is_list:
            raise self.fault(f"must be a list, not {self.shown()}", hint="write it as [one, two]")
        if len(self.value) > MAX_ITEMS:
            raise self.fault(f"has {len(self.value)} entries", hint=f"{MAX_ITEMS} are the most")
        return [Place(value, self.child(index)) for index, value in enumerate(self.value)]

    def text(self) -> str:
        """A text that can be seen: not empty, no control characters."""
        if not isinstance(self.value, str):
            raise self.fault(
                f"must be a text, not {self.shown()}", hint=f"write it in quotes{self._quoted()}"
            )
        if not self.value:
            raise self.fault("is empty", hint="leave the member out, or write what it shall be")
        if len(self.value) > MAX_TEXT:
            raise self.fault(
                f"has {len(self.value)} characters", hint=f"a text here has {MAX_TEXT} at the most"
            )
        if not self.value.isprintable():
            raise self.fault(
                "holds a character that cannot be seen", hint="write it with letters one can see"
            )
        # A parser's own kind of text, with its quotes remembered, becomes a plain one.
        return str(self.value)

    def one_of(self, words: Iterable[str]) -> str:
        text, known = self.text(), tuple(words)
        if text not in known:
            raise self.fault(f"{self.shown()} is not known here", hint=nearest(text, known))
        return text

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.fault(
                f"must be true or false, not {self.shown()}", hint="write true or false, unquoted"
            )
        return self.value

    def whole(self, least: int, most: int) -> int:
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.fault(
                f"must be a whole number, not {self.shown()}", hint=f"from {least} to {most}, unquoted"
            )
        return int(value)

    def span(self, least: int, most: int) -> int:
        """Seconds."""
        value = self.value
        found = value if isinstance(value, int) and not isinstance(value, bool) else None
        if isinstance(value, str):
            found = parse_span(value)
        if found is None:
            raise self.fault(f"{self.shown()} is not a span of time", hint="as 90s, 15m, 8h, 1h30m or 7d")
        if not least <= found <= most:
            raise self.fault(
                f"{self.shown()} is too {'short' if found < least else 'long'}",
                hint=f"from {least} to {most} seconds",
            )
        return found

    def moment(self) -> int:
        """Seconds since 1970."""
        found = parse_moment(self.value) if isinstance(self.value, str) else None
        if found is None:
            raise self.fault(
                f"{self.shown()} is not a moment",
                hint='in quotes and with its zone, as "2027-01-31T12:00:00Z"; "2027-01-31" is midnight UTC',
            )
        return found

    def shown(self) -> str:
        """The value in a message: short, and of what kind it is."""
        value = self.value
        if isinstance(value, str):
            return repr(value if len(value) <= 60 else value[:59] + "…")
        if value is None:
            return "nothing"
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int) and abs(value) < 10**18:
            return f"the number {value}"
        words = {Mapping: "a mapping", list: "a list", tuple: "a list", int: "a very large number"}
        return next((word for kind, word in words.items() if isinstance(value, kind)), type(value).__name__)

    def _quoted(self) -> str:
        plain = isinstance(self.value, int | float) and abs(self.value) < 10**18
        return f': "{str(self.value).lower()}"' if plain else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the known name that was meant, most likely, or all of them."""
    names = tuple(map(str, known))
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(names)
