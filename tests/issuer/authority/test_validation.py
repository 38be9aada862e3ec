"""The whole tree: chains, roles, and whether imports find what they name."""

from __future__ import annotations

import pytest

from issuer.authority.accounts import AddAccount, EditAccount, add_account, edit_account
from issuer.authority.changes import Validity
from issuer.authority.operators import EditOperator, edit_operator
from issuer.authority.revocations import RevokeActivation, RevokeUser, revoke_activation, revoke_user
from issuer.authority.roles import EditRole, RemoveRole, edit_role, remove_role
from issuer.authority.sharing import (
    AddExport,
    AddImport,
    EditExport,
    GenerateActivation,
    RemoveExport,
    add_export,
    add_import,
    edit_export,
    generate_activation,
    remove_export,
)
from issuer.authority.users import AddUser, add_user
from issuer.authority.validation import Question, validate_tree
from issuer.keys.nkeys import Role, Seed
from tests.issuer.authority.conftest import House


def codes(house: House, account: str | None = None, *, later: int = 0) -> list[str]:
    found = house.authority.ask(validate_tree, Question(house.clock[0] + later, account=account))
    return [finding.code for one in found for finding in one.findings]


def test_a_fresh_hierarchy_is_sound(grid: House) -> None:
    grid.do(add_user, AddUser("m1", "METERS"))
    assert codes(grid) == []


def test_strict_usage_names_every_identity_that_signed(grid: House) -> None:
    grid.do(add_user, AddUser("m1", "METERS"))
    grid.do(edit_operator, EditOperator(add_signing_keys=("generate",), require_signing_keys=True))
    assert codes(grid, "METERS") == ["chain.strict", "chain.strict"]


def test_a_system_account_with_jetstream_is_wrong(grid: House) -> None:
    grid.do(edit_account, EditAccount("SYS", limits={"disk_storage": -1}))
    assert "account.system-jetstream" in codes(grid, "SYS")


def test_a_user_whose_key_was_removed_is_an_orphan(grid: House) -> None:
    grid.do(edit_role, EditRole("METERS", "reader"))
    grid.do(add_user, AddUser("m1", "METERS", role="reader"))
    assert codes(grid) == []
    grid.do(remove_role, RemoveRole("METERS", "reader", even_if_used=True))
    found = grid.authority.ask(validate_tree, Question(grid.clock[0], account="METERS"))
    assert [finding.code for finding in found[1].findings] == ["chain.user"]
    assert found[1].findings[0].message.startswith('user "m1": signed by A')
    assert not found[1].sound


def test_a_revoked_user_is_a_warning(grid: House) -> None:
    grid.do(add_user, AddUser("m1", "METERS"))
    grid.do(revoke_user, RevokeUser("m1", "METERS"))
    found = grid.authority.ask(validate_tree, Question(grid.clock[0], account="METERS"))
    assert [finding.code for finding in found[1].findings] in ([], ["user.revoked"])
    assert found[1].sound


@pytest.fixture
def shared(grid: House) -> House:
    """BILLING imports what METERS exports in private."""
    grid.do(add_account, AddAccount("BILLING"))
    grid.do(add_export, AddExport("METERS", "read.>", private=True))
    grid.wait(5)
    ends = Validity(expires=grid.clock[0] + 1000)
    leave = grid.do(generate_activation, GenerateActivation("METERS", "read.>", "BILLING", validity=ends))
    grid.do(add_import, AddImport("BILLING", token=leave.token))
    assert codes(grid) == []
    return grid


def test_an_import_without_its_export(shared: House) -> None:
    shared.do(remove_export, RemoveExport("METERS", "read.>"))
    assert codes(shared, "BILLING") == ["import.no-export"]


def test_an_import_of_a_private_export_without_an_activation(shared: House) -> None:
    shared.do(add_import, AddImport("BILLING", source="METERS", subject="read.x", local_subject="my.x"))
    assert codes(shared, "BILLING") == ["import.no-activation"]


def test_an_activation_that_was_withdrawn(shared: House) -> None:
    shared.do(revoke_activation, RevokeActivation("METERS", "read.>", "BILLING"))
    assert codes(shared, "BILLING") == ["import.activation-revoked"]


def test_an_activation_that_has_ended(shared: House) -> None:
    assert "import.activation-expired" in codes(shared, "BILLING", later=2000)


def test_an_activation_whose_signer_is_gone(shared: House) -> None:
    shared.do(edit_account, EditAccount("METERS", add_signing_keys=("generate",)))
    shared.wait(5)
    leave = shared.do(generate_activation, GenerateActivation("METERS", "read.b", "BILLING"))
    shared.do(add_import, AddImport("BILLING", token=leave.token, local_subject="b"))
    assert codes(shared) == []
    key = shared.claims(shared.do(edit_account, EditAccount("METERS", description="x"))).signing_keys()[0]
    shared.do(edit_account, EditAccount("METERS", remove_signing_keys=(key,)))
    assert codes(shared, "BILLING") == ["import.activation-issuer"]


def test_an_account_of_another_operator_cannot_be_judged(grid: House) -> None:
    stranger = Seed.generate(Role.ACCOUNT).public
    grid.do(add_import, AddImport("METERS", source=stranger, subject="x"))
    assert codes(grid, "METERS") == ["import.unknown-account"]


def test_a_position_for_the_importers_key(grid: House) -> None:
    importer = grid.do(add_account, AddAccount("BILLING")).public
    grid.do(add_export, AddExport("METERS", "bill.*"))
    grid.do(edit_export, EditExport("METERS", "bill.*", account_token_position=2))
    grid.do(add_import, AddImport("BILLING", source="METERS", subject=f"bill.{importer}"))
    assert codes(grid, "BILLING") == []
    grid.do(add_import, AddImport("BILLING", source="METERS", subject="bill.other", local_subject="o"))
    assert codes(grid, "BILLING") == ["import.account-token"]
