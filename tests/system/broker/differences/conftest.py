"""Both servers with the same accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.servers import NatsServer
from tests.system.broker.differences.both import Both, Prepare, Staged
from tests.system.broker.pair import own_binary, starter
from tests.system.broker.stage import Stage


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., NatsServer]]:
    """`start(which, config)` for which of "real", "ours"."""
    with starter(tmp_path_factory.mktemp("differences")) as start:
        yield start


@pytest.fixture
def staged(start: Callable[..., NatsServer]) -> Iterator[Staged]:
    """`staged(prepare, more="")`: both, with what `prepare` says of the accounts and `more` in the configuration."""
    with ExitStack() as open_stages:

        def make(prepare: Prepare, more: Callable[[], str] = str, **how: Any) -> Both:
            def one(which: str) -> Stage:
                def run(text: str, **flags: Any) -> NatsServer:
                    return start(which, f"{text}\n{more()}", **flags)

                stage = open_stages.enter_context(Stage(run, **how))
                prepare(stage)
                stage.play()
                return stage

            return Both(one("real"), one("ours"))

        yield make


@pytest.fixture
def binaries(nats_server_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The two executables."""
    return {"real": nats_server_binary, "ours": own_binary(tmp_path_factory.mktemp("own"))}
