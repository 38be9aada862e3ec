"""Every format by its name."""

from __future__ import annotations

from typing import Final

from issuer.audit.formats.cef import Cef
from issuer.audit.formats.cloud import Cloud
from issuer.audit.formats.ecs import Ecs
from issuer.audit.formats.lines import Lines
from issuer.audit.formats.ocsf import Ocsf
from issuer.audit.formats.record import Format
from issuer.audit.formats.sheet import Sheet
from issuer.audit.formats.syslog import Syslog

FORMATS: Final[dict[str, Format]] = {
    each.name: each for each in (Lines(), Sheet(), Cef(), Syslog(), Ecs(), Ocsf(), Cloud())
}
