"""Themes about change: new claims for accounts in use, accounts that go, claims no server should take."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.conformance import draw as d
from tests.conformance.hosts import WIDE
from tests.conformance.model import (
    Answer,
    Case,
    Close,
    Delete,
    Kick,
    Op,
    Pub,
    Push,
    Send,
    ServerKind,
    Step,
    Sub,
    Token,
)
from tests.conformance.themes.admission import _ACCOUNT_TWISTS, entrance, twisted
from tests.conformance.themes.messages import mapping_table
from tests.conformance.themes.sharing import HEARD, SIDE, exports_of, import_of, users, world

_CLIENTS: Final = ("u", "v", "t", "b", "w")
_EVERYTHING: Final[dict[str, Any]] = {"sub": {"allow": [">"]}, "pub": {"allow": [">"]}}
_TEMPLATES: Final[tuple[dict[str, Any], ...]] = (
    {}, {}, {"pub": {"allow": ["a.>"]}}, {"sub": {"deny": ["b"]}}, {"subs": 1}, {"payload": 4},
)  # fmt: skip
_LIMITS: Final[tuple[dict[str, Any], ...]] = (
    {}, {"conn": 0}, {"conn": 1}, {"conn": 2}, {"conn": 3}, {"subs": 0}, {"subs": 1}, {"subs": 2}, {"payload": 0}, {"payload": 4},
    {"disallow_bearer": True}, {"conn": 2, "subs": 1}, {"payload": 10, "disallow_bearer": True}, {"leaf": 0}, {"data": 0},
)  # fmt: skip


@st.composite
def _keys(draw: DrawFn) -> list[Any]:
    """Signing keys: k is plain, s a role whose template changes."""
    found: list[Any] = []
    if d.chance(draw, 85):
        found.append("{A.k}")
    if d.chance(draw, 85):
        template: dict[str, Any] = draw(st.sampled_from(_TEMPLATES))
        found.append(d.scope("A", "s", **template))
    if d.chance(draw, 5):
        found.append("{A.x}")
    return found


_second: Final = st.sampled_from(({"$time": 0}, {"$time": -1}, {"$time": 50}, {"$time": -60}))


@st.composite
def _revocations(draw: DrawFn) -> dict[str, Any]:
    who = draw(
        st.lists(st.sampled_from(("{u}", "{v}", "{t}", "{b}", "*")), min_size=1, max_size=2, unique=True)
    )
    return {label: draw(_second) for label in who}


@st.composite
def _limits(draw: DrawFn) -> dict[str, Any]:
    changes: dict[str, Any] = draw(st.sampled_from(_LIMITS))
    return {**WIDE, **changes}


@st.composite
def change(draw: DrawFn, nats: dict[str, Any]) -> dict[str, Any]:
    """The body of the next claims."""
    kind = draw(st.integers(0, 8))
    if kind <= 1:
        return d.changed(nats, revocations=draw(st.one_of(_revocations(), _revocations(), st.none())))
    if kind == 2:
        return d.changed(nats, limits=draw(_limits()))
    if kind <= 4:
        return d.changed(
            nats,
            default_permissions=draw(st.one_of(d.permissions(resp=5), d.permissions(queues=20), st.none())),
        )
    if kind <= 6:
        return d.changed(nats, signing_keys=draw(_keys()))
    if kind == 7:
        return d.changed(nats, mappings=draw(st.one_of(mapping_table(weighted=0), st.none())))
    return d.changed(nats, description=draw(st.sampled_from(("x", "y"))), tags=["z"])


def _token(nats: dict[str, Any], number: int, **fields: Any) -> Token:
    made = Token(signer="O", sub="A", name="a", nats=nats, iat=number)
    return twisted(made, ({}, fields))


@st.composite
def live(draw: DrawFn) -> Case:
    """Users of every kind are connected while their account's claims change."""
    nats: dict[str, Any] = {"limits": dict(WIDE), "signing_keys": ["{A.k}", d.scope("A", "s")]}
    if d.chance(draw, 30):
        nats["default_permissions"] = draw(d.permissions(resp=0))
    if d.chance(draw, 30):
        nats = draw(change(nats))
    first = _token(nats, 0)
    own = draw(d.permissions(resp=5)) if d.chance(draw, 25) else {}
    everyone = {
        "u": d.user("u"),
        "v": d.user("v", key="k", **own),
        "t": d.scoped_user("t", "A", "s"),
        "b": d.user("b", bearer_token=True),
        "w": d.user("w", **(_EVERYTHING if d.chance(draw, 60) else {})),
    }
    clients = draw(st.lists(st.sampled_from(_CLIENTS), min_size=1, max_size=4, unique=True))
    steps: list[Step] = [d.connect(label) for label in clients]
    if d.chance(draw, 40):
        steps.append(d.connect("e", draw(st.sampled_from(_CLIENTS))))
        clients.append("e")
    members = tuple(clients)
    op: st.SearchStrategy[Op] = st.one_of(
        d.subscription(queues=8), d.subscription(), d.publication(replies=30)
    )
    steps += draw(
        d.sends(members, st.one_of(d.subscription(), d.subscription(queues=8)), least=1, most=4, ops=2)
    )
    for number in range(1, 1 + draw(st.integers(1, 3))):
        again = d.chance(draw, 4)
        if not again:
            nats = draw(change(nats))
            if d.chance(draw, 25):
                nats = draw(change(nats))
        token = _token(nats, number - again)
        if d.chance(draw, 10):
            spoilt = draw(st.sampled_from(_ACCOUNT_TWISTS))
            token = twisted(token, spoilt)
        steps.append(Push("A", token))
        steps += draw(d.sends(members, op, least=0, most=3, ops=2))
        steps += draw(d.questions(members, ("A",)))
        if d.chance(draw, 30):
            steps.append(d.connect("n", draw(st.sampled_from(_CLIENTS))))
    if d.chance(draw, 8):
        steps.insert(-1, Kick(members[0]) if d.chance(draw, 50) else Close(members[0]))
    steps = _reached(d.numbered(steps))
    return Case(theme="live", accounts={"A": first}, users=everyone, steps=steps)


