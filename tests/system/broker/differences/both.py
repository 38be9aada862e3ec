"""The same accounts on the real server and on ours, and questions to either."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from issuer.claims.user import new_user
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.servers import NatsServer
from tests.system.broker.stage import Client, Stage


class Both(NamedTuple):
    """One of each."""

    real: Stage
    ours: Stage


Prepare = Callable[[Stage], object]
Staged = Callable[..., Both]


def server(stage: Stage) -> NatsServer:
    assert stage.server is not None
    return stage.server


def ask(system: Client, subject: str, body: Any = "") -> dict[str, Any] | None:
    """The first answer to a question over this connection; None if nobody listens there."""
    text = body if isinstance(body, str) else json.dumps(body)
    system.say("SUB _INBOX.asked asked")
    system.send(f"PUB {subject} _INBOX.asked {len(text)}", text)
    while (frame := system.read()).verb not in {"MSG", "HMSG"}:
        pass
    system.say("UNSUB asked")
    if frame.headers:
        assert b"503" in frame.headers
        return None
    found: dict[str, Any] = json.loads(frame.payload)
    return found


def of_server(system: Client, page: str) -> str:
    """The subject of one of the server's pages."""
    return f"$SYS.REQ.SERVER.{system.info['server_id']}.{page}"


def token(stage: Stage, letter: str, *, bearer: bool = True) -> str:
    """A new user's, who need not sign if it is a bearer's."""
    base = new_user(Seed.generate(Role.USER).public, "u")
    claims = replace(base, nats=replace(base.nats, bearer_token=bearer))
    return encode(claims, SeedSigner(stage.house(letter).seed), now=int(time.time())).token


def heard(client: Client, subject: str, publisher: Client, published: str) -> list[str]:
    """The subjects under which a message comes to a subscription."""
    client.say(f"SUB {subject} heard")
    publisher.publish(published, "1")
    return [frame.subject for frame in client.say("UNSUB heard")]
