"""Acts on operators, and the founding of a whole hierarchy in one act."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from issuer.audit.catalogue import EventCode
from issuer.authority import accounts, users
from issuer.authority.changes import NO_TAGS, NO_VALIDITY, TagChange, Validity, dated, merged_tags
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_account, the_operator
from issuer.authority.keeping import GENERATE, keep_identity, keep_signing_key
from issuer.authority.names import checked_name
from issuer.authority.signing import head, sign_operator
from issuer.claims.fields import with_body
from issuer.claims.operator import OperatorClaims, new_operator
from issuer.errors import AlreadyExists, NotFound, Refused
from issuer.keys.nkeys import PublicKey, Role, Seed, parse_public
from issuer.store import hierarchy

SYSTEM_ACCOUNT = "SYS"
SYSTEM_USER = "sys"


@dataclass(frozen=True, slots=True)
class AddOperator:
    """A new root of trust. `system` also makes the system account and a user in it."""

    name: str
    system: bool = True
    signing_key: bool = False
    seed: Seed | None = None
    tags: tuple[str, ...] = ()
    validity: Validity = NO_VALIDITY


@dataclass(frozen=True, slots=True)
class EditOperator:
    """A change to an operator; None leaves a field as it is, an empty text clears it."""

    operator: str | None = None
    account_server_url: str | None = None
    add_service_urls: tuple[str, ...] = ()
    remove_service_urls: tuple[str, ...] = ()
    system_account: str | None = None
    add_signing_keys: tuple[str, ...] = ()
    remove_signing_keys: tuple[str, ...] = ()
    require_signing_keys: bool | None = None
    assert_server_version: str | None = None
    tags: TagChange = NO_TAGS
    validity: Validity = NO_VALIDITY


def add_operator(turn: Turn, act: AddOperator) -> Outcome:
    """Make an operator, and with `system` the account servers are managed through."""
    name = checked_name(act.name, "operator")
    if hierarchy.find_operator(turn.unit, name) is not None:
        raise AlreadyExists(f"operator {name!r} exists already", at="name")
    seed = act.seed or Seed.generate(Role.OPERATOR)
    row_id = keep_identity(turn, seed)
    row = hierarchy.add_operator(turn.unit, row_id, seed.public, name, now=turn.now)
    claims = dated(new_operator(seed.public, name), act.validity)
    body = claims.nats
    if act.signing_key:
        key = keep_signing_key(turn, Seed.generate(Role.OPERATOR), owner_id=row.id)
        body = msgspec.structs.replace(body, signing_keys=(key,))
    body = msgspec.structs.replace(body, tags=merged_tags((), TagChange(act.tags)))
    outcome = sign_operator(turn, row, msgspec.structs.replace(claims, nats=body), EventCode.OPERATOR_CREATED)
    if act.system:
        system = accounts.add_account(turn, accounts.AddAccount(SYSTEM_ACCOUNT, operator=name))
        edit_operator(turn, EditOperator(name, system_account=system.public))
        users.add_user(turn, users.AddUser(SYSTEM_USER, SYSTEM_ACCOUNT, operator=name))
    return outcome


def edit_operator(turn: Turn, act: EditOperator) -> Outcome:
    """Change an operator. Servers hold its token in their configuration: see `generate config`."""
    row = the_operator(turn.unit, act.operator)
    claims: OperatorClaims = head(turn, "operator", row.id).claims
    body = claims.nats
    keys = _signing_keys(turn, act, row.id, body.signing_keys)
    urls = [url for url in body.operator_service_urls if url not in act.remove_service_urls]
    fields: dict[str, object] = {
        "signing_keys": keys,
        "operator_service_urls": tuple(dict.fromkeys([*urls, *act.add_service_urls])),
        "tags": merged_tags(body.tags, act.tags),
    }
    if act.account_server_url is not None:
        fields["account_server_url"] = act.account_server_url
    if act.assert_server_version is not None:
        fields["assert_server_version"] = act.assert_server_version
    if act.system_account is not None:
        fields["system_account"] = (
            the_account(turn.unit, row, act.system_account).public if act.system_account else ""
        )
    if act.require_signing_keys is not None:
        if act.require_signing_keys and not keys:
            raise Refused(
                "requiring signing keys needs at least one",
                at="--require-signing-keys",
                hint="accredit edit operator --sk generate",
            )
        fields["strict_signing_key_usage"] = act.require_signing_keys
    changed = dated(with_body(claims, **fields), act.validity)
    if changed == claims:
        return unchanged(EventCode.OPERATOR_CHANGED, row.name, row.public)
    turn.notes.append("servers read the operator token from their configuration: generate it anew")
    return sign_operator(turn, row, changed, EventCode.OPERATOR_CHANGED)


def unchanged(code: EventCode, name: str, public: PublicKey) -> Outcome:
    """The outcome of an act that asks for what is so already."""
    return Outcome(code, name, public, changed=False)


def _signing_keys(
    turn: Turn, act: EditOperator, operator_id: int, present: tuple[PublicKey, ...]
) -> tuple[PublicKey, ...]:
    for key in act.remove_signing_keys:
        if key not in present:
            raise NotFound(f"{key} is not a signing key of this operator", at="--rm-sk")
    kept = [key for key in present if key not in act.remove_signing_keys]
    for text in act.add_signing_keys:
        if text == GENERATE:
            kept.append(keep_signing_key(turn, Seed.generate(Role.OPERATOR), owner_id=operator_id))
        else:
            kept.append(parse_public(text, Role.OPERATOR, at="--sk"))
    return tuple(dict.fromkeys(kept))
