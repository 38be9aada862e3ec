"""A value never becomes more than a value: checked with the parser that the library sends filters through."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.ldap.escaping import anybody_filter, filter_value, name_value, user_filter

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from ldap3.operation.search import compile_filter, parse_filter
    from ldap3.utils.dn import parse_dn

values = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text(
    st.sampled_from('*()\\\0 =&|!<>~:,+"#;/\u00a0'), max_size=12
)


def compiled(text: str) -> Any:
    root = parse_filter(text, None, auto_escape=False, auto_encode=True, validator=None, check_names=False)
    return compile_filter(root.elements[0])


@given(values.filter(bool))
def test_a_filter_asks_for_exactly_the_value(value: str) -> None:
    sent = compiled(f"(uid={filter_value(value)})")["equalityMatch"]
    assert str(sent["attributeDesc"]) == "uid"
    assert bytes(sent["assertionValue"]) == value.encode()


@given(st.binary(min_size=1, max_size=20))
def test_so_it_does_for_bytes(value: bytes) -> None:
    assert bytes(compiled(f"(objectGUID={filter_value(value)})")["equalityMatch"]["assertionValue"]) == value


@given(values.filter(bool), values.filter(bool))
def test_a_template_keeps_its_shape_whatever_is_put_in(user: str, shown: str) -> None:
    sent = compiled(
        user_filter("(&(objectClass=person)(|(uid={user})(mail={shown})))", user=user, shown=shown)
    )
    both = sent["and"][1]["or"]
    assert [bytes(both[place]["equalityMatch"]["assertionValue"]) for place in (0, 1)] == [
        user.encode(),
        shown.encode(),
    ]


def test_a_value_that_looks_like_a_placeholder_is_not_filled() -> None:
    assert (
        user_filter("(|(uid={user})(mail={shown}))", user="{shown}", shown="x")
        == r"(|(uid=\7bshown\7d)(mail=x))"
    )


def test_anybody_is_whoever_has_some_name() -> None:
    assert anybody_filter("(&(a=b)(|(uid={user})(mail={shown})))") == "(&(a=b)(|(uid=*)(mail=*)))"


@given(values.filter(bool))
def test_a_name_stays_one_part_of_a_name(value: str) -> None:
    parts = parse_dn(f"uid={name_value(value)},ou=people,dc=test", escape=False)
    assert [part[0] for part in parts] == ["uid", "ou", "dc"]


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("ann", "ann"),
        ("a,ou=admins", r"a\,ou\=admins"),
        ("#a", r"\#a"),
        (" a ", r"\ a\ "),
        ('a+b"c\\d<e>f;g', r"a\+b\"c\\d\<e\>f\;g"),
        # RFC 4514 §2.4; ldap3 writes a backslash and the zero itself.
        ("a\0b", r"a\00b"),
        (" ", r"\ "),
    ],
)
def test_escapes_of_names(value: str, escaped: str) -> None:
    assert name_value(value) == escaped
