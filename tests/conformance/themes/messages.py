"""Themes within one account: who may send what to whom, and how it arrives."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.conformance import draw as d
from tests.conformance.hosts import SMALL, WIDE
from tests.conformance.model import Answer, Case, Op, Ping, Pub, Raw, Send, ServerKind, Step, Sub

_WATCHER: Final = Send("w", [Sub(">", "1")])


@st.composite
def permissions(draw: DrawFn) -> Case:
    """A user of drawn permissions beside one who may everything and listens to all."""
    given = draw(d.permissions())
    way = draw(st.sampled_from(("own", "own", "default", "role")))
    nats: dict[str, Any] = {}
    if way == "own":
        # Beside permissions of their own, those of the account must not count.
        if d.chance(draw, 20):
            nats["default_permissions"] = draw(d.permissions())
        user = d.user("u", **given)
    elif way == "default":
        nats["default_permissions"] = given
        user = d.user("u")
    else:
        nats["signing_keys"] = [d.scope("A", "k", **given)]
        user = d.scoped_user("u", "A", "k")
    op = st.one_of(d.publication(d.odd), d.subscription(d.odd), d.publication(), d.subscription())
    scripts = draw(d.sends(("u",), op, most=4, ops=4))
    replies = draw(d.sends(("w",), d.publication(replies=40), most=3, ops=4))
    return Case(
        theme="permissions",
        accounts={"A": d.account(**nats)},
        users={"w": d.user("w"), "u": user},
        steps=[
            d.connect("w"),
            _WATCHER,
            d.connect("u"),
            *scripts,
            *draw(d.questions(("u", "w"), ("A",), percent=15)),
            *replies,
        ],
    )


@st.composite
def queues(draw: DrawFn) -> Case:
    """Groups whose members have permissions; each message is sent so often that all who may get it do."""
    given = draw(d.permissions(queues=40, resp=0))
    members = ("u", "v", "t")[: draw(st.integers(1, 3))]
    users = {"w": d.user("w")}
    for label in members:
        users[label] = d.user(label, **(given if d.chance(draw, 60) else {}))
    echo = draw(st.booleans())
    steps: list[Step] = [d.connect("w"), *(d.connect(label, echo=echo) for label in members)]
    subs = draw(d.sends(members, d.subscription(queues=70), least=2, most=5))
    count = 64 if len(members) > 1 else 2
    sent: list[Step] = [
        Send(draw(st.sampled_from(("w", *members))), [Pub(draw(d.literal), "x", times=count)])
        for _ in range(draw(st.integers(1, 3)))
    ]
    return Case(
        theme="queues", accounts={"A": d.account()}, users=users, steps=d.numbered([*steps, *subs, *sent])
    )


@st.composite
def routing(draw: DrawFn) -> Case:
    """Subscriptions that come and go, in every spelling of CONNECT's switches."""
    users = {"u": d.user("u"), "v": d.user("v")}
    flag = st.sampled_from((True, False, None))
    flags = ("verbose", "pedantic", "echo", "headers")
    steps: list[Step] = []
    for label in users:
        options: dict[str, Any] = {name: draw(flag) for name in flags}
        steps += [d.connect(label, no_responders=False, **options)]
    op: st.SearchStrategy[Op] = st.one_of(
        d.publication(d.odd),
        d.publication(),
        d.subscription(d.odd, sids=4),
        d.subscription(sids=4),
        d.unsubscription(sids=4),
        st.builds(Ping),
    )
    script = draw(d.sends(("u", "v"), op, least=2, most=8, ops=5))
    for step in script:
        assert isinstance(step, Send)
        if d.chance(draw, 15):
            step.cuts = draw(st.lists(st.integers(1, 60), min_size=1, max_size=3))
    return Case(theme="routing", accounts={"A": d.account()}, users=users, steps=[*steps, *script])


