"""Acts on users: issue, change, give out credentials, delete."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from issuer.audit.catalogue import EventCode
from issuer.authority.changes import (
    NO_LIMITS,
    NO_PERMISSIONS,
    NO_TAGS,
    NO_VALIDITY,
    LimitChange,
    PermissionChange,
    TagChange,
    Validity,
    dated,
    merged_tags,
    with_limits,
    with_permissions,
)
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_account, the_operator, the_user
from issuer.authority.keeping import keep_identity
from issuer.authority.names import checked_name
from issuer.authority.revocations import cut
from issuer.authority.signing import head, sign_user, user_signer
from issuer.claims.account import AccountClaims
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims, UserTemplate, new_scoped_user, new_user
from issuer.errors import AlreadyExists, NotFound, Refused
from issuer.keys.creds import format_creds
from issuer.keys.nkeys import PublicKey, Role, Seed, parse_public
from issuer.store import hierarchy
from issuer.store.hierarchy import Account, Operator, User
from issuer.subjects import safe_token


class UserIsScoped(Refused):
    """Permissions of a user of a role are the role's."""

    code = "user.scoped"


@dataclass(frozen=True, slots=True)
class AddUser:
    """A new user; with `role` its permissions are the role's and it may have none of its own."""

    name: str
    account: str
    operator: str | None = None
    role: str | None = None
    seed: Seed | None = None
    public_key: str | None = None
    permissions: PermissionChange = NO_PERMISSIONS
    limits: LimitChange = NO_LIMITS
    tags: tuple[str, ...] = ()
    validity: Validity = NO_VALIDITY


@dataclass(frozen=True, slots=True)
class EditUser:
    """A change to a user: a new token is issued; the old one works until it is replaced or revoked."""

    user: str
    account: str
    operator: str | None = None
    permissions: PermissionChange = NO_PERMISSIONS
    limits: LimitChange = NO_LIMITS
    tags: TagChange = NO_TAGS
    validity: Validity = NO_VALIDITY
    reissue: bool = False


@dataclass(frozen=True, slots=True)
class DeleteUser:
    """Delete a user. Its token lives on unless `revoke`, which is the default."""

    user: str
    account: str
    operator: str | None = None
    revoke: bool = True
    keep_key: bool = False


@dataclass(frozen=True, slots=True)
class GenerateCreds:
    """The creds file of a user: its token and its seed."""

    user: str
    account: str
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Creds:
    """Creds text, and whose it is. Never shown by `repr`."""

    user: str
    public: PublicKey
    text: str

    def __repr__(self) -> str:
        return f"Creds({self.public}, hidden)"


def add_user(turn: Turn, act: AddUser) -> Outcome:
    operator, account = place(turn, act.operator, act.account)
    name = checked_name(act.name, "user")
    if hierarchy.find_user(turn.unit, account.id, name) is not None:
        raise AlreadyExists(f"account {account.name!r} has a user {name!r} already", at="name")
    owner: AccountClaims = head(turn, "account", account.id).claims
    authority: OperatorClaims = head(turn, "operator", operator.id).claims
    signer, scope = user_signer(turn, authority, owner, act.role)
    key = act.seed or _own_key(act.public_key)
    public = key.public if isinstance(key, Seed) else key
    tags = merged_tags((), TagChange(act.tags))
    if scope is not None:
        if act.permissions or act.limits:
            raise _scoped(name, scope.role)
        check_template_values(name, tags, scope.template)
        claims = new_scoped_user(public, name, account=owner.sub, tags=tags)
    else:
        claims = new_user(public, name, account=None if signer.public == owner.sub else owner.sub)
        body = with_limits(with_permissions(claims.nats, act.permissions), act.limits)
        claims = msgspec.structs.replace(claims, nats=msgspec.structs.replace(body, tags=tags))
    row_id = keep_identity(turn, key)
    row = hierarchy.add_user(
        turn.unit,
        row_id,
        account.id,
        public,
        name,
        role=scope.role if scope else "",
        issuer=signer.public,
        now=turn.now,
    )
    return sign_user(
        turn,
        row,
        dated(claims, act.validity),
        owner,
        signer,
        EventCode.USER_ISSUED,
        {
            "account": account.public,
            "role": scope.role if scope else "",
            "expires": act.validity.expires or 0,
        },
    )


