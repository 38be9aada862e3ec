"""Draws cases, plays each on two servers, compares, and makes a smaller case of every disagreement."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import difflib
import hashlib
import itertools
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.strategies import SearchStrategy

from tests.conformance.canonical import Section
from tests.conformance.hosts import Host, Which
from tests.conformance.keys import Keys
from tests.conformance.model import Case, ServerKind
from tests.conformance.play import play

AT_ONCE: Final = 12
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_BEGIN: Final = 0.05  # into the second: what happens at once happens before its end
_SHRINKS: Final = 400
_SHRINK_SECONDS: Final = 45
_ROUND: Final = 250


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two servers parted; `steady` when they did so every time."""

    case: Case
    left: list[Section]
    right: list[Section]
    alike: bool = False
    steady: bool = True

    @property
    def parting(self) -> tuple[Section, Section]:
        """The first section that differs, on both sides."""
        for pair in zip(self.left, self.right, strict=False):
            if not pair[0].agrees(pair[1], alike=self.alike):
                return pair
        raise AssertionError("no section differs")

    @property
    def shape(self) -> str:
        """The same for differences that likely have one cause."""
        left, right = self.parting
        only = [line for line in left.lines if line not in right.lines][:1]
        also = [line for line in right.lines if line not in left.lines][:1]
        kind = left.title.partition("{")[0].lstrip("0123456789 ")
        return " ".join(
            [kind, *(f"-{_shape(line)}" for line in only), *(f"+{_shape(line)}" for line in also)]
        )

    def text(self) -> str:
        """What went before, and the section where they parted."""
        lines: list[str] = []
        for left, right in zip(self.left, self.right, strict=False):
            lines.append(f"[{left.title}]")
            if left.agrees(right, alike=self.alike):
                lines += (f"    {line}" for line in left.folded())
                continue
            diff = difflib.ndiff(left.folded(), right.folded())
            lines += (f"  {line}" for line in diff if not line.startswith("?"))
            break
        return "\n".join(lines)


def _shape(line: str) -> str:
    line = _QUOTED.sub("…", line.partition(": ")[2] or line)
    line = re.sub(r"MSG \S+( to \S+)?( reply \S+)?", lambda m: "MSG" + (" reply" if m[2] else ""), line)
    return re.sub(r"\d+", "0", line)[:110]


class Arena:
    """Pairs of servers, started when a case asks for their kind, and the loop all plays run on."""

    def __init__(self, sides: tuple[Which, Which] = ("real", "ours")) -> None:
        self._sides = sides
        self._pairs: dict[ServerKind, tuple[Host, Host]] = {}
        self._salts = itertools.count()
        self._session = f"{time.time_ns()}"
        self._runner = asyncio.Runner(loop_factory=event_loop())
        self._starting = asyncio.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.renew()
        finally:
            for host in self.hosts():
                host.stop()
            self._runner.close()

    async def _leave(self) -> None:
        for host in self.hosts():
            await host.leave()

    def renew(self) -> None:
        """Have the next case find fresh servers: they get slower with every account that cannot be whole."""
        self._runner.run(self._leave())
        for host in self.hosts():
            host.stop()
        self._pairs.clear()

    async def _pair(self, kind: ServerKind) -> tuple[Host, Host]:
        async with self._starting:
            if kind not in self._pairs:
                left, right = (Host(which, kind) for which in self._sides)
                self._pairs[kind] = (left, right)
                for host in (left, right):
                    await asyncio.to_thread(host.start)
                    await host.enter()
            return self._pairs[kind]

    def hosts(self) -> list[Host]:
        return list(itertools.chain(*self._pairs.values()))

    def compare(self, case: Case) -> Difference | None:
        """Play one case alone."""
        return self._runner.run(self._compare(case))

    def compare_all(
        self, cases: Sequence[Case], *, told: Callable[[int], None] = lambda _: None
    ) -> list[Difference]:
        """Play many, some at once; a difference is looked at again before it counts."""
        return self._runner.run(self._compare_all(cases, told))

    async def _compare_all(self, cases: Sequence[Case], told: Callable[[int], None]) -> list[Difference]:
        places = asyncio.Semaphore(AT_ONCE)
        found: list[Difference] = []
        done = itertools.count(1)

        async def one(case: Case) -> None:
            async with places:
                first = await self._compare(case)
            if first is not None:
                found.append(first)
            told(next(done))

        await asyncio.gather(*(one(case) for case in cases))
        return [await self._again(first) for first in found]

    async def _again(self, first: Difference) -> Difference:
        """The difference, unsteady if it does not come twice more with nothing else going on."""
        for _ in range(2):
            again = await self._compare(first.case)
            if again is None:
                return dataclasses.replace(first, steady=False)
        return first

    async def _compare(self, case: Case) -> Difference | None:
        pair = await self._pair(case.server)
        now = time.time()
        begun = int(now)
        if case.timed():
            begun += 1
            await asyncio.sleep(begun + _BEGIN - now)
        salt = hashlib.sha256(f"{self._session}|{next(self._salts)}".encode()).hexdigest()
        keys = [Keys(salt, begun) for _ in pair]
        left, right = await asyncio.gather(
            *(play(case, host, known) for host, known in zip(pair, keys, strict=True))
        )
        alike = self._sides[0] == self._sides[1]
        agree = len(left) == len(right) and all(
            one.agrees(other, alike=alike) for one, other in zip(left, right, strict=True)
        )
        return None if agree else Difference(case, left, right, alike)


