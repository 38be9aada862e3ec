"""Whoever our server lets in with a mutated CONNECT, token or signature, the real one lets in as well,
and lets do no less; every attempt ends, and none costs the server more than the connection.

Each input goes to both servers at once, with signatures of their own nonces. After CONNECT and PING
comes a probe of what the connection may do; what a server answers to all that is compared.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance.hosts import AUTH_SECONDS, UNLIMITED, WIDE, Host
from tests.conformance.keys import Keys
from tests.conformance.model import OPTIONS, Token
from tests.conformance.runner import event_loop
from tests.fuzz.mutation import Mutator
from tests.processes import HOST

AT_ONCE: Final = 48
_PATIENCE: Final = 0.5  # for a line that has no end
# A return inside the line of CONNECT costs the real server a byte of it where its reads meet: no judge then.
_LOST_BYTE: Final = re.compile(rb"\A[^\n]*\r[^\n]")
_AGAIN: Final = 3
_ENOUGH: Final = 50
_PROBE: Final = b"PING\r\nSUB a 1\r\nSUB c 2\r\nPUB a %(size)d\r\n%(mark)b\r\nPUB c %(size)d\r\n%(mark)b\r\nPUB b.u 0\r\n\r\nPING\r\n"
_TOO_MANY: Final = "-ERR 'maximum subscriptions exceeded'"
_SCOPE: Final = {
    "kind": "user_scope",
    "key": "{A.s}",
    "role": "s",
    "template": {**UNLIMITED, "pub": {"allow": ["a", "b.{{name()}}"]}, "sub": {"deny": ["c"]}},
}
_ACCOUNTS: Final = {
    "A": Token(
        signer="O",
        sub="A",
        nats={
            "limits": WIDE,
            "signing_keys": ["{A.k}", _SCOPE],
            "revocations": {"{r}": {"$time": 0}},
            "default_permissions": {"pub": {"deny": ["c"]}},
        },
    ),
    "B": Token(
        signer="O", sub="B", nats={"limits": {**WIDE, "disallow_bearer": True, "conn": 1000, "subs": 2}}
    ),
    "E": Token(signer="O", sub="E", exp=-10, nats={"limits": WIDE}),
}
_BY_KEY: Final = {**UNLIMITED, "issuer_account": "{A}"}
_USERS: Final = {
    "u": Token(signer="A", sub="u", name="u", nats=UNLIMITED),
    "v": Token(
        signer="A.k", sub="v", name="v", nats={**_BY_KEY, "pub": {"allow": ["a"]}, "src": ["127.0.0.1/32"]}
    ),
    "t": Token(signer="A.s", sub="t", name="u", nats={"issuer_account": "{A}"}),
    "g": Token(signer="A", sub="g", nats={**UNLIMITED, "bearer_token": True, "resp": {"max": 1, "ttl": 0}}),
    "r": Token(signer="A", sub="r", nats=UNLIMITED),
    "x": Token(signer="A", sub="x", exp=-10, nats=UNLIMITED),
    "n": Token(signer="A", sub="n", nats={**UNLIMITED, "src": ["10.0.0.0/8"]}),
    "w": Token(signer="A", sub="w", nats={**UNLIMITED, "allowed_connection_types": ["WEBSOCKET"]}),
    "b": Token(signer="B", sub="b", nats={**UNLIMITED, "bearer_token": True}),
    "d": Token(signer="B", sub="d", nats={**UNLIMITED, "payload": 4, "subs": 1}),
    "e": Token(signer="E", sub="e", nats=UNLIMITED),
    "z": Token(signer="A.x", sub="z", nats=_BY_KEY),
    "f": Token(signer="A", sub="f", form="first", nats={}),
}
_MEMBERS: Final = (
    b'"jwt":"', b'"sig":""', b'"verbose":true,', b'"protocol":1', b'"nkey":"x",', b'"user":"a",', b'"pass":"b",', b'"account":"A",', b'"headers":false,', b'"new_account":true,',
    b"null", b"true", b"\\u0000", b"\\ud800", b"{}", b"[]", b"1e1", b'"JWT":"', b"/*", b"\xc3\x28",
)  # fmt: skip
_CLAIMS: Final[tuple[tuple[str, Any], ...]] = (
    ("exp", 1), ("exp", -1), ("exp", "1"), ("exp", None), ("nbf", 2**40), ("nbf", None), ("iat", 0), ("iat", 2**40), ("iat", 1.5), ("iss", "{A}"), ("iss", "{B}"),
    ("iss", "{u}"), ("iss", ""), ("sub", "{u}"), ("sub", "{g}"), ("sub", "{A}"), ("sub", ""), ("aud", "x"), ("jti", ""), ("type", "user"), ("name", "c"), ("name", "*"), ("name", 5), ("extra", {}),
)  # fmt: skip
_BODY: Final[tuple[tuple[str, Any], ...]] = (
    ("bearer_token", True), ("bearer_token", False), ("bearer_token", 1), ("subs", 0), ("subs", None), ("subs", 2**63), ("payload", 0), ("issuer_account", "{A}"), ("issuer_account", "{B}"),
    ("issuer_account", ""), ("issuer_account", "{E}"), ("src", []), ("src", ["127.0.0.1/33"]), ("src", ["0.0.0.0/0"]), ("src", "127.0.0.0/8"), ("src", None), ("times", [{"start": "00:00:00", "end": "23:59:59"}]),
    ("times", [{"start": "a", "end": "b"}]), ("allowed_connection_types", ["STANDARD"]), ("allowed_connection_types", ["standard", "X"]), ("allowed_connection_types", ["MQTT"]),
    ("pub", {"allow": [">"]}), ("pub", {"allow": ["a b"]}), ("pub", {"deny": [">"]}), ("pub", None), ("sub", {"allow": ["a q"]}), ("resp", {}), ("resp", None), ("type", "account"),
    ("type", ""), ("type", "activation"), ("version", 1), ("version", 3), ("version", 0), ("version", None), ("version", "2"), ("proxy_required", True), ("tags", ["a:b"]), ("extra", [1]), ("Subs", 0),
    ("BEARER_TOKEN", True), ("Type", "user"), ("limits", {"subs": 0}),
)  # fmt: skip


@dataclass(slots=True)
class Found:
    """What came of a run."""

    runs: int = 0
    let_in: int = 0
    grown: int = 0
    """Kilobytes of memory our server holds more than before."""
    left: int = 0
    """Connections that are still there when all have gone."""
    generous: list[str] = field(default_factory=list)
    different: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


class _Attempt(asyncio.Protocol):
    """One connection: INFO, everything of ours in one write, and what comes back."""

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self._answer = answer
        self._said = b""
        self._greeted = False
        self._transport: Any = None
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._said += data
        if not self._greeted:
            line, end, rest = self._said.partition(b"\r\n")
            if not end:
                return
            self._greeted = True
            self._said = rest
            self._transport.write(self._answer(json.loads(line[5:])["nonce"]))
        if self._said.count(b"PONG\r\n") >= 2:
            self.end()

    def connection_lost(self, error: Exception | None) -> None:
        self.end(b"closed")

    def end(self, how: bytes = b"") -> None:
        if not self.done.done():
            self.done.set_result(self._said + how)
            self._transport.close()


async def _attempt(port: int, answer: Callable[[str], bytes], mark: str) -> list[str]:
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(lambda: _Attempt(answer), HOST, port)
    timer = loop.call_later(_PATIENCE, link.end, b"silent")
    said = await link.done
    timer.cancel()
    return list(_told(said.decode("latin-1").split("\r\n"), mark))


def _told(lines: list[str], mark: str) -> Iterator[str]:
    """The lines of an answer, without the messages of other attempts."""
    rest = iter(lines)
    for line in rest:
        if line.startswith("MSG "):
            if next(rest, "") == mark:
                yield line
        elif line:
            yield "INFO" if line.startswith("INFO ") else line


class _Target:
    """Inputs, each made anew for a server's nonce from the same random numbers."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._tokens = {label: keys.token(token) for label, token in _USERS.items()}
        self._samples = [text.encode() for text in self._tokens.values()]

    def bytes_of(self, seed: str, nonce: str) -> bytes:
        rand = random.Random(seed)
        label = rand.choice(tuple(_USERS))
        way = rand.randrange(6)
        text = self._tokens[label]
        if way == 1:
            text = self._forged(rand, label)
        elif way == 2:
            text = Mutator(rand, _MEMBERS, self._samples).mutated(text.encode()).decode("latin-1")
        signer = label if rand.random() < 0.92 else rand.choice(tuple(_USERS))
        signature = base64.urlsafe_b64encode(self._keys.seed(signer).sign(nonce.encode())).rstrip(b"=")
        if way == 3:
            signature = Mutator(rand, (b"=", b"A", b"-", b"+"), [signature]).mutated(signature)
        options = {**OPTIONS, "jwt": text, "sig": signature.decode("latin-1")}
        if rand.random() < 0.1:
            del options[rand.choice(("jwt", "sig", "protocol", "verbose", "headers", "no_responders"))]
        line = b"CONNECT " + json.dumps(options).encode() + b"\r\n"
        if way == 4:
            line = Mutator(rand, _MEMBERS, [line]).mutated(line)
        return line + _PROBE % {b"mark": seed.encode(), b"size": len(seed)}

    def _forged(self, rand: random.Random, label: str) -> str:
        """A token that says something else, signed again by someone or not at all."""
        token = _USERS[label]
        nats, members = dict(token.nats), dict(token.members)
        for _ in range(rand.choice((1, 1, 2))):
            if rand.random() < 0.4:
                name, value = rand.choice(_CLAIMS)
                members[name] = value
            else:
                name, value = rand.choice(_BODY)
                nats[name] = value
        signer = rand.choice((token.signer, token.signer, token.signer, "A", "A.k", "A.s", "B", "u", "O"))
        forged = Token(
            signer=signer,
            sub=token.sub,
            name=token.name,
            nats=nats,
            exp=token.exp,
            members=members,
            form=rand.choice(
                ("sound", "sound", "sound", token.form, "lower-header", "old-algorithm", "unsigned", "padded")
            ),
        )
        text = self._keys.token(forged)
        if rand.random() < 0.2:
            # The old signature under new claims, and the other way round.
            old = self._tokens[label].split(".")
            new = text.split(".")
            text = ".".join((*new[:2], old[2])) if rand.random() < 0.5 else ".".join((*old[:2], new[-1]))
        return text


