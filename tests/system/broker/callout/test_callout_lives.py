"""Once a callout has let somebody in, and while it is asked, on the real server and on ours (spec §6.3, §6.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as with_members
from typing import Final

import pytest
from msgspec.structs import replace

from issuer.claims.account import Scope
from issuer.claims.fields import Permission, Permissions
from issuer.claims.user import UserTemplate
from issuer.subjects import Subject
from tests.system.broker.callout.rows import (
    FULL,
    GOOD,
    IN_VAIN,
    NIGHT,
    ROWS,
    STRANGER,
    Play,
    Row,
    attempt,
    guest,
    guest_by,
    guest_of_role,
    inner,
    inside,
    not_allowed,
    not_known,
    outer,
    role,
    soon,
)
from tests.system.broker.callout.scene import SUBJECT, Scene, Seen, Which, refused
from tests.system.broker.callout.waiting import LONG, Waiting
from tests.system.broker.callout.wire import PATIENCE

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
    """The service is asked, and if it is quick, the client is in for that moment."""
    wire, seen = attempt(shared, Row(GOOD, inside(), guest(subs=0)))
    assert seen.requests == 1
    said = list(seen.lines)
    if said[-1:] != ["closed"]:
        said += wire.until_pong()
    assert said[-1] == "closed"
    # A client that is in may have asked something, and read on past the words for its answer.
    assert said[:-1] == ["-ERR 'maximum subscriptions exceeded'"] or (seen.account and said == ["closed"])


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


def until_its_end(scene: Scene, row: Callable[[int], Row]) -> list[str]:
    """What one hears who got in for some seconds; with more of them if they were over before it was in."""
    for seconds in (2, 5, 20):
        wire, seen = attempt(scene, row(seconds))
        if seen.account == "A":
            wire.patience(seconds + PATIENCE)
            return wire.until_pong()
    raise AssertionError(f"never got in: {seen}")


EXPIRED: Final = ["-ERR 'User Authentication Expired'", "closed"]


def test_its_time_is_over(shared: Scene) -> None:
    assert until_its_end(shared, lambda seconds: Row(inner(lasts=seconds), inside())) == EXPIRED


@pytest.mark.parametrize("given", [None, 100])
def test_the_time_of_the_token_it_came_with_is_over(shared: Scene, given: int | None) -> None:
    def row(seconds: int) -> Row:
        return Row(inner(lasts=given), inside(), lambda scene: {"jwt": scene.guest(exp=soon(seconds))})

    assert until_its_end(shared, row) == EXPIRED


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


def test_revoked_while_it_waits(own: Callable[..., Scene], which: Which) -> None:
    scene = own(timeout=LONG)
    scene.play(which)
    waiting = Waiting(scene)
    scene.change("C", revocations={scene.sentinel.public: soon(0)})
    scene.push("C")
    seen = waiting.seen()
    assert seen.lines == ("-ERR 'User Authentication Revoked'", "closed")


def test_switched_off_while_it_waits(own: Callable[..., Scene], which: Which) -> None:
    scene = own(timeout=LONG)
    scene.play(which)
    waiting = Waiting(scene)
    scene.callout(on=False)
    scene.push("C")
    assert waiting.seen() == not_allowed("<A>")


def test_it_counts_in_the_callouts_account_while_it_waits(own: Callable[..., Scene], which: Which) -> None:
    scene = own(timeout=LONG)
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
    waiting = Waiting(scene)
    seen = waiting.unanswered()
    # The service is still busy with its answer when the event comes.
    assert with_members(seen, reason="") == refused("", waited=True)
    waiting.answer()
    assert attempt(scene, ROWS["good"])[1] == inside()
