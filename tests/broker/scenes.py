"""Connections that are refused, each for one reason: for our decisions, and for the real server's log.

A scene is an operator, an account and a user, and what its client sends; a case changes one thing of it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace

from broker.enforcement.case import Attempt
from broker.enforcement.trust import Trust
from broker.enforcement.verdict import Gate
from issuer.claims.account import AccountClaims, Scope, new_account
from issuer.claims.fields import Permission, TimeRange, with_body
from issuer.claims.operator import new_operator
from issuer.claims.user import UserClaims, new_scoped_user, new_template, new_user
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import Token, encode
from issuer.tokens.signer import SeedSigner

HOUR: Final = 3600


def url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Scene:
    """One operator with one account with one user. Everything may be changed before it is used."""

    now: int
    operator: Seed = field(default_factory=lambda: Seed.generate(Role.OPERATOR))
    operator_key: Seed = field(default_factory=lambda: Seed.generate(Role.OPERATOR))
    key: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    signing: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    role: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    person: Seed = field(default_factory=lambda: Seed.generate(Role.USER))
    strict: bool = False
    pinned: tuple[PublicKey, ...] = ()
    proxies: tuple[PublicKey, ...] = ()
    sentinel: str = ""
    known: bool = True
    """Whether the resolver has the account."""
    aged: int = 0
    """How many seconds after it was first used the account is asked for again."""
    address: str = "127.0.0.1"
    connect: dict[str, Any] = field(default_factory=dict)
    """Members of CONNECT beside or in place of those a good client sends; None leaves one out."""

    def __post_init__(self) -> None:
        self.account: AccountClaims = new_account(self.key.public, "APP")
        self.user: UserClaims = new_user(self.person.public, "ann")
        self.signer = self.key
        self.account_signer = self.operator
        self.template = new_template()

    # --- changes -----------------------------------------------------------------------------------

    def says(self, **body: Any) -> None:
        """Put members into the user's body."""
        self.user = with_body(self.user, **body)

    def limits(self, **limits: Any) -> None:
        self.account = with_body(self.account, limits=replace(self.account.nats.limits, **limits))

    def in_role(self, **template: Any) -> None:
        """Make the user one of a role."""
        self.template = replace(self.template, **template)
        scope = Scope(key=self.role.public, role="web", template=self.template)
        self.account = with_body(self.account, signing_keys=(scope,))
        self.user = new_scoped_user(self.person.public, "ann", account=self.key.public)
        self.signer = self.role

    # --- what comes of it --------------------------------------------------------------------------

    def operator_token(self) -> Token:
        body = new_operator(self.operator.public, "GRID")
        keys = (self.operator_key.public,)
        claims = with_body(body, signing_keys=keys, strict_signing_key_usage=self.strict)
        return encode(claims, SeedSigner(self.operator), now=self.now).token

    def account_token(self) -> Token:
        return encode(self.account, SeedSigner(self.account_signer), now=self.now).token

    def user_token(self) -> Token:
        return encode(self.user, SeedSigner(self.signer), now=self.now).token

    def trust(self) -> Trust:
        return Trust.of(
            [self.operator_token()], pinned=self.pinned, default_sentinel=self.sentinel, proxies=self.proxies
        )

    def members(self, nonce: str) -> dict[str, Any]:
        """What its client puts into CONNECT."""
        good = {"jwt": self.user_token(), "sig": url64(self.person.sign(nonce.encode())), "protocol": 1}
        given = {name: value(nonce) if callable(value) else value for name, value in self.connect.items()}
        return {name: value for name, value in {**good, **given}.items() if value is not None}

    def attempt(self, nonce: str = "vZ0nEtpLIhY7pXw") -> Attempt:
        said = self.members(nonce)
        return Attempt(
            token=said.get("jwt", ""),
            signature=said.get("sig", ""),
            nonce=nonce,
            user=said.get("user", ""),
            password=said.get("pass", ""),
            nkey=said.get("nkey", ""),
            proxy_signature=said.get("proxy_sig", ""),
            address=self.address,
        )


@dataclass(frozen=True)
class Refusal:
    """One reason to be refused. `words` are those of the server's log."""

    name: str
    gate: Gate
    words: str
    change: Callable[[Scene], Any]
    alone: bool = False
    """It is about the server's configuration: it needs a server of its own."""

    def scene(self, now: int) -> Scene:
        scene = Scene(now)
        self.change(scene)
        return scene


def _set(**values: Any) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        for name, value in values.items():
            setattr(scene, name, value(scene) if callable(value) else value)

    return change


