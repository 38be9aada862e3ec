"""YAML files read into plain data: for readers that say themselves what they want of it.

Strict where YAML is loose: no seeds, no tags, no member twice, no more than a file of ours can hold.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from issuer.authority.plan.source import BadDocument, Place, open_source
from issuer.errors import NotFound

# The numbers of JSON and no others: 0o17, .inf, 1_000 and 12:30 stay texts.
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_BROKEN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")


def read_file(path: Path) -> Any:
    """The document in a file.

    Raises:
        NotFound: it cannot be read.
        BadDocument: as `plain_document`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(f"cannot be read: {error.strerror or 'I/O error'}", at=str(path)) from None
    return plain_document(data, str(path))


def plain_document(text: str | bytes, name: str) -> Any:
    """Texts, numbers, switches, lists and mappings with texts as names; a date stays a text.

    Raises:
        BadDocument: not one YAML document, a seed in it, a member twice, nested too deeply.
    """
    try:
        return _plain(open_source(text, name))
    except RecursionError:
        raise BadDocument("is nested too deeply", at=name) from None


def _plain(place: Place) -> Any:
    if place.is_mapping:
        return {key: _plain(value) for key, value in place.entries().items()}
    if place.is_list:
        return [_plain(item) for item in place.items()]
    if place.is_nothing:
        return None
    if place.is_flag:
        return place.flag()
    text = place.scalar()
    if place.node.style is not None:
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _BROKEN.fullmatch(text) else text
