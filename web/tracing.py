"""Traces of logins by OpenTelemetry, for whoever has the extra `otel` and says where they go.

Everything is said by the environment variables of OpenTelemetry itself (OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_TRACES_EXPORTER, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_BSP_…). Spans wait in a bounded queue
that a thread empties: a collector that is down costs spans, never a login.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from callout.refusals import Reason
from callout.slowing import theirs
from callout.tracing import PARENT_HEADER, Trace
from issuer.errors import PeerError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

log = logging.getLogger("accredit.callout")

NAME: Final = "accredit-callout"
OTLP: Final = "otlp"
CONSOLE: Final = "console"
NONE: Final = "none"
GRANTED: Final = "granted"
UNANSWERED: Final = "unanswered"
_PLACES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_LONGEST_PARENT: Final = 256
CLOSE_SECONDS: Final = 3.0


class TracingError(PeerError):
    """Traces are wanted and cannot be made; `at` names the variable."""

    code = "settings.tracing"


def open_tracing(environ: Mapping[str, str], kinds: Mapping[str, str] | None = None) -> Tracing | None:
    """A tracer as the environment says; None where nobody asks for traces. `kinds` is of the directories.

    Raises:
        TracingError: they are asked for, and the extra is not installed, or the exporter is none we know.
    """
    exporter = wanted(environ)
    if exporter is None:
        return None
    try:
        return Tracing(_processor(exporter), service=environ.get("OTEL_SERVICE_NAME", NAME), kinds=kinds)
    except ImportError:
        raise TracingError(
            "traces are asked for, and OpenTelemetry is not installed",
            at="OTEL_TRACES_EXPORTER",
            hint="pip install 'accredit[otel]', or OTEL_SDK_DISABLED=true",
        ) from None


def wanted(environ: Mapping[str, str]) -> str | None:
    """The exporter that is asked for, if any.

    Raises:
        TracingError: it is none we know.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    named = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not named:
        # By the specification it would be a collector on this machine; nobody has said that there is one.
        return OTLP if any(environ.get(place) for place in _PLACES) else None
    if named == NONE:
        return None
    if named not in {OTLP, CONSOLE}:
        raise TracingError(
            f"{named!r} is no exporter we have",
            at="OTEL_TRACES_EXPORTER",
            hint=f"{OTLP}, {CONSOLE} or {NONE}",
        )
    return named


class Tracing:
    """The callout's tracer: makes spans of a login when it is over."""

    def __init__(
        self, processor: SpanProcessor, *, service: str = NAME, kinds: Mapping[str, str] | None = None
    ) -> None:
        """`kinds` says of which kind each directory is, by its name."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        self._provider: TracerProvider = TracerProvider(
            resource=Resource.create({"service.name": service}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._kinds = dict(kinds or {})
        self._tracer = self._provider.get_tracer("accredit")

    def clock(self) -> int:
        return time.time_ns()

    def told(self, trace: Trace) -> None:
        try:
            self._spans(trace)
        except Exception:
            # What goes wrong with a trace is no concern of the login's.
            log.exception("a login could not be traced")

    def close(self) -> None:
        """Send what is left, for so long; blocks."""
        # It tries a collector that is down for half a minute, and nobody waits for that.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _spans(self, trace: Trace) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        whole = self._tracer.start_span(
            trace.name,
            context=_parent(trace.parent),
            kind=SpanKind.SERVER,
            start_time=trace.began,
            attributes={**trace.attributes, "accredit.outcome": _outcome(trace)},
        )
        within = set_span_in_context(whole)
        for step in trace.steps:
            attributes: dict[str, Any] = {
                f"accredit.{name}": value for name, value in step.attributes.items()
            }
            kind = self._kinds.get(str(step.attributes.get("directory", "")))
            if kind is not None:
                attributes["accredit.directory.kind"] = kind
            part = self._tracer.start_span(
                step.name,
                context=within,
                kind=SpanKind.CLIENT if step.outside else SpanKind.INTERNAL,
                start_time=step.began,
                attributes=attributes,
            )
            if step.failed:
                part.set_status(Status(StatusCode.ERROR))
            part.end(end_time=step.ended)
        if trace.failed:
            whole.set_status(Status(StatusCode.ERROR, UNANSWERED))
        elif trace.code and not theirs(Reason(trace.code)):
            # Who is rightly refused is no error of ours.
            whole.set_status(Status(StatusCode.ERROR, trace.code))
        whole.end(end_time=trace.ended)


def _outcome(trace: Trace) -> str:
    """Whoever was cut off in the middle was not let in, whatever had been decided."""
    return UNANSWERED if trace.failed else trace.code or GRANTED


def _parent(header: str) -> Any:
    """The context of the caller; an empty one where the header is none, or is not well formed."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if not header or len(header) > _LONGEST_PARENT:
        return Context()
    return TraceContextTextMapPropagator().extract({PARENT_HEADER: header}, context=Context())


def _processor(exporter: str) -> SpanProcessor:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    if exporter == CONSOLE:
        return BatchSpanProcessor(ConsoleSpanExporter())
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter())
