"""Themes between accounts: streams and services, who may import them, and where messages go."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.conformance import draw as d
from tests.conformance.model import Answer, Case, Op, Pub, Send, Step, Sub, Token
from tests.conformance.themes.messages import mapping_table

EXPORTED: Final = ("a", "a.*", "a.>", "b.a", "*.b", ">", "a.*.b", "b.*")
IMPORTED: Final = ("a", "a.b", "a.*", "a.>", "b.a", "b.*", "*.b", "a.b.>", "a.*.b", "c")
LOCALS: Final = ("", "", "", "c", "c.$1", "c.*", "c.>", "c.{{wildcard(1)}}", "c.a", "b.$1.c", "a.>", "$1")


@st.composite
def activation(draw: DrawFn, subject: str, kind: str, importer: str, exporter: str) -> dict[str, Any]:
    """An activation token, mostly a good one."""
    told = draw(st.sampled_from((subject, subject, subject, ">", "a", "a.>")))
    key = "k" if d.chance(draw, 30) else ""
    nats: dict[str, Any] = {"type": "activation", "subject": told, "kind": kind}
    if key and not d.chance(draw, 15):
        nats["issuer_account"] = f"{{{exporter}}}"
    signer = f"{exporter}.{key}" if key else exporter
    if d.chance(draw, 8):
        signer = importer
    return {
        "signer": signer,
        "sub": importer if not d.chance(draw, 8) else "X",
        "nats": nats,
        "iat": draw(st.sampled_from((-100, -100, -50))),
        "exp": draw(st.sampled_from((None, None, None, d.FAR, -10))),
        "form": "sound" if not d.chance(draw, 4) else "broken-signature",
    }


@st.composite
def export(draw: DrawFn, kind: str, *, importer: str = "B") -> dict[str, Any]:
    found: dict[str, Any] = {"name": "e", "subject": draw(st.sampled_from(EXPORTED)), "type": kind}
    if d.chance(draw, 20):
        found["token_req"] = True
        if d.chance(draw, 30):
            who = draw(st.sampled_from((f"{{{importer}}}", "*")))
            found["revocations"] = {who: {"$time": draw(st.sampled_from((-200, -100, -50, 0)))}}
    elif d.chance(draw, 12):
        found["subject"] = draw(st.sampled_from(("a.*", "*.b", "a.*.b")))
        found["account_token_position"] = 1 + found["subject"].split(".").index("*")
    if kind == "service" and d.chance(draw, 40):
        found["response_type"] = draw(st.sampled_from(("Singleton", "Stream", "Chunked")))
    return found


@st.composite
def import_of(
    draw: DrawFn, exported: dict[str, Any], *, importer: str = "B", exporter: str = "A"
) -> dict[str, Any]:
    subject = exported["subject"]
    if "account_token_position" in exported and d.chance(draw, 80):
        tokens = subject.split(".")
        tokens[exported["account_token_position"] - 1] = draw(
            st.sampled_from((f"{{{importer}}}", f"{{{importer}}}", "{X}"))
        )
        subject = ".".join(tokens)
    elif d.chance(draw, 45):
        subject = draw(st.sampled_from(IMPORTED))
    kind = exported["type"] if not d.chance(draw, 4) else draw(st.sampled_from(("stream", "service")))
    found: dict[str, Any] = {"name": "i", "subject": subject, "account": f"{{{exporter}}}", "type": kind}
    local = draw(st.sampled_from(LOCALS))
    if local:
        found["local_subject"] = local
    elif d.chance(draw, 12):
        found["to"] = draw(st.sampled_from(("c", "c.a")))
    if exported.get("token_req") and d.chance(draw, 85):
        found["token"] = {"$token": draw(activation(subject, kind, importer, exporter))}
    if kind == "service" and d.chance(draw, 15):
        found["share"] = True
    return found


@st.composite
def exports_of(draw: DrawFn, kind: str, *, least: int = 0) -> list[dict[str, Any]]:
    """None of which is part of another: such claims are refused, and who imports from there waits for them."""
    first, *others = draw(st.lists(export(kind), min_size=least or 1, max_size=2))
    found = [first, *(other for other in others if not _meet(first["subject"], other["subject"]))]
    return found if least or not d.chance(draw, 15) else []


def _meet(one: str, other: str) -> bool:
    left, right = one.split("."), other.split(".")
    for mine, theirs in zip(left, right, strict=False):
        if ">" in {mine, theirs}:
            return True
        if mine != theirs and "*" not in {mine, theirs}:
            return False
    return len(left) == len(right)


@st.composite
def world(draw: DrawFn, kind: str, *, least: int = 1) -> dict[str, Token]:
    """An exporter A and an importer B; A's signing key may speak for it."""
    exports = draw(exports_of(kind, least=least))
    imports = [draw(import_of(exported)) for exported in exports if d.chance(draw, 92)]
    if len(imports) == 1 and d.chance(draw, 10):
        imports.append(draw(import_of(exports[0])))
    keys: dict[str, Any] = {"signing_keys": ["{A.k}"]} if d.chance(draw, 85) else {}
    mapped: dict[str, Any] = {}
    if d.chance(draw, 18):
        keys["mappings"] = draw(mapping_table(weighted=0))
    if d.chance(draw, 18):
        mapped["mappings"] = draw(mapping_table(weighted=0))
    return {"A": d.account("A", exports=exports, **keys), "B": d.account("B", imports=imports, **mapped)}


# Where a message may be heard or sent on either side.
SIDE: Final = st.one_of(
    d.literal,
    st.sampled_from(("a.b", "c.b", "c.a", "c", "a.a", "b.a.c", "a.{B}", "a.{B}.b", "c.a.a")),
)
HEARD: Final = st.one_of(st.sampled_from((">", "c.>", "a.>", "*", "*.*", "c.*")), d.pattern(), SIDE)