def event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


_SETTINGS: Final = hypothesis.settings(
    database=None,
    deadline=None,
    derandomize=False,
    print_blob=False,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True, slots=True)
class Round:
    """The cases of one seed."""

    cases: SearchStrategy[Case]
    seed: int
    examples: int
    drawn: tuple[Case, ...]


def rounds(cases: SearchStrategy[Case], seed: int, count: int) -> Iterator[Round]:
    """Until there are so many different cases; the same ones for the same seed."""
    seen: set[bytes] = set()
    examples = min(_ROUND, 2 * count)  # many are drawn twice
    while len(seen) < count:
        found = _draw(cases, seed, examples)
        fresh = [key for key in found if key not in seen][: count - len(seen)]
        seen.update(fresh)
        yield Round(cases, seed, examples, tuple(found[key] for key in fresh))
        seed += 1


def _draw(cases: SearchStrategy[Case], seed: int, examples: int) -> dict[bytes, Case]:
    found: dict[bytes, Case] = {}

    @hypothesis.seed(seed)
    @hypothesis.settings(_SETTINGS, max_examples=examples, phases=[Phase.generate])
    @hypothesis.given(cases)
    def collect(case: Case) -> None:
        found[case.key()] = case

    collect()
    return found


class _Disagree(AssertionError):
    """Found again while a case is made smaller."""


def smaller(arena: Arena, among: Round, wanted: Difference, good: Iterable[bytes]) -> Difference:
    """The smallest case Hypothesis finds that parts the servers in the same way.

    The same seed draws the same cases again; those known to be `good` are not played, so that
    Hypothesis comes to the one wanted at once and goes on from there.
    """
    known = set(good)
    best = wanted
    tries = itertools.count()
    deadline = time.monotonic() + _SHRINK_SECONDS

    @hypothesis.seed(among.seed)
    @hypothesis.settings(_SETTINGS, max_examples=among.examples, phases=[Phase.generate, Phase.shrink])
    @hypothesis.given(among.cases)
    def search(case: Case) -> None:
        nonlocal best
        key = case.key()
        if key in known:
            return
        found = arena.compare(case) if next(tries) < _SHRINKS and time.monotonic() < deadline else None
        if found is None or found.shape != wanted.shape:
            known.add(key)
            return
        if len(key) <= len(best.case.key()):
            best = found
        raise _Disagree

    # Whatever Hypothesis says of it in the end: the smallest one seen is kept here.
    with contextlib.suppress(Exception):
        search()
    return best


def fresh_seed() -> int:
    return random.SystemRandom().getrandbits(32)


def keep(difference: Difference, folder: Path) -> Path:
    """Write a case to be run again, and beside it where the servers parted."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{difference.case.theme}-{hashlib.sha256(difference.case.key()).hexdigest()[:10]}"
    (folder / f"{name}.txt").write_text(difference.text() + "\n", encoding="utf-8")
    file = folder / f"{name}.json"
    file.write_text(difference.case.to_json() + "\n", encoding="utf-8")
    return file
