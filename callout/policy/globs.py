"""Globs: `*` is any run of characters, everything else is itself; letter case counts.

No other wildcard exists, and none is read as a plain character either: who writes `?` or `[`
means something that would not happen. Matching looks at each character a bounded number of
times, whatever the pattern.
"""

from __future__ import annotations

from typing import Final

STAR: Final = "*"
NOT_TAKEN: Final = "?[]{}\\"
MAX_LENGTH: Final = 256


def glob_matches(pattern: str, text: str) -> bool:
    if STAR not in pattern:
        return pattern == text
    first, *middle, last = pattern.split(STAR)
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    # Where all wildcards are alike, the earliest place of each part is as good as any.
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def glob_takes_all(pattern: str) -> bool:
    """Whether any text at all matches."""
    return bool(pattern) and not pattern.strip(STAR)


def glob_surely_wider(wide: str, narrow: str) -> bool:
    """Whether all that `narrow` matches is surely matched by `wide`; False where it is not plain to see."""
    if wide == narrow or glob_takes_all(wide):
        return True
    if STAR not in narrow:
        return glob_matches(wide, narrow)
    head, star, tail = wide.partition(STAR)
    if not star or STAR in tail:
        return False
    start, _, _ = narrow.partition(STAR)
    _, _, finish = narrow.rpartition(STAR)
    return start.startswith(head) and finish.endswith(tail)