async def _load(host: Host, keys: Keys) -> None:
    await host.enter()
    for token in _ACCOUNTS.values():
        await host.system.request("$SYS.REQ.CLAIMS.UPDATE", keys.token(token))


async def _run(real: Host, ours: Host, runs: int, seed: int) -> Found:
    keys = Keys(f"fuzz {seed}", int(time.time()))
    for host in (real, ours):
        await _load(host, keys)
    target = _Target(keys)
    found = Found()
    numbers = iter(range(runs))

    async def both(name: str) -> tuple[list[str], list[str]]:
        answer = functools.partial(target.bytes_of, name)
        theirs, own = await asyncio.gather(*(_attempt(host.port, answer, name) for host in (real, ours)))
        return theirs, own

    async def worker() -> None:
        for number in numbers:
            name = f"{seed}/{number}"
            theirs, own = await both(name)
            _judge(found, name, theirs, own)
            for host in (real, ours):
                host.system.events.clear()  # nobody asks for them here
            # What a changed byte of a signature does hangs on the byte, and so on the nonce: look again.
            if not _generous(theirs, own) or _LOST_BYTE.search(target.bytes_of(name, "nonce")):
                continue
            if all([_generous(*await both(name)) for _ in range(_AGAIN)]):
                found.generous.append(f"{name}: real {theirs} ours {own}")
                if len(found.generous) >= _ENOUGH:
                    return

    before = ours.resident()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    # Whoever was silent is shown out by now.
    await asyncio.sleep(AUTH_SECONDS + _PATIENCE)
    found.grown = ours.resident() - before
    found.left = await _connections(ours) - 1  # without our own to the system account
    for host in (real, ours):
        await host.leave()
    return found


