"""Topics as subjects: the tables are what nats-server does with each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.mqtt.topics import TopicFault, begins_wild, filter_subject, level_up, subject_of, topic_of

BOTH_WAYS = {
    "foo": "foo",
    "/": "/./",
    "//": "/././",
    "///": "/./././",
    "foo/bar": "foo.bar",
    "/foo": "/.foo",
    "/foo/": "/.foo./",
    "foo/": "foo./",
    "foo//": "foo././",
    "foo//bar": "foo./.bar",
    "foo///bar": "foo././.bar",
    "//foo": "/./.foo",
    "//foo/bar": "/./.foo.bar",
    "/foo//bar": "/.foo./.bar",
    ".": "//",
    "..": "////",
    "foo.bar": "foo//bar",
    "foo./bar": "foo//.bar",
    "foo/.bar": "foo.//bar",
    ".foo": "//foo",
    "foo.": "foo//",
    "./": "//./",
    "/.": "/.//",
    "$SYS/a": "$SYS.a",
    "é/ü": "é.ü",
    "*": "*",
    "a/>": "a.>",
}


@pytest.mark.parametrize(("topic", "subject"), BOTH_WAYS.items())
def test_a_topic_has_a_subject_and_comes_back(topic: str, subject: str) -> None:
    assert subject_of(topic) == subject
    assert filter_subject(topic) == subject
    assert topic_of(subject) == topic


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("+", "*"),
        ("#", ">"),
        ("foo/+", "foo.*"),
        ("foo/#", "foo.>"),
        ("+/foo", "*.foo"),
        ("/+", "/.*"),
        ("/#", "/.>"),
        ("foo//#", "foo./.>"),
        ("+/+", "*.*"),
        ("foo/+/bar/#", "foo.*.bar.>"),
        ("foo+", "foo*"),
        ("#/foo", ">.foo"),
    ],
)
def test_wildcards_of_filters(text: str, subject: str) -> None:
    assert filter_subject(text) == subject
    with pytest.raises(TopicFault):
        subject_of(text)


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\r", "\f", "\x7f"])
def test_blanks_have_no_subject(blank: str) -> None:
    for text in (blank, f"a{blank}b", f"a/{blank}"):
        with pytest.raises(TopicFault):
            subject_of(text)
        with pytest.raises(TopicFault):
            filter_subject(text)


@pytest.mark.parametrize(
    ("subject", "topic"),
    [("foo.bar", "foo/bar"), ("a/b", "ab"), ("a/", "a"), ("a..b", "a//b"), ("a.", "a/"), ("", "")],
)
def test_subjects_that_no_topic_makes(subject: str, topic: str) -> None:
    assert topic_of(subject) == topic


@pytest.mark.parametrize(
    ("subject", "above"),
    [("foo.>", "foo"), ("foo.*.>", "foo.*"), (">", None), (".>", None), ("foo", None), ("foo>", None)],
)
def test_one_level_up(subject: str, above: str | None) -> None:
    assert level_up(subject) == above


@pytest.mark.parametrize(
    ("subject", "wild"),
    [("*", True), (">", True), ("*.a", True), ("*a", False), ("a.*", False), (">a", False), ("", False)],
)
def test_filters_that_begin_wild(subject: str, *, wild: bool) -> None:
    assert begins_wild(subject) is wild


levels = st.text(st.sampled_from("ab./$*>é"), max_size=12)


@given(levels | st.text(st.characters(exclude_characters=" \t\n\r\f\x7f+#", exclude_categories=["Cs"])))
def test_every_topic_comes_back(topic: str) -> None:
    subject = subject_of(topic)
    assert topic_of(subject) == topic
    assert not topic or "" not in subject.split(".")
