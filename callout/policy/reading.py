"""From plain data (what YAML or JSON holds) to a policy: every member known, every value of its kind.

Nothing is guessed: a text is no number, an empty `match` is no "everybody", and a binding that
names no role gives none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from callout.policy.model import (
    ATTRIBUTE,
    DEFAULT_JITTER,
    DEFAULT_LIFETIME,
    FORMAT,
    LEAST_LIFETIME,
    MAX_JITTER,
    Binding,
    Holding,
    Passed,
    Policy,
    Priority,
    RoleCap,
    Separation,
)
from callout.policy.place import Place, PolicyError
from callout.policy.reading_match import read_match
from callout.policy.values import unsafe

__all__ = ["PolicyError", "read_policy"]

T = TypeVar("T")

MAX_LIFETIME: Final = 3650 * 86_400
MAX_GRACE: Final = 7 * 86_400
MAX_NAME: Final = 256
SOURCES: Final = ("subject", "directory", "kind", "groups")

_SHARE: Final = re.compile(r"([0-9]{1,2})%")
_KEY: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def read_policy(data: Any) -> Policy:
    """Read a policy.

    Raises:
        PolicyError: the first thing wrong with it; `at` is its JSON pointer, `hint` the way out.
    """
    top = Place(data)
    members = top.members(
        ("version", "max-lifetime", "bindings", "separations", "role-lifetimes"),
        needed=("version", "bindings"),
    )
    if members["version"].whole(0, 10**6) != FORMAT:
        raise members["version"].fault("is no format this program knows", hint=f"write version: {FORMAT}")
    return Policy(
        max_lifetime=_maybe(members, "max-lifetime", _lifetime, DEFAULT_LIFETIME),
        bindings=_named(members["bindings"], _binding),
        separations=_named(members["separations"], _separation) if "separations" in members else (),
        role_caps=_maybe(members, "role-lifetimes", _role_caps, ()),
    )


def _binding(place: Place) -> Binding:
    members = place.members(
        (
            "name", "match", "account", "role", "roles", "values", "user-name", "max-lifetime",
            "jitter", "priority", "grace", "single-use", "shadow", "union",
        ),
        needed=("name", "match", "account"),
    )  # fmt: skip
    grace = _maybe(members, "grace", lambda value: value.span(0, MAX_GRACE), 0)
    single_use = _maybe(members, "single-use", Place.flag, False)
    if grace and single_use:
        raise members["grace"].fault(
            "lets in by a proof from before, which single-use takes only once", hint="leave one of them out"
        )
    return Binding(
        name=_name(members["name"]),
        criteria=read_match(members["match"]),
        account=_name(members["account"]),
        roles=_roles(place, members),
        values=_maybe(members, "values", _values, ()),
        user_name=_maybe(members, "user-name", _user_name, None),
        max_lifetime=_maybe(members, "max-lifetime", _lifetime, None),
        jitter=_maybe(members, "jitter", _share, DEFAULT_JITTER),
        priority=_maybe(members, "priority", _priority, Priority.NORMAL),
        grace=grace,
        single_use=single_use,
        shadow=_maybe(members, "shadow", Place.flag, False),
        union=_maybe(members, "union", Place.flag, False),
    )


def _roles(place: Place, members: dict[str, Place]) -> tuple[str, ...]:
    if ("role" in members) == ("roles" in members):
        raise place.fault(
            "must say either role or roles",
            hint="`role: reader`; a token without a role could do whatever the account can",
        )
    if "role" in members:
        return (_name(members["role"]),)
    return _distinct(members["roles"], _name)


def _values(place: Place) -> tuple[Passed, ...]:
    found = []
    for key, value in place.entries().items():
        if not _KEY.fullmatch(key):
            raise value.fault(
                f"{Place(key).shown()} is no key of a tag",
                hint="up to 32 of a-z, 0-9, _ and -; a role's template asks for it as {{tag(key)}}",
            )
        found.append(_passed(value, key))
    return tuple(found)


def _user_name(place: Place) -> Passed:
    passed = _passed(place, "name")
    if passed.several:
        raise place.fault("cannot have several values", hint="a user has one name: leave several: out")
    return passed


def _passed(place: Place, key: str) -> Passed:
    if isinstance(place.value, str):
        return _checked_source(place, Passed(key=key, source=place.text()))
    members = place.members(("from", "text", "several", "optional", "lower-case"))
    if ("from" in members) == ("text" in members):
        raise place.fault(
            "must say either from or text", hint="`from: attributes.site`, or `text: north` for all"
        )
    if "text" in members:
        extra = [name for name in members if name != "text"]
        if extra:
            raise members[extra[0]].fault(
                "does not go with text", hint="a fixed text is what it is: leave it out"
            )
        return _checked_text(members["text"], key)
    passed = Passed(
        key=key,
        source=members["from"].text(),
        several=_maybe(members, "several", Place.flag, False),
        optional=_maybe(members, "optional", Place.flag, False),
        lower_case=_maybe(members, "lower-case", Place.flag, False),
    )
    return _checked_source(members["from"], passed)


def _checked_text(place: Place, key: str) -> Passed:
    text = place.text()
    fault = unsafe(text, lower=True)
    if fault:
        raise place.fault(fault, hint="one word of a subject: no dots, blanks, * or >")
    return Passed(key=key, text=text)


def _checked_source(place: Place, passed: Passed) -> Passed:
    source = passed.source
    if source == "name":
        raise place.fault(
            "a display name may be somebody else's, too",
            hint="pass on subject, or an attribute that is unique",
        )
    if source not in SOURCES and (not source.startswith(ATTRIBUTE) or source == ATTRIBUTE):
        raise place.fault(
            f"{place.shown()} is nothing that can be passed on",
            hint=f"known are {', '.join(SOURCES)} and attributes.NAME",
        )
    if source == "groups" and not passed.several:
        raise place.fault("groups are several", hint="write { from: groups, several: true }")
    return passed


def _separation(place: Place) -> Separation:
    members = place.members(("name", "never-both"), needed=("name", "never-both"))
    listed = members["never-both"]
    holdings = _distinct(listed, _holding)
    if len(holdings) < 2:
        raise listed.fault("names only one", hint="a separation keeps two or more apart")
    for one in holdings:
        for other in holdings:
            if one != other and one.covers(other):
                raise listed.fault(
                    f"{one} takes in {other}: who has {other} would have both",
                    hint=f"name the other roles of {one.account} one by one",
                )
    return Separation(name=_name(members["name"]), never_both=holdings)


def _role_caps(place: Place) -> tuple[RoleCap, ...]:
    found = []
    for name, value in place.entries().items():
        holding = _holding(Place(name, value.pointer))
        if not holding.role:
            raise value.fault(
                "names no role", hint=f"write {name}/ROLE; max-lifetime at the top is for everything"
            )
        found.append(RoleCap(holding, _lifetime(value)))
    return tuple(found)


def _holding(place: Place) -> Holding:
    account, slash, role = place.text().partition("/")
    if not account or "/" in role or bool(slash) != bool(role):
        raise place.fault(
            f"{place.shown()} is no role", hint="write ACCOUNT/role, or ACCOUNT for all of its roles"
        )
    return Holding(account, role)


def _lifetime(place: Place) -> int:
    return place.span(LEAST_LIFETIME, MAX_LIFETIME)


def _share(place: Place) -> int:
    found = _SHARE.fullmatch(place.value) if isinstance(place.value, str) else None
    if found is None or int(found[1]) > MAX_JITTER:
        raise place.fault(f"{place.shown()} is no share", hint=f'from "0%" to "{MAX_JITTER}%", as "10%"')
    return int(found[1])


def _priority(place: Place) -> Priority:
    return Priority(place.one_of(Priority))


def _name(place: Place) -> str:
    text = place.text()
    if len(text) > MAX_NAME or text != text.strip() or "/" in text or "\\" in text:
        raise place.fault(
            f"{place.shown()} cannot be a name",
            hint=f"up to {MAX_NAME} characters, no / or \\, no outer blanks",
        )
    return text


def _distinct(place: Place, read: Callable[[Place], T]) -> tuple[T, ...]:
    """A list of at least one, none of them twice."""
    items = place.items()
    if not items:
        raise place.fault("is empty", hint="name at least one")
    found: list[T] = []
    for item in items:
        value = read(item)
        if value in found:
            raise item.fault(f"{item.shown()} is written twice", hint="leave it out here")
        found.append(value)
    return tuple(found)


def _named(place: Place, read: Callable[[Place], T]) -> tuple[T, ...]:
    found: list[T] = []
    names: dict[str, Place] = {}
    for item in place.items():
        value = read(item)
        name: str = getattr(value, "name")  # noqa: B009  all that come here have one
        if name in names:
            raise Place(name, item.child("name")).fault(
                f"{name!r} is also the name of {names[name].pointer}", hint="give each a name of its own"
            )
        names[name] = item
        found.append(value)
    return tuple(found)


def _maybe(members: dict[str, Place], name: str, read: Callable[[Place], T], default: T) -> T:
    return read(members[name]) if name in members else default
