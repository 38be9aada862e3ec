"""What a service may answer to whom, and what comes of it, as measured on the real server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from issuer.claims.fields import TimeRange
from issuer.claims.user import new_scoped_user
from issuer.keys.nkeys import Role, Seed
from tests.system.broker.callout.scene import Request, Scene, Seen, refused
from tests.system.broker.callout.wire import Wire

NIGHT: Final = (TimeRange(start="00:00:00", end="00:00:01"),)
STRANGER: Final = Seed.generate(Role.ACCOUNT)
OTHER_SERVER: Final = Seed.generate(Role.SERVER).public
OTHER_CURVE: Final = Seed.generate(Role.CURVE)
UNKNOWN: Final = "Auth callout signing key is unknown"
INVALID: Final = "Authorization response had validation errors: "
UNSOUND: Final = "Error validating user JWT: "
BROKEN: Final = 'Error decrypting auth callout response on account "<C>": nkeys: '
FULL: Final = "maximum account active connections exceeded"

Play = Callable[[Scene, Request], bytes]
Say = Callable[[Scene], dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """What the service answers to whom, and what comes of it."""

    answer: Play | Sequence[Play]
    expected: Seen
    said: Say = field(default=lambda _: {})


def inside(account: str = "A", *, lines: tuple[str, ...] = (), requests: int = 1) -> Seen:
    return Seen(account, lines, requests=requests)


def not_allowed(signer: str) -> Seen:
    words = f'Account "{signer}" not permitted as valid account option for auth callout'
    return refused(f'{words} for account "<C>"')


def not_known(signer: str) -> Seen:
    return refused(f'User JWT issuer "{signer}" is not known')


def not_the_callout(letter: str) -> Seen:
    return refused(f'Auth callout response issuer account "<{letter}>" is not the callout account')


def key(scene: Scene, name: str) -> Seed:
    """`A`, `A.signing`, `A.role`, or somebody's."""
    letter, _, which = name.partition(".")
    if not letter:
        return STRANGER
    seed: Seed = getattr(scene.house(letter), which or "seed")
    return seed


def outer(by: str, named: str = "") -> Play:
    """A good user of A in a response by this key, that names an account."""

    def play(scene: Scene, request: Request) -> bytes:
        user = scene.user_token(scene.user(request), by=scene.house("A").seed)
        members: dict[str, Any] = {"issuer_account": scene.key(named)} if named else {}
        return scene.response(request, user, by=key(scene, by), **members)

    return play


def inner(
    by: str = "A", named: str = "", *, lasts: int | None = None, starts: int | None = None, **members: Any
) -> Play:
    """A user by this key, that names an account, in a good response; times in seconds from then."""

    def play(scene: Scene, request: Request) -> bytes:
        more: dict[str, Any] = {"issuer_account": scene.key(named)} if named else {}
        if lasts is not None:
            more["exp"] = soon(lasts)
        if starts is not None:
            more["nbf"] = soon(starts)
        return scene.good(request, by=key(scene, by), **more, **members)

    return play


def response(**members: Any) -> Play:
    """A response without a user."""
    return lambda scene, request: scene.response(request, **members)


def around(**members: Any) -> Play:
    """A response about a good user, with these members of its own."""

    def play(scene: Scene, request: Request) -> bytes:
        user = scene.user_token(scene.user(request), by=scene.house("A").seed)
        return scene.response(request, user, **members)

    return play


def role(letter: str = "A") -> Play:
    def play(scene: Scene, request: Request) -> bytes:
        user = scene.user_token(scene.role_user(request, letter), by=scene.house(letter).role)
        return scene.response(request, user)

    return play


def raw(payload: bytes) -> Play:
    return lambda *_: payload


def altered(play: Play) -> Play:
    return lambda scene, request: play(scene, request)[:-4] + b"AAAA"


def long_ago() -> int:
    return 5


def soon(seconds: int) -> int:
    return int(time.time()) + seconds


def guest(**members: Any) -> Say:
    """A token of its own to come with."""
    return lambda scene: {"jwt": scene.guest(**members)}


def guest_of_role(scene: Scene) -> dict[str, Any]:
    claims = new_scoped_user(scene.sentinel.public, "guest", account=scene.key("C"))
    return {"jwt": scene.user_token(claims, by=scene.house("C").role)}


def guest_by(name: str, **members: Any) -> Say:
    return lambda scene: {
        "jwt": scene.guest(by=key(scene, name), issuer_account=scene.key("C"), **members),
    }


def answering(**said: Any) -> Say:
    """One of those who answer for the account comes."""

    def say(scene: Scene) -> dict[str, Any]:
        token = scene.guest(subject=scene.service.public, bearer_token=False)
        return {"jwt": token, **({"seed": scene.service} if "sig" not in said else {}), **said}

    return say


