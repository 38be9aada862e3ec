"""From claims that were taken to groups and an identity."""

from __future__ import annotations

from typing import Any

import pytest

from callout.directories.oidc import TokenKind
from callout.directories.oidc.claims import look_up
from callout.directories.oidc.identities import groups_of, identity_of
from callout.refusals import LoginRefusedError, Reason
from issuer.grants import Identity, Kind
from tests.callout.directories.oidc_world import NOW, claims_with, settings_with


def identity(kind: TokenKind = TokenKind.ID, settings: dict[str, Any] | None = None, **more: Any) -> Identity:
    chosen, claims = settings_with(**settings or {}), claims_with(**more)
    groups = groups_of(claims, chosen)
    assert groups is not None
    return identity_of(claims, kind, chosen, groups=groups, now=NOW, credential="c")


# Groups


def test_groups_are_sorted_and_stand_once() -> None:
    assert identity(groups=["b", "a", "b"]).groups == ("a", "b")
    assert identity(groups="only").groups == ("only",)
    assert identity(groups=[]).groups == ()
    assert identity().groups == ()


@pytest.mark.parametrize("groups", [5, True, {"a": 1}, ["a", 5], ["a", ""], [None], [["a"]], ""])
def test_groups_of_the_wrong_shape(groups: Any) -> None:
    with pytest.raises(LoginRefusedError) as refused:
        identity(groups=groups)
    assert (refused.value.reason, refused.value.at) == (Reason.CREDENTIALS_MALFORMED, "/groups")


@pytest.mark.parametrize(
    ("count", "cut_at", "whole"), [(99, 100, True), (100, 100, False), (250, 100, False), (250, 0, True)]
)
def test_a_list_of_groups_that_may_have_been_cut(count: int, cut_at: int, whole: bool) -> None:
    found = groups_of(
        claims_with(groups=[f"g{n}" for n in range(count)]), settings_with(groups_cut_at=cut_at)
    )
    assert (found is not None) is whole


def test_a_cut_list_is_seen_although_groups_share_names() -> None:
    assert groups_of(claims_with(groups=["same"] * 100), settings_with()) is None


@pytest.mark.parametrize(
    ("claims", "whole"),
    [
        ({"_claim_names": {"groups": "src1"}}, False),
        ({"_claim_names": {"groups": "src1"}, "groups": ["a"]}, False),
        ({"_claim_names": {"roles": "src1"}}, True),
        ({"hasgroups": True}, False),
        ({"hasgroups": "true"}, False),
        ({"hasgroups": False}, True),
    ],
)
def test_groups_that_entra_keeps_elsewhere(claims: dict[str, Any], whole: bool) -> None:
    assert (groups_of(claims_with(**claims), settings_with()) is not None) is whole


def test_distributed_claims_of_the_wrong_shape() -> None:
    with pytest.raises(LoginRefusedError):
        groups_of(claims_with(_claim_names=["groups"]), settings_with())


def test_groups_can_be_required_or_not_read_at_all() -> None:
    with pytest.raises(LoginRefusedError):
        groups_of(claims_with(), settings_with(groups_required=True))
    assert groups_of(claims_with(groups=5, hasgroups=True), settings_with(groups_claim="")) == ()


def test_groups_inside_another_claim() -> None:
    chosen = settings_with(groups_claim="/realm_access/roles")
    assert groups_of(claims_with(realm_access={"roles": ["b", "a"]}), chosen) == ("a", "b")
    assert groups_of(claims_with(realm_access=["roles"]), chosen) == ()
    assert groups_of(claims_with(_claim_names={"realm_access": "x"}), chosen) is None
    assert look_up({"https://x/groups": ["a"]}, "https://x/groups") == ["a"]
    assert look_up({"a/b": {"c~d": 1}}, "/a~1b/c~0d") == 1


# Who it is


