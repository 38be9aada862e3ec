"""Tokens that pass between parties: activations, auth callout, generic (claims spec §3.8–3.12)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, ClassVar

import msgspec

from issuer.claims.account import ShareKind
from issuer.claims.fields import VERSION, Envelope
from issuer.claims.wire import Claim, Int64, UInt64, always
from issuer.errors import PeerError
from issuer.keys.nkeys import PublicKey, Role
from issuer.subjects import Subject


class ActivationBody(Claim, frozen=True, kw_only=True):
    """The `nats` object of an activation token."""

    subject: Subject = Subject("")
    # v2 moved the kind out of `type`, which names the kind of token.
    share: ShareKind = msgspec.field(default="", name="kind")
    issuer_account: str = ""
    tags: tuple[str, ...] = ()
    type: str = ""
    version: Int64 = 0


class ActivationClaims(Envelope, frozen=True, kw_only=True):
    """An exporter's leave for one account to import a private subject."""

    kind: ClassVar[str] = "activation"
    issuers: ClassVar[tuple[Role, ...]] = (Role.ACCOUNT, Role.OPERATOR)
    subjects: ClassVar[tuple[Role, ...]] = (Role.ACCOUNT,)

    nats: ActivationBody = msgspec.field(default_factory=ActivationBody)

    def hash_id(self) -> str:
        """The identifier tools use for an activation (§3.8); depends on the actual signer.

        Raises:
            PeerError: issuer, subject or import subject is missing.
        """
        if not (self.iss and self.sub and self.nats.subject):
            # The library's own words, spelling included: tools compare them.
            raise PeerError("not enough data in the activaion claims to create a hash")
        literal: list[str] = []
        for token in self.nats.subject.split("."):
            if token in {"*", ">"}:
                break
            literal.append(token)
        text = f"{self.iss}.{self.sub}.{'.'.join(literal) or '_'}"
        return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()


class ServerID(Claim, frozen=True, kw_only=True):
    """The server that asks."""

    name: str = always(str)
    host: str = always(str)
    id: str = always(str)
    version: str = ""
    cluster: str = ""
    tags: tuple[str, ...] = ()
    xkey: str = ""


class ClientInfo(Claim, frozen=True, kw_only=True):
    """The connection a request is about."""

    host: str = ""
    id: UInt64 = 0
    user: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    name_tag: str = ""
    kind: str = ""
    type: str = ""
    mqtt_id: str = ""
    nonce: str = ""


class ConnectOptions(Claim, frozen=True, kw_only=True):
    """What the client sent in CONNECT, secrets included: never log one."""

    jwt: str = ""
    nkey: str = ""
    sig: str = ""
    auth_token: str = ""
    user: str = ""
    password: str = msgspec.field(default="", name="pass")
    name: str = ""
    lang: str = ""
    version: str = ""
    protocol: int = always(int)

    def __repr__(self) -> str:
        return f"ConnectOptions(user={self.user!r}, name={self.name!r}, lang={self.lang!r}, …)"


class ClientTLS(Claim, frozen=True, kw_only=True):
    """The client's TLS session; certificates as PEM."""

    version: str = ""
    cipher: str = ""
    certs: tuple[str, ...] = ()
    verified_chains: tuple[tuple[str, ...], ...] = ()


class AuthorizationRequestBody(Claim, frozen=True, kw_only=True):
    """The `nats` object of an authorization request."""

    server_id: ServerID = msgspec.field(default_factory=ServerID)
    user_nkey: str = always(str)
    client_info: ClientInfo = msgspec.field(default_factory=ClientInfo)
    connect_opts: ConnectOptions = msgspec.field(default_factory=ConnectOptions)
    client_tls: ClientTLS | None = None
    request_nonce: str = ""
    tags: tuple[str, ...] = ()
    type: str = ""
    version: Int64 = 0


class AuthorizationRequestClaims(Envelope, frozen=True, kw_only=True):
    """A server's question to the callout: may this connection come in?"""

    kind: ClassVar[str] = "authorization_request"
    issuers: ClassVar[tuple[Role, ...]] = (Role.SERVER,)
    subjects: ClassVar[tuple[Role, ...]] = ()

    nats: AuthorizationRequestBody = msgspec.field(default_factory=AuthorizationRequestBody)


class AuthorizationResponseBody(Claim, frozen=True, kw_only=True):
    """The `nats` object of an authorization response: a user token or an error."""

    jwt: str = ""
    error: str = ""
    issuer_account: str = ""
    tags: tuple[str, ...] = ()
    type: str = ""
    version: Int64 = 0


class AuthorizationResponseClaims(Envelope, frozen=True, kw_only=True):
    """The callout's answer."""

    kind: ClassVar[str] = "authorization_response"
    issuers: ClassVar[tuple[Role, ...]] = (Role.ACCOUNT,)
    subjects: ClassVar[tuple[Role, ...]] = ()

    nats: AuthorizationResponseBody = msgspec.field(default_factory=AuthorizationResponseBody)


class GenericClaims(Envelope, frozen=True, kw_only=True):
    """Any body at all, by any key that can sign."""

    kind: ClassVar[str] = "generic"
    issuers: ClassVar[tuple[Role, ...]] = ()
    subjects: ClassVar[tuple[Role, ...]] = ()
    __wire_free__: ClassVar[bool] = True

    nats: dict[str, Any] = {}


def new_activation(
    importer: PublicKey, subject: Subject, share: ShareKind, *, name: str = "", exporter: str = ""
) -> ActivationClaims:
    """An activation; `exporter` is set when a signing key of that account will sign."""
    body = ActivationBody(
        subject=subject,
        share=share,
        issuer_account=exporter,
        type=ActivationClaims.kind,
        version=VERSION,
    )
    return ActivationClaims(sub=importer, name=name, nats=body)
