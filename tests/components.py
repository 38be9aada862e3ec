"""What set-up found of the outside components, and what a test does when one is missing.

`make setup-test` writes build/components.json. A test that needs a component asks `require`: it is
skipped with the recorded reason, or, where ACCREDIT_REQUIRE_COMPONENTS=1 asks for it and set-up says
that this machine could have it, it fails. A skip that should not be there is a failure.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "build" / "components.json"
NOT_SET_UP = "not set up: run `make setup-test`"


def record() -> dict[str, dict[str, Any]]:
    """{name: {"available": bool, "path": str | None, "reason": str, "required": bool}}, or nothing yet."""
    try:
        found: dict[str, dict[str, Any]] = json.loads(RECORD.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def must_have(component: str) -> bool:
    """Whether doing without it is a failure here."""
    if os.environ.get("ACCREDIT_REQUIRE_COMPONENTS") != "1":
        return False
    return bool(record().get(component, {}).get("required", True))


def missing(component: str) -> str | None:
    """Why it cannot be used, or None when it can."""
    entry = record().get(component)
    if entry is None:
        return NOT_SET_UP
    if not entry["available"]:
        return str(entry["reason"])
    if not Path(entry["path"]).exists():
        return f"{entry['path']} is gone: {NOT_SET_UP}"
    return None


def path_of(component: str) -> Path:
    """Where it is: an executable, or the folder of its executables (postgres, go)."""
    reason = missing(component)
    if reason is not None:
        raise LookupError(f"{component}: {reason}")
    return Path(record()[component]["path"])


def require(component: str) -> Path:
    """In a test or fixture: where the component is; without it, the test is skipped with the reason."""
    import pytest  # so that the benchmark, which is no test, can read the record

    reason = missing(component)
    if reason is not None:
        if must_have(component):
            pytest.fail(f"{component} is missing and this machine could have it: {reason}", pytrace=False)
        pytest.skip(f"component {component}: {reason}")
    return path_of(component)
