"""The file `accredit callout serve` is given: whose logins, by which directories, and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from callout.admission_settings import AdmissionSettings
from callout.directories.opening import Configured, read_directories
from callout.directories.reading import DirectorySettingsError, child, nearest, read_settings
from callout.responder import Settings as Timing
from web.documents import read_file

DEFAULT_ACCOUNT: Final = "CALLOUT"


class CallingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a file may hold. What belongs to one part is read by that part."""

    account: str = DEFAULT_ACCOUNT
    """The account whose logins are decided."""
    directories: list[Any]
    timing: Timing = Timing()
    """How long servers wait, and how much is taken on at once."""
    admission: AdmissionSettings = AdmissionSettings()
    """Who goes first when not all can."""
    exchange: Mapping[str, Any] | None = None
    """Tokens to carry about."""
    triggers: Mapping[str, Any] | None = None
    """Who tells of people that have left, and what is looked after by itself."""


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read, its directories by name and kind; their own settings are read when they open."""

    settings: CallingSettings
    directories: tuple[Configured, ...]


def read_configuration(path: Path) -> Configuration:
    """A configuration from its file.

    Raises:
        NotFound: it cannot be read.
        BadDocument: it is not YAML, or holds a seed.
        DirectorySettingsError: a member is unknown, missing or of the wrong kind.
    """
    return configuration_of(read_file(path))


def configuration_of(document: Any) -> Configuration:
    """A configuration from plain data."""
    settings = read_settings(document, CallingSettings)
    if settings.timing.shadow:
        for member in ("exchange", "triggers"):
            if getattr(settings, member) is not None:
                raise DirectorySettingsError(
                    "a service in the shadow gives nothing away, and ends nobody's connection",
                    at=f"/{member}",
                    hint=f"take {member} out, or timing.shadow",
                )
    directories = {each.name: each for each in read_directories(settings.directories)}
    for name in settings.admission.priorities:
        if name not in directories:
            raise DirectorySettingsError(
                "is no directory", at=child("/admission/priorities", name), hint=nearest(name, directories)
            )
    return Configuration(settings=settings, directories=tuple(directories.values()))
