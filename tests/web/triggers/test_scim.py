"""SCIM: whoever is made inactive or deleted at the provider is kept out, in whichever words it says so."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from callout.directories.secrets import Secret
from issuer.audit.catalogue import EventCode
from issuer.authority.cutting import Deny, deny
from issuer.authority.source_denials import ALWAYS
from issuer.errors import Unavailable
from issuer.grants import Target
from issuer.store.provisioned import Whom, list_provisioned
from tests.web.triggers.office import ADA, OKTA, SECRET, Caller, Office
from web.triggers.scim import scim_router
from web.triggers.scim_schemas import ERROR, LIST, PATCH, USER
from web.triggers.scim_service import Service
from web.triggers.settings import ScimClient, ScimSubject

BASE = "/scim/v2/corp"
USERS = f"{BASE}/Users"
KEY = {"Authorization": f"Bearer {SECRET.reveal()}"}


def caller(office: Office, **settings: Any) -> Caller:
    named: dict[str, Any] = {"name": "corp", "directory": "okta", "token": SECRET}
    client = ScimClient(**(named | settings))
    service = Service(client, OKTA, office.authority, operator=office.operator, wake=office.woken.extend)
    return Caller(scim_router([service]), headers=KEY)


def ann(**members: Any) -> dict[str, Any]:
    named = {"schemas": [USER], "userName": "Ann@example.com", "externalId": "00uann", "active": True}
    return named | members


def made(call: Caller, **members: Any) -> str:
    answer = call("POST", USERS, json=ann(**members))
    assert answer.status_code == 201, answer.text
    number: str = answer.json()["id"]
    return number


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": list(operations)}


def denied(office: Office) -> list[str]:
    return [each.value for each in office.standing()]


# Who may


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer wrong", f"Basic {SECRET.reveal()}", SECRET.reveal()])
def test_whoever_has_not_the_token_is_told_nothing(office: Office, shown: str) -> None:
    call = caller(office)
    for method, path in (("GET", USERS), ("POST", USERS), ("GET", f"{BASE}/Schemas"), ("GET", f"{BASE}/x")):
        answer = call(method, path, headers={"Authorization": shown})
        assert answer.status_code == 401
        assert answer.json()["schemas"] == [ERROR]
        assert answer.headers["www-authenticate"] == "Bearer"
    assert call("GET", "/scim/v2/other/Users").status_code == 401


def test_the_token_before_is_taken_as_long_as_it_stands_there(office: Office) -> None:
    call = caller(office, token=Secret("another-token-of-length"), previous_token=SECRET)
    assert call("GET", USERS).status_code == 200


# Life of a user


def test_a_user_comes_and_is_found_in_every_way(office: Office) -> None:
    call = caller(office)
    number = made(
        call, displayName="Ann", name={"familyName": "A"}, emails=[{"value": "a@x", "primary": True}]
    )
    answer = call("GET", f"{USERS}/{number}")
    user = answer.json()
    assert answer.headers["content-type"] == "application/scim+json"
    assert (user["userName"], user["externalId"], user["active"]) == ("Ann@example.com", "00uann", True)
    assert user["meta"]["location"] == f"http://accredit{USERS}/{number}"
    assert user["meta"]["created"] == "2027-01-15T08:00:00Z"
    for asked in (
        'userName eq "ann@EXAMPLE.com"', 'externalId eq "00uann"', f'id eq "{number}"', "active eq true",
        f'{USER}:userName eq "ann@example.com"', 'username EQ "ann@example.com"',
    ):  # fmt: skip
        found = call("GET", USERS, params={"filter": asked}).json()
        assert (found["schemas"], found["totalResults"]) == ([LIST], 1), asked
        assert found["Resources"] == [user]
    for asked in ('userName eq "bob"', 'externalId eq "00uANN"', 'id eq "0"', "active eq false"):
        found = call("GET", USERS, params={"filter": asked}).json()
        assert (found["totalResults"], found["Resources"]) == (0, []), asked
    assert denied(office) == []
    (event,) = office.events(EventCode.PROVISIONED_ADDED)
    assert event.body.actor == "scim:corp"


@pytest.mark.parametrize(
    "asked", ["userName", 'userName co "a"', 'a eq "b" and c eq "d"', "userName eq a", "userName eq 7", "", "x" * 600]
)  # fmt: skip
def test_a_filter_that_is_not_understood_is_never_passed_over(office: Office, asked: str) -> None:
    answer = caller(office)("GET", USERS, params={"filter": asked})
    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidFilter")


def test_users_are_given_a_page_at_a_time(office: Office) -> None:
    call = caller(office, page=3)
    for number in range(5):
        made(call, userName=f"u{number}", externalId=f"e{number}")
        office.now += 1

    def page(**asked: Any) -> tuple[int, int, list[str]]:
        found = call("GET", USERS, params=asked).json()
        return found["totalResults"], found["startIndex"], [each["userName"] for each in found["Resources"]]

    assert page() == (5, 1, ["u0", "u1", "u2"])
    assert page(startIndex=4) == (5, 4, ["u3", "u4"])
    assert page(startIndex=2, count=1) == (5, 2, ["u1"])
    assert page(startIndex=-7, count=-1) == (5, 1, [])
    assert page(count=0) == (5, 1, [])
    assert page(startIndex=10**10) == (5, 10**10, [])
    assert call("GET", USERS, params={"count": "x"}).status_code == 400


@pytest.mark.parametrize(
    "operations",
    [
        # Okta, with a path and without one
        [{"op": "replace", "path": "active", "value": False}],
        [{"op": "replace", "value": {"active": False}}],
        # Entra
        [{"op": "Replace", "path": "active", "value": "False"}],
        [{"op": "Add", "path": "active", "value": "false"}],
        [{"op": "Replace", "value": {"active": "False", "displayName": "x"}}],
        [{"op": "replace", "path": f"{USER}:active", "value": False}],
        [{"op": "replace", "path": "Active", "value": False}],
        [{"op": "replace", "value": {f"{USER}:Active": False}}],
        [{"op": "replace", "path": "active", "value": True}, {"op": "replace", "path": "active", "value": False}],
    ],
)  # fmt: skip
def test_inactive_in_any_words_keeps_out(office: Office, operations: list[dict[str, Any]]) -> None:
    call = caller(office)
    number = made(call)
    answer = call("PATCH", f"{USERS}/{number}", json=patch(*operations))
    assert (answer.status_code, answer.json()["active"]) == (200, False)
    (denial,) = office.standing()
    assert (denial.target, denial.issuer, denial.value) == (Target.IDENTITY, OKTA, "00uann")
    assert (denial.before, denial.reason) == (ALWAYS, "scim:corp account: provisioned.changed")
    assert len(office.woken) == 1
    # Who is not active is still there to be read.
    assert call("GET", f"{USERS}/{number}").json()["active"] is False
    answer = call("PATCH", f"{USERS}/{number}", json=patch({"op": "replace", "value": {"active": "True"}}))
    assert answer.json()["active"] is True
    assert denied(office) == []


@pytest.mark.parametrize("value", ["no", "", 0, 1, None, [], {}, "0"])
def test_active_that_is_neither_is_never_taken_for_yes(office: Office, value: Any) -> None:
    call = caller(office)
    number = made(call)
    operation = {"op": "replace", "path": "active", "value": value}
    answer = call("PATCH", f"{USERS}/{number}", json=patch(operation))
    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
    assert call("GET", f"{USERS}/{number}").json()["active"] is True


def test_put_without_active_leaves_it_as_it_was(office: Office) -> None:
    call = caller(office)
    number = made(call, active=False)
    document = ann()
    del document["active"]
    assert call("PUT", f"{USERS}/{number}", json=document).json()["active"] is False
    assert denied(office) == ["00uann"]
    assert call("PUT", f"{USERS}/{number}", json=ann(active="true")).json()["active"] is True
    assert denied(office) == []


def test_whoever_is_deleted_is_kept_out_until_they_are_made_anew(office: Office) -> None:
    call = caller(office)
    number = made(call)
    assert (call("DELETE", f"{USERS}/{number}").status_code, denied(office)) == (204, ["00uann"])
    assert call("GET", f"{USERS}/{number}").status_code == 404
    assert call("DELETE", f"{USERS}/{number}").status_code == 404
    assert (
        call(
            "PATCH", f"{USERS}/{number}", json=patch({"op": "add", "path": "title", "value": "x"})
        ).status_code
        == 404
    )
    assert made(call) != number
    assert denied(office) == []


def test_whoever_comes_inactive_is_kept_out(office: Office) -> None:
    made(caller(office), active="False")
    assert denied(office) == ["00uann"]


def test_it_lifts_its_own_denials_and_no_others(office: Office) -> None:
    call = caller(office)
    number = made(call, active=False)
    office.authority.perform(deny, Deny(Target.IDENTITY, OKTA, "00uann", None, "by hand"), ADA)
    call("PATCH", f"{USERS}/{number}", json=patch({"op": "replace", "path": "active", "value": True}))
    assert [each.reason for each in office.standing()] == ["by hand"]


def test_the_user_name_may_be_the_subject(office: Office) -> None:
    call = caller(office, subject=ScimSubject.USER_NAME)
    number = made(call, active=False)
    assert denied(office) == ["Ann@example.com"]
    # Under a new name they are kept out as well, and under the old one still.
    renamed = patch({"op": "replace", "path": "userName", "value": "ann2@example.com"})
    assert call("PATCH", f"{USERS}/{number}", json=renamed).status_code == 200
    assert sorted(denied(office)) == ["Ann@example.com", "ann2@example.com"]


def test_whoever_could_not_be_kept_out_is_not_taken_in(office: Office) -> None:
    call = caller(office)
    document = ann()
    del document["externalId"]
    assert call("POST", USERS, json=document).json()["scimType"] == "invalidValue"
    number = made(call)
    for operation in (
        {"op": "remove", "path": "externalId"}, {"op": "remove", "path": "userName"},
        {"op": "remove", "path": "active"},
    ):  # fmt: skip
        assert call("PATCH", f"{USERS}/{number}", json=patch(operation)).status_code == 400
    del document["userName"]
    assert call("PUT", f"{USERS}/{number}", json=document).status_code == 400


def test_nobody_has_the_name_or_the_id_of_another(office: Office) -> None:
    call = caller(office)
    made(call)
    other = made(call, userName="bob", externalId="00ubob")
    for document in (ann(externalId="x"), ann(userName="x")):
        answer = call("POST", USERS, json=document)
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
    assert call("PUT", f"{USERS}/{other}", json=ann(userName="ANN@example.com")).status_code == 409


def test_one_provider_never_sees_the_people_of_another(office: Office) -> None:
    number = made(caller(office))
    other = caller(office, name="other")
    assert other("GET", f"/scim/v2/other/Users/{number}").status_code == 404
    assert other("GET", "/scim/v2/other/Users").json()["totalResults"] == 0
    assert other("DELETE", f"/scim/v2/other/Users/{number}").status_code == 404


def test_a_password_gets_nowhere(office: Office) -> None:
    call = caller(office)
    number = made(call, password="s3cret-of-ann", Password="s3cret-of-ann")
    asked = {"op": "replace", "path": "password", "value": "s3cret-of-ann"}
    assert call("PATCH", f"{USERS}/{number}", json=patch(asked)).status_code == 200
    with office.database.reading() as unit:
        (row,) = list_provisioned(unit, office.id, "scim:corp", Whom())
    assert "s3cret" not in row.document
    assert "s3cret" not in call("GET", f"{USERS}/{number}").text
    assert not any("s3cret" in str(each) for each in office.events(EventCode.PROVISIONED_CHANGED))


def test_what_does_not_change_anything_is_not_written(office: Office) -> None:
    call = caller(office)
    number = made(call)
    office.now += 50
    assert call("PUT", f"{USERS}/{number}", json=ann()).status_code == 200
    assert office.events(EventCode.PROVISIONED_CHANGED) == []


@pytest.mark.parametrize(
    ("operation", "found"),
    [
        ({"op": "add", "path": "title", "value": "Chief"}, {"title": "Chief"}),
        ({"op": "add", "path": "name.givenName", "value": "Ann"}, {"name": {"givenName": "Ann", "familyName": "A"}}),
        ({"op": "replace", "path": "name", "value": {"givenName": "B"}}, {"name": {"givenName": "B", "familyName": "A"}}),
        ({"op": "replace", "value": {"name.familyName": "C"}}, {"name": {"familyName": "C"}}),
        ({"op": "remove", "path": "name.familyName"}, {"name": None}),
        ({"op": "remove", "path": "emails"}, {"emails": None}),
        ({"op": "remove", "path": 'emails[type eq "work"]'}, {"emails": None}),
        (
            {"op": "replace", "path": 'emails[type eq "WORK"].value', "value": "b@x"},
            {"emails": [{"value": "b@x", "type": "work", "primary": True}]},
        ),
        # Entra adds what it wants to replace.
        (
            {"op": "Replace", "path": 'emails[type eq "home"].value', "value": "h@x"},
            {"emails": [{"value": "a@x", "type": "work", "primary": True}, {"type": "home", "value": "h@x"}]},
        ),
        (
            {"op": "add", "path": "emails", "value": [{"value": "n@x", "primary": True}]},
            {"emails": [{"value": "a@x", "type": "work", "primary": False}, {"value": "n@x", "primary": True}]},
        ),
        ({"op": "replace", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "x"}, {}),
        ({"op": "add", "path": "phoneNumbers", "value": [{"value": "1"}]}, {"phoneNumbers": None}),
    ],
)  # fmt: skip
def test_parts_of_a_user_change(office: Office, operation: dict[str, Any], found: dict[str, Any]) -> None:
    call = caller(office)
    emails = [{"value": "a@x", "type": "work", "primary": True}]
    number = made(call, name={"familyName": "A"}, emails=emails)
    answer = call("PATCH", f"{USERS}/{number}", json=patch(operation))
    assert answer.status_code == 200, answer.text
    assert {name: answer.json().get(name) for name in found} == found


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"Operations": [{"op": "add"}]}, "invalidSyntax"),
        (patch(), "invalidSyntax"),
        (patch({"op": "move", "path": "title"}), "invalidSyntax"),
        (patch({"op": "remove"}), "noTarget"),
        (patch({"op": "add", "path": "title"}), "invalidValue"),
        (patch({"op": "add", "value": 7}), "invalidValue"),
        (patch({"op": "add", "path": "activ", "value": False}), "invalidPath"),
        (patch({"op": "add", "path": "title.x", "value": "x"}), "invalidPath"),
        (patch({"op": "add", "path": "emails[", "value": "x"}), "invalidPath"),
        (patch({"op": "add", "path": 'emails[type co "w"].value', "value": "x"}), "invalidFilter"),
        (patch({"op": "add", "path": 7, "value": "x"}), "invalidPath"),
        (patch({"op": "add", "path": "title", "value": 7}), "invalidValue"),
        (patch({"op": "add", "path": "userName", "value": " "}), "invalidValue"),
        (patch({"op": "add", "path": "userName", "value": "a\u0000b"}), "invalidValue"),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_done_changes_nothing(office: Office, body: Any, kind: str) -> None:
    call = caller(office)
    number = made(call)
    if "schemas" in body and body["Operations"]:
        # Not even what stands before it.
        body = patch({"op": "replace", "path": "active", "value": False}, *body["Operations"])
    answer = call("PATCH", f"{USERS}/{number}", json=body)
    assert (answer.status_code, answer.json()["scimType"]) == (400, kind)
    assert call("GET", f"{USERS}/{number}").json()["active"] is True
    assert denied(office) == []


# What is said of the service


def test_groups_are_none_and_cannot_be_pushed(office: Office) -> None:
    call = caller(office)
    assert call("GET", f"{BASE}/Groups", params={"filter": 'displayName eq "x"'}).json()["totalResults"] == 0
    for method, path in (("POST", "Groups"), ("PATCH", "Groups/1"), ("DELETE", "Groups/1"), ("GET", "Me")):
        answer = call(method, f"{BASE}/{path}", json={})
        assert (answer.status_code, answer.json()["schemas"]) == (501, [ERROR])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nothing", 404), ("GET", "Schemas/x", 404), ("GET", "ResourceTypes/Group", 404),
        ("GET", f"Schemas/{USER}", 200), ("GET", "ResourceTypes/User", 200), ("POST", "Schemas", 405),
        ("GET", "Schemas?filter=x", 403), ("GET", "ServiceProviderConfig", 200), ("PUT", "nothing", 404),
        ("GET", "Users/a%00b", 404), ("GET", "Users/" + "x" * 500, 404),
    ],
)  # fmt: skip
def test_every_answer_is_in_words_of_scim(office: Office, method: str, path: str, status: int) -> None:
    answer = caller(office)(method, f"{BASE}/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/scim+json")
    if status != 200:
        assert (answer.json()["schemas"], answer.json()["status"]) == ([ERROR], str(status))


def test_only_what_is_asked_for_is_told(office: Office) -> None:
    call = caller(office)
    number = made(call, title="x")
    some = call("GET", f"{USERS}/{number}", params={"attributes": "userName,name.givenName"}).json()
    assert set(some) == {"schemas", "id", "userName"}
    most = call("GET", USERS, params={"excludedAttributes": "title,meta"}).json()["Resources"][0]
    assert "title" not in most
    assert "externalId" in most


def test_a_question_may_come_in_a_body(office: Office) -> None:
    call = caller(office)
    made(call)
    asked = {
        "filter": 'userName eq "ann@example.com"',
        "startIndex": 1,
        "count": 5,
        "attributes": ["userName"],
    }
    (found,) = call("POST", f"{USERS}/.search", json=asked).json()["Resources"]
    assert set(found) == {"schemas", "id", "userName"}
    assert call("POST", f"{USERS}/.search", json={"filter": {"x": 1}}).status_code == 400
    assert call("POST", f"{USERS}/other", json=asked).status_code == 405


def test_a_store_that_does_not_answer_has_the_provider_try_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise Unavailable("the database does not answer")

    call = caller(office)
    monkeypatch.setattr(office.authority, "perform", down)
    assert call("POST", USERS, json=ann()).status_code == 503


# Whatever comes

names = st.sampled_from(
    ["userName", "externalId", "active", "name", "emails", "title", "schemas", "password", "id", "op", "path",
     "value", "Operations", "name.givenName", 'emails[type eq "work"].value', f"{USER}:active", "urn:x:y"]
) | st.text(max_size=8)  # fmt: skip
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
operation = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "Replace", "remove"]) | plain},
    optional={"path": names | plain, "value": plain},
)
quick = hypothesis.settings(
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], max_examples=150
)


def sent(call: Caller, method: str, path: str, given: Any) -> int:
    body = json.dumps(given).encode()
    return call(method, path, content=body, headers={"content-type": "application/scim+json"}).status_code


@hypothesis.given(plain | st.dictionaries(names, plain, max_size=6))
@quick
def test_whatever_user_comes_it_is_taken_or_refused_and_never_a_fault(office: Office, given: Any) -> None:
    assert sent(caller(office), "POST", USERS, given) in {201, 400, 409}


@hypothesis.given(st.lists(operation, max_size=4) | plain)
@quick
def test_whatever_change_comes_it_is_made_or_refused_and_never_a_fault(office: Office, given: Any) -> None:
    call = caller(office)
    found = call("GET", USERS, params={"filter": 'externalId eq "00uann"'}).json()["Resources"]
    number = found[0]["id"] if found else made(call, userName=f"u{office.now}")
    office.now += 1
    status = sent(call, "PATCH", f"{USERS}/{number}", {"schemas": [PATCH], "Operations": given})
    assert status in {200, 400}
    assert call("GET", f"{USERS}/{number}").status_code == 200


@hypothesis.given(st.text(max_size=40), st.text(max_size=8))
@quick
def test_whatever_is_asked_for_it_is_answered(office: Office, asked: str, number: str) -> None:
    call = caller(office)
    for members in ({"filter": asked}, {"startIndex": number}, {"count": asked}, {"attributes": asked}):
        assert call("GET", USERS, params=members).status_code in {200, 400}
    for text in (f'userName eq "{asked}"', f"externalId eq {json.dumps(asked)}"):
        assert call("GET", USERS, params={"filter": text}).status_code in {200, 400}
