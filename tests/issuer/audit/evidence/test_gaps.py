"""What stands for the entries that are left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from issuer.audit.evidence.gaps import gaps


@given(st.data())
def test_present_and_gaps_are_the_whole_tree_in_order(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 300))
    present = sorted(data.draw(st.sets(st.integers(0, max(size - 1, 0)))) if size else [])
    cuts = data.draw(st.lists(st.integers(-3, 320), max_size=3))
    spans = [(index << level, (index + 1) << level) for level, index in gaps(present, size, cuts)]
    assert sorted([*spans, *((leaf, leaf + 1) for leaf in present)]) == (
        whole := sorted([*spans, *((leaf, leaf + 1) for leaf in present)], key=lambda span: span[0])
    )
    assert [at for span in whole for at in range(*span)] == list(range(size))
    assert not any(begin < cut < end for begin, end in spans for cut in cuts)


def test_a_dense_bundle_needs_few_hashes() -> None:
    assert list(gaps(range(1000), 1000)) == []
    assert len(list(gaps(range(500_000, 1_000_000), 1_000_000))) <= 20
    assert list(gaps([], 7)) == [(2, 0), (1, 2), (0, 6)]
    assert list(gaps([], 7, [3])) == [(1, 0), (0, 2), (0, 3), (1, 2), (0, 6)]
