"""Refused by the real nats-server, and for the reason that we give: its log has the words of our gate."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import pytest

from broker.enforcement.admission import AccountFacts, admit, identify
from broker.enforcement.verdict import Gate, Step
from broker.explain import Question, explain_tokens
from issuer.claims.account import AccountClaims
from issuer.claims.user import UserClaims
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import decode
from tests.broker.scenes import REFUSALS, Refusal, Scene
from tests.servers import HOST, NatsServer

pytestmark = pytest.mark.component("nats-server")

# What holds of a connection only: a question without one cannot be refused for it.
OF_A_CONNECTION: Final = frozenset({Gate.PROXY, Gate.PINNED, Gate.SIGNATURE, Gate.ACCOUNT_TIME})
SECONDS: Final = 5.0


def config(scenes: Iterable[Scene]) -> dict[str, Any]:
    scenes = list(scenes)
    first = scenes[0]
    made: dict[str, Any] = {
        "operator": first.operator_token(),
        "resolver": "MEMORY",
        "resolver_preload": {scene.key.public: scene.account_token() for scene in scenes if scene.known},
    }
    if first.pinned:
        made["resolver_pinned_accounts"] = list(first.pinned)
    if first.proxies:
        made["proxies"] = {"trusted": [{"key": key} for key in first.proxies]}
    return made


def connect(server: NatsServer, scene: Scene) -> tuple[int, str, bytes]:
    """Come as the scene's client: the connection's number, its nonce, and everything the server said."""
    with socket.create_connection((HOST, server.port), timeout=SECONDS) as link:
        said = b""
        while not said.endswith(b"\r\n"):
            said += link.recv(65536)
        info = json.loads(said.removeprefix(b"INFO "))
        line = json.dumps(scene.members(info["nonce"]))
        link.sendall(f"CONNECT {line}\r\nPING\r\n".encode())
        heard = b""
        while True:
            part = link.recv(65536)
            if not part:
                return info["client_id"], info["nonce"], heard
            heard += part


def log_of(server: NatsServer, cid: int) -> str:
    lines = (server.directory / "server.log").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if f"cid:{cid} " in line)


def our_refusal(scene: Scene, nonce: str, now: float) -> Step:
    trust, attempt = scene.trust(), scene.attempt(nonce)
    identified = identify(attempt, trust, now=now, read=lambda text: decode(text, UserClaims))
    claims = decode(scene.account_token(), AccountClaims).claims
    facts = AccountFacts(claims=claims, expired=bool(scene.aged))
    if identified.account != claims.sub or not scene.known:
        facts = None  # type: ignore[assignment]
    step = admit(identified, attempt, trust, facts, now=now).verdict.refusal
    assert step is not None
    return step


def require_agreement(server: NatsServer, refusal: Refusal, scene: Scene) -> None:
    if scene.aged:
        # It must be known before it expires: one expired from the start is never taken in.
        with socket.create_connection((HOST, server.port), timeout=SECONDS) as link:
            nonce = json.loads(link.recv(65536).removeprefix(b"INFO "))["nonce"]
            link.sendall(f"CONNECT {json.dumps(scene.members(nonce))}\r\nPING\r\n".encode())
            link.recv(65536)
            time.sleep(scene.aged)
    cid, nonce, heard = connect(server, scene)
    assert b"-ERR '" in heard
    log = log_of(server, cid)
    assert refusal.words in log
    now = time.time()
    if refusal.gate not in OF_A_CONNECTION:
        account = scene.account_token() if scene.known else None
        token = scene.connect.get("jwt", scene.user_token()) or ""
        step = explain_tokens(scene.operator_token(), account, token, Question(), now).refusal
    else:
        step = our_refusal(scene, nonce, now)
    assert step is not None
    assert step.gate is refusal.gate
    assert step.words
    assert step.words in log


@pytest.fixture(scope="module")
def crowd() -> dict[str, Scene]:
    """Every case that needs no configuration of its own, under one operator."""
    now = int(time.time())
    operator, key = Seed.generate(Role.OPERATOR), Seed.generate(Role.OPERATOR)
    scenes = {}
    for refusal in REFUSALS:
        if not refusal.alone:
            scenes[refusal.name] = Scene(now, operator, key)
            refusal.change(scenes[refusal.name])
    return scenes


@pytest.fixture(scope="module")
def server(crowd: dict[str, Scene], nats_server_binary: Any) -> Iterable[NatsServer]:
    with NatsServer(config(crowd.values()), debug=True, binary=nats_server_binary) as running:
        yield running


@pytest.mark.parametrize("refusal", [each for each in REFUSALS if not each.alone], ids=lambda each: each.name)
def test_the_server_refuses_for_the_reason_that_we_give(
    refusal: Refusal, crowd: dict[str, Scene], server: NatsServer
) -> None:
    require_agreement(server, refusal, crowd[refusal.name])


@pytest.mark.parametrize("refusal", [each for each in REFUSALS if each.alone], ids=lambda each: each.name)
def test_also_where_the_configuration_is_the_reason(
    refusal: Refusal, start_nats: Callable[..., NatsServer]
) -> None:
    scene = refusal.scene(int(time.time()))
    require_agreement(start_nats(config([scene]), debug=True), refusal, scene)
