"""Tokens that are computed. What functions make of subjects is in test_transforms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.placeholders import (
    Function,
    Placeholder,
    compute,
    integer,
    is_wildcard_call,
    parse,
    partition,
    split,
)

TOKENS = st.text(st.characters(codec="utf-8", exclude_characters=".*> "), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("token", "placeholder"),
    [
        ("x", None),
        ("$", None),
        ("$KV", None),
        ("$1_", None),
        ("{{}}", None),
        ("x{{wildcard(1)}}", None),
        ("$1", Placeholder(Function.WILDCARD, (1,))),
        ("$-1", Placeholder(Function.WILDCARD, (-1,))),
        ("{{Wildcard(12)}}", Placeholder(Function.WILDCARD, (12,))),
        ("{{partition(3)}}", Placeholder(Function.PARTITION, (), 3)),
        ("{{ partition ( 3,1 , 2 ) }}", Placeholder(Function.PARTITION, (1, 2), 3)),
        ("{{SplitFromLeft(1,2)}}", Placeholder(Function.SPLIT_FROM_LEFT, (1,), 2)),
        ("{{splitfromright(1,2)}}", Placeholder(Function.SPLIT_FROM_RIGHT, (1,), 2)),
        ("{{sliceFromLeft(1,-2)}}", Placeholder(Function.SLICE_FROM_LEFT, (1,), -2)),
        ("{{split(2,ab)}}", Placeholder(Function.SPLIT, (2,), text="ab")),
        ("{{random(5)}}", Placeholder(Function.RANDOM, (), 5)),
        ("{{left(1,1)}}", Placeholder(Function.LEFT, (1,), 1)),
    ],
)
def test_what_a_token_stands_for(token: str, placeholder: Placeholder | None) -> None:
    assert parse(token) == placeholder


# From the authors of the hash (FNV-1a, 32 bits).
@pytest.mark.parametrize(
    ("key", "hashed"),
    [(b"", 0x811C9DC5), (b"a", 0xE40C292C), (b"foobar", 0xBF9CF968), (b"\xff\x00\x00\x01", 0xC48FB86D)],
)
def test_the_hash_of_partitions(key: bytes, hashed: int) -> None:
    assert partition(key, 2**32 - 1) == hashed % (2**32 - 1)
    assert partition(key, 10) == hashed % 10


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("+7", 7),
        ("-7", -7),
        ("007", 7),
        ("", None),
        ("1_0", None),
        (" 1", None),
        ("٣", None),
        ("9" * 19, None),
    ],
)
def test_numbers_as_go_reads_them(text: str, value: int | None) -> None:
    assert integer(text) == value


@pytest.mark.parametrize(
    ("token", "answer"),
    [
        ("{{wildcard(1)}}", True),
        ("{{wildcard(x)}}", True),
        ("{{wildcard()}}", False),
        ("{{wildcard(1,2)}}", False),
        ("$1", False),
    ],
)
def test_what_counts_as_a_wildcard(token: str, answer: bool) -> None:
    assert is_wildcard_call(token) is answer


@given(TOKENS, st.integers(1, 6))
def test_slices_lose_nothing(token: str, size: int) -> None:
    for function in (
        Function.SLICE_FROM_LEFT,
        Function.SLICE_FROM_RIGHT,
        Function.SPLIT_FROM_LEFT,
        Function.SPLIT_FROM_RIGHT,
    ):
        made = compute(Placeholder(function, (1,), size), (0,), (token,), None)
        parts = [part.encode("utf-8", "surrogateescape") for part in made.split(".")]
        assert b"".join(parts) == token.encode()
        assert all(parts)


@given(TOKENS, st.text("-x", min_size=1, max_size=2))
def test_a_split_loses_only_separators(token: str, separator: str) -> None:
    assert split(token, separator).replace(".", "") == token.replace(separator, "")
