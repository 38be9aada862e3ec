"""Plays one case on one server and tells what its clients saw.

After each step every connection asks with PING whether all has arrived, first the one that acted:
what a server has put into others' buffers on its behalf is there when its own PONG is. Nothing
sleeps, except where a case waits for a time, and where servers hang up a little after the words.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tests.conformance.canonical import Canon, Counting, Section
from tests.conformance.hosts import Host
from tests.conformance.keys import Keys, plain_token
from tests.conformance.model import (
    OPTIONS,
    Answer,
    Ask,
    Authorize,
    Case,
    Close,
    Connect,
    Delete,
    Kick,
    Op,
    Ping,
    Pub,
    Push,
    Raw,
    Send,
    Signature,
    Step,
    Sub,
    Token,
    Unsub,
    Wait,
)
from tests.conformance.wire import Item, Link, Msg, Word

# A connection over the limit of subscriptions is closed 20 ms after it is told so.
_AFTER_WORDS: Final = 1.0
_PERHAPS: Final = 0.25
_CLOSING: Final = (
    "Authorization Violation", "Authentication Timeout", "Authentication Expired", "Authentication Revoked",
    "connections exceeded", "Maximum Payload", "control line", "Unknown Protocol", "invalid client protocol",
    "no responders requires",
)  # fmt: skip
_GOODBYE: Final = 2.0
_PINGS: Final = re.compile(r"(?im)^\s*ping")
_PAUSE: Final = 0.003
_LONG: Final = 400
_ASKED: Final = 1.5
_ANSWERED: Final = 0.5
_INBOX: Final = "_INBOX.ask"
_LATER: Final = 0.03


async def play(case: Case, host: Host, keys: Keys) -> list[Section]:
    """All sections of a case: its accounts, its steps, its events."""
    return await _Play(case, host, keys).run()


class _Play:
    def __init__(self, case: Case, host: Host, keys: Keys) -> None:
        self.case = case
        self.host = host
        self.keys = keys
        self.links: dict[str, Link] = {}
        self.past: list[tuple[str, Link]] = []
        self.asking: list[Link] = []
        self.stirred = asyncio.Event()
        self.users = {label: keys.token(token) for label, token in case.users.items()}
        self.latest = {label: token.nats.get("signing_keys") for label, token in case.accounts.items()}
        self.tight = case.tight()
        chance = case.weighted()
        messages = not chance and not case.grouped()
        counting = Counting(messages, messages and not case.serviced())
        self.canon = Canon(keys, weighted=chance, counting=counting)

    async def run(self) -> list[Section]:
        try:
            sections = [await self._preload()]
            for number, step in enumerate(self.case.steps, 1):
                sections.append(await self._step(f"{number} {_title(step)}", step))
            sections.append(await self._events())
        finally:
            await asyncio.gather(*(link.close() for link in self.links.values()))
        return sections

    async def _preload(self) -> Section:
        answers = await asyncio.gather(
            *(self._update(self.keys.token(token)) for token in self.case.accounts.values())
        )
        named = zip(self.case.accounts, answers, strict=True)
        return Section("0 accounts", tuple(f"{label}: {self.canon.reply(answer)}" for label, answer in named))

    async def _update(self, token: str) -> str:
        return await self.host.system.request("$SYS.REQ.CLAIMS.UPDATE", token)

    async def _step(self, title: str, step: Step) -> Section:
        more: list[str] = []
        actor = await self._act(step, more)
        if actor is not None:
            await actor.barrier()
        await asyncio.gather(*(link.barrier() for link in self.links.values()))
        await self._hangups(step)
        came = {client: (link, link.take()) for client, link in self.links.items()}
        return self.canon.section(title, came, more)

    async def _act(self, step: Step, more: list[str]) -> Link | None:
        match step:
            case Connect():
                return await self._connect(step)
            case Send(client, ops, cuts):
                return await self._send(client, ops, cuts)
            case Answer():
                return await self._answer(step, more)
            case Ask():
                await self._ask(step, more)
            case Authorize():
                return await self._authorize(step, more)
            case Push(label, token):
                self.canon.evicting = self.latest.get(label) != token.nats.get("signing_keys")
                self.latest[label] = token.nats.get("signing_keys")
                more.append(self.canon.reply(await self._update(self.keys.token(token))))
            case Delete(accounts, signer):
                asked = self.keys.deletion(accounts, signer)
                more.append(self.canon.reply(await self.host.system.request("$SYS.REQ.CLAIMS.DELETE", asked)))
            case Kick(client):
                await self._kick(client)
            case Close(client):
                link = self.links.get(client)
                if link is not None:
                    was_asked = link.asked
                    await link.close()
                    if was_asked:
                        # What comes next must not overtake it.
                        await self.host.system.until_gone({link.cid}, _GOODBYE)
            case Wait(seconds):
                await asyncio.sleep(max(0.0, self.keys.begun + seconds - time.time()))
        return None

    async def _connect(self, step: Connect) -> Link:
        link = self.links.get(step.client)
        if link is None or not link.open:
            if link is not None:
                self.past.append((step.client, link))
            link = self.links[step.client] = await Link.to(self.host.port, self.stirred)
        link.sids.clear()
        if step.instead is not None:
            link.write(self.keys.text(step.instead).encode("latin-1"))
            link.asked = bool(step.instead)
            return link
        options: dict[str, Any] = self.keys.resolved(step.options)
        if step.user is not None:
            token = self.case.users[step.user]
            options.setdefault("jwt", self.users[step.user])
            link.account = token.nats.get("issuer_account", token.signer)
            proof = _proof(self.keys, step.user, step.signature, link.nonce)
            if proof is not None:
                options.setdefault("sig", proof)
        link.write(f"CONNECT {json.dumps(options)}\r\n".encode())
        if step.asks:
            self.asking.append(link)
            await self._until(lambda: self._questions() or not link.open, _ASKED)
            return link
        link.asked = True
        return link

    async def _send(self, client: str, ops: list[Op], cuts: list[int]) -> Link | None:
        link = self.links.get(client)
        if link is None or not link.open:
            return None
        data = b""
        for op in ops:
            if isinstance(op, Ping):
                link.expect_pong()
            elif isinstance(op, Raw):
                link.odd = True
                for _ in _PINGS.findall(op.text):
                    link.expect_pong()
            elif isinstance(op, Sub):
                link.sids.setdefault(op.sid, op.queue)
            elif isinstance(op, Unsub) and op.maximum is None:
                link.sids.pop(op.sid, None)
            data += self._bytes(op)
            if isinstance(op, Pub) and len(op.payload) > _LONG:
                # A server that takes no such message hangs up on the rest of it, and the reason may get lost.
                head = data.index(b"\r\n", len(data) - len(self._bytes(op))) + 2
                link.write(data[:head])
                data = data[head:]
                await link.until_closed(_PAUSE * 5)
        start = 0
        for cut in sorted({cut for cut in cuts if cut < len(data)}):
            link.write(data[start:cut])
            start = cut
            await asyncio.sleep(_PAUSE)
        link.write(data[start:])
        return link

    def _bytes(self, op: Op) -> bytes:
        match op:
            case Pub(subject, payload, reply, headers, times):
                return self._publication(subject, payload, reply, headers) * times
            case Sub(subject, sid, queue):
                text = f"SUB {subject} {queue} {sid}\r\n" if queue else f"SUB {subject} {sid}\r\n"
            case Unsub(sid, maximum):
                text = f"UNSUB {sid}\r\n" if maximum is None else f"UNSUB {sid} {maximum}\r\n"
            case Ping():
                text = "PING\r\n"
            case Raw(text):
                return self.keys.text(text).encode("latin-1")
        return self.keys.text(text).encode()

    def _publication(self, subject: str, payload: str, reply: str, headers: str | None) -> bytes:
        body = self.keys.text(payload).encode()
        target = self.keys.text(f"{subject} {reply}" if reply else subject).encode()
        if headers is None:
            return b"PUB %s %d\r\n%s\r\n" % (target, len(body), body)
        block = f"NATS/1.0\r\n{self.keys.text(headers)}\r\n".encode()
        return b"HPUB %s %d %d\r\n%s%s\r\n" % (target, len(block), len(block) + len(body), block, body)

    async def _answer(self, step: Answer, more: list[str]) -> Link | None:
        link = self.links.get(step.client)
        if link is None or not link.open:
            return None
        if len(link.requests) <= step.back:
            more.append("nothing to answer")
            return None
        reply = link.requests[-1 - step.back]
        link.write(self._publication(reply, step.payload, "", step.headers) * step.times)
        return link

    async def _authorize(self, step: Authorize, more: list[str]) -> Link | None:
        service = self.links.get(step.service)
        asking, self.asking = self.asking, []
        for link in asking:
            link.asked = True
        if service is None or not service.questions:
            more.append("nothing to authorize")
            return service
        question = service.questions.popleft()
        request = plain_token(question.payload)["nats"]
        self.keys.learn("callout", request["user_nkey"])
        self.keys.learn("NODE", request["server_id"]["id"])
        answer = step.instead
        if answer is None:
            nats = {
                "type": "authorization_response",
                "error": step.error,
                "issuer_account": step.issuer_account,
            }
            if step.user is not None:
                nats["jwt"] = self.keys.token(step.user)
            nats = {name: value for name, value in nats.items() if value}
            answer = self.keys.token(
                Token(signer=step.signer, sub=step.sub, nats=nats, members={"aud": step.aud})
            )
        service.write(self._publication(question.reply, answer, "", None))
        await service.barrier()
        await asyncio.gather(*(link.barrier() for link in asking))
        return service

    def _questions(self) -> bool:
        return any(link.questions for link in self.links.values())

    async def _until(self, seen: Callable[[], bool], seconds: float) -> None:
        """Until something has come, but not longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not seen():
                    self.stirred.clear()
                    await self.stirred.wait()

    async def _ask(self, step: Ask, more: list[str]) -> None:
        subject = self.keys.text(step.subject)
        if not step.client:
            more.append(self.canon.answer(await self.host.system.request(subject, self.keys.text(step.body))))
            return
        link = self.links.get(step.client)
        if link is None or not link.open:
            return
        body = self.keys.text(step.body).encode()
        text = f"SUB {_INBOX} ask\r\nPUB {subject} {_INBOX} {len(body)}\r\n"
        link.write(text.encode() + body + b"\r\n")
        await link.barrier()
        await self._until(lambda: not link.open or any(map(_answers, link.items)), _ANSWERED)
        await link.barrier()
        link.write(b"UNSUB ask\r\n")

    async def _kick(self, client: str) -> None:
        link = self.links.get(client)
        if link is None or not link.open:
            return
        body = json.dumps({"cid": link.cid})
        await self.host.system.request(f"$SYS.REQ.SERVER.{self.host.server_id}.KICK", body)
        await link.until_closed(_AFTER_WORDS)

    async def _hangups(self, step: Step) -> None:
        """Let those be closed that were told so."""
        if self.tight and not isinstance(step, Send):
            await asyncio.sleep(_LATER)
        waits = []
        for link in self.links.values():
            words = [item.text for item in link.items if isinstance(item, Word)]
            if any(closing in word for word in words for closing in _CLOSING):
                waits.append(link.until_closed(_AFTER_WORDS))
            elif link.refused_subscriptions and not isinstance(step, Send):
                waits.append(link.until_closed(_PERHAPS))
            link.refused_subscriptions = False
        await asyncio.gather(*waits)

    async def _events(self) -> Section:
        """What the system account was told of all connections, once they are gone."""
        everyone = [*self.past, *self.links.items()]
        system = self.host.system
        # Events and this answer leave the server in one line.
        await system.request("$SYS.REQ.SERVER.PING.IDZ", "")
        await asyncio.gather(*(link.barrier() for link in self.links.values()))
        came: dict[str, tuple[Link, list[Item]]] = {
            client: (link, link.take()) for client, link in self.links.items()
        }
        await asyncio.gather(*(link.close() for link in self.links.values()))
        await system.until_gone({link.cid for _, link in everyone if link.asked}, _GOODBYE)
        await system.request("$SYS.REQ.SERVER.PING.IDZ", "")
        lines = [
            f"{client}: {self.canon.event(kind, event)}"
            for client, link in everyone
            for kind, event in system.events.pop(link.cid, [])
        ]
        last = self.canon.section("last", came)
        return Section("events", (*last.lines, *sorted(lines), *sorted(self.canon.heard)))


