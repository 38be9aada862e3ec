"""Asking an account's callout who comes in, and putting the answer in force (enforcement spec §6).

While the answer is awaited the connection counts as one of the callout's account, as on the
server: what happens to that account, or to the token it came with, happens to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from broker.account import Account
from broker.client import Client, Kind
from broker.configuration.options import Options
from broker.enforcement import live, placement
from broker.enforcement.admission import CALLOUT_SUBJECT, Admission, Attempt
from broker.enforcement.limits import full
from broker.enforcement.placement import Answered, Denied, Placement, Question, earlier
from broker.enforcement.verdict import Gate, Verdict
from broker.identity import Identity
from broker.protocol import texts, writer
from broker.protocol.texts import Closed
from broker.routing import Message
from broker.session import AFTER_LIMIT
from broker.trie import Subscription
from issuer.claims.account import AccountClaims
from issuer.claims.exchange import (
    AuthorizationRequestBody,
    AuthorizationRequestClaims,
    ClientInfo,
    ClientTLS,
    ConnectOptions,
    ServerID,
)
from issuer.claims.quoting import quoted
from issuer.claims.user import UserClaims
from issuer.errors import PeerError
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.keys.xkeys import SealError, seal
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner

if TYPE_CHECKING:
    from broker.core import Core

log = logging.getLogger("accredit.broker")

AUDIENCE: Final = "nats-authorization-request"
XKEY_HEADER: Final = "Nats-Server-Xkey"
REDACTED: Final = "[REDACTED]"
GONE: Final = "Could not register auth callout user: connection closed"
_INBOX: Final = "$SYS._INBOX."
_INBOX_LETTERS: Final = 8
_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Placed:
    """A connection's place, and the token with which it came to the door."""

    account: Account
    admission: Admission
    sentinel: UserClaims


@dataclass(frozen=True, slots=True)
class Declined:
    """It does not come in: `reason` is for the log and the callout account's event, `text` for the client."""

    callout: Account
    reason: str
    closed: Closed = Closed.AUTHENTICATION_FAILURE
    text: str = texts.AUTHORIZATION_VIOLATION
    target: Account | None = None
    """The account it was in already when it was turned away."""
    sentinel: UserClaims | None = None


Then = Callable[[Placed | Declined], None]


class Delegation:
    """The callouts of all accounts."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._signer = SeedSigner(core.identity.seed)

    def ask(
        self, client: Client, account: Account, admission: Admission, attempt: Attempt, then: Then
    ) -> None:
        """Ask the callout of `account`; `then` is called once, later, if the client is still there."""
        core = self._core
        client.callout = None
        core.bind(client, account, admission)
        client.name_tag = account.claims.name if account.claims is not None else ""
        client.token = token = self._shown(admission, attempt)
        if full(len(client.subscriptions), admission.limits.subscriptions):
            # Its own limits bind it for this moment, and those of a subscription less token end it.
            core.router.tell(client, writer.error(texts.TOO_MANY_SUBSCRIPTIONS))
            core.later(AFTER_LIMIT, lambda: core.close(client, Closed.MAX_SUBSCRIPTIONS))
        body = request_body(client, attempt, token, core.identity, core.options)
        _Asking(core, client, account, admission, then).send(body, self._signer)

    def place(self, client: Client, answer: Placed | Declined) -> Placed | None:
        """Put an answer in force: bind the connection, or end it and return None."""
        core = self._core
        if isinstance(answer, Declined):
            if answer.target is None:
                core.refuse(client, answer.closed, answer.text, answer.reason, answer.callout)
            else:
                self._no_room(client, answer, answer.target)
            return None

        admission = answer.admission
        core.bind(client, answer.account, admission)
        client.callout = answer
        # The token it came with is no longer what it is in by.
        client.token = ""
        options = client.options
        if admission.issued.name:
            options = msgspec.structs.replace(options, user=admission.issued.name, nkey="", auth_token="")
        client.options = msgspec.structs.replace(options, jwt="")
        client.username = options.nkey or options.user or (REDACTED if options.auth_token else "")
        account = answer.account
        client.name_tag = account.claims.name if account.claims is not None else ""
        if admission.expires_at is not None and admission.expires_at <= core.now():
            # Over before it began: the client hears that in place of its first PONG.
            core.carry_out(live.user_expired(client))
            return None
        return answer

    def _no_room(self, client: Client, answer: Declined, target: Account) -> None:
        """End it as one of an account that is full; its callout's account hears of it all the same."""
        core = self._core
        core.bind(client, target, None)
        client.name_tag = target.claims.name if target.claims is not None else ""
        # What it came with is forgotten, and what it was to become never was.
        client.callout, client.token, client.username = answer, "", ""
        client.options = msgspec.structs.replace(client.options, jwt="")
        log.error("%r - %s", client, answer.reason)
        _tell(core, client, answer)
        core.close(client, answer.closed, answer.text)

    def turned_away(self, client: Client, account: Account, admission: Admission) -> bool:
        """Turn away whom the local checks refused, in the way of an account with a callout (spec §6.1).

        False if the account has none or the refusal came before it mattered: then it is the caller's.
        """
        refusal = admission.verdict.refusal
        if refusal is None or not failure_matters(account.claims, admission.verdict):
            return False
        core = self._core
        log.debug("%r - %s", client, refusal.words)
        if self.waits_in_vain(account, admission):
            closed, text = admission.closed, admission.text

            def end() -> None:
                if client.closed is None:
                    core.refuse(client, closed, text, "", account)

            core.later(core.options.auth_timeout, end)
        else:
            core.refuse(client, admission.closed, admission.text, admission.closed.value, account)
        return True

    def waits_in_vain(self, account: Account, admission: Admission) -> bool:
        """Whether the server would now ask where nobody listens, and refuse when time is up."""
        return failure_delegates(account.claims, admission.verdict, admission.issued)

    def _shown(self, admission: Admission, attempt: Attempt) -> str:
        """The token it was admitted by: its own, the password of MQTT, or the default one."""
        core = self._core
        for text in (attempt.token, attempt.password):
            try:
                if text and core.tokens.read(text).claims == admission.issued:
                    return text
            except PeerError:
                continue
        return core.trust.default_sentinel if core.trust is not None else ""


