"""All triggers of one process, put together from the `triggers` member of callout.yaml."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter

from callout.directories.openers import Ledgers
from callout.directories.opening import Configured
from callout.directories.reading import child, read_settings
from issuer.authority.desk import Authority
from web.running import Part
from web.triggers.errands import Errands
from web.triggers.following import Followed, LdapFollower
from web.triggers.groups import GroupsNow, okta_groups_now
from web.triggers.okta import okta_router
from web.triggers.policy_watch import PolicyWatch
from web.triggers.reevaluating import Cutter, Reevaluator, Rulebook
from web.triggers.scim import scim_router
from web.triggers.scim_service import Service
from web.triggers.settings import LdapFollowed, TriggerSettings, directory_of, issuer_of


@dataclass(frozen=True, slots=True)
class Triggers:
    """What is to run, and what is to be served over HTTP."""

    parts: list[Part] = field(default_factory=list)
    routes: list[APIRouter] = field(default_factory=list)


def open_triggers(
    document: object,
    configured: Sequence[Configured],
    *,
    authority: Authority,
    operator: tuple[int, str],
    rules: Rulebook,
    cutter: Cutter,
    now: Callable[[], float],
    at: str = "/triggers",
) -> Triggers:
    """Triggers as configured; none where there is no such member. `operator` is its id and name.

    Raises:
        DirectorySettingsError, TriggerSettingsError: what stands there cannot be used.
        AccreditError: so it is with a directory that is to be followed.
    """
    if document is None:
        return Triggers()
    settings = read_settings(document, TriggerSettings, at=at)
    found = Triggers()
    reevaluator = Reevaluator(authority, operator[0], rules, cutter)
    groups: dict[str, GroupsNow] = {}
    hooks = []
    for number, hook in enumerate(settings.okta):
        place = child(child(child(at, "okta"), number), "directory")
        hooks.append((hook, issuer_of(configured, hook.directory, at=place)))
        directory = directory_of(configured, hook.directory, at=place, kind="oidc")
        asked = okta_groups_now(directory)
        if asked is not None:
            groups[hook.source] = asked
    errands = Errands(
        authority,
        operator,
        cutter,
        reevaluator,
        hooks={hook.source: hook for hook, _ in hooks},
        groups=groups,
        now=now,
    )
    # Also where nobody leaves any: those of a hook that was taken out are to be done all the same.
    found.parts.append(errands.run)
    if hooks:
        found.routes.append(okta_router(hooks, authority, operator=operator[1], wake=errands.wake, now=now))
    services = []
    for number, client in enumerate(settings.scim):
        place = child(child(child(at, "scim"), number), "directory")
        issuer = issuer_of(configured, client.directory, at=place)
        services.append(Service(client, issuer, authority, operator=operator, wake=errands.wake))
    if services:
        found.routes.append(scim_router(services))
    for number, followed in enumerate(settings.ldap):
        place = child(child(child(at, "ldap"), number), "directory")
        issuer = issuer_of(configured, followed.directory, at=place)
        follower = LdapFollower(
            followed,
            issuer,
            _own_directory(configured, followed, place),
            authority=authority,
            operator_id=operator[0],
            cutter=cutter,
            reevaluator=reevaluator,
            now=now,
        )
        found.parts.append(follower.run)
    if settings.reevaluate_on_policy_change:
        found.parts.append(PolicyWatch(authority, operator[0], rules, reevaluator, now=now).run)
    return found


def _own_directory(configured: Sequence[Configured], followed: LdapFollowed, at: str) -> Followed:
    """The directory once more: what a follower asks takes no turn from a login."""
    from callout.directories.ldap.directory import LdapDirectory
    from callout.directories.openers import ldap

    directory = directory_of(configured, followed.directory, at=at, kind="ldap")
    opened = ldap(directory.settings, directory.at, Ledgers())
    assert isinstance(opened, LdapDirectory)  # noqa: S101  the opener of that kind
    return opened
