"""When not all can come in: who goes first, who waits, who is told no; and never too late."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callout.admission import RANKS, Admission, State, Ticket
from callout.admission_settings import AdmissionSettings, AdmissionSettingsError, Rate, Slowing
from callout.directories.reading import read_settings
from callout.policy.model import Priority

CRITICAL, HIGH, NORMAL, LOW = Priority


@dataclass
class Door:
    """Admission with a clock, and a book of all that it decided."""

    settings: AdmissionSettings = field(default_factory=lambda: AdmissionSettings(least=0))
    most: int = 64
    now: float = 0.0
    begun: list[Ticket] = field(default_factory=list)
    shed: list[tuple[float, Ticket]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.admission = Admission(self.settings, most=self.most)

    def take(self, decided: list[Ticket]) -> None:
        for ticket in decided:
            if ticket.state is State.BEGUN:
                self.begun.append(ticket)
            else:
                assert ticket.state is State.SHED
                self.shed.append((self.now, ticket))

    def come(self, priority: Priority = NORMAL, *, seconds: float = 2.0, **names: str) -> Ticket:
        ticket = Ticket(**{"directory": "okta", **names}, priority=priority, deadline=self.now + seconds)
        self.take(self.admission.come(ticket, now=self.now))
        return ticket

    def leave(self, ticket: Ticket) -> None:
        self.take(self.admission.leave(ticket, now=self.now))

    def pass_by(self, seconds: float) -> None:
        """As a timer would: woken whenever it is said to be time."""
        end = self.now + seconds
        while (at := self.admission.next_wake()) is not None and at <= end:
            self.now = max(self.now, at)
            self.take(self.admission.wake(now=self.now))
        self.now = end


def few(at_once: int, kept_free: int = 0, **more: Any) -> AdmissionSettings:
    return AdmissionSettings(at_once=at_once, kept_free=kept_free, least=0, **more)


# --- one at a time -----------------------------------------------------------------------------------


def test_on_a_quiet_day_everybody_begins_at_once() -> None:
    door = Door()
    assert door.come().state is State.BEGUN
    assert door.admission.next_wake() is None


def test_the_better_class_goes_first_and_then_the_shortest_deadline() -> None:
    door = Door(few(1))
    first = door.come()
    slow, low = door.come(seconds=1.5), door.come(LOW, seconds=0.5)
    hurried, best = door.come(seconds=0.7), door.come(CRITICAL, seconds=2)
    order = []
    leaving = first
    for _ in range(4):
        door.leave(leaving)
        leaving = door.begun[-1]
        order.append(leaving)
    assert order == [best, hurried, slow, low]


def test_a_slow_directory_does_not_hold_up_the_others() -> None:
    door = Door(few(4), most=8)
    for _ in range(8):
        door.come(directory="slow")
    assert (door.admission.working, door.admission.waiting) == (4, 4)
    quick = [door.come(directory="quick") for _ in range(4)]
    assert {each.state for each in quick} == {State.BEGUN}
    # They took the places of those who would only have waited on.
    assert [ticket.names[0] for _, ticket in door.shed] == ["slow"] * 4


def test_some_places_are_kept_for_the_better_classes() -> None:
    door = Door(few(4, kept_free=1))
    assert [door.come().state for _ in range(4)] == [State.BEGUN] * 3 + [State.WAITING]
    assert door.come(HIGH).state is State.BEGUN
    assert door.come(CRITICAL).state is State.WAITING


def test_when_there_is_no_room_the_worst_who_waits_makes_some() -> None:
    door = Door(few(1), most=3)
    door.come()
    low, later = door.come(LOW), door.come(NORMAL)
    assert door.come(LOW).state is State.SHED
    assert door.come(CRITICAL).state is State.WAITING
    assert (low.state, later.state) == (State.SHED, State.WAITING)


def test_work_whose_server_has_given_up_is_not_begun() -> None:
    door = Door(few(1))
    first, second = door.come(), door.come(seconds=0.5)
    door.now = 0.6  # no timer came
    door.leave(first)
    assert second.state is State.SHED
    assert door.come(seconds=0).state is State.SHED


def test_with_less_left_than_a_decision_takes_it_is_not_begun() -> None:
    assert Door(AdmissionSettings(least=0.1)).come(seconds=0.1).state is State.SHED
    assert Door(AdmissionSettings(least=0.1)).come(seconds=0.2).state is State.BEGUN


def test_who_waits_is_told_no_at_his_deadline() -> None:
    door = Door(few(1))
    door.come()
    waiting = door.come(seconds=0.5)
    door.pass_by(0.4)
    assert waiting.state is State.WAITING
    door.pass_by(0.2)
    assert door.shed == [(0.5, waiting)]


def test_a_rate_makes_wait_and_sheds_at_once_who_would_wait_in_vain() -> None:
    door = Door(few(10, address=Rate(per_second=2, burst=1)))
    door.come(address="192.0.2.1")
    waiting, vain = door.come(address="192.0.2.1"), door.come(address="192.0.2.1", seconds=0.4)
    assert (waiting.state, vain.state) == (State.WAITING, State.SHED)
    assert door.come(address="192.0.2.2").state is State.BEGUN
    door.pass_by(0.5)
    assert (waiting.state, waiting.begun) == (State.BEGUN, 0.5)


@pytest.mark.parametrize("kind", ["directory", "account", "address"])
def test_each_rate_counts_its_own_names(kind: str) -> None:
    rates: dict[str, Any] = {kind: Rate(per_second=1, burst=2)}
    door = Door(few(10, **rates))
    names: list[dict[str, Any]] = [{kind: name} for name in ("a", "a", "a", "b")]
    states = [door.come(**each).state for each in names]
    assert states == [State.BEGUN, State.BEGUN, State.WAITING, State.BEGUN]


def test_at_a_rate_the_better_class_goes_first_too() -> None:
    door = Door(few(10, directory=Rate(per_second=2, burst=1)))
    door.come()
    low, best = door.come(LOW), door.come(CRITICAL)
    door.pass_by(0.5)
    assert (low.state, best.state) == (State.WAITING, State.BEGUN)


def test_who_leaves_while_waiting_is_passed_over() -> None:
    door = Door(few(1))
    first, gone, next_ = door.come(), door.come(), door.come()
    door.leave(gone)
    door.leave(first)
    assert (gone.state, next_.state) == (State.OVER, State.BEGUN)
    door.leave(gone)
    assert (door.admission.working, door.admission.waiting) == (1, 0)


def test_the_last_places_of_all_are_for_the_better_classes() -> None:
    door = Door(few(100, kept_free=4), most=16)
    states = [door.come(directory=f"d{number}").state for number in range(15)]
    assert states == [State.BEGUN] * 14 + [State.SHED]
    assert [door.come(CRITICAL).state for _ in range(3)] == [State.BEGUN] * 2 + [State.SHED]


def test_a_storm_that_does_not_end_piles_nothing_up() -> None:
    door = Door(few(1), most=8)
    door.come(seconds=9000)
    # Before all the others, and with a later end: they are found from neither side.
    door.come(HIGH, seconds=9000)
    for _ in range(3000):
        door.leave(door.come(LOW, seconds=8000))
        door.leave(door.come(HIGH, seconds=8000))
    admission = door.admission
    kept = [*admission._worst, *(room.queue for room in admission._rooms.values()), admission._ends]
    assert max(len(queue) for queue in kept) <= 2 * door.most + 1


# --- properties --------------------------------------------------------------------------------------

DIRECTORIES, ADDRESSES = ("okta", "ad", ""), ("192.0.2.1", "192.0.2.2")
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("come"),
            st.sampled_from(list(Priority)),
            st.sampled_from(DIRECTORIES),
            st.sampled_from(ADDRESSES),
            st.floats(0, 3),
        ),
        st.tuples(st.just("leave"), st.integers(0, 50)),
        st.tuples(st.just("wait"), st.floats(0, 1)),
        st.tuples(st.just("sleep"), st.floats(0, 1)),
    ),
    max_size=60,
)
RATES = st.none() | st.builds(Rate, per_second=st.floats(0.5, 20), burst=st.floats(1, 5))
SETTINGS = st.builds(
    AdmissionSettings,
    at_once=st.integers(2, 5),
    kept_free=st.integers(0, 1),
    least=st.just(0),
    directory=RATES,
    address=RATES,
)


def play(door: Door, steps: list[Any], every: list[Ticket]) -> None:
    """`wait` as with a timer, `sleep` as with one that comes late; `every` grows by who comes."""
    for step in steps:
        match step:
            case "come", priority, directory, address, seconds:
                every.append(door.come(priority, directory=directory, address=address, seconds=seconds))
            case "leave", number if every:
                door.leave(every[number % len(every)])
            case "wait", seconds:
                door.pass_by(seconds)
            case "sleep", seconds:
                door.now += seconds
        check(door, every)


def check(door: Door, every: list[Ticket]) -> None:
    states = Counter(each.state for each in every)
    admission = door.admission
    assert (admission.waiting, admission.working) == (states[State.WAITING], states[State.BEGUN])
    assert admission.waiting + admission.working <= door.most
    rooms = Counter(each.names[0] for each in every if each.state is State.BEGUN)
    assert all(count <= door.settings.at_once for count in rooms.values())
    for each in every:
        if each.state is State.WAITING:
            assert admission.next_wake() is not None


@given(SETTINGS, st.integers(2, 12), STEPS)
@settings(max_examples=150)
def test_never_beyond_a_rate_never_after_the_deadline_and_nobody_forgotten(
    given_: AdmissionSettings, most: int, steps: list[Any]
) -> None:
    door = Door(given_, most=most)
    every: list[Ticket] = []
    play(door, steps, every)
    for each in [each for each in every if each.state is State.BEGUN]:
        door.leave(each)
    for _ in range(len(every)):
        door.pass_by(3)
        for each in [each for each in every if each.state is State.BEGUN]:
            door.leave(each)
    assert {each.state for each in every} <= {State.OVER, State.SHED}
    assert all(each.begun < each.latest for each in door.begun)
    for kind, rate in ((0, given_.directory), (2, given_.address)):
        times: dict[str, list[float]] = defaultdict(list)
        for each in door.begun:
            times[each.names[kind]].append(each.begun)
        for name, begun in times.items():
            if rate is None or not name:
                continue
            begun.sort()
            for first in range(len(begun)):
                for last in range(first, len(begun)):
                    allowed = rate.burst + (begun[last] - begun[first]) * rate.per_second
                    assert last - first + 1 <= allowed + 1e-6
    admission = door.admission
    assert (admission.waiting, admission.working, admission._rooms, admission._dams) == (0, 0, {}, {})


@given(SETTINGS, st.integers(8, 16), STEPS)
@settings(max_examples=150)
def test_nobody_of_a_lesser_class_begins_before_one_who_waits_for_the_same(
    given_: AdmissionSettings, most: int, steps: list[Any]
) -> None:
    door = Door(given_, most=most)
    every: list[Ticket] = []
    for step in steps:
        before = {each for each in every if each.state is State.WAITING}
        seen = len(door.begun)
        play(door, [step], every)
        still = [each for each in before if each.state is State.WAITING]
        for one in door.begun[seen:]:
            for other in still:
                if one.names == other.names and one in before:
                    assert (one.rank, one.latest) <= (other.rank, other.latest)
                if one.names == other.names:
                    assert one.rank <= other.rank


@given(st.lists(st.sampled_from([LOW, NORMAL]), min_size=40, max_size=120))
def test_no_storm_of_lesser_classes_starves_a_critical_one(crowd: list[Priority]) -> None:
    door = Door(AdmissionSettings(at_once=8, least=0), most=16)
    for priority in crowd:
        door.come(priority)
    assert door.come(CRITICAL).state is State.BEGUN
    assert door.come(CRITICAL).state is State.WAITING
    door.leave(door.begun[0])
    assert [RANKS[CRITICAL]] * 2 == [each.rank for each in door.begun[-2:]]


# --- settings ----------------------------------------------------------------------------------------


def test_settings_as_a_file_has_them() -> None:
    found = read_settings(
        {
            "at_once": 32,
            "priorities": {"control-room": "critical"},
            "address": {"per_second": 5, "burst": 20},
            "refusals": {"longest": 0},
        },
        AdmissionSettings,
    )
    assert (found.at_once, found.reserve, found.priorities["control-room"]) == (32, 4, CRITICAL)
    assert (found.address, found.refusals.longest) == (Rate(per_second=5, burst=20), 0)


@pytest.mark.parametrize(
    ("members", "at"),
    [
        ({"at_once": 0}, "/at_once"),
        ({"at_once": 2, "kept_free": 2}, "/kept_free"),
        ({"least": 5}, "/least"),
        ({"address": {"per_second": 0, "burst": 1}}, "/address/per_second"),
        ({"account": {"per_second": 1, "burst": 0}}, "/account/burst"),
        ({"refusals": {"longest": 30}}, "/refusals/longest"),
        ({"refusals": {"window": 0}}, "/refusals/window"),
        ({"refusals": {"free": -1}}, "/refusals/free"),
    ],
)
def test_settings_that_cannot_be_meant(members: dict[str, Any], at: str) -> None:
    with pytest.raises(AdmissionSettingsError) as refused:
        read_settings(members, AdmissionSettings)
    assert refused.value.at == at


def test_the_usual_numbers_can_be_meant() -> None:
    assert AdmissionSettings().reserve == 16
    assert Slowing().longest < 1