def _reached(steps: list[Step]) -> list[Step]:
    """With messages sent so often that every member of a group gets one."""
    sent = [op for step in steps if isinstance(step, Send) for op in step.ops]
    if any(isinstance(op, Sub) and op.queue for op in sent):
        for op in sent:
            if isinstance(op, Pub):
                op.times = 48
    return steps


@st.composite
def sharing_live(draw: DrawFn) -> Case:
    """Exports and imports that come and go under open subscriptions."""
    kind = draw(st.sampled_from(("stream", "service")))
    accounts = draw(world(kind))
    steps: list[Step] = [d.connect("u"), d.connect("v")]
    steps.append(Send("u", [Sub(draw(st.sampled_from((">", "a.>", "a", "*.b"))), "1")]))
    steps.append(Send("v", [Sub(draw(HEARD), "1"), Sub("r.>", "2")]))

    def use() -> list[Step]:
        subject = draw(SIDE)
        if kind == "stream":
            return [Send("u", [Pub(subject, "x")])]
        return [Send("v", [Pub(subject, "x", "r.a")]), Answer("u", "re")]

    steps += use()
    latest = dict(accounts)
    for number in range(1, 1 + draw(st.integers(1, 3))):
        label = draw(st.sampled_from(("A", "B")))
        token = latest[label]
        if label == "A":
            exports = draw(exports_of(kind))
            if d.chance(draw, 40):
                exports = [dict(old) for old in token.nats.get("exports", ())]
                for old in exports:
                    old["token_req"] = draw(st.booleans())
                    if old["token_req"] and d.chance(draw, 40):
                        old["revocations"] = {
                            draw(st.sampled_from(("{B}", "*"))): {
                                "$time": draw(st.sampled_from((-200, -100, 0)))
                            }
                        }
            nats = d.changed(
                token.nats, exports=exports, signing_keys=draw(st.sampled_from((["{A.k}"], None)))
            )
        else:
            offered = latest["A"].nats.get("exports") or accounts["A"].nats["exports"]
            imports = [draw(import_of(exported)) for exported in offered if d.chance(draw, 70)]
            nats = d.changed(token.nats, imports=imports)
        latest[label] = twisted(
            Token(signer="O", sub=label, name=label.lower(), nats=nats), ({}, {"iat": number})
        )
        steps.append(Push(label, latest[label]))
        steps += use()
        if d.chance(draw, 25):
            steps.append(Send("v", [Sub(draw(HEARD), str(number + 2))]))
            steps += use()
        if d.chance(draw, 15):
            steps.append(d.connect("w"))
        steps += draw(d.questions(("u", "v"), ("A", "B")))
    return Case(theme="imports-live", accounts=accounts, users=users(), steps=steps)


