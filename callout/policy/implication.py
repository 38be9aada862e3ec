"""What follows from what: whether one criterion surely holds wherever others do, or they never can.

Only what is plain to see is said; False means "not sure", never "no".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any, Final

from callout.policy.criteria import holds, kind_of, network_of
from callout.policy.globs import glob_surely_wider
from callout.policy.model import Binding, Criterion, Field, Operator

# Whether they hold hangs on the moment, too.
_BY_CLOCK: Final = frozenset({Operator.WITHIN, Operator.DURING})
_FINITE: Final = frozenset({Operator.EQUALS, Operator.ONE_OF})


def surely_wider(wide: Binding, narrow: Binding) -> bool:
    """Whether `wide` surely matches whoever `narrow` matches."""
    return bool(wide.criteria) and all(
        any(implied(criterion, given) for given in narrow.criteria if given.field == criterion.field)
        for criterion in wide.criteria
    )


def implied(wanted: Criterion, given: Criterion) -> bool:
    """Whether `wanted` surely holds where `given` does; both look at the same field."""
    if wanted == given:
        # Compared as values they can be equal and of different kinds: 1 and true.
        return _kinds(wanted) == _kinds(given)
    if wanted.operator is Operator.EXISTS:
        # Nothing holds of what is absent.
        return not wanted.negated
    if given.field == Field.NETWORK:
        return _network_implied(wanted, given)
    finite = finite_values(given)
    if finite is not None and wanted.operator not in _BY_CLOCK:
        return all(holds(wanted, value, 0)[0] for value in finite)
    if wanted.negated != given.negated:
        return False
    return _operand_implied(wanted, given)


def finite_values(criterion: Criterion) -> tuple[Any, ...] | None:
    """All that a field can be where this holds; None where there is no end of it."""
    if criterion.negated or criterion.operator not in _FINITE or criterion.field == Field.NETWORK:
        return None
    return criterion.operand if isinstance(criterion.operand, tuple) else (criterion.operand,)


def _operand_implied(wanted: Criterion, given: Criterion) -> bool:
    have, want = _listed(given.operand), _listed(wanted.operand)
    if wanted.negated:
        # None of a longer list is none of a shorter one.
        same = wanted.operator is given.operator and wanted.operator in {Operator.ANY_OF, Operator.ONE_OF}
        return same and _kinds(wanted) == _kinds(given) and set(want) <= set(have)
    match (wanted.operator, given.operator):
        case (Operator.ANY_OF, Operator.ANY_OF):
            return set(have) <= set(want)
        case (Operator.ANY_OF, Operator.ALL_OF):
            return not set(have).isdisjoint(want)
        case (Operator.ALL_OF, Operator.ALL_OF):
            return set(want) <= set(have)
        case (Operator.ALL_OF, Operator.ANY_OF):
            return len(have) == 1 and have == want
        case (Operator.GLOB, Operator.ALL_OF):
            return any(glob_surely_wider(str(want[0]), str(text)) for text in have)
        case (Operator.GLOB, Operator.ANY_OF):
            return all(glob_surely_wider(str(want[0]), str(text)) for text in have)
        case (Operator.GLOB, Operator.GLOB):
            return glob_surely_wider(str(want[0]), str(have[0]))
        case (Operator.AT_LEAST, Operator.AT_LEAST):
            return bool(have[0] >= want[0])
        case (Operator.AT_MOST, Operator.AT_MOST) | (Operator.BEFORE, Operator.BEFORE):
            return bool(have[0] <= want[0])
        case (Operator.WITHIN, Operator.WITHIN):
            return bool(have[0] <= want[0])
    return False


def _network_implied(wanted: Criterion, given: Criterion) -> bool:
    have, want = _networks(given), _networks(wanted)
    if not have or not want or Operator.EXISTS in {wanted.operator, given.operator}:
        return False
    if given.negated or wanted.negated:
        # Outside of a wide network is outside of a narrow one.
        return given.negated and wanted.negated and all(_inside(net, have) for net in want)
    return all(_inside(net, want) for net in have)


def contradiction(criteria: Sequence[Criterion]) -> tuple[Criterion, Criterion] | None:
    """Two criteria of a binding that can surely never hold together."""
    for place, one in enumerate(criteria):
        for other in criteria[place + 1 :]:
            if one.field == other.field and (_never(one, other) or _never(other, one)):
                return one, other
    return None


def impossible(criterion: Criterion) -> bool:
    """One that can never hold by itself."""
    return criterion.negated and criterion.operator is Operator.EXISTS


def _never(one: Criterion, other: Criterion) -> bool:
    finite = finite_values(one)
    if finite is not None and other.operator not in _BY_CLOCK:
        return not any(holds(other, value, 0)[0] for value in finite)
    if one.field == Field.NETWORK:
        return _never_from(one, other)
    if one.negated:
        return False
    have, bound = _listed(one.operand), _listed(other.operand)
    if other.negated:
        if other.operator is Operator.ANY_OF:
            if one.operator is Operator.ANY_OF:
                return set(have) <= set(bound)
            return one.operator is Operator.ALL_OF and not set(have).isdisjoint(bound)
        return False
    if one.operator is not Operator.AT_LEAST:
        return False
    if other.operator is Operator.AT_MOST:
        return bool(have[0] > bound[0])
    return other.operator is Operator.BEFORE and bool(have[0] >= bound[0])


def _never_from(one: Criterion, other: Criterion) -> bool:
    have, bound = _networks(one), _networks(other)
    if one.negated or not have or not bound:
        return False
    if other.negated:
        return all(_inside(net, bound) for net in have)
    return not any(_inside(net, bound) or _inside(each, have) for net in have for each in bound)


def _networks(criterion: Criterion) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = [network_of(str(text)) for text in _listed(criterion.operand)]
    known = [network for network in found if network is not None]
    return known if len(known) == len(found) else []


def _inside(network: Any, others: Iterable[Any]) -> bool:
    return any(network.version == other.version and network.subnet_of(other) for other in others)


def _listed(operand: Any) -> tuple[Any, ...]:
    return operand if isinstance(operand, tuple) else (operand,)


def _kinds(criterion: Criterion) -> set[str]:
    return {kind_of(value) for value in _listed(criterion.operand)}
