"""Paths and filters of SCIM, as far as they occur (RFC 7644 §3.4.2.2, §3.5.2, figure 7). Pure.

Names of attributes mean the same in any case (RFC 7643 §2.1), and may have the URN of their schema before
them.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from issuer.errors import PeerError
from web.triggers.scim_schemas import COMPLEX, NOT_HELD, SEVERAL, SIMPLE, USER

MAX_PATH: Final = 512
_NAME: Final = r"[A-Za-z][A-Za-z0-9_$-]*"
_PATH: Final = re.compile(rf"(?P<name>{_NAME})(?:\[(?P<filter>[^\[\]]*)\])?(?:\.(?P<part>{_NAME}))?")
_EQUALS: Final = re.compile(rf"\s*(?P<name>{_NAME})\s+(?P<operator>[A-Za-z]+)\s+(?P<value>.+?)\s*", re.DOTALL)
_KNOWN: Final = {name.lower(): name for name in (*SIMPLE, *COMPLEX, *SEVERAL)}
_NOT_HELD: Final = frozenset(name.lower() for name in NOT_HELD)


class ScimError(PeerError):
    """A request that cannot be done; `kind` is a `scimType` of RFC 7644 §3.12."""

    code = "scim.malformed"

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Comparison(NamedTuple):
    """`name eq value`."""

    name: str
    value: str | bool


class Path(NamedTuple):
    """What a change is about: an attribute, which of its values, and which part of them."""

    name: str
    which: Comparison | None = None
    part: str = ""


def attribute_name(text: str) -> str | None:
    """An attribute as its schema spells it; None for one that is not held.

    Raises:
        ScimError: no user has such an attribute.
    """
    bare = without_urn(text)
    if bare is None or bare.lower() in _NOT_HELD:
        return None
    name = _KNOWN.get(bare.lower())
    if name is None:
        raise ScimError("invalidPath", "no user has an attribute of that name")
    return name


def without_urn(text: str) -> str | None:
    """The name behind the URN of the schema of users; None behind any other one, and of such a URN itself."""
    if not text.lower().startswith("urn:"):
        return text
    prefix = f"{USER}:"
    return text[len(prefix) :] if text.lower().startswith(prefix.lower()) else None


def part_name(name: str, text: str) -> str:
    """A part of a composed attribute as its schema spells it.

    Raises:
        ScimError: it has no such part.
    """
    parts = COMPLEX.get(name) or SEVERAL.get(name) or {}
    found = next((part for part in parts if part.lower() == text.lower()), None)
    if found is None:
        raise ScimError("invalidPath", f"{name} has no part of that name")
    return found


def parse_path(text: str) -> Path | None:
    """What a path leads to; None where that is not held.

    Raises:
        ScimError: it is no path, or one that leads nowhere.
    """
    bare = without_urn(text)
    if bare is None:
        return None
    found = _PATH.fullmatch(bare) if len(bare) <= MAX_PATH else None
    if found is None:
        raise ScimError("invalidPath", "that is no path")
    name = attribute_name(found["name"])
    if name is None:
        return None
    which: Comparison | None = None
    if found["filter"] is not None:
        if name not in SEVERAL:
            raise ScimError("invalidPath", f"{name} has one value, and none to choose among")
        which = comparison(found["filter"])
        which = Comparison(part_name(name, which.name), which.value)
    part = part_name(name, found["part"]) if found["part"] else ""
    return Path(name, which, part)


def comparison(text: str) -> Comparison:
    """A filter of the form `name eq value`.

    Raises:
        ScimError: it is another one.
    """
    bare = without_urn(text.strip()) or ""
    found = _EQUALS.fullmatch(bare) if len(bare) <= MAX_PATH else None
    if found is None or found["operator"].lower() != "eq":
        raise ScimError("invalidFilter", "only `attribute eq value` is understood")
    try:
        value: Any = msgspec.json.decode(found["value"])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ScimError("invalidFilter", "the value is neither a text in quotes nor true or false") from None
    if not isinstance(value, str | bool):
        raise ScimError("invalidFilter", "the value is neither a text in quotes nor true or false")
    return Comparison(found["name"], value)