_WORDS: Final = (
    "PUB",
    "pub",
    "HPUB",
    "SUB",
    "Sub",
    "UNSUB",
    "PING",
    "PONG",
    "INFO",
    "+OK",
    "-ERR",
    "MSG",
    "RS+",
    "CONNECT",
    "P",
    "S",
    "",
)
_ARGUMENTS: Final = (
    "a", "b", "1", "0", "2", "-1", "x", "01", "+1", "1.0", "99999999999", "{}", "{", "'x'", "a.b", ">", "a b", "\t1", " ", "  ", "é",
    "a\t2",
)  # fmt: skip
_LINES: Final = (
    "PUB a 0\n\r\n", "PUB a 0\r\n\n", "PUB a 0\r\n\r\n", "PUB a 1\r\nx\r\n", "PUB a 1\r\nxyz\r\n", "PUB  a\t1 \r\nx\r\n", "PUB a\r 1\r\nx\r\n",
    "pub a b 1\r\nx\r\n", "PUB a b c 1\r\nx\r\n", "PUB 1\r\nx\r\n", "PUB\r\n", "PUB \r\n", "PUBa 1\r\nx\r\n", "PUB a 00001\r\nx\r\n", "PUB a 0x1\r\nx\r\n",
    "PUB a 1\r\n\n\r\n", "PUB a 1\nx\r\n", "PUB a 1\nx\n", "PUB a 1\r\nx\n\r",
    "HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n", "HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n", "HPUB a 0 1\r\nx\r\n", "HPUB a 1 1\r\nx\r\n", "HPUB a 2 1\r\nxy\r\n",
    "HPUB a 3 5\r\nabcde\r\n", "HPUB a b 12 13\r\nNATS/1.0\r\n\r\nx\r\n", "HPUB a b c 12 13\r\nNATS/1.0\r\n\r\nx\r\n", "HPUB a 1\r\nx\r\n", "HPUB a x 1\r\nx\r\n",
    "hpub a 14 14\r\nNATS/1.0\r\nA\r\n\r\n", "HPUB a -1 1\r\nx\r\n",
    "SUB a 1\r\n", "SUB a 1\n", "sub  a  1  \r\n", "SUB a q 1\r\n", "SUB a q 1 2\r\n", "SUB a\r\n", "SUB\r\n", "SUB a\t1\r\n", "SUB \ta 1\r\n", "SUBa 1\r\n",
    "SUB a 1\r\r\n", "SUB a 1 \r\n", "SUB a x-y.z\r\n", "SUB a* é\r\n",
    "UNSUB 1\r\n", "UNSUB 1 1\r\n", "UNSUB 1 -1\r\n", "UNSUB 1 x\r\n", "UNSUB 1 1 1\r\n", "UNSUB\r\n", "UNSUB \r\n", "unsub  1\t2\r\n",
    "PING\r\n", "PING\n", "ping x\r\n", "PINGx\r\n", "PONG\r\n", "PONG x\r\n", "+OK\r\n", "+ok x\r\n", "+OKx\r\n", "INFO {}\r\n", "INFO\r\n", "INFO x\r\n", "info {}\n",
    "-ERR 'x'\r\n", "-ERR\r\n", "-err x\r\n", "MSG a 1 1\r\nx\r\n", "RS+ a\r\n", "LS+ a\r\n", "A+ x\r\n", "RMSG a 1\r\n", "FOO\r\n", "\r\n", "\n", " \r\n", "\0\r\n",
    "CONNECT {}\r\n", "CONNECT\r\n", "CONNECT {\r\n", "CONNECT []\r\n", "CONNECT null\r\n", 'CONNECT  {"a":1}\r\n', "connect\t{}\r\n",
)  # fmt: skip


