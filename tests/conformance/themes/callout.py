"""A theme about accounts that have somebody else decide who comes in."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.conformance import draw as d
from tests.conformance.hosts import UNLIMITED, WIDE
from tests.conformance.model import Authorize, Case, Pub, Push, Send, Step, Sub, Token
from tests.conformance.themes.admission import _USER_TWISTS, entrance, twisted
from tests.conformance.wire import ASKED

_ALLOWED: Final = ((), ("{D}",), ("{D}",), ("*",), ("{X}",), ("{D}", "{X}"))
_RIGHTS: Final[tuple[dict[str, Any], ...]] = (
    {}, {}, {"pub": {"allow": ["a"]}}, {"sub": {"deny": ["a"]}}, {"subs": 1, "payload": 1}, {"src": ["10.0.0.0/8"]}, {"bearer_token": True}, {"resp": {"max": 1, "ttl": 0}},
    {"allowed_connection_types": ["WEBSOCKET"]}, {"allowed_connection_types": ["BOGUS"]}, {"proxy_required": True}, {"tags": ["x:y"]},
)  # fmt: skip
_SCOPE: Final = d.scope("D", "s", pub={"allow": ["a", "{{name()}}.>"]})


@st.composite
def _placed(draw: DrawFn) -> Token:
    """The user an answer names."""
    target = draw(st.sampled_from(("D", "D", "D", "C", "X")))
    way = draw(st.sampled_from(("", "", "k", "s", "x")))
    nats: dict[str, Any] = {}
    if way != "s" or d.chance(draw, 20):
        nats = {**UNLIMITED, **draw(st.sampled_from(_RIGHTS))}
    if way and not d.chance(draw, 10):
        nats["issuer_account"] = f"{{{target}}}"
    user = Token(
        signer=f"{target}.{way}" if way else target,
        sub="callout",
        name=draw(st.sampled_from(("", "bob"))),
        nats=nats,
    )
    if d.chance(draw, 15):
        user = twisted(user, draw(st.sampled_from(_USER_TWISTS)))
    if d.chance(draw, 5):
        user.sub = "u"
    return user


@st.composite
def _answer(draw: DrawFn) -> Authorize:
    step = Authorize(service="svc", signer="C", user=draw(_placed()))
    fault = draw(st.integers(0, 29))
    if fault == 0:
        step.user, step.error = None, "nope"
    elif fault == 1:
        step.error = "nope"
    elif fault == 2:
        step.instead = draw(st.sampled_from(("", "x", "a.b.c", "{}")))
    elif fault == 3:
        step.sub = draw(st.sampled_from(("u", "C")))
    elif fault == 4:
        step.aud = draw(st.sampled_from(("", "x", "{C}")))
    elif fault == 5:
        step.signer = draw(st.sampled_from(("D", "X", "C.x", "O")))
    elif fault == 6:
        step.issuer_account = draw(st.sampled_from(("{C}", "{D}", "{X}", "x")))
    elif fault <= 10:
        step.signer = "C.k"
        step.issuer_account = draw(st.sampled_from(("", "{C}")))
    elif fault == 11:
        step.user = None
    return step


@st.composite
def callout(draw: DrawFn) -> Case:
    """Who is asked, what is asked, and what becomes of each answer."""
    authorization: dict[str, Any] = {
        "auth_users": ["{svc}"],
        "allowed_accounts": list(draw(st.sampled_from(_ALLOWED))),
    }
    keys: dict[str, Any] = {"signing_keys": ["{C.k}"]}
    target: dict[str, Any] = {"limits": dict(WIDE), "signing_keys": ["{D.k}", _SCOPE]}
    if d.chance(draw, 20):
        target["default_permissions"] = {"pub": {"deny": ["a"]}}
    if d.chance(draw, 10):
        target["revocations"] = {"*": {"$time": 50}}
    if d.chance(draw, 10):
        target["limits"] = {
            **WIDE,
            **draw(st.sampled_from(({"conn": 0}, {"subs": 0}, {"payload": 1}, {"disallow_bearer": True}))),
        }
    sentinel = d.user("s", "C", bearer_token=True, pub={"deny": [">"]}, sub={"deny": [">"]})
    if d.chance(draw, 15):
        sentinel = twisted(sentinel, draw(st.sampled_from(_USER_TWISTS)))
    users = {"svc": d.user("svc", "C"), "s": sentinel, "u": d.user("u", "D")}
    steps: list[Step] = [
        d.connect("svc"),
        Send("svc", [Sub(ASKED, "1")]),
        d.connect("w", "u"),
        Send("w", [Sub(">", "1")]),
    ]
    if d.chance(draw, 5):
        del steps[1]
    for client in ("c", "e")[: 1 + d.chance(draw, 25)]:
        step = draw(entrance(client, "s", percent=25))
        step.asks = True
        steps += [
            step,
            draw(_answer()),
            Send(client, [Sub("a", "1"), Sub("b", "2"), Pub("a", "xyz"), Pub("bob.a", "x")]),
        ]
    if d.chance(draw, 40):
        change: dict[str, Any] = draw(
            st.sampled_from((
                {"revocations": {"*": {"$time": 50}}}, {"revocations": {"{callout}": {"$time": 50}}}, {"signing_keys": None}, {"description": "x"}, {"limits": {**WIDE, "subs": 1}},
                {"default_permissions": {"sub": {"deny": ["a"]}}}, {"limits": {**WIDE, "disallow_bearer": True}}, {"default_permissions": None},
            ))
        )  # fmt: skip
        steps.append(Push("D", Token(signer="O", sub="D", nats=d.changed(target, **change), name="d", iat=1)))
        steps.append(Send("c", [Pub("a", "x")]))
    return Case(
        theme="callout",
        accounts={
            "C": d.account("C", authorization=authorization, **keys),
            "D": Token(signer="O", sub="D", nats=target, name="d"),
        },
        users=users,
        steps=steps,
    )
