"""What a change of policy would have done to logins that were: who loses, who gains, what differs."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from callout.policy.decision import UNKNOWN, Connection, Decision, Granted
from callout.policy.index import compiled
from callout.policy.match import decide
from callout.policy.model import Policy
from issuer.grants import Identity

MAX_SAMPLES: Final = 10


class Login(NamedTuple):
    """A recorded login: whose, when, and whence, where that is known."""

    identity: Identity
    now: int
    connection: Connection = UNKNOWN


class Change(StrEnum):
    """What can differ; a login can differ in several ways."""

    LOST = "granted-to-refused"
    GAINED = "refused-to-granted"
    REASON = "refused-otherwise"
    ACCOUNT = "other-account"
    ROLES = "other-roles"
    VALUES = "other-values"
    LONGER = "longer"
    SHORTER = "shorter"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One login that differs; of one identity only the first is kept."""

    issuer: str
    subject: str
    name: str
    now: int
    before: str
    after: str


class Changed(msgspec.Struct, frozen=True):
    """How many logins, and some of them."""

    count: int
    samples: tuple[Sample, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a comparison."""

    logins: int
    same: int
    changes: dict[Change, Changed]
    """Only what there is."""


def compare(recorded: Iterable[Login], old: Policy, new: Policy, *, samples: int = MAX_SAMPLES) -> Difference:
    """Decide each login by both policies.

    Chance is left out, so that lifetimes differ by policy only. The identities are as recorded: what
    a directory would say of them today is not known here.
    """
    before_policy, after_policy = compiled(old), compiled(new)
    logins = same = 0
    counts: dict[Change, int] = {}
    kept: dict[Change, dict[tuple[str, str], Sample]] = {}
    for entry in recorded:
        identity, now, connection = Login(*entry)
        logins += 1
        before = decide(identity, before_policy, now=now, connection=connection)
        after = decide(identity, after_policy, now=now, connection=connection)
        changes = changes_of(before, after)
        same += not changes
        for change in changes:
            counts[change] = counts.get(change, 0) + 1
            found = kept.setdefault(change, {})
            if len(found) < samples:
                found.setdefault(
                    (identity.issuer, identity.subject),
                    Sample(
                        issuer=identity.issuer,
                        subject=identity.subject,
                        name=identity.name,
                        now=now,
                        before=in_short(before, now),
                        after=in_short(after, now),
                    ),
                )
    changed = {
        change: Changed(counts[change], tuple(kept[change].values())) for change in Change if change in counts
    }
    return Difference(logins=logins, same=same, changes=changed)


def changes_of(before: Decision, after: Decision) -> list[Change]:
    """In what two decisions about the same login differ."""
    if isinstance(before, Granted) and isinstance(after, Granted):
        was, is_now = before.grant, after.grant
        differs = {
            Change.ACCOUNT: was.account != is_now.account,
            # Their order means nothing.
            Change.ROLES: set(was.roles) != set(is_now.roles),
            Change.VALUES: (was.values, was.user_name) != (is_now.values, is_now.user_name),
            Change.LONGER: is_now.expires_at > was.expires_at,
            Change.SHORTER: is_now.expires_at < was.expires_at,
        }
        return [change for change, differ in differs.items() if differ]
    if isinstance(before, Granted):
        return [Change.LOST]
    if isinstance(after, Granted):
        return [Change.GAINED]
    return [Change.REASON] if before.reason is not after.reason else []


def in_short(decision: Decision, now: int) -> str:
    """`GRID reader+writer for 3600 s by operators`, or the reason."""
    if not isinstance(decision, Granted):
        return decision.reason.value
    grant = decision.grant
    roles, bindings = "+".join(grant.roles), ", ".join(grant.bindings)
    return f"{grant.account} {roles} for {grant.expires_at - now} s by {bindings}"
