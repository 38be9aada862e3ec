"""Every format by its name."""

from __future__ import annotations

from typing import Final

from issuer.audit.formats import cloud, ecs, ocsf
from issuer.audit.formats.cef import Cef
from issuer.audit.formats.documents import Documents
from issuer.audit.formats.lines import Lines
from issuer.audit.formats.record import Format
from issuer.audit.formats.sheet import Sheet
from issuer.audit.formats.syslog import Syslog

FORMATS: Final[dict[str, Format]] = {
    each.name: each
    for each in (
        Lines(),
        Sheet(),
        Cef(),
        Syslog(),
        Documents("ecs", ecs.document),
        Documents("ocsf", ocsf.document),
        Documents("cloudevents", cloud.document),
    )
}
