"""Common Event Format, version 0: one line, a header with bars and an extension of pairs."""

from __future__ import annotations

import re
from typing import Final

from issuer import __version__
from issuer.audit.catalogue import CATALOGUE
from issuer.audit.formats.numbers import class_id, severity
from issuer.audit.formats.record import Record, person_of

_HEADER: Final = str.maketrans({"\\": "\\\\", "|": "\\|", "\n": " ", "\r": " "})
_VALUE: Final = str.maketrans({"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r"})
_SPECIAL: Final = re.compile(r"[\\=\n\r]")
_MOST: Final = 1023  # characters of a value most receivers take
_TITLES: Final = {entry.code.value: entry.title.translate(_HEADER) for entry in CATALOGUE.values()}


class Cef:
    """`cef`."""

    name = "cef"
    in_clear = True

    def head(self) -> bytes:
        return b""

    def render(self, record: Record) -> bytes:
        return f"{line(record)}\n".encode()


def line(record: Record) -> str:
    """The event as one line, without its end."""
    body, detail = record.body, record.body.detail
    number = class_id(body.code, body.outcome)
    title = _TITLES[body.code]
    pairs = [
        ("rt", str(body.at * 1000)),
        ("externalId", str(record.seq)),
        ("act", body.code),
        ("outcome", body.outcome),
        ("suser", person_of(body.actor)),
        ("duid", body.target),
        ("duser", str(detail.get("subject") or detail.get("name") or "")),
        ("src", str(detail.get("address", ""))),
        ("reason", body.reason),
        ("cs1Label", "origin"),
        ("cs1", record.origin),
        ("cs2Label", "leaf"),
        ("cs2", record.leaf),
        ("cs3Label", "correlation"),
        ("cs3", body.correlation),
        ("msg", "; ".join(f"{name}: {value}" for name, value in sorted(detail.items()))),
    ]
    extension = " ".join([f"{name}={_value(value)}" for name, value in pairs if value])
    level = severity(body.code, body.outcome)
    return f"CEF:0|Accredit|accredit|{__version__}|{number}|{title}|{level}|{extension}"


def _value(text: str) -> str:
    text = text[:_MOST]
    return text.translate(_VALUE) if _SPECIAL.search(text) else text
