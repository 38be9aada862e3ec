"""Pieces that the themes draw their cases from.

Alphabets are tiny, so that what is drawn apart meets: a subject and a permission, a revocation and
the second of a token. Times are far from the seconds at which something would change, except in the
theme of times, whose cases begin with a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.conformance.hosts import UNLIMITED, WIDE
from tests.conformance.model import OPTIONS, Ask, Connect, Op, Pub, Send, Step, Sub, Token, Unsub

T = TypeVar("T")

LETTERS: Final = ("a", "b", "c")
ODD_SUBJECTS: Final = (
    "a..b",
    ".a",
    "a.",
    ".",
    "a.>.b",
    "a*",
    "a.*b",
    ">a",
    "a.>",
    "*.>",
    "a.**",
    "é",
    "$SYS.a",
    "_R_.a",
    "a/b",
)
FAR: Final = 100_000


def chance(draw: DrawFn, percent: int) -> bool:
    """True about so often; shrinks to False."""
    return draw(st.integers(0, 99)) >= 100 - percent


def maybe(draw: DrawFn, percent: int, value: SearchStrategy[T], otherwise: T) -> T:
    return draw(value) if chance(draw, percent) else otherwise


literal: Final = st.one_of(
    st.sampled_from(LETTERS),
    st.lists(st.sampled_from(LETTERS), min_size=2, max_size=3).map(".".join),
)


@st.composite
def pattern(draw: DrawFn) -> str:
    """A subject with a wildcard in most cases."""
    tokens = draw(st.lists(st.sampled_from(("a", "b", "*")), min_size=0, max_size=2))
    last = draw(st.sampled_from((">", "a", "*", "b", "c")))
    return ".".join([*tokens, last])


either: Final = st.one_of(literal, pattern())
odd: Final = st.one_of(literal, pattern(), st.sampled_from(ODD_SUBJECTS))
queue_name: Final = st.sampled_from(("q", "p", "q.a", "p.a"))
queue_pattern: Final = st.sampled_from(("q", "p", "q.*", "*.a", "q.>", "*", ">", "q*"))
payload: Final = st.sampled_from(("", "x", "hello", "0123456789"))


@st.composite
def entries(draw: DrawFn, *, most: int = 3, queues: int = 0) -> list[str]:
    """Subjects of a permission; some percent name a queue."""
    return [
        f"{subject} {draw(queue_pattern)}" if chance(draw, queues) else subject
        for subject in draw(st.lists(either, max_size=most, unique=True))
    ]


@st.composite
def permission(draw: DrawFn, *, queues: int = 0) -> dict[str, Any]:
    allow = draw(entries(most=3, queues=queues))
    deny = draw(entries(most=2, queues=queues)) if chance(draw, 60) else []
    return {name: value for name, value in (("allow", allow), ("deny", deny)) if value}


responses: Final[SearchStrategy[dict[str, int]]] = st.fixed_dictionaries(
    {
        "max": st.sampled_from((1, 2, 0, -1, 3)),
        "ttl": st.sampled_from((0, 60_000_000_000, -1)),
    }
)


@st.composite
def permissions(draw: DrawFn, *, queues: int = 0, resp: int = 10) -> dict[str, Any]:
    """`pub`, `sub` and `resp` as they stand in a user or a template; any may be missing."""
    found: dict[str, Any] = {}
    if chance(draw, 70):
        found["pub"] = draw(permission())
    if chance(draw, 80):
        found["sub"] = draw(permission(queues=queues))
    if chance(draw, resp):
        found["resp"] = draw(responses)
    return {name: value for name, value in found.items() if value}


def account(label: str = "A", *, signer: str = "O", **nats: Any) -> Token:
    """An account without limits, unless `nats` says otherwise."""
    return Token(signer=signer, sub=label, name=label.lower(), nats={"limits": dict(WIDE), **nats})


def user(label: str, account_label: str = "A", *, key: str = "", **nats: Any) -> Token:
    """A user without limits of its own; `key` is the signing key of its account that signed it."""
    body: dict[str, Any] = {**UNLIMITED, **nats}
    if key:
        body.setdefault("issuer_account", f"{{{account_label}}}")
    return Token(signer=f"{account_label}.{key}" if key else account_label, sub=label, name=label, nats=body)


def scoped_user(label: str, account_label: str, key: str, **nats: Any) -> Token:
    """A user of a role: it brings nothing of its own."""
    body = {"issuer_account": f"{{{account_label}}}", **nats}
    return Token(signer=f"{account_label}.{key}", sub=label, name=label, nats=body)


def scope(account_label: str, key: str, **template: Any) -> dict[str, Any]:
    return {
        "kind": "user_scope",
        "key": f"{{{account_label}.{key}}}",
        "role": key,
        "template": {**UNLIMITED, **template},
    }


def connect(client: str, user_label: str | None = None, **options: Any) -> Connect:
    """As well-behaved clients do; an option of None is left out."""
    members = {name: value for name, value in {**OPTIONS, **options}.items() if value is not None}
    return Connect(client=client, user=user_label or client, options=members)


@st.composite
def publication(
    draw: DrawFn,
    subjects: SearchStrategy[str] = literal,
    *,
    replies: int = 20,
    headers: int = 10,
    bodies: SearchStrategy[str] = payload,
) -> Pub:
    block = None
    if chance(draw, headers):
        block = draw(st.sampled_from(("", "A: b\r\n", "A: b\r\nA: c\r\n", "x:y\r\nB:\r\n")))
    reply = draw(st.sampled_from(("r.a", "r.b", "a.b"))) if chance(draw, replies) else ""
    return Pub(draw(subjects), draw(bodies), reply, block)


@st.composite
def subscription(
    draw: DrawFn, subjects: SearchStrategy[str] = either, *, queues: int = 0, sids: int = 9
) -> Sub:
    queue = draw(queue_name) if chance(draw, queues) else ""
    return Sub(draw(subjects), str(draw(st.integers(1, sids))), queue)


@st.composite
def unsubscription(draw: DrawFn, *, sids: int = 9) -> Unsub:
    return Unsub(str(draw(st.integers(1, sids))), draw(st.sampled_from((None, 1, 2, 3, 0))))


@st.composite
def sends(
    draw: DrawFn,
    clients: tuple[str, ...],
    op: SearchStrategy[Op],
    *,
    least: int = 1,
    most: int = 6,
    ops: int = 3,
) -> list[Step]:
    """A script of writes by any of the clients."""
    steps: list[Step] = []
    for _ in range(draw(st.integers(least, most))):
        client = draw(st.sampled_from(clients))
        steps.append(Send(client, draw(st.lists(op, min_size=1, max_size=ops))))
    return steps


def numbered(steps: list[Step]) -> list[Step]:
    """With a sid of its own for each subscription: what a queue group got is told by its sids."""
    count = 0
    for step in steps:
        if isinstance(step, Send):
            for op in step.ops:
                if isinstance(op, Sub):
                    count += 1
                    op.sid = str(count)
    return steps


@st.composite
def questions(
    draw: DrawFn, clients: tuple[str, ...], accounts: tuple[str, ...], *, percent: int = 25
) -> list[Step]:
    """Now and then somebody asks the server what it knows."""
    if not chance(draw, percent):
        return []
    if chance(draw, 50):
        subject = draw(
            st.sampled_from(("$SYS.REQ.USER.INFO", "$SYS.REQ.USER.INFO", "$SYS.REQ.ACCOUNT.PING.STATZ"))
        )
        return [Ask(draw(st.sampled_from(clients)), subject)]
    return [
        Ask(
            "",
            f"$SYS.REQ.ACCOUNT.{{{draw(st.sampled_from(accounts))}}}.{draw(st.sampled_from(('INFO', 'INFO', 'CLAIMS.LOOKUP')))}",
        )
    ]


def changed(nats: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A token's body with other members; None takes one away."""
    return {name: value for name, value in {**nats, **fields}.items() if value is not None}


Strategy = Callable[[], SearchStrategy[Any]]
