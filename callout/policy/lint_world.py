"""Findings that need the world: names nothing answers to, values no role asks for, idle caps."""

from __future__ import annotations

from collections.abc import Iterator

from callout.policy.finding import Code, Finding, Level, pointer
from callout.policy.model import Binding, Field, Holding, Operator, Policy
from callout.policy.place import nearest
from callout.policy.separation import gives
from callout.policy.world import KnownRole, World

Findings = Iterator[Finding]


def world_findings(policy: Policy, world: World) -> Findings:
    for place, binding in enumerate(policy.bindings):
        yield from _wide_roles(binding, place, world)
        yield from _accounts(binding, place, world)
        yield from _directories(policy, binding, place, world)
    for number, separation in enumerate(policy.separations):
        for side, holding in enumerate(separation.never_both):
            yield from _holding(holding, pointer("separations", number, "never-both", side), world)
    for cap in policy.role_caps:
        yield from _holding(cap.holding, pointer("role-lifetimes", str(cap.holding)), world)


def _wide_roles(binding: Binding, place: int, world: World) -> Findings:
    for holding in gives(binding):
        if any(wide.covers(holding) for wide in world.wide_roles):
            yield Finding(
                Code.WIDE_ROLE,
                Level.WARNING,
                pointer("bindings", place, "roles" if len(binding.roles) > 1 else "role"),
                f"{binding.name!r} gives {holding}, a wide role",
                "ask for more: a group of few, methods, how long ago they were shown, a network",
            )


def _holding(holding: Holding, at: str, world: World) -> Findings:
    if world.accounts is None:
        return
    roles = world.accounts.get(holding.account)
    if roles is None:
        yield _unknown(Code.ACCOUNT_UNKNOWN, at, "account", holding.account, world.accounts)
    elif holding.role and holding.role not in roles:
        yield _unknown(Code.ROLE_UNKNOWN, at, f"role in {holding.account}", holding.role, roles)


def _accounts(binding: Binding, place: int, world: World) -> Findings:
    if world.accounts is None:
        return
    roles = world.accounts.get(binding.account)
    if roles is None:
        at = pointer("bindings", place, "account")
        yield _unknown(Code.ACCOUNT_UNKNOWN, at, "account", binding.account, world.accounts)
        return
    several = len(binding.roles) > 1
    known: list[KnownRole] = []
    for number, role in enumerate(binding.roles):
        if role in roles:
            known.append(roles[role])
            continue
        at = pointer("bindings", place, *(("roles", number) if several else ("role",)))
        yield _unknown(Code.ROLE_UNKNOWN, at, f"role in {binding.account}", role, roles)
    yield from _values(binding, place, known)


def _values(binding: Binding, place: int, roles: list[KnownRole]) -> Findings:
    at = pointer("bindings", place, "values")
    wanted = frozenset[str]().union(*(role.tags for role in roles))
    given = {passed.key: passed for passed in binding.values}
    for key in sorted(wanted):
        if key not in given or given[key].optional:
            yield Finding(
                Code.VALUE_MISSING,
                Level.WARNING,
                at,
                f"{binding.name!r} {'may give' if key in given else 'gives'} no {key!r},"
                f" which its role's template asks for as {{{{tag({key})}}}}",
                "what is allowed with it falls away; where it is denied with it, the server refuses",
            )
    if any(role.user_name for role in roles) and (binding.user_name is None or binding.user_name.optional):
        yield Finding(
            Code.VALUE_MISSING,
            Level.ERROR,
            pointer("bindings", place),
            f"{binding.name!r} gives no user name, which its role's template asks for as {{{{name()}}}}",
            "add user-name:, as `user-name: subject`",
        )
    if len(roles) < len(binding.roles):
        return
    for key in given:
        if key not in wanted:
            yield Finding(
                Code.VALUE_UNUSED,
                Level.NOTE,
                at + pointer(key),
                f"no role of {binding.name!r} asks for {key!r}",
                "write {{tag(" + key + ")}} into a subject of the role, or take the value out",
            )


def _directories(policy: Policy, binding: Binding, place: int, world: World) -> Findings:
    if world.directories is None:
        return
    named: set[str] = set()
    groups: list[str] = []
    for criterion in binding.criteria:
        if criterion.negated or criterion.operator in {Operator.EXISTS, Operator.GLOB}:
            continue
        operand = criterion.operand if isinstance(criterion.operand, tuple) else (criterion.operand,)
        if criterion.field == Field.DIRECTORY:
            named.update(map(str, operand))
        elif criterion.field == Field.GROUPS:
            groups += map(str, operand)
    at = pointer("bindings", place, "match", Field.DIRECTORY)
    for name in sorted(named - world.directories.keys()):
        yield _unknown(Code.DIRECTORY_UNKNOWN, at, "directory", name, world.directories)
    asked = [world.directories[name] for name in (named or world.directories) if name in world.directories]
    known = [directory.groups for directory in asked]
    complete = [groups for groups in known if groups is not None]
    if asked and len(complete) == len(known):
        all_groups = frozenset[str]().union(*complete)
        for group in groups:
            if group not in all_groups:
                at = pointer("bindings", place, "match", Field.GROUPS)
                yield _unknown(Code.GROUP_UNKNOWN, at, "group", group, all_groups, Level.WARNING)
    lives = [directory.max_lifetime for directory in asked]
    longest = max((each for each in lives if each is not None), default=None)
    own = policy.max_lifetime if binding.max_lifetime is None else binding.max_lifetime
    if binding.max_lifetime is not None and longest is not None and None not in lives and own > longest:
        yield Finding(
            Code.CAP_IDLE,
            Level.NOTE,
            pointer("bindings", place, "max-lifetime"),
            f"{own} s are more than the {longest} s that the directory's proofs live",
            f"the shorter counts: write {longest}s or less, or ask the directory for longer proofs",
        )


def _unknown(code: Code, at: str, what: str, name: str, known: object, level: Level = Level.ERROR) -> Finding:
    names = sorted(map(str, known)) if isinstance(known, dict | frozenset) else []
    hint = nearest(name, names) if 0 < len(names) <= 50 else "check how it is spelt, or create it"
    return Finding(code, level, at, f"there is no {what} called {name!r}", hint)
