"""The trie gives what comparing every subscription would give, whatever came and went."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.trie import Subscription, Trie
from issuer.subjects import matches

TOKEN = st.sampled_from(["a", "b", "foo*", "*", ">"])
PATTERN = st.lists(TOKEN, min_size=1, max_size=4).map(".".join)
LITERAL = st.lists(st.sampled_from(["a", "b", "foo*", "*", ">", ""]), min_size=1, max_size=4).map(".".join)


def sound(pattern: str) -> bool:
    return ">" not in pattern.split(".")[:-1]


@given(
    st.lists(st.tuples(PATTERN, st.sampled_from(["", "", "q", "r"])), max_size=14),
    st.lists(st.integers(0, 13), max_size=8),
    st.lists(LITERAL, min_size=1, max_size=6),
)
def test_agrees_with_comparing_each(
    wanted: list[tuple[str, str]], removed: list[int], published: list[str]
) -> None:
    trie = Trie()
    there: dict[Subscription, None] = {}
    made: list[Subscription] = []
    for subject, queue in wanted:
        subscription = Subscription(subject, queue)
        assert trie.insert(subscription) == sound(subject)
        if sound(subject):
            there[subscription] = None
            made.append(subscription)
    for subject in published:
        trie.match(subject)  # so that answers are remembered, and must be forgotten
    for number in removed:
        if number < len(made):
            assert trie.remove(made[number]) == (made[number] in there)
            there.pop(made[number], None)
    assert len(trie) == len(there)
    for subject in published:
        found = trie.match(subject)
        expected = [each for each in there if matches(each.subject, subject)]
        assert set(found.plain) == {each for each in expected if not each.queue}
        assert len(found.plain) == len(set(found.plain))
        groups = {group[0].queue: set(group) for group in found.groups}
        assert groups == {
            queue: members
            for queue in ("q", "r")
            if (members := {each for each in expected if each.queue == queue})
        }


@pytest.mark.parametrize("subject", ["", ".", "a.", ".a", "a..b", ">.a", "a.>.b"])
def test_what_is_no_subject_is_not_taken(subject: str) -> None:
    trie = Trie()
    assert not trie.insert(Subscription(subject))
    assert len(trie) == 0


def test_an_emptied_trie_keeps_no_nodes() -> None:
    trie = Trie()
    subscriptions = [Subscription(s) for s in ("a", "a.*", "a.*.b", "a.>", "*.b.>", ">", "*")]
    for each in subscriptions:
        trie.insert(each)
    for each in subscriptions:
        assert trie.remove(each)
    assert not trie._literal
    assert trie._root.empty()


def test_generation_rises_with_every_change() -> None:
    trie = Trie()
    first = Subscription("a")
    trie.insert(first)
    before = trie.generation
    trie.remove(first)
    assert trie.generation > before
    before = trie.generation
    trie.remove(first)
    assert trie.generation == before
