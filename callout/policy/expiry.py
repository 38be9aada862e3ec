"""When a token ends: the least of all caps, less a little so that not all end at once."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from callout.policy.decision import Part, Step
from callout.policy.model import LEAST_LIFETIME
from issuer.errors import Defect

LATEST: Final = 253_402_300_799  # of year 9999


class CapSource(StrEnum):
    """Who says that it ends then."""

    IDENTITY = "identity"
    CRITERIA = "criteria"
    ROLE = "role"
    BINDING = "binding"
    POLICY = "policy"


class Cap(msgspec.Struct, frozen=True):
    """Not later than this second."""

    source: CapSource
    at: int
    detail: str = ""


class Lifetime(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. `expires_at` is None where nothing worth having is left."""

    expires_at: int | None
    least: Cap
    steps: tuple[Step, ...]


def lifetime(caps: Sequence[Cap], *, now: int, jitter: int, chance: float) -> Lifetime:
    """The end of a token.

    `jitter` is the share that may be taken off, in hundredths; `chance`, from 0 to 1, says how much
    of it is. What is taken off never makes it shorter than the least a token may live.

    Raises:
        Defect: no cap, or a chance that is none: our own fault.
    """
    if not caps or not 0 <= chance <= 1:
        raise Defect("an expiry needs a cap, and a chance from 0 to 1")
    least = min(caps, key=lambda cap: cap.at)
    end = min(least.at, LATEST)
    steps = [
        Step(
            Part.EXPIRY,
            end - now >= LEAST_LIFETIME or cap.at > least.at,
            "the least of all, so it counts" if cap is least else "another ends sooner or with it",
            criterion=f"{cap.source} {cap.detail}".rstrip(),
            wanted=cap.at,
            value=cap.at - now,
        )
        for cap in caps
    ]
    if end - now < LEAST_LIFETIME:
        return Lifetime(expires_at=None, least=least, steps=tuple(steps))
    share = int((end - now) * jitter * chance / 100)
    taken = max(min(share, (end - now) * jitter // 100, end - now - LEAST_LIFETIME), 0)
    steps.append(
        Step(
            Part.EXPIRY,
            passed=True,
            why="taken off by chance, so that not all end at once",
            criterion="jitter",
            wanted=f"up to {jitter}%",
            value=taken,
        )
    )
    return Lifetime(expires_at=end - taken, least=least, steps=tuple(steps))
