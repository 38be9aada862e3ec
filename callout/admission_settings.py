"""What the member `admission` of a callout's configuration may say."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from callout.policy.model import Priority
from issuer.errors import PeerError


class AdmissionSettingsError(PeerError):
    """Numbers that let nobody in, or everybody; `at` names the member."""

    code = "settings.admission"


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Logins a second, and how many may come together after a pause."""

    per_second: float
    burst: float

    def __post_init__(self) -> None:
        if not 0 < self.per_second < float("inf"):
            raise AdmissionSettingsError("must be more than nothing", at="per_second")
        if not 1 <= self.burst < float("inf"):
            raise AdmissionSettingsError("must be one at least", at="burst")


class Slowing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How refusals of one address are held back, so that guessing takes its time. Seconds."""

    free: int = 4
    """Refusals in a while that are answered at once; the next is the first to wait."""
    window: float = 60.0
    first: float = 0.05
    """Each further one waits twice as long."""
    longest: float = 0.5
    """0 answers all at once. Never longer than the server has patience."""
    most: int = 256
    """Answers held back at a time; beyond it they are not."""

    def __post_init__(self) -> None:
        for name in ("free", "most"):
            if getattr(self, name) < 0:
                raise AdmissionSettingsError("must not be less than 0", at=name)
        for name in ("first", "longest"):
            if not 0 <= getattr(self, name) <= 2:
                raise AdmissionSettingsError("must be from 0 to 2 s", at=name)
        if not 0 < self.window <= 3600:
            raise AdmissionSettingsError("must be more than 0, and an hour at most", at="window")


class AdmissionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who goes first when not all can. Without rates only what is under way at once is bounded."""

    at_once: int = 128
    """Logins of one directory under way at once, so that a slow one does not hold up the others."""
    kept_free: int | None = None
    """Of them, for `critical` and `high` alone; an eighth, if it is not said."""
    priorities: Mapping[str, Priority] = {}
    """The class of a directory's logins, where none is known better; `normal` if it is not named."""
    least: float = 0.02
    """Seconds a decision takes at least: with less left, it is not begun."""
    directory: Rate | None = None
    account: Rate | None = None
    """Of the account a credential was let into the last time."""
    address: Rate | None = None
    """Of clients; many may share one behind a gateway."""
    refusals: Slowing = Slowing()

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise AdmissionSettingsError("must be one at least", at="at_once")
        if self.kept_free is not None and not 0 <= self.kept_free < self.at_once:
            raise AdmissionSettingsError("must leave some for the others", at="kept_free")
        if not 0 <= self.least <= 1:
            raise AdmissionSettingsError("must be from 0 to 1 s", at="least")

    @property
    def reserve(self) -> int:
        """What is kept free of `at_once`."""
        return self.at_once // 8 if self.kept_free is None else self.kept_free
