"""A fault of a policy that can be read: what is wrong, where, and the way out."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callout.policy.place import Place


class Level(StrEnum):
    """An error cannot be meant; a warning may be; a note is to be known."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Code(StrEnum):
    """Stable: configurations and pipelines name them."""

    SHADOWED = "binding.shadowed"
    NO_CRITERIA = "binding.no-criteria"
    WIDE = "binding.wide"
    WIDE_GLOB = "criterion.any-text"
    WIDE_NETWORK = "criterion.any-network"
    WIDE_ROLE = "binding.wide-role"
    CONTRADICTION = "criterion.contradiction"
    OVER = "criterion.over"
    ACCOUNT_UNKNOWN = "unknown.account"
    ROLE_UNKNOWN = "unknown.role"
    DIRECTORY_UNKNOWN = "unknown.directory"
    GROUP_UNKNOWN = "unknown.group"
    CAP_IDLE = "lifetime.beyond-directory"
    CAP_BEYOND_POLICY = "lifetime.beyond-policy"
    VALUE_MISSING = "value.missing"
    VALUE_UNUSED = "value.unused"
    UNION_CONFLICT = "union.conflict"
    UNION_VALUES = "union.values"
    SEPARATION_BROKEN = "separation.broken"
    SEPARATION_ALWAYS = "separation.always"
    SEPARATION_IDLE = "separation.idle"


class Finding(msgspec.Struct, frozen=True):
    """One fault; `pointer` is a JSON pointer into the policy file."""

    code: Code
    level: Level
    pointer: str
    message: str
    hint: str


def pointer(*steps: str | int) -> str:
    """A JSON pointer (RFC 6901)."""
    place = Place(None)
    for step in steps:
        place = Place(None, place.child(step))
    return place.pointer
