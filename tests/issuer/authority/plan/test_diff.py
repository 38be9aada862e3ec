"""A diff says what changes and nothing else, in an order and words a person can follow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from issuer.authority.plan.describing import account_plain
from issuer.authority.plan.diff import Change, compare, lines, summary, thinned
from issuer.authority.plan.quantities import (
    parse_moment,
    parse_size,
    parse_span,
    show_moment,
    show_size,
    show_span,
)
from issuer.claims.account import new_account
from issuer.keys.nkeys import PublicKey

PLAIN = account_plain(new_account(PublicKey(""), "A"), str)


def test_equal_descriptions_have_no_difference() -> None:
    assert compare({"accounts": {"A": PLAIN}}, {"accounts": {"A": PLAIN}}) == []
    assert summary([]) == "nothing to change"


def test_a_changed_member_has_its_own_path() -> None:
    after = {**PLAIN, "limits": {**PLAIN["limits"], "conns": 10}, "tags": ["a"]}
    assert compare({"accounts": {"A": PLAIN}}, {"accounts": {"A": after}}) == [
        Change("change", "accounts.A.tags", [], ["a"]),
        Change("change", "accounts.A.limits.conns", "unlimited", 10),
    ]


def test_a_limit_may_be_called_like_a_section() -> None:
    after = {**PLAIN, "limits": {**PLAIN["limits"], "imports": 3}}
    assert [change.path for change in compare({"accounts": {"A": PLAIN}}, {"accounts": {"A": after}})] == [
        "accounts.A.limits.imports"
    ]


def test_a_new_thing_shows_what_sets_it_apart_and_things_within_follow() -> None:
    after = {**PLAIN, "description": "new", "exports": {"stream a.>": {"name": "a.>", "private": True}}}
    assert compare({"accounts": {}}, {"accounts": {"A": after}}) == [
        Change("create", "accounts.A", None, {"description": "new"}),
        Change("create", "accounts.A.exports[stream a.>]", None, {"private": True}),
    ]


def test_what_goes_away_is_deleted() -> None:
    before = {**PLAIN, "mappings": {"a.b": {"to": ["c"]}}}
    (change,) = compare({"accounts": {"A": before}}, {"accounts": {"A": PLAIN}})
    assert (change.kind, change.path) == ("delete", 'accounts.A.mappings."a.b"')


def test_lines_are_signed_and_summed_up() -> None:
    changes = [
        Change("create", "accounts.A", None, {"limits": {"conns": 10}, "tags": ["a", "b"]}),
        Change("change", "accounts.B.description", "", "x\x1b[31m"),
        Change("change", "accounts.B.tags", ["a", "b"], ["b", "c"]),
        Change("change", "accounts.B.trace", {"subject": "t"}, False),
        Change("delete", "accounts.C"),
    ]
    assert list(lines(changes)) == [
        "+ accounts.A",
        "    limits.conns: 10",
        "    tags: [a, b]",
        '~ accounts.B.description: none → "x\\u001b[31m"',
        "~ accounts.B.tags: -a +c",
        "~ accounts.B.trace: {subject: t} → no",
        "- accounts.C",
    ]
    assert summary(changes) == "1 to create, 3 to change, 1 to delete"


def test_an_account_like_a_new_one_is_thinned_to_nothing() -> None:
    assert thinned("accounts", "A", PLAIN) == {}


@given(st.integers(-1, 2**63 - 1))
def test_a_size_is_shown_as_it_is_read(value: int) -> None:
    assert parse_size(str(show_size(value))) == value


@given(st.integers(0, 2**63 - 1))
def test_a_span_is_shown_as_it_is_read(value: int) -> None:
    assert parse_span(str(show_span(value))) == value


@given(st.integers(0, 253_402_300_799))
def test_a_moment_is_shown_as_it_is_read(value: int) -> None:
    assert parse_moment(str(show_moment(value))) == value
