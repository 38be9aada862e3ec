"""Users from elsewhere by the thousand: those that collide with nothing, in batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Detail, Event, append_many
from issuer.authority.names import BadName, checked_name
from issuer.authority.taking import Adopted, Taking
from issuer.claims.account import AccountClaims
from issuer.interop.nsc import FoundUser
from issuer.store import bulk, hierarchy
from issuer.store.hierarchy import Account
from issuer.tokens.envelope import token_hash

_BATCH: Final = 2000


def fast_adoption(
    taking: Taking, account: Account, owner: AccountClaims, users: Sequence[FoundUser]
) -> Iterator[None]:
    """Users whose keys and names are new here, each with one event for itself and one for its seed."""
    for start in range(0, len(users), _BATCH):
        # What a batch shares is written once; tokens made by a script share their second.
        alike: dict[tuple[str, str, int, int], list[FoundUser]] = defaultdict(list)
        for user in users[start : start + _BATCH]:
            claims = user.claims
            try:
                checked_name(user.name, "user")
            except BadName as fault:
                taking.clash(user.path, fault)
                continue
            alike[role_of_issuer(owner, claims.iss), claims.iss, claims.iat, claims.exp].append(user)
        events: list[Event] = []
        for (role, issuer, issued_at, expires), group in alike.items():
            common = bulk.Common(
                account_id=account.id,
                role=role,
                issuer=issuer,
                issued_at=issued_at,
                expires_at=expires or None,
                now=taking.turn.now,
            )
            _insert(taking, account, common, group, events)
            for _ in group:
                yield
        append_many(taking.turn.unit, events, taking.turn.now)


def _insert(
    taking: Taking, account: Account, common: bulk.Common, users: Sequence[FoundUser], events: list[Event]
) -> None:
    turn = taking.turn
    rows = []
    for row_id, user in zip(hierarchy.allocate_ids(turn.unit, len(users)), users, strict=True):
        sealed = None
        if user.seed is not None:
            sealed = turn.keyring.sealed(user.seed, row_id=row_id, purpose="identity")
            detail: Detail = {"purpose": "identity", "role": "user", "source": taking.source}
            events.append(_event(taking, EventCode.KEY_ADDED, user, detail))
            taking.keys += 1
        digest = token_hash(user.token)
        rows.append(
            bulk.NewUser(
                id=row_id,
                public=user.public,
                name=user.name,
                sealed=sealed,
                jti=user.claims.jti,
                sha256=digest,
                token=user.token,
            )
        )
        told: Detail = {
            "name": user.name,
            "source": taking.source,
            "account": account.public,
            "role": common.role,
        }
        adopted = _event(taking, EventCode.USER_ADOPTED, user, told)
        adopted.after, adopted.artefacts = digest, ((user.claims.jti, digest),)
        events.append(adopted)
        taking.adopted.append(Adopted("user", user.name, user.public, "new"))
    bulk.insert_users(turn.unit, common, rows)


def _event(taking: Taking, code: EventCode, user: FoundUser, detail: Detail) -> Event:
    turn = taking.turn
    return Event(
        code=code,
        actor=str(turn.actor),
        target=user.public,
        reason=turn.reason,
        correlation=turn.correlation,
        detail=detail,
    )


def role_of_issuer(account: AccountClaims, issuer: str) -> str:
    """The role a key stands for: by its name, or where that is not one key's alone, by the key."""
    scope = account.scope(issuer)
    if scope is None:
        return ""
    by_name = account.role(scope.role) if scope.role else None
    return scope.role if by_name is not None and by_name.key == issuer else scope.key