def edit_user(turn: Turn, act: EditUser) -> Outcome:
    operator, account = place(turn, act.operator, act.account)
    row = the_user(turn.unit, account, act.user)
    owner: AccountClaims = head(turn, "account", account.id).claims
    authority: OperatorClaims = head(turn, "operator", operator.id).claims
    before: UserClaims = head(turn, "user", row.id).claims
    signer, scope = user_signer(turn, authority, owner, row.role or None)
    tags = merged_tags(before.nats.tags, act.tags)
    if scope is not None:
        if act.permissions or act.limits:
            raise _scoped(row.name, scope.role)
        check_template_values(row.name, tags, scope.template)
        body = before.nats
    else:
        body = with_limits(with_permissions(before.nats, act.permissions), act.limits)
    issuer_account = "" if signer.public == owner.sub else owner.sub
    body = msgspec.structs.replace(body, tags=tags, issuer_account=issuer_account)
    claims = dated(msgspec.structs.replace(before, nats=body), act.validity)
    same_key = before.iss == signer.public
    if claims == before and same_key and not act.reissue:
        return Outcome(EventCode.USER_CHANGED, row.name, row.public, changed=False)
    turn.notes.append("the new token counts at the next connection; give out the creds again")
    return sign_user(
        turn,
        row,
        claims,
        owner,
        signer,
        EventCode.USER_CHANGED,
        {"account": account.public, "expires": claims.exp},
    )


def delete_user(turn: Turn, act: DeleteUser) -> Outcome:
    operator, account = place(turn, act.operator, act.account)
    row = the_user(turn.unit, account, act.user)
    if act.revoke:
        cut(turn, operator, account, row.public, at=None)
    else:
        turn.notes.append(
            "its token was not revoked: it works until "
            + (f"second {row.expires_at}" if row.expires_at else "the account revokes it")
        )
    return retire_user(turn, account, row, revoked=act.revoke, keep_key=act.keep_key)


def retire_user(turn: Turn, account: Account, row: User, *, revoked: bool, keep_key: bool = False) -> Outcome:
    """Take a user off the books; whether its token was revoked is the caller's doing."""
    last = hierarchy.head_token(turn.unit, "user", row.id)
    hierarchy.mark_deleted(turn.unit, row, turn.now)
    if not keep_key:
        turn.keyring.forget(turn.unit, row.public)
    turn.record(
        EventCode.USER_DELETED,
        row.public,
        targets=(account.public,),
        before=last.sha256,
        detail={"name": row.name, "revoked": revoked},
    )
    return Outcome(EventCode.USER_DELETED, row.name, row.public, notes=tuple(turn.notes))


def generate_creds(turn: Turn, act: GenerateCreds) -> Creds:
    """The creds of a user; that they left custody is an event.

    Raises:
        NotFound: the user's seed is not stored here.
    """
    _, account = place(turn, act.operator, act.account)
    row = the_user(turn.unit, account, act.user)
    if not turn.keyring.has(turn.unit, row.public):
        raise NotFound(
            f"the seed of user {row.name!r} is not stored here",
            at="user",
            hint="its holder puts the token (describe user --raw) beside their own seed",
        )
    version = hierarchy.head_token(turn.unit, "user", row.id)
    text = format_creds(version.token, turn.keyring.seed(turn.unit, row.public))
    turn.record(
        EventCode.CREDS_GENERATED,
        row.public,
        targets=(account.public,),
        artefacts=((version.jti, version.sha256),),
        detail={"name": row.name},
    )
    return Creds(row.name, row.public, text)


def place(turn: Turn, operator: str | None, account: str) -> tuple[Operator, Account]:
    """The operator and account an act names."""
    found = the_operator(turn.unit, operator)
    return found, the_account(turn.unit, found, account)


def _own_key(public_key: str | None) -> Seed | PublicKey:
    if public_key is None:
        return Seed.generate(Role.USER)
    return parse_public(public_key, Role.USER, at="public key")


def _scoped(name: str, role: str) -> UserIsScoped:
    return UserIsScoped(
        f"user {name!r} has role {role!r}: its permissions and limits are the role's",
        hint=f"accredit edit signing-key --role {role}",
    )


def check_template_values(name: str, tags: tuple[str, ...], template: UserTemplate) -> None:
    """A name or tag that a template puts into a subject must not widen it (claims spec §3.7)."""
    lists = (template.pub.allow, template.pub.deny, template.sub.allow, template.sub.deny)
    text = " ".join(entry.lower() for entries in lists for entry in entries)
    if "name()" in text and not safe_token(name):
        raise Refused(
            f"the role puts the user's name into subjects, and {name!r} is not one plain token there",
            at="name",
            hint="no dots, blanks, * or >",
        )
    for tag in tags:
        key, colon, value = tag.partition(":")
        if colon and f"tag({key})" in text and not all(map(safe_token, value.split("."))):
            raise Refused(
                f"the role puts tag {key!r} into subjects, and {value!r} would widen them",
                at="tags",
                hint="no blanks, * or >",
            )
