"""Policies of the callout, read and asked about: the service behind the verbs, and later the API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import msgspec

from callout.directories.opening import Configured
from callout.mint import permitted
from callout.policy.decision import Connection, Decision, Grant, Granted
from callout.policy.match import decide
from callout.policy.model import Holding, Policy
from callout.policy.reading import read_policy
from callout.policy.what_if import Difference, Login, compare
from callout.policy.world import KnownDirectory, KnownRole, World
from callout.policy.writing import plain
from callout.refusals import LoginRefusedError, Reason
from issuer.authority.finding import the_operator
from issuer.authority.plan import DeclaredPolicy
from issuer.authority.policies import SetPolicy, the_policy
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims, Scope
from issuer.claims.fields import Permission
from issuer.claims.user import UserTemplate
from issuer.errors import NotFound
from issuer.grants import Denial, Identity, Session
from issuer.keys.nkeys import PublicKey
from issuer.store import grants, hierarchy
from issuer.store.identities import TurnedAway, identities_of, turned_away_since
from issuer.store.sessions import newest_session, session_by_id
from issuer.store.unit import Unit
from web.documents import read_file

_AT_ONCE: Final = 500
_SOME_USER: Final = PublicKey("U…")
"""Stands for the key that a server makes for a connection, in subjects of roles that name it."""


def policy_file(path: Path) -> Policy:
    """A policy from a YAML or JSON file.

    Raises:
        NotFound, BadDocument, PolicyError: it cannot be read as one; a seed in it is refused.
    """
    return read_policy(read_file(path))


def body_of(policy: Policy) -> str:
    """As it is stored: its one spelling."""
    return msgspec.json.encode(plain(policy), order="sorted").decode()


def declared(data: Any) -> DeclaredPolicy:
    """A policy out of a declarative file, from plain data.

    Raises:
        PolicyError: it is none; `at` is a JSON pointer.
    """
    policy = read_policy(data)
    return DeclaredPolicy(body_of(policy), len(policy.bindings))


def as_act(policy: Policy, operator: str | None, **more: int | None) -> SetPolicy:
    """The act that puts it in force."""
    return SetPolicy(body_of(policy), bindings=len(policy.bindings), operator=operator, **more)


def stored_policy(unit: Unit, operator: str | None, version: int | None = None) -> tuple[int, Policy]:
    """A version that is stored, the one in force if none is named."""
    found = the_policy(unit, (operator, version))
    return found.version, read_policy(json.loads(found.body))


# --- what it speaks of -------------------------------------------------------------------------------


def known_world(unit: Unit, operator: str | None, directories: tuple[Configured, ...] | None = None) -> World:
    """The accounts and roles of the store, and directories where a configuration of them is at hand."""
    ours = the_operator(unit, operator)
    accounts: dict[str, Mapping[str, KnownRole]] = {}
    wide: set[Holding] = set()
    for row in hierarchy.accounts(unit, ours.id):
        claims: AccountClaims = head(unit, "account", row.id).claims
        roles = {entry.role: entry for entry in claims.nats.signing_keys if isinstance(entry, Scope)}
        accounts[row.name] = {name: KnownRole.of(scope.template) for name, scope in roles.items()}
        wide |= {Holding(row.name, name) for name, scope in roles.items() if _is_wide(scope)}
    known = None
    if directories is not None:
        known = {each.name: KnownDirectory(issuer=_issuer(each)) for each in directories}
    return World(accounts=accounts, directories=known, wide_roles=frozenset(wide))


def _is_wide(scope: Scope) -> bool:
    return any(_takes_all(permission) for permission in (scope.template.pub, scope.template.sub))


def _takes_all(permission: Permission) -> bool:
    """Whether everything may be published or heard: nothing is listed, or `>` itself."""
    return not permission.deny and (not permission.allow or ">" in permission.allow)


def _issuer(directory: Configured) -> str:
    found = directory.settings.get("issuer", "")
    return found if isinstance(found, str) else ""


# --- why ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What a policy comes to for somebody, with every step, and the denials that hold all the same."""

    version: int
    identity: Identity
    decision: Decision
    denials: tuple[Denial, ...]
    permissions: UserTemplate | None = None
    """What their token would allow, values filled in."""
    obstacle: LoginRefusedError | None = None
    """Why there would be no token although the policy grants one."""

    @property
    def let_in(self) -> bool:
        return isinstance(self.decision, Granted) and not self.denials and self.obstacle is None


def explain(
    unit: Unit,
    operator: str | None,
    identity: Identity,
    *,
    now: int,
    connection: Connection,
    policy: Policy | None = None,
) -> Explained:
    """Why somebody is let in or not, by the policy in force or by another."""
    version = 0
    if policy is None:
        version, policy = stored_policy(unit, operator)
    decision = decide(identity, policy, now=now, connection=connection)
    bindings = decision.grant.bindings if isinstance(decision, Granted) else decision.bindings
    ours = the_operator(unit, operator).id
    standing = grants.standing_denials(unit, ours)
    permissions: UserTemplate | None = None
    obstacle: LoginRefusedError | None = None
    if isinstance(decision, Granted):
        try:
            permissions = _permissions(unit, ours, decision.grant, identity)
        except LoginRefusedError as refusal:
            obstacle = refusal
    return Explained(
        version=version,
        identity=identity,
        decision=decision,
        denials=tuple(denial for denial in standing if denial.denies(identity, bindings)),
        permissions=permissions,
        obstacle=obstacle,
    )


