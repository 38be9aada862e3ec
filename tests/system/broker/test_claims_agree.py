"""Account tokens pushed, looked up, listed and deleted: both servers answer every question alike."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from issuer.claims.exchange import GenericClaims
from issuer.delivery.fleet import deletion_request
from issuer.delivery.system_account import Reply
from issuer.keys.nkeys import PublicKey, Role
from issuer.tokens.envelope import Token, encode
from tests.issuer.delivery.town import Town, real_clock, signer
from tests.servers import NatsServer
from tests.system.broker.pair import Asker, asker, starter

Start = Callable[..., NatsServer]
Said = Mapping[str, Any] | str | None
BOTH: Final = ("real", "ours")
UPDATE: Final = "$SYS.REQ.CLAIMS.UPDATE"
DELETE: Final = "$SYS.REQ.CLAIMS.DELETE"
KINDS: Final = ("full", "cache", "memory")


@pytest.fixture
def town(sqlite_url: str) -> Iterator[Town]:
    made = Town(sqlite_url)
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starter(tmp_path) as started:
        yield started


def said(reply: Reply | None) -> Said:
    """What a server says, without which server says it; None for silence."""
    if reply is None:
        return None
    try:
        answer = json.loads(reply.payload)
    except ValueError:
        return reply.payload.decode()
    return {name: value for name, value in answer.items() if name != "server"}


async def answers(ask: Asker, questions: Mapping[str, tuple[str, bytes]]) -> dict[str, Said]:
    return {name: said(await ask(subject, body)) for name, (subject, body) in questions.items()}


def compare(
    start: Start, town: Town, config: str, questions: Mapping[str, tuple[str, bytes]]
) -> dict[str, Said]:
    """Ask both the same, in the same order; what they said, once it is the same."""
    found: dict[str, dict[str, Said]] = {}
    for which in BOTH:
        server = start(which, config)

        async def talk(url: str = server.url) -> dict[str, Said]:
            async with asker(url, town.user("SYS")) as ask:
                return await answers(ask, questions)

        found[which] = asyncio.run(talk())
    real, ours = found["real"], found["ours"]
    differing = {name: (real[name], ours[name]) for name in questions if real[name] != ours[name]}
    assert not differing
    return ours


def pushes(town: Town) -> dict[str, tuple[str, bytes]]:
    """Every way to push: by what is pushed, and on which subject."""
    fresh = town.add("Fresh")
    foreign = town.change("Fresh", by=signer(Role.OPERATOR), description="mine now")
    loaded = town.change("SYS", description="as before")
    user, _ = town.user("Fresh")
    bodies = {
        "fresh": ("Fresh", fresh.encode()),
        "foreign": ("Fresh", foreign.encode()),
        "loaded": ("SYS", loaded.encode()),
        "another account's": ("SYS", fresh.encode()),
        "a user's": ("Fresh", user.encode()),
        "garbage": ("Fresh", b"garbage"),
        "nothing": ("Fresh", b""),
        "three empty chunks": ("Fresh", b".."),
    }
    found: dict[str, tuple[str, bytes]] = {}
    for name, (account, body) in bodies.items():
        public = town.public(account)
        found[f"{name}, to all"] = (UPDATE, body)
        found[f"{name}, to one"] = (f"$SYS.REQ.ACCOUNT.{public}.CLAIMS.UPDATE", body)
        found[f"{name}, the old way"] = (f"$SYS.ACCOUNT.{public}.CLAIMS.UPDATE", body)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_pushes_are_answered_alike(kind: str, town: Town, start: Start) -> None:
    found = compare(start, town, town.config(kind), pushes(town))
    assert found["loaded, to one"] is not None
    if kind == "memory":
        assert found["fresh, to all"] is None
        assert found["nothing, to one"] is not None


@pytest.mark.parametrize("kind", KINDS)
def test_look_ups_and_lists_are_answered_alike(kind: str, town: Town, start: Start) -> None:
    kept = town.add("Kept")
    stranger = signer(Role.ACCOUNT).public
    questions = {
        "push": (UPDATE, kept.encode()),
        "list": ("$SYS.REQ.CLAIMS.LIST", b""),
        "kept": (f"$SYS.REQ.ACCOUNT.{town.public('Kept')}.CLAIMS.LOOKUP", b""),
        "unknown": (f"$SYS.REQ.ACCOUNT.{stranger}.CLAIMS.LOOKUP", b""),
        "no key": ("$SYS.REQ.ACCOUNT.AX.CLAIMS.LOOKUP", b""),
    }
    found: dict[str, Any] = {}
    for which in BOTH:
        server = start(which, town.config(kind))

        async def talk(url: str = server.url) -> dict[str, Said]:
            async with asker(url, town.user("SYS")) as ask:
                return await answers(ask, questions)

        found[which] = asyncio.run(talk())
        if found[which]["list"] is not None:  # in no order
            found[which]["list"]["data"].sort()
    assert found["ours"] == found["real"]


def test_what_a_store_holds_has_one_hash(town: Town, start: Start) -> None:
    tokens: dict[str, Token] = {}
    for name in ("One", "Two", "Three"):
        token = town.add(name)
        tokens[town.public(name)] = token
    tokens[town.public("SYS")] = Token(town.head("SYS"))
    folded = bytes(32)
    for token in tokens.values():
        folded = bytes(a ^ b for a, b in zip(folded, hashlib.sha256(token.encode()).digest(), strict=True))
    for which in BOTH:
        server = start(which, town.config())

        async def talk(url: str = server.url) -> tuple[set[bytes], Reply | None]:
            async with asker(url, town.user("SYS")) as ask:
                for token in tokens.values():
                    await ask(UPDATE, token.encode())
                everything = await ask.all("$SYS.REQ.CLAIMS.PACK", b"\0" * 32)
                return {reply.payload for reply in everything}, await ask("$SYS.REQ.CLAIMS.PACK", folded)

        everything, same = asyncio.run(talk())
        assert everything == {f"{public}|{token}".encode() for public, token in tokens.items()} | {b""}
        assert same is not None
        assert same.payload == b""


def deletions(town: Town) -> dict[str, tuple[str, bytes]]:
    doomed = signer(Role.ACCOUNT).public
    now = real_clock()

    def request(accounts: object, signed_by: Any = town.operator, about: str = "") -> bytes:
        body = {"accounts": accounts, "type": GenericClaims.kind}
        claims = GenericClaims(sub=PublicKey(about or signed_by.public), nats=body)
        return encode(claims, signed_by, now=now).token.encode()

    return {
        "one": (DELETE, deletion_request([doomed], town.operator, now=now).encode()),
        "none": (DELETE, request([])),
        "the system account": (DELETE, request([town.system.public])),
        "both": (DELETE, request([doomed, town.system.public])),
        "of a stranger": (DELETE, request([doomed], signer(Role.OPERATOR))),
        "about another": (DELETE, request([doomed], about=signer(Role.OPERATOR).public)),
        "no list": (DELETE, request("all")),
        "numbers": (DELETE, request([1])),
        "no key": (DELETE, request(["AX"])),
        "an account's token": (DELETE, town.head("SYS").encode()),
        "garbage": (DELETE, b"garbage"),
        "nothing": (DELETE, b""),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("allowed", [True, False])
def test_deletions_are_answered_alike(kind: str, allowed: bool, town: Town, start: Start) -> None:
    more: dict[str, Any] = {"allow_delete": allowed} if kind == "full" else {}
    compare(start, town, town.config(kind, **more), deletions(town))


@pytest.mark.parametrize("hard", [True, False])
def test_a_deleted_account_leaves_the_same_files(hard: bool, town: Town, start: Start) -> None:
    token = town.add("Doomed")
    public = town.public("Doomed")
    request = deletion_request([public], town.operator, now=real_clock())
    found: dict[str, set[str]] = {}
    for which in BOTH:
        server = start(which, town.config(allow_delete=True, hard_delete=hard))

        async def talk(url: str = server.url) -> None:
            async with asker(url, town.user("SYS")) as ask:
                await ask(UPDATE, token.encode())
                await ask(DELETE, request.encode())

        asyncio.run(talk())
        found[which] = {path.name for path in (server.directory / "jwt").iterdir()}
        assert all(path.stat().st_mode & 0o077 == 0 for path in (server.directory / "jwt").iterdir()) or (
            which == "real"
        )
    assert found["ours"] == found["real"]
    assert (f"{public}.jwt.deleted" in found["ours"]) is not hard


def test_a_full_store_takes_no_more(town: Town, start: Start) -> None:
    questions = {name: (UPDATE, town.add(name).encode()) for name in ("One", "Two", "Three")}
    questions |= {"One again": (UPDATE, town.change("One", description="later").encode())}
    compare(start, town, town.config(limit=3), questions)
