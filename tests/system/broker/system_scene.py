"""A small company on a server, and everything one can ask the server about it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from issuer.claims.account import Export, Import, WeightedMapping
from issuer.claims.fields import Permission, ResponsePermission
from issuer.claims.user import new_user
from issuer.keys.nkeys import Role
from issuer.subjects import Subject
from issuer.tokens.envelope import Token, encode
from issuer.tokens.signer import SeedSigner
from tests.issuer.delivery.town import Town, signer
from tests.servers import NatsServer

Body = Mapping[str, Any] | str | None
SILENCE: Final = "nobody answers"
NOBODY: Final = "nobody listens"
SECONDS: Final = 0.5
PATIENCE: Final = 10.0
_ME: Final = "$SYS.REQ.SERVER.{server}"
_ALL: Final = "$SYS.REQ.SERVER.PING"
_ACCOUNT: Final = "$SYS.REQ.ACCOUNT"

_PAGES: Final = [
    "IDZ",
    "STATSZ",
    "VARZ",
    "CONNZ",
    "SUBSZ",
    "ROUTEZ",
    "GATEWAYZ",
    "LEAFZ",
    "ACCOUNTZ",
    "JSZ",
    "HEALTHZ",
    "RAFTZ",
    "NONE",
]
_CONNZ: Final[dict[str, Mapping[str, Any]]] = {
    "auth": {"auth": True},
    "subscriptions": {"subscriptions": True},
    "details": {"subscriptions_detail": True, "auth": True},
    "account": {"acc": "{app}", "auth": True},
    "account without auth": {"acc": "{app}"},
    "unknown account": {"acc": "AX", "auth": True},
    "user": {"user": "{alice}", "auth": True, "acc": "{app}"},
    "user without auth": {"user": "{alice}"},
    "by cid": {"sort": "cid"},
    "by subs": {"sort": "subs"},
    "by uptime": {"sort": "uptime"},
    "by start": {"sort": "start"},
    "by msgs_from": {"sort": "msgs_from", "acc": "{app}"},
    "by stop": {"sort": "stop", "state": 1},
    "by reason": {"sort": "reason", "state": 1},
    "by stop, open": {"sort": "stop"},
    "by reason, open": {"sort": "reason"},
    "by reason, any": {"sort": "reason", "state": 2},
    "by nothing there is": {"sort": "age"},
    "page": {"limit": 1, "offset": 1},
    "no limit": {"limit": -1},
    "beyond": {"offset": 100},
    "before": {"offset": -1},
    "closed": {"state": 1, "auth": True, "subscriptions": True},
    "closed, details": {"state": 1, "subscriptions_detail": True},
    "any": {"state": 2, "auth": True},
    "any of an account": {"state": 2, "acc": "{app}", "auth": True},
    "of no state": {"state": 7},
    "unknown cid": {"cid": 99_999},
    "filter": {"filter_subject": "x.1", "acc": "{app}", "auth": True},
    "filter with wildcards": {"filter_subject": "x.>", "acc": "{app}"},
    "filter without account": {"filter_subject": "x.1"},
    "filter for all": {"filter_subject": ">"},
    "mqtt": {"mqtt_client": "m"},
    "in capitals": {"LIMIT": 1},
    "null": {"limit": None},
    "unknown option": {"colour": "red"},
}
_SUBSZ: Final[dict[str, Mapping[str, Any]]] = {
    "list": {"subscriptions": True, "account": "{app}"},
    "unknown account": {"account": "AX", "subscriptions": True},
    "account, counts": {"account": "{app}"},
    "test": {"test": "x.1", "subscriptions": True},
    "test, counts": {"test": "x.1"},
    "test with wildcards": {"test": "x.*"},
    "page": {"subscriptions": True, "limit": 1, "offset": 1, "account": "{app}"},
}
_UNREADABLE: Final[dict[str, str]] = {
    "no JSON": "{nope",
    "half of it": '{"cid":',
    "no object": '"x"',
    "a list": "[1]",
    "blank": "  ",
    "text for a number": '{"cid": "1"}',
    "below nothing": '{"cid": -1}',
    "text for a flag": '{"auth": "yes"}',
    "number for text": '{"sort": 1}',
    "text for a state": '{"state": "open"}',
}
PATHS: Final = (
    "/varz", "/connz", "/connz?subs=1", "/connz?subs=detail&auth=1", "/connz?auth=true", "/connz?auth=",
    "/connz?auth=x", "/connz?state=closed&auth=1", "/connz?state=any&auth=1", "/connz?state=ALL",
    "/connz?state=bad", "/connz?sort=bad", "/connz?sort=stop", "/connz?limit=1&offset=1", "/connz?limit=x",
    "/connz?cid=x", "/connz?cid=-1", "/connz?cid=99999", "/connz?acc={app}&auth=1", "/connz?user={alice}",
    "/connz?acc=AX", "/routez", "/gatewayz", "/leafz", "/subsz", "/subscriptionsz", "/subsz?subs=1&acc={app}",
    "/subsz?test=x.*", "/accountz", "/accountz?acc={gone}", "/accstatz", "/accstatz?unused=1", "/accstatz?unused=x",
    "/jsz", "/healthz", "/healthz?js-server-only=true", "/none", "/VARZ", "/idz",
)  # fmt: skip


def questions() -> dict[str, tuple[str, Body]]:
    """By name: a subject and what is asked; braces hold names of the scene."""
    found: dict[str, tuple[str, Body]] = {"PING": (_ALL, None)}
    for page in _PAGES:
        found[f"{page} of all"] = (f"{_ALL}.{page}", None)
        found[f"{page} of one"] = (f"{_ME}.{page}", None)
    found |= {f"CONNZ {name}": (f"{_ME}.CONNZ", asked) for name, asked in _CONNZ.items()}
    found |= {f"SUBSZ {name}": (f"{_ME}.SUBSZ", asked) for name, asked in _SUBSZ.items()}
    found |= {f"CONNZ {name}": (f"{_ME}.CONNZ", asked) for name, asked in _UNREADABLE.items()}
    found |= {
        "PING of a part of the name": (_ALL, {"server_name": "serv"}),
        "PING of another": (_ALL, {"server_name": "another"}),
        "PING of a part, exactly": (_ALL, {"server_name": "serv", "exact_match": True}),
        "PING of the name, exactly": (_ALL, {"server_name": "server-one", "exact_match": True}),
        "PING of a cluster": (_ALL, {"cluster": "east"}),
        "PING of a domain": (_ALL, {"domain": "hub"}),
        "PING with tags": (_ALL, {"tags": ["red"]}),
        "PING unreadable": (_ALL, "{nope"),
        "VARZ with tags": (f"{_ALL}.VARZ", {"tags": ["red"]}),
        "ACCOUNTZ of an unknown": (f"{_ME}.ACCOUNTZ", {"account": "AX"}),
        "HEALTHZ of JetStream": (f"{_ME}.HEALTHZ", {"js-enabled-only": True}),
        "STATZ of one": (f"{_ACCOUNT}.PING.STATZ", {"accounts": ["{app}"]}),
        "STATZ of an unknown": (f"{_ACCOUNT}.PING.STATZ", {"accounts": ["AX"]}),
        "STATZ with unused": (f"{_ACCOUNT}.PING.STATZ", {"include_unused": True}),
        "STATZ of an unused": (f"{_ACCOUNT}.PING.STATZ", {"accounts": ["$G"]}),
        "STATZ of all": (f"{_ACCOUNT}.PING.STATZ", None),
        "CONNZ of PING": (f"{_ACCOUNT}.PING.CONNZ", None),
        "KICK nobody": (f"{_ME}.KICK", {"cid": 99_999}),
        "KICK without a body": (f"{_ME}.KICK", None),
        "KICK unreadable": (f"{_ME}.KICK", "{"),
        "LDM nobody": (f"{_ME}.LDM", {"cid": 99_999}),
        "LDM without a body": (f"{_ME}.LDM", None),
        "LDM of no number": (f"{_ME}.LDM", {"cid": "x"}),
        "USER.INFO": ("$SYS.REQ.USER.INFO", None),
    }
    for name in ("app", "peer", "system", "nobody", "global"):
        for page in ("INFO", "CONNZ", "SUBSZ", "LEAFZ", "JSZ", "CONNS", "STATZ", "NONE"):
            found[f"{page} of account {name}"] = (f"{_ACCOUNT}.{{{name}}}.{page}", None)
    found["CONNZ of account app, with details"] = (
        f"{_ACCOUNT}.{{app}}.CONNZ",
        {"auth": True, "subscriptions_detail": True},
    )
    return found


def guest_questions() -> dict[str, tuple[str, Body]]:
    """What a user of any account may ask, and what he may not."""
    return {
        "USER.INFO": ("$SYS.REQ.USER.INFO", None),
        "USER.INFO, unreadable": ("$SYS.REQ.USER.INFO", "{nope"),
        "CONNZ": (f"{_ACCOUNT}.PING.CONNZ", None),
        "CONNZ of servers": (f"{_ALL}.CONNZ", None),
        "CONNZ with auth": (f"{_ACCOUNT}.PING.CONNZ", {"auth": True}),
        "CONNZ of another": (f"{_ACCOUNT}.PING.CONNZ", {"auth": True, "acc": "{peer}"}),
        "CONNZ of another's server": (f"{_ALL}.CONNZ", {"auth": True, "acc": "{peer}", "state": 2}),
        "STATZ": (f"{_ACCOUNT}.PING.STATZ", None),
        "STATZ of another": (f"{_ACCOUNT}.PING.STATZ", {"accounts": ["{peer}"]}),
        "PING": (_ALL, None),
        "VARZ": (f"{_ALL}.VARZ", None),
        "LIST": ("$SYS.REQ.CLAIMS.LIST", None),
        "INFO": (f"{_ACCOUNT}.{{app}}.INFO", None),
        "INFO of another": (f"{_ACCOUNT}.{{peer}}.INFO", None),
        "KICK": (f"{_ME}.KICK", {"cid": 1}),
        "SUBSZ": (f"{_ACCOUNT}.PING.SUBSZ", None),
    }


@dataclass(slots=True)
class Company:
    """Two accounts that share, and the users of them."""

    town: Town
    tokens: dict[str, Token] = field(default_factory=dict)
    users: dict[str, tuple[Token, SeedSigner]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        peer, app = signer(Role.ACCOUNT), signer(Role.ACCOUNT)
        self.tokens["peer"] = self.town.add(
            "PEER",
            peer,
            exports=(
                Export(name="ev", subject=Subject("ev.>"), type="stream"),
                Export(name="svc", subject=Subject("svc.*"), type="service", response_type="Singleton"),
            ),
        )
        self.tokens["app"] = self.town.add(
            "APP",
            app,
            imports=(
                Import(subject=Subject("ev.>"), account=peer.public, type="stream"),
                Import(subject=Subject("svc.a"), account=peer.public, type="service", share=True),
            ),
            mappings={"old.*": (WeightedMapping(subject=Subject("new.$1"), weight=100),)},
            revocations={signer(Role.USER).public: 1_700_000_000},
            tags=("team:a", "prod"),
        )
        some = Permission(allow=(Subject("$SYS.REQ.>"), Subject("x.*")), deny=(Subject("y"),))
        self.users = {
            "sys": self.town.user("SYS"),
            "alice": self._user("APP", "alice", tags=("team:x",)),
            "bob": self._user("APP", "bob", bearer_token=True),
            "carol": self._user("PEER", "carol"),
            "dave": self._user(
                "APP",
                "dave",
                pub=some,
                sub=Permission(allow=(Subject("_INBOX.>"),)),
                resp=ResponsePermission(max=3, ttl=5_000_000_000),
            ),
        }

    def names(self, server_id: str) -> dict[str, str]:
        """What stands for the names in braces."""
        return {
            "{server}": server_id,
            "{app}": self.town.public("APP"),
            "{peer}": self.town.public("PEER"),
            "{system}": self.town.system.public,
            "{nobody}": "AX",
            "{gone}": "AX",
            "{global}": "$G",
            "{alice}": self.users["alice"][1].public,
        }

    def _user(self, account: str, name: str, **body: Any) -> tuple[Token, SeedSigner]:
        who = signer(Role.USER)
        claims = new_user(who.public, name)
        claims = msgspec.structs.replace(claims, nats=msgspec.structs.replace(claims.nats, **body))
        return encode(claims, self.town.signers[account], now=int(time.time()) - 2).token, who


@asynccontextmanager
async def connected(server: NatsServer, who: tuple[Token, SeedSigner], name: str) -> AsyncIterator[Client]:
    token, key = who

    async def ignored(_: Exception) -> None: ...

    client = Client()
    try:
        await client.connect(
            server.url,
            user_jwt_cb=lambda: bytearray(token.encode()),
            signature_cb=lambda nonce: base64.b64encode(key.sign(nonce.encode())),
            name=name,
            allow_reconnect=False,
            error_cb=ignored,
            connect_timeout=5,
        )
        yield client
    finally:
        with suppress(nats.errors.Error):
            await client.close()


async def ask(client: Client, subject: str, body: Body, names: Mapping[str, str]) -> Any:
    text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
    for name, value in names.items():
        subject, text = subject.replace(name, value), text.replace(name, value)
    try:
        answer = await client.request(subject, text.encode(), timeout=SECONDS)
    except nats.errors.NoRespondersError:
        return NOBODY
    except nats.errors.TimeoutError:
        return SILENCE
    return json.loads(answer.data)


def fetch(server: NatsServer, path: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Status, kind and document of a page of monitoring."""
    for name, value in names.items():
        path = path.replace(name, value)
    try:
        with urllib.request.urlopen(f"{server.monitor_url}{path}", timeout=10) as page:
            return {
                "status": page.status,
                "type": page.headers["Content-Type"],
                "document": json.loads(page.read()),
            }
    except urllib.error.HTTPError as error:
        with error:
            return {
                "status": error.code,
                "type": error.headers["Content-Type"],
                "words": error.read().decode(),
            }