def request_body(
    client: Client, attempt: Attempt, token: str, identity: Identity, options: Options
) -> AuthorizationRequestBody:
    """What a callout is told of a connection that came to the door with `token` (spec §6.2)."""
    issued = client.user or UserClaims()
    chains = client.tls.chains if client.tls is not None else ()
    tls = None
    if client.tls is not None:
        tls = ClientTLS(
            version=client.tls.version,
            cipher=client.tls.cipher,
            certs=() if chains else client.tls.certificates,
            verified_chains=chains,
        )
    return AuthorizationRequestBody(
        server_id=ServerID(
            name=identity.name,
            host=options.host,
            id=identity.id,
            version=identity.version,
            tags=options.server_tags,
        ),
        client_info=ClientInfo(
            host=client.address,
            id=client.cid,
            user=attempt.nkey or attempt.user or issued.sub,
            name=attempt.name,
            tags=issued.nats.tags,
            name_tag=issued.name,
            kind="Client",
            type=client.kind.value,
            mqtt_id=client.mqtt_id,
            nonce=attempt.nonce if attempt.signature else "",
        ),
        connect_opts=ConnectOptions(
            jwt=token,
            nkey=attempt.nkey,
            sig=attempt.signature,
            # A password of MQTT may as well be a token: the service gets it as both.
            auth_token=attempt.password if client.kind is Kind.MQTT else attempt.auth_token,
            user=attempt.user,
            password=attempt.password,
            name=attempt.name,
            lang=attempt.lang,
            version=attempt.version,
            protocol=attempt.protocol,
        ),
        client_tls=tls,
    )


