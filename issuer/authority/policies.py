"""The policy of the callout: versions that are never changed, one of which is in force.

What a policy may say is the callout's business (`callout.policy.reading`): here it is text, already checked
by whoever hands it in.
"""

from __future__ import annotations

from dataclasses import dataclass

from issuer.audit.catalogue import EventCode
from issuer.authority.desk import Turn
from issuer.authority.finding import the_operator
from issuer.errors import Conflict, NotFound
from issuer.store import grants
from issuer.store.grants import PolicyVersion
from issuer.store.unit import Unit


class PolicyMoved(Conflict):
    """Another version came in force meanwhile."""

    code = "policy.moved"


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Put a policy in force. `body` is its canonical JSON; `bindings` is how many it has, for the event.

    With `expected_version` it is done only if that is the version in force now; 0 is none.
    """

    body: str
    bindings: int
    operator: str | None = None
    expected_version: int | None = None
    restores: int | None = None
    """The earlier version that this brings back."""


@dataclass(frozen=True, slots=True)
class PolicySet:
    """What became of it."""

    version: PolicyVersion
    changed: bool


def set_policy(turn: Turn, act: SetPolicy) -> PolicySet:
    """A new version, in force from now on; the same policy again changes nothing.

    Raises:
        PolicyMoved: the version in force is not the expected one.
    """
    operator = the_operator(turn.unit, act.operator)
    present = grants.policy_at(turn.unit, operator.id)
    version = present.version if present is not None else 0
    if act.expected_version is not None and act.expected_version != version:
        raise PolicyMoved(
            f"version {version} is in force, not {act.expected_version}",
            hint="look at what changed: accredit callout policy history",
        )
    if present is not None and present.body == act.body:
        return PolicySet(present, changed=False)
    made = grants.add_policy(turn.unit, operator.id, act.body, turn.now)
    detail: dict[str, str | int] = {"version": made.version, "sha256": made.sha256, "bindings": act.bindings}
    if act.restores is not None:
        detail["restores"] = act.restores
    turn.record(EventCode.POLICY_CHANGED, operator.public, detail=detail)
    return PolicySet(made, changed=True)


def the_policy(unit: Unit, asked: tuple[str | None, int | None]) -> PolicyVersion:
    """A version of an operator's policy; the one in force if none is named.

    Raises:
        NotFound: there is none.
    """
    name, version = asked
    operator = the_operator(unit, name)
    found = grants.policy_at(unit, operator.id, version)
    if found is None:
        what = "no policy is in force" if version is None else f"there is no version {version}"
        raise NotFound(what, hint="accredit callout policy set FILE")
    return found


def policy_history(unit: Unit, operator: str | None) -> list[PolicyVersion]:
    """All versions, newest first."""
    return grants.policies(unit, the_operator(unit, operator).id)
