from __future__ import annotations

from broker.wheel import Wheel


def test_what_is_due_comes_once_and_in_order() -> None:
    wheel = Wheel()
    done: list[str] = []
    wheel.add(2.05, lambda _: done.append("b"))
    wheel.add(1.0, lambda _: done.append("a"))
    wheel.add(9.0, lambda _: done.append("c"))
    for action in wheel.due(2.2):
        action(2.2)
    assert done == ["a", "b"]
    assert len(wheel) == 1
    assert list(wheel.due(2.2)) == []


def test_never_early() -> None:
    wheel = Wheel()
    wheel.add(1.05, lambda _: None)
    assert list(wheel.due(1.04)) == []
    assert len(list(wheel.due(1.15))) == 1
