from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from issuer.claims.account import AccountBody, AccountClaims
from issuer.claims.fields import Permission
from issuer.claims.templates import (
    MAX_EXPANDED,
    TemplateError,
    expand,
    expand_template,
    functions,
    has_template,
    is_function,
)
from issuer.claims.user import UserBody, UserClaims, UserTemplate
from issuer.keys.nkeys import PublicKey
from issuer.subjects import Subject

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "vectors.json").read_text("utf-8"))
EXPANSION = VECTORS["template_expansion"]
GIVEN = EXPANSION["user"]
USER = UserClaims(
    sub=PublicKey(GIVEN["subject"]),
    name=GIVEN["name"],
    nats=UserBody(issuer_account=GIVEN["issuer_account"], tags=tuple(GIVEN["tags"])),
)
ACCOUNT = AccountClaims(name="acme", nats=AccountBody(tags=tuple(EXPANSION["account_tags"])))


def subjects(*texts: str) -> tuple[Subject, ...]:
    return tuple(map(Subject, texts))


@pytest.mark.parametrize("case", EXPANSION["cases"], ids=lambda case: f"{case['list']} {case['entry'][:40]}")
def test_the_servers_own_results(case: dict[str, Any]) -> None:
    spaced = "account-name()" in case["entry"]
    account = AccountClaims(name="Acme Corp", nats=ACCOUNT.nats) if spaced else ACCOUNT
    denying = case["list"] == "deny"
    entry = subjects(case["entry"])
    template = UserTemplate(pub=Permission(deny=entry) if denying else Permission(allow=entry))
    if case["error"]:
        with pytest.raises(TemplateError) as refusal:
            expand_template(template, USER, account)
        assert refusal.value.message == case["error"]
        return
    filled = expand_template(template, USER, account).pub
    assert list(filled.deny if denying else filled.allow) == case["out"]
    assert denying or list(filled.deny) == case["deny_added"]
    assert expand(entry, USER, account, denying=denying) == subjects(*case["out"])


def test_a_list_without_templates_is_left_alone() -> None:
    entries = subjects("a b", "not valid at all", "..")
    assert expand(entries, USER, ACCOUNT, denying=True) == entries


def test_one_template_in_a_list_costs_it_its_queue_entries() -> None:
    assert expand(subjects("q.> workers", "a.{{name()}}", "b"), USER, ACCOUNT) == subjects("a.bob", "b")
    with pytest.raises(TemplateError, match="generated invalid subject"):
        expand(subjects("q.> workers", "a.{{name()}}"), USER, ACCOUNT, denying=True)


def test_an_emptied_allow_list_closes_that_side_only() -> None:
    template = UserTemplate(
        pub=Permission(allow=subjects("a.{{tag(none)}}"), deny=subjects("x")),
        sub=Permission(allow=subjects("a.{{name()}}")),
    )
    filled = expand_template(template, USER, ACCOUNT)
    assert filled.pub == Permission(deny=subjects("x", ">"))
    assert filled.sub == Permission(allow=subjects("a.bob"))


def test_a_closed_side_is_not_closed_twice() -> None:
    template = UserTemplate(pub=Permission(allow=subjects("{{tag(none)}}"), deny=subjects(">")))
    assert expand_template(template, USER, ACCOUNT).pub.deny == subjects(">")


def test_a_user_may_widen_its_own_subjects() -> None:
    star = UserClaims(name="*", nats=UserBody(tags=("k:>",)))
    assert expand(subjects("a.{{name()}}", "b.{{tag(k)}}"), star, ACCOUNT) == subjects("a.*", "b.>")


def test_there_is_a_limit_of_results() -> None:
    def tagged(count: int) -> UserClaims:
        return UserClaims(name="n", nats=UserBody(tags=tuple(f"t:{n}" for n in range(count))))

    square = subjects("{{tag(t)}}.{{tag(t)}}")
    assert len(expand(square, tagged(64), ACCOUNT)) == MAX_EXPANDED
    for user, entries in ((tagged(65), square), (tagged(64), subjects("a", *square))):
        with pytest.raises(TemplateError, match="template expansion exceeds limit: 4096"):
            expand(entries, user, ACCOUNT)
    assert len(expand(subjects(*square, "a"), tagged(64), ACCOUNT)) == MAX_EXPANDED + 1


def test_other_limits_of_the_role_stay() -> None:
    template = UserTemplate(subs=5, src=("::/0",), bearer_token=True)
    assert expand_template(template, USER, ACCOUNT) == template


@pytest.mark.parametrize(
    ("name", "known"),
    [("name()", True), ("Account-Name()", True), ("tag(x)", True), ("TAG(x)", True), ("tag()", True),
     ("account-tag(x)", True), ("name", False), ("tag(x", False), ("foo()", False), ("name( )", False)],
)  # fmt: skip
def test_functions_the_server_knows(name: str, known: bool) -> None:
    assert is_function(name) is known


def test_functions_of_an_entry() -> None:
    assert functions("a.{{ name() }}.{{tag(x)}}") == ["name()", "tag(x)"]
    assert has_template("{{x}}")
    assert not has_template("{{}}{x}")
