from __future__ import annotations

import itertools

import pytest

from issuer.delivery.progress import (
    LONGEST_PAUSE,
    PROVED,
    TRANSITIONS,
    Heard,
    Progress,
    Standing,
    State,
    Step,
    follow,
    next_step,
    pause,
)


def test_every_state_has_an_answer_to_everything_that_can_be_heard() -> None:
    assert set(TRANSITIONS) == set(Heard)
    for state, heard in itertools.product(State, Heard):
        assert follow(state, heard) in State


@pytest.mark.parametrize("heard", [h for h in Heard if h not in {Heard.APPLIED, Heard.HELD}])
@pytest.mark.parametrize("state", [s for s in State if s not in PROVED])
def test_only_a_read_back_proves(state: State, heard: Heard) -> None:
    assert follow(state, heard) not in PROVED


def test_an_acknowledgement_is_not_yet_in_force() -> None:
    progress = Progress().expecting(["a"]).heard("a", Heard.SENT).heard("a", Heard.ACCEPTED)
    assert progress.servers["a"].state is State.ACKNOWLEDGED
    assert not progress.settled
    assert next_step(progress, {"a"}) == Step(read=("a",))
    assert progress.heard("a", Heard.APPLIED).settled


def test_an_empty_roster_proves_nothing() -> None:
    assert not Progress().settled


def test_one_server_missing_is_not_settled() -> None:
    progress = Progress().expecting(["a", "b"]).heard("a", Heard.APPLIED)
    assert not progress.settled
    progress = progress.heard("b", Heard.LEFT)
    assert progress.servers["b"].state is State.SILENT
    assert next_step(progress, {"a"}) == Step(unseen=("b",))
    assert next_step(progress, {"a", "b"}) == Step(send=("b",))


def test_a_refusal_keeps_its_words_and_is_not_repeated() -> None:
    progress = Progress().heard("a", Heard.SENT).heard("a", Heard.REFUSED, words="jwt store is full")
    assert progress.refused == {"a": "jwt store is full"}
    assert next_step(progress, {"a"}) == Step(give_up=("a",))
    assert progress.heard("a", Heard.OTHER).servers["a"].state is State.REFUSED


def test_a_read_back_of_something_else_means_sending_again() -> None:
    progress = Progress().heard("a", Heard.ACCEPTED).heard("a", Heard.OTHER, words="applies another token")
    assert next_step(progress, {"a"}).send == ("a",)
    lost = Progress().heard("a", Heard.APPLIED).heard("a", Heard.OTHER)
    assert lost.servers["a"].state is State.AWAITED


def test_a_restarted_server_begins_anew_and_an_absent_one_does_not() -> None:
    progress = Progress().heard("a", Heard.APPLIED, server_id="N1").heard("b", Heard.APPLIED, server_id="N2")
    assert progress.heard("a", Heard.LEFT).settled
    again = progress.restarted({"a": "N3", "b": "N2"})
    assert again.servers == {"a": Standing(State.AWAITED, "N3"), "b": Standing(State.IN_FORCE, "N2")}


def test_hearing_nothing_new_changes_nothing() -> None:
    progress = Progress().heard("a", Heard.APPLIED, server_id="N1")
    assert progress.heard("a", Heard.SENT) is progress
    assert progress.expecting(["a"]) is progress


def test_an_unloaded_account_is_not_proved() -> None:
    progress = Progress().heard("a", Heard.SENT).heard("a", Heard.SKIPPED, words="jwt update skipped")
    assert not progress.settled
    assert progress.heard("a", Heard.HELD).settled


def test_pauses_grow_to_a_limit_and_refusals_start_slow() -> None:
    waiting = Progress().heard("a", Heard.NO_ANSWER)
    assert [pause(waiting, n) for n in range(8)] == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]
    refused = Progress().heard("a", Heard.REFUSED).heard("b", Heard.APPLIED)
    assert [pause(refused, n) for n in (0, 1, 99)] == [60, 120, 960]
    assert pause(refused.heard("c", Heard.NO_ANSWER), 0) == 1
