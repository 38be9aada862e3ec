"""Okta event hooks: who has left is kept out before Okta has its answer, whatever comes, and in any order."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from callout.directories.secrets import Secret
from issuer.audit.catalogue import EventCode
from issuer.authority.cutting import Deny, LiftDenial, deny, lift
from issuer.authority.errands import errands_of
from issuer.authority.source_denials import ALWAYS
from issuer.errors import Unavailable
from issuer.grants import Target
from issuer.store import notices
from tests.web.triggers.office import ADA, OKTA, SECRET, START, Caller, Office
from web.triggers.okta import okta_router
from web.triggers.okta_events import MEANINGS, read_delivery
from web.triggers.settings import OktaHook, OktaSubject

PATH = "/api/v1/hooks/okta/corp"
KEY = {"Authorization": SECRET.reveal()}


def caller(office: Office, **settings: Any) -> Caller:
    named: dict[str, Any] = {"name": "corp", "directory": "okta", "secret": SECRET}
    hook = OktaHook(**(named | settings))
    routes = okta_router(
        [(hook, OKTA)], office.authority, operator="ACME", wake=office.woken.extend, now=lambda: office.now
    )
    return Caller(routes, headers=KEY)


def moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(START + seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def user(subject: str = "00uann", **members: Any) -> dict[str, Any]:
    named = {"id": subject, "type": "User", "alternateId": f"{subject}@example.com", "displayName": "Ann"}
    return named | members


ADMIN = {"id": "00uadmin", "type": "User", "alternateId": "root@example.com", "displayName": "Root"}


def event(kind: str, *targets: dict[str, Any], at: float = 0, **members: Any) -> dict[str, Any]:
    made = {
        "uuid": f"{kind}-{at}-{len(targets)}",
        "published": moment(at),
        "eventType": kind,
        "actor": ADMIN,
        "outcome": {"result": "SUCCESS", "reason": None},
        "target": list(targets) or [user()],
    }
    return made | members


def delivery(*events: Any, number: str = "d1") -> dict[str, Any]:
    return {
        "eventType": "com.okta.event_hook",
        "eventTypeVersion": "1.0",
        "cloudEventsVersion": "0.1",
        "source": f"{OKTA}/api/v1/eventHooks/who1",
        "eventId": number,
        "data": {"events": list(events)},
        "eventTime": moment(0),
        "contentType": "application/json",
    }


def tell(office: Office, *events: Any, number: str = "d1", **settings: Any) -> None:
    answer = caller(office, **settings)("POST", PATH, json=delivery(*events, number=number))
    assert (answer.status_code, answer.content) == (200, b"")


def errands(office: Office) -> list[str]:
    with office.database.reading() as unit:
        found = notices.cursors_named(unit, errands_of(office.id), until=office.now + 10_000)
    return [each.name for each in found]


# Who may tell us


def test_okta_finds_us_by_the_challenge(office: Office) -> None:
    answer = caller(office)("GET", PATH, headers={"x-okta-verification-challenge": "Me_rShK8"})
    assert (answer.status_code, answer.json()) == (200, {"verification": "Me_rShK8"})


@pytest.mark.parametrize("header", ["", "wrong", SECRET.reveal()[:-1], SECRET.reveal() + "x", "ä" * 23])
def test_whoever_does_not_know_the_secret_tells_us_nothing(office: Office, header: str) -> None:
    shown = {"Authorization": header.encode("latin-1")}
    call = caller(office)
    said = delivery(event("user.lifecycle.deactivate"))
    assert call("POST", PATH, json=said, headers=shown).status_code == 401
    assert call("GET", PATH, headers={**shown, "x-okta-verification-challenge": "x"}).status_code == 401
    assert office.standing() == []


def test_a_hook_nobody_configured_is_answered_as_a_wrong_secret(office: Office) -> None:
    call = caller(office)
    assert call("POST", "/api/v1/hooks/okta/other", json=delivery()).status_code == 401


def test_the_secret_before_is_taken_as_long_as_it_stands_there(office: Office) -> None:
    new = Secret("another-secret-of-length")
    call = caller(office, secret=new, previous_secret=SECRET, header="X-Hook")
    for secret in (SECRET, new):
        shown = {"X-Hook": secret.reveal()}
        assert call("POST", PATH, json=delivery(), headers=shown).status_code == 200
    assert call("POST", PATH, json=delivery()).status_code == 401


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": b"x" * 2000}, 413),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 400),
        ({"content": b"{}"}, 400),
        ({"json": {}}, 400),
        ({"json": []}, 400),
        ({"json": {"data": {"events": {}}}}, 400),
        ({"json": {"data": {"events": [{}] * 1001}}}, 413),
        ({"content": b'{"data":{"events":[]},"data":{"events":[]}}', "headers": {"content-type": "application/json"}}, 400),
    ],
)  # fmt: skip
def test_what_is_no_delivery_is_refused(office: Office, sent: dict[str, Any], status: int) -> None:
    assert caller(office, max_bytes=1500)("POST", PATH, **sent).status_code == status


# What follows


@pytest.mark.parametrize(
    "kind", ["user.lifecycle.deactivate", "user.lifecycle.suspend", "user.lifecycle.delete.initiated"]
)
def test_who_has_left_is_denied_before_the_answer(office: Office, kind: str) -> None:
    tell(office, event(kind))
    (denial,) = office.standing()
    assert (denial.target, denial.issuer, denial.value) == (Target.IDENTITY, OKTA, "00uann")
    assert (denial.before, denial.reason) == (ALWAYS, f"okta:corp account: {kind}")
    assert office.woken == errands(office) != []
    (heard,) = office.events(EventCode.TRIGGER_HEARD)
    assert heard.body.actor == "okta:corp"
    assert {"source": "okta:corp", "what": kind, "subject": "00uann", "followed": "denied"}.items() <= (
        heard.body.detail.items()
    )
    assert len(office.events(EventCode.IDENTITY_DENIED)) == 1


@pytest.mark.parametrize("kind", ["user.session.end", "user.account.lock"])
def test_what_was_proved_before_is_worth_nothing(office: Office, kind: str) -> None:
    tell(office, event(kind, at=10.2))
    assert [each.before for each in office.standing()] == [START + 11]
    # Once for each person: the newest is what counts.
    office.now += 600
    tell(office, event(kind, at=500), number="d2")
    tell(office, event(kind, at=400), number="d3")
    assert [each.before for each in office.standing()] == [START + 500]


def test_a_date_in_the_future_does_not_stand_above_what_follows(office: Office) -> None:
    tell(office, event("user.session.end", at=10**8))
    assert [each.before for each in office.standing()] == [START + 60]


def test_the_person_of_a_session_is_its_actor_where_no_target_is_named(office: Office) -> None:
    tell(office, event("user.session.end", target=None, actor=user("00ubob")))
    assert [each.value for each in office.standing()] == ["00ubob"]


def test_an_administrator_is_never_taken_for_whom_it_is_about(office: Office) -> None:
    tell(office, event("user.lifecycle.deactivate", target=[]))
    tell(office, event("user.lifecycle.deactivate", target=None, uuid="2"), number="d2")
    assert office.standing() == []


@pytest.mark.parametrize(
    "kind", ["user.lifecycle.activate", "user.lifecycle.reactivate", "user.lifecycle.unsuspend"]
)
def test_who_comes_back_is_let_in_again(office: Office, kind: str) -> None:
    tell(office, event("user.lifecycle.suspend"), event("user.lifecycle.deactivate", at=1))
    assert len(office.standing()) == 1
    tell(office, event(kind, at=2), number="d2")
    assert office.standing() == []
    assert len(office.events(EventCode.IDENTITY_RESTORED)) == 1


def test_a_hook_lifts_its_own_denials_and_no_others(office: Office) -> None:
    office.authority.perform(deny, Deny(Target.IDENTITY, OKTA, "00uann", None, "by hand"), ADA)
    tell(office, event("user.lifecycle.deactivate"))
    assert len(office.standing()) == 2
    tell(office, event("user.lifecycle.activate", at=1), number="d2")
    assert [each.reason for each in office.standing()] == ["by hand"]


def test_somebody_denied_by_hand_after_the_hook_stays_denied(office: Office) -> None:
    tell(office, event("user.lifecycle.deactivate"))
    office.authority.perform(deny, Deny(Target.IDENTITY, OKTA, "00uann", None, "by hand"), ADA)
    tell(office, event("user.lifecycle.activate", at=1), number="d2")
    assert [each.reason for each in office.standing()] == ["by hand"]


def test_another_hook_lifts_nothing_of_ours(office: Office) -> None:
    tell(office, event("user.lifecycle.deactivate"))
    call = caller(office, name="corp2")
    answer = call("POST", "/api/v1/hooks/okta/corp2", json=delivery(event("user.lifecycle.activate", at=1)))
    assert answer.status_code == 200
    assert len(office.standing()) == 1


def test_a_session_that_ended_is_not_healed_by_a_reactivation(office: Office) -> None:
    tell(office, event("user.session.end"), event("user.lifecycle.activate", at=1))
    assert [each.before for each in office.standing()] == [START]


# The same, twice and in any order


def test_a_delivery_counts_once(office: Office) -> None:
    tell(office, event("user.lifecycle.deactivate"))
    (denial,) = office.standing()
    office.authority.perform(lift, LiftDenial(denial.id), ADA)
    tell(office, event("user.lifecycle.deactivate"))
    assert office.standing() == []
    assert len(office.events(EventCode.TRIGGER_HEARD)) == 1


def test_an_event_that_comes_in_another_delivery_counts_once(office: Office) -> None:
    tell(office, event("user.lifecycle.deactivate"))
    (denial,) = office.standing()
    office.authority.perform(lift, LiftDenial(denial.id), ADA)
    tell(office, event("user.lifecycle.deactivate"), number="d2")
    assert office.standing() == []


def test_what_is_older_is_overtaken_whenever_it_comes(office: Office) -> None:
    tell(office, event("user.lifecycle.activate", at=20))
    tell(office, event("user.lifecycle.deactivate", at=10), number="d2")
    assert office.standing() == []
    tell(office, event("user.lifecycle.deactivate", at=30), number="d3")
    tell(office, event("user.lifecycle.activate", at=25), number="d4")
    assert len(office.standing()) == 1


def test_of_two_at_the_same_moment_the_one_that_keeps_out_holds(office: Office) -> None:
    tell(office, event("user.lifecycle.activate", at=5), event("user.lifecycle.deactivate", at=5))
    tell(office, event("user.lifecycle.activate", at=5, uuid="again"), number="d2")
    assert len(office.standing()) == 1


@hypothesis.given(st.permutations(range(4)))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_the_order_in_which_they_come_means_nothing(office: Office, order: list[int]) -> None:
    who = user(f"00u{''.join(map(str, order))}")
    kinds = ("deactivate", "activate", "suspend", "unsuspend")
    given = [event(f"user.lifecycle.{kind}", who, at=at) for at, kind in enumerate(kinds)]
    for place in order:
        given[place]["uuid"] = f"{order}-{place}"
        tell(office, given[place], number=f"{order}-{place}")
    assert [each for each in office.standing() if each.value == who["id"]] == []


# What is bad does not spoil what is good


@pytest.mark.parametrize(
    "bad",
    [
        None, 7, "x", [], {}, {"eventType": 7}, {"eventType": ["user.session.end"]},
        event("user.lifecycle.deactivate", user(id=None)),
        event("user.lifecycle.deactivate", user(id="")),
        event("user.lifecycle.deactivate", user(id="a\nb")),
        event("user.lifecycle.deactivate", user(id="x" * 300)),
        event("user.lifecycle.deactivate", target="x"),
        event("user.lifecycle.deactivate", target=[None, 1]),
        event("group.user_membership.remove"),
        event("user.lifecycle.purge"),
    ],
)  # fmt: skip
def test_a_bad_event_does_not_lose_the_good_ones(office: Office, bad: Any) -> None:
    tell(office, bad, event("user.lifecycle.deactivate", user("00ubob"), at=3), bad)
    assert [each.value for each in office.standing()] == ["00ubob"]


def test_one_of_several_people_who_cannot_be_read_does_not_lose_the_others(office: Office) -> None:
    tell(office, event("user.lifecycle.deactivate", user(id=7), user("00ubob")))
    assert [each.value for each in office.standing()] == ["00ubob"]


@pytest.mark.parametrize("result", ["FAILURE", "DENY", "SKIPPED"])
def test_what_did_not_happen_has_no_consequences(office: Office, result: str) -> None:
    tell(office, event("user.lifecycle.deactivate", outcome={"result": result}))
    assert office.standing() == []


@pytest.mark.parametrize("published", [None, 7, "", "yesterday", "9" * 100, "0001-01-01T00:00:00Z"])
def test_without_a_date_that_can_be_read_it_is_so_from_now_on(office: Office, published: Any) -> None:
    tell(office, event("user.lifecycle.deactivate", published=published))
    assert len(office.standing()) == 1


def test_a_store_that_does_not_answer_has_okta_try_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(office.authority, "perform", down)
    call = caller(office)
    assert call("POST", PATH, json=delivery(event("user.lifecycle.deactivate"))).status_code == 503
    assert call("POST", PATH, json=delivery(event("user.session.start"))).status_code == 200


# Whom, and what of


def test_somebody_is_kept_out_under_every_name_the_tokens_may_have(office: Office) -> None:
    tell(office, event("user.lifecycle.deactivate"), subjects=(OktaSubject.ID, OktaSubject.LOGIN))
    assert {each.value for each in office.standing()} == {"00uann", "00uann@example.com"}


APP = {"id": "0oaours", "type": "AppInstance", "alternateId": "NATS", "displayName": "NATS"}
APP_USER = {"id": "0uaann", "type": "AppUser", "alternateId": "ann", "displayName": "Ann"}


def test_who_loses_our_application_is_kept_out_until_it_is_given_back(office: Office) -> None:
    ours: dict[str, Any] = {"applications": ("0oaours",)}
    tell(office, event("application.user_membership.remove", APP_USER, APP, user()), **ours)
    assert [each.reason for each in office.standing()] == [
        "okta:corp application-0oaours: application.user_membership.remove"
    ]
    tell(office, event("user.lifecycle.activate", at=1), number="d2", **ours)
    assert len(office.standing()) == 1
    given = event("application.user_membership.add", APP_USER, APP, user(), at=2)
    tell(office, given, number="d3", **ours)
    assert office.standing() == []


def test_who_loses_another_application_keeps_what_they_have(office: Office) -> None:
    gone = event("application.user_membership.remove", APP_USER, APP | {"id": "0oaother"}, user())
    tell(office, gone, applications=("0oaours",))
    tell(office, event("application.user_membership.remove", APP_USER, APP, user()), number="d2")
    assert office.standing() == []


def test_what_is_to_be_ignored_is(office: Office) -> None:
    tell(office, event("user.account.lock"), ignore=("user.account.lock",))
    assert office.standing() == []


def test_a_group_that_is_lost_leaves_an_errand_and_no_denial(office: Office) -> None:
    group = {"id": "00gops", "type": "UserGroup", "alternateId": "unknown", "displayName": "operators"}
    hook = OktaHook(name="corp", directory="okta", secret=SECRET)
    given = delivery(event("group.user_membership.remove", user(), group))
    (told,) = read_delivery(given, hook, OKTA, now=START).told
    assert told.groups == ("00gops", "operators")
    tell(office, event("group.user_membership.remove", user(), group))
    assert office.standing() == []
    assert len(errands(office)) == 1


# Whatever comes

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
targets = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["User", "UserGroup", "AppInstance"]) | plain},
        optional={"id": plain, "alternateId": plain, "displayName": plain},
    )
    | plain,
    max_size=4,
)
events = st.fixed_dictionaries(
    {"eventType": st.sampled_from(sorted(MEANINGS)) | plain},
    optional={"uuid": plain, "published": plain, "target": targets | plain, "actor": plain, "outcome": plain},
)


@hypothesis.given(st.lists(events | plain, max_size=5) | plain, plain)
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], max_examples=150)
def test_whatever_is_delivered_it_is_taken_or_refused_and_never_a_fault(
    office: Office, given: Any, number: Any
) -> None:
    body = json.dumps({"eventId": number, "data": {"events": given}})
    answer = caller(office, applications=("0oaours",))(
        "POST", PATH, content=body.encode("utf-8", "replace"), headers={"content-type": "application/json"}
    )
    assert answer.status_code in {200, 400}


@hypothesis.given(st.binary(max_size=300))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], max_examples=100)
def test_whatever_bytes_come_it_is_never_a_fault(office: Office, body: bytes) -> None:
    answer = caller(office)("POST", PATH, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_the_secret_shows_itself_nowhere(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    hook = OktaHook(name="corp", directory="okta", secret=SECRET)
    caller(office)("POST", PATH, content=SECRET.reveal().encode())
    assert SECRET.reveal() not in repr(hook) + caplog.text
