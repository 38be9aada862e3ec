"""Subjects in a file: malformed ones are refused where they stand, not when they are signed."""

from __future__ import annotations

import re
from typing import Final

from issuer.authority.plan.source import Place
from issuer.subjects import SubjectFault, subject_faults

_TEMPLATE: Final = re.compile(r"\{\{[^}]+\}\}")
# `foo*` is a literal to the server: odd, but whoever writes it is told by a finding, not here.
_TOLERATED: Final = {SubjectFault.PARTIAL_WILDCARD}


def subject(place: Place, *, queues: bool = False) -> str:
    """One subject; with `queues` it may be "subject queue". Templates are taken for one token."""
    text = place.text()
    plain = _TEMPLATE.sub("x", text)
    parts = plain.split(" ") if queues and plain.count(" ") == 1 else [plain]
    for part in parts:
        for fault in subject_faults(part):
            if fault not in _TOLERATED:
                raise place.fault(f"{text[:60]!r}: {fault.text}")
    return text


def subjects(place: Place, *, queues: bool = False) -> tuple[str, ...]:
    return tuple(dict.fromkeys(subject(item, queues=queues) for item in place.texts()))