def pretending(member: str) -> Say:
    """A guest that calls itself by the key of one who answers."""
    return lambda scene: {member: scene.service.public}


GOOD: Final = inner()
IN_VAIN: Final = refused("", waited=True, last="$G", requests=0)
AT_ONCE: Final = refused(None, last="$G", requests=0)

ROWS: dict[str, Row] = {
    "good": Row(GOOD, inside()),
    "error": Row(response(error="nope"), refused("Auth callout service returned an error: nope")),
    "empty": Row(raw(b""), refused('Auth callout violation: "no reason supplied" on account "<C>"')),
    "garbage": Row(raw(b"garbage"), refused("Expected 3 chunks")),
    "no answer": Row((), refused("", waited=True)),
    "a user's token": Row(
        lambda scene, request: scene.user_token(scene.user(request), by=scene.house("A").seed).encode(),
        refused("Not an authorization request claim"),
    ),
    "altered": Row(altered(GOOD), refused("Claim failed V2 signature verification")),
    "audience bad": Row(around(aud="xx"), refused(INVALID + "Audience must be a server public key")),
    "audience empty": Row(around(aud=""), refused(INVALID + "Audience must be a server public key")),
    "audience other": Row(
        around(aud=OTHER_SERVER),
        refused("Auth callout violation: auth callout response is not for server"),
    ),
    "subject other": Row(
        lambda scene, request: around(sub=scene.service.public, aud=OTHER_SERVER)(scene, request),
        refused("Auth callout violation: auth callout response is not for expected user"),
    ),
    "subject no user": Row(
        lambda scene, request: around(sub=scene.key("A"))(scene, request),
        refused(INVALID + "Subject must be a user public key"),
    ),
    "both": Row(around(error="x"), refused(INVALID + "Only Error or Jwt can be set")),
    "neither": Row(response(), refused(INVALID + "Error or Jwt is required")),
    "response expired": Row(around(exp=long_ago()), refused(INVALID + "claim is expired")),
    "response of no account": Row(
        around(issuer_account="zz"), refused(INVALID + "issuer_account is not an account public key")
    ),
    # --- who speaks
    "by nobody": Row(outer(""), refused(UNKNOWN)),
    "by nobody for C": Row(outer("", "C"), refused(UNKNOWN)),
    "by C for C": Row(outer("C", "C"), inside()),
    "by C's signing key": Row(outer("C.signing"), inside()),
    "by C's signing key for C": Row(outer("C.signing", "C"), inside()),
    "by C's role": Row(outer("C.role"), inside()),
    "by A": Row(outer("A"), refused(UNKNOWN)),
    "by A's signing key for C": Row(outer("A.signing", "C"), refused(UNKNOWN)),
    "by C for A": Row(outer("C", "A"), not_the_callout("A")),
    "by A for A": Row(outer("A", "A"), not_the_callout("A")),
    "by nobody for B": Row(outer("", "B"), not_the_callout("B")),
    "error by nobody": Row(response(error="nope", by=STRANGER), refused(UNKNOWN)),
    # --- which user
    "no user token": Row(
        lambda scene, request: scene.response(request, "garbage"), refused("Expected 3 chunks")
    ),
    "an account for a user": Row(
        lambda scene, request: scene.response(request, scene.account_token("A")), refused("Not user claim")
    ),
    "user altered": Row(
        lambda scene, request: scene.response(
            request, scene.user_token(scene.user(request), by=scene.house("A").seed)[:-4] + "AAAA"
        ),
        refused("Claim failed V2 signature verification"),
    ),
    "another user": Row(
        lambda scene, request: scene.good(request, subject=scene.sentinel.public),
        refused('Expected authorized user of "<user>" but got "<sentinel>" on account "<C>"'),
    ),
    "user expired": Row(inner(exp=long_ago()), refused(UNSOUND + "claim is expired")),
    "user not yet": Row(
        inner(starts=100),
        refused(UNSOUND + "claim is not yet valid"),
    ),
    "user expires this second": Row(
        inner(lasts=0),
        Seen("", ("-ERR 'User Authentication Expired'", "closed")),
    ),
    "user unsound": Row(
        inner(src=("nonsense",)), refused(UNSOUND + 'invalid cidr "nonsense" in user src limits')
    ),
    "user's account no account": Row(
        lambda scene, request: inner(issuer_account=scene.service.public)(scene, request),
        refused(UNSOUND + "account_id is not an account public key"),
    ),
    "from elsewhere": Row(inner(src=("10.0.0.0/8",)), inside()),
    "by another way": Row(inner(allowed_connection_types=("WEBSOCKET",)), inside()),
    "by one known way": Row(inner(allowed_connection_types=("FOO", "websocket")), inside()),
    "by no known way": Row(
        inner(allowed_connection_types=("FOO",)),
        refused('Authorized user on account "<C>" using invalid connection type'),
    ),
    "outside its hours": Row(
        inner("", times=NIGHT, times_location="UTC", allowed_connection_types=("FOO",)),
        refused('Authorized user on account "<C>" outside of valid connect times'),
    ),
    "through a proxy only": Row(
        inner(proxy_required=True, exp=long_ago()),
        refused("Proxy connection required", closed="Proxy Required"),
    ),
    # --- which account
    "by nobody's account": Row(inner(""), not_allowed(STRANGER.public)),
    "in C": Row(inner("C"), inside("C")),
    "in C by its signing key": Row(inner("C.signing", "C"), inside("C")),
    "in A by its signing key": Row(inner("A.signing", "A"), inside()),
    "by A's signing key, unnamed": Row(inner("A.signing"), not_allowed("<A.signing>")),
    "by C's signing key, unnamed": Row(inner("C.signing"), not_allowed("<C.signing>")),
    "in A by itself, named": Row(inner("A", "A"), inside()),
    "in B": Row(inner("B"), not_allowed("<B>")),
    "in B by A": Row(inner("A", "B"), not_allowed("<A>")),
    "in A by C": Row(inner("C", "A"), not_known("<C>")),
    "in A by B's signing key": Row(inner("B.signing", "A"), not_known("<B.signing>")),
    "in C by nobody": Row(inner("", "C"), not_known(STRANGER.public)),
    "in F": Row(
        inner("F"),
        refused(
            f"Could not register auth callout user: {FULL}",
            last="F",
            line=FULL,
        ),
    ),
    # --- roles
    "role": Row(role(), inside()),
    "role, with permissions of its own": Row(
        inner("A.role", "A"),
        refused("User JWT is not valid: scoped users require no permissions or limits set"),
    ),
    # --- several answers
    "refused, then good": Row(
        (response(error="first"), GOOD), refused("Auth callout service returned an error: first")
    ),
    "good, then refused": Row((GOOD, response(error="second")), inside()),
    # --- who is asked about
    "signed": Row(
        GOOD,
        inside(),
        lambda scene: {"jwt": scene.guest(bearer_token=False), "seed": scene.sentinel},
    ),
    "signature of a bearer": Row(GOOD, inside(), lambda _: {"sig": "AAAA"}),
    "signature bad": Row(
        GOOD, IN_VAIN, lambda scene: {"jwt": scene.guest(bearer_token=False), "sig": "AAAA"}
    ),
    "signature missing": Row(GOOD, IN_VAIN, guest(bearer_token=False)),
    "guest from elsewhere": Row(GOOD, IN_VAIN, guest(src=("10.0.0.0/8",))),
    "guest outside its hours": Row(GOOD, IN_VAIN, guest(times=NIGHT, times_location="UTC")),
    "guest by another way": Row(GOOD, IN_VAIN, guest(allowed_connection_types=("WEBSOCKET",))),
    "guest by nobody": Row(GOOD, IN_VAIN, guest_by("")),
    "guest of a role, with limits": Row(GOOD, IN_VAIN, guest_by("C.role")),
    "guest expired": Row(GOOD, AT_ONCE, guest(exp=long_ago())),
    "guest unsound": Row(GOOD, AT_ONCE, guest(src=("nonsense",))),
    "guest of nobody's account": Row(GOOD, AT_ONCE, lambda scene: {"jwt": scene.guest(by=STRANGER)}),
    "guest through a proxy only": Row(
        GOOD,
        refused(None, last="$G", closed="Proxy Required", requests=0),
        guest(proxy_required=True),
    ),
    "no token": Row(GOOD, AT_ONCE, lambda _: {"jwt": "", "user": "bob"}),
    "opaque token": Row(GOOD, AT_ONCE, lambda _: {"jwt": "opaque"}),
    # --- those who answer
    "who answers": Row(GOOD, inside("C", requests=0), answering()),
    "who answers, by a name": Row(GOOD, inside("C", requests=0), answering(user="alice")),
    "who answers, by another key": Row(
        GOOD, inside("C", requests=0), answering(nkey=Seed.generate(Role.USER).public)
    ),
    "who answers, signature bad": Row(
        GOOD, refused("Authentication Failure", last="$G", requests=0), answering(sig="AAAA")
    ),
    "pretending by key": Row(GOOD, inside(), pretending("nkey")),
    "pretending by name": Row(GOOD, inside(), pretending("user")),
}


def attempt(scene: Scene, row: Row) -> tuple[Wire, Seen]:
    plays = row.answer if isinstance(row.answer, Sequence) else (row.answer,)
    return scene.attempt(lambda request: [play(scene, request) for play in plays], **row.said(scene))
