"""For programs: a token of an identity provider, exchanged at Accredit for credentials of NATS that renew
themselves.

    credentials = Credentials("https://accredit.example", token_of_mine)
    await credentials.renew()
    client = await nats.connect(credentials.servers, **credentials.options())
    async with credentials.kept(client):
        ...

The seed is made here and stays here. nats-py closes for good when a server ends a connection because its
token has expired, even with `allow_reconnect` (nats.py issue 1019): so `kept` has a fresh token before
that, and has the client come in again with it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from issuer import https
from issuer.errors import AccreditError, Refused, Unavailable
from issuer.https import AnswerError
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.possession import challenged, signature_text

log = logging.getLogger("accredit.client")

TOKEN: Final = "/api/v1/token"  # noqa: S105  a path
GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
RENEW_AT: Final = 0.7
"""Of a token's life, after which it is renewed."""
LEAST_PAUSE: Final = 1.0
MOST_PAUSE: Final = 30.0
_TOO_MANY: Final = 429


class TokenType(StrEnum):
    """What can be exchanged."""

    ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105
    ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
    JWT = "urn:ietf:params:oauth:token-type:jwt"
    API_KEY = "urn:accredit:token-type:api-key"


class NotExchanged(Refused):
    """Accredit said no; why is in its log, and nowhere else."""

    code = "exchange.refused"


@dataclass(frozen=True, slots=True)
class Issued:
    """A user token for a key of ours. Times are seconds since 1970."""

    token: str = field(repr=False)
    issued_at: float
    expires_at: float
    account: str
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A login that Accredit tells of."""

    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]


def exchange(
    url: str,
    subject_token: str,
    seed: Seed,
    *,
    kind: TokenType = TokenType.JWT,
    ca_file: Path | None = None,
    seconds: float = https.SECONDS,
    now: Callable[[], float] = time.time,
) -> Issued:
    """A user token for this seed's key; blocks.

    Raises:
        NotExchanged: no.
        Unavailable: Accredit does not answer, or asks to wait.
        PeerError: what answers there is not Accredit.
    """
    base = url.rstrip("/") + TOKEN
    asked = _document(https.post(base + "/challenge", {}, ca_file=ca_file, seconds=seconds))
    nonce = _text(asked, "nonce")
    begun = now()
    answer = https.post(
        base,
        {
            "grant_type": GRANT,
            "subject_token": subject_token,
            "subject_token_type": kind.value,
            "public_key": seed.public,
            "nonce": nonce,
            "signature": signature_text(seed.sign(challenged(nonce, seed.public, subject_token))),
        },
        ca_file=ca_file,
        seconds=seconds,
    )
    found = _document(answer)
    servers, lasts = found.get("servers"), found.get("expires_in")
    if not isinstance(servers, list) or not isinstance(lasts, int) or isinstance(lasts, bool):
        raise AnswerError("its answer lacks what an exchange answers")
    return Issued(
        token=_text(found, "access_token"),
        issued_at=begun,
        # Counted by our own clock: the server's may differ.
        expires_at=begun + lasts,
        account=_text(found, "account"),
        servers=tuple(each for each in servers if isinstance(each, str)),
    )


def sources(url: str, *, ca_file: Path | None = None, seconds: float = https.SECONDS) -> tuple[Source, ...]:
    """The logins offered; blocks.

    Raises:
        AccreditError: as `exchange`.
    """
    found = _document(https.get(url.rstrip("/") + TOKEN + "/sources", ca_file=ca_file, seconds=seconds))
    listed = found.get("sources")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise AnswerError("its answer lacks what sources answers")
    made = []
    for each in listed:
        scopes = each.get("scopes")
        if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
            raise AnswerError("a source lacks its scopes")
        made.append(
            Source(_text(each, "name"), _text(each, "issuer"), _text(each, "client_id"), tuple(scopes))
        )
    return tuple(made)


def _document(answer: https.Answer) -> dict[str, Any]:
    if answer.ok:
        return answer.json()
    if answer.status == _TOO_MANY:
        again = answer.headers.get("retry-after", "")
        raise Unavailable("it is asked too often", hint=f"again in {again or 'some'} s")
    if answer.status >= 500:
        raise Unavailable(f"it answers {answer.status}", hint="again later")
    try:
        error = answer.json().get("error")
    except AnswerError:
        error = None
    if error in ("invalid_grant", "invalid_request"):
        raise NotExchanged("the token was not exchanged", hint="why is in the log and audit of Accredit")
    raise AnswerError(f"it answers {answer.status}", hint="is it Accredit, and is exchange enabled there?")


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise AnswerError(f"its answer lacks {name}")
    return value


SubjectToken = Callable[[], str | Awaitable[str]]
"""Asked for at every exchange: the token of the identity provider may be older than ours."""


class Client(Protocol):
    """What `kept` needs of a nats-py client."""

    @property
    def is_closed(self) -> bool: ...

    async def force_reconnect(self) -> None: ...


class Credentials:
    """A key of our own and its token, renewed. For one event loop."""

    def __init__(
        self,
        url: str,
        subject_token: SubjectToken,
        *,
        kind: TokenType = TokenType.JWT,
        seed: Seed | None = None,
        ca_file: Path | None = None,
        renew_at: float = RENEW_AT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._subject_token = subject_token
        self._kind = kind
        self._seed = seed or Seed.generate(Role.USER)
        self._ca_file = ca_file
        self._renew_at = renew_at
        self._clock = clock
        self._issued: Issued | None = None

    @property
    def issued(self) -> Issued | None:
        """The token in use."""
        return self._issued

    @property
    def servers(self) -> list[str]:
        """Where Accredit says NATS is."""
        return list(self._issued.servers) if self._issued is not None else []

    async def renew(self) -> Issued:
        """Exchange again.

        Raises:
            AccreditError: as `exchange`; the token there was stays.
        """
        shown = self._subject_token()
        token = await shown if inspect.isawaitable(shown) else shown
        self._issued = await asyncio.to_thread(
            exchange,
            self._url,
            token,
            self._seed,
            kind=self._kind,
            ca_file=self._ca_file,
            now=self._clock,
        )
        return self._issued

    # --- for nats-py --------------------------------------------------------------------------------

    def user_jwt_cb(self) -> bytearray:
        """The token as nats-py asks for it; `renew` first."""
        return bytearray((self._issued.token if self._issued is not None else "").encode())

    def signature_cb(self, nonce: str) -> bytes:
        """The server's nonce, signed."""
        return base64.b64encode(self._seed.sign(nonce.encode()))

    def options(self) -> dict[str, Any]:
        """For `nats.connect`."""
        return {
            "user_jwt_cb": self.user_jwt_cb,
            "signature_cb": self.signature_cb,
            "allow_reconnect": True,
            "max_reconnect_attempts": -1,
        }

    @contextlib.asynccontextmanager
    async def kept(self, client: Client) -> AsyncIterator[None]:
        """As long as this lasts, the client has a token that is good."""
        task = asyncio.create_task(self.keep(client))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def keep(self, client: Client) -> None:
        """Renew before the token ends and come in again with the new one, until the client is closed."""
        pause = LEAST_PAUSE
        while not client.is_closed:
            issued = self._issued
            if issued is not None:
                due = issued.issued_at + (issued.expires_at - issued.issued_at) * self._renew_at
                await asyncio.sleep(max(due - self._clock(), 0.0))
            try:
                await self.renew()
            except AccreditError as error:
                log.warning("not renewed: %s; again in %g s", error, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, MOST_PAUSE)
                continue
            pause = LEAST_PAUSE
            # Before the server ends it: after that, the client would stay closed.
            await client.force_reconnect()
