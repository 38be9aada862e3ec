from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.subjects import (
    SubjectFault,
    covers,
    has_wildcards,
    is_valid,
    library_contained_in,
    matches,
    overlaps,
    safe_token,
    subject_faults,
)

# Two names, the two wildcards and a stranger nobody names tell all patterns of these tokens apart.
PATTERN_TOKENS = ("a", "b", "*", ">")
PATTERNS = [
    ".".join(parts)
    for size in (1, 2, 3)
    for parts in itertools.product(PATTERN_TOKENS, repeat=size)
    if ">" not in parts[:-1]
]
# One token longer than any pattern, so that a last `>` shows on every literal it reaches.
LITERALS = [
    ".".join(parts) for size in (1, 2, 3, 4) for parts in itertools.product(("a", "b", "z"), repeat=size)
]

some_pattern = st.lists(st.sampled_from(["a", "b", "a*", "*", ">", "é"]), min_size=1, max_size=5).map(
    ".".join
)
any_text = st.text(st.sampled_from("ab.*> \t\x00\x7fé"), max_size=12)


def _matches_by_recursion(pattern: list[str], literal: list[str]) -> bool:
    if not pattern or not literal:
        return not pattern and not literal
    if pattern == [">"]:
        return True
    return pattern[0] in ("*", literal[0]) and _matches_by_recursion(pattern[1:], literal[1:])


def _language(pattern: str) -> frozenset[str]:
    return frozenset(
        literal for literal in LITERALS if _matches_by_recursion(pattern.split("."), literal.split("."))
    )


LANGUAGES = {pattern: _language(pattern) for pattern in PATTERNS}


def test_matches_covers_and_overlaps_agree_with_the_sets_of_literals() -> None:
    for one, left in LANGUAGES.items():
        assert {literal for literal in LITERALS if matches(one, literal)} == left
        for other, right in LANGUAGES.items():
            assert covers(one, other) == (right <= left), (one, other)
            assert overlaps(one, other) == bool(left & right), (one, other)


@given(some_pattern, some_pattern, some_pattern)
def test_laws(one: str, other: str, third: str) -> None:
    if is_valid(one):
        assert covers(one, one)
        assert covers(">", one)
        assert overlaps(one, one)
        assert matches(one, one)
    assert overlaps(one, other) == overlaps(other, one)
    if covers(one, other):
        assert overlaps(one, other)
        assert matches(one, other)
        if covers(other, third):
            assert covers(one, third)
        if matches(other, third):
            assert matches(one, third)
    if not has_wildcards(one) and is_valid(one):
        assert matches(one, other) == (one == other)
        assert covers(other, one) == matches(other, one) == overlaps(other, one)


@pytest.mark.parametrize(
    ("pattern", "literal", "expected"),
    [
        ("foo", "foo", True),
        ("foo", "Foo", False),
        ("foo.*", "foo.a", True),
        ("foo.*", "foo", False),
        ("foo.*", "foo.a.b", False),
        ("foo.>", "foo", False),
        ("foo.>", "foo.a.b", True),
        (">", "foo", True),
        ("*", "foo", True),
        ("*.>", "foo", False),
        ("foo*", "foo*", True),
        ("foo*", "foob", False),
        ("foo>", "foo>", True),
        # A wildcard in what is asked is a plain token, as the server has it.
        ("foo.*", "foo.>", True),
        ("foo.*", "foo.*", True),
        ("foo", "*", False),
        ("foo", ">", False),
        ("a.*", "a.", False),
        ("*", "", False),
        (">", "", False),
        ("", "", False),
        ("a..b", "a..b", False),
        ("a.>.b", "a.>.b", False),
        ("a.>.b", "a.x.b", False),
    ],
)
def test_matches(pattern: str, literal: str, expected: bool) -> None:
    assert matches(pattern, literal) is expected


