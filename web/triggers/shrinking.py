"""Whether somebody would now be given less than what a session of theirs was given. Pure.

Both are asked of the moment the session began: that time has passed since takes nothing from anybody, and
a token ends by itself when its time is over. What cannot be told to be as much counts as less: whoever is
kicked for it is back at once, with what they may have now.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from callout.mint import Place, permitted
from callout.policy.decision import Connection, Grant, Granted
from callout.policy.index import Compiled
from callout.policy.match import decide
from callout.refusals import LoginRefusedError
from issuer.claims.fields import UNLIMITED, Permission
from issuer.claims.user import UserTemplate
from issuer.grants import Denial, Identity, Session, Target
from issuer.keys.nkeys import PublicKey
from issuer.subjects import covers

EVERYTHING: Final = ">"
_LIMITS: Final = ("subs", "data", "payload")
_NARROWING: Final = ("src", "times", "allowed_connection_types")
# Those about one person, a directory or everybody end sessions when they are made.
_BY_MEMBERSHIP: Final = frozenset({Target.GROUP, Target.BINDING})


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is held against."""

    then: Compiled | None
    """The policy it was let in by; None if it is not known any more."""
    now: Compiled
    denials: tuple[Denial, ...]
    place: Place | None
    """The account it is in, as it is now."""


def lost(session: Session, was: Identity, will: Identity, rules: Rules) -> str:
    """Why the session has more than it would be given now; empty: it has not.

    `was` is who it was let in as, `will` who that is now.
    """
    after = _decided(session, will, rules.now)
    if isinstance(after, str):
        return after
    if any(
        denial.target in _BY_MEMBERSHIP and denial.denies(_at_login(session, will), after.bindings)
        for denial in rules.denials
    ):
        return "denied"
    if rules.place is None or after.account not in {rules.place.public, rules.place.claims.name}:
        return "another account"
    before = _decided(session, was, rules.then) if rules.then is not None else "not known"
    if isinstance(before, str) or set(before.roles) != set(session.role.split("+")):
        # What it was given cannot be worked out again; without values, the roles tell it all.
        same = set(after.roles) == set(session.role.split("+")) and not after.values and not after.user_name
        return "" if same else "other permissions"
    if (set(before.roles), before.values, before.user_name) == (
        set(after.roles),
        after.values,
        after.user_name,
    ):
        return ""
    try:
        old = _permitted(before, was, session, rules.place)
        new = _permitted(after, will, session, rules.place)
    except LoginRefusedError as refusal:
        return refusal.reason.value
    return "" if as_much(new, old) else "fewer permissions"


def as_much(new: UserTemplate, old: UserTemplate) -> bool:
    """Whether `new` surely allows all that `old` does."""
    if not _permits(new.pub, old.pub, new_replies=new.resp is not None, old_replies=old.resp is not None):
        return False
    if not _permits(new.sub, old.sub, new_replies=False, old_replies=False):
        return False
    if old.resp is not None and new.resp != old.resp:
        return False
    if any(not _no_less(getattr(new, name), getattr(old, name)) for name in _LIMITS):
        return False
    for name in _NARROWING:
        if getattr(new, name) and getattr(new, name) != getattr(old, name):
            return False
    if new.times and new.times_location != old.times_location:
        return False
    return old.proxy_required or not new.proxy_required


def _permitted(grant: Grant, identity: Identity, session: Session, place: Place) -> UserTemplate:
    return permitted(grant, identity, PublicKey(session.user_key), place.claims, place.templates())


def _decided(session: Session, identity: Identity, policy: Compiled) -> Grant | str:
    connection = Connection(address=session.address, type=session.connection_type)
    decision = decide(_at_login(session, identity), policy, now=session.started_at, connection=connection)
    return decision.grant if isinstance(decision, Granted) else decision.reason.value


def _at_login(session: Session, identity: Identity) -> Identity:
    # A lifetime counts from the login, and is no permission.
    return msgspec.structs.replace(identity, authenticated_at=session.proved_at, expires_at=None)


def _permits(new: Permission, old: Permission, *, new_replies: bool, old_replies: bool) -> bool:
    wide, narrow = _allowed(new, replies=new_replies), _allowed(old, replies=old_replies)
    if not all(any(_covers(one, other) for one in wide) for other in narrow):
        return False
    return all(any(_covers(one, other) for one in old.deny) for other in new.deny)


def _allowed(permission: Permission, *, replies: bool) -> Iterable[str]:
    # An empty list allows everything, but beside a response permission nothing.
    return permission.allow or (() if replies else (EVERYTHING,))


def _covers(wide: str, narrow: str) -> bool:
    # "subject queue" has a rule of its own; only the very same is sure.
    return wide == narrow or (" " not in wide + narrow and covers(wide, narrow))


def _no_less(new: object, old: object) -> bool:
    if not isinstance(new, int) or new == UNLIMITED:
        return True
    return isinstance(old, int) and old != UNLIMITED and new >= old
