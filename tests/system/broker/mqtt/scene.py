"""The accounts MQTT clients live in, and what a client hears."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from issuer.claims.account import AccountClaims, Export, Import, new_account
from issuer.claims.fields import Permission
from issuer.subjects import Subject
from tests.broker.mqtt.wire import packets_of
from tests.system.broker.stage import mapped
from tests.system.broker.transport_scene import House, Line

HOUSES: Final = {letter: House(letter) for letter in "ABCDE"}
A, B, C, D, E = (HOUSES[letter].public for letter in "ABCDE")


def account(letter: str, *, limits: dict[str, Any] | None = None, **body: Any) -> AccountClaims:
    base = new_account(HOUSES[letter].public, letter)
    body["limits"] = replace(base.nats.limits, **(limits or {}))
    return replace(base, nats=replace(base.nats, **body))


def permission(*allow: str, deny: tuple[str, ...] = ()) -> Permission:
    return Permission(allow=tuple(map(Subject, allow)), deny=tuple(map(Subject, deny)))


ACCOUNTS: Final = (
    account(
        "A",
        exports=(
            Export(name="s", subject=Subject("ev.>"), type="stream"),
            Export(name="q", subject=Subject("svc.>"), type="service"),
        ),
    ),
    account(
        "B",
        imports=(
            Import(
                name="s", subject=Subject("ev.>"), account=A, type="stream", local_subject=Subject("im.>")
            ),
            Import(name="q", subject=Subject("svc.>"), account=A, type="service"),
        ),
    ),
    account("C", mappings={"m.a": mapped(("n.a", 100))}),
    account("D", limits={"conn": 1}),
    account("E", limits={"subs": 2, "payload": 40}),
)


def hears(line: Line, seconds: float = 0.5) -> list[bytes | str]:
    """The packets of so long a time, ordered, and whether it was closed."""
    heard = line.hear(quiet=seconds, first=seconds)
    found: list[bytes | str] = [*sorted(packets_of(heard.data))]
    return [*found, "closed"] if heard.closed else found
