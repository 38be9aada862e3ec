from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from issuer.claims.account import AccountBody, AccountClaims
from issuer.claims.fields import Permission
from issuer.claims.templates import MAX_EXPANDED, TemplateError, expand, expand_template
from issuer.claims.user import UserBody, UserClaims, UserTemplate
from issuer.errors import Refused
from issuer.keys.nkeys import PublicKey
from issuer.subjects import Subject

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "vectors.json").read_text())
EXPANSION: dict[str, Any] = VECTORS["template_expansion"]


def user(name: str = "", *tags: str) -> UserClaims:
    given = EXPANSION["user"]
    body = UserBody(issuer_account=given["issuer_account"], tags=tags or tuple(given["tags"]))
    return UserClaims(sub=PublicKey(given["subject"]), name=name or given["name"], nats=body)


def account(name: str = "acme", *tags: str) -> AccountClaims:
    return AccountClaims(name=name, nats=AccountBody(tags=tags or tuple(EXPANSION["account_tags"])))


def subjects(*texts: str) -> tuple[Subject, ...]:
    return tuple(map(Subject, texts))


@pytest.mark.parametrize("case", EXPANSION["cases"], ids=lambda case: f"{case['list']} {case['entry']}")
def test_the_vectors(case: dict[str, Any]) -> None:
    entries, denying = subjects(case["entry"]), case["list"] == "deny"
    owner = account("Acme Corp" if "account-name()" in case["entry"] else "acme")
    template = UserTemplate(pub=Permission(deny=entries) if denying else Permission(allow=entries))
    if case["error"]:
        for act in (
            lambda: expand(entries, user(), owner, denying=denying),
            lambda: expand_template(template, user(), owner),
        ):
            with pytest.raises(TemplateError) as refused:
                act()
            assert refused.value.message == case["error"]
            assert isinstance(refused.value, Refused)
        return
    out = tuple(case["out"])
    assert expand(entries, user(), owner, denying=denying) == out
    filled = expand_template(template, user(), owner)
    assert filled.sub == Permission()
    if denying:
        assert (filled.pub.allow, filled.pub.deny) == ((), out)
    else:
        assert (filled.pub.allow, filled.pub.deny) == (out, tuple(case["deny_added"]))


def test_a_list_without_templates_is_left_as_it_is() -> None:
    entries = subjects("q.> workers", "a b c", "..", "")
    for denying in (False, True):
        assert expand(entries, user(), account(), denying=denying) == entries


def test_one_template_has_the_whole_list_judged() -> None:
    entries = subjects("a.{{name()}}", "q.> workers", "ok.*", ">.x", "a..b", "t\tx")
    assert expand(entries, user(), account()) == ("a.bob", "ok.*")
    with pytest.raises(TemplateError, match="generated invalid subject"):
        expand(entries, user(), account(), denying=True)


def test_values_go_in_as_they_are() -> None:
    assert expand(subjects("a.{{name()}}"), user("*"), account()) == ("a.*",)
    assert expand(subjects("a.{{name()}}"), user("x.>"), account()) == ("a.x.>",)


def test_a_value_that_calls_is_filled_in_only_by_what_follows() -> None:
    entries = subjects("{{name()}}.{{subject()}}")
    key = EXPANSION["user"]["subject"]
    assert expand(entries, user("{{subject()}}"), account()) == (f"{key}.{key}",)


@pytest.mark.parametrize("denying", [False, True])
def test_no_more_than_4096_in_one_list(*, denying: bool) -> None:
    tags = tuple(f"t:{n}" for n in range(64))
    given = user("u", *tags)
    entry = "{{tag(t)}}.{{account-tag(t)}}"
    assert len(expand(subjects(entry), given, account("a", *tags), denying=denying)) == MAX_EXPANDED == 4096
    for more in (subjects(entry, "{{tag(t)}}"), subjects(entry + ".{{tag(t)}}")):
        with pytest.raises(TemplateError, match="template expansion exceeds limit: 4096"):
            expand(more, given, account("a", *tags), denying=denying)


def test_a_product_without_end_is_refused_before_it_is_made() -> None:
    given = user("u", *(f"t:{n}" for n in range(1000)))
    with pytest.raises(TemplateError, match="exceeds limit"):
        expand(subjects(".".join(["{{ tag(t) }}"] * 20)), given, account())


def test_a_role_whose_allow_lists_come_out_empty_allows_nothing() -> None:
    gone = Permission(allow=subjects("x.{{tag(missing)}}"), deny=subjects("d"))
    filled = expand_template(UserTemplate(pub=gone, sub=gone, subs=5), user(), account())
    assert filled == UserTemplate(
        pub=Permission(deny=subjects("d", ">")), sub=Permission(deny=subjects("d", ">")), subs=5
    )


def test_a_role_that_allows_all_goes_on_allowing_all() -> None:
    template = UserTemplate(sub=Permission(deny=subjects("x.{{name()}}")))
    assert expand_template(template, user(), account()).sub == Permission(deny=subjects("x.bob"))
