"""A server's question, proved before anything in it is believed (enforcement spec §6.2, §6.4).

The steps, in their order:

1. it is not larger than a request can be;
2. it is sealed if and only if our account asks for sealing: a plain one is no request then;
3. it is an authorization request, signed by the key it names as issuer, a server's;
4. it is for an authorization service;
5. the server it tells of is the one that signed it;
6. a sealed one came from the curve key this server signs for: the header alone proves nothing;
7. its time is now;
8. it is about our account;
9. the server is one we know from the system account;
10. it names a user key that was never named before.

Whoever fails here gets no answer at all: nobody is known to whom it could be given.
"""

from __future__ import annotations

import heapq
from typing import Final

import msgspec

from callout.directories.directory import Credentials
from callout.refusals import LoginRefusedError, Reason
from issuer.claims.exchange import AuthorizationRequestClaims, ClientInfo, ServerID
from issuer.errors import AccreditError
from issuer.keys.nkeys import PublicKey, Role, Seed, is_public
from issuer.keys.xkeys import SealError, open_sealed
from issuer.tokens.envelope import decode

AUDIENCE: Final = "nats-authorization-request"
MAX_BYTES: Final = 256 * 1024
"""A request holds a token, a password and the client's certificates, each bounded by the server."""
SEALED: Final = b"xkv1"
MAX_SEEN: Final = 200_000


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is held against."""

    account: PublicKey
    """The account whose callout we are."""
    curve: Seed | None = None
    """The key of the account's `xkey`; None if requests come in the clear."""
    servers: frozenset[str] | None = None
    """The servers seen in the system account; None takes any."""
    leeway: int = 5
    """Seconds by which a server's clock may differ from ours."""


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A proved request."""

    server: ServerID
    user: PublicKey
    """The key the server made for this connection; its token must be for this one."""
    client: ClientInfo
    credentials: Credentials
    shown: str
    """The token the client came with: that of the sentinel, most often."""
    sealed: bool
    patience: float
    """Seconds the server waits for the answer."""


class SeenUsers:
    """The user keys that requests have named, until their requests could not be shown again."""

    def __init__(self, most: int = MAX_SEEN) -> None:
        self._until: dict[str, int] = {}
        self._order: list[tuple[int, str]] = []
        self._most = most

    def __len__(self) -> int:
        return len(self._until)

    def fresh(self, user: PublicKey, *, until: int, now: int) -> bool:
        """Note a user key; False if it was there already, or if there is no room to note it."""
        while self._order and self._order[0][0] < now:
            self._until.pop(heapq.heappop(self._order)[1], None)
        if user in self._until or len(self._until) >= self._most:
            return False
        self._until[user] = until
        heapq.heappush(self._order, (until, user))
        return True


def prove(body: bytes, sender: str, rules: Rules, seen: SeenUsers, *, now: int) -> AuthorizationRequest:
    """Open and prove a request; `sender` is its `Nats-Server-Xkey` header.

    Raises:
        LoginRefusedError: with the reason of the first step that failed.
    """
    if len(body) > MAX_BYTES:
        raise _refused(Reason.REQUEST_MALFORMED, f"a request of {len(body)} bytes; {MAX_BYTES} are the most")
    text = _opened(body, sender, rules)
    try:
        claims = decode(text, AuthorizationRequestClaims).claims
    except AccreditError as error:
        raise _refused(Reason.REQUEST_UNSIGNED, f"no request of a server: {error.message}") from None
    if claims.aud != AUDIENCE:
        raise _refused(Reason.REQUEST_FOREIGN, f"it is for {claims.aud or 'nobody'}, not for {AUDIENCE}")
    asked = claims.nats
    if asked.server_id.id != claims.iss:
        raise _refused(
            Reason.REQUEST_FOREIGN, f"{claims.iss} signed it for {asked.server_id.id or 'no server'}"
        )
    sealed = rules.curve is not None
    if sealed and asked.server_id.xkey != sender:
        raise _refused(Reason.REQUEST_FOREIGN, "it was sealed by another key than its server's")
    _in_time(claims, rules, now)
    if claims.sub != rules.account:
        raise _refused(Reason.REQUEST_FOREIGN, f"it is about account {claims.sub}, not {rules.account}")
    if rules.servers is not None and claims.iss not in rules.servers:
        raise _refused(
            Reason.REQUEST_STRANGER,
            f"server {claims.iss} was never seen in the system account",
            at=claims.iss,
        )
    if not is_public(asked.user_nkey, Role.USER):
        raise _refused(Reason.REQUEST_MALFORMED, "it names no user key")
    user = PublicKey(asked.user_nkey)
    # The leeway, too: so long a copy of it would be taken for a request.
    if not seen.fresh(user, until=claims.exp + rules.leeway, now=now):
        raise _refused(Reason.REQUEST_REPLAYED, f"user key {user} was asked about before")
    return AuthorizationRequest(
        server=asked.server_id,
        user=user,
        client=asked.client_info,
        credentials=_credentials(claims),
        shown=asked.connect_opts.jwt,
        sealed=sealed,
        patience=max(float(claims.exp - claims.iat), 0.0),
    )


def _opened(body: bytes, sender: str, rules: Rules) -> str:
    sealed = body.startswith(SEALED)
    if rules.curve is None:
        if sealed:
            raise _refused(
                Reason.REQUEST_UNSEALED, "it is sealed, and this service has no key", hint="give it the xkey"
            )
    elif not sealed:
        raise _refused(Reason.REQUEST_UNSEALED, "it came in the clear, and the account asks for sealing")
    else:
        try:
            body = open_sealed(body, recipient=rules.curve, sender=PublicKey(sender))
        except (SealError, AccreditError) as error:
            raise _refused(Reason.REQUEST_UNSEALED, f"it does not open: {error.message}") from None
    try:
        return body.decode("ascii")
    except UnicodeDecodeError:
        raise _refused(Reason.REQUEST_MALFORMED, "it is no token") from None


def _in_time(claims: AuthorizationRequestClaims, rules: Rules, now: int) -> None:
    if not claims.exp or claims.exp + rules.leeway < now:
        raise _refused(Reason.REQUEST_EXPIRED, f"its time was over {now - claims.exp} s ago")
    if claims.iat - rules.leeway > now or claims.nbf - rules.leeway > now:
        raise _refused(
            Reason.REQUEST_EXPIRED,
            f"it was made {claims.iat - now} s after now",
            hint="set the clocks of servers and of this service by one source",
        )


def _credentials(claims: AuthorizationRequestClaims) -> Credentials:
    asked = claims.nats
    said, tls = asked.connect_opts, asked.client_tls
    chains = tls.verified_chains if tls is not None else ()
    return Credentials(
        user=said.user,
        password=said.password,
        token=said.auth_token,
        nkey=said.nkey,
        signature=said.sig,
        nonce=asked.client_info.nonce,
        certificates=chains[0] if chains else (),
        address=asked.client_info.host,
        connection_type=asked.client_info.type,
        mqtt_id=asked.client_info.mqtt_id,
    )


def _refused(
    reason: Reason, message: str, *, at: str | None = None, hint: str | None = None
) -> LoginRefusedError:
    return LoginRefusedError(reason, message, at=at, hint=hint)
