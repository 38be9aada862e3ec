"""Who comes in: from CONNECT to an account, by claims, by configuration, or by a callout.

Decides nothing itself: `enforcement.admission` does, over claims and a clock. This is the order
in which it is asked, what is fetched in between, and what the client is told.
"""

from __future__ import annotations

import hmac
import logging
from binascii import b2a_base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from broker.account import Account
from broker.client import Client, Kind
from broker.configuration.model import ConfiguredUser, is_hashed
from broker.enforcement.admission import (
    Admission,
    Attempt,
    Identified,
    admit,
    identify,
    signature_holds,
)
from broker.enforcement.permissions import Permissions
from broker.enforcement.verdict import Gate
from broker.protocol import texts, writer
from broker.protocol.texts import Closed
from issuer.claims.fields import UNLIMITED as NO_LIMIT
from issuer.keys.nkeys import PublicKey

if TYPE_CHECKING:
    from broker.core import Core
    from broker.delegation import Declined, Delegation, Placed
    from broker.session import Session

_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")

log = logging.getLogger("accredit.broker")

NONCE_BYTES: Final = 11
MAX_PLACED: Final = 4096


class Entrance:
    """The door of one broker."""

    def __init__(self, core: Core, delegation: Delegation) -> None:
        self._core = core
        self._delegation = delegation
        self._fixed: dict[tuple[bool, Kind], bytes] = {}
        self._placed: dict[tuple[str, int], bytes] = {}
        self._port = 0

    @property
    def required(self) -> bool:
        """Whether a client must say who it is before anything else."""
        options = self._core.options
        return self._core.trust is not None or bool(options.users or options.username or options.token)

    @property
    def gives_nonce(self) -> bool:
        options = self._core.options
        return (
            self._core.trust is not None
            or bool(options.proxies.trusted)
            or any(user.nkey for user in options.users)
        )

    # --- INFO --------------------------------------------------------------------------------------

    def listens(self, port: int) -> None:
        """Where clients find us, as INFO says it."""
        self._port = port
        self._fixed.clear()
        self._placed.clear()

    def info(self, client: Client, *, tls: bool = False) -> bytes:
        """The first line a client gets."""
        fixed = self._fixed.get((tls, client.kind))
        if fixed is None:
            fixed = self._fixed[tls, client.kind] = writer.info(self.members(tls=tls))[:-4]
        nonce = b""
        if self.gives_nonce:
            raw = b2a_base64(self._core.randomness(NONCE_BYTES), newline=False)[:-1].translate(_URLSAFE)
            client.nonce = raw.decode()
            nonce = b',"nonce":"%b"' % raw
        return b'%b,"client_id":%d,"client_ip":"%b"%b} \r\n' % (
            fixed,
            client.cid,
            client.address.encode(),
            nonce,
        )

    def members(self, *, tls: bool = False) -> dict[str, Any]:
        options = self._core.options
        found: dict[str, Any] = {
            **self._core.identity.info(),
            "host": options.host,
            "port": self._port,
            "headers": True,
            "max_payload": options.max_payload,
            "api_lvl": 5,
            "xkey": self._core.identity.xkey,
        }
        if self.required:
            found["auth_required"] = True
        if tls:
            found["tls_required"] = True
            found["tls_available"] = True
            if options.tls is not None and options.tls.verify:
                found["tls_verify"] = True
        if self._core.lame_duck:
            found["ldm"] = True
        return found

    def connect_info(self, client: Client) -> bytes:
        """The second INFO, after the first PING: what holds for this connection."""
        account = client.account
        public = account.public if account is not None else ""
        payload = client.limits.payload
        fixed = self._placed.get((public, payload))
        if fixed is None:
            members = self.members()
            members["connect_info"] = True
            if payload != NO_LIMIT:
                members["max_payload"] = payload
            if account is not None:
                members["remote_account"] = public
                if account.system:
                    members["acc_is_sys"] = True
            if len(self._placed) >= MAX_PLACED:
                self._placed.clear()
            fixed = self._placed[public, payload] = writer.info(members)[:-4]
        return b'%b,"client_id":%d,"client_ip":"%b"} \r\n' % (fixed, client.cid, client.address.encode())

    # --- CONNECT -----------------------------------------------------------------------------------

    def decide(self, session: Session) -> None:
        """Let it in or turn it away, now or when an answer from elsewhere has come."""
        client = session.client
        if self._core.trust is None:
            self._by_configuration(session)
            return
        attempt = self.attempt(client)
        identified = identify(attempt, self._core.trust, now=self._core.now(), read=self._core.tokens.read)
        refusal = identified.refusal
        if refusal is not None:
            if refusal.gate is Gate.PINNED:
                self._core.pinned_account_fails += 1
            self._core.refuse(client, identified.closed, texts.AUTHORIZATION_VIOLATION, refusal.words)
            return
        public = identified.account
        account = self._core.account(public) if public is not None else None
        if account is not None and not account.expired:
            self._into(session, attempt, identified, account)
            return
        if public is None:
            self._core.refuse(
                client, identified.closed, texts.AUTHORIZATION_VIOLATION, "no account to look for"
            )
            return

        def loaded(found: Account | None) -> None:
            if client.closed is None:
                self._into(session, attempt, identified, found)

        self._core.account_or_load(public, loaded)

    def attempt(self, client: Client) -> Attempt:
        options = client.options
        return Attempt(
            token=options.jwt,
            signature=options.sig,
            nonce=client.nonce,
            user=options.user,
            password=options.password,
            auth_token=options.auth_token,
            nkey=options.nkey,
            name=options.name,
            lang=options.lang,
            version=options.version,
            protocol=options.protocol,
            account=options.account,
            new_account=options.new_account,
            proxy_signature=options.proxy_sig,
            address=client.address,
            connection_type=client.type,
        )

    def _into(
        self,
        session: Session,
        attempt: Attempt,
        identified: Identified,
        account: Account | None,
    ) -> None:
        core, client = self._core, session.client
        if core.trust is None:
            return
        facts = core.facts(account) if account is not None else None
        admission = admit(
            identified, attempt, core.trust, facts, now=core.now(), server_limits=core.server_limits()
        )
        if account is None or not admission.verdict.allowed:
            self._turn_away(client, account, admission)
            return
        if admission.delegated:
            self._delegate(session, attempt, account, admission)
            return
        client.token = identified.user.token if identified.user is not None else ""
        client.name_tag = account.claims.name if account.claims is not None else ""
        core.bind(client, account, admission)
        session.admitted()

    def _turn_away(self, client: Client, account: Account | None, admission: Admission) -> None:
        if account is not None and self._delegation.turned_away(client, account, admission):
            return
        if account is not None and admission.closed is Closed.MAX_ACCOUNT_CONNECTIONS:
            # It was known, and there was no room: the account hears that it went.
            client.account = account
            client.name_tag = account.claims.name if account.claims is not None else ""
        refusal = admission.verdict.refusal
        reason = refusal.words if refusal is not None else "refused"
        self._core.refuse(client, admission.closed, admission.text, reason)

    def _delegate(
        self,
        session: Session,
        attempt: Attempt,
        account: Account,
        admission: Admission,
    ) -> None:
        client = session.client

        def answered(answer: Placed | Declined) -> None:
            if client.closed is not None:
                return
            placed = self._delegation.place(client, answer)
            if placed is None:
                return
            session.admitted()

        self._delegation.ask(client, account, admission, attempt, answered)

    # --- without claims ----------------------------------------------------------------------------

    def without_connect(self, session: Session) -> bool:
        """Whether somebody may begin without CONNECT: only as the configured no_auth_user."""
        name = self._core.options.no_auth_user
        user = next((user for user in self._core.options.users if name and user.name == name), None)
        if user is None or self._core.trust is not None:
            return False
        self._bind_configured(session.client, user)
        return True

    def _by_configuration(self, session: Session) -> None:
        client, options = session.client, self._core.options
        if not self.required:
            self._core.bind(client, self._core.globals, None)
            client.limits = self._core.server_limits()
            session.admitted()
            return
        user = self._configured(client)
        if user is None:
            self._core.refuse(
                client,
                Closed.AUTHENTICATION_FAILURE,
                texts.AUTHORIZATION_VIOLATION,
                f"no user of the configuration fits {options.server_name or 'this server'}",
            )
            return
        self._bind_configured(client, user)
        session.admitted()

    def look_again(self) -> None:
        """After a reload: who is no longer in the configuration goes, the others get what it says now."""
        self.listens(self._port)
        if self._core.trust is not None:
            return
        for client in self._core.every_client():
            if not client.authenticated:
                continue
            user = self._configured(client) if self.required else None
            if user is None and self.required:
                self._core.close(client, Closed.AUTHENTICATION_FAILURE, texts.AUTHORIZATION_VIOLATION)
            elif user is not None and client.account is not None:
                self._bind_configured(client, user)
                client.account.trie.generation += 1

    def _configured(self, client: Client) -> ConfiguredUser | None:
        user = self._named(client)
        if user is None or not (user.proxy_required or self._core.options.proxy_required):
            return user
        return None  # no proxy vouches for connections here, so nobody comes by one

    def _named(self, client: Client) -> ConfiguredUser | None:
        said, options = client.options, self._core.options
        users: Mapping[str, ConfiguredUser] = {user.nkey or user.name: user for user in options.users}
        if said.nkey and said.nkey in users:
            user = users[said.nkey]
            return user if _signed(user, client) and _type_fits(user, client) else None
        if options.token:
            fits = _says(said.auth_token, options.token)
            return ConfiguredUser() if fits else None
        if options.username:
            same = hmac.compare_digest(options.username.encode(), said.user.encode())
            fits = _says(said.password, options.password)
            return ConfiguredUser(name=said.user) if same and fits else None
        if not said.user and options.no_auth_user:
            return users.get(options.no_auth_user)
        known = users.get(said.user) if said.user else None
        if known is None or known.nkey:
            return None
        fits = _says(said.password, known.password)
        return known if fits and _type_fits(known, client) else None

    def _bind_configured(self, client: Client, user: ConfiguredUser) -> None:
        account = self._core.account(user.account) or self._core.globals
        self._core.bind(client, account, None)
        client.limits = self._core.server_limits()
        client.username = user.name or user.nkey
        if user.permissions is not None:
            client.permissions = Permissions.of(user.permissions, source="server configuration")
            client.remembers_replies = client.permissions.response is not None


def _says(said: str, secret: str) -> bool:
    """Whether what was said is the secret. One kept as a hash is none that we could check: never so."""
    same = hmac.compare_digest(secret.encode(), said.encode())
    return same and not is_hashed(secret)


def _type_fits(user: ConfiguredUser, client: Client) -> bool:
    return not user.connection_types or client.type in user.connection_types


def _signed(user: ConfiguredUser, client: Client) -> bool:
    return signature_holds(PublicKey(user.nkey), client.nonce, client.options.sig)


__all__ = ["Entrance"]
