"""What differs between two descriptions: changes in order, as text lines and as plain data. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from issuer.authority.plan.describing import (
    Plain,
    account_plain,
    export_plain,
    import_plain,
    operator_plain,
    role_plain,
    user_plain,
)
from issuer.authority.plan.document import SECTIONS
from issuer.authority.plan.source import step
from issuer.claims.account import Export, Import, Scope, new_account
from issuer.claims.operator import new_operator
from issuer.claims.user import new_template, new_user
from issuer.keys.nkeys import PublicKey

CREATE: Final = "create"
CHANGE: Final = "change"
DELETE: Final = "delete"
_SIGNS: Final = {CREATE: "+", CHANGE: "~", DELETE: "-"}
_SHARED: Final = frozenset({"exports", "imports"})
_NOBODY: Final = PublicKey("")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. A thing that is made or goes away carries its members, a member its values."""

    kind: str
    path: str
    before: Any = None
    after: Any = None

    def plain(self) -> Plain:
        return {"kind": self.kind, "path": self.path, "before": self.before, "after": self.after}


def compare(before: Plain, after: Plain, path: str = "") -> list[Change]:
    """The changes that lead from one description to the other, outer things first."""
    return list(_members(before, after, path))


def _members(before: Plain, after: Plain, path: str) -> Iterator[Change]:
    later: list[Iterator[Change]] = []
    for word in dict.fromkeys((*after, *before)):
        was, will = before.get(word), after.get(word)
        inner = f"{path}.{word}" if path else word
        # A limit may have a section's name: how many imports there may be.
        if word in SECTIONS and isinstance(was if will is None else will, dict):
            later.append(_things(word, was or {}, will or {}, inner))
        elif isinstance(was, dict) and isinstance(will, dict):
            yield from _members(was, will, inner)
        elif was != will:
            yield Change(CHANGE, inner, was, will)
    for section in later:
        yield from section


def _things(section: str, before: Plain, after: Plain, path: str) -> Iterator[Change]:
    for name in dict.fromkeys((*after, *before)):
        inner = path + (f"[{_show(name)}]" if section in _SHARED else f".{step(name)}")
        if name not in after:
            yield Change(DELETE, inner, thinned(section, name, before[name]))
        elif name not in before:
            yield from _made(section, name, after[name], inner)
        else:
            yield from _members(before[name], after[name], inner)


def _made(section: str, name: str, plain: Plain, path: str) -> Iterator[Change]:
    own = {word: value for word, value in plain.items() if word not in SECTIONS}
    yield Change(CREATE, path, None, thinned(section, name, own))
    for word, things in plain.items():
        if word in SECTIONS:
            yield from _things(word, {}, things, f"{path}.{word}")


def thinned(section: str, name: str, plain: Plain) -> Plain:
    """The members that differ from those of a thing newly made."""
    return _without(plain, _default(section, name.split(" ")[1] if section in _SHARED else ""))


def thinned_operator(plain: Plain) -> Plain:
    return _without(plain, operator_plain(new_operator(_NOBODY, ""), str))


def _without(plain: Plain, default: Plain) -> Plain:
    kept: Plain = {}
    for word, value in plain.items():
        usual = default.get(word)
        if isinstance(value, dict) and isinstance(usual, dict):
            inner = _without(value, usual)
            if inner:
                kept[word] = inner
        elif value != usual:
            kept[word] = value
    return kept


@cache
def _default(section: str, subject: str) -> Plain:
    match section:
        case "accounts":
            return account_plain(new_account(_NOBODY, ""), str)
        case "users":
            return {**user_plain(new_user(_NOBODY, ""), ""), "role": ""}
        case "roles":
            return role_plain(Scope(key=_NOBODY, role="", template=new_template()))
        case "exports":
            # nsc names an export after its subject when nobody names it, and so do we.
            return export_plain(Export(name=subject))
        case "imports":
            return import_plain(Import(name=subject))
        case _:
            return {}


# As text


def lines(changes: Iterable[Change]) -> Iterator[str]:
    """The diff for people: one line a change, the members of a new thing under it."""
    for change in changes:
        sign = _SIGNS[change.kind]
        if change.kind == CHANGE:
            yield f"{sign} {change.path}: {_difference(change.before, change.after)}"
            continue
        yield f"{sign} {change.path}"
        if change.kind == CREATE:
            for word, value in _flat(change.after or {}):
                yield f"    {word}: {_show(value)}"


def summary(changes: Iterable[Change]) -> str:
    kinds = [change.kind for change in changes]
    if not kinds:
        return "nothing to change"
    return ", ".join(f"{kinds.count(kind)} to {kind}" for kind in (CREATE, CHANGE, DELETE) if kind in kinds)


def _difference(before: Any, after: Any) -> str:
    if isinstance(before, list) and isinstance(after, list) and before and after:
        gone = [f"-{_show(item)}" for item in before if item not in after]
        come = [f"+{_show(item)}" for item in after if item not in before]
        if gone or come:
            return " ".join([*gone, *come])
    return f"{_show(before)} → {_show(after)}"


def _flat(plain: Plain, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for word, value in plain.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{word}.")
        else:
            yield f"{prefix}{word}", value


def _show(value: Any) -> str:
    if value is None or value in ("", []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "[" + ", ".join(_show(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{word}: {_show(inner)}" for word, inner in value.items()) + "}"
    if isinstance(value, str) and not value.isprintable():
        return json.dumps(value)
    return str(value)
