"""The answer to a server's question: a user's token, or that there is none (enforcement spec §6.3, §6.4).

A sealed request is answered sealed, to the key its server signed for; a plain one in the clear.
"""

from __future__ import annotations

import msgspec

from callout.refusals import Reason
from callout.request import AuthorizationRequest
from issuer.claims.exchange import AuthorizationResponseBody, AuthorizationResponseClaims
from issuer.claims.fields import VERSION
from issuer.keys.nkeys import PublicKey, Seed
from issuer.keys.xkeys import seal
from issuer.tokens.envelope import Token, encode
from issuer.tokens.signer import Signer


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """What answers are signed and sealed with."""

    account: PublicKey
    """The account whose callout we are."""
    signer: Signer
    """Its identity key or one of its signing keys; a scoped one signs no answers."""
    curve: Seed | None = None

    def __repr__(self) -> str:
        return f"Voice({self.account}, by {self.signer.public})"


def admitting(request: AuthorizationRequest, token: Token, voice: Voice, *, now: int) -> bytes:
    """The answer that lets a client in with this user token."""
    return _answer(request, AuthorizationResponseBody(jwt=token), voice, now)


def refusing(request: AuthorizationRequest, reason: Reason, voice: Voice, *, now: int) -> bytes:
    """The answer that turns a client away; the server shows the reason's code to the account, not to it."""
    return _answer(request, AuthorizationResponseBody(error=reason.value), voice, now)


def _answer(request: AuthorizationRequest, body: AuthorizationResponseBody, voice: Voice, now: int) -> bytes:
    claims = AuthorizationResponseClaims(
        sub=request.user,
        aud=request.server.id,
        nats=msgspec.structs.replace(
            body,
            # A signing key names the account it signs for.
            issuer_account="" if voice.signer.public == voice.account else voice.account,
            type=AuthorizationResponseClaims.kind,
            version=VERSION,
        ),
    )
    token = encode(claims, voice.signer, now=now).token.encode()
    if request.sealed and voice.curve is not None:
        return seal(token, sender=voice.curve, recipient=PublicKey(request.server.xkey))
    return token
