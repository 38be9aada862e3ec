"""The real nsc in a home of its own: nothing of the developer's is read or written."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.components import path_of


@dataclass(frozen=True)
class Nsc:
    """nsc on the store of one folder: stores, keys and nsc.json lie in it."""

    home: Path

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def stores(self) -> Path:
        return self.home / "stores"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    def environment(self) -> dict[str, str]:
        home = str(self.home)
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": home,
            "XDG_DATA_HOME": f"{home}/share",
            "XDG_CONFIG_HOME": f"{home}/config",
            "NSC_HOME": home,
            "NKEYS_PATH": str(self.keys),
            "NSC_NO_GITHUB_UPDATES": "true",
        }

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        where: list[str | Path] = [
            "--config-dir",
            self.home,
            "--data-dir",
            self.stores,
            "--keystore-dir",
            self.keys,
        ]
        return subprocess.run(
            [path_of("nsc"), *arguments, *where],
            env=self.environment(),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def __call__(self, *arguments: str | Path) -> str:
        """What it said on both channels; it must have worked."""
        ran = self.run(*arguments)
        assert ran.returncode == 0, f"nsc {arguments}: {ran.stdout}{ran.stderr}"
        return ran.stdout + ran.stderr
