"""The ready file: where everything is, for scripts that started us and for our own command line."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path


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
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(self.plain(), file, indent=1)
                file.write("\n")
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
