"""Making a bundle of evidence: written down first, then signed where the logs stand, then gathered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from issuer.audit.catalogue import EventCode
from issuer.audit.checkpoints import create_log_key, seal, seal_closed
from issuer.audit.evidence.archive import new_archive
from issuer.audit.evidence.bundle import Evidence, Gathering, Period
from issuer.audit.evidence.controls import control_map
from issuer.audit.evidence.reports import reports
from issuer.audit.evidence.scope import Scope
from issuer.authority.desk import Actor, Authority, Turn
from issuer.authority.finding import the_account, the_operator
from issuer.errors import PeerError
from issuer.store import checkpoints
from issuer.store.unit import Log

README: Final = """This is evidence of what was done in one installation of Accredit: who was given access,
by whom, when it was taken away, and what was refused. Begin with reports/index.html.

To check it, with nothing but Python 3.9 or newer:

    python3 verify.py THIS-FILE.zip

Take verify.py from a place you trust: the one in here was put here by whom you check. Give it the
key of the log as you know it (--log-key), and a checkpoint that you kept from before (--checkpoint).

What it cannot show: that everything that happened was written down, that the clock was right, and that
nothing was rewritten before the first witness saw it. The part of the log that is not of this bundle is
in it as hashes only.
"""


@dataclass(frozen=True, slots=True)
class MakeEvidence:
    """Evidence of a period, in unix seconds; `account` is a name or key, None for everything."""

    path: Path
    since: int
    until: int
    framework: str
    account: str | None = None
    operator: str | None = None
    people: bool = True
    controls: Path | None = None
    force: bool = False
    witnesses: tuple[str, ...] = ()
    quorum: int = 0


def make_evidence(authority: Authority, act: MakeEvidence, actor: Actor, *, reason: str = "") -> Evidence:
    """Write the bundle.

    Raises:
        PeerError: a period that ends before it begins.
        NotFound: no such account or framework.
        AlreadyExists: there is such a file.
    """
    if act.since >= act.until:
        raise PeerError("the period ends before it begins", at="period")
    controls = control_map(act.framework, act.controls)
    with new_archive(act.path, force=act.force) as archive:
        account = authority.perform(_announce, act, actor, reason=reason)
        with authority.database.noting() as unit:
            for log in Log:
                seal_closed(unit, authority.keyring, authority.now(), log)
                seal(unit, authority.keyring, authority.now(), log, at_once=True)
        with authority.database.reading() as unit:
            evidence = Evidence(Period(act.since, act.until), Scope(account), authority.now())
            signer = authority.keyring.signer(unit, checkpoints.log_keys(unit)[0].public)
            gathering = Gathering(unit, archive, signer, evidence, witnesses=act.witnesses, quorum=act.quorum)
            texts = [("README.txt", README.encode()), ("controls.json", controls)]
            gathering.write(texts, reports(people=act.people), people=act.people, framework=act.framework)
    return evidence


def _announce(turn: Turn, act: MakeEvidence) -> str:
    """The event of it; the public key of the account it is of."""
    public = ""
    if act.account is not None:
        public = the_account(turn.unit, the_operator(turn.unit, act.operator), act.account).public
    if not checkpoints.log_keys(turn.unit):
        create_log_key(turn.unit, turn.keyring, str(turn.actor), turn.now)
    turn.record(
        EventCode.EVIDENCE_MADE,
        public,
        detail={
            "path": str(act.path),
            "scope": str(Scope(public)),
            "since": act.since,
            "until": act.until,
            "framework": act.framework,
            "people": act.people,
        },
    )
    return public
