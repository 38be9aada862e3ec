"""While a directory is down: who was known a short while ago, and nobody else, and not for long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from callout.desk import Desk, Outcome, Seat
from callout.directories.directory import Credentials, Directory
from callout.grace import Acquaintances, Outages
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.claims.user import UserClaims
from issuer.errors import AccreditError
from issuer.grants import Denial, Identity, Target
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import decode
from tests.callout.counter import POLICY, Counter

NOW = 1_800_000_000
GRACE = 3600
ANN = Credentials(user="ann", password="secret", address="192.0.2.1", connection_type="nats")
WHO = Identity(issuer="test:names", subject="ann", name="ann", directory="names")
DOWN = DirectoryDownError("the directory gives no answer")


# --- what is kept ------------------------------------------------------------------------------------


def known(**more: Any) -> Acquaintances:
    found = Acquaintances()
    found.proved(ANN, replace(WHO, **more), grace=GRACE, now=NOW)
    return found


@pytest.mark.parametrize(("passed", "there"), [(0, True), (GRACE - 1, True), (GRACE, False), (-1, False)])
def test_for_so_long_and_no_longer_and_never_by_a_clock_set_back(passed: int, there: bool) -> None:
    assert (known().recall(ANN, now=NOW + passed) is not None) is there


@pytest.mark.parametrize(
    "other",
    [
        {"password": "secret2"},
        {"user": "bob"},
        {"address": "192.0.2.2"},
        {"connection_type": "mqtt"},
        {"token": "t"},
        {"certificates": ("c",)},
    ],
)
def test_only_exactly_the_same_from_the_same_place(other: dict[str, Any]) -> None:
    assert known().recall(replace(ANN, **other), now=NOW) is None


def test_a_proof_that_ends_is_not_relied_on_afterwards() -> None:
    found = known(expires_at=NOW + 60)
    assert found.recall(ANN, now=NOW + 59) is not None
    assert found.recall(ANN, now=NOW + 60) is None
    assert len(found) == 0


def test_a_key_that_must_sign_anew_has_no_grace() -> None:
    found = Acquaintances()
    meter = Credentials(nkey="UABC", signature="s", nonce="n")
    found.proved(meter, WHO, grace=GRACE, now=NOW)
    assert len(found) == 0
    assert known().recall(replace(ANN, nkey="UABC"), now=NOW) is None


def test_a_binding_without_grace_keeps_nobody_and_forgets_who_was_kept() -> None:
    found = known()
    found.proved(ANN, WHO, grace=0, now=NOW)
    assert len(found) == 0


def test_there_is_room_for_so_many_and_no_secret_among_them() -> None:
    found = Acquaintances(most=3)
    for number in range(9):
        found.proved(replace(ANN, user=f"u{number}"), WHO, grace=GRACE, now=NOW)
    assert len(found) == 3
    assert "secret" not in repr(found._kept)


def test_another_process_knows_nobody() -> None:
    mine, other = Acquaintances(key=b"a" * 32), Acquaintances(key=b"b" * 32)
    mine.proved(ANN, WHO, grace=GRACE, now=NOW)
    other._kept = mine._kept
    assert other.recall(ANN, now=NOW) is None


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100), st.integers(0, 80)), max_size=20),
    st.integers(0, 100),
    st.none() | st.integers(0, 200),
)
def test_never_longer_than_the_grace_since_the_last_proof(
    proofs: list[tuple[int, int, int]], later: int, expires: int | None
) -> None:
    found, now, last = Acquaintances(), 0, {}
    who = replace(WHO, expires_at=expires)
    for person, passed, grace in proofs:
        now += passed
        found.proved(replace(ANN, user=str(person)), who, grace=grace, now=now)
        last[person] = (now, grace)
    now += later
    for person in range(3):
        at, grace = last.get(person, (0, 0))
        allowed = grace > 0 and now < at + grace and (expires is None or now < expires)
        assert (found.recall(replace(ANN, user=str(person)), now=now) is not None) is allowed


def test_an_outage_is_told_once() -> None:
    outages = Outages()
    assert [outages.begins("ad"), outages.begins("ad"), outages.begins("okta")] == [True, False, True]
    assert [outages.ends("ad"), outages.ends("ad"), outages.begins("ad")] == [True, False, True]


# --- at the desk -------------------------------------------------------------------------------------


@dataclass
class Day:
    """A desk, its directory, and the hours of a day."""

    counter: Counter = field(default_factory=lambda: Counter(NOW))
    grace: str = "1h"
    seconds: float = 5.0

    def __post_init__(self) -> None:
        self.say(grace=self.grace)
        self.desk: Desk = self.counter.desk()

    def say(self, **members: Any) -> None:
        policy: Any = POLICY
        (staff,) = policy["bindings"]
        self.counter.policy_data = {"version": 1, "bindings": [{**staff, **members}]}

    def come(self, credentials: Credentials = ANN, *, server: str = "N1") -> Outcome:
        seat = Seat(user=Seed.generate(Role.USER).public, server_id=server, address=credentials.address)

        async def run() -> Outcome:
            deadline = asyncio.get_running_loop().time() + self.seconds
            return await self.desk.decide(credentials, seat, deadline=deadline)

        return asyncio.run(run())

    def fails(self, fault: Exception | None = DOWN) -> None:
        self.counter.directory.fault = fault

    def later(self, seconds: int) -> None:
        self.counter.now += seconds


@pytest.fixture
def day() -> Day:
    return Day()


def let_in(outcome: Outcome) -> bool:
    return outcome.token is not None


def test_who_was_known_comes_in_and_it_is_said(day: Day, caplog: pytest.LogCaptureFixture) -> None:
    assert let_in(day.come())
    day.fails()
    day.later(600)
    with caplog.at_level(logging.WARNING, "accredit.callout"):
        first, second = day.come(), day.come()
    assert let_in(first)
    assert (first.grace, second.grace) == (True, True)
    marks = [(login.proved_at, login.first) for login in day.counter.written]
    assert marks == [(None, False), (NOW, True), (NOW, False)]
    assert len([each for each in caplog.records if "grace" in each.message]) == 1


def test_by_default_nobody_comes_in(day: Day) -> None:
    day.say()
    assert let_in(day.come())
    day.fails()
    assert day.come().reason is Reason.DIRECTORY_DOWN


def test_who_was_not_known_does_not_come_in(day: Day) -> None:
    day.fails()
    assert day.come().reason is Reason.DIRECTORY_DOWN
    assert day.counter.written == []


def test_it_is_counted_from_the_last_proof_and_not_from_the_last_login(day: Day) -> None:
    day.come()
    day.fails()
    for _ in range(3):
        day.later(1100)
        assert let_in(day.come())
    day.later(300)
    assert day.come().reason is Reason.DIRECTORY_DOWN


@pytest.mark.parametrize("grace", ["1h", "3d"])
def test_what_is_given_ends_with_the_grace(day: Day, grace: str) -> None:
    day.come()
    day.say(grace=grace)
    day.fails()
    day.later(3000)
    outcome = day.come()
    assert outcome.token is not None
    assert decode(outcome.token, UserClaims, now=int(day.counter.now)).claims.exp <= NOW + GRACE


def test_a_directory_that_says_no_is_not_down(day: Day) -> None:
    day.come()
    day.fails(LoginRefusedError(Reason.DISABLED, "disabled"))
    assert day.come().reason is Reason.DISABLED
    # And what it said counts while it is down afterwards.
    day.fails()
    assert day.come().reason is Reason.DIRECTORY_DOWN


def test_a_wrong_password_has_no_grace_and_takes_nobody_elses(day: Day) -> None:
    day.come()
    assert day.come(replace(ANN, password="wrong")).reason is Reason.CREDENTIALS_WRONG
    day.fails()
    assert day.come(replace(ANN, password="wrong")).reason is Reason.DIRECTORY_DOWN
    assert let_in(day.come())


@pytest.mark.parametrize("before", [None, NOW + 60])
def test_who_was_cut_off_stays_out(day: Day, before: int | None) -> None:
    day.come()
    day.counter.denied = (Denial(target=Target.IDENTITY, issuer="test:names", value="ann", before=before),)
    day.fails()
    assert day.come().reason is Reason.DENIED


@pytest.mark.parametrize(
    ("grace", "after", "let"), [("30m", 1700, True), ("30m", 1900, False), ("3d", 3700, False)]
)
def test_of_the_grace_of_then_and_that_of_now_the_shorter_counts(
    day: Day, grace: str, after: int, let: bool
) -> None:
    day.come()
    day.say(grace=grace)
    day.fails()
    day.later(after)
    assert let_in(day.come()) is let


def test_a_policy_that_gives_none_any_more_counts_at_once(day: Day) -> None:
    day.come()
    day.say()
    day.fails()
    assert day.come().reason is Reason.DIRECTORY_DOWN


def test_a_policy_that_does_not_name_him_any_more_counts_at_once(day: Day) -> None:
    day.come()
    day.counter.policy_data["bindings"] = []
    day.fails()
    assert day.come().reason is Reason.NO_BINDING


def test_rules_that_are_too_old_let_nobody_in_by_grace_either(day: Day) -> None:
    day.come()
    day.fails()

    def none() -> Any:
        raise LoginRefusedError(Reason.NO_POLICY, "too old")

    day.counter.policy = none  # type: ignore[method-assign]
    assert day.come().reason is Reason.NO_POLICY


def test_a_token_to_carry_about_is_not_given_by_grace(day: Day) -> None:
    day.come()
    day.fails()
    assert day.come(server="").reason is Reason.DIRECTORY_DOWN


def test_who_was_known_by_a_token_to_carry_about_has_no_grace(day: Day) -> None:
    day.come(server="")
    day.fails()
    assert day.come().reason is Reason.DIRECTORY_DOWN


def test_a_login_by_grace_that_cannot_be_written_down_does_not_happen(day: Day) -> None:
    day.come()
    day.fails()
    day.counter.ledger_down = True
    with pytest.raises(AccreditError):
        day.come()
    day.counter.ledger_down = False
    # The alarm was not lost with it.
    day.come()
    assert day.counter.written[-1].first


def test_a_directory_that_hangs_leaves_time_for_it(day: Day) -> None:
    day.come()
    day.counter.directory.wait = 60
    day.seconds = 0.8
    outcome = day.come()
    assert let_in(outcome)
    assert outcome.grace


def test_a_directory_that_was_given_no_time_is_not_taken_to_be_down(day: Day) -> None:
    day.come()
    day.fails()
    day.seconds = 0.3
    assert day.come().reason is Reason.DIRECTORY_DOWN


def test_a_directory_that_could_not_even_be_chosen_is_down(day: Day) -> None:
    day.come()

    def disabled(_: Credentials) -> Directory:
        raise DOWN

    day.counter.choose = disabled  # type: ignore[method-assign, assignment]
    day.desk = _over(day, lambda: day.desk._known)
    assert day.come().grace


def test_when_it_answers_again_the_next_outage_is_another(day: Day) -> None:
    day.come()
    for _ in range(2):
        day.fails()
        day.come()
        day.fails(None)
        assert not day.come().grace
    assert [login.first for login in day.counter.written] == [False, True, False, True, False]


def _over(day: Day, known: Callable[[], Acquaintances]) -> Desk:
    counter = day.counter
    return Desk(counter, counter, counter, now=lambda: counter.now, chance=lambda: 0.0, known=known())
