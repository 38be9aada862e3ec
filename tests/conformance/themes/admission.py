"""Themes about who is let in: tokens, signatures, roles, the server's own rules, and time."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.conformance import draw as d
from tests.conformance.hosts import UNLIMITED, WIDE
from tests.conformance.model import (
    Case,
    Connect,
    Form,
    Ping,
    Pub,
    Push,
    Send,
    ServerKind,
    Signature,
    Step,
    Sub,
    Token,
    Wait,
)

_FORMS: Final[tuple[Form, ...]] = (
    "lower-header", "first", "old-algorithm", "unsigned", "foreign-signature", "broken-signature", "two-chunks", "padded", "garbage",
)  # fmt: skip
_SIGNATURES: Final[tuple[Signature, ...]] = (
    "none",
    "other-nonce",
    "other-key",
    "standard",
    "padded",
    "garbage",
    "short",
)
_OUTSIDE: Final = {"start": {"$clock": 3600}, "end": {"$clock": 7200}}
_INSIDE: Final = {"start": {"$clock": -3600}, "end": {"$clock": 3600}}
_LATER: Final = {"start": {"$clock": -7200}, "end": {"$clock": -3600}}

# What may be said of a user's token, each good or bad in its own way: (members of `nats`, fields of Token).
_USER_TWISTS: Final[tuple[tuple[dict[str, Any], dict[str, Any]], ...]] = (
    ({}, {"exp": d.FAR}), ({}, {"exp": -10}), ({}, {"exp": -10}), ({}, {"nbf": d.FAR}), ({}, {"nbf": -10}), ({}, {"nbf": -10, "exp": -5}),
    ({}, {"iat": None}), ({}, {"iat": -50}), ({}, {"iat": 500}), ({}, {"iat": -d.FAR * 1000}),
    ({"src": ["127.0.0.1/32"]}, {}), ({"src": ["10.0.0.0/8"]}, {}), ({"src": ["10.0.0.0/8", "127.0.0.0/8"]}, {}),
    ({"src": "10.0.0.0/8,127.0.0.0/8"}, {}), ({"src": "10.0.0.0/8"}, {}), ({"src": ["127.0.0.1"]}, {}), ({"src": ["x"]}, {}), ({"src": [""]}, {}), ({"src": ["::/0"]}, {}),
    ({"times": [_INSIDE], "times_location": "UTC"}, {}), ({"times": [_OUTSIDE], "times_location": "UTC"}, {}), ({"times": [_LATER]}, {}),
    ({"times": [_OUTSIDE, _INSIDE], "times_location": "UTC"}, {}), ({"times": [_INSIDE], "times_location": "Nowhere/X"}, {}),
    ({"times": [_INSIDE], "times_location": "Asia/Tokyo"}, {}), ({"times": [{"start": "x", "end": "y"}]}, {}), ({"times": [{"start": "25:00:00", "end": "26:00:00"}]}, {}),
    ({"times": [{"start": {"$clock": 3600}, "end": {"$clock": 3500}}], "times_location": "UTC"}, {}), ({"times": []}, {}), ({"times_location": "UTC"}, {}),
    ({"allowed_connection_types": ["STANDARD"]}, {}), ({"allowed_connection_types": ["WEBSOCKET"]}, {}), ({"allowed_connection_types": ["standard"]}, {}),
    ({"allowed_connection_types": ["BOGUS"]}, {}), ({"allowed_connection_types": ["BOGUS", "STANDARD"]}, {}), ({"allowed_connection_types": ["BOGUS", "MQTT"]}, {}),
    ({"bearer_token": True}, {}), ({"bearer_token": True}, {}), ({"proxy_required": True}, {}),
    ({"subs": None}, {}), ({"subs": None, "data": None, "payload": None}, {}), ({"payload": None}, {}), ({"data": 0}, {}),
    ({"pub": {"allow": ["a b"]}}, {}), ({"sub": {"allow": ["a b c"]}}, {}), ({"sub": {"allow": ["a b"]}}, {}), ({"pub": {"allow": [""]}}, {}), ({"pub": {"deny": ["a..b"]}}, {}),
    ({"pub": {"allow": [".a"]}}, {}), ({"sub": {"deny": ["a.>.b"]}}, {}),
    ({"issuer_account": "{A}"}, {}), ({"issuer_account": "{B}"}, {}), ({"issuer_account": "garbage"}, {}), ({"issuer_account": "{u}"}, {}), ({"issuer_account": "{Z}"}, {}),
    ({"issuer_account": "{A}"}, {"signer": "A.k"}), ({"issuer_account": "{A}"}, {"signer": "A.k"}), ({}, {"signer": "A.k"}), ({"issuer_account": "{A}"}, {"signer": "A.x"}),
    ({"issuer_account": "{A}"}, {"signer": "B"}), ({}, {"signer": "B"}), ({}, {"signer": "Z"}), ({}, {"signer": "O"}), ({"issuer_account": "{A}"}, {"signer": "O"}),
    ({}, {"signer": "v"}), ({}, {"sub": "A"}), ({}, {"sub": "O"}),
    ({"type": "account"}, {}), ({"type": None}, {}), ({"version": 3}, {}), ({"version": 1}, {}), ({"version": None}, {}), ({"type": "activation"}, {}),
    ({"tags": ["x", "Y:z"]}, {}), ({"extra": {"a": [1]}}, {}), ({"bearer_token": "yes"}, {}), ({"subs": "1"}, {}), ({"subs": 1.5}, {}), ({"subs": 2**63}, {}), ({"pub": []}, {}), ({"pub": None}, {}),
    ({}, {"members": {"aud": "x"}}), ({}, {"members": {"sub": None}}), ({}, {"members": {"iss": None}}), ({}, {"members": {"exp": "1"}}), ({}, {"members": {"more": 1}}),
    ({}, {"members": {"exp": -1}}), ({}, {"members": {"exp": 2**62}}), ({}, {"members": {"nats": None}}),
)  # fmt: skip

_ACCOUNT_TWISTS: Final[tuple[tuple[dict[str, Any], dict[str, Any]], ...]] = (
    ({}, {"signer": "OX"}), ({}, {"signer": "OS"}), ({}, {"signer": "OS"}), ({}, {"signer": "A"}), ({}, {"signer": "B"}), ({}, {"exp": -10}), ({}, {"exp": d.FAR}), ({}, {"nbf": d.FAR}),
    ({"revocations": {"{u}": {"$time": 0}}}, {}), ({"revocations": {"{u}": {"$time": -1}}}, {}), ({"revocations": {"*": {"$time": 0}}}, {}), ({"revocations": {"*": {"$time": -40}}}, {}),
    ({"revocations": {"{v}": {"$time": 100}}}, {}), ({"revocations": {"*": {"$time": 1000}, "{u}": {"$time": -100}}}, {}), ({"revocations": {"x": 1}}, {}),
    ({"limits": {**WIDE, "disallow_bearer": True}}, {}), ({"limits": {**WIDE, "conn": 0}}, {}), ({"limits": {**WIDE, "conn": 1}}, {}), ({"limits": None}, {}), ({"limits": {"conn": -1, "subs": -1, "payload": -1}}, {}),
    ({"limits": {**WIDE, "leaf": 0}}, {}), ({"limits": {**WIDE, "subs": 0}}, {}), ({"limits": {**WIDE, "conn": -2}}, {}),
    ({"signing_keys": []}, {}), ({"signing_keys": ["{A.k}", "{A.x}"]}, {}), ({"signing_keys": ["x"]}, {}), ({"signing_keys": [d.scope("A", "k")]}, {}), ({"signing_keys": [d.scope("A", "k"), "{A.k}"]}, {}),
    ({"default_permissions": {"pub": {"deny": ["a"]}}}, {}), ({"default_permissions": {"pub": {"allow": ["a b"]}}}, {}), ({"tags": ["T"], "description": "d", "info_url": "http://x"}, {}), ({"info_url": ":x"}, {}),
    ({"type": "user"}, {}), ({"version": 3}, {}), ({"exports": [{"subject": "a.>", "type": "stream"}]}, {}), ({"exports": [{"subject": "a..b", "type": "stream"}]}, {}), ({"exports": [{"subject": "a", "type": ""}]}, {}),
    ({"exports": [{"subject": "a.*", "type": "stream"}, {"subject": "a.>", "type": "stream"}]}, {}), ({"mappings": {"a": [{"subject": "b", "weight": 101}]}}, {}), ({"mappings": {"a": []}}, {}), ({"mappings": {"a.*": [{"subject": "b"}]}}, {}),
    ({}, {"form": "broken-signature"}), ({}, {"form": "unsigned"}), ({}, {"form": "first"}), ({}, {"form": "garbage"}), ({}, {"form": "lower-header"}), ({}, {"members": {"sub": None}}),
)  # fmt: skip

_OPTION_TWISTS: Final[tuple[dict[str, Any], ...]] = (
    {"verbose": None, "pedantic": None, "protocol": None}, {"verbose": True}, {"account": "X"}, {"new_account": True}, {"account": ""}, {"protocol": 0}, {"protocol": 2}, {"protocol": -1},
    {"headers": False}, {"headers": None}, {"no_responders": False, "headers": False}, {"user": "x"}, {"user": "x", "pass": "y"}, {"auth_token": "x"}, {"nkey": "{u}"}, {"nkey": "{v}"}, {"nkey": "x"},
    {"jwt": ""}, {"jwt": "garbage"}, {"jwt": " "}, {"sig": ""}, {"sig": "x"}, {"name": "n"}, {"name": 'a b"c'}, {"tls_required": True}, {"unknown": [1]}, {"VERBOSE": True}, {"JWT": "x"},
    {"verbose": "yes"}, {"protocol": "1"}, {"protocol": 1.5}, {"name": 5}, {"user": {}}, {"lang": ""}, {"echo": False}, {"echo": None}, {"proxy_sig": "x"}, {"import": {}}, {"pass": 5}, {"jwt": 5},
    {"version": "é\n\u2028"}, {"protocol": 99999999999999999999},
)  # fmt: skip


def twisted(token: Token, twist: tuple[dict[str, Any], dict[str, Any]]) -> Token:
    """A token with other members in its body and other fields."""
    nats, fields = twist
    made = Token(
        signer=token.signer,
        sub=token.sub,
        name=token.name,
        nats=d.changed(token.nats, **nats),
        iat=token.iat,
        exp=token.exp,
        nbf=token.nbf,
        form=token.form,
        members=token.members,
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _spin(draw: DrawFn, token: Token, twists: Any, percent: int) -> Token:
    while d.chance(draw, percent):
        token = twisted(token, draw(st.sampled_from(twists)))
        percent //= 3
    return token


@st.composite
def entrance(draw: DrawFn, client: str, user: str | None, *, percent: int = 40) -> Connect:
    """A CONNECT, perhaps not as it should be."""
    options: dict[str, Any] = {}
    signature: Signature = "good"
    while d.chance(draw, percent):
        if d.chance(draw, 35):
            signature = draw(st.sampled_from(_SIGNATURES))
        elif d.chance(draw, 10):
            user = None
        else:
            options.update(draw(st.sampled_from(_OPTION_TWISTS)))
        percent //= 3
    step = d.connect(client, user, **options)
    step.user, step.signature = user, signature
    return step


@st.composite
def admission(draw: DrawFn) -> Case:
    """One or two things out of order, in the account, the user or what the client sends."""
    server: ServerKind = draw(st.sampled_from(("plain", "plain", "strict")))
    usual = "OS" if server == "strict" and not d.chance(draw, 10) else "O"
    first = d.account("A", signer=usual, signing_keys=["{A.k}"])
    first = _spin(draw, first, _ACCOUNT_TWISTS, 35)
    own_key = "k" if server == "strict" and not d.chance(draw, 15) else ""
    users = {
        "u": _spin(draw, d.user("u", key=own_key), _USER_TWISTS, 60),
        "v": d.user("v", key=own_key),
    }
    steps: list[Step] = [draw(entrance("c", "u"))]
    steps.append(Send("c", [Pub("a", "x"), Sub("a", "1"), Pub("a", "y"), Ping()]))
    steps += draw(d.questions(("c",), ("A",), percent=12))
    if d.chance(draw, 40):
        steps.append(
            draw(entrance(draw(st.sampled_from(("c", "e"))), draw(st.sampled_from(("u", "v"))), percent=20))
        )
        steps.append(Send("c", [Pub("a", "z"), Sub("b", "2")]))
    if d.chance(draw, 8):
        bare = d.connect("f", "u")
        bare.instead = draw(
            st.sampled_from(
                (
                    "PING\r\n",
                    "SUB a 1\r\n",
                    "CONNECT {}\r\n",
                    "CONNECT \r\n",
                    'CONNECT {"verbose":\r\n',
                    "CONNECT []\r\n",
                    "CONNECT null\r\n",
                    "\r\n",
                    "GET / HTTP/1.1\r\n",
                    "C\r\n",
                )
            )
        )
        steps.append(bare)
    return Case(
        theme="admission",
        server=server,
        accounts={"A": first, "B": d.account("B", signer=usual)},
        users=users,
        steps=steps,
    )


_OWN: Final[tuple[tuple[dict[str, Any], dict[str, Any]], ...]] = (
    ({"subs": -1}, {}), ({"pub": {"allow": ["a"]}}, {}), ({"src": ["127.0.0.0/8"]}, {}), ({"bearer_token": True}, {}), ({"issuer_account": None}, {}), ({"times": []}, {}), ({"resp": {}}, {}),
    ({"pub": {}}, {}), ({"subs": 0, "data": 0, "payload": 0}, {}), ({"allowed_connection_types": ["STANDARD"]}, {}), ({"proxy_required": True}, {}), ({"src": []}, {}), ({"times_location": "UTC"}, {}),
)  # fmt: skip
_EXPANDED: Final = (
    "a.u", "a.a", "{u}.a", "a.b", "A.b", "{A}.x", "u.a", "u.b", "a.U b", "{{tag(x)}}", "a.{{tag(t)}}", "a.c", "a.a.b", "u",
)  # fmt: skip
_TEMPLATED: Final = (
    "a.{{name()}}", "a.{{tag(t)}}", "a.{{tag(T)}}", "a.{{tag(x)}}", "{{subject()}}.a", "{{account-name()}}.b", "{{account-subject()}}.>", "a.{{account-tag(t)}}", "{{name()}}.{{tag(t)}}",
    "a.{{TAG(t)}}", "a.{{nope()}}", "a.{{tag()}}", "a.{{name()}}.{{tag(x)}}.>", "{{tag(t)}}.{{tag(t)}}", "a.b", "a.>", "{{ name() }}", "a.{{tag(t)}} q", "a.{{name}}", "{{tag(s)}}",
)  # fmt: skip


@st.composite
def roles(draw: DrawFn) -> Case:
    """Users of scoped keys: the template rules, and nothing of their own may stand beside it."""

    def spaces(most: int) -> dict[str, Any]:
        return {
            name: draw(st.lists(st.sampled_from(_TEMPLATED), min_size=1, max_size=2))
            for name in ("allow", "deny")
            if d.chance(draw, most)
        }

    template: dict[str, Any] = {"pub": spaces(55), "sub": spaces(45)}
    if d.chance(draw, 35):
        template |= draw(st.sampled_from(_USER_TWISTS[10:44]))[0]
    if d.chance(draw, 10):
        template["resp"] = draw(d.responses)
    scope = d.scope("A", "k", **template)
    if d.chance(draw, 15):
        scope["template"] = d.changed(
            scope["template"],
            subs=draw(st.sampled_from((None, 0, 1))),
            data=None,
            payload=draw(st.sampled_from((None, 0, 4))),
        )
    tags = draw(
        st.lists(
            st.sampled_from(("t:a", "t:b", "T:c", "s:a.b", "s:*", "t:", "s: a", "x")), max_size=3, unique=True
        )
    )
    user = d.scoped_user("u", "A", "k", tags=tags)
    user.name = draw(st.sampled_from(("u", "u", "U b", "", "a.b", ">", "é", "*")))
    if d.chance(draw, 25):
        user = twisted(user, draw(st.sampled_from(_OWN)))
    account = d.account("A", signing_keys=[scope], tags=draw(st.sampled_from(([], ["t:a"], ["t:a", "t:b"]))))
    subjects = st.one_of(d.literal, st.sampled_from(_EXPANDED))
    steps: list[Step] = [draw(entrance("c", "u", percent=12))]
    steps += draw(
        d.sends(("c",), st.one_of(d.publication(subjects), d.subscription(subjects)), least=1, most=3, ops=4)
    )
    steps += draw(d.questions(("c",), ("A",)))
    return Case(theme="roles", accounts={"A": account}, users={"u": user, "v": d.user("v")}, steps=steps)


@st.composite
def doors(draw: DrawFn) -> Case:
    """Servers with rules of their own: pinned accounts, a token for those who have none, small limits."""
    server: ServerKind = draw(st.sampled_from(("sentinel", "sentinel", "pinned", "small")))
    users = {
        "u": _spin(draw, d.user("u"), _USER_TWISTS, 35),
        "h": Token(signer="HOST", sub="h", name="h", nats=dict(UNLIMITED)),
    }
    steps: list[Step] = []
    for client in ("c", "e")[: draw(st.integers(1, 2))]:
        step = draw(entrance(client, draw(st.sampled_from(("u", "h"))), percent=30))
        if d.chance(draw, 45):
            step.user = None
        steps.append(step)
        # The guests' account is one for all cases: each keeps to subjects with a key of its own.
        steps.append(Send(client, [Sub("{A}.a", "1"), Pub("{A}.a", "x"), Pub("c.{A}", "y"), Ping()]))
    return Case(theme="doors", server=server, accounts={"A": d.account()}, users=users, steps=steps)


# Timers count whole seconds from when a connection came: one of `_SOON` ends its first second in time for `_LATE`.
_SOON: Final = 1.4
_LATE: Final = 2.9


@st.composite
def times(draw: DrawFn) -> Case:
    """What ends at a second: users, accounts, windows of the day, activations, patience."""
    # What ends in the same second ends in any order.
    own, theirs = draw(st.permutations((1, 2)))
    ends = st.sampled_from((None, own))
    nats: dict[str, Any] = {}
    if d.chance(draw, 30):
        nats = {
            "times": [{"start": {"$clock": -600}, "end": {"$clock": own}}],
            "times_location": "UTC",
        }
    user = d.user("u", **nats)
    user.exp = draw(ends)
    if d.chance(draw, 15):
        user.exp = draw(st.sampled_from((0, -1)))
    if d.chance(draw, 10):
        user.nbf = 1
    account = d.account(
        "A",
        exports=[
            {"name": "e", "subject": "a", "type": "stream", "token_req": True},
            {"name": "s", "subject": "b", "type": "service", "token_req": True},
        ],
    )
    account.exp = draw(st.sampled_from((None, None, theirs)))
    leave: dict[str, Any] = {"signer": "A", "sub": "B", "iat": -5, "exp": draw(ends)}
    imports = [
        {
            "name": "i",
            "subject": subject,
            "type": kind,
            "account": "{A}",
            "token": {"$token": {**leave, "nats": {"type": "activation", "subject": subject, "kind": kind}}},
        }
        for subject, kind in (("a", "stream"), ("b", "service"))
    ]
    other = d.account("B", imports=imports)
    use = [
        Send("u", [Pub("a", "x")]),
        Send("w", [Pub("b", "y", "r.a")]),
    ]
    steps: list[Step] = [d.connect("u"), d.connect("w")]
    steps += [Send("u", [Sub("b", "1")]), Send("w", [Sub("a", "1"), Sub("r.a", "2")]), *use, Wait(_SOON)]
    if d.chance(draw, 35):
        renewed = twisted(account, ({}, {"exp": draw(st.sampled_from((None, d.FAR))), "iat": 1}))
        steps.append(Push("A", renewed))
    steps += [*use, draw(entrance("c", "u", percent=5))]
    if d.chance(draw, 60):
        if d.chance(draw, 25):
            steps.append(Connect(client="s", user="u", options={}, instead=""))
        steps += [Wait(_LATE), *use, d.connect("t", draw(st.sampled_from(("u", "w"))))]
    return Case(
        theme="times",
        accounts={"A": account, "B": other},
        users={"u": user, "w": d.user("w", "B")},
        steps=steps,
    )
