"""Values as they may stand in filters (RFC 4515) and in names of entries (RFC 4514).

More is escaped than the RFCs ask for: a library that parses a filter may strip blanks, also those of
other scripts, and would then look for another name than was shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@")
_SPECIAL_IN_NAMES: Final = frozenset('"#+,;<=>\\')
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")

USER: Final = "user"
"""The name without realm, suffix or prefix."""
SHOWN: Final = "shown"
"""The name as it was shown."""


def filter_value(value: str | bytes) -> str:
    """A value that matches itself and nothing else, whatever is in it."""
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:02x}" for byte in raw)


def name_value(value: str) -> str:
    """A value as part of an entry's name: it can neither end its part nor begin another."""
    out = []
    last = len(value) - 1
    for place, char in enumerate(value):
        if char in _SPECIAL_IN_NAMES or (char == " " and place in {0, last}):
            out.append("\\" + char)
        elif char < " " or char == "\x7f":
            out.append(f"\\{ord(char):02x}")
        else:
            out.append(char)
    return "".join(out)


def placeholders(template: str) -> set[str]:
    """The names between braces, known or not."""
    return set(_PLACEHOLDER.findall(template))


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced, in one pass; the values are escaped already."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)


def user_filter(template: str, *, user: str, shown: str) -> str:
    """The filter that finds one name."""
    return filled(template, {USER: filter_value(user), SHOWN: filter_value(shown)})


def anybody_filter(template: str) -> str:
    """The filter that finds everybody who could be found by some name."""
    return filled(template, {USER: "*", SHOWN: "*"})
