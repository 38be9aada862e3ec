"""Who comes in by a callout, and who not, on the real server and on ours (enforcement spec §6).

What is expected stands here as it was measured on the real server; both must give it: what the
client reads, whether it had to wait, which account it is in, and what the account is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_members
from typing import Any, Final

import pytest
from msgspec.structs import replace

from issuer.claims.account import Scope
from issuer.claims.fields import Permission, Permissions, TimeRange
from issuer.claims.user import UserTemplate, new_scoped_user
from issuer.keys.nkeys import Role, Seed
from issuer.keys.xkeys import seal
from issuer.subjects import Subject
from tests.system.broker.callout_scene import SUBJECT, TIMEOUT, Request, Scene, Seen, Which, Wire, refused

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
    "guest without subscriptions": Row(
        # It is asked about nonetheless, and let in, and closed a moment later.
        GOOD,
        inside(lines=("-ERR 'maximum subscriptions exceeded'",)),
        guest(subs=0),
    ),
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


@pytest.fixture(scope="module", params=["real", "ours"])
def which(request: pytest.FixtureRequest) -> Which:
    found: Which = request.param
    return found


@pytest.fixture(scope="module")
def shared(which: Which) -> Iterator[Scene]:
    """A scene that nobody changes."""
    with Scene() as scene:
        scene.play(which)
        yield scene


@pytest.fixture(scope="module")
def shared_sealed(which: Which) -> Iterator[Scene]:
    """The same with a curve key."""
    with Scene(xkey=True) as scene:
        scene.play(which)
        yield scene


@pytest.fixture
def own(which: Which) -> Iterator[Callable[..., Scene]]:
    """A scene for one test; `play` it when its claims are said."""
    made: list[Scene] = []

    def make(**options: Any) -> Scene:
        scene = Scene(**options)
        made.append(scene)
        return scene

    try:
        yield make
    finally:
        for scene in made:
            scene.__exit__()


def attempt(scene: Scene, row: Row) -> tuple[Wire, Seen]:
    plays = row.answer if isinstance(row.answer, Sequence) else (row.answer,)
    return scene.attempt(lambda request: [play(scene, request) for play in plays], **row.said(scene))


@pytest.mark.parametrize("name", ROWS)
def test_who_comes_in(shared: Scene, name: str) -> None:
    wire, seen = attempt(shared, ROWS[name])
    wire.close()
    assert seen == ROWS[name].expected


# --- sealed ----------------------------------------------------------------------------------------


def sealed(play: Play) -> Play:
    return lambda scene, request: scene.sealed(request, play(scene, request))


SEALED: dict[str, Row] = {
    "plain": Row(GOOD, inside()),
    "plain, by nobody": Row(outer(""), refused(UNKNOWN)),
    "sealed": Row(sealed(GOOD), inside()),
    "sealed, by nobody": Row(sealed(outer("")), inside()),
    "sealed, by nobody for A": Row(sealed(outer("", "A")), inside()),
    "sealed, by nobody for C": Row(sealed(outer("", "C")), inside()),
    "sealed, user by nobody": Row(sealed(inner("")), not_allowed(STRANGER.public)),
    "sealed error": Row(
        sealed(response(error="no", by=STRANGER)), refused("Auth callout service returned an error: no")
    ),
    "sealed, of no account": Row(
        sealed(around(issuer_account="x")), refused(INVALID + "issuer_account is not an account public key")
    ),
    "sealed garbage": Row(sealed(raw(b"garbage")), refused("Expected 3 chunks")),
    "sealed nothing": Row(sealed(raw(b"")), refused("Expected 3 chunks")),
    "garbage": Row(raw(b"garbage"), refused(BROKEN + "encrypted input is not valid")),
    "version alone": Row(raw(b"xkv1"), refused(BROKEN + "encrypted input is not valid")),
    "altered": Row(
        lambda scene, request: sealed(GOOD)(scene, request)[:-1] + b"x",
        refused(BROKEN + "could not decrypt input"),
    ),
    "another version": Row(
        lambda scene, request: b"xkv2" + sealed(GOOD)(scene, request)[4:],
        refused(BROKEN + "encrypted input wrong version"),
    ),
    "another key": Row(
        lambda scene, request: seal(
            GOOD(scene, request), sender=OTHER_CURVE, recipient=Seed.generate(Role.CURVE).public
        ),
        refused(BROKEN + "could not decrypt input"),
    ),
    "a blank before it": Row(
        lambda scene, request: b" " + GOOD(scene, request), refused(BROKEN + "encrypted input wrong version")
    ),
    "empty": Row(raw(b""), refused('Auth callout violation: "no reason supplied" on account "<C>"')),
}


@pytest.mark.parametrize("name", SEALED)
def test_sealed_answers(shared_sealed: Scene, name: str) -> None:
    wire, seen = attempt(shared_sealed, SEALED[name])
    wire.close()
    assert seen == SEALED[name].expected


def test_a_sealed_question_says_to_whom_the_answer_is_sealed(shared_sealed: Scene) -> None:
    wire, _ = attempt(shared_sealed, SEALED["sealed"])
    message, claims = shared_sealed.requests[-1].message, shared_sealed.requests[-1].claims
    xkey = wire.info["xkey"]
    assert message.headers == f"NATS/1.0\r\nNats-Server-Xkey: {xkey}\r\n\r\n".encode()
    assert message.payload.startswith(b"xkv1")
    assert claims.nats.server_id.xkey == xkey


# --- the question ----------------------------------------------------------------------------------


def test_what_the_service_is_asked(shared: Scene) -> None:
    wire, _ = attempt(
        shared, Row(GOOD, inside(), lambda _: {"user": "bob", "pass": "pw", "name": "app", "auth_token": "t"})
    )
    request = shared.requests[-1]
    claims = request.claims
    assert claims.aud == "nats-authorization-request"
    assert claims.sub == shared.key("C")
    assert claims.iss == claims.nats.server_id.id == wire.info["server_id"]
    assert claims.exp - claims.iat in {0, 1}
    server = claims.nats.server_id
    assert (server.name, server.host) == (wire.info["server_name"], wire.info["host"])
    assert (server.version, server.cluster, server.tags, server.xkey) == ("2.15.1", "", (), "")
    info = claims.nats.client_info
    assert (info.host, info.id) == ("127.0.0.1", wire.info["client_id"])
    assert (info.user, info.name, info.tags, info.name_tag) == ("bob", "app", ("door:front",), "sentinel")
    assert (info.kind, info.type, info.mqtt_id, info.nonce) == ("Client", "nats", "", "")
    said = claims.nats.connect_opts
    assert (said.jwt, said.nkey, said.sig, said.auth_token) == (shared.sentinel_token, "", "", "t")
    assert (said.user, said.password, said.name) == ("bob", "pw", "app")
    assert (said.lang, said.version, said.protocol) == ("test", "", 1)
    assert claims.nats.client_tls is None
    words = request.message.reply.split(".")
    assert words[:2] == ["$SYS", "_INBOX"]
    assert [len(word) for word in words[2:]] == [8, 8]


@pytest.mark.parametrize(
    ("said", "user"),
    [({"nkey": "N", "user": "u"}, "N"), ({"user": "u"}, "u"), ({"auth_token": "t"}, None), ({}, None)],
)
def test_under_which_name(shared: Scene, said: dict[str, str], user: str | None) -> None:
    attempt(shared, Row(GOOD, inside(), lambda _: said))
    assert shared.requests[-1].claims.nats.client_info.user == (user or shared.sentinel.public)


def test_the_nonce_of_a_signature(shared: Scene) -> None:
    wire, _ = attempt(shared, ROWS["signature of a bearer"])
    claims = shared.requests[-1].claims.nats
    assert (claims.client_info.nonce, claims.connect_opts.sig) == (wire.info["nonce"], "AAAA")


@pytest.mark.parametrize(
    "said", [{"jwt": ""}, {"jwt": "opaque"}, {"jwt": "", "user": "bob", "pass": "x"}], ids=str
)
def test_the_default_token_is_asked_about(own: Callable[..., Scene], which: Which, said: Any) -> None:
    scene = own()
    scene.play(which, extra=f'default_sentinel: {scene.sentinel_token}\nserver_tags: ["a:b"]')
    _, seen = attempt(scene, Row(GOOD, inside(), lambda _: said))
    assert seen == inside()
    claims = scene.requests[-1].claims.nats
    assert claims.connect_opts.jwt == scene.sentinel_token
    assert claims.client_info.user == said.get("user", scene.sentinel.public)
    assert claims.server_id.tags == ("a:b",)


# --- once it is in ---------------------------------------------------------------------------------


def test_its_own_limits_do_not_hold_its_permissions_do(shared: Scene) -> None:
    play = inner(subs=1, payload=4, data=1, pub=Permission(allow=(Subject("ok.>"),)))
    wire, _ = attempt(shared, Row(play, inside()))
    assert wire.ask("SUB a 1", "SUB b 2", "PUB ok.a 6\r\n123456") == []
    assert wire.ask("PUB no 1\r\nx") == ["-ERR 'Permissions Violation for Publish to \"no\"'"]


def test_limits_of_nothing_do_not_hold_either(shared: Scene) -> None:
    wire, _ = attempt(shared, Row(inner(subs=0, payload=0), inside()))
    assert wire.ask("SUB a 1", "PUB b 6\r\n123456") == []


def test_the_limits_of_the_token_it_came_with_do_not_hold(shared: Scene) -> None:
    wire, _ = attempt(shared, Row(GOOD, inside(), guest(subs=1, payload=4)))
    assert wire.ask("SUB a 1", "SUB b 2", "PUB ok.a 6\r\n123456") == []


def test_a_token_without_subscriptions_ends_it_a_moment_later(shared: Scene) -> None:
    wire, seen = attempt(shared, ROWS["guest without subscriptions"])
    assert seen.account == "A"
    assert wire.until_pong() == ["closed"]


def test_a_roles_permissions_hold_and_not_its_limits(shared: Scene) -> None:
    wire, _ = attempt(shared, ROWS["role"])
    assert wire.ask("SUB role.a 1", "SUB role.b 2", "PUB role.x 6\r\n123456") == []
    assert wire.ask("PUB no 1\r\nx", "SUB no 3") == [
        "-ERR 'Permissions Violation for Publish to \"no\"'",
        "-ERR 'Permissions Violation for Subscription to \"no\"'",
    ]


DENIED: Final = f"-ERR 'Permissions Violation for Publish to \"{SUBJECT}\"'"


def test_nobody_in_the_account_may_ask_in_the_servers_name(shared: Scene) -> None:
    wire, _ = attempt(shared, ROWS["in C"])
    assert wire.ask(f"PUB {SUBJECT} 1\r\nx", "PUB other 1\r\nx", f"SUB {SUBJECT} 1") == [DENIED]
    wire.close()
    wire = shared.member("C", shared.service)
    assert wire.ask(f"PUB {SUBJECT} 1\r\nx") == [DENIED]
    wire.close()
    wire, _ = attempt(shared, ROWS["good"])
    assert wire.ask(f"PUB {SUBJECT} 1\r\nx") == []


def test_its_time_is_over(shared: Scene) -> None:
    wire, _ = attempt(shared, Row(inner(lasts=1), inside()))
    assert wire.until_pong() == ["-ERR 'User Authentication Expired'", "closed"]


@pytest.mark.parametrize("given", [None, 100])
def test_the_time_of_the_token_it_came_with_is_over(shared: Scene, given: int | None) -> None:
    row = Row(
        inner(lasts=given),
        inside(),
        lambda scene: {"jwt": scene.guest(exp=soon(1))},
    )
    wire, _ = attempt(shared, row)
    assert wire.until_pong() == ["-ERR 'User Authentication Expired'", "closed"]


def test_a_second_connect_asks_again(shared: Scene) -> None:
    wire, _ = attempt(shared, ROWS["in C"])
    before = len(shared.requests)
    shared.answer = lambda request: [inner()(shared, request)]
    wire.connect()
    assert wire.until_pong() == ["PONG"]
    assert len(shared.requests) == before + 1


# --- accounts as they are --------------------------------------------------------------------------


def test_the_accounts_limits_and_defaults_hold(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    limits = replace(scene.claims["A"].nats.limits, payload=5, subs=1, disallow_bearer=True)
    defaults = Permissions(pub=Permission(deny=(Subject("no.>"),)))
    scene.change("A", limits=limits, default_permissions=defaults, revocations={"*": soon(5)})
    scene.play(which)
    wire, seen = attempt(scene, Row(inner(bearer_token=True), inside()))
    assert seen == inside()
    assert wire.ask("PUB no.x 1\r\nx", "SUB a 1", "SUB b 2") == [
        "-ERR 'Permissions Violation for Publish to \"no.x\"'",
        "-ERR 'maximum subscriptions exceeded'",
    ]
    assert wire.ask("PUB x 6\r\n123456") == ["-ERR 'Maximum Payload Violation'", "closed"]


TEMPLATES: dict[str, tuple[UserTemplate, Seen]] = {
    "hours": (UserTemplate(times=NIGHT, times_location="UTC"), inside()),
    "ways": (UserTemplate(allowed_connection_types=("FOO",)), inside()),
    "networks": (UserTemplate(src=("10.0.0.0/8",)), inside()),
    "bearer": (UserTemplate(bearer_token=True, subs=1, payload=1), inside()),
    "proxy": (
        UserTemplate(proxy_required=True),
        refused("Proxy connection required", closed="Proxy Required"),
    ),
    "function": (
        UserTemplate(proxy_required=True, pub=Permission(allow=(Subject("u.{{nope()}}"),))),
        refused(
            'User JWT generated invalid permissions: template operation in "u.{{nope()}}": '
            '"nope()" is not defined'
        ),
    ),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_of_a_roles_template_is_asked(own: Callable[..., Scene], which: Which, name: str) -> None:
    template, expected = TEMPLATES[name]
    scene = own()
    scope = Scope(kind="user_scope", key=scene.house("A").role.public, role="r", template=template)
    scene.change("A", signing_keys=(scope,))
    scene.play(which)
    assert attempt(scene, Row(role(), expected))[1] == expected


@pytest.mark.parametrize(
    ("allowed", "signer", "expected"),
    [
        (("*",), "B", inside("B")),
        (("*",), "S", inside("S")),
        ((), "A", not_allowed("<A>")),
        ((), "C", inside("C")),
        (
            ("*",),
            "",
            refused(
                f'No valid account "{STRANGER.public}" for auth callout response on account "<C>": '
                "account missing"
            ),
        ),
    ],
)
def test_where_it_may_place(
    own: Callable[..., Scene], which: Which, allowed: tuple[str, ...], signer: str, expected: Seen
) -> None:
    scene = own(allowed=allowed)
    scene.play(which)
    assert attempt(scene, Row(inner(signer), expected))[1] == expected


@pytest.mark.parametrize(
    ("play", "expected"),
    [
        (outer("C", ""), not_known("<A>")),
        (inner("A", "A"), not_known("<A>")),
        (inner("A.signing", "A"), inside()),
    ],
    ids=["identity key", "identity key, named", "signing key"],
)
def test_where_identity_keys_may_not_sign(
    own: Callable[..., Scene], which: Which, play: Play, expected: Seen
) -> None:
    scene = own(strict=True)
    scene.play(which)
    assert attempt(scene, Row(play, expected))[1] == expected
    # The identity key of the callout's account may speak all the same; its users may not come.
    by_identity = guest_by("C")
    assert attempt(scene, Row(GOOD, IN_VAIN, by_identity))[1] == IN_VAIN


def test_a_revoked_guest_and_a_bearer_not_wanted(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    scene.change("C", revocations={scene.sentinel.public: soon(5)})
    scene.play(which)
    assert attempt(scene, ROWS["good"])[1] == IN_VAIN
    limits = replace(scene.claims["C"].nats.limits, disallow_bearer=True)
    scene.change("C", revocations={}, limits=limits)
    scene.push("C")
    assert attempt(scene, ROWS["good"])[1] == IN_VAIN


GUESTS: dict[str, tuple[UserTemplate, Seen]] = {
    "good": (UserTemplate(bearer_token=True), inside()),
    "proxy": (
        UserTemplate(bearer_token=True, proxy_required=True),
        refused("", waited=True, last="$G", closed="Proxy Required", requests=0),
    ),
    "function": (
        UserTemplate(bearer_token=True, pub=Permission(allow=(Subject("u.{{nope()}}"),))),
        IN_VAIN,
    ),
}


@pytest.mark.parametrize("name", GUESTS)
def test_a_guest_of_a_role(own: Callable[..., Scene], which: Which, name: str) -> None:
    template, expected = GUESTS[name]
    scene = own()
    scope = Scope(kind="user_scope", key=scene.house("C").role.public, role="r", template=template)
    scene.change("C", signing_keys=(scope,))
    scene.play(which)
    assert attempt(scene, Row(GOOD, expected, guest_of_role))[1] == expected


# --- changes ---------------------------------------------------------------------------------------


def test_revocation_in_the_target_acts_at_the_next_push(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    scene.play(which)
    wire, _ = attempt(scene, ROWS["good"])
    scene.change("A", revocations={"*": soon(5)})
    scene.push("A")
    assert wire.until_pong() == ["-ERR 'User Authentication Revoked'", "closed"]
    wire, seen = attempt(scene, ROWS["good"])
    assert seen == inside()
    scene.change("A", description="again")
    scene.push("A")
    assert wire.until_pong() == ["-ERR 'User Authentication Revoked'", "closed"]


def test_what_a_push_of_the_target_leaves_alone(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    scene.play(which)
    wire, _ = attempt(
        scene, Row(inner(subs=1, payload=4, bearer_token=True), inside(), guest(subs=1, payload=4))
    )
    assert wire.ask("SUB a 1", "SUB b 2") == []
    limits = replace(scene.claims["A"].nats.limits, disallow_bearer=True)
    scene.change("A", description="new", limits=limits)
    scene.push("A")
    assert wire.ask("PUB x 6\r\n123456", "SUB c 3") == []


def test_another_template_for_the_role_ends_it(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    scene.play(which)
    wire, _ = attempt(scene, ROWS["role"])
    scope = Scope(kind="user_scope", key=scene.house("A").role.public, role="r", template=UserTemplate())
    scene.change("A", signing_keys=(scope,))
    scene.push("A")
    assert wire.until_pong() == ["closed"]


def test_switched_off_and_on_again(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    scene.play(which)
    scene.callout(on=False)
    scene.push("C")
    wire, seen = attempt(scene, Row(GOOD, inside("C", requests=0), guest()))
    assert seen == inside("C", requests=0)
    assert wire.ask(f"PUB {SUBJECT} 1\r\nx") == []
    scene.callout(allowed=("A",))
    scene.push("C")
    assert wire.ask(f"PUB {SUBJECT} 1\r\nx") == []
    assert attempt(scene, ROWS["good"])[1] == inside()


def test_new_default_permissions_forget_what_was_forbidden(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    scene.play(which)
    wire, _ = attempt(scene, ROWS["in C"])
    assert wire.ask(f"PUB {SUBJECT} 1\r\nx") == [DENIED]
    scene.change("C", default_permissions=Permissions(pub=Permission(deny=(Subject("no.>"),))))
    scene.push("C")
    assert wire.ask(f"PUB {SUBJECT} 1\r\nx", "PUB no.x 1\r\nx") == [
        "-ERR 'Permissions Violation for Publish to \"no.x\"'"
    ]


# --- while it waits --------------------------------------------------------------------------------


class Waiting:
    """An attempt whose answer is held back."""

    def __init__(self, scene: Scene, play: Play = GOOD, *, seconds: float = TIMEOUT / 2) -> None:
        self._found: list[Seen] = []
        asked = threading.Event()

        def answer(request: Request) -> Sequence[bytes]:
            asked.set()
            time.sleep(seconds)
            return [play(scene, request)]

        def run() -> None:
            self._found.append(scene.attempt(answer)[1])

        self._thread = threading.Thread(target=run)
        self._thread.start()
        assert asked.wait(5)

    def seen(self) -> Seen:
        self._thread.join()
        return self._found[0]


def test_revoked_while_it_waits(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    scene.play(which)
    waiting = Waiting(scene)
    scene.change("C", revocations={scene.sentinel.public: soon(0)})
    scene.push("C")
    seen = waiting.seen()
    assert seen.lines == ("-ERR 'User Authentication Revoked'", "closed")


def test_switched_off_while_it_waits(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    scene.play(which)
    waiting = Waiting(scene)
    scene.callout(on=False)
    scene.push("C")
    assert waiting.seen() == not_allowed("<A>")


def test_it_counts_in_the_callouts_account_while_it_waits(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    limits = replace(scene.claims["C"].nats.limits, conn=2)
    scene.change("C", limits=limits)
    scene.play(which)
    waiting = Waiting(scene)
    late = scene.wire(jwt=scene.sentinel_token)
    late.connect()
    assert late.until_pong() == [f"-ERR '{FULL}'", "closed"]
    assert waiting.seen().account == "A"


def test_too_late(own: Callable[..., Scene], which: Which) -> None:
    scene = own()
    scene.play(which)
    waiting = Waiting(scene, seconds=TIMEOUT * 1.5)
    seen = waiting.seen()
    # The service is still busy with its answer when the event comes.
    assert with_members(seen, reason="") == refused("", waited=True)
    time.sleep(TIMEOUT)
    assert attempt(scene, ROWS["good"])[1] == inside()
