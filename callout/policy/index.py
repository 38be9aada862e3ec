"""Which bindings can match an identity at all, without asking each of them.

Of every binding one criterion that compares who somebody is with fixed values is its anchor: who
does not hold one of its values cannot match. The rarest is taken, so that a binding for one group
is looked at for members of that group only. Bindings without such a criterion are always asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from callout.policy.criteria import kind_of, seen
from callout.policy.decision import UNKNOWN
from callout.policy.model import Binding, Criterion, Operator, Policy
from callout.policy.separation import is_standing
from issuer.grants import Attribute, Identity

Key = tuple[str, Any]
"""The kind and the value: `1` and `true` are not the same."""

_ANCHORS: Final = frozenset({Operator.EQUALS, Operator.ONE_OF, Operator.ANY_OF, Operator.ALL_OF})


class Compiled:
    """A policy made ready for many decisions."""

    __slots__ = ("_always", "_buckets", "policy")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        anchors = [_anchors(binding) for binding in policy.bindings]
        uses = Counter(
            (criterion.field, key) for each in anchors for criterion, keys in each for key in set(keys)
        )
        self._buckets: dict[str, dict[Key, list[int]]] = {}
        """By field and value, the places of the bindings anchored there."""
        always = []
        for place, possible in enumerate(anchors):
            if not policy.bindings[place].criteria:
                continue
            if not possible:
                always.append(place)
                continue
            field, keys = _rarest(possible, uses)
            bucket = self._buckets.setdefault(field, {})
            for key in set(keys):
                bucket.setdefault(key, []).append(place)
        self._always = tuple(always)

    def candidates(self, identity: Identity) -> list[Binding]:
        """In their order, all bindings that may match; perhaps some more."""
        found = set(self._always)
        for field, bucket in self._buckets.items():
            for key in _keys(seen(field, identity, UNKNOWN, 0)):
                found.update(bucket.get(key, ()))
        return [self.policy.bindings[place] for place in sorted(found)]

    def around(self, binding: Binding) -> list[int]:
        """The places of all bindings that may match whoever this one matches; perhaps some more."""
        found = set(self._always)
        for criterion, keys in _anchors(binding):
            bucket = self._buckets.get(criterion.field, {})
            for key in keys:
                found.update(bucket.get(key, ()))
        return sorted(found)


def compiled(policy: Policy) -> Compiled:
    """Once for each policy; decisions then cost what the bindings near an identity cost."""
    return Compiled(policy)


def _anchors(binding: Binding) -> list[tuple[Criterion, list[Key]]]:
    found = []
    for criterion in binding.criteria:
        # One about how it came this time would hide what it holds from the separations.
        if criterion.negated or criterion.operator not in _ANCHORS or not is_standing(criterion):
            continue
        operand = criterion.operand if isinstance(criterion.operand, tuple) else (criterion.operand,)
        keys: list[Key] = [(kind_of(value), value) for value in operand]
        if criterion.operator is Operator.ALL_OF:
            # Any single one of them is enough to tell.
            found += [(criterion, [key]) for key in keys]
        else:
            found.append((criterion, keys))
    return found


def _rarest(
    possible: list[tuple[Criterion, list[Key]]], uses: Counter[tuple[str, Key]]
) -> tuple[str, list[Key]]:
    def crowd(entry: tuple[Criterion, list[Key]]) -> int:
        criterion, keys = entry
        return max((uses[criterion.field, key] for key in keys), default=0)

    criterion, keys = min(possible, key=crowd)
    return criterion.field, keys


def _keys(value: Attribute | None) -> Iterator[Key]:
    if isinstance(value, tuple):
        # Many groups are what takes time here.
        return (("text", each) for each in value)
    kind = kind_of(value)
    return iter(((kind, value),) if kind else ())
