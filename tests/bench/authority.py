"""The authority's group: tokens, bulk issuing, the command line's start, the speed of a revocation."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench import bulk, revocation, startup, tokens
from tests.bench.measure import Row


def rows() -> Iterator[Row]:
    yield from tokens.rows()
    yield from startup.rows()
    yield from revocation.rows()
    yield from bulk.rows()
