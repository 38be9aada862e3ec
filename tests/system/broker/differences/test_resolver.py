"""Accounts' tokens that come to the resolver."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.conformance.keys import encode64
from tests.system.broker.differences.both import Both, Staged, ask, server, token
from tests.system.broker.stage import Stage
from tests.system.broker.transport_scene import Line, connect, hang_up

pytestmark = pytest.mark.component("nats-server")


def folder_of(stage: Stage) -> Path:
    return server(stage).directory / "jwt"


def whole(staged: Staged) -> Both:
    """Both with one account besides the system's, and a folder of tokens."""
    return staged(lambda stage: stage.account("A"), resolver="full")


def foreign(stage: Stage, letter: str) -> str:
    """The claims of an account by an operator nobody knows."""
    signer = SeedSigner(Seed.generate(Role.OPERATOR))
    return encode(stage.claims[letter], signer, now=int(time.time())).token


def looked_up(stage: Stage, answer: str) -> bool:
    """Whether a lookup of account B that is answered so leaves a file; B's user is refused in any case."""
    system = stage.client("SYS")
    system.say("SUB $SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP lookups")
    with Line(server(stage).port) as line:
        line.send(connect(token(stage, "B")), b"PING\r\n")
        question = system.read()
        assert question.subject == f"$SYS.REQ.ACCOUNT.{stage.key('B')}.CLAIMS.LOOKUP"
        system.publish(question.reply, answer)
        line.until(lambda data: 1 if b"-ERR 'Authorization Violation'" in data else None)
    hang_up()
    return (folder_of(stage) / f"{stage.key('B')}.jwt").exists()


@pytest.mark.parametrize(
    ("kind", "stored"),
    [("another account's", False), ("signed by nobody", False), ("a foreign operator's", True)],
)
def test_what_another_server_gives_is_stored_if_it_verifies(staged: Staged, kind: str, stored: bool) -> None:
    found = []
    for stage in whole(staged):
        stage.account("B")
        answer = stage.token("A") if kind == "another account's" else foreign(stage, "B")
        if kind == "signed by nobody":
            answer = answer.rpartition(".")[0] + "." + "A" * 86
        found.append(looked_up(stage, answer))
    assert found == [True, stored]


BROKEN = {
    "base64": "!.!.!",
    "JSON": f"{encode64(b'{nope')}.e30.x",
    "a member of another type": encode64(b'{"typ": "JWT", "alg": 1}') + ".e30.x",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_token_that_is_broken(staged: Staged, name: str) -> None:
    both = whole(staged)
    answers = [ask(stage.client("SYS"), "$SYS.REQ.CLAIMS.UPDATE", BROKEN[name]) for stage in both]
    real, ours = (answer["error"] for answer in answers if answer is not None)
    assert real["code"] == ours["code"] == 500
    assert real["description"] != ours["description"]
