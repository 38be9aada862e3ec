"""Configurations we write, read by the real nats-server."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from issuer.claims.account import new_account
from issuer.claims.operator import OperatorClaims, new_operator
from issuer.interop.nats_server import OLDEST, binary, version
from issuer.interop.server_config import Options, Resolver, ServerConfig, render
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.servers import NatsServer

NOW = 1_700_000_000
OPERATOR = Seed.generate(Role.OPERATOR)
SYSTEM, METERS = Seed.generate(Role.ACCOUNT), Seed.generate(Role.ACCOUNT)
KINDS: tuple[Resolver, ...] = ("memory", "full", "cache", "url")


def content(kind: Resolver, *, operator_name: str = "GRID") -> ServerConfig:
    claims: OperatorClaims = new_operator(OPERATOR.public, operator_name)
    signer = SeedSigner(OPERATOR)
    accounts: dict[str, tuple[str, str]] = {
        seed.public: (name, encode(new_account(seed.public, name), signer, now=NOW).token)
        for seed, name in ((SYSTEM, "SYS"), (METERS, 'Größe\n#"}{: METERS'))
        if kind == "memory" or seed is SYSTEM
    }
    return ServerConfig(
        kind,
        operator_name,
        encode(claims, signer, now=NOW).token,
        SYSTEM.public,
        accounts,
        "http://127.0.0.1:1/jwt/v1/accounts/" if kind == "url" else "",
    )


def checked(nats_server: Path, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    path = folder / "server.conf"
    path.write_text(text, encoding="utf-8")
    return subprocess.run(
        [nats_server, "-t", "-c", path], capture_output=True, text=True, cwd=folder, timeout=30, check=False
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(
            server_name="one",
            host="127.0.0.1",
            port=-1,
            monitor_port=-1,
            resolver_dir='a folder "quoted" \\ and more',
            allow_delete=True,
            jetstream_dir="js",
            cluster_name="c1",
            cluster_port=-1,
            routes=("nats://127.0.0.1:16222", "nats://user:pass@[::1]:16223"),
            max_control_line=65536,
            pid_file="nats.pid",
        ),
        Options(host="::1", port=0, leafnode_port=-1),
    ],
    ids=["nothing", "everything", "ipv6"],
)
def test_the_server_takes_it(
    nats_server_binary: Path, tmp_path: Path, kind: Resolver, options: Options
) -> None:
    ran = checked(nats_server_binary, tmp_path, render(content(kind), options))
    assert ran.returncode == 0, ran.stderr


def test_the_names_of_strangers_stay_in_their_comments(nats_server_binary: Path, tmp_path: Path) -> None:
    text = render(content("memory", operator_name="x\nport: 1\n# \u2028port: 1"))
    assert "\nport: 1" not in text
    assert checked(nats_server_binary, tmp_path, text).returncode == 0


@pytest.mark.parametrize("kind", ["memory", "full", "cache"])
def test_a_server_runs_with_it(start_nats: Callable[..., NatsServer], tmp_path: Path, kind: Resolver) -> None:
    server = start_nats(render(content(kind), Options(server_name="one")), tmp_path)
    assert server.running()


def test_a_server_with_everything_runs(start_nats: Callable[..., NatsServer], tmp_path: Path) -> None:
    options = Options(host="127.0.0.1", jetstream_dir="js", resolver_dir="./accounts", leafnode_port=-1)
    server = start_nats(render(content("full"), options), tmp_path, name="one")
    assert server.running()
    assert (tmp_path / "accounts" / f"{SYSTEM.public}.jwt").is_file()


@contextmanager
def served(host: str, accounts: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Accounts by HTTP, as a URL resolver asks for them; and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            text = accounts.get(self.path.rpartition("/")[2], "")
            known = text or self.path.endswith("/")
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_said: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = Server((host, 0), Handler)
    except OSError as fault:
        pytest.skip(f"no {host} on this machine: {fault.strerror}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"[{host}]" if ":" in host else host
        yield f"http://{address}:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("path", ["/jwt/v1/accounts/", "/a(b)/$c/%20/"])
def test_a_server_asks_the_url_it_was_given(
    start_nats: Callable[..., NatsServer], tmp_path: Path, host: str, path: str
) -> None:
    config = content("url")
    system = config.accounts[SYSTEM.public][1]
    with served(host, {SYSTEM.public: system}) as (url, asked):
        # Without a preload, all it knows of the system account is what it asks for.
        start_nats(render(replace(config, accounts={}, url=url + path)), tmp_path)
        assert asked[0] == path
        assert f"{path}{SYSTEM.public}" in asked


def test_what_is_meant_for_this_machine_listens_nowhere_else(
    start_nats: Callable[..., NatsServer], tmp_path: Path
) -> None:
    options = Options(host="127.0.0.1", leafnode_port=-1, cluster_name="c", cluster_port=-1)
    server = start_nats(render(content("full"), options), tmp_path, name="one")
    for kind in ("client", "leafnode", "route"):
        server.wait_log(f"Listening for {kind} connections on 127.0.0.1:")


def test_the_server_found_is_new_enough(nats_server_binary: Path) -> None:
    assert version(binary()) >= OLDEST
    assert version(nats_server_binary) >= OLDEST
