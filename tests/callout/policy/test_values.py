from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.policy.decision import Grant, Granted
from callout.policy.match import decide
from callout.policy.model import Passed
from callout.policy.values import MAX_VALUES, spelt, token_name, unsafe, value_of, wanted_by
from callout.refusals import LoginRefusedError, Reason
from issuer.claims.account import new_account
from issuer.claims.fields import Permission, clean_tags
from issuer.claims.templates import TemplateError, expand_template
from issuer.claims.user import UserTemplate, new_scoped_user
from issuer.grants import Identity
from issuer.keys.nkeys import PublicKey
from issuer.subjects import Subject, covers, is_valid, tokens
from tests.callout.policy.policies import NOW, binding, policy_of, someone

# What would do harm, and all that looks like it.
nasty = st.text(
    st.one_of(
        st.sampled_from(
            "*>. \t\n\r:{}()$_,;/\\\"'ab1AÄß\u0000\u200b\u202e\u00a0\u3000\u2800\ufeff\u0301\uff0a\uff1e．"
        ),
        st.characters(),
    ),
    max_size=12,
)
harmless = st.text("abn1-äß", min_size=1, max_size=4)
word = st.one_of(harmless, harmless, nasty, st.tuples(harmless, nasty, harmless).map("".join))
attribute = st.one_of(
    word,
    st.sampled_from(
        ["*", ">", "a.>", "{{name()}}", "{{tag(site)}}", "x:y", "north", "$SYS", "_INBOX", "a b"]
    ),
    st.integers(),
    st.booleans(),
    st.lists(word, max_size=3).map(tuple),
)
TEMPLATE = UserTemplate(
    pub=Permission(
        allow=(
            Subject("r.{{tag(site)}}.x"),
            Subject("{{tag(site)}}.{{name()}}.>"),
            Subject("{{tag(unit)}}.{{tag(site)}}"),
            Subject("plain"),
        ),
        deny=(Subject("r.{{tag(site)}}.secret"),),
    ),
    sub=Permission(allow=(Subject("s.{{tag(unit)}}.*"), Subject("{{tag(x)}}.y"))),
)
FRAMES = ("r.*.x", "*.*.>", "*.*", "plain", "r.*.secret", "s.*.*")
ACCOUNT = PublicKey("AACCOUNT")


@given(
    st.dictionaries(st.sampled_from(["site", "unit"]), attribute),
    word.filter(bool),
    st.lists(word, max_size=2),
    st.booleans(),
    st.booleans(),
)
def test_no_identity_whatever_widens_a_subject(
    attributes: dict[str, Any], subject: str, groups: list[str], several: bool, lower: bool
) -> None:
    identity = Identity(
        issuer="i", subject=subject, name=subject, directory="d", groups=tuple(groups), attributes=attributes
    )
    said = {"several": several, "lower-case": lower, "optional": True}
    policy = policy_of(
        binding(
            match={"subject": {"exists": True}},
            values={
                "site": {"from": "attributes.site", **said},
                "unit": {"from": "attributes.unit", **said},
                "groups": {"from": "groups", "several": True, "optional": True},
            },
            user_name="subject",
        )
    )
    decision = decide(identity, policy, now=NOW)
    if not isinstance(decision, Granted):
        assert decision.reason in {Reason.UNSAFE_VALUE, Reason.MISSING_VALUE}
        return
    grant = decision.grant
    # What is written into the token is what was meant, and feeds one key each.
    assert clean_tags(grant.tags) == grant.tags
    assert all(tag.count(":") == 1 for tag in grant.tags)
    user = new_scoped_user(PublicKey("UUSER"), grant.user_name, account=ACCOUNT, tags=grant.tags)
    try:
        filled = expand_template(TEMPLATE, user, new_account(ACCOUNT, "GRID"))
    except TemplateError:
        # A deny entry without its value: the server refuses the connection.
        assert "site" not in grant.values
        return
    for subject_text in (*filled.pub.allow, *filled.sub.allow, *filled.pub.deny, *filled.sub.deny):
        if subject_text == ">":
            continue
        assert is_valid(subject_text)
        assert any(covers(frame, subject_text) for frame in FRAMES)
        own = {text for texts in grant.values.values() for text in texts} | {grant.user_name}
        assert set(tokens(subject_text)) - {"*", ">"} <= own | {"r", "x", "s", "y", "plain", "secret"}
        # No value became a wildcard: those that are there stand where the template has them.
        assert "*" not in tokens(subject_text)[:-1]
        assert tokens(subject_text)[0][0] not in "$_"


alike = st.text(st.sampled_from("aAäÄsSſßkKK1١iıİµμ-"), min_size=1, max_size=3)


