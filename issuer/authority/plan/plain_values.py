"""Places as plain data, for readers that say themselves what they want of it, and the way back to a place."""

from __future__ import annotations

import re
from typing import Any, Final

from issuer.authority.plan.source import Place

# The numbers of JSON and no others: 0o17, .inf, 1_000 and 12:30 stay texts.
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_BROKEN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")


def plain_value(place: Place) -> Any:
    """Texts, numbers, switches, lists and mappings with texts as names; a date stays a text.

    Raises:
        BadDocument: a member twice, a key that is no text.
        RecursionError: nested too deeply.
    """
    if place.is_mapping:
        return {key: plain_value(value) for key, value in place.entries().items()}
    if place.is_list:
        return [plain_value(item) for item in place.items()]
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


def at_pointer(place: Place, pointer: str) -> Place:
    """What a JSON pointer (RFC 6901) leads to from here; where it leads nowhere, the last on the way."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if place.is_mapping:
            inner = place.entries().get(name)
        elif place.is_list and name.isdecimal() and int(name) < len(place.items()):
            inner = place.items()[int(name)]
        else:
            inner = None
        if inner is None:
            break
        place = inner
    return place