@st.composite
def deletion(draw: DrawFn) -> Case:
    """Accounts the resolver is told to forget, and what becomes of them when they come back."""
    accounts = draw(world(draw(st.sampled_from(("stream", "service")))))
    steps: list[Step] = [
        d.connect("u"),
        d.connect("v"),
        Send("v", [Sub(">", "1")]),
        Send("u", [Sub("a", "1")]),
    ]
    for _ in range(draw(st.integers(1, 2))):
        named = draw(st.sampled_from((["A"], ["A"], ["B"], ["A", "B"], ["Z"], ["SYS"], [], ["A", "SYS"])))
        steps.append(Delete(named, draw(st.sampled_from(("O", "O", "O", "OS", "OX", "A")))))
        steps.append(Send("u", [Pub(draw(SIDE), "x")]))
        steps.append(Send("v", [Pub(draw(SIDE), "x", "r.a")]))
        steps.append(draw(entrance("w", draw(st.sampled_from(("u", "v"))), percent=5)))
        steps += draw(d.questions(("u", "v"), ("A", "B")))
        if d.chance(draw, 50):
            label = draw(st.sampled_from(("A", "B")))
            old = accounts[label]
            steps.append(Push(label, twisted(old, ({}, {"iat": draw(st.sampled_from((0, 1)))}))))
            steps += [d.connect("u"), d.connect("v"), Send("u", [Pub("a", "x")]), Send("v", [Pub("a", "x")])]
    return Case(theme="deletion", accounts=accounts, users=users(), steps=steps)


@st.composite
def resolver(draw: DrawFn) -> Case:
    """Claims that no server should take, of accounts in use, unused and unknown."""
    first = d.account("A", signing_keys=["{A.k}"])
    server: ServerKind = draw(st.sampled_from(("plain", "plain", "strict")))
    if server == "strict":
        first.signer = "OS"
    everyone = {"u": d.user("u", key="k"), "v": d.user("v"), "z": d.user("z", "Z")}
    steps: list[Step] = []
    if d.chance(draw, 70):
        steps += [d.connect("u"), Send("u", [Sub(">", "1")])]
    for number in range(1, 1 + draw(st.integers(1, 3))):
        token = twisted(first, ({}, {"iat": draw(st.sampled_from((number, number, -100)))}))
        for _ in range(draw(st.integers(1, 2))):
            token = twisted(token, draw(st.sampled_from(_ACCOUNT_TWISTS)))
        steps.append(Push("A", token))
        steps.append(Send("u", [Pub("a", "x")]))
        steps += draw(d.questions(("u",), ("A",)))
        steps.append(d.connect("n", draw(st.sampled_from(("u", "v", "u", "v", "z")))))
    return Case(theme="resolver", server=server, accounts={"A": first}, users=everyone, steps=steps)
