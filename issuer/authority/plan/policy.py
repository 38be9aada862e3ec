"""The callout's policy in a declarative file: read, compared with the one in force, put in force.

What a policy may say is the callout's business, of which nothing is known here: whoever composes the
program hands in who reads one (decision 0018).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from issuer.authority.desk import Turn
from issuer.authority.plan.describing import Plain
from issuer.authority.plan.diff import CHANGE, CREATE, DELETE, Change, compare
from issuer.authority.plan.document import PolicyPart
from issuer.authority.plan.drafts import PolicyDraft
from issuer.authority.plan.plain_values import at_pointer, plain_value
from issuer.authority.plan.source import Place, open_source, step
from issuer.authority.policies import SetPolicy, set_policy
from issuer.errors import PeerError
from issuer.keys.nkeys import PublicKey

POLICY: Final = "policy"
POLICY_FILE: Final = "policy-file"


@dataclass(frozen=True, slots=True)
class DeclaredPolicy:
    """A policy that was read: its one spelling as JSON, and how many bindings it has."""

    body: str
    bindings: int


@dataclass(frozen=True, slots=True)
class PolicyDoor:
    """How a document comes by a policy.

    `read` takes plain data, and raises PeerError with the JSON pointer of the fault in `at`; `beside`
    gives the text of a file that the document names.
    """

    read: Callable[[Any], DeclaredPolicy]
    beside: Callable[[str], str | bytes]


def read_policy_part(members: dict[str, Place], door: PolicyDoor | None) -> PolicyPart | None:
    """What a document says of the policy, under `policy` or `policy-file`.

    Raises:
        BadDocument: both, or one that cannot be read; at the place of the fault.
    """
    inline, named = members.get(POLICY), members.get(POLICY_FILE)
    place = inline or named
    if place is None:
        return None
    if inline is not None and named is not None:
        raise named.fault(f"says the same as {POLICY}", hint=f"write either {POLICY} or {POLICY_FILE}")
    if door is None:
        raise place.fault("cannot be read here", hint="accredit callout policy set FILE")
    # Faults of a file of its own are shown in that file.
    source = open_source(door.beside(place.text()), place.text()) if named is not None else place
    try:
        found = door.read(plain_value(source))
    except PeerError as error:
        if not (error.at or "").startswith("/"):
            raise
        raise at_pointer(source, error.at or "").fault(error.message, hint=error.hint) from None
    return PolicyPart(body=found.body, bindings=found.bindings, where=place.where)


def policy_changes(draft: PolicyDraft) -> Iterator[Change]:
    """What another policy changes: bindings and separations by name, and their order, which decides."""
    if not draft.changed:
        return
    was: Plain = json.loads(draft.before.body) if draft.before is not None else {}
    will: Plain = json.loads(draft.part.body)
    things = [word for word in dict.fromkeys((*will, *was)) if _by_name(was.get(word), will.get(word))]
    rest = [{word: value for word, value in each.items() if word not in things} for each in (was, will)]
    if draft.before is None:
        yield Change(CREATE, POLICY, None, rest[1])
    else:
        yield from compare(rest[0], rest[1], POLICY)
    for word in things:
        yield from _things(was.get(word) or [], will.get(word) or [], f"{POLICY}.{word}")


def put_in_force(turn: Turn, draft: PolicyDraft, operator: PublicKey) -> None:
    """In the caller's transaction; the same policy again changes nothing."""
    part = draft.part
    set_policy(turn, SetPolicy(part.body, bindings=part.bindings, operator=operator))


def _by_name(*lists: Any) -> bool:
    """Whether each is a list of things with a name of its own."""
    given = [each for each in lists if each is not None]
    return all(
        isinstance(each, list)
        and all(isinstance(thing, dict) and isinstance(thing.get("name"), str) for thing in each)
        and len({thing["name"] for thing in each}) == len(each)
        for each in given
    )


def _things(before: list[Plain], after: list[Plain], path: str) -> Iterator[Change]:
    was = {thing["name"]: _nameless(thing) for thing in before}
    will = {thing["name"]: _nameless(thing) for thing in after}
    expected = [*(name for name in was if name in will), *(name for name in will if name not in was)]
    if expected != list(will):
        yield Change(CHANGE, f"{path}.order", expected, list(will))
    for name, thing in will.items():
        inner = f"{path}.{step(name)}"
        if name in was:
            yield from compare(was[name], thing, inner)
        else:
            yield Change(CREATE, inner, None, thing)
    for name, thing in was.items():
        if name not in will:
            yield Change(DELETE, f"{path}.{step(name)}", thing)


def _nameless(thing: Plain) -> Plain:
    return {word: value for word, value in thing.items() if word != "name"}