@given(st.lists(alike, min_size=2, max_size=6, unique=True))
def test_two_values_never_become_one(texts: list[str]) -> None:
    safe = [text for text in texts if not unsafe(text, lower=True)]
    tags = [f"k:{text}" for text in safe]
    assert clean_tags(tags) == tuple(tags)
    assert len({unicodedata.normalize("NFKC", text) for text in safe}) == len(safe)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("*", "holds '*'"),
        (">", "holds '>'"),
        ("a.b", "holds '.'"),
        ("a>", "holds '>'"),
        ("a b", "holds ' '"),
        ("a\tb", "holds '\\t'"),
        ("a\n", "holds '\\n'"),
        ("a\u00a0b", "holds '\\xa0'"),
        ("a\u2028b", "holds '\\u2028'"),
        ("a\x00b", "cannot be seen"),
        ("a\x7fb", "cannot be seen"),
        ("a\u200bb", "cannot be seen"),
        ("a\u202eb", "cannot be seen"),
        ("a\ufeffb", "cannot be seen"),
        ("a\u034fb", "cannot be seen"),
        ("a\ufe0fb", "cannot be seen"),
        ("a\u3164b", "cannot be seen"),
        ("a\u2800b", "cannot be seen"),
        ("a\U000e0041b", "cannot be seen"),
        ("a\ue000b", "cannot be seen"),
        ("a\ud800b", "cannot be seen"),
        ("a:b", "holds ':'"),
        ("{{name()}}", "holds '{'"),
        ("$sys", "begins with '$'"),
        ("_inbox", "begins with '_'"),
        ("e\u0301", "normal form"),
        ("ａ", "normal form"),
        ("＊", "normal form"),
        ("ﬁ", "normal form"),
        ("\u0301a", "begins with a mark"),
        ("North", "upper case"),
        ("a" * 129, "longer than 128 bytes"),
        ("ä" * 65, "longer than 128 bytes"),
    ],
)
def test_values_that_are_no_single_safe_token(text: str, words: str) -> None:
    assert words in unsafe(text, lower=True)


@pytest.mark.parametrize(
    "text", ["a", "north-1", "a_b", "a$b", "ä", "東京", "00u1", "-5", "a" * 128, "a@b", "a/b"]
)
def test_values_that_are_safe(text: str) -> None:
    assert unsafe(text, lower=True) == ""


def test_a_user_name_keeps_its_upper_case() -> None:
    assert unsafe("00u1ABC", lower=False) == ""


def test_numbers_and_flags_have_one_form() -> None:
    assert [spelt(value) for value in (7, -5, True, False, "x", ("b", "a", "b"), (), None)] == [
        ("7",), ("-5",), ("true",), ("false",), ("x",), ("a", "b"), (), ()
    ]  # fmt: skip


def test_a_number_of_thousands_of_digits_is_refused_and_costs_nothing() -> None:
    with pytest.raises(LoginRefusedError) as caught:
        value_of(Passed(key="n", source="attributes.n"), someone(attributes={"n": 10**5000}), lower=True)
    assert caught.value.reason is Reason.UNSAFE_VALUE


def refused(attributes: dict[str, Any], **said: Any) -> LoginRefusedError:
    with pytest.raises(LoginRefusedError) as caught:
        value_of(
            Passed(key="site", source="attributes.site", **said), someone(attributes=attributes), lower=True
        )
    assert caught.value.hint
    return caught.value


def test_several_values_only_where_the_binding_says_so() -> None:
    two = {"site": ("a", "b")}
    assert refused(two).reason is Reason.UNSAFE_VALUE
    passed = Passed(key="site", source="attributes.site", several=True)
    assert value_of(passed, someone(attributes=two), lower=True) == ("a", "b")
    assert refused({"site": tuple(f"s{n}" for n in range(MAX_VALUES + 1))}, several=True)
    # One unsafe value among many refuses them all.
    assert refused({"site": ("a", "*")}, several=True).reason is Reason.UNSAFE_VALUE


def test_a_value_that_is_absent_refuses_unless_it_is_optional() -> None:
    for attributes in ({}, {"site": ""}, {"site": ()}):
        assert refused(attributes).reason is Reason.MISSING_VALUE
        passed = Passed(key="site", source="attributes.site", optional=True)
        assert value_of(passed, someone(attributes=attributes), lower=True) == ()
    assert refused({"site": "*"}, optional=True).reason is Reason.UNSAFE_VALUE


def test_upper_case_is_given_up_only_on_purpose() -> None:
    assert refused({"site": "North"}).reason is Reason.UNSAFE_VALUE
    passed = Passed(key="site", source="attributes.site", lower_case=True)
    assert value_of(passed, someone(attributes={"site": "North"}), lower=True) == ("north",)


def test_what_is_told_of_an_unsafe_value_does_no_harm_to_who_reads_it() -> None:
    error = refused({"site": "\x1b[2J\u202e" + "x" * 5000})
    assert error.message.isascii()
    assert error.message.isprintable()
    assert len(error.message) < 300


# Names


def grant(**members: Any) -> Grant:
    said: dict[str, Any] = {"account": "GRID", "roles": ("r",), "bindings": ("b",), "expires_at": NOW}
    return Grant(**(said | members))


def template(*allow: str) -> UserTemplate:
    return UserTemplate(pub=Permission(allow=tuple(map(Subject, allow))))


def test_a_display_name_never_goes_into_a_subject() -> None:
    for asking in ("a.{{name()}}", "a.{{ NAME() }}.>"):
        with pytest.raises(LoginRefusedError) as caught:
            token_name(grant(), someone(name="*"), {"r": template(asking)})
        assert caught.value.reason is Reason.MISSING_VALUE
    assert token_name(grant(user_name="00u1"), someone(name="*"), {"r": template("a.{{name()}}")}) == "00u1"
    assert token_name(grant(), someone(name="Alice E."), {"r": template("a.{{subject()}}")}) == "Alice E."


def test_a_role_nobody_knows_might_ask_for_the_name() -> None:
    with pytest.raises(LoginRefusedError):
        token_name(grant(), someone(), {})


def test_what_a_template_asks_for() -> None:
    asked = template("{{tag(site)}}.{{ tag(unit) }}.{{account-tag(x)}}", "q.{{name()}}")
    assert wanted_by(asked) == (frozenset({"site", "unit"}), True)
