"""What a person reads of a bundle: HTML without script, from the events of the period."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from html import escape
from itertools import islice
from typing import Any, Final

import msgspec

from issuer.audit.catalogue import CATALOGUE, EventCode
from issuer.audit.evidence.bundle import Evidence, Report
from issuer.audit.log import Body, commitments_of, opened
from issuer.store import persons
from issuer.store.spans import bodies_with
from issuer.store.unit import Unit

_DECODER: Final = msgspec.json.Decoder(Body)
_BATCH: Final = 500
_STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1b1b1b}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;"
    "border-bottom:1px solid #ccc;vertical-align:top;overflow-wrap:anywhere}th{background:#f3f3f3}"
    "@media print{body{margin:0;max-width:none}tr{break-inside:avoid}thead{display:table-header-group}}"
)
_GIVEN: Final = ("user.issued", "user.adopted", "user.changed", "user.restored", "account.created",
                 "account.adopted", "account.changed", "activation.issued", "activation.restored",
                 "identity.restored", "policy.changed", "operator.%")  # fmt: skip
_TAKEN: Final = ("user.revoked", "user.deleted", "account.deleted", "activation.revoked", "identity.denied")
_REFUSED: Final = ("act.refused", "act.failed", "login.refused", "delivery.refused", "delivery.foreign",
                   "delivery.lost")  # fmt: skip
_KEYS: Final = ("key.%", "creds.%", "custody.%", "log.%", "token.%", "export.%", "evidence.%", "person.%")
_PROOF: Final = ("delivery.proved", "account.deletion-proved", "identity.evicted")

Row = tuple[object, ...]


def reports(*, people: bool) -> list[Report]:
    """Every report, by the name of its file. With `people` it says in clear who is not erased."""

    def events(unit: Unit, evidence: Evidence, codes: Iterable[str]) -> Iterator[Body]:
        return _events(unit, evidence, tuple(codes), people=people)

    def listing(title: str, words: str, *codes: str) -> Callable[[Unit, Evidence], Iterator[bytes]]:
        def write(unit: Unit, evidence: Evidence) -> Iterator[bytes]:
            rows = map(_row, events(unit, evidence, codes))
            return _page(title, words, ("Event", "When", "What", "Of", "By", "Why", "Details"), rows)

        return write

    def access(_: Unit, evidence: Evidence) -> Iterator[bytes]:
        return _page(
            "Who has access",
            "Operators, accounts and users whose tokens were in force at the end of the period, and the "
            "event that gave each its token.",
            ("Kind", "Key", "Account", "Token (SHA-256)", "Event"),
            _heads(evidence),
        )

    def taken(unit: Unit, evidence: Evidence) -> Iterator[bytes]:
        return _page(
            "Access taken away",
            "Each decision, and when every server was first proved to follow it: acknowledged, read back, "
            "and no session left.",
            ("Event", "Decided", "What", "Of", "By", "Why", "In force everywhere", "Proved by event"),
            _leaving(events(unit, evidence, (*_TAKEN, *_PROOF))),
        )

    def index(unit: Unit, evidence: Evidence) -> Iterator[bytes]:
        counted = Counter(body.code for body in events(unit, evidence, ("%",)))
        rows: Iterator[Row] = ((code, _title(code), count) for code, count in sorted(counted.items()))
        words = (
            f"Period {_when(evidence.period.since)} to {_when(evidence.period.until)}, "
            f"scope {evidence.scope}: events {evidence.low} to {evidence.high} of the log. "
            f"Made {_when(evidence.made_at)}. Check it with: python3 verify.py BUNDLE.zip"
        )
        return _page("Evidence", words, ("Event", "What happened", "How often"), rows, links=_LINKS)

    return [
        ("reports/index.html", index),
        ("reports/access.html", access),
        ("reports/given.html", listing("Access given and changed", "", *_GIVEN)),
        ("reports/taken.html", taken),
        ("reports/refused.html", listing("Refused and failed", "", *_REFUSED)),
        ("reports/keys.html", listing("Keys, secrets and exports", "", *_KEYS)),
    ]


_LINKS: Final = (
    ("access.html", "who has access"),
    ("given.html", "access given and changed"),
    ("taken.html", "access taken away"),
    ("refused.html", "refused and failed"),
    ("keys.html", "keys, secrets and exports"),
)


def _events(unit: Unit, evidence: Evidence, codes: tuple[str, ...], *, people: bool) -> Iterator[Body]:
    scope = evidence.scope
    found = bodies_with(unit, evidence.low, evidence.high, codes)
    while batch := [_DECODER.decode(text) for _, text in islice(found, _BATCH)]:
        clear = {}
        if people:
            wanted = {each for body in batch for each in commitments_of(body)}
            clear = {each: opening.value for each, opening in persons.openings(unit, wanted).items()}
        for body in batch:
            if scope.holds(body):
                yield opened(body, clear)


def _row(body: Body) -> Row:
    detail = ", ".join(f"{name}: {value}" for name, value in sorted(body.detail.items()) if name != "name")
    return (body.seq, _when(body.at), _title(body.code), _of(body), body.actor, body.reason, detail)


def _leaving(bodies: Iterator[Body]) -> Iterator[Row]:
    """Decisions with the proof that followed: of the account's token, or of the sessions ended."""
    waiting: dict[str, list[Body]] = {}
    for body in bodies:
        if body.code == EventCode.USER_DELETED:
            proof = "with its revocation" if body.detail.get("revoked") else "its token was not revoked"
            yield (*_row(body)[:6], proof, "")
        elif body.code in _TAKEN:
            waiting.setdefault(_proved_by(body), []).append(body)
        else:
            for decided in waiting.pop(_proves(body), []):
                seconds = body.at - decided.at
                yield (*_row(decided)[:6], f"{_when(body.at)} ({seconds} s)", body.seq)
    for left in waiting.values():
        for decided in left:
            yield (*_row(decided)[:6], "not proved in this period", "")


