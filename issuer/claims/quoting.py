"""Go's `%q`: the quoted form the reference library puts around texts it complains about."""

from __future__ import annotations

from typing import Final

_SHORT: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def quoted(text: str) -> str:
    """Double quotes, escapes for what cannot be printed, everything printable as it is."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_character, text)) + '"'


def _character(character: str) -> str:
    short = _SHORT.get(character)
    if short is not None:
        return short
    # Python and Go agree on what is printable: letters, marks, numbers, punctuation, symbols
    # and the ASCII space; they may differ by what their Unicode tables know.
    if character.isprintable():
        return character
    point = ord(character)
    if point < 0x80:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"
