"""The present state as a document that plans to no change."""

from __future__ import annotations

import io
import json
from typing import Any, Final

from issuer.authority.finding import the_operator
from issuer.authority.plan.describing import (
    Plain,
    account_plain,
    export_plain,
    import_plain,
    operator_plain,
    user_plain,
)
from issuer.authority.plan.diff import thinned, thinned_operator
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims, Export, Import
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.store import grants, hierarchy
from issuer.store.hierarchy import Account
from issuer.store.unit import Unit

_FORMAT: Final = 1


def export_document(unit: Unit, operator: str | None) -> str:
    """The operator, its accounts, their users and the callout's policy as YAML.

    Keys, revocations and activations are not in it.
    """
    row = the_operator(unit, operator)
    claims: OperatorClaims = head(unit, "operator", row.id).claims
    rows = list(hierarchy.accounts(unit, row.id))
    names: dict[str, str] = {account.public: account.name for account in rows}
    owner = {"name": row.name, **thinned_operator(operator_plain(claims, lambda key: names.get(key, key)))}
    accounts = {account.name: _account(unit, account, dict(names)) for account in rows}
    document: dict[str, Any] = {"version": _FORMAT, "operator": owner, "accounts": accounts}
    policy = grants.policy_at(unit, row.id)
    if policy is not None:
        document["policy"] = json.loads(policy.body)
    return _yaml(document)


def _account(unit: Unit, row: Account, names: dict[str, str]) -> Plain:
    claims: AccountClaims = head(unit, "account", row.id).claims
    users = list(hierarchy.users(unit, row.id))
    names |= {user.public: user.name for user in users}

    def name_of(key: str) -> str:
        return names.get(key, key)

    plain = account_plain(claims, name_of)
    sections = {word: plain.pop(word) for word in ("roles", "exports", "imports", "mappings")}
    found = thinned("accounts", row.name, plain)
    if sections["roles"]:
        found["roles"] = {name: thinned("roles", name, role) for name, role in sections["roles"].items()}
    if claims.nats.exports:
        found["exports"] = [_export(entry) for entry in claims.nats.exports]
    if claims.nats.imports:
        found["imports"] = [_import(entry, name_of(entry.account)) for entry in claims.nats.imports]
    if sections["mappings"]:
        found["mappings"] = {source: entry["to"] for source, entry in sections["mappings"].items()}
    if users:
        found["users"] = {user.name: _user(unit, user.id, user.role) for user in users}
    return found


def _user(unit: Unit, key_id: int, role: str) -> Plain:
    claims: UserClaims = head(unit, "user", key_id).claims
    return thinned("users", claims.name, user_plain(claims, role))


def _export(entry: Export) -> Plain:
    key = f"{entry.type} {entry.subject}"
    return {entry.type: entry.subject, **thinned("exports", key, export_plain(entry))}


def _import(entry: Import, source: str) -> Plain:
    key = f"{entry.type} {entry.subject}"
    return {entry.type: entry.subject, "from": source, **thinned("imports", key, import_plain(entry))}


def _yaml(document: dict[str, Any]) -> str:
    # A tenth of a second, for those who export.
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    out = io.StringIO()
    writer.dump(document, out)
    return out.getvalue()
