"""The log of a service, written by a thread of its own: whoever does not read it stops nobody.

A pipe that is full would else hold the event loop, and with it every login. What does not fit in memory
is counted, and the number is the next thing written.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
from typing import Final, TextIO

MOST_WAITING: Final = 10_000
LAST_SECONDS: Final = 1.0
_FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class AsideHandler(logging.Handler):
    """Takes records at once; `stream` gets them when it can."""

    def __init__(self, stream: TextIO, *, most: int = MOST_WAITING) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(most)
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        lost = f"({self._lost} lines were not written)\n" if self._lost else ""
        try:
            self._lines.put_nowait(f"{lost}{self.format(record)}\n")
        except queue.Full:
            self._lost += 1
        else:
            self._lost = 0

    def finish(self, seconds: float = LAST_SECONDS) -> None:
        """Write what waits, for so long at the most."""
        waiting = threading.Thread(target=self._lines.join, daemon=True)
        waiting.start()
        waiting.join(seconds)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._stream.write(line)
                self._stream.flush()
            except (OSError, ValueError):
                self._lost += 1  # nobody is there to be told
            finally:
                self._lines.task_done()


def log_aside(stream: TextIO, level: int) -> None:
    """What a service has to tell its operator, with the time; of libraries only warnings."""
    handler = AsideHandler(stream)
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("accredit").setLevel(level)
    atexit.register(handler.finish)