async def play(server: NatsServer, company: Company) -> dict[str, Any]:
    """Every answer of one server, by what was asked; and its events."""
    found: dict[str, Any] = {}
    events: dict[str, Any] = {}
    gone = asyncio.Event()
    users = company.users
    async with (
        connected(server, users["sys"], "sys") as system,
        connected(server, users["sys"], "listener") as listener,
    ):
        server_id = str(system._server_info["server_id"])
        names = company.names(server_id)

        async def note(message: Msg) -> None:
            event = json.loads(message.data)
            subject = message.subject
            for name, value in names.items():
                if value != "AX":
                    subject = subject.replace(value, name)
            who = event.get("client", {}).get("name", "")
            events[f"{subject} {who}".strip()] = event
            if everybody_gone(events):
                gone.set()

        for subject in ("$SYS.ACCOUNT.>", "$SYS.SERVER.>"):
            await listener.subscribe(subject, cb=note)
        await listener.flush()
        for token in company.tokens.values():
            await system.request("$SYS.REQ.CLAIMS.UPDATE", token.encode(), timeout=5)
        await _work(server, company, system, names, found)
        with suppress(TimeoutError):  # what was not told in this time is missing then
            async with asyncio.timeout(PATIENCE):
                await gone.wait()
    found |= {f"event {name}": event for name, event in events.items() if "STATSZ" not in name}
    return found


