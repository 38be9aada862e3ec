"""Who ends connections may do nothing else, and who only hears of them ends none."""

from __future__ import annotations

import pytest

from issuer.authority.system_users import EVICTOR, WATCHER, Task
from issuer.subjects import Subject


@pytest.mark.parametrize("task", [EVICTOR, WATCHER])
@pytest.mark.parametrize("what", ["CLAIMS.UPDATE", "CLAIMS.DELETE", "SERVER.N1.RELOAD", "SERVER.N1.LDM"])
def test_neither_changes_anything(task: Task, what: str) -> None:
    assert not any(_covers(each, f"$SYS.REQ.{what}") for each in task.asks)


def test_only_one_of_them_kicks() -> None:
    kick = "$SYS.REQ.SERVER.N1.KICK"
    assert any(_covers(each, kick) for each in EVICTOR.asks)
    assert not any(_covers(each, kick) for each in WATCHER.asks)
    assert all(task.seconds <= 3600 for task in (EVICTOR, WATCHER))


def _covers(pattern: str, subject: str) -> bool:
    tokens, given = pattern.split("."), subject.split(".")
    assert Subject(pattern)
    if tokens[-1] == ">":
        tokens, given = tokens[:-1], given[: len(tokens) - 1]
    return len(tokens) == len(given) and all(a in {"*", b} for a, b in zip(tokens, given, strict=True))
