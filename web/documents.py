"""YAML files read into plain data: for readers that say themselves what they want of it.

Strict where YAML is loose: no seeds, no tags, no member twice, no more than a file of ours can hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from issuer.authority.plan.plain_values import plain_value
from issuer.authority.plan.source import BadDocument, open_source
from issuer.errors import NotFound


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
        return plain_value(open_source(text, name))
    except RecursionError:
        raise BadDocument("is nested too deeply", at=name) from None
