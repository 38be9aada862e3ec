"""A YAML file as places: values that know where they stand, read as what is wanted of them.

YAML 1.2 is parsed into its nodes and no further. What a plain `on`, `007` or `1e3` means is
decided by the field it stands in, so no text turns into a number or a switch by its looks, and
no tag can make an object. Aliases and `<<` are followed; what they multiply is counted.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from issuer.authority.plan import quantities
from issuer.errors import PeerError

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_VALUES: Final = 500_000
_PLAIN_NAME: Final = re.compile(r"[\w$@+-]+")
_SEED: Final = re.compile(r"(?<![A-Za-z0-9])S[OAUNCX][A-Z2-7]{56}(?![A-Za-z0-9])")
_NOTHING: Final = frozenset({"", "~", "null", "Null", "NULL"})
_FLAGS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_TAG: Final = "tag:yaml.org,2002:"
_CORE_TAGS: Final = frozenset(
    _TAG + name
    for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "seq", "map", "value")
)


class BadDocument(PeerError):
    """A file that cannot be read as what it should be."""

    code = "plan.malformed"


@dataclass(slots=True)
class Source:
    """The file being read, and how much of it has been looked at."""

    name: str
    digest: str
    looked_at: int = 0


@dataclass(frozen=True, slots=True)
class Where:
    """Where something was declared: for errors found later than at reading."""

    path: str = ""
    at: str = ""

    def fault(self, message: str, *, hint: str | None = None) -> BadDocument:
        return BadDocument(f"{self.path}: {message}", at=self.at, hint=hint)


@dataclass(frozen=True, slots=True)
class Place:
    """One value of the file. `path` is the way to it: `accounts.GRID.roles.meter.allow-pub[2]`."""

    node: Any
    path: str
    source: Source = field(repr=False)
    key: Any = None

    def __post_init__(self) -> None:
        self.source.looked_at += 1
        if self.source.looked_at > MAX_VALUES:
            raise BadDocument(
                f"the file holds more than {MAX_VALUES} values, aliases included", at=self.source.name
            )
        if str(self.node.tag) not in _CORE_TAGS:
            raise self.fault(f"tag {_short(str(self.node.tag))} is not allowed")

    @property
    def where(self) -> Where:
        mark = (self.key or self.node).start_mark
        return Where(self.path, f"{self.source.name}:{mark.line + 1}:{mark.column + 1}")

    def fault(self, message: str, *, hint: str | None = None) -> BadDocument:
        mark = self.node.start_mark
        at = f"{self.source.name}:{mark.line + 1}:{mark.column + 1}"
        return BadDocument(f"{self.path}: {message}" if self.path else message, at=at, hint=hint)

    # What it looks like

    @property
    def is_mapping(self) -> bool:
        return str(self.node.id) == "mapping"

    @property
    def is_list(self) -> bool:
        return str(self.node.id) == "sequence"

    @property
    def is_nothing(self) -> bool:
        return self._plain in _NOTHING

    @property
    def is_flag(self) -> bool:
        return self._plain in _FLAGS

    @property
    def _plain(self) -> str | None:
        """The text of an unquoted scalar."""
        node = self.node
        if str(node.id) != "scalar" or node.style is not None:
            return None
        return str(node.value)

    # Reading

    def members(self, known: Iterable[str]) -> dict[str, Place]:
        """The members of a mapping whose names are fixed; nothing written is an empty one."""
        names = tuple(known)
        found = self.entries()
        for name, place in found.items():
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                raise _at_key(place).fault(
                    "is not a known key here",
                    hint=f"did you mean {near[0]!r}" if near else f"known are {', '.join(names)}",
                )
        return found

    def entries(self) -> dict[str, Place]:
        """The members of a mapping whose names are the file's own."""
        if self.is_nothing:
            return {}
        if not self.is_mapping:
            raise self.fault(f"must be a mapping, not {self._kind()}")
        own: dict[str, Place] = {}
        merged: dict[str, Place] = {}
        for key, value in self.node.value:
            if str(key.id) != "scalar":
                raise Place(key, self.path, self.source).fault("a key must be plain text")
            if key.value == "<<" and key.style is None:
                merged = {**merged, **self._merged(value)}
                continue
            name = Place(key, self.path, self.source).scalar()
            place = Place(value, _join(self.path, name), self.source, key)
            if name in own:
                first = own[name].key.start_mark.line + 1
                raise _at_key(place).fault(f"is written twice, first in line {first}")
            own[name] = place
        return {**merged, **own}

    def _merged(self, value: Any) -> dict[str, Place]:
        """What `<<: *template` brings in; earlier ones of a list win, as in YAML 1.1 where it comes from."""
        place = Place(value, self.path, self.source)
        found: dict[str, Place] = {}
        for part in place.items() if place.is_list else [place]:
            for name, inner in Place(part.node, self.path, self.source).entries().items():
                found.setdefault(name, inner)
        return found

    def items(self) -> list[Place]:
        if not self.is_list:
            raise self.fault(f"must be a list, not {self._kind()}")
        return [
            Place(node, f"{self.path}[{index}]", self.source) for index, node in enumerate(self.node.value)
        ]

    def text(self) -> str:
        if self.is_nothing:
            raise self.fault("is empty", hint='write "" for an empty text')
        if str(self.node.id) != "scalar":
            raise self.fault(f"must be a text, not {self._kind()}")
        return self.scalar()

    def scalar(self) -> str:
        """The characters of a scalar, with the two halves put together that JSON makes of one."""
        value = str(self.node.value)
        try:
            return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self.fault("holds half a character") from None

    def texts(self) -> tuple[Place, ...]:
        """A list of texts; a single text stands for a list of one."""
        if str(self.node.id) == "scalar" and not self.is_nothing:
            return (self,)
        return tuple(self.items())

    def flag(self) -> bool:
        text = self._plain
        if text is None or text not in _FLAGS:
            raise self.fault("must be true or false")
        return _FLAGS[text]

    def count(self) -> int:
        return self._quantity(quantities.parse_count, "a whole number, or unlimited")

    def size(self) -> int:
        return self._quantity(quantities.parse_size, "a size, as 4096, 10m, 1GiB, or unlimited")

    def span(self) -> int:
        return self._quantity(quantities.parse_span, "a span of time, as 500ms, 2s, 1m30s")

    def moment(self) -> int:
        return self._quantity(quantities.parse_moment, "a time, as 2027-01-31T12:00:00Z, or never")

    def between(self, least: int, most: int) -> int:
        value = self.count()
        if not least <= value <= most:
            raise self.fault(f"must be from {least} to {most}")
        return value

    def one_of(self, words: Iterable[str]) -> str:
        """One of some words, in any letter case."""
        text = self.text()
        for word in words:
            if word.lower() == text.lower():
                return word
        raise self.fault(f"{_short(text)} is not one of {', '.join(words)}")

    def _quantity(self, parse: Callable[[str], int | None], wanted: str) -> int:
        text = self.text()
        value = parse(text.strip())
        if value is None:
            raise self.fault(f"{_short(text)} is not {wanted}")
        return value

    def _kind(self) -> str:
        if self.is_mapping or self.is_list:
            return "a mapping" if self.is_mapping else "a list"
        return _short(str(self.node.value)) if self.node.value else "nothing"


