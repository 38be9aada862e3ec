"""Metrics say how logins go, and never whose they are."""

from __future__ import annotations

import math

from callout.desk import Outcome
from callout.directories.opening import DirectoryState
from callout.refusals import Reason
from callout.request import SeenUsers, prove
from issuer.errors import Unavailable
from issuer.grants import Identity
from tests.callout.asking import NOW, Asking
from web.metrics import LoginMetrics, Recorders, Seldom

ANN = Identity(issuer="https://id.example", subject="ann-7", name="Ann Example", directory="okta")


def read(metrics: LoginMetrics) -> dict[str, float]:
    lines = [line for line in metrics.text().decode().splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_what_was_decided_is_counted_by_directory_and_reason() -> None:
    metrics = LoginMetrics(now=lambda: NOW)
    away = Outcome(identity=ANN, reason=Reason.NO_BINDING, message="Ann Example fits no binding")
    both = Recorders(metrics, metrics)
    both.refused(None, away)
    both.refused(None, Outcome(reason=Reason.NO_DIRECTORY))
    found = read(metrics)
    family = "accredit_callout_logins_total"
    assert found[f'{family}{{directory="okta",outcome="refused",reason="policy.no-binding"}}'] == 2
    assert found[f'{family}{{directory="none",outcome="refused",reason="directory.none"}}'] == 2


def test_nothing_of_a_person_is_told() -> None:
    metrics = LoginMetrics(now=lambda: NOW)
    metrics.refused(None, Outcome(identity=ANN, reason=Reason.DENIED, message="ann-7 was cut off"))
    text = metrics.text().decode()
    assert "ann" not in text.lower().replace("cannot", "")


def test_what_is_looked_at_when_somebody_asks() -> None:
    metrics = LoginMetrics(now=lambda: NOW)
    states = [DirectoryState(name="okta", kind="oidc", ready=False)]
    metrics.watch(
        under_way=lambda: 3,
        waiting=lambda: 2,
        policy_version=lambda: 7,
        rules_age=lambda: 0.5,
        unwritten=lambda: 0,
        connected=lambda: 1,
        open_sessions=lambda: 12,
        errands=lambda: 4,
        directories=lambda: states,
    )
    found = read(metrics)
    assert found["accredit_callout_policy_version"] == 7
    assert found["accredit_callout_waiting"] == 2
    assert found["accredit_callout_open_sessions"] == 12
    assert found["accredit_callout_errands_waiting"] == 4
    assert not [name for name in found if name.startswith("accredit_callout_keys")]
    assert found['accredit_callout_directory_ready{directory="okta",kind="oidc"}'] == 0
    states[0] = DirectoryState(name="okta", kind="oidc", ready=True, keys_at=NOW - 300.0)
    found = read(metrics)
    assert found['accredit_callout_directory_ready{directory="okta",kind="oidc"}'] == 1
    assert found['accredit_callout_keys_age_seconds{directory="okta"}'] == 300
    assert found['accredit_callout_keys_stale{directory="okta"}'] == 0
    states[0] = DirectoryState(name="okta", kind="oidc", ready=True, keys_at=NOW - 4000.0, keys_stale=True)
    assert read(metrics)['accredit_callout_keys_stale{directory="okta"}'] == 1


def test_how_long_those_let_in_waited() -> None:
    metrics = LoginMetrics(now=lambda: NOW)
    asking = Asking()
    request = prove(asking.token(), "", asking.rules(), SeenUsers(), now=NOW)
    metrics.admitted(request, Outcome(identity=ANN, waited=0.0015), 0.004)
    found = read(metrics)
    assert found['accredit_callout_wait_seconds_bucket{le="0.001"}'] == 0
    assert found['accredit_callout_wait_seconds_bucket{le="0.002"}'] == 1
    assert found['accredit_callout_login_seconds_bucket{le="0.002"}'] == 0
    assert found['accredit_callout_login_seconds_bucket{le="0.005"}'] == 1


def test_those_let_in_by_grace_are_counted_by_directory() -> None:
    metrics = LoginMetrics(now=lambda: NOW)
    asking = Asking()
    request = prove(asking.token(), "", asking.rules(), SeenUsers(), now=NOW)
    metrics.admitted(request, Outcome(identity=ANN), 0.004)
    metrics.admitted(request, Outcome(identity=ANN, grace=True), 0.004)
    assert read(metrics)['accredit_callout_grace_logins_total{directory="okta"}'] == 1


def test_what_costs_something_is_found_out_seldom_and_a_store_that_is_down_is_no_number() -> None:
    answers = [3.0]

    def find() -> float:
        if not answers:
            raise Unavailable("the store does not answer")
        return answers.pop()

    seldom = Seldom(find, seconds=3600)
    assert [seldom(), seldom()] == [3, 3]
    assert math.isnan(Seldom(find)())
