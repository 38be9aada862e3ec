"""Rows in, rows out; only live ones are found, and no version of a token is ever lost."""

from __future__ import annotations

import pytest

from issuer.errors import Conflict, Defect
from issuer.keys.nkeys import Role
from issuer.store import hierarchy
from issuer.store.unit import Database
from tests.issuer.store.founding import (
    NOW,
    Founded,
    new_account,
    new_key,
    new_user,
    public_key,
    token_values,
    told,
)


def test_found_by_name_and_by_key(database: Database, founded: Founded) -> None:
    operator, account = founded.operator, founded.account
    with database.writing() as unit:
        user, _ = new_user(unit, account, "ada")
        told(unit)
    with database.reading() as unit:
        assert hierarchy.find_operator(unit, "Acme") == operator
        assert hierarchy.find_operator(unit, operator.public) == operator
        assert hierarchy.find_account(unit, operator.id, "Orders") == account
        assert hierarchy.find_account(unit, operator.id, account.public) == account
        ada = hierarchy.find_user(unit, account.id, "ada")
        assert ada == hierarchy.find_user(unit, account.id, user.public)
        assert ada == hierarchy.user_by_public(unit, user.public)
        assert hierarchy.account_by_public(unit, account.public) == account
        assert hierarchy.operator_by_public(unit, operator.public) == operator
        assert hierarchy.operator_by_id(unit, operator.id) == operator
        assert hierarchy.account_by_id(unit, account.id) == account
        assert hierarchy.find_operator(unit, "acme") is None
        assert hierarchy.find_account(unit, operator.id + 1, "Orders") is None


