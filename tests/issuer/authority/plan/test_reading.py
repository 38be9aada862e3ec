"""A declarative file is read as it is meant, or refused in one line that says where and why."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.authority.plan import read_document
from issuer.authority.plan.document import AccountPart, Until
from issuer.authority.plan.source import MAX_BYTES, BadDocument
from issuer.claims.fields import ResponsePermission
from issuer.keys.nkeys import Role, Seed

SEED = Seed.from_raw(Role.USER, bytes(range(32))).reveal()


def account(members: str) -> AccountPart:
    document = read_document(f"accounts: {{A: {{{members}}}}}")
    assert document.accounts is not None
    return document.accounts[0]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\na: 2\n", "2:1", "written twice, first in line 1"),
        ("accounts:\n  A: {}\n  A: {}\n", "3:3", "accounts.A: is written twice, first in line 2"),
        ("accounts:\n\tA: 1", "2:1", "cannot start any token"),
        ("accounts: [", "1:12", "expected the node content"),
        ("- 1", "1:1", "must be a mapping, not a list"),
        ("a: b\n---\nc: d", "2:1", "more than one document"),
        ("accounts: {? [a] : b}", "1:14", "a key must be plain text"),
        ("accounts: {A: {limits: {conns: 99999999999999999999}}}", "1:32", "accounts.A.limits.conns"),
        ("accounts: {A: {limits: {conns: 0x10}}}", "1:32", "not a whole number"),
        ("accounts: {A: {limits: {payload: 1GiBB}}}", "1:34", "'1GiBB' is not a size"),
        ("accounts: {A: {limits: {disallow-bearer: yes}}}", "1:42", "must be true or false"),
        ("accounts: {A: {signing-keys: -3}}", "1:30", "accounts.A.signing-keys"),
        ("accounts: {A: {role: x}}", "1:16", "accounts.A.role: is not a known key here"),
        ("accounts: {A: {description: null}}", "1:29", "is empty"),
        ("accounts: {A: {tags: [a, {b: c}]}}", "1:26", "accounts.A.tags[1]: must be a text, not a mapping"),
        ("accounts: {A: {expires: 5y}}", "1:25", "'5y' is not an expiry"),
        ("accounts: {A: {expires: 2027-02-30}}", "1:25", "is not an expiry"),
        ("accounts: {'a/b': {}}", "1:19", "'a/b' cannot name an account"),
        ("accounts: {A: {imports: [{stream: a}]}}", "1:26", "accounts.A.imports[0]: needs from:"),
        ("accounts: {A: {exports: [{private: true}]}}", "1:26", "needs a stream: or a service:"),
        ("accounts: {A: {exports: [{stream: a}, {stream: a}]}}", "1:39", "exported twice"),
        ("accounts: {A: {exports: [{stream: a, latency: false}]}}", "1:47", "only services have it"),
        ("accounts: {A: {users: {u: {networks: [10.0.0.1]}}}}", "1:39", "lacks its prefix length"),
        ("accounts: {A: {users: {u: {times: ['25:00:00-1']}}}}", "1:36", "is not a time window"),
        ("accounts: {A: {users: {u: {role: m, allow-pub: a}}}}", "1:48", "role 'm' has them"),
        ("accounts: {A: {roles: {m: {allow-pub: [a, b, c..d]}}}}", "1:46", "roles.m.allow-pub[2]"),
        ("accounts: {A: {roles: {m: {subscriptions: 0}}}}", "1:43", "0 in a role would mean unlimited"),
        ("accounts: {A: {jetstream: {streams: 1, tiers: {}}}}", "1:37", "do not go with tiers"),
        ("accounts: {A.B: {colour: red}}", "1:18", 'accounts."A.B".colour'),
        ("version: 2", "1:10", "must be 1"),
        ("prune: [acounts]", "1:9", "prune[0]: 'acounts' is not one of"),
        ("operator: !!python/object:os.system {}", "1:11", "is not allowed"),
        ("accounts: {A: !!python/name:os.system ''}", "1:15", "is not allowed"),
        ("!!binary aGk=", "1:1", "is not allowed"),
        ("accounts: &a {A: {roles: *a}}", "1:19", "is not a known key here"),
        ("accounts: {A: {tags: *gone}}", "1:22", "undefined alias"),
    ],
)
def test_a_fault_is_told_with_line_column_and_path(text: str, place: str, words: str) -> None:
    with pytest.raises(BadDocument) as raised:
        read_document(text, "org.yaml")
    assert raised.value.at == f"org.yaml:{place}"
    assert words in raised.value.message
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["", "# nothing", "\x00", b"\xff\xfe\x00", "[" * 5000, "x-a: &a {<<: *a}\n<<: *a", '{"\\ud800": 1}'],
)
def test_what_is_no_document_is_refused(text: str | bytes) -> None:
    with pytest.raises(BadDocument):
        read_document(text)


def test_a_file_too_large_is_not_even_parsed() -> None:
    with pytest.raises(BadDocument, match="larger than"):
        read_document("#" * (MAX_BYTES + 1))


def test_aliases_of_aliases_are_counted_not_followed_for_ever() -> None:
    lines = [f"x-{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 40)]
    with pytest.raises(BadDocument, match="aliases included"):
        read_document("\n".join(["x-0: &a0 {k0: v}", *lines, "accounts: *a39"]))


def test_a_seed_in_the_file_is_refused_and_not_repeated() -> None:
    for text in (f"accounts: {{A: {{description: {SEED}}}}}", f"{SEED}: x", f"a: [{SEED}"):
        with pytest.raises(BadDocument, match="holds a seed") as raised:
            read_document(text)
        assert SEED not in f"{raised.value} {raised.value.hint} {raised.value!r}"


def test_a_misspelt_key_is_guessed() -> None:
    with pytest.raises(BadDocument) as raised:
        account("discription: x")
    assert raised.value.hint == "did you mean 'description'"


@pytest.mark.parametrize("text", ["on", "no", "007", "1e3", "0o17", "1:20", "2027-01-01", ".inf", "0x1F"])
def test_a_text_stays_a_text_whatever_it_looks_like(text: str) -> None:
    assert account(f"description: {text}").description == text
    found = read_document(f"accounts: {{{text}: {{}}}}").accounts
    assert found is not None
    assert found[0].name == text


@pytest.mark.parametrize(
    ("written", "value"),
    [("10m", 10_000_000), ("1GiB", 2**30), ("4 KiB", 4096), ("unlimited", -1), ("-1", -1), ("0", 0)],
)
def test_sizes_are_written_as_in_nsc(written: str, value: int) -> None:
    assert account(f"limits: {{payload: {written}}}").limits == {"payload": value}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("never", Until()),
        ("0", Until()),
        ("90d", Until(lasting=90 * 86400)),
        ("2027-01-31", Until(second=1801353600)),
        ("2027-01-31T01:00:00+01:00", Until(second=1801353600)),
    ],
)
def test_an_expiry_is_a_time_or_a_term(written: str, value: Until) -> None:
    assert account(f"expires: {written}").expires == value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", ResponsePermission(max=1, ttl=0)),
        ("false", False),
        ("5", ResponsePermission(max=5, ttl=0)),
        ("{max: -1, ttl: 1m30s}", ResponsePermission(max=-1, ttl=90 * 10**9)),
    ],
)
def test_leave_to_answer(written: str, value: Any) -> None:
    part = account(f"default-permissions: {{allow-responses: {written}}}")
    assert part.default_permissions.responses == value


def test_what_is_not_written_is_not_said() -> None:
    part = account("")
    assert part == AccountPart("A")
    assert (part.roles, part.users, part.exports) == (None, None, None)
    assert account("users: {}").users == ()


def test_a_template_is_merged_under_what_is_written() -> None:
    text = """
    x-small: &small {limits: {conns: 1}, description: a template}
    accounts:
      A: {<<: *small, description: my own}
      B: *small
    """
    first, second = read_document(text).accounts or ()
    assert (first.description, second.description) == ("my own", "a template")
    assert first.limits == second.limits == {"conn": 1}


WORDS = st.sampled_from([
    "accounts", "operator", "users", "roles", "exports", "imports", "limits", "jetstream", "tiers", "A",
    "stream", "from", "prune", "true", "~", "-1", "10m", "&a", "*a", "<<", "!!str", "- ", ": ", "{", "}",
    "[", "]", ",", "\n", "\n  ", "\t", "'", '"', "#", "|", ">", "%YAML 1.2", "---", "\\x", "é", "\u2028",
])  # fmt: skip


@given(st.one_of(st.text(), st.binary(), st.lists(WORDS, max_size=40).map("".join)))
def test_whatever_is_given_ends_in_a_document_or_one_clear_line(text: str | bytes) -> None:
    words = "org.yaml: fine"
    try:
        read_document(text)
    except BadDocument as error:
        words = str(error)
    assert re.fullmatch(r"org\.yaml(:\d+(:\d+)?)?: .+", words)
