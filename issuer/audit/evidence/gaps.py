"""The hashes that stand for entries which are not in a bundle: as few as there can be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def gaps(present: Iterable[int], size: int, cuts: Iterable[int] = ()) -> Iterator[tuple[int, int]]:
    """The complete subtrees (level, index) over the leaves of a tree of `size` that are not `present`.

    `present` rises. No subtree reaches over a `cut`, so that the root at that size can be told, too.
    """
    borders = sorted({cut for cut in cuts if 0 < cut < size} | {size})
    at = 0
    for leaf in present:
        yield from _between(at, leaf, borders)
        at = leaf + 1
    yield from _between(at, size, borders)


def _between(begin: int, end: int, borders: list[int]) -> Iterator[tuple[int, int]]:
    for border in borders:
        if begin < border and begin < end:
            yield from _aligned(begin, min(end, border))
            begin = min(end, border)


def _aligned(begin: int, end: int) -> Iterator[tuple[int, int]]:
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        yield level, begin >> level
        begin += 1 << level
