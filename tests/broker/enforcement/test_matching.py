from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.enforcement.matching import Patterns, queue_fits
from issuer.subjects import is_valid, matches, overlaps

token = st.sampled_from(["a", "b", "c", "*", ">", "a*", "é", ""])
subject = st.lists(token, min_size=1, max_size=5).map(".".join)
pattern = subject.filter(is_valid)
entries = st.lists(st.tuples(pattern, st.sampled_from(["", "q", "r"])), max_size=6)


@given(entries, subject)
def test_a_tree_finds_what_looking_at_each_entry_finds(listed: list[tuple[str, str]], asked: str) -> None:
    tree = Patterns(listed)
    assert set(tree.labels(asked)) == {queue for entry, queue in listed if matches(entry, asked)}
    assert tree.matches(asked) is any(matches(entry, asked) for entry, queue in listed if not queue)


@given(entries, pattern)
def test_a_tree_collides_where_one_of_its_entries_does(listed: list[tuple[str, str]], asked: str) -> None:
    assert Patterns(listed).collide(asked) is any(overlaps(entry, asked) for entry, _ in listed)


def test_the_cost_of_a_look_does_not_grow_with_the_entries() -> None:
    def seconds(tree: Patterns) -> float:
        best = 1.0
        for _ in range(5):
            begun = time.perf_counter()
            for number in range(500):
                tree.matches(f"k7.x.{number}")
            best = min(best, time.perf_counter() - begun)
        return best

    few, many = (Patterns([(f"k{n}.*.{n}", "") for n in range(size)]) for size in (10, 10_000))
    assert seconds(many) < 4 * seconds(few)


@pytest.mark.parametrize(
    ("queue", "entry", "fits"),
    [
        ("v1", "v1", True),
        ("v2", "v1", False),
        ("v1.a", "v1.*", True),
        ("v1.*", "v1.*", True),
        ("v1", "v1.*", False),
        ("v1.a.b", "v1.*", False),
        ("v1.a.b", "v1.>", True),
        ("v1", ">", True),
        ("v1.>", "v1.*", False),
        ("v1.*", "v1.a", False),
        ("g1.x", "g*.x", False),
        ("g*.x", "g*.x", True),
        # With a wildcard elsewhere, whatever begins with `*` is one as well.
        ("g1.x", "*g.*", True),
        ("x.dev", "*.dev", True),
    ],
)
def test_which_queue_an_entry_stands_for(queue: str, entry: str, *, fits: bool) -> None:
    assert queue_fits(queue, [entry]) is fits