def test_the_subject_of_a_key(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        _, signing = new_key(unit, Role.ACCOUNT, owner_id=founded.account.id)
        told(unit)
    with database.reading() as unit:
        assert hierarchy.subject_of(unit, founded.operator.public) == ("operator", founded.operator)
        assert hierarchy.subject_of(unit, founded.account.public) == ("account", founded.account)
        assert hierarchy.subject_of(unit, signing) is None
        assert hierarchy.subject_of(unit, public_key(Role.USER)) is None
        assert hierarchy.subject_of(unit, "") is None


def test_users_are_listed_in_pages_of_any_size(
    database: Database, founded: Founded, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"u{number:02d}" for number in range(20)]
    with database.writing() as unit:
        for name in reversed(names):
            new_user(unit, founded.account, name)
        told(unit)
    with database.reading() as unit:
        for size in (1, 7, 20, 100):
            monkeypatch.setattr(hierarchy, "_PAGE", size)
            assert [user.name for user in hierarchy.users(unit, founded.account.id)] == names
        some = hierarchy.users(unit, founded.account.id, after="u04", limit=3)
        assert [user.name for user in some] == ["u05", "u06", "u07"]
        assert list(hierarchy.users(unit, founded.account.id, limit=0)) == []
        assert hierarchy.count_users(unit, founded.account.id) == 20
        assert hierarchy.count_users(unit, founded.account.id, issuer="somebody") == 20
        assert hierarchy.count_users(unit, founded.account.id, issuer="nobody") == 0


def test_versions_are_all_kept(database: Database, founded: Founded) -> None:
    account = founded.account
    with database.writing() as unit:
        second = hierarchy.save_version(unit, "account", account.id, 1, **token_values("second"))
        told(unit)
    with database.reading() as unit:
        assert [entry.version for entry in hierarchy.versions(unit, "account", account.id)] == [1, 2]
        assert hierarchy.head_token(unit, "account", account.id) == second
        assert hierarchy.token_by_hash(unit, second.sha256) == second
        assert hierarchy.token_by_hash(unit, second.sha256, public=account.public) == second
        assert hierarchy.token_by_hash(unit, second.sha256, public=founded.operator.public) is None
        assert hierarchy.token_version(unit, "account", account.id, 2) == second
        assert hierarchy.token_version(unit, "account", account.id, 3) is None
        with pytest.raises(Defect):
            hierarchy.head_token(unit, "user", account.id)


def test_a_users_version_moves_what_is_listed_of_it(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        row, _ = new_user(unit, founded.account, "ada")
        values = token_values("again", iat=NOW + 5, exp=NOW + 100)
        hierarchy.save_version(unit, "user", row.id, 1, **values)
        told(unit)
    with database.reading() as unit:
        user = hierarchy.find_user(unit, founded.account.id, "ada")
        assert user is not None
        assert (user.head, user.issued_at, user.expires_at) == (2, NOW + 5, NOW + 100)
        assert [found.name for found in hierarchy.expiring_users(unit, NOW + 101)] == ["ada"]
        assert list(hierarchy.expiring_users(unit, NOW + 100)) == []
        assert list(hierarchy.expiring_users(unit, NOW + 101, account_id=4711)) == []


def test_loose_tokens_count_their_own_versions(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        kept = [
            hierarchy.save_loose(unit, founded.account.id, "activation", **token_values(f"activation {n}"))
            for n in range(3)
        ]
        told(unit)
    assert [entry.version for entry in kept] == [1, 2, 3]
    with database.reading() as unit:
        account = hierarchy.account_by_id(unit, founded.account.id)
        assert account is not None
        assert account.head == 1


def test_a_deleted_name_is_free_again(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        old, _ = new_user(unit, founded.account, "ada")
        hierarchy.mark_deleted(unit, old, NOW)
        new, _ = new_user(unit, founded.account, "ada")
        told(unit)
    with database.reading() as unit:
        found = hierarchy.find_user(unit, founded.account.id, "ada")
        assert found is not None
        assert found.id == new.id
        assert hierarchy.user_by_public(unit, old.public) is None
        assert hierarchy.head_token(unit, "user", old.id).version == 1


def test_a_deleted_account_is_remembered_until_no_server_has_it(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        hierarchy.mark_deleted(unit, founded.account, NOW)
        told(unit)
    with database.reading() as unit:
        assert hierarchy.find_account(unit, founded.operator.id, "Orders") is None
        assert [row.id for row in hierarchy.accounts_in_state(unit, "deleting")] == [founded.account.id]
    with database.writing() as unit:
        hierarchy.finish_deletion(unit, founded.account.id, NOW)
        told(unit)
    with database.reading() as unit:
        assert hierarchy.accounts_in_state(unit, "deleting") == []


def test_renaming(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        user, _ = new_user(unit, founded.account, "ada")
        hierarchy.rename_operator(unit, founded.operator, "Acme 2", now=NOW)
        hierarchy.rename_account(unit, founded.account, "Orders 2", now=NOW)
        hierarchy.rename_user(unit, user, "grace")
        hierarchy.set_user_role(unit, user, "clerk")
        told(unit)
    with database.reading() as unit:
        assert [row.name for row in hierarchy.operators(unit)] == ["Acme 2"]
        assert [row.name for row in hierarchy.accounts(unit, founded.operator.id)] == ["Orders 2"]
        assert [(row.name, row.role) for row in hierarchy.users(unit, founded.account.id)] == [
            ("grace", "clerk")
        ]
        assert hierarchy.count_accounts(unit, founded.operator.id) == 1


def test_changing_what_is_gone_is_a_conflict(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        ghost = new_account(unit, founded.operator, "Ghost")
        told(unit)
    gone = hierarchy.Account(ghost.id + 1000, 1, ghost.public, "Ghost", 1, "live")
    with pytest.raises(Conflict), database.writing() as unit:
        hierarchy.rename_account(unit, gone, "Other", now=NOW)


def test_newest_issue_and_all_expired(database: Database, founded: Founded) -> None:
    account = founded.account
    with database.writing() as unit:
        ada, _ = new_user(unit, account, "ada", iat=NOW + 3, exp=NOW + 10)
        grace, _ = new_user(unit, account, "grace", iat=NOW + 7)
        hierarchy.mark_deleted(unit, grace, NOW)
        told(unit)
    with database.reading() as unit:
        assert hierarchy.newest_issue(unit, account.id, ada.public) == NOW + 3
        assert hierarchy.newest_issue(unit, account.id, "*") == NOW + 7
        assert hierarchy.newest_issue(unit, account.id, public_key(Role.USER)) == 0
        assert not hierarchy.all_expired(unit, ada.public, NOW + 9)
        assert hierarchy.all_expired(unit, ada.public, NOW + 10)
        assert not hierarchy.all_expired(unit, grace.public, NOW + 10_000)
        assert not hierarchy.all_expired(unit, public_key(Role.USER), NOW)