def users() -> dict[str, Token]:
    return {"u": d.user("u", "A"), "v": d.user("v", "B"), "w": d.user("w", "B")}


@st.composite
def streams(draw: DrawFn) -> Case:
    """What one account publishes, others hear, under names of their own."""
    accounts = draw(world("stream"))
    order = draw(st.permutations(("u", "v", "w")))
    steps: list[Step] = [d.connect(label) for label in order[: draw(st.integers(2, 3))]]
    op: st.SearchStrategy[Op] = st.one_of(
        d.subscription(HEARD, queues=15), d.subscription(HEARD), d.unsubscription(sids=3)
    )
    steps += draw(d.sends(("v", "w", "v", "u"), op, most=4))
    numbered = d.numbered(steps)
    many = any(
        isinstance(op, Sub) and op.queue for step in steps if isinstance(step, Send) for op in step.ops
    )
    for _ in range(draw(st.integers(1, 3))):
        pub = draw(d.publication(SIDE, replies=20))
        pub.times = 48 if many else 1
        numbered.append(Send(draw(st.sampled_from(("u", "u", "v"))), [pub]))
    return Case(theme="streams", accounts=accounts, users=users(), steps=numbered)


@st.composite
def services(draw: DrawFn) -> Case:
    """Requests into another account, and answers that find their way back."""
    accounts = draw(world("service"))
    steps: list[Step] = [
        d.connect("u"),
        d.connect("v", headers=draw(st.sampled_from((True, True, True, None)))),
    ]
    if d.chance(draw, 30):
        steps.reverse()
    listening = draw(st.lists(st.one_of(st.just(">"), HEARD), min_size=0, max_size=2))
    if listening:
        steps.append(Send("u", [Sub(subject, str(number)) for number, subject in enumerate(listening, 1)]))
    inbox = draw(st.sampled_from(("r.>", "r.a", ">", "r.*")))
    steps.append(Send("v", [Sub(inbox, "1")]))
    for _ in range(draw(st.integers(1, 4))):
        choice = draw(st.integers(0, 9))
        if choice < 6:
            pub = draw(d.publication(SIDE, replies=85))
            steps.append(Send("v" if choice else "u", [pub]))
        else:
            body = draw(st.sampled_from(("re", "re", "")))
            block = draw(st.sampled_from((None, None, "A: b\r\n")))
            answer = Answer(
                "u", body, block, back=draw(st.sampled_from((0, 0, 1))), times=draw(st.integers(1, 2))
            )
            steps.append(answer)
    if not any(isinstance(step, Answer) for step in steps):
        steps.append(Answer("u", "re"))
        steps.append(Answer("u", ""))
        steps.append(Answer("u", "late"))
    return Case(theme="services", accounts=accounts, users=users(), steps=steps)


_LINKS: Final = ("stream", "service", "service")
_ONWARD: Final = ("", "", "", "c.>", "b.>", "c.a", "c.$1")


@st.composite
def _link(draw: DrawFn, exporter: str, importer: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An export and the import of it."""
    kind = draw(st.sampled_from(_LINKS))
    subject = draw(st.sampled_from(("a", "a.*", "a.>", ">", "c.>", "c", "b.>", "c.a")))
    exported: dict[str, Any] = {"name": "e", "subject": subject, "type": kind}
    if kind == "service" and d.chance(draw, 30):
        exported["response_type"] = draw(st.sampled_from(("Stream", "Chunked")))
    imported: dict[str, Any] = {"name": "i", "subject": subject, "account": f"{{{exporter}}}", "type": kind}
    local = draw(st.sampled_from(_ONWARD))
    if local:
        imported["local_subject"] = local
    if kind == "service" and d.chance(draw, 15):
        imported["share"] = True
    return exported, imported


@st.composite
def chains(draw: DrawFn) -> Case:
    """Three accounts: what one takes from the second, a third may take from it, or not."""
    first, second = draw(_link("A", "B")), draw(_link("B", "C"))
    third = draw(_link("A", "C")) if d.chance(draw, 20) and first[0]["subject"] != ">" else None
    exports = [first[0]]
    if third is not None and not _meet(first[0]["subject"], third[0]["subject"]):
        exports.append(third[0])
    accounts = {
        "A": d.account("A", exports=exports),
        "B": d.account("B", imports=[first[1]], exports=[second[0]]),
        "C": d.account("C", imports=[second[1], *([third[1]] if third is not None else [])]),
    }
    everyone = {"u": d.user("u", "A"), "v": d.user("v", "B"), "w": d.user("w", "C")}
    steps: list[Step] = [d.connect(label) for label in draw(st.permutations(("u", "v", "w")))]
    for label in ("u", "v", "w"):
        heard = draw(st.lists(st.sampled_from((">", "a", "a.*", "c.>", "b.>", "c")), max_size=2, unique=True))
        if heard:
            steps.append(Send(label, [Sub(subject, str(number)) for number, subject in enumerate(heard, 1)]))
    steps.append(Send("w", [Sub("r.>", "8")]))
    for _ in range(draw(st.integers(1, 3))):
        sender = draw(st.sampled_from(("w", "w", "v", "u")))
        subject = draw(st.sampled_from(("a", "c", "a.b", "c.a", "c.b", "b.a", "c.a.b")))
        steps.append(Send(sender, [Pub(subject, "x", "r.a" if d.chance(draw, 70) else "")]))
        if d.chance(draw, 70):
            steps.append(Answer(draw(st.sampled_from(("u", "u", "v"))), "re", times=draw(st.integers(1, 2))))
    return Case(theme="chains", accounts=accounts, users=everyone, steps=steps)
