"""The ready file: where everything is, for scripts that started us and for our own command line."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from issuer.keys.creds import write_private


@dataclass(frozen=True, slots=True)
class Ready:
    """Every address and path of a running service; no secret, but where secrets lie."""

    http: str
    nats: str
    monitor: str
    data_dir: str
    operator: str
    system_account: str
    creds: dict[str, str] = field(default_factory=dict)
    pid: int = 0

    def plain(self) -> dict[str, object]:
        return asdict(self)

    def write(self, path: Path) -> None:
        """Write it whole or not at all: a reader never sees half."""
        write_private(path, json.dumps(self.plain(), indent=1) + "\n", force=True)


def remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
