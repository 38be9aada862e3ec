"""Either broker as a process, with the CPU time and the memory it has used."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Self

from issuer.interop.nats_server import binary
from tests.processes import HOST, Folder, Process, wait_until

Which = Literal["real", "ours"]
_TICKS: Final = os.sysconf("SC_CLK_TCK")
# `env` runs it as the same process; compiled modules may be kept, as on any machine of a user.
_KEEP_COMPILED: Final = ("env", "-u", "PYTHONDONTWRITEBYTECODE")


def raise_file_limit() -> int:
    """As many open files as this process and the servers it starts may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


class Server:
    """One broker on a free port, in a temporary folder; both kinds take the same flags and file.

    `under` is a command to run it with, a profiler for example; `python` the interpreter with flags.
    """

    def __init__(
        self, which: Which, config: str, *, under: Sequence[str] = (), python: Sequence[str] = ()
    ) -> None:
        self.which = which
        self._folder = Folder(None, f"accredit-bench-{which}-")
        self._place = self._folder.path
        (self._place / "server.conf").write_text(config, encoding="utf-8")
        ours = (*_KEEP_COMPILED, *(python or [sys.executable]), "-m", "broker")
        program = (str(binary()),) if which == "real" else ours
        self._command = [*under, *program, "-c", "server.conf", "-a", HOST, "-p", "-1"]
        self._command += ["--ports_file_dir", str(self._place)]
        self._process = Process(which, self._place / "server.log")
        self.pid = self.port = 0

    def __enter__(self) -> Self:
        self._process.start(self._command, cwd=self._place, account=None)
        try:
            wait_until(self._ready, what=f"{self.which} to greet")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.end(signal.SIGTERM)
        self._folder.remove()

    def _ready(self) -> bool:
        if not self._process.alive():
            raise self._process.fault("stopped while starting")
        # Below a profiler the server is not the process we started: its file names it.
        for file in self._place.glob("*_*.ports"):
            try:
                address = json.loads(file.read_text(encoding="utf-8"))["nats"][0]
                self.pid, self.port = int(file.stem.rpartition("_")[2]), int(address.rpartition(":")[2])
                with socket.create_connection((HOST, self.port), timeout=5) as link:
                    return link.recv(5) == b"INFO "
            except (OSError, ValueError):  # half written, or not listening yet
                return False
        return False

    def cpu(self) -> float:
        """CPU-seconds so far, of all its threads and of children it has waited for."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS

    def settled_cpu(self) -> float:
        """The same once what was asked of it is done: closing goes on after the last answer."""
        before, deadline = self.cpu(), time.monotonic() + 5
        while True:
            time.sleep(0.05)
            now = self.cpu()
            if now - before < 1.5 / _TICKS or time.monotonic() > deadline:
                return now
            before = now

    def resident(self) -> int:
        """Bytes of memory it really holds."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise self._process.fault("is gone")

    def log_text(self) -> str:
        return self._process.log_text()
