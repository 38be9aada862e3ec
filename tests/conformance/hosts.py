"""The servers cases are played on: real and ours from the same file, and a way into the system account."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final, Literal

from issuer.interop.nats_server import binary
from issuer.interop.server_config import Options, ServerConfig, render
from tests.conformance.keys import SHARED, Keys
from tests.conformance.model import ServerKind, Token
from tests.conformance.wire import PATIENCE, Link, Msg
from tests.processes import HOST, Folder, Process, wait_until

Which = Literal["real", "ours"]
FETCH_SECONDS: Final = "0.3s"  # how long a server looks for an account that nobody has
AUTH_SECONDS: Final = 1
SMALL: Final = 3000  # max_payload of the servers that take little; accounts must still fit
UNLIMITED: Final = {"subs": -1, "data": -1, "payload": -1}
WIDE: Final = {**UNLIMITED, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
_EVENTS: Final = ("$SYS.ACCOUNT.*.CONNECT", "$SYS.ACCOUNT.*.DISCONNECT", "$SYS.SERVER.*.CLIENT.AUTH.ERR")

_keys = Keys("shared", 1_700_000_000)


def _shared_token(token: Token) -> str:
    return _keys.token(token)


def _guest() -> str:
    """The token for those who bring none, of an account that every `sentinel` server has."""
    nats = {**UNLIMITED, "bearer_token": True, "pub": {"deny": ["c.>"]}}
    return _shared_token(Token(signer="HOST", sub="guest", name="guest", nats=nats))


def configuration(kind: ServerKind, *, patience: int = AUTH_SECONDS) -> str:
    """The file of a kind of server; `patience` is how many seconds a client has for its CONNECT."""
    strict = kind == "strict"
    body = {"system_account": "{SYS}", "signing_keys": ["{OS}"], "strict_signing_key_usage": strict}
    signer = "OS" if strict else "O"
    system = {"limits": WIDE, "signing_keys": ["{SYS.k}"]}
    accounts: dict[str, tuple[str, str]] = {
        SHARED["SYS"].public: (
            "SYS",
            _shared_token(Token(signer=signer, sub="SYS", name="SYS", nats=system)),
        ),
        SHARED["HOST"].public: (
            "HOST",
            _shared_token(Token(signer=signer, sub="HOST", name="HOST", nats={"limits": WIDE})),
        ),
    }
    operator = _shared_token(Token(signer="O", sub="O", name="conformance", nats=body))
    text = render(
        ServerConfig("full", "conformance", operator, SHARED["SYS"].public, accounts),
        Options(allow_delete=True, timeout=FETCH_SECONDS),
    )
    text += f"authorization {{ timeout: {patience} }}\n"
    more: dict[ServerKind, str] = {
        "plain": "",
        "strict": "",
        "small": f"max_payload: {SMALL}\nmax_control_line: 1400\nmax_subscriptions: 5\nmax_subscription_tokens: 6\n",
        "sentinel": f"default_sentinel: {_guest()}\n",
        "pinned": f"resolver_pinned_accounts: [{SHARED['HOST'].public}]\n",
    }
    return text + more[kind]


class System(Link):
    """The connection of the system account: requests, and the events of every connection."""

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[int, list[tuple[str, dict[str, Any]]]] = {}
        self._news = asyncio.Event()
        self._answers: dict[str, asyncio.Future[str]] = {}
        self._numbers = itertools.count()

    async def enter(self) -> None:
        token = _shared_token(Token(signer="SYS.k", sub="sys", nats={**UNLIMITED, "issuer_account": "{SYS}"}))
        proof = base64.urlsafe_b64encode(SHARED["sys"].sign(self.nonce.encode())).rstrip(b"=").decode()
        options = {"jwt": token, "sig": proof, "verbose": False, "pedantic": False, "protocol": 1}
        self.write(f"CONNECT {json.dumps(options)}\r\n".encode())
        for number, subject in enumerate(_EVENTS):
            self.write(f"SUB {subject} e{number}\r\n".encode())
        self.write(b"SUB _INBOX.> i\r\n")
        self.asked = True
        await self.barrier()
        if not self.open or any("-ERR" in str(item) for item in self.items):
            raise AssertionError(f"the system account's user was refused: {self.items}")
        self.items.clear()

    def message(self, message: Msg) -> None:
        if message.sid == "i":
            answer = self._answers.pop(message.subject, None)
            if answer is not None and not answer.done():
                answer.set_result(message.payload)
            return
        event = json.loads(message.payload)
        kind = message.subject.rpartition(".")[2]
        self.events.setdefault(event["client"]["id"], []).append((kind, event))
        self._news.set()

    async def request(self, subject: str, body: str) -> str:
        """The first answer; empty when there is none."""
        inbox = f"_INBOX.{next(self._numbers)}"
        answer = self._answers[inbox] = asyncio.get_running_loop().create_future()
        data = body.encode()
        self.write(b"PUB %s %s %d\r\n%s\r\n" % (subject.encode(), inbox.encode(), len(data), data))
        try:
            async with asyncio.timeout(PATIENCE):
                said: str = await answer
        except TimeoutError:
            return ""
        return said

    async def until_gone(self, cids: set[int], seconds: float) -> None:
        """Until a DISCONNECT event came of each of these connections, but not longer than this."""

        def missing() -> bool:
            return any(all(kind != "DISCONNECT" for kind, _ in self.events.get(cid, ())) for cid in cids)

        try:
            async with asyncio.timeout(seconds):
                while missing():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return


class Host:
    """One server process. `start` before the loop runs, `enter` inside it."""

    def __init__(self, which: Which, kind: ServerKind, *, patience: int = AUTH_SECONDS) -> None:
        self.which = which
        self.kind = kind
        self.port = 0
        self._folder = Folder(None, f"accredit-{which}-")
        place = self._folder.path
        (place / "server.conf").write_text(configuration(kind, patience=patience), encoding="utf-8")
        program = [str(binary())] if which == "real" else [sys.executable, "-m", "broker"]
        self._command = [
            *program,
            "-c",
            "server.conf",
            "-a",
            HOST,
            "-p",
            "-1",
            "--ports_file_dir",
            str(place),
        ]
        self._process = Process(f"{which} ({kind})", place / "server.log")
        self._system: System | None = None

    def start(self) -> None:
        self._process.start(self._command, cwd=self._folder.path, account=None)
        try:
            wait_until(self._ready, what=f"{self._process.name} to greet")
        except BaseException:
            self.stop()
            raise

    def _ready(self) -> bool:
        if not self._process.alive():
            raise self._process.fault("stopped while starting")
        for file in Path(self._folder.path).glob(f"*_{self._process.pid}.ports"):
            try:
                address = json.loads(file.read_text(encoding="utf-8"))["nats"][0]
                self.port = int(address.rpartition(":")[2])
                with socket.create_connection((HOST, self.port), timeout=5) as link:
                    return link.recv(5) == b"INFO "
            except (OSError, ValueError):  # half written, or not listening yet
                return False
        return False

    async def enter(self) -> None:
        """Bind the system account's user to the loop that runs now."""
        _, system = await asyncio.get_running_loop().create_connection(System, HOST, self.port)
        async with asyncio.timeout(PATIENCE):
            await system._greeted
        await system.enter()
        self._system = system

    @property
    def system(self) -> System:
        assert self._system is not None
        return self._system

    @property
    def server_id(self) -> str:
        return str(self.system.info["server_id"])

    @property
    def pid(self) -> int:
        return self._process.pid

    async def leave(self) -> None:
        if self._system is not None:
            await self._system.close()
            self._system = None

    def resident(self) -> int:
        """Kilobytes of memory it holds."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise self._process.fault("is gone")

    def alive(self) -> bool:
        return self._process.alive()

    def stop(self) -> None:
        self._process.end(signal.SIGTERM)
        self._folder.remove()

    def log_text(self) -> str:
        return self._process.log_text()
