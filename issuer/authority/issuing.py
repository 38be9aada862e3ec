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
from issuer.claims.fields import with_body
from issuer.claims.user import UserClaims, new_scoped_user, new_user
from issuer.custody.keyring import Keyring
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


class Issued(msgspec.Struct, frozen=True):
    """One user just issued; `creds` only when asked for, and never in a `repr`."""

    name: str
    public: PublicKey
    creds: str = ""

    def __repr__(self) -> str:
        return f"Issued({self.name!r}, {self.public})"


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a batch stands on: the keys and claims it is signed by and under, as of two versions."""

    operator_head: str
    account_head: str
    account_id: int
    account: PublicKey
    role: str
    signer: Signer
    scope: Scope | None
    template: UserClaims
    floor: int

    def same(self, other: _Ground) -> bool:
        heads = (self.operator_head, self.account_head)
        return heads == (other.operator_head, other.account_head)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Users signed and sealed for certain rows, before those rows are ours."""

    ground: _Ground
    first_id: int
    issued_at: int
    rows: list[bulk.NewUser]
    issued: list[Issued]


@dataclass(frozen=True, slots=True)
class _Written:
    """A batch that is committed, and where the next one may expect to stand."""

    issued: list[Issued]
    ground: _Ground
    next_id: int


def issue_users(turn: Turn, act: IssueUsers) -> list[Issued]:
    """Issue one batch in one transaction."""
    return _issue(turn, act, None).issued


def issue_many(
    authority: Authority,
    act: IssueUsers,
    names: Iterable[str],
    actor: Actor,
    *,
    reason: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Issued]:
    """Issue users for any number of names, a batch at a time; what was yielded is committed."""
    source = iter(names)
    done = 0
    ready: _Batch | None = None
    # A batch is signed and sealed while the one before it is written: signing and writing both
    # let go of the interpreter for most of their time.
    with ThreadPoolExecutor(1, thread_name_prefix="issuing") as writer:
        batch = tuple(islice(source, BATCH))
        ground: _Ground | None = None
        next_id = 0
        while batch:
            writing = writer.submit(
                authority.perform, _issuing(ready), replace(act, names=batch), actor, reason=reason
            )
            following = tuple(islice(source, BATCH))
            ready = None
            if ground is not None and following:
                ready = _prepared(
                    ground,
                    authority.keyring,
                    replace(act, names=following),
                    range(next_id + len(batch), next_id + len(batch) + len(following)),
                    authority.now(),
                )
            written = writing.result()
            ground, next_id = written.ground, written.next_id
            done += len(written.issued)
            progress(done)
            yield from written.issued
            batch = following


def _issuing(ready: _Batch | None) -> Callable[[Turn, IssueUsers], _Written]:
    # Named as what it is, for the event of a refusal.
    def issue_users(turn: Turn, act: IssueUsers) -> _Written:
        return _issue(turn, act, ready)

    return issue_users


def _issue(turn: Turn, act: IssueUsers, ready: _Batch | None) -> _Written:
    """Write a batch, the one made ready if what it stands on is still so, else one made here."""
    ground = _ground(turn, act)
    ids = hierarchy.allocate_ids(turn.unit, len(act.names))
    stands = ready is not None and ready.first_id == ids.start and ready.ground.same(ground)
    batch = ready if ready is not None and stands else _prepared(ground, turn.keyring, act, ids, turn.now)
    common = bulk.Common(
        account_id=ground.account_id,
        role=ground.role,
        issuer=ground.signer.public,
        issued_at=batch.issued_at,
        expires_at=ground.template.exp or None,
        now=turn.now,
    )
    bulk.insert_users(turn.unit, common, batch.rows)
    append_many(turn.unit, _events(turn, ground, batch.rows), turn.now)
    return _Written(batch.issued, ground, ids.stop)


def _ground(turn: Turn, act: IssueUsers) -> _Ground:
    operator, account = place(turn, act.operator, act.account)
    owner, authority = head(turn, "account", account.id), head(turn, "operator", operator.id)
    signer, scope = user_signer(turn, authority.claims, owner.claims, act.role)
    template = _template(owner.claims, signer, scope, merged_tags((), TagChange(act.tags)), act.validity)
    checked(template, turn.now)
    return _Ground(
        operator_head=authority.version.sha256,
        account_head=owner.version.sha256,
        account_id=account.id,
        account=account.public,
        role=scope.role if scope else "",
        signer=signer,
        scope=scope,
        template=template,
        # Fresh keys are on no revocation list, but `*` cuts everybody's.
        floor=reissue_floor(owner.claims, ""),
    )


def _prepared(ground: _Ground, keyring: Keyring, act: IssueUsers, ids: range, now: int) -> _Batch:
    issued_at = max(now, ground.floor + 1)
    template, signer = ground.template, ground.signer
    rows: list[bulk.NewUser] = []
    issued: list[Issued] = []
    for row_id, text in zip(ids, act.names, strict=True):
        name = checked_name(text, "user")
        if ground.scope is not None:
            check_template_values(name, template.nats.tags, ground.scope.template)
        seed = Seed.generate(Role.USER)
        claims = msgspec.structs.replace(template, sub=seed.public, name=name)
        signed = encode(claims, signer, now=issued_at)
        rows.append(
            bulk.NewUser(
                id=row_id,
                public=seed.public,
                name=name,
                sealed=keyring.sealed(seed, row_id=row_id, purpose="identity"),
                jti=signed.claims.jti,
                sha256=token_hash(signed.token),
                token=signed.token,
            )
        )
        creds = format_creds(signed.token, seed) if act.with_creds else ""
        issued.append(Issued(name, seed.public, creds))
    return _Batch(ground, ids.start, issued_at, rows, issued)


def _events(turn: Turn, ground: _Ground, rows: list[bulk.NewUser]) -> list[Event]:
    actor = str(turn.actor)
    return [
        Event(
            code=EventCode.USER_ISSUED,
            actor=actor,
            target=row.public,
            after=row.sha256,
            artefacts=((row.jti, row.sha256),),
            reason=turn.reason,
            correlation=turn.correlation,
            detail={"name": row.name, "account": ground.account, "role": ground.role},
        )
        for row in rows
    ]


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
        claims = with_body(claims, tags=tags)
    return dated(claims, validity)
