"""A log that nobody reads holds up nobody."""

from __future__ import annotations

import io
import logging
import os
import threading

from web.logging_aside import AsideHandler


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("accredit", logging.INFO, __file__, 1, text, None, None)


def test_lines_come_in_their_order() -> None:
    stream = io.StringIO()
    handler = AsideHandler(stream)
    for number in range(200):
        handler.emit(record(f"line {number}"))
    handler.finish(10)
    assert stream.getvalue().splitlines() == [f"line {number}" for number in range(200)]


def test_a_full_pipe_stops_nobody_and_what_was_lost_is_told() -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    handler = AsideHandler(stream, most=10)
    for _ in range(100):
        handler.emit(record("x" * 4096))  # far more than a pipe holds: this returns all the same
    seen: list[str] = []
    said = threading.Event()

    def drain() -> None:
        with os.fdopen(reading) as lines:
            for line in lines:
                seen.append(line)
                if "were not written" in line:
                    said.set()
                    return

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    while not said.wait(0.01):
        handler.emit(record("again"))
    reader.join(10)
    assert any("lines were not written" in line for line in seen)