def test_what_the_token_says_of_the_login() -> None:
    found = identity(amr=["mfa", "pwd", "mfa"], acr="phr", auth_time=NOW - 60.5)
    assert (found.methods, found.assurance, found.authenticated_at) == (
        ("mfa", "pwd"),
        "phr",
        int(NOW - 60.5),
    )
    assert found.expires_at == NOW + 600
    assert (identity().methods, identity().assurance, identity().authenticated_at) == ((), "", None)
    assert identity(exp=NOW + 1.9).expires_at == NOW + 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("amr", 5),
        ("amr", ["mfa", 1]),
        ("amr", None),
        ("acr", 1),
        ("acr", None),
        ("auth_time", NOW + 31),
        ("auth_time", "1"),
        ("auth_time", None),
        ("auth_time", 1e300),
        ("auth_time", True),
    ],
)
def test_what_it_says_of_the_login_in_the_wrong_shape(name: str, value: Any) -> None:
    with pytest.raises(LoginRefusedError) as refused:
        identity(**{name: value})
    assert refused.value.at == f"/{name}"


@pytest.mark.parametrize("subject", [..., None, "", 5, "a\n", "a\0", "x" * 256, ["a"]])
def test_a_subject_of_the_wrong_shape(subject: Any) -> None:
    with pytest.raises(LoginRefusedError) as refused:
        identity(sub=subject)
    assert refused.value.at == "/sub"


def test_the_subject_can_be_another_claim() -> None:
    assert identity(settings={"subject_claim": "oid"}, oid="o-1").subject == "o-1"
    with pytest.raises(LoginRefusedError):
        identity(settings={"subject_claim": "oid"})


@pytest.mark.parametrize(
    ("claims", "kind", "found"),
    [
        ({"sub": "app", "client_id": "app"}, TokenKind.ACCESS, Kind.SERVICE),
        ({"sub": "app", "cid": "app", "scp": ["nats"]}, TokenKind.ACCESS, Kind.SERVICE),
        ({"sub": "app", "azp": "app"}, TokenKind.ACCESS, Kind.SERVICE),
        ({"sub": "x", "azp": "app", "idtyp": "app"}, TokenKind.ACCESS, Kind.SERVICE),
        ({"sub": "alice", "cid": "app", "uid": "00u"}, TokenKind.ACCESS, Kind.PERSON),
        # a person whose id is a client's
        ({"sub": "app", "cid": "app", "uid": "00u"}, TokenKind.ACCESS, Kind.PERSON),
        ({"sub": "app", "cid": "app", "auth_time": NOW}, TokenKind.ACCESS, Kind.PERSON),
        ({"sub": "app", "azp": "app"}, TokenKind.ID, Kind.PERSON),
        ({"sub": "alice"}, TokenKind.ACCESS, Kind.PERSON),
    ],
)
def test_a_service_is_told_from_a_person(claims: dict[str, Any], kind: TokenKind, found: Kind) -> None:
    assert identity(kind, **claims).kind is found


@pytest.mark.parametrize("name", [None, 5, "", "a\nb", "\x1b[31m", "x" * 257])
def test_a_name_nobody_could_read_is_replaced_by_the_subject(name: Any) -> None:
    assert identity(preferred_username=name).name == "alice"
    assert identity(preferred_username="Alice").name == "Alice"


def test_only_configured_claims_are_attributes() -> None:
    chosen = {"attributes": ("dept", "level", "staff", "sites", "scope", "absent", "empty")}
    found = identity(
        settings=chosen,
        dept="grid",
        level=3,
        staff=True,
        sites=["b", "a", "b"],
        scope="x y",
        empty=None,
        other="o",
    )
    assert found.attributes == {
        "dept": "grid",
        "level": 3,
        "staff": True,
        "sites": ("a", "b"),
        "scope": ("x", "y"),
    }


@pytest.mark.parametrize("value", [1.5, {"a": 1}, ["a", 1], [[]]])
def test_an_attribute_of_the_wrong_shape(value: Any) -> None:
    with pytest.raises(LoginRefusedError) as refused:
        identity(settings={"attributes": ("dept",)}, dept=value)
    assert refused.value.at == "/dept"


@pytest.mark.parametrize(
    ("verified", "kept"),
    [
        (True, True),
        ("true", True),
        (..., True),
        (False, False),
        (None, False),
        ("no", False),
        ([], False),
        (1, False),
    ],
)
def test_an_address_that_is_not_verified_is_none(verified: Any, kept: bool) -> None:
    chosen = {"attributes": ("email",), "name_claim": "email"}
    found = identity(settings=chosen, email="boss@example.test", email_verified=verified)
    assert ("email" in found.attributes) is kept
    assert (found.name == "boss@example.test") is kept
