"""A server that no real one can be made to be: it accepts, keeps what it is sent, and says next to nothing."""

from __future__ import annotations

import socket
import threading
import time
from typing import Self

from tests.processes import HOST


class Listener:
    """Runs from `with` to its end. `drip` is sent byte by byte to whoever connects, and again for ever."""

    def __init__(self, *, drip: bytes = b"", pause: float = 0.05) -> None:
        self._socket = socket.create_server((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        self._drip = drip
        self._pause = pause
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()
        self.heard = b""

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # Closing alone does not wake who waits in accept.
        socket.create_connection((HOST, self.port)).close()
        self._threads[0].join()
        for link in self._open:
            link.close()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    @property
    def visitors(self) -> int:
        return len(self._open)

    @property
    def plain(self) -> str:
        return f"ldap://{HOST}:{self.port}"

    @property
    def tls(self) -> str:
        return f"ldaps://{HOST}:{self.port}"

    def _run(self, job: object, *values: object) -> None:
        thread = threading.Thread(target=job, args=values)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            link, _ = self._socket.accept()
            if self._ended.is_set():
                link.close()
                return
            self._open.append(link)
            self._run(self._listen, link)
            if self._drip:
                self._run(self._say, link)

    def _listen(self, link: socket.socket) -> None:
        link.settimeout(0.05)
        while not self._ended.is_set():
            try:
                data = link.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            self.heard += data

    def _say(self, link: socket.socket) -> None:
        try:
            while not self._ended.is_set():
                for byte in self._drip:
                    link.sendall(bytes([byte]))
                    time.sleep(self._pause)
        except OSError:
            return
