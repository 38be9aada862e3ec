"""Logins decided in the shadow, written down: an event each and no more, for nobody was given anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append_many
from issuer.authority.logins import ACTOR
from issuer.grants import Identity
from issuer.store.unit import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """What would have become of a login: let in under a role, or refused with a code.

    `message` is for the operator and holds no secret. `policy` is the version decided by; 0 is none.
    """

    code: str = ""
    message: str = ""
    identity: Identity | None = None
    bindings: tuple[str, ...] = ()
    policy: int = 0
    account: str = ""
    role: str = ""
    server_id: str = ""
    client_id: int = 0
    address: str = ""

    @property
    def would(self) -> str:
        return "refuse" if self.code else "grant"


def write_shadowed(unit: Unit, logins: Sequence[Shadowed], now: int) -> None:
    """Many at once."""
    append_many(unit, [_event(login) for login in logins], now)


def _event(login: Shadowed) -> Event:
    who = login.identity
    known = {} if who is None else {"issuer": who.issuer, "subject": who.subject, "directory": who.directory}
    given = {"bindings": ", ".join(login.bindings), "account": login.account, "role": login.role}
    refused = {"code": login.code, "message": login.message}
    return Event(
        EventCode.LOGIN_SHADOWED,
        ACTOR,
        detail={
            **known,
            "would": login.would,
            **(refused if login.code else given),
            "policy": login.policy,
            "server": login.server_id,
            "client": login.client_id,
            "address": login.address,
        },
    )
