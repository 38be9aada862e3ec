"""What nobody may hold together, and who holds what.

Somebody holds what every binding gives whose criteria about the identity itself are fulfilled,
wherever, whenever and however strongly proved it comes: else a second login from another network
would be a way around a separation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from callout.policy.criteria import passes
from callout.policy.decision import Part, Step
from callout.policy.model import ATTRIBUTE, Binding, Criterion, Field, Holding, Operator, Policy, Separation
from issuer.grants import Identity

_STANDING: Final = frozenset({Field.ISSUER, Field.SUBJECT, Field.DIRECTORY, Field.KIND, Field.GROUPS})


def is_standing(criterion: Criterion) -> bool:
    """Whether it is about who somebody is, not about how, when and whence it comes this time."""
    of_identity = criterion.field in _STANDING or criterion.field.startswith(ATTRIBUTE)
    return of_identity and criterion.operator is not Operator.WITHIN


def gives(binding: Binding) -> tuple[Holding, ...]:
    return tuple(Holding(binding.account, role) for role in binding.roles)


def holds_standing(binding: Binding, identity: Identity, *, now: int) -> bool:
    """Whether some login of this identity could be granted by it."""
    if binding.shadow or not binding.criteria:
        return False
    return all(passes(each, identity, now) for each in binding.criteria if is_standing(each))


def sides_of(separation: Separation, bindings: Iterable[Binding]) -> dict[Holding, str]:
    """The sides of a separation that these bindings give, and the first that gives each."""
    found: dict[Holding, str] = {}
    for binding in bindings:
        for holding in gives(binding):
            for side in separation.never_both:
                if side.covers(holding):
                    found.setdefault(side, binding.name)
    return found


def separation_steps(policy: Policy, held: Iterable[Binding]) -> list[Step]:
    """A step for each separation; one that failed names what is held and by which bindings."""
    held = tuple(held)
    steps = []
    for separation in policy.separations:
        sides = sides_of(separation, held)
        apart = len(sides) < 2
        steps.append(
            Step(
                Part.SEPARATION,
                apart,
                "holds no two of these" if apart else "holds more than one of these",
                binding=", ".join(dict.fromkeys(sides.values())),
                criterion=separation.name,
                wanted=[str(side) for side in separation.never_both],
                value=[str(side) for side in sides],
            )
        )
    return steps


def broken_by(policy: Policy, identity: Identity, *, now: int) -> list[Step]:
    """The separations this identity breaks: for a standing report over all that are known."""
    held = [binding for binding in policy.bindings if holds_standing(binding, identity, now=now)]
    return [step for step in separation_steps(policy, held) if not step.passed]