def open_source(text: str | bytes, name: str) -> Place:
    """Parse one YAML document.

    Raises:
        BadDocument: too large, not UTF-8, not YAML, several documents, or none.
    """
    data = text.encode() if isinstance(text, str) else text
    source = Source(name, hashlib.sha256(data).hexdigest())
    if len(data) > MAX_BYTES:
        raise BadDocument(f"the file is larger than {MAX_BYTES // 1024**2} MiB", at=name)
    try:
        decoded = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadDocument("is not UTF-8", at=f"{name}:{line}") from None
    seed = _SEED.search(decoded)
    if seed:
        # Said before anything could repeat it in a message.
        line = decoded.count("\n", 0, seed.start()) + 1
        raise BadDocument("holds a seed: seeds stay in custody, never in such a file", at=f"{name}:{line}")
    node = _compose(decoded, name)
    if node is None:
        raise BadDocument("the file is empty", at=name)
    return Place(node, "", source)


def _compose(text: str, name: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        words = " ".join(str(error.problem or error.context or "is not YAML").split())
        if "another document" in words:
            words = "the file holds more than one document"
        raise BadDocument(words, at=at) from None
    except YAMLError as error:
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else None
        words = "holds a character YAML does not allow" if line else "is not YAML"
        raise BadDocument(words, at=f"{name}:{line}" if line else name) from None
    except RecursionError:
        raise BadDocument("is nested too deeply", at=name) from None
    # The parser itself stumbles over some broken input: a bad escape, a bad directive.
    except (ValueError, TypeError, AttributeError, IndexError, KeyError, AssertionError, NotImplementedError):
        raise BadDocument("is not YAML", at=name) from None


def step(name: str) -> str:
    """A name as part of a path, quoted where dots or blanks would mislead."""
    return name if _PLAIN_NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _join(path: str, name: str) -> str:
    return f"{path}.{step(name)}" if path else step(name)


def _at_key(place: Place) -> Place:
    return Place(place.key, place.path, place.source)


def _short(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
