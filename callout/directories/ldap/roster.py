"""The servers of a directory in their order, and which of them gave no answer lately."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from callout.directories.ldap.settings import Server


class Roster:
    """Who is asked, in which order. Safe for many threads; times are handed in, on the monotonic clock."""

    def __init__(self, servers: Sequence[Server], *, retry_after: float) -> None:
        self._servers = tuple(servers)
        self._retry_after = retry_after
        self._aside: dict[Server, float] = {}
        self._lock = threading.Lock()

    def order(self, now: float, *, first: Server | None = None) -> tuple[Server, ...]:
        """The servers to try: those that answer, then the others in case they are back.

        One whose time aside is over comes in its place again, but for one caller only: if it still hangs,
        only that one waits for it.
        """
        with self._lock:
            well, ill = [], []
            for server in self._servers:
                until = self._aside.get(server)
                if until is None:
                    well.append(server)
                elif until <= now:
                    self._aside[server] = now + self._retry_after
                    well.append(server)
                else:
                    ill.append(server)
        found = [*well, *ill]
        if first in found:
            found.remove(first)
            found.insert(0, first)
        return tuple(found)

    def failed(self, server: Server, now: float) -> None:
        with self._lock:
            self._aside[server] = now + self._retry_after

    def answered(self, server: Server) -> None:
        with self._lock:
            self._aside.pop(server, None)

    def aside(self) -> tuple[Server, ...]:
        """Those that gave no answer when last asked."""
        with self._lock:
            return tuple(server for server in self._servers if server in self._aside)
