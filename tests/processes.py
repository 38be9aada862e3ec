"""A child process of a test, its log, its folder and its end: what every real component needs.

Knows nothing of pytest, and nothing of any one component (those are in `tests.servers`).
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.reaper import REAPER

if TYPE_CHECKING:
    import pwd
    from collections.abc import Callable, Sequence

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 15.0


class ServerError(RuntimeError):
    """A component did not start, did not stop, or refused its configuration; carries its log's end."""


def free_port() -> int:
    """A port nobody listens on at this moment; another process may still take it first."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(seen: Callable[[], bool], *, seconds: float = START_SECONDS, what: str = "it") -> None:
    """Ask until it is so; a deadline missed is an error that names what was waited for."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while not seen():
        if time.monotonic() > deadline:
            raise ServerError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


class Process:
    """One child, its log file, and its end."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str | Path], *, cwd: Path, account: pwd.struct_passwd | None) -> None:
        who: dict[str, Any] = {}
        if account is not None:
            who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with self.log.open("ab") as out:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **who,
            )
        REAPER.watch(self._child.pid)

    @property
    def pid(self) -> int:
        if self._child is None:
            raise ServerError(f"{self.name} is not running")
        return self._child.pid

    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def send(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(number)

    def end(self, number: signal.Signals) -> None:
        """Ask to stop, then insist; does nothing when it is already gone."""
        child = self._child
        if child is None:
            return
        try:
            child.send_signal(number)
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(STOP_SECONDS)
        finally:
            if child.poll() is not None:
                REAPER.forget(child.pid)
                self._child = None

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def fault(self, what: str) -> ServerError:
        return ServerError(f"{self.name} {what}; its log ends:\n{self.log_text()[-3000:]}")


class Folder:
    """A given folder, or a temporary one that goes when we do."""

    def __init__(self, given: Path | None, prefix: str) -> None:
        self.temporary = given is None
        # Not below pytest's folders: theirs are closed to the unprivileged user PostgreSQL runs as,
        # and their long names do not fit a Unix socket's address.
        self.path = Path(tempfile.mkdtemp(prefix=prefix)) if given is None else given
        self.path.mkdir(parents=True, exist_ok=True)
        if self.temporary:
            REAPER.remove_later(self.path)

    def remove(self) -> None:
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
            REAPER.removed(self.path)
