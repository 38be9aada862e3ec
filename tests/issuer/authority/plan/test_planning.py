"""What a document may ask for, and what it is told when it asks for too much."""

from __future__ import annotations

from typing import Any

import pytest

from issuer.authority.plan import ApplyDocument, AskPlan, Plan, apply_document, plan, read_document
from issuer.authority.plan.source import BadDocument
from issuer.authority.revocations import RevokeActivation, revoke_activation
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims
from issuer.claims.exchange import ActivationClaims
from issuer.claims.user import UserClaims
from issuer.errors import Conflict, InvalidClaims
from issuer.store import hierarchy
from issuer.tokens.envelope import decode
from tests.issuer.authority.conftest import House

BASE = """
operator: {name: O, signing-keys: 1}
accounts:
  A:
    signing-keys: 1
    roles:
      reader: {allow-sub: [a.>]}
      writer: {allow-pub: [a.>]}
    exports: [{stream: a.>, private: true}]
    users:
      u: {role: reader}
  B:
    imports: [{stream: a.x, from: A}]
"""


def ask(house: House, text: str, **how: Any) -> Plan:
    return house.authority.ask(plan, AskPlan(read_document(text), house.clock[0], **how))


def apply(house: House, text: str, **how: Any) -> Any:
    done = house.do(apply_document, ApplyDocument(read_document(text), **how))
    house.wait(5)
    return done


def paths(found: Plan) -> list[str]:
    return [f"{change.kind} {change.path}" for change in found.changes]


def user(house: House, account: str, name: str) -> tuple[hierarchy.User, UserClaims, AccountClaims]:
    with house.authority.database.reading() as unit:
        operator = next(hierarchy.operators(unit))
        owner = hierarchy.find_account(unit, operator.id, account)
        assert owner is not None
        row = hierarchy.find_user(unit, owner.id, name)
        assert row is not None
        return row, head(unit, "user", row.id).claims, head(unit, "account", owner.id).claims


def test_a_plan_is_held_to_the_file_it_was_made_from(house: House) -> None:
    seen = ask(house, BASE).digest
    with pytest.raises(Conflict, match="moved"):
        apply(house, BASE + "prune: [users]\n", expected=seen)
    with pytest.raises(Conflict, match="moved"):
        apply(house, BASE, operator="OTHER", expected=seen)
    apply(house, BASE, expected=seen)


def test_a_user_moves_into_another_role_and_out_of_any(house: House) -> None:
    apply(house, BASE)
    moved = BASE.replace("u: {role: reader}", "u: {role: writer}")
    assert paths(ask(house, moved)) == ["change accounts.A.users.u.role"]
    apply(house, moved)
    row, claims, account = user(house, "A", "u")
    writer = account.role("writer")
    assert writer is not None
    assert (row.role, claims.iss) == ("writer", writer.key)
    assert not ask(house, moved)

    out = BASE.replace("u: {role: reader}", 'u: {role: "", allow-pub: [b], subscriptions: 5}')
    apply(house, out)
    row, claims, account = user(house, "A", "u")
    assert (row.role, claims.nats.subs, claims.nats.payload) == ("", 5, -1)
    assert claims.iss in account.nats.signing_keys
    assert claims.nats.issuer_account == account.sub
    assert not ask(house, out)


def test_a_role_is_not_pruned_from_under_its_users(house: House) -> None:
    apply(house, BASE)
    without = BASE.replace("      reader: {allow-sub: [a.>]}\n", "")
    without = without.replace("    users:\n      u: {role: reader}\n", "")
    assert not ask(house, without)
    with pytest.raises(BadDocument, match="1 users have it"):
        ask(house, without, prune=frozenset({"roles"}))
    moved = without.replace("    exports", "    users: {u: {role: writer}}\n    exports")
    apply(house, moved, prune=frozenset({"roles"}))
    assert user(house, "A", "u")[2].role("reader") is None


def test_an_activation_is_renewed_when_it_no_longer_counts(house: House) -> None:
    apply(house, BASE)
    house.do(revoke_activation, RevokeActivation("A", "a.>", "B"))
    house.wait(5)
    found = ask(house, BASE)
    assert paths(found) == ["change accounts.B.imports[stream a.x from A].activation"]
    assert found.changes[0].before == "revoked"
    apply(house, BASE)
    assert not ask(house, BASE)