async def _connections(host: Host) -> int:
    told = json.loads(await host.system.request(f"$SYS.REQ.SERVER.{host.server_id}.CONNZ", "{}"))
    count: int = told["data"]["num_connections"]
    return count


def _judge(found: Found, name: str, theirs: list[str], own: list[str]) -> None:
    found.runs += 1
    found.let_in += "PONG" in own
    if theirs == own or (_TOO_MANY in theirs and sorted(theirs) == sorted(own)) or _cut_short(theirs, own):
        return
    shape = f"real {theirs[:3]} ours {own[:3]}"
    found.different[shape] += 1
    found.examples.setdefault(shape, name)


def _cut_short(theirs: list[str], own: list[str]) -> bool:
    """The real server's last words before it hangs up may get lost."""
    return theirs[-1:] == own[-1:] == ["closed"] and theirs[:-1] == own[: len(theirs) - 1]


def _generous(theirs: list[str], own: list[str]) -> bool:
    """Whether ours let in whom the real one did not, or let it do more."""
    if "PONG" not in own or _cut_short(theirs, own):
        return False
    if "PONG" not in theirs:
        return True
    refusals = {line for line in theirs if line.startswith("-ERR")}
    more = Counter(line for line in own if line.startswith("MSG"))
    return bool(refusals - set(own) or more - Counter(line for line in theirs if line.startswith("MSG")))


def run(runs: int, seed: int) -> Found:
    """So many attempts on servers of our own."""
    real, ours = Host("real", "plain"), Host("ours", "plain")
    try:
        real.start()
        ours.start()
        with asyncio.Runner(loop_factory=event_loop()) as runner:
            found = runner.run(_run(real, ours, runs, seed))
        if not ours.alive():
            raise AssertionError(f"our server is gone:\n{ours.log_text()[-3000:]}")
        return found
    finally:
        real.stop()
        ours.stop()


def input_of(name: str, nonce: str = "nonce") -> bytes:
    """The bytes of one attempt, by the name a run gave it."""
    seed = name.partition("/")[0]
    return _Target(Keys(f"fuzz {seed}", int(time.time()))).bytes_of(name, nonce)
