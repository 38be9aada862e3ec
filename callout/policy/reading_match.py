"""The `match` of a binding: fields, operators, and which go together."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

from callout.policy.globs import MAX_LENGTH, NOT_TAKEN, STAR
from callout.policy.model import (
    ATTRIBUTE,
    ATTRIBUTES,
    CONNECTION_TYPES,
    NOT,
    Criterion,
    Field,
    Operand,
    Operator,
    Scalar,
    Windows,
)
from callout.policy.place import Place
from callout.policy.windows import parse_window, zone_of
from issuer.grants import Kind

MAX_NUMBER: Final = 2**63 - 1
MAX_AGE: Final = 10 * 365 * 86_400
MAX_LISTED: Final = 1000
ZONE: Final = "zone"

_TEXT: Final = (Operator.EQUALS, Operator.ONE_OF, Operator.GLOB, Operator.EXISTS)
_WORD: Final = (Operator.EQUALS, Operator.ONE_OF, Operator.EXISTS)
_SET: Final = (Operator.ALL_OF, Operator.ANY_OF, Operator.GLOB, Operator.EXISTS)
_OPERATORS: Final[dict[str, tuple[Operator, ...]]] = {
    Field.ISSUER: _TEXT,
    Field.SUBJECT: _TEXT,
    Field.DIRECTORY: _WORD,
    Field.KIND: _WORD,
    Field.GROUPS: _SET,
    Field.METHODS: _SET,
    Field.ASSURANCE: _TEXT,
    Field.AUTHENTICATED: (
        Operator.WITHIN,
        Operator.BEFORE,
        Operator.AT_LEAST,
        Operator.AT_MOST,
        Operator.EXISTS,
    ),
    Field.CONNECTION_TYPE: _WORD,
    Field.NETWORK: (Operator.ONE_OF, Operator.EXISTS),
    Field.TIME: (Operator.BEFORE, Operator.AT_LEAST, Operator.DURING),
}
_OF_ATTRIBUTES: Final = tuple(operator for operator in Operator if operator is not Operator.DURING)
_SETS: Final = (Field.GROUPS, Field.METHODS)
_MOMENTS: Final = (Field.AUTHENTICATED, Field.TIME)


def read_match(place: Place) -> tuple[Criterion, ...]:
    """All the criteria of a binding, in the order they are written.

    Raises:
        PolicyError: something in it cannot be read, or there is nothing in it.
    """
    members = place.members((*Field, ATTRIBUTES))
    if not members:
        raise place.fault(
            "has no criteria, and such a binding lets nobody in",
            hint="for everybody that a directory knows: { subject: { exists: true } }",
        )
    found: list[Criterion] = []
    for name, value in members.items():
        if name != ATTRIBUTES:
            found += _conditions(value, name)
            continue
        attributes = value.entries()
        if not attributes:
            raise value.fault("has no criteria", hint="write `attribute: value`, or leave attributes out")
        for attribute, condition in attributes.items():
            if not attribute or not attribute.isprintable():
                raise condition.fault(
                    "is no name of an attribute", hint="as in the directory, letter for letter"
                )
            found += _conditions(condition, ATTRIBUTE + attribute)
    return tuple(found)


def _conditions(place: Place, field: str) -> list[Criterion]:
    if not place.is_mapping:
        return [_short(place, field)]
    members = place.members((*operators_of(field), NOT, *((ZONE,) if field == Field.TIME else ())))
    zone = members.pop(ZONE, None)
    if not members:
        raise place.fault("has no criteria", hint=f"use {', '.join(operators_of(field))}")
    if zone is not None and Operator.DURING not in members:
        raise zone.fault("goes with during only", hint="moments carry their own zone: leave it out")
    found = []
    for name, value in members.items():
        if name == NOT:
            found += _none_of(value, field)
        else:
            found.append(_criterion(value, field, Operator(name), zone))
    return found


def _none_of(place: Place, field: str) -> list[Criterion]:
    if field == Field.TIME:
        raise place.fault("does not go with time", hint="write the windows in which it may be")
    # Where nothing is there, nothing matches, so this one never would.
    known = tuple(operator for operator in operators_of(field) if operator is not Operator.EXISTS)
    if place.is_mapping and Operator.EXISTS in place.value:
        raise Place(None, place.child(Operator.EXISTS)).fault(
            "absence cannot be asked for: what is absent matches nothing",
            hint="bind those that have the attribute in an earlier binding",
        )
    if not place.is_mapping:
        found = [_short(place, field)]
    else:
        found = [
            _criterion(value, field, Operator(name), None) for name, value in place.members(known).items()
        ]
        if not found:
            raise place.fault("has no criteria", hint=f"use {', '.join(known)}")
    return [
        Criterion(field=field, operator=each.operator, operand=each.operand, negated=True) for each in found
    ]


def operators_of(field: str) -> tuple[Operator, ...]:
    return _OPERATORS.get(field, _OF_ATTRIBUTES)


def _short(place: Place, field: str) -> Criterion:
    """`directory: okta`, `groups: operators`, `issuer: [one, two]`."""
    listed = place.is_list
    if field in _MOMENTS:
        raise place.fault("must say how", hint=f"as {{ {operators_of(field)[0]}: … }}")
    if listed and Operator.EQUALS not in operators_of(field) and field in _SETS:
        raise place.fault("must say whether any or all of them", hint="{ any-of: […] } or { all-of: […] }")
    if listed and field.startswith(ATTRIBUTE):
        raise place.fault(
            "must say how",
            hint="{ one-of: […] } for an attribute with one value, any-of or all-of for one with several",
        )
    if field in _SETS:
        return _criterion(Place([place.value], place.pointer), field, Operator.ANY_OF, None, short=True)
    if field == Field.NETWORK and not listed:
        return _criterion(Place([place.value], place.pointer), field, Operator.ONE_OF, None, short=True)
    return _criterion(place, field, Operator.ONE_OF if listed else Operator.EQUALS, None)


def _criterion(
    place: Place, field: str, operator: Operator, zone: Place | None, *, short: bool = False
) -> Criterion:
    operand: Operand
    match operator:
        case Operator.EQUALS:
            operand = _scalar(place, field)
        case Operator.ONE_OF:
            operand = _listed(place, lambda item: _scalar(item, field), short=short)
        case Operator.ALL_OF | Operator.ANY_OF:
            operand = _listed(place, Place.text, short=short)
        case Operator.GLOB:
            operand = _glob(place)
        case Operator.AT_LEAST | Operator.AT_MOST:
            moment = field in _MOMENTS or isinstance(place.value, str)
            operand = place.moment() if moment else place.whole(-MAX_NUMBER, MAX_NUMBER)
        case Operator.BEFORE:
            operand = place.moment()
        case Operator.WITHIN:
            operand = place.span(1, MAX_AGE)
        case Operator.EXISTS:
            operand = _exists(place)
        case Operator.DURING:
            operand = _windows(place, zone)
    return Criterion(field=field, operator=operator, operand=operand)


def _scalar(place: Place, field: str) -> Scalar:
    if field == Field.KIND:
        return place.one_of(kind.value for kind in Kind)
    if field == Field.CONNECTION_TYPE:
        return place.one_of(CONNECTION_TYPES)
    if field == Field.NETWORK:
        return _network(place)
    if field.startswith(ATTRIBUTE) and isinstance(place.value, bool | int):
        return place.value if isinstance(place.value, bool) else place.whole(-MAX_NUMBER, MAX_NUMBER)
    return place.text()


def _network(place: Place) -> str:
    text = place.text()
    base, slash, _ = text.partition("/")
    try:
        if not slash:
            ipaddress.ip_address(base)
        network = ipaddress.ip_network(text)
    except ValueError:
        hint = "as 10.0.0.0/8 or fd00::/8, with no bits set behind the prefix"
        raise place.fault(f"{place.shown()} is not a network", hint=hint) from None
    if not slash:
        raise place.fault(f"{place.shown()} lacks its prefix length", hint=f"as {network}")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise place.fault("is an IPv4 network in IPv6 clothes", hint="write it as the IPv4 network it is")
    return str(network)


def _listed(place: Place, read: Callable[[Place], Scalar], *, short: bool) -> tuple[Scalar, ...]:
    if short:
        return (read(Place(place.value[0], place.pointer)),)
    items = place.items()
    if not items or len(items) > MAX_LISTED:
        raise place.fault(
            "is empty" if not items else f"has {len(items)} entries", hint=f"name from 1 to {MAX_LISTED}"
        )
    found: list[Scalar] = []
    for item in items:
        value = read(item)
        if found and type(value) is not type(found[0]):
            raise item.fault(
                f"{item.shown()} is of another kind than those before it",
                hint="all texts, all numbers, or true and false",
            )
        if value in found:
            raise item.fault(f"{item.shown()} is written twice", hint="leave it out here")
        found.append(value)
    return tuple(found)


def _glob(place: Place) -> str:
    text = place.text()
    wrong = next((mark for mark in NOT_TAKEN if mark in text), None)
    if wrong:
        raise place.fault(
            f"{wrong!r} stands for nothing in a glob",
            hint="only * does; name each value with one-of or any-of",
        )
    if len(text) > MAX_LENGTH:
        raise place.fault(f"has {len(text)} characters", hint=f"a glob has {MAX_LENGTH} at the most")
    if STAR not in text:
        raise place.fault("has no * in it", hint="use equals, or any-of for groups and methods")
    return text


def _exists(place: Place) -> bool:
    if not place.flag():
        raise place.fault(
            "absence cannot be asked for: what is absent matches nothing",
            hint="bind those that have it in an earlier binding",
        )
    return True


def _windows(place: Place, zone: Place | None) -> Windows:
    items = [place] if isinstance(place.value, str) else place.items()
    if not items:
        raise place.fault("is empty", hint='as ["mon-fri 08:00-18:00"]')
    entries = []
    for item in items:
        window = parse_window(item.text())
        if window is None:
            raise item.fault(
                f"{item.shown()} is not a window of time", hint='as "mon-fri 08:00-18:00" or "22:00-06:00"'
            )
        entries.append(window)
    if zone is None:
        return Windows(tuple(entries))
    if zone_of(zone.text()) is None:
        raise zone.fault(f"there is no time zone {zone.shown()}", hint="as UTC or Europe/Berlin")
    return Windows(tuple(entries), zone.text())
