"""Requests to the broker: pings, pages of monitoring, and what an operator may do to a connection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from broker.account import Account
from broker.client import Client
from broker.core import Core
from broker.protocol.texts import Closed
from broker.routing import Message
from broker.services.asked import AskedWrongError, read_options
from broker.services.describe import raw_user
from broker.services.envelope import Envelope, encoded
from broker.services.events import account_statz
from broker.services.monitoring import PAGES, account_info, connz, idz, statsz, subsz

log = logging.getLogger("accredit.broker")

PING: Final = "$SYS.REQ.SERVER.PING"
_FILTERS: Final = ("server_name", "host", "cluster", "domain")
# What the system account may ask of it, and monitoring over HTTP does not show.
_ONLY_ASKED: Final = ("IPQUEUESZ", "RAFTZ")


class Requests:
    """Answers what the system account asks, and the little that any account may."""

    def __init__(
        self,
        core: Core,
        envelope: Envelope,
        *,
        on_reload: Callable[[], str | None],
        on_lame_duck: Callable[[Client], None],
        tell_connections: Callable[[str, Account], None],
    ) -> None:
        self._core = core
        self._envelope = envelope
        self._on_reload = on_reload
        self._on_lame_duck = on_lame_duck
        self._tell_connections = tell_connections

    def listen(self, system: Account) -> None:
        """Begin to answer in the system account."""
        core = self._core
        mine = f"$SYS.REQ.SERVER.{core.identity.id}"
        core.subscribe(system, PING, self._careful(self._ping))
        for name, page in PAGES.items():
            answer = self._careful(partial(self._page, page))
            core.subscribe(system, f"{PING}.{name}", answer)
            core.subscribe(system, f"{mine}.{name}", answer)
        for name in _ONLY_ASKED:
            core.subscribe(system, f"{PING}.{name}", self._careful(self._empty))
            core.subscribe(system, f"{mine}.{name}", self._careful(self._empty))
        for name, action in {"STATSZ": self._ping, "IDZ": self._identity, "RELOAD": self._reload}.items():
            core.subscribe(system, f"{mine}.{name}", self._careful(action))
        for name, action in {"KICK": self._kick, "LDM": self._lame_duck}.items():
            # Without a body that says whom, a server is silent.
            core.subscribe(system, f"{mine}.{name}", self._careful(action, silent=True, empty=False))
        core.subscribe(system, f"{PING}.IDZ", self._careful(self._identity))
        core.subscribe(system, f"{PING}.STATSZ", self._careful(self._ping))
        for name, inner in {
            "INFO": self._account_info,
            "CONNZ": self._account_connz,
            "SUBSZ": self._account_subsz,
            "LEAFZ": self._account_leafz,
            "JSZ": self._account_jsz,
            "STATZ": self._account_statz,
        }.items():
            core.subscribe(system, f"$SYS.REQ.ACCOUNT.*.{name}", self._careful(inner))
        conns = self._careful(self._account_conns, silent=True)
        core.subscribe(system, "$SYS.REQ.ACCOUNT.*.CONNS", conns)

    def listen_in(self, account: Account) -> None:
        """What every account may ask of itself (spec §7, normal account user)."""
        core = self._core
        if core.trust is None and not account.system:
            return
        core.subscribe(account, "$SYS.REQ.USER.INFO", self._user_info)
        core.subscribe(account, "$SYS.REQ.ACCOUNT.PING.STATZ", self._careful(self._own_statz))
        if not account.system:
            # In the system account the first is a question about an account named PING.
            for subject in ("$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"):
                core.subscribe(account, subject, self._careful(self._own_connz))

    def _careful(
        self,
        action: Callable[[Message, Mapping[str, Any]], None],
        *,
        silent: bool = False,
        empty: bool = True,
    ) -> Callable[[Message], None]:
        """Read what is asked; what cannot be read is answered, or not, and never reaches who published."""

        def handler(message: Message) -> None:
            try:
                asked = read_options(message.payload, empty=empty)
            except AskedWrongError as error:
                if not silent:
                    self._envelope.fail(message, error.message, code=400)
                return
            try:
                action(message, asked)
            except AskedWrongError as error:
                self._envelope.fail(message, error.message, data=None)

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
            self._core.publish(message.account, message.reply, encoded(idz(self._core, {})))

    def _page(self, page: Callable[..., Any], message: Message, asked: Mapping[str, Any]) -> None:
        if self._fits(asked):
            self._envelope.answer(message, data=page(self._core, asked))

    def _kick(self, message: Message, asked: Mapping[str, Any]) -> None:
        client = self._core.clients.get(asked.get("cid", 0))
        if client is None:
            self._envelope.fail(message, "no such client or leafnode id")
            return
        self._core.close(client, Closed.KICKED)
        self._envelope.answer(message)

    def _lame_duck(self, message: Message, asked: Mapping[str, Any]) -> None:
        client = self._core.clients.get(asked.get("cid", 0))
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
            self._envelope.answer(message, data=account_info(account, self._core.now()))

    def _account_connz(self, message: Message, asked: Mapping[str, Any]) -> None:
        public = message.subject.split(".")[3]
        self._envelope.answer(message, data=connz(self._core, {**asked, "acc": public}))

    def _account_subsz(self, message: Message, asked: Mapping[str, Any]) -> None:
        public = message.subject.split(".")[3]
        page = subsz(self._core, {**asked, "account": public, "subscriptions": True})
        self._envelope.answer(message, data=page)

    def _account_leafz(self, message: Message, asked: Mapping[str, Any]) -> None:
        self._envelope.answer(message, data=PAGES["LEAFZ"](self._core, asked))

    def _account_jsz(self, message: Message, _: Mapping[str, Any]) -> None:
        self._envelope.fail(message, "jetstream not enabled", data=None)

    def _account_statz(self, message: Message, asked: Mapping[str, Any]) -> None:
        public = message.subject.split(".")[3]
        if public != "PING":
            self._statz(message, {**asked, "accounts": [public]})

    def _statz(self, message: Message, asked: Mapping[str, Any]) -> None:
        page = account_statz(self._core, asked)
        # An account nobody is in is no business of this server.
        if page["account_statz"] or asked.get("include_unused"):
            self._envelope.answer(message, data=page)

    def _account_conns(self, message: Message, _: Mapping[str, Any]) -> None:
        account = self._core.accounts.get(message.subject.split(".")[3])
        if account is not None and account.clients and message.reply:
            self._tell_connections(message.reply, account)

    def _empty(self, message: Message, asked: Mapping[str, Any]) -> None:
        if self._fits(asked):
            self._envelope.answer(message, data={})

    # --- about oneself -----------------------------------------------------------------------------

    def _own_connz(self, message: Message, asked: Mapping[str, Any]) -> None:
        self._envelope.answer(message, data=connz(self._core, {**asked, "acc": message.account.public}))

    def _own_statz(self, message: Message, asked: Mapping[str, Any]) -> None:
        if not message.account.system:
            asked = {**asked, "accounts": [message.account.public]}
        self._statz(message, asked)

    def _user_info(self, message: Message) -> None:
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
