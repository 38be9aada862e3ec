"""What is wrong with a policy that can be read. Conservative: what is not sure is not said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from callout.policy.finding import Code, Finding, Level, pointer
from callout.policy.globs import glob_takes_all
from callout.policy.implication import contradiction, impossible, surely_wider
from callout.policy.index import Compiled, compiled
from callout.policy.lint_world import world_findings
from callout.policy.model import (
    ATTRIBUTE,
    ATTRIBUTES,
    NOT,
    Binding,
    Criterion,
    Field,
    Operator,
    Policy,
    Separation,
)
from callout.policy.separation import is_standing, sides_of
from callout.policy.world import NOTHING_KNOWN, World

_EVERYWHERE: Final = ("0.0.0.0/0", "::/0")

Findings = Iterator[Finding]


def lint(policy: Policy, *, world: World = NOTHING_KNOWN, now: int | None = None) -> list[Finding]:
    """Everything found, in the order of the file; `now` to say what is over already.

    Pointers are into the policy as `writing.plain` writes it.
    """
    found: list[Finding] = []
    index = compiled(policy)
    for place, binding in enumerate(policy.bindings):
        found += _criteria(binding, place, now)
        found += _lifetime(policy, binding, place)
        found += _pairs(index, place)
    found += _separations(index)
    found += world_findings(policy, world)
    return sorted(found, key=lambda finding: _order(finding.pointer))


def place_of(binding: int, criterion: Criterion) -> str:
    """The JSON pointer of a criterion."""
    field = criterion.field
    steps = [ATTRIBUTES, field.removeprefix(ATTRIBUTE)] if field.startswith(ATTRIBUTE) else [str(field)]
    return pointer("bindings", binding, "match", *steps, *([NOT] if criterion.negated else []))


def _criteria(binding: Binding, place: int, now: int | None) -> Findings:
    at = pointer("bindings", place, "match")
    if not binding.criteria:
        yield Finding(
            Code.NO_CRITERIA,
            Level.ERROR,
            at,
            f"{binding.name!r} has no criteria, so it lets nobody in",
            "say whom it is for, or take it out",
        )
        return
    yield from _wide(binding, place, at)
    clash = contradiction(binding.criteria)
    never = next(filter(impossible, binding.criteria), None)
    if clash is not None or never is not None:
        one = clash[1] if clash is not None else never
        yield Finding(
            Code.CONTRADICTION,
            Level.ERROR,
            place_of(place, one) if one is not None else at,
            f"{binding.name!r} can match nobody: its criteria exclude each other",
            "all criteria must hold at once; write two bindings if either shall do",
        )
    for criterion in binding.criteria:
        before = criterion.operator is Operator.BEFORE and criterion.field == Field.TIME
        if before and now is not None and isinstance(criterion.operand, int) and criterion.operand <= now:
            yield Finding(
                Code.OVER,
                Level.WARNING,
                place_of(place, criterion),
                f"{binding.name!r} is over: its time has passed",
                "take it out, or give it a later end",
            )


def _wide(binding: Binding, place: int, at: str) -> Findings:
    if all(_says_little(criterion) for criterion in binding.criteria):
        yield Finding(
            Code.WIDE,
            Level.WARNING,
            at,
            f"{binding.name!r} matches whoever has something there, whatever it is",
            "name a group, a directory or a value",
        )
    for criterion in binding.criteria:
        operand = criterion.operand
        if criterion.operator is Operator.GLOB and glob_takes_all(str(operand)):
            yield Finding(
                Code.WIDE_GLOB,
                Level.WARNING,
                place_of(place, criterion),
                f"the glob {operand!r} matches every text",
                "write `exists: true` if that is meant, or the part that must be there",
            )
        everywhere = isinstance(operand, tuple) and any(text in operand for text in _EVERYWHERE)
        if criterion.field == Field.NETWORK and everywhere:
            yield Finding(
                Code.WIDE_NETWORK,
                Level.WARNING,
                place_of(place, criterion),
                "the network takes in every address of its family",
                "name the networks, or leave the criterion out",
            )


def _says_little(criterion: Criterion) -> bool:
    if criterion.operator is Operator.EXISTS or criterion.negated:
        return True
    return criterion.operator is Operator.GLOB and glob_takes_all(str(criterion.operand))


def _lifetime(policy: Policy, binding: Binding, place: int) -> Findings:
    own = binding.max_lifetime
    if own is not None and own > policy.max_lifetime:
        yield Finding(
            Code.CAP_BEYOND_POLICY,
            Level.NOTE,
            pointer("bindings", place, "max-lifetime"),
            f"{own} s are more than the policy's {policy.max_lifetime} s, which count",
            "raise max-lifetime at the top, or take this one out",
        )


def _pairs(index: Compiled, place: int) -> Findings:
    """What earlier bindings do to this one."""
    bindings = index.policy.bindings
    binding = bindings[place]
    if binding.shadow or not binding.criteria:
        return
    fields = frozenset(criterion.field for criterion in binding.criteria)
    at = pointer("bindings", place)
    told: set[Code] = set()
    # Of a thousand bindings each is not held against each: a wider one shares an anchor with it.
    for number in index.around(binding):
        if number >= place:
            break
        earlier = bindings[number]
        if earlier.shadow or not fields.issuperset(each.field for each in earlier.criteria):
            continue
        if not surely_wider(earlier, binding):
            continue
        where = f"{earlier.name!r} (/bindings/{number})"
        finding = _overshadowed(earlier, binding, where, at)
        if finding is not None and finding.code not in told:
            told.add(finding.code)
            yield finding


def _overshadowed(earlier: Binding, binding: Binding, where: str, at: str) -> Finding | None:
    if not (earlier.union and binding.union):
        return Finding(
            Code.SHADOWED,
            Level.WARNING,
            at,
            f"{binding.name!r} never grants: {where} matches whenever it does, and comes first",
            "put the narrower one first, or say `union: true` in both",
        )
    if earlier.account != binding.account:
        return Finding(
            Code.UNION_CONFLICT,
            Level.ERROR,
            at,
            f"{binding.name!r} never grants: {where} matches too, and leads to another account",
            "a connection is in one account: take `union` from one of them",
        )
    if (earlier.values, earlier.user_name) != (binding.values, binding.user_name):
        return Finding(
            Code.UNION_VALUES,
            Level.WARNING,
            f"{at}/values",
            f"{binding.name!r} and {where} grant together and pass on different values",
            "give both the same values: and user-name:",
        )
    return None


def _separations(index: Compiled) -> Findings:
    policy = index.policy
    live = [binding for binding in policy.bindings if not binding.shadow and binding.criteria]
    for number, separation in enumerate(policy.separations):
        at = pointer("separations", number, "never-both")
        sides = sides_of(separation, live)
        for side in separation.never_both:
            if side not in sides:
                yield Finding(
                    Code.SEPARATION_IDLE,
                    Level.NOTE,
                    at,
                    f"no binding gives {side}",
                    "check how it is spelt, or take it out",
                )
        for place, binding in enumerate(policy.bindings):
            if not binding.shadow:
                yield from _separated(separation, binding, place, index)


def _separated(separation: Separation, binding: Binding, place: int, index: Compiled) -> Findings:
    own = sides_of(separation, [binding])
    if len(own) > 1:
        yield Finding(
            Code.SEPARATION_BROKEN,
            Level.ERROR,
            pointer("bindings", place, "roles"),
            f"{binding.name!r} gives {' and '.join(map(str, own))}: {separation.name!r} keeps them apart",
            "give them by two bindings, to different people",
        )
    if len(own) != 1:
        return
    for number in index.around(binding):
        wider = index.policy.bindings[number]
        if wider.shadow:
            continue
        # Held by everybody who matches this one, wherever it comes from.
        both = len(sides_of(separation, [binding, wider])) > 1
        if both and all(map(is_standing, wider.criteria)) and surely_wider(wider, binding):
            yield Finding(
                Code.SEPARATION_ALWAYS,
                Level.ERROR,
                pointer("bindings", place),
                f"{binding.name!r} is always refused: who matches it holds what {wider.name!r} gives, too",
                f"narrow {wider.name!r} so that it leaves them out: {separation.name!r} keeps both apart",
            )
            return


def _order(at: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(step), "") if step.isdecimal() else (-1, step) for step in at.split("/")[1:])
