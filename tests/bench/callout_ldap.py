"""What a login by LDAP adds to a plain one, beside what the directory itself takes to check a password."""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.bench.callout_load import Show, alone, run
from tests.bench.callout_world import standing
from tests.bench.measure import Row, at_most, skipped
from tests.processes import HOST
from tests.system.callout.slapd import (
    GROUPS,
    PEOPLE,
    SERVICE,
    SERVICE_PASSWORD,
    Slapd,
    dn_of,
    group,
    missing_part,
    person,
)

LOGINS: Final = int(os.environ.get("BENCH_ALONE", "150"))
TARGET: Final = 2.0  # milliseconds
NAME: Final = "callout: ms added to a plain login, LDAP less its bind"


def rows() -> Iterator[Row]:
    missing = missing_part()
    if missing is not None:
        yield skipped(NAME, f"<= {TARGET:g}", f"no {missing}")
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="accredit-bench-")))
        directory = stack.enter_context(Slapd())
        directory.add(
            person("ann"), group("operators", dn_of("ann")), group("grid", f"cn=operators,{GROUPS}")
        )
        world = stack.enter_context(standing(0))
        secret = folder / "password"
        secret.write_text(SERVICE_PASSWORD, encoding="utf-8")
        secret.chmod(0o600)
        office = {
            "name": "office",
            "kind": "ldap",
            "realm": "CORP",
            "servers": [directory.plain],
            "plain_on_loopback": True,
            "service": {"name": SERVICE, "password": f"file:{secret}"},
            "user_base": PEOPLE,
            "group_base": GROUPS,
            "default_realm": True,
        }
        responder = stack.enter_context(world.ours(office))
        shows: list[list[Show]] = [[world.plain] * LOGINS, [world.password("ann", "annpw")] * LOGINS]
        run(alone(world.port, [each[:10] for each in shows]))
        responder.settle()
        plain, took = (statistics.median(each) * 1000 for each in run(alone(world.port, shows)))
        bind = _bind(directory.port, dn_of("ann"), "annpw")
    note = f"plain {plain:.2f}, LDAP {took:.2f}, bind {bind:.2f}"
    yield at_most(NAME, took - plain - bind, TARGET, note)


def _bind(port: int, name: str, password: str) -> float:
    """Milliseconds of a simple bind on an open connection (RFC 4511 §4.2), in bytes: no library's part in it."""
    said = _tagged(0x80, password.encode())
    request = _tagged(0x60, b"\x02\x01\x03" + _tagged(0x04, name.encode()) + said)
    message = _tagged(0x30, b"\x02\x01\x01" + request)
    took = []
    with socket.create_connection((HOST, port)) as link:
        for _ in range(LOGINS):
            began = time.perf_counter()
            link.sendall(message)
            answer = link.recv(4096)
            took.append(time.perf_counter() - began)
            if answer[5:10] != b"\x61\x07\x0a\x01\x00":  # BindResponse, success
                raise RuntimeError(f"not bound: {answer!r}")
            time.sleep(0.005)
    return statistics.median(took) * 1000


def _tagged(tag: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([tag, len(value)]) + value
