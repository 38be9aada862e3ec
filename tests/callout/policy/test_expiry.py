from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.policy.decision import Granted, Part
from callout.policy.expiry import Cap, CapSource, lifetime
from callout.policy.match import decide
from callout.policy.model import LEAST_LIFETIME
from callout.refusals import Reason
from issuer.errors import Defect
from tests.callout.policy.policies import NOW, binding, policy_of, someone

caps = st.lists(
    st.builds(
        Cap,
        st.sampled_from(list(CapSource)),
        st.one_of(st.integers(NOW - 5, NOW + 15), st.integers(NOW, NOW + 10**7)),
    ),
    min_size=1,
    max_size=6,
)


@given(caps, st.integers(0, 50), st.floats(0, 1))
def test_a_token_never_outlives_any_cap_and_loses_no_more_than_its_share(
    given_caps: list[Cap], jitter: int, chance: float
) -> None:
    end = lifetime(given_caps, now=NOW, jitter=jitter, chance=chance)
    least = min(cap.at for cap in given_caps)
    assert end.least.at == least
    if least - NOW < LEAST_LIFETIME:
        assert end.expires_at is None
        assert not all(step.passed for step in end.steps)
        return
    assert end.expires_at is not None
    assert NOW + LEAST_LIFETIME <= end.expires_at <= least
    assert (least - end.expires_at) * 100 <= (least - NOW) * jitter
    assert all(step.passed for step in end.steps)
    assert end == lifetime(given_caps, now=NOW, jitter=jitter, chance=chance)


def test_chance_spreads_the_ends() -> None:
    cap = [Cap(CapSource.POLICY, NOW + 1000)]
    ends = [lifetime(cap, now=NOW, jitter=10, chance=chance / 10).expires_at for chance in range(11)]
    assert ends == [NOW + 1000 - 10 * step for step in range(11)]


@pytest.mark.parametrize("chance", [-0.1, 1.1, math.nan, math.inf])
def test_a_chance_that_is_none_is_our_fault(chance: float) -> None:
    with pytest.raises(Defect):
        lifetime([Cap(CapSource.POLICY, NOW + 1000)], now=NOW, jitter=10, chance=chance)


def test_without_any_cap_there_is_no_token() -> None:
    with pytest.raises(Defect):
        lifetime([], now=NOW, jitter=10, chance=0)


@pytest.mark.parametrize(
    ("identity", "own", "role", "policy", "source", "left"),
    [
        (300, "1h", "2h", "3h", "identity", 300),
        (None, "1h", "2h", "3h", "binding", 3600),
        (9000, "3h", "1h", "4h", "role", 3600),
        (9000, "3h", "2h", "30m", "policy", 1800),
    ],
)
def test_the_least_of_all_caps_counts_and_the_steps_say_which(
    identity: int | None, own: str, role: str, policy: str, source: str, left: int
) -> None:
    rules = policy_of(
        binding(max_lifetime=own),
        max_lifetime=policy,
        role_lifetimes={"GRID/operator": role, "GRID/other": "5s"},
    )
    decision = decide(someone(expires_at=None if identity is None else NOW + identity), rules, now=NOW)
    assert isinstance(decision, Granted)
    assert decision.grant.expires_at == NOW + left
    steps = [step for step in decision.steps if step.part is Part.EXPIRY]
    counted = [step.criterion.split()[0] for step in steps if step.why.startswith("the least")]
    assert counted == [source]


def test_a_proof_that_is_nearly_over_is_refused_as_expired() -> None:
    for left, granted in ((5, True), (4, False), (0, False), (-100, False)):
        decision = decide(someone(expires_at=NOW + left), policy_of(binding()), now=NOW)
        assert bool(decision) is granted
        if not isinstance(decision, Granted):
            assert decision.reason is Reason.CREDENTIALS_EXPIRED


def test_every_grant_ends() -> None:
    decision = decide(someone(expires_at=None), policy_of(binding()), now=NOW)
    assert isinstance(decision, Granted)
    assert decision.grant.expires_at == NOW + 86_400


def test_chance_never_leaves_less_than_is_worth_having() -> None:
    end = lifetime([Cap(CapSource.POLICY, NOW + 6)], now=NOW, jitter=50, chance=1)
    assert end.expires_at == NOW + LEAST_LIFETIME