def everybody_gone(events: Mapping[str, Any]) -> bool:
    """Whether it has been told of every account that nobody is there any more."""
    told = [
        events.get(subject, {}).get("conns")
        for name in ("app", "peer")
        for subject in (f"$SYS.ACCOUNT.{{{name}}}.SERVER.CONNS", f"$SYS.SERVER.ACCOUNT.{{{name}}}.CONNS")
    ]
    left = {subject.split(" ")[-1] for subject in events if ".DISCONNECT " in subject}
    return told == [0] * 4 and left >= {"early", "wrong", "alice", "bob", "carol", "dave"}


async def _work(
    server: NatsServer, company: Company, system: Client, names: Mapping[str, str], found: dict[str, Any]
) -> None:
    users = company.users
    # One that has been, and one that was not let in.
    async with connected(server, users["alice"], "early") as early:
        await early.subscribe("gone.*")
        await early.flush()
    # To be gone before the next one is: asking whether it is would be counted.
    await asyncio.sleep(0.5)
    with suppress(nats.errors.Error):
        async with connected(server, (users["alice"][0], users["bob"][1]), "wrong"):
            pass
    async with (
        connected(server, users["alice"], "alice") as alice,
        connected(server, users["bob"], "bob") as bob,
        connected(server, users["carol"], "carol") as carol,
        connected(server, users["dave"], "dave") as dave,
    ):

        async def serve(message: Msg) -> None:
            await message.respond(b'"done"')

        # Everybody has another number of subscriptions, so that they can be put in order by it.
        for subject in ("svc.*", "one", "two"):
            await carol.subscribe(subject, cb=serve)
        for number in range(6):
            await bob.subscribe(f"bob.{number}")
        await carol.flush()
        await bob.flush()
        for subject in ("x.*", "ev.>"):
            await alice.subscribe(subject)
        await alice.subscribe("jobs", queue="workers")
        limited = await alice.subscribe("few")
        await limited.unsubscribe(5)
        # And of those in one account each another number of messages: alice sends more than one, dave none.
        await bob.publish("unheard", b"-")
        await bob.flush()
        await alice.publish("x.1", b"-")
        # Right after its accounts were loaded, the real server may not see who serves yet.
        while await ask(alice, "svc.a", None, names) != "done":  # noqa: ASYNC110  asking is the only way
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        for name, (subject, body) in questions().items():
            found[name] = await ask(system, subject, body, names)
        for name, (subject, body) in guest_questions().items():
            found[f"guest: {name}"] = await ask(alice, subject, body, names)
        found["dave: USER.INFO"] = await ask(dave, "$SYS.REQ.USER.INFO", None, names)
        for path in PATHS:
            found[f"GET {path}"] = await asyncio.to_thread(fetch, server, path, names)
        found["LDM"] = await ask(system, f"{_ME}.LDM", {"cid": alice.client_id}, names)
        found["KICK"] = await ask(system, f"{_ME}.KICK", {"cid": dave.client_id}, names)