def _proved_by(body: Body) -> str:
    if body.code == EventCode.IDENTITY_DENIED:
        return f"denial {body.detail.get('denial')}"
    if body.code == EventCode.ACCOUNT_DELETED:
        return f"deleted {body.target}"
    return body.after


def _proves(body: Body) -> str:
    if body.code == EventCode.IDENTITY_EVICTED:
        return f"denial {body.detail.get('denial')}"
    if body.code == EventCode.ACCOUNT_DELETION_PROVED:
        return f"deleted {body.target}"
    return body.after


def _heads(evidence: Evidence) -> Iterator[Row]:
    kinds = {"O": "operator", "A": "account", "U": "user"}
    for row in evidence.last.rows():
        yield kinds[row["key"][0]], row["key"], row["account"], row["sha256"], row["seq"]


def _page(
    title: str,
    words: str,
    head: tuple[str, ...],
    rows: Iterable[Row],
    *,
    links: tuple[tuple[str, str], ...] = (("index.html", "overview"),),
) -> Iterator[bytes]:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    linked = " · ".join(f'<a href="{target}">{escape(text)}</a>' for target, text in links)
    yield (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n<p>{escape(words)}</p>\n<p>{linked}</p>\n"
        f"<table><thead><tr>{heads}</tr></thead><tbody>\n"
    ).encode()
    count = 0
    for row in rows:
        cells = "".join(f"<td>{_cell(value)}</td>" for value in row)
        yield f"<tr>{cells}</tr>\n".encode()
        count += 1
    yield f"</tbody></table>\n<p>{count} rows</p></html>\n".encode()


def _cell(value: Any) -> str:
    # What is not a character of text, or turns it round, is shown as what it is.
    text = "".join(c if c.isprintable() or c == " " else f"\\u{ord(c):04x}" for c in str(value))
    return escape(text)


def _of(body: Body) -> str:
    name = body.detail.get("name") or body.detail.get("user_name") or body.detail.get("subject") or ""
    return f"{name} {body.target}".strip()


def _title(code: str) -> str:
    return CATALOGUE[EventCode(code)].title if code in set(EventCode) else code


def _when(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
