"""How logins go, as Prometheus reads it. Nothing here names a person: labels are names of the configuration
and reason codes, so that their number is bounded."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from callout.desk import Outcome
from callout.directories.opening import DirectoryState
from callout.refusals import Reason
from callout.request import AuthorizationRequest
from callout.responder import Recorder
from issuer.errors import AccreditError

# A login that needs nobody else takes a millisecond or two; servers give up after two seconds.
BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
NOBODY: Final = "none"


class Recorders:
    """Tells several of them the same."""

    def __init__(self, *recorders: Recorder) -> None:
        self._recorders = recorders

    def refused(self, request: AuthorizationRequest | None, outcome: Outcome) -> None:
        for each in self._recorders:
            each.refused(request, outcome)

    def admitted(self, request: AuthorizationRequest, outcome: Outcome, seconds: float) -> None:
        for each in self._recorders:
            each.admitted(request, outcome, seconds)


class LoginMetrics:
    """The metrics of one process; a recorder of its responder."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self.registry = CollectorRegistry()
        self._logins = Counter(
            "accredit_callout_logins",
            "Logins decided, by directory and reason",
            ("directory", "outcome", "reason"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "accredit_callout_login_seconds",
            "From a server's question to the answer that lets in",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._waited = Histogram(
            "accredit_callout_wait_seconds",
            "How long those let in waited for their turn",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._grace = Counter(
            "accredit_callout_grace_logins",
            "Let in although their directory was down",
            ("directory",),
            registry=self.registry,
        )
        self._directories = Gauge(
            "accredit_callout_directory_ready",
            "Whether a directory works",
            ("directory", "kind"),
            registry=self.registry,
        )
        self._keys = Gauge(
            "accredit_callout_keys_age_seconds",
            "Since a directory's issuer told its keys",
            ("directory",),
            registry=self.registry,
        )
        self._stale = Gauge(
            "accredit_callout_keys_stale",
            "Whether a directory's keys are old because their issuer does not answer",
            ("directory",),
            registry=self.registry,
        )
        self._states: Callable[[], Sequence[DirectoryState]] = tuple

    def watch(
        self,
        *,
        under_way: Callable[[], float],
        waiting: Callable[[], float],
        policy_version: Callable[[], float],
        rules_age: Callable[[], float],
        unwritten: Callable[[], float],
        connected: Callable[[], float],
        open_sessions: Callable[[], float],
        errands: Callable[[], float],
        directories: Callable[[], Sequence[DirectoryState]],
    ) -> None:
        """What is looked at whenever somebody asks."""
        for name, words, found in (
            ("under_way", "Questions not answered yet", under_way),
            ("waiting", "Logins that wait for their turn", waiting),
            ("policy_version", "The version of the policy in force; 0 is none", policy_version),
            ("rules_age_seconds", "Since policy and denials were read from the store", rules_age),
            ("refusals_unwritten", "Refusals that could not be written down", unwritten),
            ("connected", "Whether questions of the servers are heard", connected),
            ("open_sessions", "Connections that are open, whichever replica let them in", open_sessions),
            ("errands_waiting", "What triggers told and is not followed yet, whoever heard it", errands),
        ):
            Gauge(f"accredit_callout_{name}", words, registry=self.registry).set_function(found)
        self._states = directories

    def refused(self, request: AuthorizationRequest | None, outcome: Outcome) -> None:
        reason = outcome.reason or Reason.FAULT
        self._logins.labels(_directory(outcome), "refused", reason.value).inc()

    def admitted(self, request: AuthorizationRequest, outcome: Outcome, seconds: float) -> None:
        self._logins.labels(_directory(outcome), "granted", "").inc()
        self._seconds.observe(seconds)
        self._waited.observe(outcome.waited)
        if outcome.grace:
            self._grace.labels(_directory(outcome)).inc()

    def text(self) -> bytes:
        """In Prometheus' text format."""
        for each in self._states():
            self._directories.labels(each.name, each.kind).set(each.ready)
            if each.keys_at is not None:
                self._keys.labels(each.name).set(self._now() - each.keys_at)
                self._stale.labels(each.name).set(each.keys_stale)
        return generate_latest(self.registry)

    def router(self) -> APIRouter:
        routes = APIRouter()

        @routes.get("/metrics")
        def metrics() -> Response:
            return Response(self.text(), media_type=CONTENT_TYPE_LATEST)

        return routes


class Seldom:
    """A number that costs something to find out, found out at most so often; NaN while it cannot be."""

    def __init__(self, find: Callable[[], float], *, seconds: float = 15.0) -> None:
        self._find = find
        self._seconds = seconds
        self._found = math.nan
        self._at = -math.inf

    def __call__(self) -> float:
        now = time.monotonic()
        if now - self._at >= self._seconds:
            self._at = now
            try:
                self._found = self._find()
            except AccreditError:
                self._found = math.nan
        return self._found


def _directory(outcome: Outcome) -> str:
    return outcome.identity.directory if outcome.identity is not None else NOBODY
