"""Retained messages by filter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.mqtt.retained import Retained, RetainedMessages
from broker.mqtt.session import topic_bytes
from broker.trie import Subscription, Trie

SUBJECTS = ("a", "a.b", "a.b.c", "a.c", "b.b", "$x.y")


def kept(*subjects: str) -> RetainedMessages:
    messages = RetainedMessages()
    for subject in subjects:
        messages.put(subject, Retained(topic_bytes(subject), subject.encode(), 0))
    return messages


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a", {"a"}),
        ("a.b", {"a.b"}),
        ("a.*", {"a.b", "a.c"}),
        ("*.b", {"a.b", "b.b"}),
        ("a.>", {"a.b", "a.b.c", "a.c"}),
        (">", set(SUBJECTS)),
        ("*.*", {"a.b", "a.c", "b.b", "$x.y"}),
        ("*.*.>", {"a.b.c"}),
        ("a.b.c.>", set()),
        ("c", set()),
        (">.a", set()),
        ("", set()),
    ],
)
def test_what_a_filter_matches(pattern: str, found: set[str]) -> None:
    assert {subject for subject, _ in kept(*SUBJECTS).match(pattern)} == found


def test_the_last_one_counts() -> None:
    messages = kept("a")
    messages.put("a", Retained(b"a", b"2", 1))
    assert messages.match("a") == [("a", Retained(b"a", b"2", 1))]
    assert messages.count == 1


def test_one_that_is_gone_is_gone() -> None:
    messages = kept("a", "a.b.c")
    messages.remove("a.b")
    messages.remove("x.y")
    assert messages.count == 2
    messages.remove("a.b.c")
    assert messages.get("a.b.c") is None
    assert messages.get("a") is not None
    assert messages.match(">") == [("a", Retained(b"a", b"a", 0))]
    messages.remove("a")
    assert messages.count == 0
    assert messages.match(">") == []


tokens = st.lists(st.sampled_from(["a", "b", "$c", "/"]), min_size=1, max_size=4)
patterns = st.tuples(
    st.lists(st.sampled_from(["a", "b", "$c", "*"]), max_size=4), st.sampled_from([[], [">"], ["a"]])
)


@given(st.sets(tokens.map(".".join), max_size=12), patterns)
def test_it_matches_as_subscriptions_do(subjects: set[str], parts: tuple[list[str], list[str]]) -> None:
    pattern = ".".join([*parts[0], *parts[1]]) or ">"
    trie = Trie()
    trie.insert(Subscription(pattern))
    expected = {subject for subject in subjects if trie.match(subject)}
    assert {subject for subject, _ in kept(*subjects).match(pattern)} == expected


@given(st.lists(st.tuples(tokens.map(".".join), st.booleans()), max_size=30))
def test_it_holds_what_a_dictionary_would(changes: list[tuple[str, bool]]) -> None:
    messages, model = RetainedMessages(), {}
    for at, (subject, put) in enumerate(changes):
        message = Retained(topic_bytes(subject), b"%d" % at, 0)
        if put:
            messages.put(subject, message)
            model[subject] = message
        else:
            messages.remove(subject)
            model.pop(subject, None)
    assert dict(messages.match(">")) == model
    assert messages.count == len(model)
