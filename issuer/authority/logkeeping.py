"""What is done with the logs themselves: signing where they stand, proving an event, forgetting a person."""

from __future__ import annotations

from dataclasses import dataclass

from issuer.audit.catalogue import EventCode
from issuer.audit.checkpoint import parse_checkpoint
from issuer.audit.checkpoints import create_log_key, seal, seal_closed, whole_note
from issuer.audit.proof import Proof, prove
from issuer.authority.desk import Actor, Authority, Turn
from issuer.errors import NotFound, Refused
from issuer.store import checkpoints, forgetting, persons
from issuer.store.checkpoints import Sealed
from issuer.store.unit import Log


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a log stands: its newest checkpoint, with the signatures under it."""

    sealed: Sealed
    note: str

    @property
    def root(self) -> str:
        return parse_checkpoint(self.note.partition("\n\n")[0] + "\n").root.hex()


@dataclass(frozen=True, slots=True)
class ErasePerson:
    """A name, a subject, an address or a reason, as the log has commitments of."""

    value: str


def sign_logs(authority: Authority, actor: Actor) -> list[Stand]:
    """Sign every log that has something new, and say where each stands."""
    with authority.database.reading() as unit:
        has_key = bool(checkpoints.log_keys(unit))
    if not has_key:
        authority.perform(_new_key, str(actor), actor)
    found = []
    with authority.database.noting() as unit:
        for log in Log:
            seal_closed(unit, authority.keyring, authority.now(), log)
            seal(unit, authority.keyring, authority.now(), log, at_once=True)
            sealed = checkpoints.newest(unit, log, unit.log_head(log).year)
            if sealed is not None:
                found.append(Stand(sealed, whole_note(unit, sealed)))
    return found


def prove_event(authority: Authority, actor: Actor, log: Log, seq: int) -> Proof:
    """An event, and the proof that it is in the log that others hold us to.

    Raises:
        NotFound: there is no such event.
    """
    with authority.database.reading() as unit:
        if not 1 <= seq <= unit.log_head(log).seq:
            raise NotFound(f"log {log.value!r} has no event {seq}", at="SEQ")
    sign_logs(authority, actor)
    with authority.database.reading() as unit:
        return prove(unit, log, seq)


def erase_person(turn: Turn, act: ErasePerson) -> int:
    """Forget somebody: nobody can tell any more whose commitments these were; how many rows said it.

    Raises:
        NotFound: nothing here says it.
        Refused: they are connected.
    """
    if forgetting.is_connected(turn.unit, act.value):
        raise Refused(
            "they are connected: what is needed to cut them off is not forgotten",
            hint="accredit revoke identity, then again",
        )
    rows = forgetting.forget_person(turn.unit, act.value)
    stood = persons.erase(turn.unit, act.value)
    if stood is None and not rows:
        raise NotFound("nothing here says that")
    turn.record(EventCode.PERSON_ERASED, "", detail={"commitment": stood or "", "rows": rows})
    return rows + (stood is not None)


def _new_key(turn: Turn, actor: str) -> None:
    create_log_key(turn.unit, turn.keyring, actor, turn.now)
