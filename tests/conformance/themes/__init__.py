"""What cases are about; each theme draws its own world and weighs what happens in it."""

from __future__ import annotations

from typing import Final

from hypothesis.strategies import SearchStrategy

from tests.conformance.model import Case
from tests.conformance.themes import admission, callout, live, messages, sharing

# Name to strategy, and how much of a run it gets.
THEMES: Final[dict[str, tuple[SearchStrategy[Case], int]]] = {
    "admission": (admission.admission(), 14),
    "roles": (admission.roles(), 6),
    "doors": (admission.doors(), 4),
    "times": (admission.times(), 3),
    "permissions": (messages.permissions(), 12),
    "queues": (messages.queues(), 7),
    "routing": (messages.routing(), 9),
    "grammar": (messages.grammar(), 7),
    "headers": (messages.headers(), 5),
    "mappings": (messages.mappings(), 5),
    "limits": (messages.limits(), 6),
    "responses": (messages.responses(), 5),
    "streams": (sharing.streams(), 6),
    "services": (sharing.services(), 6),
    "chains": (sharing.chains(), 5),
    "live": (live.live(), 11),
    "imports-live": (live.sharing_live(), 6),
    "deletion": (live.deletion(), 3),
    "resolver": (live.resolver(), 4),
    "callout": (callout.callout(), 5),
}
