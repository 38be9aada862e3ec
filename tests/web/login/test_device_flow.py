"""Whatever an issuer answers, asking ends in time, never hurries, and yields tokens or a reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.errors import AccreditError
from web.login.device_flow import (
    MOST_INTERVAL,
    MOST_SECONDS,
    SLOWER,
    Begun,
    DeviceFlowError,
    NotLoggedIn,
    Tokens,
    Waiting,
    begun,
    waiting,
)

ANSWER = {
    "device_code": "device",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://id.example/device",
    "expires_in": 600,
}
PENDING = {"error": "authorization_pending"}


def of(**members: Any) -> dict[str, Any]:
    return ANSWER | members


def flow(**members: Any) -> Begun:
    return begun(of(**members))


def test_an_issuer_that_says_nothing_is_asked_every_five_seconds() -> None:
    assert flow().interval == 5
    assert flow(interval=2).interval == 2


@pytest.mark.parametrize(
    "members",
    [
        {"device_code": ""},
        {"user_code": None},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "file:///etc/passwd"},
        {"verification_uri_complete": "javascript:alert(1)"},
        {"verification_uri_complete": 5},
        {"expires_in": 0},
        {"expires_in": True},
        {"expires_in": "600"},
        {"interval": 0},
        {"interval": -5},
    ],
)
def test_an_answer_that_cannot_be_used(members: dict[str, Any]) -> None:
    with pytest.raises(DeviceFlowError):
        flow(**members)


def test_what_an_issuer_asks_of_our_patience_has_bounds() -> None:
    found = flow(interval=10**9, expires_in=10**9)
    assert (found.interval, found.lasts) == (MOST_INTERVAL, MOST_SECONDS)


def test_slow_down_is_for_good() -> None:
    state = waiting(flow(), now=0)
    for document in ({"error": "slow_down"}, PENDING, {"error": "slow_down"}):
        answer = state.answered(ok=False, document=document)
        assert isinstance(answer, Waiting)
        state = answer
    assert state.pause == 5 + 2 * SLOWER


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"error": "access_denied"}, NotLoggedIn),
        ({"error": "expired_token"}, NotLoggedIn),
        ({"error": "invalid_grant"}, NotLoggedIn),
        ({"error": "invalid_client"}, DeviceFlowError),
        ({"error": 5}, DeviceFlowError),
        ({}, DeviceFlowError),
    ],
)
def test_it_ends_when_the_issuer_says_so(document: dict[str, Any], kind: type[AccreditError]) -> None:
    with pytest.raises(kind):
        waiting(flow(), now=0).answered(ok=False, document=document)


@pytest.mark.parametrize(
    "document", [{}, {"id_token": ""}, {"id_token": 5}, {"access_token": ["a"]}, PENDING]
)
def test_an_answer_without_a_token_is_no_login(document: dict[str, Any]) -> None:
    with pytest.raises(DeviceFlowError):
        waiting(flow(), now=0).answered(ok=True, document=document)


def test_no_token_is_shown() -> None:
    tokens = waiting(flow(), now=0).answered(ok=True, document={"id_token": "secret-token"})
    assert isinstance(tokens, Tokens)
    assert tokens.id_token == "secret-token"
    assert "secret" not in repr(tokens)
    assert "device" not in repr(flow()).replace("/device", "")


EVENTS = st.lists(
    st.sampled_from(["authorization_pending", "slow_down", "nothing", "tokens", "access_denied", "odd"]),
    max_size=80,
)


@given(EVENTS, st.integers(1, 100), st.integers(1, 5000), st.floats(0, 1e9))
def test_any_course_of_events(events: list[str], interval: int, lasts: int, start: float) -> None:
    """Never asked sooner than told, never after the code is over, and the pause never shrinks."""
    state: Waiting = waiting(flow(interval=interval, expires_in=lasts), now=start)
    now, asked = start, 0
    for event in events:
        before = state.pause
        try:
            at = state.next_at(now)
        except NotLoggedIn:
            assert now + state.pause >= state.until
            return
        assert at - now >= min(interval, MOST_INTERVAL) * 0.999
        assert at < start + min(lasts, MOST_SECONDS)
        now, asked = at, asked + 1
        try:
            if event == "nothing":
                state = state.unanswered()
            elif event == "tokens":
                assert isinstance(state.answered(ok=True, document={"id_token": "t"}), Tokens)
                return
            else:
                answer = state.answered(ok=False, document={"error": event})
                assert isinstance(answer, Waiting)
                state = answer
        except AccreditError:
            assert event in {"access_denied", "odd"}
            return
        assert state.pause >= before
        assert asked <= min(lasts, MOST_SECONDS) / min(interval, MOST_INTERVAL) + 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@given(
    st.booleans(),
    st.dictionaries(
        st.sampled_from(["error", "id_token", "access_token", "interval", "x"]), JSON, max_size=4
    ),
)
def test_no_answer_is_a_fault_of_ours(ok: bool, document: dict[str, Any]) -> None:
    try:
        found = waiting(flow(), now=0).answered(ok=ok, document=document)
    except (DeviceFlowError, NotLoggedIn):
        return
    assert isinstance(found, Waiting | Tokens)


@given(st.dictionaries(st.sampled_from([*ANSWER, "interval", "verification_uri_complete"]), JSON, max_size=6))
def test_no_beginning_is_a_fault_of_ours(document: dict[str, Any]) -> None:
    try:
        begun(document)
    except DeviceFlowError:
        return