def test_an_activation_lasts_as_long_as_is_said(house: House) -> None:
    text = BASE.replace("from: A}", "from: A, expires: 30d}")
    apply(house, text)
    with house.authority.database.reading() as unit:
        operator = next(hierarchy.operators(unit))
        row = hierarchy.find_account(unit, operator.id, "B")
        assert row is not None
        (entry,) = head(unit, "account", row.id).claims.nats.imports
    claims = decode(entry.token, ActivationClaims).claims
    assert claims.exp - claims.iat == 30 * 86400
    house.wait(19 * 86400)
    assert not ask(house, text)
    house.wait(2 * 86400)
    assert paths(ask(house, text)) == ["change accounts.B.imports[stream a.x from A].activation"]


def test_requiring_signing_keys_signs_anew_what_the_identity_signed(house: House) -> None:
    loose = "operator: O\naccounts: {A: {users: {u: {}}}}"
    apply(house, loose)
    strict = (
        "operator: {name: O, signing-keys: 1, require-signing-keys: true}\n"
        "accounts: {A: {signing-keys: 1, users: {u: {}}}}"
    )
    assert "change accounts.A.signature" in paths(ask(house, strict))
    assert "change accounts.A.users.u.signature" in paths(ask(house, strict))
    apply(house, strict)
    assert user(house, "A", "u")[1].iss != user(house, "A", "u")[2].sub
    assert not ask(house, strict)


def test_an_import_that_moves_is_the_same_import(house: House) -> None:
    apply(house, BASE)
    moved = BASE.replace("from: A}", "from: A, local-subject: here.x}")
    assert paths(ask(house, moved)) == ["change accounts.B.imports[stream a.x from A].local-subject"]
    twice = BASE.replace(
        "[{stream: a.x, from: A}]",
        "[{stream: a.x, from: A, local-subject: one}, {stream: a.x, from: A, local-subject: two}]",
    )
    apply(house, twice)
    assert not ask(house, twice)


def test_the_system_account_is_never_pruned(house: House) -> None:
    apply(house, "operator: {name: O, system-account: SYS}\naccounts: {SYS: {}, A: {}}")
    found = ask(house, "accounts: {}\nprune: true")
    assert paths(found) == ["delete accounts.A"]
    assert any("SYS is the system account" in note for note in found.notes)


def test_nothing_is_pruned_from_a_section_that_is_not_written(house: House) -> None:
    apply(house, BASE)
    assert not ask(house, "operator: O\nprune: true")
    assert not ask(house, "accounts: {A: {}, B: {}}\nprune: true")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("accounts: {B: {imports: [{stream: other, from: A}]}}", "exports no stream that covers 'other'"),
        ("accounts: {A: {users: {'*': {role: r}}, roles: {r: {allow-pub: ['x.{{name()}}']}}}}", "'*'"),
        ("accounts: {A: {auth-callout: {users: [nobody]}}}", "has no user 'nobody'"),
        ("operator: {system-account: NONE}", "no account 'NONE'"),
        ("accounts: {A: {users: {u: {allow-pub: [x]}}}}", "has role 'reader'"),
        ("accounts: {C: {}, D: {imports: [{stream: x, from: C, token: nonsense}]}}", "the token"),
        (f"accounts: {{A: {{public-key: A{'A' * 55}}}}}", "exists with another key"),
    ],
)
def test_what_cannot_be_is_refused_at_planning(house: House, text: str, words: str) -> None:
    apply(house, BASE)
    with pytest.raises(BadDocument) as raised:
        ask(house, text)
    assert words in str(raised.value)
    assert str(raised.value.at).startswith("org.yaml:1:")


def test_claims_no_server_would_take_are_refused_at_planning(house: House) -> None:
    text = "operator: O\naccounts: {A: {info-url: 'not a url'}}"
    with pytest.raises(InvalidClaims, match=r"accounts\.A: .*info url") as raised:
        ask(house, text)
    assert raised.value.at == "org.yaml:2:12"


def test_the_plan_holds_no_secret_and_no_token(house: House) -> None:
    import json

    found = apply(house, BASE)
    shown = json.dumps(found.plain()) + "\n".join(ask(house, BASE).lines())
    assert "eyJ" not in shown
