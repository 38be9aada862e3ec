"""Requests to the broker: pings, pages of monitoring, and what an operator may do to a connection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from broker.account import Account
from broker.client import Client
from broker.core import Core
from broker.protocol.texts import Closed
from broker.routing import Message
from broker.services.describe import raw_user
from broker.services.envelope import Envelope, moment
from broker.services.monitoring import PAGES, account_info, connz, idz, statsz, subsz

log = logging.getLogger("accredit.broker")

PING: Final = "$SYS.REQ.SERVER.PING"
_FILTERS: Final = ("server_name", "host", "cluster", "domain")


class Requests:
    """Answers what the system account asks, and the little that any account may."""

    def __init__(
        self,
        core: Core,
        envelope: Envelope,
        *,
        on_reload: Callable[[], str | None],
        on_lame_duck: Callable[[Client], None],
    ) -> None:
        self._core = core
        self._envelope = envelope
        self._on_reload = on_reload
        self._on_lame_duck = on_lame_duck

    def listen(self, system: Account) -> None:
        """Begin to answer in the system account."""
        core = self._core
        mine = f"$SYS.REQ.SERVER.{core.identity.id}"
        core.subscribe(system, PING, self._careful(self._ping))
        for name, page in PAGES.items():
            answer = self._careful(partial(self._page, page))
            core.subscribe(system, f"{PING}.{name}", answer)
            core.subscribe(system, f"{mine}.{name}", answer)
        for name, action in {
            "STATSZ": self._ping,
            "IDZ": self._identity,
            "KICK": self._kick,
            "LDM": self._lame_duck,
            "RELOAD": self._reload,
        }.items():
            core.subscribe(system, f"{mine}.{name}", self._careful(action))
        core.subscribe(system, f"{PING}.IDZ", self._careful(self._identity))
        core.subscribe(system, f"{PING}.STATSZ", self._careful(self._ping))
        for name, inner in {
            "INFO": self._account_info,
            "CONNZ": self._account_connz,
            "SUBSZ": self._account_subsz,
            "LEAFZ": self._account_empty,
            "JSZ": self._account_empty,
            "CONNS": self._account_conns,
        }.items():
            core.subscribe(system, f"$SYS.REQ.ACCOUNT.*.{name}", self._careful(inner))

    def listen_in(self, account: Account) -> None:
        """What every account may ask of itself (spec §7, normal account user)."""
        core = self._core
        if core.trust is None and not account.system:
            return
        for subject, action in {
            "$SYS.REQ.USER.INFO": self._user_info,
            "$SYS.REQ.ACCOUNT.PING.CONNZ": self._own_connz,
            "$SYS.REQ.ACCOUNT.PING.STATZ": self._own_statz,
        }.items():
            core.subscribe(account, subject, self._careful(action))
        if not account.system:
            core.subscribe(account, "$SYS.REQ.SERVER.PING.CONNZ", self._careful(self._own_connz))

    def _careful(self, action: Callable[[Message, Mapping[str, Any]], None]) -> Callable[[Message], None]:
        """Read what is asked; whatever fails is answered, and never reaches who published."""

        def handler(message: Message) -> None:
            try:
                asked = msgspec.json.decode(message.payload) if message.payload.strip() else {}
            except msgspec.MsgspecError as error:
                self._envelope.fail(message, str(error))
                return
            try:
                action(message, asked if isinstance(asked, dict) else {})
            except (TypeError, ValueError) as error:
                self._envelope.fail(message, f"json: cannot unmarshal: {error}")

        return handler

    # --- about the server --------------------------------------------------------------------------

    def _fits(self, asked: Mapping[str, Any]) -> bool:
        identity = self._core.identity
        values = {"server_name": identity.name, "host": self._core.options.host, "cluster": "", "domain": ""}
        exact = bool(asked.get("exact_match"))
        for name in _FILTERS:
            wanted = asked.get(name)
            if wanted and not (wanted == values[name] if exact else str(wanted) in values[name]):
                return False
        tags = asked.get("tags") or []
        return all(tag in self._core.options.server_tags for tag in tags)

    def _ping(self, message: Message, asked: Mapping[str, Any]) -> None:
        if self._fits(asked):
            self._envelope.answer(message, statsz=statsz(self._core))

    def _identity(self, message: Message, asked: Mapping[str, Any]) -> None:
        if message.reply and self._fits(asked):
            self._core.publish(message.account, message.reply, msgspec.json.encode(idz(self._core, {})))

    def _page(self, page: Callable[..., Any], message: Message, asked: Mapping[str, Any]) -> None:
        if self._fits(asked):
            self._envelope.answer(message, data=page(self._core, asked))

    def _kick(self, message: Message, asked: Mapping[str, Any]) -> None:
        client = self._core.clients.get(int(asked.get("cid") or 0))
        if client is None:
            self._envelope.fail(message, "no such client or leafnode id")
            return
        self._core.close(client, Closed.KICKED)
        self._envelope.answer(message)

    def _lame_duck(self, message: Message, asked: Mapping[str, Any]) -> None:
        client = self._core.clients.get(int(asked.get("cid") or 0))
        if client is None:
            self._envelope.fail(message, "no such client id")
            return
        self._on_lame_duck(client)
        self._envelope.answer(message)

    def _reload(self, message: Message, _: Mapping[str, Any]) -> None:
        fault = self._on_reload()
        if fault is None:
            self._envelope.answer(message)
        else:
            self._envelope.fail(message, fault)

    # --- about accounts ----------------------------------------------------------------------------

    def _named(self, message: Message) -> Account | None:
        """The account in the subject; a word to who asked if there is none."""
        public = message.subject.split(".")[3]
        account = self._core.accounts.get(public)
        if account is None:
            self._envelope.fail(message, f"Account {public} does not exist", data=None)
        return account

    def _account_info(self, message: Message, _: Mapping[str, Any]) -> None:
        account = self._named(message)
        if account is not None:
            self._envelope.answer(message, data=account_info(account))

    def _account_connz(self, message: Message, asked: Mapping[str, Any]) -> None:
        public = message.subject.split(".")[3]
        self._envelope.answer(message, data=connz(self._core, {**asked, "acc": public}))

    def _account_subsz(self, message: Message, asked: Mapping[str, Any]) -> None:
        account = self._named(message)
        if account is not None:
            self._envelope.answer(message, data=subsz(self._core, asked, [account]))

    def _account_empty(self, message: Message, asked: Mapping[str, Any]) -> None:
        page = PAGES[message.subject.rpartition(".")[2]]
        self._envelope.answer(message, data=page(self._core, asked))

    def _account_conns(self, message: Message, _: Mapping[str, Any]) -> None:
        from broker.services.events import connections_of

        account = self._core.accounts.get(message.subject.split(".")[3])
        if account is not None:
            self._envelope.answer(message, **connections_of(account))

    # --- about oneself -----------------------------------------------------------------------------

    def _own_connz(self, message: Message, asked: Mapping[str, Any]) -> None:
        if not message.account.system:
            asked = {**asked, "acc": message.account.public, "auth": True}
        self._envelope.answer(message, data=connz(self._core, asked))

    def _own_statz(self, message: Message, asked: Mapping[str, Any]) -> None:
        from broker.services.events import connections_of

        accounts = [message.account]
        if message.account.system:
            wanted = asked.get("accounts") or [
                each.public for each in self._core.accounts.values() if each.clients
            ]
            accounts = [self._core.accounts[name] for name in wanted if name in self._core.accounts]
        core = self._core
        body = {
            "server_id": core.identity.id,
            "now": moment(core.now()),
            "account_statz": [connections_of(account) for account in accounts],
        }
        self._envelope.answer(message, data=body)

    def _user_info(self, message: Message, _: Mapping[str, Any]) -> None:
        client = message.client
        if client is None or client.account is None:
            return
        account = client.account
        found: dict[str, Any] = {
            "user": raw_user(client),
            "account": account.public,
            "account_name": client.name_tag or account.name,
        }
        shown = client.user if client.callout is None else client.callout.sentinel
        if shown is not None and shown.name:
            found["user_name"] = shown.name
        permissions = client.permissions
        if permissions is not None and not permissions.empty():
            found["permissions"] = _plain(permissions.plain())
        if client.expires_at is not None:
            found["expires"] = int(max(client.expires_at - self._core.now(), 0.0) * 1e9)
        self._envelope.answer(message, data=found)


def _plain(permissions: Any) -> dict[str, Any]:
    def side(lists: Any) -> dict[str, Any]:
        found = {"allow": list(lists.allow), "deny": list(lists.deny)}
        return {name: value for name, value in found.items() if value}

    said: dict[str, Any] = {"publish": side(permissions.pub), "subscribe": side(permissions.sub)}
    said = {name: value for name, value in said.items() if value}
    if permissions.resp is not None:
        said["responses"] = {"max": permissions.resp.max, "ttl": permissions.resp.ttl}
    return said
