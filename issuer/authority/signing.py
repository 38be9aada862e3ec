"""Signing a new version of something: the one road every change of claims takes.

Check, sign, keep as an immutable version, write the event, and for an account queue the
delivery: all in the caller's transaction. What a change means is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Detail
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import operator_of
from issuer.claims.account import AccountClaims, Scope
from issuer.claims.fields import EVERYONE
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.custody.keyring import Keyring
from issuer.errors import InvalidClaims, NotFound, Refused
from issuer.findings import Finding, Level, advise, blocking, validate
from issuer.keys.nkeys import PublicKey, Role, is_public
from issuer.store import hierarchy, outbox
from issuer.store.hierarchy import Account, Operator, TokenVersion, User
from issuer.store.unit import Unit
from issuer.tokens.envelope import Signed, Token, decode, encode, token_hash
from issuer.tokens.signer import Signer

# The server's default max_control_line holds the whole CONNECT line (enforcement spec §1.1).
CONTROL_LINE: Final = 4096
# What clients put around the token: signature, names, versions, options.
CONNECT_OVERHEAD: Final = 300


class KeyNotAllowed(Refused):
    """A key that may not sign this."""

    code = "key.not-allowed"


@dataclass(frozen=True, slots=True)
class Head:
    """The newest version of something and what it says."""

    version: TokenVersion
    claims: Any


def head(turn_or_unit: Any, kind: str, key_id: int) -> Head:
    """The newest version; the claims are read from its token, verified as ever."""
    unit = getattr(turn_or_unit, "unit", turn_or_unit)
    version = hierarchy.head_token(unit, kind, key_id)
    return Head(version, decode(version.token).claims)


def sign_operator(
    turn: Turn, row: Operator, claims: OperatorClaims, code: EventCode, detail: Detail | None = None
) -> Outcome:
    """An operator signs itself with its identity key."""
    signer = turn.keyring.signer(turn.unit, row.public)
    return _keep(turn, "operator", row, claims, signer, code, detail)


def sign_account(
    turn: Turn,
    row: Account,
    claims: AccountClaims,
    code: EventCode,
    *,
    operator: Operator | None = None,
    detail: Detail | None = None,
) -> Outcome:
    """A new version of an account, queued for delivery."""
    operator = operator or operator_of(turn.unit, row)
    authority: OperatorClaims = head(turn, "operator", operator.id).claims
    signer = operator_signer(turn, authority)
    outcome = _keep(turn, "account", row, claims, signer, code, detail)
    version = hierarchy.head_token(turn.unit, "account", row.id)
    outbox.enqueue(turn.unit, row.id, outbox.UPDATE, version.id, version.version, turn.now)
    return outcome


def sign_user(
    turn: Turn,
    row: User,
    claims: UserClaims,
    account: AccountClaims,
    signer: Signer,
    code: EventCode,
    detail: Detail | None = None,
) -> Outcome:
    """A new version of a user, alive although its account may have revoked it this second."""
    floor = reissue_floor(account, row.public)
    if floor >= turn.now:
        turn.notes.append(
            f"issued as of {floor + 1}: the server compares whole seconds and the user "
            "was revoked in this one"
        )
    return _keep(turn, "user", row, claims, signer, code, detail, not_before=floor + 1)


def reissue_floor(account: AccountClaims, user: str) -> int:
    """The last second whose tokens of this user are cut off; 0 when none are."""
    revocations = account.nats.revocations
    return max(revocations.get(user, 0), revocations.get(EVERYONE, 0))


def operator_signer(turn: Turn, operator: OperatorClaims) -> Signer:
    """The key that signs accounts: the one asked for, else a signing key, else the identity.

    Raises:
        KeyNotAllowed: the key asked for is not the operator's, or strict usage forbids it.
        NotFound: no key that may sign is stored here.
    """
    return _choose(turn, operator_keys(operator), f"operator {operator.name!r}", Role.OPERATOR)


def operator_keys(operator: OperatorClaims) -> list[PublicKey]:
    """The keys that sign for an operator, in the order they are preferred."""
    allowed = [*operator.nats.signing_keys]
    if not operator.nats.strict_signing_key_usage:
        allowed.append(operator.sub)
    return allowed


def user_signer(
    turn: Turn, operator: OperatorClaims, account: AccountClaims, role: str | None
) -> tuple[Signer, Scope | None]:
    """The key that signs a user of a role, or of none: a plain signing key, else the identity."""
    if role:
        scope = account.role(role) or account.scope(role)
        if scope is None:
            known = ", ".join(entry.role for entry in account.nats.signing_keys if isinstance(entry, Scope))
            raise NotFound(
                f"account {account.name!r} has no role {role!r}",
                at="role",
                hint=f"roles: {known}" if known else "add one: accredit edit signing-key --role",
            )
        return turn.keyring.signer(turn.unit, scope.key), scope
    if turn.signer:
        scope = account.role(turn.signer) or account.scope(turn.signer)
        if scope is not None:
            return turn.keyring.signer(turn.unit, scope.key), scope
    allowed = [PublicKey(entry) for entry in account.nats.signing_keys if isinstance(entry, str)]
    if not operator.nats.strict_signing_key_usage:
        allowed.append(account.sub)
    return _choose(turn, allowed, f"account {account.name!r}", Role.ACCOUNT), None


def _choose(turn: Turn, allowed: list[PublicKey], whose: str, role: Role) -> Signer:
    if turn.signer is not None:
        if turn.signer not in allowed:
            fault = "may not sign here" if is_public(turn.signer, role) else f"is not a key of {whose}"
            raise KeyNotAllowed(f"{turn.signer} {fault}", at="-K", hint="accredit list keys shows them")
        return turn.keyring.signer(turn.unit, PublicKey(turn.signer))
    return first_held(turn.unit, turn.keyring, allowed, whose)


def first_held(unit: Unit, keyring: Keyring, allowed: list[PublicKey], whose: str) -> Signer:
    """A signer for the first of these keys whose seed is here.

    Raises:
        NotFound: none is.
    """
    for public in allowed:
        if keyring.has(unit, public):
            return keyring.signer(unit, public)
    raise NotFound(
        f"no key that may sign for {whose} is stored here",
        hint="import one: accredit import keys, or add a signing key",
    )


def plain_keys(account: AccountClaims, operator: OperatorClaims) -> list[PublicKey]:
    """What signs for an account in its own name: its identity, where the operator allows that, and its
    signing keys that stand for no role."""
    plain = [PublicKey(entry) for entry in account.nats.signing_keys if isinstance(entry, str)]
    return plain if operator.nats.strict_signing_key_usage else [account.sub, *plain]


def checked(claims: Any, now: int) -> tuple[Finding, ...]:
    """The findings of claims about to be signed.

    Raises:
        InvalidClaims: a finding that every server would refuse.
    """
    findings = validate(claims, now=now)
    if blocking(findings, include_time=False):
        errors = [finding for finding in findings if finding.level is Level.ERROR]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InvalidClaims(errors[0].message + more, at=errors[0].pointer)
    return (*findings, *advise(claims))


def _keep(
    turn: Turn,
    kind: str,
    row: Operator | Account | User,
    claims: Any,
    signer: Signer,
    code: EventCode,
    detail: Detail | None,
    *,
    not_before: int = 0,
) -> Outcome:
    findings = checked(claims, turn.now)
    before = hierarchy.head_token(turn.unit, kind, row.id) if row.head else None
    # Two versions of one second could not be told apart: same jti, and a server that merges
    # its store with another's keeps whichever it has (enforcement spec §5.6).
    issued_at = max(turn.now, not_before, before.iat + 1 if before else 0)
    signed: Signed[Any] = encode(claims, signer, now=issued_at)
    version = hierarchy.save_version(
        turn.unit,
        kind,
        row.id,
        row.head,
        jti=signed.claims.jti,
        sha256=token_hash(signed.token),
        iat=issued_at,
        exp=signed.claims.exp or None,
        issuer=signed.claims.iss,
        token=signed.token,
    )
    turn.record(
        code,
        row.public,
        before=before.sha256 if before else None,
        after=version.sha256,
        artefacts=((version.jti, version.sha256),),
        detail={"name": row.name, **(detail or {})},
    )
    if kind == "user":
        _warn_of_connect_line(turn, signed.token)
    return Outcome(
        code=code,
        name=row.name,
        public=row.public,
        token=Token(signed.token),
        findings=findings,
        notes=tuple(turn.notes),
    )


def _warn_of_connect_line(turn: Turn, token: str) -> None:
    size = len(token) + CONNECT_OVERHEAD
    if size > CONTROL_LINE:
        turn.notes.append(
            f"the CONNECT line will be about {size} bytes, over the server's default of "
            f"{CONTROL_LINE}: use a role instead of own permissions, or raise max_control_line"
        )
