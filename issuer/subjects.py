"""Subjects and subject patterns: what is well formed, and what matches, covers or collides.

A subject is tokens between dots. In a pattern the token `*` stands for one token and a last
token `>` for one or more. Inside a longer token both are plain characters.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NewType

Subject = NewType("Subject", str)
"""A subject or pattern as written in claims; the type alone promises nothing about its form."""

# The server looks for blanks only; the other control characters are ours, as no client sends them.
_BLANK_OR_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")


class SubjectFault(StrEnum):
    """What is wrong with a subject, in the order the reference library reports it."""

    EMPTY = "empty"
    SPACE = "space"
    OUTER_DOT = "outer-dot"
    DOUBLE_DOT = "double-dot"
    # The library lets these pass; the server then refuses or silently never matches them.
    UNPRINTABLE = "unprintable"
    TAIL_NOT_LAST = "tail-not-last"
    PARTIAL_WILDCARD = "partial-wildcard"

    @property
    def text(self) -> str:
        return _FAULT_TEXT[self]


_FAULT_TEXT: Final = {
    SubjectFault.EMPTY: "subject cannot be empty",
    SubjectFault.SPACE: "subject cannot have spaces",
    SubjectFault.OUTER_DOT: "subject cannot start or end with a dot",
    SubjectFault.DOUBLE_DOT: "subject cannot have two dots in a row",
    SubjectFault.UNPRINTABLE: "subject cannot have tabs, line ends or control characters",
    SubjectFault.TAIL_NOT_LAST: "`>` matches only as the last token",
    SubjectFault.PARTIAL_WILDCARD: "`*` and `>` are wildcards only as a whole token",
}


def subject_faults(text: str, *, strict: bool = True) -> tuple[SubjectFault, ...]:
    """Everything wrong with a subject; `strict=False` asks only what the reference library asks."""
    if not text:
        return (SubjectFault.EMPTY,)
    faults = []
    if " " in text:
        faults.append(SubjectFault.SPACE)
    if text[0] == "." or text[-1] == ".":
        faults.append(SubjectFault.OUTER_DOT)
    if ".." in text:
        faults.append(SubjectFault.DOUBLE_DOT)
    if not strict:
        return tuple(faults)
    if not text.isprintable():
        faults.append(SubjectFault.UNPRINTABLE)
    if "*" in text or ">" in text:
        parts = tokens(text)
        if ">" in parts[:-1]:
            faults.append(SubjectFault.TAIL_NOT_LAST)
        if any(len(part) > 1 and ("*" in part or ">" in part) for part in parts):
            faults.append(SubjectFault.PARTIAL_WILDCARD)
    return tuple(faults)


def tokens(subject: str) -> list[str]:
    """The parts between the dots."""
    return subject.split(".")


def is_valid(subject: str) -> bool:
    """Whether a server would take it as a subscription: no empty token, no blank, `>` only last."""
    if _BLANK_OR_CONTROL.search(subject):
        return False
    parts = tokens(subject)
    return "" not in parts and ">" not in parts[:-1]


def has_wildcards(subject: str) -> bool:
    """Whether some token is a wildcard; a `>` before the end is not one."""
    parts = tokens(subject)
    return "*" in parts or parts[-1] == ">"


def safe_token(text: str) -> bool:
    """Whether a value may be put into a subject as one token without widening it.

    Template values are inserted unescaped by the server, so a user called `*` would get
    everybody's subjects.
    """
    return bool(text) and text.isprintable() and not any(c in " .*>" for c in text)


def matches(pattern: str, literal: str) -> bool:
    """Whether a pattern takes in one literal subject; wildcards in `literal` are plain tokens."""
    if "*" not in pattern and ">" not in pattern:
        return pattern == literal and "" not in tokens(literal)
    wanted, given = tokens(pattern), tokens(literal)
    if not _sound(wanted) or "" in given:
        return False
    if wanted[-1] == ">":
        del wanted[-1]
        if len(given) <= len(wanted):
            return False
    elif len(given) != len(wanted):
        return False
    return all(want in ("*", have) for want, have in zip(wanted, given, strict=False))


def covers(wide: str, narrow: str) -> bool:
    """Whether every literal that `narrow` matches is also matched by `wide`.

    False when either is no valid pattern, so that a broken entry never counts as covered.
    """
    outer, inner = tokens(wide), tokens(narrow)
    if not _sound(outer) or not _sound(inner):
        return False
    for place, want in enumerate(outer):
        if want == ">":
            return place < len(inner)
        if place >= len(inner) or inner[place] == ">" or want not in ("*", inner[place]):
            return False
    return len(inner) == len(outer)


def overlaps(one: str, other: str) -> bool:
    """Whether some literal is matched by both."""
    left, right = tokens(one), tokens(other)
    if not _sound(left) or not _sound(right):
        return False
    for a, b in zip(left, right, strict=False):
        if ">" in (a, b):
            return True
        if a != b and "*" not in (a, b):
            return False
    return len(left) == len(right)


def library_contained_in(narrow: str, wide: str) -> bool:
    """What the reference library answers for "is contained in", slips included.

    It lets `*` take in a `>`, so `a.>` counts as inside `a.*`. Only for parity with its
    validation; decisions of ours ask `covers`.
    """
    inner, outer = tokens(narrow), tokens(wide)
    if len(inner) < len(outer) or (len(inner) > len(outer) and outer[-1] != ">"):
        return False
    last = len(outer) - 1
    for place, want in enumerate(outer):
        if place == last and want == ">":
            return True
        if want not in ("*", inner[place]):
            return False
    return True


def _sound(parts: list[str]) -> bool:
    return "" not in parts and ">" not in parts[:-1]