class _Asking:
    """One question on its way."""

    __slots__ = ("_account", "_admission", "_client", "_core", "_question", "_reply", "_then", "_timer")

    def __init__(
        self, core: Core, client: Client, account: Account, admission: Admission, then: Then
    ) -> None:
        self._core = core
        self._client = client
        self._account = account
        self._admission = admission
        self._then: Then | None = then
        self._question: Question
        self._reply: Subscription | None = None
        self._timer: Any = None

    def send(self, body: AuthorizationRequestBody, signer: SeedSigner) -> None:
        core, account = self._core, self._account
        now = core.now()
        xkey = account.claims.nats.authorization.xkey if account.claims is not None else ""
        identity = core.identity
        self._question = question = Question(
            account.public,
            identity.id,
            Seed.generate(Role.USER).public,
            xkey,
            proxied=any(step.gate is Gate.PROXY and step.passed for step in self._admission.verdict.steps),
        )
        server = msgspec.structs.replace(body.server_id, xkey=identity.xkey if xkey else "")
        claims = AuthorizationRequestClaims(
            aud=AUDIENCE,
            sub=account.public,
            exp=int(now + core.options.auth_timeout),
            nats=msgspec.structs.replace(body, server_id=server, user_nkey=question.user),
        )
        payload = encode(claims, signer, now=int(now)).token.encode()
        headers = b""
        if xkey:
            try:
                payload = seal(payload, sender=identity.curve, recipient=PublicKey(xkey))
            except SealError as error:
                words = f"Error encrypting auth request claim on account {quoted(account.public)}"
                self._decide(Declined(account, f"{words}: {error.message}"))
                return
            headers = f"NATS/1.0\r\n{XKEY_HEADER}: {identity.xkey}\r\n\r\n".encode()

        reply = f"{_INBOX}{self._letters()}.{self._letters()}"
        self._reply = core.subscribe(account, reply, self._answered)
        self._timer = core.later(core.options.auth_timeout, self._time_is_up)
        core.publish(account, CALLOUT_SUBJECT, payload, reply=reply, headers=headers)

    def _letters(self) -> str:
        raw = self._core.randomness(_INBOX_LETTERS)
        return "".join(_LETTERS[byte % len(_LETTERS)] for byte in raw)

    def _answered(self, message: Message) -> None:
        self._listen_no_more()
        payload = message.payload
        # Not on the back of whoever answers: the newcomer's first lines may already wait.
        self._core.later(0.0, lambda: self._judge(payload))

    def _judge(self, payload: bytes) -> None:
        core, callout = self._core, self._account.claims
        if self._then is None or callout is None:
            return
        read = placement.read_answer(
            payload, self._question, callout, curve=core.identity.curve, now=core.now()
        )
        if isinstance(read, Denied):
            self._decide(self._declined(read))
        elif self._client.closed is not None:
            self._decide(Declined(self._account, GONE))
        elif read.account == self._account.public:
            self._into(read, self._account)
        else:
            core.account_or_load(read.account, lambda found: self._into(read, found))

    def _into(self, answered: Answered, target: Account | None) -> None:
        core = self._core
        if self._then is None:
            return
        facts = core.facts(target) if target is not None else None
        if facts is not None and target is self._account:
            # Its own place, which it has while it waits, does not count against it.
            facts = msgspec.structs.replace(facts, connections=facts.connections - 1)
        placed = placement.place(
            answered,
            self._question,
            facts,
            strict=target is not None and target.strict,
            server=core.server_limits(),
            now=core.now(),
        )
        if isinstance(placed, Denied):
            full_up = placed.gate is placement.Gate.ROOM
            self._decide(self._declined(placed, target if full_up else None))
        elif target is not None:
            self._decide(Placed(target, self._admitted(placed), self._admission.issued))

    def _declined(self, denied: Denied, target: Account | None = None) -> Declined:
        return Declined(self._account, denied.words, denied.closed, denied.text, target)

    def _admitted(self, placed: Placement) -> Admission:
        return Admission(
            verdict=self._admission.verdict,
            issued=placed.issued,
            user=placed.user,
            scope=placed.scope,
            permissions=placed.permissions,
            limits=placed.limits,
            # The time of the token with which it came is still measured.
            expires_at=earlier(placed.expires_at, self._admission.expires_at),
        )

    def _time_is_up(self) -> None:
        log.debug("Authorization callout response not received in time on account %s", self._account.public)
        self._decide(Declined(self._account, ""))

    def _decide(self, answer: Placed | Declined) -> None:
        then, self._then = self._then, None
        self._listen_no_more()
        if self._timer is not None:
            self._timer.cancel()
        client = self._client
        if then is None:
            return
        if client.closed is None:
            then(answer)
        elif isinstance(answer, Declined) and client.closed not in _LEFT:
            # We ended it while it waited: whoever answered learns what became of that.
            _tell(self._core, client, answer)

    def _listen_no_more(self) -> None:
        if self._reply is not None:
            self._core.unsubscribe_inner(self._account, self._reply)
            self._reply = None


def _tell(core: Core, client: Client, answer: Declined) -> None:
    """Tell observers of a refusal that is not why the connection ends."""
    client.refused_as = Closed.AUTHENTICATION_FAILURE
    for observer in core.observers:
        observer.refused(client, answer.callout, answer.reason)


_LEFT: Final = frozenset({Closed.CLIENT_CLOSED, Closed.READ_ERROR, Closed.WRITE_ERROR})


def failure_matters(account: AccountClaims | None, verdict: Verdict) -> bool:
    """Whether a refusal is one that the account's callout hears of: it came after the account was found."""
    refusal = verdict.refusal
    if account is None or refusal is None or not account.nats.authorization.auth_users:
        return False
    found = any(step.gate is Gate.ACCOUNT and step.passed for step in verdict.steps)
    return found and refusal.gate is not Gate.CONNECTIONS


def failure_delegates(account: AccountClaims | None, verdict: Verdict, user: UserClaims) -> bool:
    """Whether the server, having refused `user`, still asks: in $G, where nobody answers.

    Those who answer for the account are not asked about: they are refused at once (spec §6.1).
    """
    return (
        account is not None
        and failure_matters(account, verdict)
        and user.sub not in account.nats.authorization.auth_users
    )
