"""Fixtures for tests of NATS programs: a broker without a binary.

`nats_broker` is one open broker; `start_broker(options)` starts any number, with any options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from broker.configuration.options import ANY_PORT, Options
from broker.in_thread import ThreadedBroker

Start = Callable[..., ThreadedBroker]


@pytest.fixture
def start_broker() -> Iterator[Start]:
    """`start_broker(options=None)`: a running broker on this machine, ended with the test."""
    with ExitStack() as running:

        def start(options: Options | None = None) -> ThreadedBroker:
            local = options or replace(Options.defaults(), host="127.0.0.1", port=ANY_PORT)
            return running.enter_context(ThreadedBroker(local))

        yield start


@pytest.fixture
def nats_broker(start_broker: Start) -> ThreadedBroker:
    """One open broker; connect to its `url`."""
    return start_broker()