def _proof(keys: Keys, user: str, how: Signature, nonce: str) -> str | None:
    """The signature of the nonce, or what stands in its place."""
    if how == "none":
        return None
    if how == "garbage":
        return "%%%"
    seed = keys.seed("other" if how == "other-key" else user)
    signature = seed.sign((nonce[::-1] if how == "other-nonce" else nonce).encode())
    if how == "short":
        signature = signature[:-1]
    if how == "standard":
        return base64.b64encode(signature).decode()
    text = base64.urlsafe_b64encode(signature).decode()
    if how == "padded":
        # With neither of the letters that tell the alphabets apart this would be standard base64.
        return text if "-" in text or "_" in text else f"-{text[1:]}"
    return text.rstrip("=")


def _answers(item: Item) -> bool:
    """Whether this is what a request was waiting for."""
    return item.subject == _INBOX if isinstance(item, Msg) else isinstance(item, Word) and "-ERR" in item.text


def _title(step: Step) -> str:
    told = msgspec.to_builtins(step)
    if isinstance(step, Connect):
        told["options"] = {name: value for name, value in step.options.items() if OPTIONS.get(name) != value}
        missing = [name for name in OPTIONS if name not in step.options]
        if missing:
            told["without"] = missing
    told = {name: value for name, value in told.items() if value}
    return f"{told.pop('type')} {json.dumps(told)[:600]}"
