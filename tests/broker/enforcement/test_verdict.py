from __future__ import annotations

import pytest

from broker.enforcement.verdict import Gate, Outcome, Step, Verdict


def steps(*said: tuple[Gate, bool]) -> Verdict:
    return Verdict(tuple(Step(gate, passed) for gate, passed in said))


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (steps(), Outcome.DENIED),
        (steps((Gate.TOKEN, True)), Outcome.ALLOWED),
        (steps((Gate.TOKEN, True), (Gate.CLAIMS, False)), Outcome.DENIED),
        (steps((Gate.TOKEN, True), (Gate.DELEGATION, True)), Outcome.DELEGATED),
        (steps((Gate.SUBSCRIBE_ALLOW, True), (Gate.FILTER, True)), Outcome.FILTERED),
        (steps((Gate.PUBLISH_ALLOW, False), (Gate.RESPONSE, True)), Outcome.REPLY_ONLY),
        (
            steps((Gate.PUBLISH_ALLOW, True), (Gate.PUBLISH_DENY, False), (Gate.RESPONSE, True)),
            Outcome.REPLY_ONLY,
        ),
        (steps((Gate.PUBLISH_ALLOW, False), (Gate.RESPONSE, False)), Outcome.DENIED),
        # A remembered reply overrides the lists, and nothing else.
        (steps((Gate.PAYLOAD, False), (Gate.RESPONSE, True)), Outcome.DENIED),
        (
            steps((Gate.PUBLISH_ALLOW, False), (Gate.RESPONSE, True), (Gate.RESERVED_SUBJECT, False)),
            Outcome.DENIED,
        ),
    ],
)
def test_what_a_trace_comes_to_is_derived_from_its_steps(verdict: Verdict, outcome: Outcome) -> None:
    assert verdict.outcome is outcome
    assert verdict.allowed is bool(verdict) is (outcome is not Outcome.DENIED)
    assert (verdict.refusal is None) is (verdict.allowed or not verdict.steps)


def test_the_refusal_is_the_first_step_that_failed() -> None:
    verdict = steps((Gate.TOKEN, True), (Gate.CLAIMS, False), (Gate.ISSUER, False))
    assert verdict.refusal is not None
    assert verdict.refusal.gate is Gate.CLAIMS


def test_the_gates_of_a_connection_have_the_numbers_of_the_specification() -> None:
    numbered = {gate: gate.number for gate in Gate if gate.number is not None}
    assert list(numbered.values()) == list(range(1, 21))
    assert numbered[Gate.TOKEN] == 3
    assert numbered[Gate.SIGNATURE] == 15
    assert numbered[Gate.DELEGATION] == 20
    assert Gate.STAY.number is None
