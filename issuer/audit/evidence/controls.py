"""Which file of a bundle supports which control of a framework. A map to begin with, for everybody to change:
an auditor decides what is evidence of what."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from issuer.errors import NotFound, PeerError

FRAMEWORKS = ("soc2", "iso27001", "nis2", "iec62443", "nerc-cip")


class ControlsError(PeerError):
    """A map of controls that cannot be read."""

    code = "audit.controls"


def control_map(framework: str, own: Path | None = None) -> bytes:
    """The map as it goes into a bundle; `own` is a file in place of ours.

    Raises:
        NotFound: the framework is not in it.
        ControlsError: the file is not such a map.
    """
    raw = files(__package__).joinpath("controls.json").read_text("utf-8") if own is None else _read(own)
    at = str(own or "controls.json")
    try:
        frameworks: dict[str, Any] = json.loads(raw)
        found = frameworks.get(framework)
        if found is not None:
            _check(found)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ControlsError("not a map of controls", at=at, hint="accredit help has its form") from None
    if found is None:
        raise NotFound(
            f"no framework {framework!r}", at=at, hint="there are: " + ", ".join(sorted(frameworks))
        )
    told = {"framework": framework, "words": "supports; certifies nothing", **found}
    return json.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n"


def _check(framework: dict[str, Any]) -> None:
    if not isinstance(framework["title"], str):
        raise TypeError
    for control in framework["controls"]:
        if not all(isinstance(control[name], str) for name in ("id", "supports")):
            raise TypeError
        if not all(isinstance(name, str) for name in control["files"]):
            raise TypeError


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ControlsError(f"cannot be read: {type(fault).__name__}", at=str(path)) from None
