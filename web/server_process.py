"""A nats-server as our child: started with a configuration of ours, watched, stopped with us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Final

from issuer.errors import Unavailable

START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 8.0
POLL_SECONDS: Final = 0.02


class ServerProcess:
    """One running nats-server. Addresses come from the ports file it writes itself."""

    def __init__(self, binary: Path, config: Path, home: Path) -> None:
        self._binary = binary
        self._config = config
        self._home = home
        self._process: asyncio.subprocess.Process | None = None
        self.log = home / "nats-server.log"
        self.url = ""
        self.monitor = ""

    async def start(self) -> None:
        """Start it and wait for its addresses.

        Raises:
            Unavailable: it ended, or gave no address in time; its own words are in the message.
        """
        for stale in self._home.glob("*.ports"):
            stale.unlink()
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(self._binary),
                "-c",
                str(self._config),
                "--ports_file_dir",
                str(self._home),
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        ports = self._home / f"nats-server_{self._process.pid}.ports"
        while asyncio.get_running_loop().time() < deadline:
            if self._process.returncode is not None:
                raise Unavailable(f"nats-server ended at once: {self._last_words()}", hint=str(self.log))
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                found = json.loads(ports.read_text())
                self.url = found["nats"][0]
                self.monitor = (found.get("monitoring") or [""])[0]
                return
            await asyncio.sleep(POLL_SECONDS)
        await self.stop()
        raise Unavailable("nats-server did not come up in time", hint=str(self.log))

    async def watch(self, stop: asyncio.Event) -> None:
        """Until told to stop.

        Raises:
            Unavailable: it ended by itself.
        """
        ending = asyncio.create_task(self._running().wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if ending.done() and not stop.is_set():
            raise Unavailable(f"nats-server ended: {self._last_words()}", hint=str(self.log))
        ending.cancel()

    async def stop(self) -> None:
        process = self._running()
        if process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise Unavailable("nats-server was not started")
        return self._process

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][-300:] if lines else "it said nothing"


def stop_orphan(pid_file: Path) -> None:
    """End a server that a killed `accredit up` left behind, if it is still that server."""
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError, PermissionError):
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"nats-server" in command and str(pid_file.parent).encode() in command:
            os.kill(pid, signal.SIGTERM)
