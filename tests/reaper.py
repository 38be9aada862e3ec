"""Ends what a test process started, however that process itself ends.

Context managers stop their servers on errors, but nothing in a process runs after SIGKILL. So a
tiny second process holds the read end of a pipe: when the pipe closes, it kills every child that
was announced and not taken back, and removes their folders.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_WATCH = """
import os, shutil, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
alive, folders = set(), set()
for line in sys.stdin:
    act, what = line[0], line[1:].rstrip("\\n")
    if act == "+": alive.add(int(what))
    elif act == "-": alive.discard(int(what))
    elif act == "d": folders.add(what)
    elif act == "u": folders.discard(what)
for pid in alive:
    try: os.kill(pid, signal.SIGKILL)
    except ProcessLookupError: pass
for folder in folders:
    shutil.rmtree(folder, ignore_errors=True)
"""


class Reaper:
    """One for each test process; started when the first server is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipe = -1
        self._owner = 0

    def watch(self, pid: int) -> None:
        self._say(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        self._say(f"-{pid}\n")

    def remove_later(self, folder: Path) -> None:
        self._say(f"d{folder}\n")

    def removed(self, folder: Path) -> None:
        self._say(f"u{folder}\n")

    def _say(self, line: str) -> None:
        with self._lock:
            if self._owner != os.getpid():  # first use, or we are a fork of the process that had one
                self._start()
            os.write(self._pipe, line.encode())

    def _start(self) -> None:
        read, write = os.pipe()
        # Its own session: Ctrl-C at the terminal is for the tests, not for the one cleaning up.
        watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCH],
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(read)
        watcher.returncode = 0  # it outlives us by design, so it must not warn about being alive
        self._pipe, self._owner = write, os.getpid()


REAPER = Reaper()
