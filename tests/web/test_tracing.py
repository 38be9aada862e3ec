"""Spans of logins by the real SDK: whose trace they belong to, what they tell, and what they never tell."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from callout.directories.directory import Credentials
from callout.tracing import Trace, well_formed
from issuer.grants import Identity
from tests.callout.test_responder import Asked, Station
from tests.web.exchange.booth import GOOD, Booth
from web.tracing import Tracing, TracingError, _parent, open_tracing, wanted

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    found = InMemorySpanExporter()
    yield found
    found.shutdown()


@pytest.fixture
def station(exporter: InMemorySpanExporter) -> Iterator[Station]:
    tracing = Tracing(SimpleSpanProcessor(exporter), kinds={"names": "passwords"})
    yield Station(tracer=tracing)
    tracing.close()


@pytest.fixture
def booth(exporter: InMemorySpanExporter) -> Iterator[Booth]:
    tracing = Tracing(SimpleSpanProcessor(exporter))
    yield Booth(tracer=tracing)
    tracing.close()


def sent(exporter: InMemorySpanExporter) -> bytes:
    """What a collector would be told."""
    told_all: bytes = encode_spans(exporter.get_finished_spans()).SerializeToString()
    return told_all


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
    assert told(found["directory"]) == {"accredit.directory": "names", "accredit.directory.kind": "passwords"}
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


def test_a_login_that_is_cut_short_was_not_granted(station: Station, exporter: InMemorySpanExporter) -> None:
    station.counter.directory.wait = 60.0

    async def run() -> None:
        responder = station.responder()
        responder.hear(station.ask())
        await asyncio.wait_for(station.counter.directory.asked.wait(), 5)
        assert not await responder.drained(0)
        await asyncio.sleep(0)

    asyncio.run(run())
    whole = spans(exporter)["accredit.callout.login"]
    assert told(whole) == {"accredit.outcome": "unanswered"}
    assert (whole.status.status_code, whole.status.description) == (StatusCode.ERROR, "unanswered")


def test_no_span_tells_who_it_was_nor_what_was_shown(
    station: Station, exporter: InMemorySpanExporter
) -> None:
    station.counter.directory.people["ann-the-secret-one"] = "a-secret-password"
    station.answered(station.ask(user="ann-the-secret-one", password="a-secret-password"))
    station.reason(station.ask(user="ann-the-secret-one", password="another-secret"))
    station.counter.directory.fault = RuntimeError("a-secret-password")
    station.reason(station.ask(user="ann-the-secret-one", password="a-secret-password"))
    station.reason(station.ask(user="", password="", auth_token="a-secret-token"))
    assert sent(exporter)
    assert b"secret" not in sent(exporter)


def test_no_span_tells_the_groups_of_who_it_was(station: Station, exporter: InMemorySpanExporter) -> None:
    identify = station.counter.directory.identify

    async def in_groups(credentials: Credentials, *, now: float, deadline: float) -> Identity:
        who = await identify(credentials, now=now, deadline=deadline)
        return Identity(
            issuer=who.issuer,
            subject=who.subject,
            name=who.name,
            directory=who.directory,
            groups=("a-secret-group",),
        )

    station.counter.directory.identify = in_groups  # type: ignore[method-assign]
    assert station.answered(station.ask()).nats.jwt
    assert station.counter.written[0].identity.groups == ("a-secret-group",)
    assert b"secret" not in sent(exporter)


def test_an_exchange_is_a_span_of_the_trace_that_its_request_names(
    booth: Booth, exporter: InMemorySpanExporter
) -> None:
    answer = booth.ask(headers={"traceparent": PARENT})
    assert answer.status_code == 200, answer.text
    found = spans(exporter)
    whole = found["accredit.exchange"]
    assert whole.kind is SpanKind.SERVER
    assert whole.parent is not None
    assert f"{whole.context.trace_id:032x}" == PARENT.split("-")[1]
    assert told(whole)["accredit.outcome"] == "granted"
    assert {"directory", "policy", "mint", "ledger"} <= set(found)
    assert GOOD.encode() not in sent(exporter)
    assert answer.json()["access_token"].encode() not in sent(exporter)


def test_a_parent_that_an_exchange_cannot_read_is_none(booth: Booth, exporter: InMemorySpanExporter) -> None:
    assert booth.ask(headers={"traceparent": "00-0-0-0"}).status_code == 200
    assert spans(exporter)["accredit.exchange"].parent is None


def test_an_exchange_that_is_refused_tells_the_code_and_not_the_token(
    booth: Booth, exporter: InMemorySpanExporter
) -> None:
    assert booth.ask(booth.form("a-secret-token")).status_code == 400
    assert told(spans(exporter)["accredit.exchange"])["accredit.outcome"] == "credentials.wrong"
    assert b"secret" not in sent(exporter)


HEX = "0123456789abcdef"
PARENTS = st.one_of(
    st.text(max_size=80),
    st.builds(
        "-".join,
        st.tuples(
            st.sampled_from(["00", "01", "cc", "ff", "0"]),
            st.one_of(st.just("0" * 32), st.text(HEX, min_size=31, max_size=33)),
            st.one_of(st.just("0" * 16), st.text(HEX, min_size=15, max_size=17)),
            st.sampled_from(["00", "01", "0", "zz"]),
        ),
    ),
)


@given(PARENTS)
def test_whatever_is_passed_on_as_a_parent_is_one_to_the_library_too(parent: str) -> None:
    if well_formed(parent):
        assert _parent(parent)


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


def run_python(words: str) -> str:
    return subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout


def test_the_callout_itself_imports_nothing_of_it() -> None:
    words = (
        "import sys, callout.connection, callout.desk, callout.responder, callout.tracing, web.tracing;"
        "print([each for each in sys.modules if each.partition('.')[0] == 'opentelemetry'])"
    )
    assert run_python(words).strip() == "[]"


def test_where_it_is_not_installed_a_service_that_nobody_traces_needs_none_of_it() -> None:
    words = """if True:
        import sys
        sys.modules["opentelemetry.sdk"] = sys.modules["opentelemetry.exporter"] = None
        import web.calling.service, web.tracing
        print(web.tracing.open_tracing({}))
        try:
            web.tracing.open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
        except web.tracing.TracingError as error:
            print(error.hint)
    """
    said = run_python(words)
    assert said.startswith("None\n")
    assert "accredit[otel]" in said


def test_where_nobody_asks_nothing_of_it_is_imported() -> None:
    words = (
        "import sys, web.calling.service, web.tracing;"
        "assert web.tracing.open_tracing({}) is None;"
        "print([each for each in sys.modules if each.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    assert run_python(words).strip() == "[]"
