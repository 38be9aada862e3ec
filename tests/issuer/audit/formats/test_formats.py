"""Whatever an event says, each format stays what it is: read back by somebody else's reader, or by its grammar."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from issuer.audit.catalogue import CATALOGUE, EventCode
from issuer.audit.formats.numbers import ALARMS, NUMBERS, class_id, severity
from issuer.audit.formats.record import Record
from issuer.audit.formats.sheet import COLUMNS, harmless
from issuer.audit.formats.syslog import Syslog
from issuer.audit.formats.table import FORMATS
from issuer.audit.log import Body, _clean

NASTY = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2",
    "@SUM(A1)",
    " =1",
    "\t=1",
    "\r=1",
    "\uff1d1",
    'a "quoted" cell',
    "two\nlines",
    "two\r\nlines\r",
    "a|b\\|c=d\\=e",
    ']end\\] of "data"',
    "\x01\x1b[31mred\x07",
    "\u202eright to left\u2028\u2029\ufeff",
    "half \ud83d",
    "zero\x00byte",
    "<script>alert(1)</script>",
    "x" * 1_000_000,
    "ö & ü, 字, 🙂",
    "",
    "'",
]  # fmt: skip


def record(text: str, code: EventCode = EventCode.LOGIN_REFUSED, outcome: str = "refused") -> Record:
    # As the log keeps them: what no text can hold was written otherwise.
    text = _clean(text)
    body = Body(
        actor=f"cli:{text}",
        at=1_700_000_000,
        code=code.value,
        correlation=text,
        detail={"subject": text, "address": text, "name": text, "message": text, "server": 7},
        outcome=outcome,
        previous="0" * 64,
        reason=text,
        seq=42,
        target=text,
        targets=(text,),
    )
    return Record(42, "log.example/admin/2026", "ab" * 32, json.dumps({"seq": 42}), body)


def texts() -> Any:
    strategy = st.text(max_size=200)
    return strategy | st.sampled_from(NASTY)


def nasty(function: Any) -> Any:
    for text in NASTY:
        function = example(text)(function)
    return given(texts())(function)


@nasty
def test_csv_is_rows_of_cells_and_none_is_a_formula(text: str) -> None:
    form = FORMATS["csv"]
    data = form.head() + form.render(record(text)) + form.render(record("plain"))
    csv.field_size_limit(100_000_000)  # the reader's own is less than one of ours
    rows = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
    assert [len(row) for row in rows] == [len(COLUMNS)] * 3
    assert tuple(rows[0]) == COLUMNS
    cells = dict(zip(COLUMNS, rows[1], strict=True))
    assert cells["reason"].removeprefix("'") == _clean(text) or cells["reason"] == _clean(text)
    for cell in rows[1]:
        assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"}
        assert not re.match(r"[ \u00a0]+[=+\-@]", cell)
    assert rows[2][0] == "42"


def test_a_quote_is_put_only_where_it_is_needed() -> None:
    assert [harmless(cell) for cell in ("a", "1", "=1", "'a", " -1", "a=1")] == [
        "a",
        "1",
        "'=1",
        "''a",
        "' -1",
        "a=1",
    ]


@nasty
@pytest.mark.parametrize("name", ["ecs", "cloudevents"])
def test_json_is_a_document_a_line(name: str, text: str) -> None:
    data = FORMATS[name].render(record(text))
    assert data.count(b"\n") == 1
    document = json.loads(data)
    if name == "ecs":
        assert document["event"]["reason"] == _clean(text) if text else "reason" not in document["event"]
        assert document["event"]["outcome"] == "failure"
        assert document["accredit"]["detail"]["subject"] == _clean(text)
    else:
        assert (document["specversion"], document["id"]) == ("1.0", "42")
        assert document["data"]["detail"]["subject"] == _clean(text)


# The header is seven fields parted by bars; a bar or backslash in one has a backslash before it. The extension
# is pairs; in a value `=`, backslash and ends of lines are escaped. (CEF, revision 26.)
CEF = re.compile(r"CEF:0(?:\|(?:[^|\\\n\r]|\\[|\\])*){6}\|(.*)")
PAIR = re.compile(r"(?:^| )([A-Za-z0-9]+)=((?:[^=\\\n\r]|\\[=\\nr])*?)(?=(?: [A-Za-z0-9]+=)|$)", re.DOTALL)


def cef_pairs(line: str) -> dict[str, str]:
    head = CEF.fullmatch(line)
    assert head is not None, line[:200]
    found = PAIR.findall(head[1])
    assert " ".join(f"{name}={value}" for name, value in found) == head[1]
    plain = {r"\=": "=", r"\\": "\\", r"\n": "\n", r"\r": "\r"}
    return {name: re.sub(r"\\.", lambda each: plain[each[0]], value) for name, value in found}


@nasty
def test_cef_is_a_line_of_pairs(text: str) -> None:
    data = FORMATS["cef"].render(record(text)).decode()
    assert data.endswith("\n")
    line = data.removesuffix("\n")
    assert "\n" not in line
    assert "\r" not in line
    pairs = cef_pairs(line)
    assert pairs["externalId"] == "42"
    assert pairs["act"] == "login.refused"
    assert pairs.get("reason", "") == _clean(text)[:1023]


# RFC 5424 §6: header, structured data, message.
SYSLOG = re.compile(
    rb"<(\d{1,3})>1 \S{1,32} \S{1,255} \S{1,48} \S{1,128} \S{1,32} "
    rb'\[([!#-<>-\\^-~]{1,32})((?: [!#-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*)\] \xef\xbb\xbf(.*)',
    re.DOTALL,
)


@nasty
def test_syslog_is_a_message_of_rfc_5424(text: str) -> None:
    message = Syslog("host.example").message(record(text))
    found = SYSLOG.fullmatch(message)
    assert found is not None, message[:300]
    assert found[1] == b"108"
    found[3].decode()
    assert b"\n" not in message
    assert cef_pairs(found[4].decode())["externalId"] == "42"
    assert FORMATS["syslog"].render(record(text)).count(b"\n") == 1


@pytest.mark.parametrize("host", ["a b", "ö", "a\nb"])
def test_a_host_that_is_none_is_not_said(host: str) -> None:
    assert b" - accredit - " in Syslog(host).message(record("x"))


def test_jsonl_is_what_was_hashed() -> None:
    assert FORMATS["jsonl"].render(record("x")) == b'{"seq": 42}\n'


def test_every_event_has_a_number_of_its_own() -> None:
    assert set(NUMBERS) == set(EventCode)
    assert len(set(NUMBERS.values())) == len(NUMBERS)
    assert all(1000 <= number <= 9999 for number in NUMBERS.values())
    # A group has its hundred.
    hundreds: dict[str, set[int]] = {}
    for code, number in NUMBERS.items():
        hundreds.setdefault(code.partition(".")[0], set()).add(number // 100)
    assert all(len(each) == 1 for each in hundreds.values())
    assert {code.value for code in CATALOGUE} >= ALARMS


@pytest.mark.parametrize(
    ("code", "outcome", "number", "level"),
    [
        ("account.created", "done", "ACC1003I", 3),
        ("act.refused", "refused", "ACC1102W", 5),
        ("act.failed", "failed", "ACC1101E", 7),
        ("delivery.foreign", "done", "ACC1502I", 8),
    ],
)
def test_numbers_and_levels(code: str, outcome: str, number: str, level: int) -> None:
    assert (class_id(code, outcome), severity(code, outcome)) == (number, level)
