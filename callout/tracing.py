"""Where the time of a login goes, step by step, for whoever collects traces.

Nothing of a tracing library is here: a trace is what happened when, and who is handed it makes of it what
he likes. Attributes are names of the configuration, codes and ids of connections; never a credential, nor
who somebody is. Without a tracer a step costs a look at a context variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

Attributes = dict[str, str | int | bool | list[str]]

PARENT_HEADER: Final = "traceparent"
"""Of a message or an HTTP request: whose trace it belongs to (W3C Trace Context)."""
_PARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(slots=True)
class Step:
    """A part of a login. Times are nanoseconds since 1970; `outside` if somebody else was asked."""

    name: str
    began: int
    outside: bool = False
    ended: int = 0
    failed: bool = False
    attributes: Attributes = field(default_factory=dict)


@dataclass(slots=True)
class Trace:
    """A login from the question to the answer."""

    name: str
    parent: str
    """What its header says, unread; empty if there is none."""
    began: int
    ended: int = 0
    code: str = ""
    """The reason of a refusal."""
    failed: bool = False
    """Left by an error, or cut short: nobody was answered."""
    attributes: Attributes = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


class Tracer(Protocol):
    """Who is told of logins. Never raises, never waits."""

    def clock(self) -> int:
        """Nanoseconds since 1970."""

    def told(self, trace: Trace) -> None:
        """One is over."""


_NOW: ContextVar[tuple[Trace, Callable[[], int]] | None] = ContextVar("accredit_trace", default=None)


def well_formed(parent: str) -> bool:
    """Whether a `traceparent` is one of version 00, or a later one that is written like it (§3.2.2)."""
    return _PARENT.fullmatch(parent) is not None


def traced(tracer: Tracer | None, name: str, parent: str) -> AbstractContextManager[Trace | None]:
    """A login that begins here and ends with the `with`; steps inside belong to it."""
    return nullcontext() if tracer is None else _whole(tracer, name, parent)


def step(
    name: str, attributes: Mapping[str, str | int | bool] | None = None, *, outside: bool = False
) -> AbstractContextManager[None]:
    """A part of the login under way, if it is traced. It has failed if its `with` is left by an error."""
    current = _NOW.get()
    if current is None:
        return nullcontext()
    return _part(current, Step(name, 0, outside, attributes={**(attributes or {})}))


@contextmanager
def _whole(tracer: Tracer, name: str, parent: str) -> Iterator[Trace]:
    trace = Trace(name, parent, tracer.clock())
    token = _NOW.set((trace, tracer.clock))
    try:
        yield trace
    except BaseException:
        trace.failed = True
        raise
    finally:
        _NOW.reset(token)
        trace.ended = tracer.clock()
        tracer.told(trace)


@contextmanager
def _part(current: tuple[Trace, Callable[[], int]], part: Step) -> Iterator[None]:
    trace, clock = current
    trace.steps.append(part)
    part.began = clock()
    try:
        yield
    except BaseException:
        part.failed = True
        raise
    finally:
        part.ended = clock()
