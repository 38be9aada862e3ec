"""A policy as plain data again: `read_policy(plain(policy)) == policy`. And its digest."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from callout.policy.model import (
    ATTRIBUTE,
    ATTRIBUTES,
    DEFAULT_JITTER,
    DEFAULT_LIFETIME,
    NOT,
    Binding,
    Criterion,
    Field,
    Operator,
    Passed,
    Policy,
    Priority,
    Windows,
)
from callout.policy.spans import show_moment, show_span
from callout.policy.windows import show_window


def plain(policy: Policy) -> dict[str, Any]:
    """The policy as YAML and JSON write it; what has its default is left out."""
    found: dict[str, Any] = {"version": policy.version}
    if policy.max_lifetime != DEFAULT_LIFETIME:
        found["max-lifetime"] = show_span(policy.max_lifetime)
    if policy.role_caps:
        found["role-lifetimes"] = {str(cap.holding): show_span(cap.max_lifetime) for cap in policy.role_caps}
    found["bindings"] = [_binding(binding) for binding in policy.bindings]
    if policy.separations:
        found["separations"] = [
            {"name": each.name, "never-both": [str(holding) for holding in each.never_both]}
            for each in policy.separations
        ]
    return found


def digest(policy: Policy) -> str:
    """SHA-256 of what it says, as hex: two policies that differ in anything differ in it."""
    return hashlib.sha256(msgspec.json.encode(plain(policy))).hexdigest()


def _binding(binding: Binding) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": binding.name,
        "match": plain_match(binding.criteria),
        "account": binding.account,
    }
    if len(binding.roles) == 1:
        found["role"] = binding.roles[0]
    else:
        found["roles"] = list(binding.roles)
    if binding.values:
        found["values"] = {passed.key: _passed(passed) for passed in binding.values}
    if binding.user_name is not None:
        found["user-name"] = _passed(binding.user_name)
    if binding.max_lifetime is not None:
        found["max-lifetime"] = show_span(binding.max_lifetime)
    if binding.jitter != DEFAULT_JITTER:
        found["jitter"] = f"{binding.jitter}%"
    if binding.priority is not Priority.NORMAL:
        found["priority"] = binding.priority.value
    if binding.grace:
        found["grace"] = show_span(binding.grace)
    flags = {"single-use": binding.single_use, "shadow": binding.shadow, "union": binding.union}
    found |= {name: True for name, said in flags.items() if said}
    return found


def plain_match(criteria: tuple[Criterion, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for criterion in criteria:
        if criterion.field.startswith(ATTRIBUTE):
            attributes = found.setdefault(ATTRIBUTES, {})
            conditions = attributes.setdefault(criterion.field.removeprefix(ATTRIBUTE), {})
        else:
            conditions = found.setdefault(str(criterion.field), {})
        if criterion.negated:
            conditions = conditions.setdefault(NOT, {})
        conditions[criterion.operator.value] = plain_operand(criterion)
        if isinstance(criterion.operand, Windows):
            conditions["zone"] = criterion.operand.zone
    return found


def plain_operand(criterion: Criterion) -> Any:
    """What an operator looks for, as the file writes it."""
    operand = criterion.operand
    if isinstance(operand, Windows):
        return [show_window(window) for window in operand.entries]
    if isinstance(operand, tuple):
        return list(operand)
    if isinstance(operand, int) and not isinstance(operand, bool):
        if criterion.operator is Operator.WITHIN:
            return show_span(operand)
        moment = criterion.field in {Field.AUTHENTICATED, Field.TIME}
        if criterion.operator is Operator.BEFORE or (moment and criterion.operator is not Operator.EQUALS):
            return show_moment(operand)
    return operand


def _passed(passed: Passed) -> Any:
    if not passed.source:
        return {"text": passed.text}
    flags = {"several": passed.several, "optional": passed.optional, "lower-case": passed.lower_case}
    said = {name: True for name, flag in flags.items() if flag}
    return {"from": passed.source, **said} if said else passed.source
