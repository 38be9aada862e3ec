"""Whether one criterion holds. What is absent, or of another kind, fulfils none, negated or not."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from callout.policy.decision import UNKNOWN, Connection
from callout.policy.globs import glob_matches
from callout.policy.model import ATTRIBUTE, NOT, Criterion, Field, Operator, Windows
from callout.policy.windows import open_until
from issuer.grants import Attribute, Identity

LEEWAY: Final = 60
"""Seconds by which another's clock may be ahead; what is further in the future has no age."""
_SERVERS_WORD: Final = {"nats": "standard"}

ABSENT: Final = "it is absent, and what is absent matches nothing"
INCOMPARABLE: Final = "it is of another kind than what it is compared with"
_YES: Final = "so it is"
_NO: Final = "it is not so"
_NOT_YES: Final = "it is so, and must not be"
_NOT_NO: Final = "it is not so, as it must be"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def seen(field: str, identity: Identity, connection: Connection, now: int) -> Attribute | None:
    """What a field holds for this login; None where there is nothing, an empty text or an empty list."""
    if field.startswith(ATTRIBUTE):
        found = identity.attributes.get(field[len(ATTRIBUTE) :])
    else:
        reader = _READERS.get(field)
        found = reader(identity, connection, now) if reader is not None else None
    return None if found in ("", ()) else found


_READERS: Final[dict[str, Callable[[Identity, Connection, int], Attribute | None]]] = {
    Field.ISSUER: lambda identity, _, __: identity.issuer,
    Field.SUBJECT: lambda identity, _, __: identity.subject,
    Field.DIRECTORY: lambda identity, _, __: identity.directory,
    Field.KIND: lambda identity, _, __: identity.kind.value,
    Field.GROUPS: lambda identity, _, __: identity.groups,
    Field.METHODS: lambda identity, _, __: identity.methods,
    Field.ASSURANCE: lambda identity, _, __: identity.assurance,
    Field.AUTHENTICATED: lambda identity, _, __: identity.authenticated_at,
    Field.CONNECTION_TYPE: lambda _, connection, __: _SERVERS_WORD.get(connection.type, connection.type),
    Field.NETWORK: lambda _, connection, __: connection.address,
    Field.TIME: lambda _, __, now: now,
}


def holds(criterion: Criterion, value: Attribute | None, now: int) -> tuple[bool, str]:
    """Whether it holds for what was seen, and why."""
    if value is None:
        return False, ABSENT
    if criterion.operator is Operator.EXISTS:
        return not criterion.negated, _NOT_YES if criterion.negated else _YES
    found = (
        _in_networks(criterion.operand, value)
        if criterion.field == Field.NETWORK
        else _TESTS[criterion.operator](criterion.operand, value, now)
    )
    if found is None:
        return False, INCOMPARABLE
    if criterion.negated:
        return not found, _NOT_YES if found else _NOT_NO
    return found, _YES if found else _NO


def passes(criterion: Criterion, identity: Identity, now: int, connection: Connection = UNKNOWN) -> bool:
    return holds(criterion, seen(criterion.field, identity, connection, now), now)[0]


def words(criterion: Criterion) -> str:
    """`groups any-of`, `not attributes.site glob`."""
    return f"{NOT + ' ' if criterion.negated else ''}{criterion.field} {criterion.operator}"


def kind_of(value: Any) -> str:
    """Texts, numbers and truth values are never equal: `1`, `true` and `"1"` are three things."""
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int):
        return "number"
    return "text" if isinstance(value, str) else ""


# Each answers None where the value is of a kind it has nothing to say about.


def _equals(operand: Any, value: Any, _: int) -> bool | None:
    kind = kind_of(value)
    return value == operand if kind and kind == kind_of(operand) else None


def _one_of(operand: Any, value: Any, _: int) -> bool | None:
    kind = kind_of(value)
    if not operand or not kind or kind != kind_of(operand[0]):
        return None
    return value in operand


def _texts(value: Any) -> tuple[str, ...] | None:
    """One text is a set of one."""
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, tuple) and all(isinstance(each, str) for each in value) else None


def _any_of(operand: Any, value: Any, _: int) -> bool | None:
    texts = _texts(value)
    return None if texts is None or not operand else any(each in texts for each in operand)


def _all_of(operand: Any, value: Any, _: int) -> bool | None:
    texts = _texts(value)
    return None if texts is None or not operand else all(each in texts for each in operand)


def _glob(operand: Any, value: Any, _: int) -> bool | None:
    texts = _texts(value)
    return None if texts is None else any(glob_matches(operand, text) for text in texts)


def _at_least(operand: Any, value: Any, _: int) -> bool | None:
    return bool(value >= operand) if kind_of(value) == "number" else None


def _at_most(operand: Any, value: Any, _: int) -> bool | None:
    return bool(value <= operand) if kind_of(value) == "number" else None


def _before(operand: Any, value: Any, _: int) -> bool | None:
    return bool(value < operand) if kind_of(value) == "number" else None


def _within(operand: Any, value: Any, now: int) -> bool | None:
    if kind_of(value) != "number" or value > now + LEEWAY:
        return None
    return bool(now - value <= operand)


def _during(operand: Any, value: Any, _: int) -> bool | None:
    if kind_of(value) != "number" or not isinstance(operand, Windows):
        return None
    return open_until(operand, value) is not None


_TESTS: Final[dict[Operator, Callable[[Any, Any, int], bool | None]]] = {
    Operator.EQUALS: _equals,
    Operator.ONE_OF: _one_of,
    Operator.ANY_OF: _any_of,
    Operator.ALL_OF: _all_of,
    Operator.GLOB: _glob,
    Operator.AT_LEAST: _at_least,
    Operator.AT_MOST: _at_most,
    Operator.BEFORE: _before,
    Operator.WITHIN: _within,
    Operator.DURING: _during,
}


def _in_networks(operand: Any, value: Any) -> bool | None:
    place = address_of(value) if isinstance(value, str) else None
    if place is None or not isinstance(operand, tuple) or not operand:
        return None
    networks = [network_of(str(text)) for text in operand]
    if None in networks:
        return None
    return any(place.version == network.version and place in network for network in networks if network)


def address_of(text: str) -> Address | None:
    """An address; IPv4 in IPv6 clothes is IPv4. One with a scope is of this machine only: none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        return None if found.scope_id else found.ipv4_mapped or found
    return found


@lru_cache(maxsize=4096)
def network_of(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text) if "/" in text else None
    except ValueError:
        return None