def _says(**body: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.says(
        **{key: value(scene) if callable(value) else value for key, value in body.items()}
    )


def _sends(**members: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.connect.update(members)


def _all(*changes: Callable[[Scene], Any]) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        for each in changes:
            each(scene)

    return change


def _tampered(scene: Scene) -> None:
    header, payload, signature = scene.user_token().split(".")
    body = json.loads(base64.urlsafe_b64decode(payload + "=="))
    body["name"] = "mallory"
    scene.connect["jwt"] = ".".join((header, url64(json.dumps(body).encode()), signature))


def _role_with(**body: Any) -> Callable[[Scene], None]:
    return _all(lambda scene: scene.in_role(), _says(**body))


def _revoked(key: Callable[[Scene], str]) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        scene.account = with_body(scene.account, revocations={key(scene): scene.now})

    return change


def _closed_window(scene: Scene) -> None:
    hour = scene.now // HOUR % 24
    opens, closes = (hour + 2) % 24, (hour + 3) % 24
    window = TimeRange(start=f"{opens:02}:00:00", end=f"{closes:02}:00:00")
    scene.says(times=(window,), times_location="UTC")


TOKEN_NEEDED: Final = "Authentication requires a user JWT"
NO_LONGER_VALID: Final = "User JWT no longer valid"
LOOKUP: Final = "Account JWT lookup error"
UNKNOWN_ISSUER: Final = "User JWT issuer is not known"
STRANGER: Final = Seed.generate(Role.ACCOUNT)
STRANGE_OPERATOR: Final = Seed.generate(Role.OPERATOR)

REFUSALS: Final = (
    Refusal(
        "a proxy that is not trusted",
        Gate.PROXY,
        "proxy is not trusted",
        _all(
            _set(proxies=(Seed.generate(Role.USER).public,)),
            _sends(proxy_sig=lambda nonce: url64(STRANGER.sign(nonce.encode()))),
        ),
        alone=True,
    ),
    Refusal("no token", Gate.TOKEN, TOKEN_NEEDED, _sends(jwt=None)),
    Refusal("garbage for a token", Gate.TOKEN, TOKEN_NEEDED, _sends(jwt="garbage")),
    Refusal("a token changed after it was signed", Gate.TOKEN, TOKEN_NEEDED, _tampered),
    Refusal(
        "an account's token for a user's",
        Gate.TOKEN,
        TOKEN_NEEDED,
        lambda scene: scene.connect.update(jwt=scene.account_token()),
    ),
    Refusal("no proxy", Gate.PROXY_REQUIRED, "proxy connection required", _says(proxy_required=True)),
    Refusal(
        "expired",
        Gate.CLAIMS,
        NO_LONGER_VALID,
        lambda scene: setattr(scene, "user", replace(scene.user, exp=scene.now - 1)),
    ),
    Refusal(
        "not yet valid",
        Gate.CLAIMS,
        NO_LONGER_VALID,
        lambda scene: setattr(scene, "user", replace(scene.user, nbf=scene.now + HOUR)),
    ),
    Refusal("an unreadable network", Gate.CLAIMS, NO_LONGER_VALID, _says(src=("10.0.0.0",))),
    Refusal(
        "an unreadable time",
        Gate.CLAIMS,
        NO_LONGER_VALID,
        _says(times=(TimeRange(start="25:00:00", end="26:00:00"),)),
    ),
    Refusal(
        "an unknown time zone",
        Gate.CLAIMS,
        NO_LONGER_VALID,
        _says(times=(TimeRange(start="01:00:00", end="02:00:00"),), times_location="Mars/Olympus"),
    ),
    Refusal(
        "a broken subject",
        Gate.CLAIMS,
        NO_LONGER_VALID,
        _says(pub=Permission(allow=(Subject("a..b"),))),
    ),
    Refusal("no account's key for the account", Gate.CLAIMS, NO_LONGER_VALID, _says(issuer_account="ABC")),
    Refusal(
        "an account that is not pinned",
        Gate.PINNED,
        "not listed as operator pinned account",
        _set(pinned=(STRANGER.public,)),
        alone=True,
    ),
    Refusal("an unknown account", Gate.ACCOUNT, LOOKUP, _set(known=False)),
    Refusal(
        "a signing key's user that does not name its account",
        Gate.ACCOUNT,
        LOOKUP,
        _all(
            lambda scene: setattr(
                scene, "account", with_body(scene.account, signing_keys=(scene.signing.public,))
            ),
            _set(signer=lambda scene: scene.signing),
        ),
    ),
    Refusal(
        "an account of another operator",
        Gate.ACCOUNT,
        f"{LOOKUP}: account validation failed",
        lambda scene: setattr(scene, "account_signer", STRANGE_OPERATOR),
    ),
    Refusal(
        "an account signed by the identity key under strict usage",
        Gate.ACCOUNT,
        f"{LOOKUP}: account validation failed",
        _set(strict=True),
        alone=True,
    ),
    Refusal(
        "an account that is expired when it is first asked for",
        Gate.ACCOUNT,
        f"{LOOKUP}: account validation failed",
        lambda scene: setattr(scene, "account", replace(scene.account, exp=scene.now - 1)),
    ),
    Refusal(
        "an account that expires later",
        Gate.ACCOUNT_TIME,
        "Account JWT has expired",
        _all(
            lambda scene: setattr(scene, "account", replace(scene.account, exp=scene.now + 2)),
            _set(aged=4),
        ),
        alone=True,
    ),
    Refusal(
        "a key the account does not list",
        Gate.ISSUER,
        UNKNOWN_ISSUER,
        _all(
            lambda scene: setattr(scene, "signer", STRANGER),
            _says(issuer_account=lambda scene: scene.key.public),
        ),
    ),
    Refusal(
        "a user signed by the identity key under strict usage",
        Gate.ISSUER,
        UNKNOWN_ISSUER,
        _set(strict=True, account_signer=lambda scene: scene.operator_key),
        alone=True,
    ),
    Refusal(
        "a role's user with permissions of its own",
        Gate.ROLE,
        "User JWT is not valid: scoped users require no permissions or limits set",
        _role_with(pub=Permission(allow=(Subject("a"),))),
    ),
    Refusal(
        "a role's user with limits of its own",
        Gate.ROLE,
        "User JWT is not valid: scoped users require no permissions or limits set",
        _role_with(subs=-1),
    ),
    Refusal(
        "a template that denies by a tag the user has not",
        Gate.ROLE,
        "User JWT generated invalid permissions",
        lambda scene: scene.in_role(pub=Permission(deny=(Subject("x.{{tag(team)}}"),))),
    ),
    Refusal(
        "a template with an unknown function",
        Gate.ROLE,
        "User JWT generated invalid permissions",
        lambda scene: scene.in_role(pub=Permission(allow=(Subject("x.{{colour()}}"),))),
    ),
    Refusal(
        "a bearer token where none is allowed",
        Gate.BEARER,
        "Account does not allow bearer tokens",
        _all(lambda scene: scene.limits(disallow_bearer=True), _says(bearer_token=True)),
    ),
    Refusal(
        "a role of bearer tokens where none is allowed",
        Gate.BEARER,
        "Account does not allow bearer tokens",
        _all(
            lambda scene: scene.in_role(bearer_token=True),
            lambda scene: scene.limits(disallow_bearer=True),
        ),
    ),
    Refusal(
        "only connection types nobody knows",
        Gate.CONNECTION_TYPE,
        'invalid connection types ["PIGEON" "DRUM"]',
        _says(allowed_connection_types=("pigeon", "drum")),
    ),
    Refusal(
        "another connection type",
        Gate.CONNECTION_TYPE,
        "Connection type not allowed",
        _says(allowed_connection_types=("websocket", "pigeon")),
    ),
    Refusal("no signature", Gate.SIGNATURE, "Signature missing", _sends(sig=None)),
    Refusal("a signature in no base64", Gate.SIGNATURE, "Signature not valid base64", _sends(sig="a?b")),
    Refusal(
        "another's signature",
        Gate.SIGNATURE,
        "Signature not verified",
        _sends(sig=lambda nonce: url64(Seed.generate(Role.USER).sign(nonce.encode()))),
    ),
    Refusal("half a signature", Gate.SIGNATURE, "Signature not verified", _sends(sig="AAAA")),
    Refusal(
        "a revoked user",
        Gate.REVOCATION,
        "User authentication revoked",
        _revoked(lambda scene: scene.person.public),
    ),
    Refusal("everybody revoked", Gate.REVOCATION, "User authentication revoked", _revoked(lambda _: "*")),
    Refusal("another network", Gate.NETWORK, "Bad src Ip 127.0.0.1", _says(src=("10.0.0.0/8", "::1/128"))),
    Refusal(
        "a role's other network",
        Gate.NETWORK,
        "Bad src Ip 127.0.0.1",
        lambda scene: scene.in_role(src=("10.0.0.0/8",)),
    ),
    Refusal("another hour", Gate.TIME_WINDOW, "Outside connect times", _closed_window),
    Refusal(
        "no room in the account",
        Gate.CONNECTIONS,
        "maximum account active connections exceeded",
        lambda scene: scene.limits(conn=0),
    ),
    Refusal(
        "no room for any subscription",
        Gate.STAY,
        "maximum subscriptions exceeded",
        _says(subs=0),
    ),
)
"""Steps 2, 4, 9 and 20 refuse nobody here: a password that is no token is none, a bad default token
keeps the server from starting, an account of no trusted operator is never loaded, a callout decides."""
