"""Spans of logins by the real SDK: whose trace they belong to, what they tell, and what they never tell."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from callout.tracing import Trace
from tests.callout.test_responder import Asked, Station
from web.tracing import Tracing, TracingError, open_tracing, wanted

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    found = InMemorySpanExporter()
    yield found
    found.shutdown()


@pytest.fixture
def station(exporter: InMemorySpanExporter) -> Iterator[Station]:
    tracing = Tracing(SimpleSpanProcessor(exporter))
    yield Station(tracer=tracing)
    tracing.close()


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {each.name: each for each in exporter.get_finished_spans()}


def with_parent(asked: Asked, parent: str) -> Asked:
    asked.parent = parent
    return asked


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_login_is_a_span_with_its_steps_inside(station: Station, exporter: InMemorySpanExporter) -> None:
    assert station.answered(station.ask()).nats.jwt
    found = spans(exporter)
    whole = found.pop("accredit.callout.login")
    assert whole.kind is SpanKind.SERVER
    assert whole.parent is None
    assert told(whole) == {
        "accredit.outcome": "granted",
        "accredit.directory": "names",
        "accredit.account": "GRID",
        "accredit.bindings": ("staff",),
        "nats.server.id": station.asking.server.public,
        "nats.client.id": 9,
    }
    assert set(found) == {"prove", "turn", "directory", "policy", "mint", "ledger"}
    assert {name for name, each in found.items() if each.kind is SpanKind.CLIENT} == {"directory"}
    assert told(found["policy"]) == {"accredit.version": 7}
    for each in found.values():
        assert each.parent is not None
        assert each.parent.span_id == whole.context.span_id
        assert whole.start_time is not None
        assert each.start_time is not None
        assert each.end_time is not None
        assert whole.end_time is not None
        assert whole.start_time <= each.start_time <= each.end_time <= whole.end_time


def test_it_belongs_to_the_trace_that_the_message_names(
    station: Station, exporter: InMemorySpanExporter
) -> None:
    station.answered(with_parent(station.ask(), PARENT))
    whole = spans(exporter)["accredit.callout.login"]
    assert whole.parent is not None
    assert f"{whole.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{whole.parent.span_id:016x}" == PARENT.split("-")[2]


@pytest.mark.parametrize("parent", ["x", "00-0-0-0", PARENT * 20, PARENT.replace("0af7", "zzzz"), "\x00"])
def test_a_parent_that_cannot_be_read_is_none(
    station: Station, exporter: InMemorySpanExporter, parent: str
) -> None:
    assert station.answered(with_parent(station.ask(), parent)).nats.jwt
    assert spans(exporter)["accredit.callout.login"].parent is None


def test_who_is_not_let_in_is_told_by_a_code_and_is_no_error_of_ours(
    station: Station, exporter: InMemorySpanExporter
) -> None:
    station.reason(station.ask(password="wrong"))
    found = spans(exporter)
    whole = found["accredit.callout.login"]
    assert told(whole)["accredit.outcome"] == "credentials.wrong"
    assert whole.status.status_code is StatusCode.UNSET
    assert found["directory"].status.status_code is StatusCode.ERROR
    assert "mint" not in found


def test_what_is_our_fault_is_an_error(station: Station, exporter: InMemorySpanExporter) -> None:
    station.counter.ledger_down = True
    station.reason(station.ask())
    whole = spans(exporter)["accredit.callout.login"]
    assert (whole.status.status_code, whole.status.description) == (StatusCode.ERROR, "ledger.down")


def test_no_span_tells_who_it_was_nor_what_was_shown(
    station: Station, exporter: InMemorySpanExporter
) -> None:
    station.counter.directory.people["ann-the-secret-one"] = "a-secret-password"
    station.answered(station.ask(user="ann-the-secret-one", password="a-secret-password"))
    station.reason(station.ask(user="ann-the-secret-one", password="another-secret"))
    station.counter.directory.fault = RuntimeError("a-secret-password")
    station.reason(station.ask(user="ann-the-secret-one", password="a-secret-password"))
    text = "".join(each.to_json() for each in exporter.get_finished_spans())
    assert text
    assert "secret" not in text


def test_a_trace_that_cannot_be_told_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(SimpleSpanProcessor(exporter))
    tracing.told(Trace("login", "", 1, 2, code="no code of ours"))
    assert "could not be traced" in caplog.text
    tracing.close()


@pytest.mark.parametrize(
    ("environ", "exporter"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": " OTLP "}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, None),
    ],
)
def test_traces_are_made_where_somebody_asks_for_them(environ: dict[str, str], exporter: str | None) -> None:
    assert wanted(environ) == exporter


def test_an_exporter_nobody_knows_is_refused() -> None:
    with pytest.raises(TracingError, match="'zipkin' is no exporter"):
        open_tracing({"OTEL_TRACES_EXPORTER": "zipkin"})


def test_asked_for_without_the_extra_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("opentelemetry.sdk")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    with pytest.raises(TracingError) as refused:
        open_tracing({"OTEL_TRACES_EXPORTER": "console"})
    assert "accredit[otel]" in str(refused.value.hint)


def test_where_nobody_asks_nothing_of_it_is_imported() -> None:
    words = (
        "import sys, web.calling.service, web.tracing;"
        "assert web.tracing.open_tracing({}) is None;"
        "print([each for each in sys.modules if each.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    said = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
