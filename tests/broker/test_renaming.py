"""Subjects of imports: what a subscription must listen to, and what collides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.renaming import RenamingError, StreamImport, collide, prefixed, service_names, stream_names
from issuer.keys.nkeys import PublicKey
from issuer.subjects import matches, overlaps

TOKENS = st.sampled_from(["a", "b"])
PATTERNS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3).flatmap(
    lambda head: st.sampled_from([".".join(head), ".".join([*head, ">"])])
)
SUBJECTS = st.lists(TOKENS, min_size=1, max_size=5).map(".".join)


def stream(subject: str, local: str) -> StreamImport:
    to_local, back, pattern = stream_names(subject, local)
    return StreamImport(0, PublicKey("A"), subject, pattern, to_local, back)


@pytest.mark.parametrize(
    ("subject", "local", "subscription", "listened"),
    [
        ("ev.>", "in.>", "in.>", "ev.>"),
        ("ev.>", "in.>", ">", "ev.>"),
        ("ev.>", "in.>", "*.>", "ev.>"),
        ("ev.>", "in.>", "*.x", "ev.x"),
        ("ev.>", "in.>", "in.a.*", "ev.a.*"),
        ("ev.>", "in.>", "in", None),
        ("ev.>", "in.>", "*", None),
        ("ev.>", "in.>", "other.>", None),
        ("ev.*.*", "in.$2.x.$1", "in.a.x.b", "ev.b.a"),
        ("ev.*.*", "in.$2.x.$1", "in.a.>", "ev.*.a"),
        ("ev.*.*", "in.$2.x.$1", "*.*.*.b", "ev.b.*"),
        ("ev.*.*", "in.$2.x.$1", "*.*.y.*", None),
        ("lit", "here.lit", "here.*", "lit"),
        ("lit", "here.lit", "lit", None),
        ("ev.*", "ev.*", "*.a", "ev.a"),
        ("ev.*", "ev.*", "ev.a", "ev.a"),
        ("ev.*.c", "ev.*.c", "ev.b.>", "ev.b.c"),
        ("ev.*", "ev.*", "ev.a.b", None),
    ],
)
def test_what_a_subscription_listens_to(
    subject: str, local: str, subscription: str, listened: str | None
) -> None:
    assert stream(subject, local).listens_to(subscription) == listened


@given(PATTERNS, PATTERNS, SUBJECTS)
def test_nothing_is_missed_and_nothing_strange_comes(pattern: str, subscription: str, subject: str) -> None:
    """With the exporter's own names: a message comes if and only if the subscription matches it."""
    taken = stream(pattern, pattern)
    listened = taken.listens_to(subscription)
    comes = listened is not None and matches(listened, subject) and matches(pattern, subject)
    assert comes == (matches(subscription, subject) and matches(pattern, subject))


@given(PATTERNS, SUBJECTS, PATTERNS)
def test_under_a_prefix_everything_is_as_without(pattern: str, subject: str, subscription: str) -> None:
    taken = stream(pattern, prefixed("far.off", pattern))
    assert taken.to_local.apply(subject) == (f"far.off.{subject}" if matches(pattern, subject) else None)
    assert taken.listens_to(f"far.off.{subscription}") == stream(pattern, pattern).listens_to(subscription)


def test_a_way_without_return_is_refused_for_streams_only() -> None:
    # nats-server takes such a stream, and stops running when somebody subscribes below it.
    with pytest.raises(RenamingError):
        stream_names("ev.*.*", "in.$0.$1")
    renaming, pattern = service_names("ev.*.*", "in.$0.$1")
    assert (pattern, renaming.apply("in.$0.x")) == ("in.$0.*", "ev.*.*")


@pytest.mark.parametrize(
    ("subject", "local", "request_", "there"),
    [
        ("s", "my.s", "my.s", "s"),
        ("s", "my.*", "my.x", "s"),
        ("s.*", "s.*", "s.x", "s.x"),
        ("s.*", "my.*", "my.x", "s.x"),
        ("s.>", "my.>", "my.x.y", "s.x.y"),
        ("s.*.*", "my.$2.$1", "my.x.y", "s.y.x"),
        ("s.*", "my.*", "my.x.y", None),
        ("s", "my.s", "s", None),
    ],
)
def test_where_requests_go(subject: str, local: str, request_: str, there: str | None) -> None:
    assert service_names(subject, local)[0].apply(request_) == there


@given(PATTERNS, PATTERNS)
def test_patterns_that_overlap_collide(one: str, other: str) -> None:
    # The server is content with less: it looks at no more tokens than the shorter has.
    assert collide(one, other) or not overlaps(one, other)
    assert collide(one, other) == collide(other, one)
    assert collide(one, one)


def test_a_prefix() -> None:
    assert [prefixed(each, "a.>") for each in ("", "x", "x.")] == ["a.>", "x.a.>", "x.a.>"]
