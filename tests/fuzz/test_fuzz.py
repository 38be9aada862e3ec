"""A short run of each target; `python -m tests.fuzz` runs a million."""

from __future__ import annotations

from tests.fuzz import fuzz_protocol


def test_the_reader_reads_or_ends() -> None:
    whole = fuzz_protocol.run(20_000, seed=7)
    # Mutations so harsh that nothing gets through would prove nothing.
    assert 4_000 < whole < 16_000