@st.composite
def grammar(draw: DrawFn) -> Case:
    """Lines as no library writes them, before and after CONNECT."""
    steps: list[Step] = [d.connect("w"), _WATCHER]
    line = st.one_of(
        st.sampled_from(_LINES),
        st.sampled_from(_LINES),
        st.builds(
            lambda word, rest, end: f"{word} {' '.join(rest)}{end}",
            st.sampled_from(_WORDS),
            st.lists(st.sampled_from(_ARGUMENTS), max_size=4),
            st.sampled_from(("\r\n", "\n")),
        ),
    )
    verbose = draw(st.booleans())
    if d.chance(draw, 85):
        steps.append(d.connect("u", verbose=verbose, headers=draw(st.booleans()), no_responders=False))
    else:
        first = d.connect("u")
        first.instead = draw(line)
        steps.append(first)
    for _ in range(draw(st.integers(1, 4))):
        ops: list[Op] = [Raw(draw(line))]
        cuts = draw(st.lists(st.integers(1, 20), max_size=2)) if d.chance(draw, 20) else []
        steps.append(Send("u", ops, cuts))
    return Case(
        theme="grammar",
        accounts={"A": d.account()},
        users={"w": d.user("w"), "u": d.user("u")},
        steps=steps,
    )


@st.composite
def headers(draw: DrawFn) -> Case:
    """Who can read headers and who cannot; who is told that nobody listens."""
    users = {"u": d.user("u"), "v": d.user("v")}
    steps: list[Step] = []
    for label in users:
        able = draw(st.sampled_from((True, True, False, None)))
        told = draw(st.sampled_from((True, True, False, None)))
        steps.append(
            d.connect(label, headers=able, no_responders=told, echo=draw(st.sampled_from((None, False))))
        )
    reply = st.sampled_from(("r.a", "r.b", "r.*", "r.>", ">", "a"))
    op: st.SearchStrategy[Op] = st.one_of(
        d.publication(replies=80, headers=50),
        d.publication(replies=80, headers=0),
        d.subscription(reply, queues=10),
        d.subscription(st.sampled_from(("a", "a.*", "b"))),
    )
    script = draw(d.sends(("u", "v"), op, least=2, most=6, ops=3))
    return Case(
        theme="headers", accounts={"A": d.account()}, users=users, steps=d.numbered([*steps, *script])
    )


_DESTINATIONS: Final = {
    "a": ("b", "c", "a", "b.c", "a.b", "$1"),
    "a.b": ("b", "c.a", "a.b", "b.c"),
    "a.*": ("b.$1", "c", "b.{{wildcard(1)}}", "a.$1", "b.$1.c", "c.$2", "b.{{partition(3,1)}}", "b.{{left(1,1)}}", "a.*", "b.{{slice}}"),
    "*.b": ("c.$1", "b.{{wildcard(1)}}", "$1.a"),
    "*.*": ("$2.$1", "{{wildcard(2)}}.c", "b.{{partition(5,1,2)}}", "$1", "c.c"),
    "b.>": ("c.>", "c", "a.b.>", "a.c.>"),
    "a.>": ("b.>", "c", "a.>"),
    ">": ("c.>",),
}  # fmt: skip


# Which of several sources of one subject is first, servers choose by chance when they read the claims.
_SOURCES: Final = (
    *((source,) for source in _DESTINATIONS), ("a", "a.b"), ("a", "a.*"), ("a", "*.*"), ("a.b", "b.>"), ("a.*", "b.>"), ("a", "*.b"),
)  # fmt: skip


@st.composite
def mapping_table(draw: DrawFn, *, weighted: int = 15) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for source in draw(st.sampled_from(_SOURCES)):
        first = draw(st.sampled_from(_DESTINATIONS[source]))
        if d.chance(draw, weighted):
            rest = draw(st.sampled_from(_DESTINATIONS[source]))
            both = [{"subject": first, "weight": 50}]
            if rest != first and d.chance(draw, 70):
                both.append({"subject": rest, "weight": draw(st.sampled_from((30, 50)))})
            found[source] = both
        else:
            found[source] = [{"subject": first, **draw(st.sampled_from(({}, {"weight": 100})))}]
    return found


