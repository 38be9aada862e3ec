"""What a name may be: it becomes a file name, a table cell and part of a subject elsewhere."""

from __future__ import annotations

from typing import Final

from issuer.errors import PeerError

MAX_NAME: Final = 256


class BadName(PeerError):
    """A name that would break something later."""

    code = "name.malformed"


def checked_name(text: str, what: str) -> str:
    """The name without surrounding blanks.

    Raises:
        BadName: empty, too long, not printable, or unusable as a file name in an nsc store.
    """
    name = text.strip()
    if not name:
        raise BadName(f"the {what}'s name is empty", at="name")
    if len(name) > MAX_NAME:
        raise BadName(f"the {what}'s name is longer than {MAX_NAME} characters", at="name")
    if not name.isprintable():
        raise BadName(f"the {what}'s name holds a character that cannot be printed", at="name")
    if "/" in name or "\\" in name or name in {".", ".."}:
        raise BadName(
            f"{name!r} cannot name an {what}" if what[0] in "aeiou" else f"{name!r} cannot name a {what}",
            at="name",
            hint="names may not hold / or \\",
        )
    return name
