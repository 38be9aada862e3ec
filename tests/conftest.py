"""Fixtures every test may use, and the report on what had to be left out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from issuer.store.unit import Database
from tests import components
from tests.issuer.store.founding import Founded, found
from tests.servers import NatsCluster, NatsServer, Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

# A machine's speed is no property of ours, and a run must be repeatable; HYPOTHESIS_PROFILE=search
# looks for new counterexamples.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure() -> None:
    # A developer's own settings must not reach the product under test.
    for name in [n for n in os.environ if n.startswith("ACCREDIT_")]:
        if name not in {"ACCREDIT_REQUIRE_COMPONENTS", "ACCREDIT_NSC"}:
            del os.environ[name]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("component"):
        for name in marker.args:
            components.require(name)


@pytest.fixture(scope="session")
def nats_server_binary() -> Path:
    """The real nats-server's executable."""
    return components.require("nats-server")


@pytest.fixture
def start_nats(nats_server_binary: Path) -> Iterator[Callable[..., NatsServer]]:
    """`start_nats(config="", directory=None, *, name="", debug=False)`: a running NatsServer."""
    started: list[NatsServer] = []

    def start(
        config: str | Mapping[str, Any] = "",
        directory: Path | None = None,
        *,
        name: str = "",
        debug: bool = False,
    ) -> NatsServer:
        server = NatsServer(config, directory, name=name, debug=debug, binary=nats_server_binary)
        started.append(server)
        server.start()
        return server

    try:
        yield start
    finally:
        for server in started:
            server.close()


@pytest.fixture
def start_cluster(nats_server_binary: Path) -> Iterator[Callable[..., NatsCluster]]:
    """`start_cluster(config="", directory=None, *, n=3, name="test")`: a NatsCluster with its routes up."""
    started: list[NatsCluster] = []

    def start(
        config: str | Mapping[str, Any] | Callable[[int], str | Mapping[str, Any]] = "",
        directory: Path | None = None,
        *,
        n: int = 3,
        name: str = "test",
        debug: bool = False,
    ) -> NatsCluster:
        cluster = NatsCluster(config, directory, n=n, name=name, debug=debug)
        started.append(cluster)
        cluster.start()
        return cluster

    try:
        yield start
    finally:
        for cluster in started:
            cluster.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for each test process; each test asks it for a `new_database()`."""
    with Postgres(components.require("postgres")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database; the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'accredit.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A new store, on each engine."""
    opened = Database.open(database_url, create=True)
    yield opened
    opened.close()


@pytest.fixture
def founded(database: Database) -> Founded:
    """An operator and an account in the store."""
    return found(database)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An empty SQLite database, for tests whose subject is not the database."""
    return f"sqlite:///{tmp_path / 'accredit.db'}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """No component is left out silently."""
    found = components.record()
    left_out = {name: line["reason"] for name, line in found.items() if not line["available"]}
    if not found:
        left_out = {"all": components.NOT_SET_UP}
    if left_out:
        terminalreporter.section("components not available on this machine")
        for name, reason in left_out.items():
            terminalreporter.write_line(f"{name}: {reason}")