@st.composite
def mappings(draw: DrawFn) -> Case:
    """Subjects that become others, before the permission to publish is looked at."""
    table = draw(mapping_table())
    given = draw(d.permissions(resp=0)) if d.chance(draw, 50) else {}
    case = Case(
        theme="mappings",
        accounts={"A": d.account(mappings=table)},
        users={"w": d.user("w"), "u": d.user("u", **given)},
        steps=[d.connect("w"), _WATCHER, d.connect("u")],
    )
    weighted = case.weighted()
    subjects = st.one_of(d.literal, st.sampled_from(("a.b", "b.a", "a.a", "a", "b.a.c", "a.*", "a.b.c")))
    for _ in range(draw(st.integers(1, 3))):
        pubs = draw(st.lists(d.publication(subjects, replies=30), min_size=1, max_size=4))
        if weighted:
            for pub in pubs:
                pub.times = 64
        case.steps.append(Send("u", list[Op](pubs)))
    return case


@st.composite
def limits(draw: DrawFn) -> Case:
    """Subscriptions, payload, connections and the length of a line, of server, account, role and user."""
    small = st.sampled_from((-1, -1, 0, 1, 2, 3))
    sizes = st.sampled_from((-1, -1, 0, 1, 4, 5, 10, 100))
    server: ServerKind = draw(st.sampled_from(("plain", "plain", "small")))
    wide = {
        **WIDE,
        "subs": draw(small),
        "payload": draw(sizes),
        "conn": draw(st.sampled_from((-1, -1, 0, 1, 2))),
    }
    own: dict[str, Any] = {"subs": draw(small), "payload": draw(sizes)}
    nats: dict[str, Any] = {"limits": wide}
    if d.chance(draw, 25):
        nats["signing_keys"] = [d.scope("A", "k", **own)]
        users = {label: d.scoped_user(label, "A", "k") for label in ("u", "v")}
    else:
        users = {"u": d.user("u", **own), "v": d.user("v")}
    op = st.one_of(
        d.publication(
            bodies=st.sampled_from(
                ("", "x", "xxxx", "xxxxx", "0123456789", "z" * 101, "y" * SMALL, "y" * (SMALL + 1))
            )
        ),
        d.subscription(
            st.one_of(d.either, st.sampled_from(("a.b.c.a.b.c", "a.b.c.a.b.c.a", "a.b.c.a.b.c.>"))), sids=6
        ),
        d.unsubscription(sids=6),
        st.sampled_from((1390, 1399, 1400, 1401, 1500)).map(
            lambda size: Raw(f"SUB {'a' * (size - 2)} 7\r\n")
        ),
    )
    steps: list[Step] = [d.connect("u")]
    steps += draw(d.sends(("u",), op, most=3, ops=4))
    steps.append(d.connect("v"))
    if d.chance(draw, 30):
        again = d.connect("t", "u")
        steps.append(again)
    steps += draw(d.sends(("u", "v"), op, least=0, most=3, ops=4))
    return Case(theme="limits", server=server, accounts={"A": d.account(**nats)}, users=users, steps=steps)


@st.composite
def responses(draw: DrawFn) -> Case:
    """Answers that only a request allows, how many, and to what."""
    given: dict[str, Any] = {"resp": draw(d.responses)}
    if d.chance(draw, 50):
        given["pub"] = draw(d.permission())
    if d.chance(draw, 25):
        given["sub"] = draw(d.permission())
    steps: list[Step] = [
        d.connect("w"),
        _WATCHER,
        d.connect("u"),
        Send("u", [Sub("a", "1"), Sub("b.>", "2")]),
    ]
    for _ in range(draw(st.integers(1, 5))):
        if d.chance(draw, 50):
            pub = draw(d.publication(st.sampled_from(("a", "b.a", "c")), replies=85))
            steps.append(Send("w", [pub]))
        elif d.chance(draw, 70):
            steps.append(
                Answer("u", "re", back=draw(st.sampled_from((0, 0, 1))), times=draw(st.integers(1, 3)))
            )
        else:
            steps.append(
                Send("u", [draw(d.publication(st.sampled_from(("r.a", "r.b", "a", "b.a")), replies=30))])
            )
    return Case(
        theme="responses",
        accounts={"A": d.account()},
        users={"w": d.user("w"), "u": d.user("u", **given)},
        steps=steps,
    )