@pytest.mark.parametrize("broken", ["", ".", "a.", ".a", "a..b", ">.a", "a.>.b"])
def test_a_broken_pattern_covers_nothing_and_is_covered_by_nothing(broken: str) -> None:
    assert not covers(">", broken)
    assert not covers(broken, broken)
    assert not covers(broken, "a")
    assert not overlaps(broken, ">")
    assert not overlaps(">", broken)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("a", True),
        ("a.b.c", True),
        ("*", True),
        (">", True),
        ("a.*.>", True),
        ("a*", True),
        ("a>.b", True),
        ("$SYS.é", True),
        ("", False),
        (".", False),
        ("a.", False),
        (".a", False),
        ("a..b", False),
        (">.a", False),
        ("a b", False),
        (" ", False),
        ("a.\t", False),
        ("a\r\n", False),
        ("a\fb", False),
        ("a\x00", False),
        ("a\x7f", False),
    ],
)
def test_is_valid(subject: str, expected: bool) -> None:
    assert is_valid(subject) is expected


@given(any_text)
def test_no_strict_fault_means_valid(text: str) -> None:
    faults = subject_faults(text)
    if not faults:
        assert is_valid(text)
    if not is_valid(text):
        assert faults
    assert set(subject_faults(text, strict=False)) <= set(faults)
    assert list(faults) == [fault for fault in SubjectFault if fault in faults]


@pytest.mark.parametrize(
    ("text", "library", "ours"),
    [
        ("a.b", [], []),
        ("a.*.>", [], []),
        ("", ["empty"], []),
        ("a b", ["space"], []),
        (".a", ["outer-dot"], []),
        ("a.", ["outer-dot"], []),
        (" .a..", ["space", "double-dot", "outer-dot"], []),
        ("a..b", ["double-dot"], []),
        ("a\tb", [], ["unprintable"]),
        ("a\n", [], ["unprintable"]),
        ("a\x00", [], ["unprintable"]),
        ("a\u00a0b", [], ["unprintable"]),
        ("a\u202eb", [], ["unprintable"]),
        ("a.>.b", [], ["tail-not-last"]),
        ("a*", [], ["partial-wildcard"]),
        (">a.>", [], ["partial-wildcard"]),
        (">.a*", [], ["tail-not-last", "partial-wildcard"]),
    ],
)
def test_faults(text: str, library: list[str], ours: list[str]) -> None:
    assert set(subject_faults(text, strict=False)) == set(library)
    assert set(subject_faults(text)) == set(library + ours)


def test_every_fault_has_a_text() -> None:
    assert len({fault.text for fault in SubjectFault}) == len(SubjectFault)


@given(any_text)
def test_has_wildcards_answers_as_the_library_words_it(text: str) -> None:
    worded = text.endswith((".>", ".*")) or ".*." in text or text.startswith("*.") or text in ("*", ">")
    assert has_wildcards(text) == worded


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        ("a", "a", True),
        ("a.b", "a.*", True),
        ("a.b", "a.>", True),
        ("a.b.c", "a.>", True),
        ("a.b.c", "a.*", False),
        ("a", "a.>", False),
        ("a", "b", False),
        ("a.*", "a.b", False),
        ("a.b", "a.b.c", False),
        # its slips
        ("a.>", "a.*", True),
        (">", "*", True),
        ("a.>.b", "a.*.b", True),
    ],
)
def test_library_contained_in(narrow: str, wide: str, expected: bool) -> None:
    assert library_contained_in(narrow, wide) is expected


def test_the_library_differs_from_the_truth_only_where_a_tail_meets_a_star() -> None:
    for narrow, wide in itertools.product(PATTERNS, repeat=2):
        if library_contained_in(narrow, wide) != covers(wide, narrow):
            assert narrow.endswith(">")
            assert wide.endswith("*")


@pytest.mark.parametrize("value", ["a", "é", "user-1", "_", "$SYS", "a:b", "{x}"])
def test_safe_tokens(value: str) -> None:
    assert safe_token(value)


@pytest.mark.parametrize(
    "value", ["", "*", ">", "a*", "a>b", "a.b", ".", "a b", "a\tb", "a\n", "\x00", "\x7f", "\u2028", "\ud800"]
)
def test_unsafe_tokens(value: str) -> None:
    assert not safe_token(value)


@given(st.text(max_size=8), st.sampled_from(["{}", "a.{}", "a.{}.>", "*.{}"]))
def test_a_safe_token_never_widens_a_subject(value: str, template: str) -> None:
    if safe_token(value):
        filled = template.format(value)
        assert is_valid(filled)
        assert covers(template.format("*"), filled)
        assert not overlaps(filled, template.format(value + "x"))