def _permissions(unit: Unit, operator_id: int, grant: Grant, identity: Identity) -> UserTemplate:
    row = hierarchy.find_account(unit, operator_id, grant.account)
    if row is None:
        raise LoginRefusedError(Reason.NO_ROLE, f"there is no account {grant.account}")
    claims: AccountClaims = head(unit, "account", row.id).claims
    scopes = [entry for entry in claims.nats.signing_keys if isinstance(entry, Scope)]
    return permitted(grant, identity, _SOME_USER, claims, {scope.role: scope.template for scope in scopes})


def recorded_identity(unit: Unit, operator: str | None, issuer: str, subject: str) -> Login:
    """Somebody as he was at his newest login, of those that are open if there are any.

    Raises:
        NotFound: there is none, or who it was is not remembered any more.
    """
    ours = the_operator(unit, operator).id
    found = newest_session(unit, ours, issuer, subject)
    if found is None:
        raise NotFound(f"no session of {subject} from {issuer} was recorded", hint="accredit sessions")
    return _recorded_login(unit, ours, found)


def session_identity(unit: Unit, operator: str | None, number: int) -> Login:
    """Whoever a session, over or not, was given to.

    Raises:
        NotFound: there is none of that number, or who it was is not remembered any more.
    """
    ours = the_operator(unit, operator).id
    found = session_by_id(unit, ours, number)
    if found is None:
        raise NotFound(f"there is no session {number}", hint="accredit sessions --json")
    return _recorded_login(unit, ours, found)


def remembered_identity(unit: Unit, operator: str | None, digest: str) -> Identity:
    """An identity as it is remembered, by its digest.

    Raises:
        NotFound: there is none.
    """
    known = identities_of(unit, the_operator(unit, operator).id, [digest])
    if digest not in known:
        raise NotFound(f"no identity {digest!r} is remembered", hint="accredit sessions --json")
    return known[digest]


def _recorded_login(unit: Unit, operator_id: int, session: Session) -> Login:
    known = identities_of(unit, operator_id, [session.identity])
    if session.identity not in known:
        raise NotFound(f"who session {session.id} was given to is not remembered any more")
    return _login(session, known[session.identity])


# --- what if -----------------------------------------------------------------------------------------


def what_if(unit: Unit, operator: str | None, new: Policy, *, since: int) -> Difference:
    """What another policy would have done to the logins since then, beside the one in force."""
    ours = the_operator(unit, operator).id
    _, old = stored_policy(unit, operator)
    return compare(_recorded(unit, ours, since), old, new)


def _recorded(unit: Unit, operator_id: int, since: int) -> Iterator[Login]:
    """Those who were let in, then those who were turned away; a batch at a time."""
    rows: Iterator[Session | TurnedAway] = chain(
        grants.sessions_since(unit, operator_id, since), turned_away_since(unit, operator_id, since)
    )
    while batch := list(islice(rows, _AT_ONCE)):
        known = identities_of(unit, operator_id, [each.identity for each in batch])
        yield from (_login(each, known[each.identity]) for each in batch if each.identity in known)


def _login(row: Session | TurnedAway, identity: Identity) -> Login:
    return Login(
        msgspec.structs.replace(identity, authenticated_at=row.proved_at),
        row.started_at if isinstance(row, Session) else row.at,
        Connection(address=row.address, type=row.connection_type),
    )


def plain_explanation(found: Explained) -> dict[str, Any]:
    """For programs."""
    decision = found.decision
    said: dict[str, Any] = {
        "policy_version": found.version,
        "let_in": found.let_in,
        "issuer": found.identity.issuer,
        "subject": found.identity.subject,
        "denials": [denial.id for denial in found.denials],
        "steps": [
            {
                "part": step.part.value,
                "passed": step.passed,
                "binding": step.binding,
                "criterion": step.criterion,
                "wanted": msgspec.to_builtins(step.wanted, enc_hook=str),
                "value": msgspec.to_builtins(step.value, enc_hook=str),
                "why": step.why,
            }
            for step in decision.steps
        ],
    }
    if isinstance(decision, Granted):
        grant = decision.grant
        said |= {
            "account": grant.account,
            "roles": list(grant.roles),
            "bindings": list(grant.bindings),
            "expires_at": grant.expires_at,
            "permissions": msgspec.to_builtins(found.permissions),
        }
        if found.obstacle is not None:
            said |= {"code": found.obstacle.reason.value, "message": found.obstacle.message}
    else:
        said |= {"code": decision.reason.value, "message": decision.message}
    return said
