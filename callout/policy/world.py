"""What a policy speaks of, as far as it is known: for the linter. None is "not known", never "none"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import msgspec

from callout.policy.model import Holding
from callout.policy.values import wanted_by
from issuer.claims.user import UserTemplate


class KnownRole(msgspec.Struct, frozen=True, kw_only=True):
    """What a role's template asks for."""

    tags: frozenset[str] = frozenset()
    user_name: bool = False

    @classmethod
    def of(cls, template: UserTemplate) -> Self:
        tags, name = wanted_by(template)
        return cls(tags=tags, user_name=name)


class KnownDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """A configured directory."""

    issuer: str = ""
    groups: frozenset[str] | None = None
    max_lifetime: int | None = None
    """Seconds that what it proves is worth anything."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts with their roles, directories with their groups."""

    accounts: Mapping[str, Mapping[str, KnownRole]] | None = None
    directories: Mapping[str, KnownDirectory] | None = None
    wide_roles: frozenset[Holding] = frozenset()
    """Roles one should not get by accident."""


NOTHING_KNOWN = World()
