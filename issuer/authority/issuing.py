"""Issuing users by the hundred thousand: the same rules, in batches (claims spec §3.6).

One transaction a batch, one event a user. Keys, tokens and events are made in memory for a
batch and written in bulk; nothing is held beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import msgspec

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append_many
from issuer.authority.changes import NO_VALIDITY, TagChange, Validity, dated, merged_tags
from issuer.authority.desk import Actor, Authority, Turn
from issuer.authority.names import checked_name
from issuer.authority.signing import checked, head, reissue_floor, user_signer
from issuer.authority.users import check_template_values, place
from issuer.claims.account import AccountClaims, Scope
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims, new_scoped_user, new_user
from issuer.keys.creds import format_creds
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.store import bulk, hierarchy
from issuer.tokens.envelope import encode, token_hash
from issuer.tokens.signer import Signer

# A commit waits for the disk, so many users share one; what an interruption undoes is one batch.
BATCH: Final = 4000


@dataclass(frozen=True, slots=True)
class IssueUsers:
    """Users to make in one account, all alike but for name and tags."""

    account: str
    names: tuple[str, ...]
    operator: str | None = None
    role: str | None = None
    tags: tuple[str, ...] = ()
    validity: Validity = NO_VALIDITY
    with_creds: bool = False
    # Made beforehand, one for each name; else they are made on the way.
    seeds: tuple[Seed, ...] = ()


class Issued(msgspec.Struct, frozen=True):
    """One user just issued; `creds` only when asked for, and never in a `repr`."""

    name: str
    public: PublicKey
    creds: str = ""

    def __repr__(self) -> str:
        return f"Issued({self.name!r}, {self.public})"


def issue_users(turn: Turn, act: IssueUsers) -> list[Issued]:
    """Issue one batch in one transaction."""
    operator, account = place(turn, act.operator, act.account)
    owner: AccountClaims = head(turn, "account", account.id).claims
    authority: OperatorClaims = head(turn, "operator", operator.id).claims
    signer, scope = user_signer(turn, authority, owner, act.role)
    tags = merged_tags((), TagChange(act.tags))
    template = _template(owner, signer, scope, tags, act.validity)
    checked(template, turn.now)
    # Fresh keys are on no revocation list, but `*` cuts everybody's.
    issued_at = max(turn.now, reissue_floor(owner, "") + 1)
    ids = hierarchy.allocate_ids(turn.unit, len(act.names))
    rows: list[bulk.NewUser] = []
    events: list[Event] = []
    issued: list[Issued] = []
    actor = str(turn.actor)
    seeds = act.seeds or make_seeds(len(act.names))
    for row_id, text, seed in zip(ids, act.names, seeds, strict=True):
        name = checked_name(text, "user")
        if scope is not None:
            check_template_values(name, tags, scope.template)
        claims = msgspec.structs.replace(template, sub=seed.public, name=name)
        signed = encode(claims, signer, now=issued_at)
        digest = token_hash(signed.token)
        rows.append(
            bulk.NewUser(
                id=row_id,
                public=seed.public,
                name=name,
                sealed=turn.keyring.sealed(seed, row_id=row_id, purpose="identity"),
                jti=signed.claims.jti,
                sha256=digest,
                token=signed.token,
            )
        )
        events.append(
            Event(
                code=EventCode.USER_ISSUED,
                actor=actor,
                target=seed.public,
                after=digest,
                artefacts=((signed.claims.jti, digest),),
                reason=turn.reason,
                correlation=turn.correlation,
                detail={"name": name, "account": account.public, "role": act.role or ""},
            )
        )
        creds = format_creds(signed.token, seed) if act.with_creds else ""
        issued.append(Issued(name, seed.public, creds))
    common = bulk.Common(
        account_id=account.id,
        role=scope.role if scope else "",
        issuer=signer.public,
        issued_at=issued_at,
        expires_at=template.exp or None,
        now=turn.now,
    )
    bulk.insert_users(turn.unit, common, rows)
    append_many(turn.unit, events, turn.now)
    return issued


def issue_many(
    authority: Authority,
    act: IssueUsers,
    names: Iterable[str],
    actor: Actor,
    *,
    reason: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Issued]:
    """Issue users for any number of names, a batch at a time; what was yielded is committed."""
    source = iter(names)
    done = 0
    # libsodium lets go of the interpreter while it works, so keys are made a batch ahead beside it.
    with ThreadPoolExecutor(1, thread_name_prefix="keys") as ahead:
        batch = tuple(islice(source, BATCH))
        seeds = ahead.submit(make_seeds, len(batch))
        while batch:
            following = tuple(islice(source, BATCH))
            made, seeds = seeds.result(), ahead.submit(make_seeds, len(following))
            issued = authority.perform(
                issue_users, replace(act, names=batch, seeds=made), actor, reason=reason
            )
            done += len(issued)
            progress(done)
            yield from issued
            batch = following


def make_seeds(count: int) -> tuple[Seed, ...]:
    return tuple(Seed.generate(Role.USER) for _ in range(count))


def _template(
    owner: AccountClaims,
    signer: Signer,
    scope: Scope | None,
    tags: tuple[str, ...],
    validity: Validity,
) -> UserClaims:
    """The claims every user of the batch shares; key and name come later."""
    placeholder = Seed.generate(Role.USER).public
    if scope is not None:
        claims = new_scoped_user(placeholder, "", account=owner.sub, tags=tags)
    else:
        account = None if signer.public == owner.sub else owner.sub
        claims = new_user(placeholder, "", account=account)
        claims = msgspec.structs.replace(claims, nats=msgspec.structs.replace(claims.nats, tags=tags))
    return dated(claims, validity)
