"""Taking in what was made elsewhere, and giving it back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from issuer.audit.catalogue import EventCode
from issuer.audit.log import read as read_events
from issuer.audit.log import verify_chain
from issuer.authority.accounts import (
    AddAccount,
    DeleteAccount,
    EditAccount,
    add_account,
    delete_account,
    edit_account,
)
from issuer.authority.adoption import (
    AdoptAccount,
    AdoptStore,
    AdoptUser,
    adopt_account,
    adopt_store,
    adopt_user,
)
from issuer.authority.keyholding import TakeSeeds, take_seeds
from issuer.authority.leaving import ExportStore, export_store
from issuer.authority.operators import AddOperator, add_operator
from issuer.authority.taking import Adoption, NameTaken, NotTaken, Untrusted
from issuer.authority.users import AddUser, DeleteUser, GenerateCreds, add_user, delete_user, generate_creds
from issuer.claims.account import AccountClaims, Scope, new_account
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import new_scoped_user, new_user
from issuer.errors import AlreadyExists, NotFound
from issuer.interop.nsc import Inventory, read_store
from issuer.interop.nsc_write import LeavingAccount, LeavingUser, NscExport, Written, write_store
from issuer.keys.creds import format_creds
from issuer.keys.nkeys import Role, Seed
from issuer.store import hierarchy, keys, outbox
from issuer.tokens.envelope import TokenError, decode
from tests.issuer.authority.conftest import House
from tests.issuer.interop.made import NOW, Made, again, sign


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
def inventory(made: Made, tmp_path: Path) -> Inventory:
    home = made.write(tmp_path / "nsc")
    return read_store(home / "stores", home / "keys")


def adopt(house: House, inventory: Inventory, **how: Any) -> Adoption:
    found: Adoption = house.do(adopt_store, AdoptStore(inventory, source="/nsc", **how))
    return found


def with_account(inventory: Inventory, **changes: Any) -> Inventory:
    """The same store with its one account changed."""
    (operator,) = inventory.operators
    (account,) = operator.accounts
    return replace(inventory, operators=(replace(operator, accounts=(replace(account, **changes),)),))


def with_account_token(inventory: Inventory, token: str) -> Inventory:
    read = decode(token, AccountClaims)
    return with_account(inventory, token=read.token, claims=read.claims)


def events(house: House) -> list[str]:
    with house.authority.database.reading() as unit:
        assert verify_chain(unit) is None
        return [entry.body.code for entry in read_events(unit)]


def head(house: House, kind: str, public: str) -> Any:
    with house.authority.database.reading() as unit:
        found = hierarchy.subject_of(unit, public)
        assert found is not None
        return hierarchy.head_token(unit, kind, found[1].id)


def test_all_of_it_is_here_byte_for_byte(house: House, made: Made, inventory: Inventory) -> None:
    adoption = adopt(house, inventory)
    assert [(one.kind, one.name, one.state) for one in adoption.adopted] == [
        ("operator", "GRID", "new"),
        ("account", "METERS", "new"),
        ("user", "m1", "new"),
        ("user", "r1", "new"),
    ]
    assert (adoption.keys, adoption.left_out) == (7, ())
    for kind, seed, token, issuer in (
        ("operator", made.operator, made.operator_token, made.operator),
        ("account", made.account, made.account_token, made.signing),
        ("user", made.plain, made.plain_token, made.account),
        ("user", made.scoped, made.scoped_token, made.reader),
    ):
        version = head(house, kind, seed.public)
        assert (version.token, version.version) == (token, 1)
        assert (version.iat, version.issuer, version.exp) == (NOW, issuer.public, None)
    with house.authority.database.reading() as unit:
        operator = hierarchy.find_operator(unit, "GRID")
        assert operator is not None
        account = hierarchy.find_account(unit, operator.id, "METERS")
        assert account is not None
        roles = {user.name: user.role for user in hierarchy.users(unit, account.id)}
        owned = {key.public: key.purpose for key in keys.keys_of(unit, account.id)}
        assert outbox.pending(unit) == []
    assert roles == {"m1": "", "r1": "reader"}
    assert owned == {made.reader.public: "signing", made.curve.public: "curve"}
    written = events(house)
    assert written.count(EventCode.KEY_ADDED) == 7
    assert written[-1] == EventCode.IMPORT_DONE
    creds = house.do(generate_creds, GenerateCreds("r1", "METERS"))
    assert creds.text == format_creds(made.scoped_token, made.scoped)


def test_again_changes_nothing(house: House, inventory: Inventory) -> None:
    adopt(house, inventory)
    before = events(house)
    adoption = adopt(house, inventory)
    assert not adoption.changed
    assert {one.state for one in adoption.adopted} == {"same"}
    assert events(house) == before


def test_it_is_a_hierarchy_like_any_other(house: House, inventory: Inventory) -> None:
    adopt(house, inventory)
    house.do(edit_account, EditAccount("METERS", limits={"conn": 5}))
    house.do(add_user, AddUser("m2", "METERS"))
    house.do(add_user, AddUser("r2", "METERS", role="reader"))
    house.do(add_account, AddAccount("NEW"))


def test_a_newer_token_is_the_next_version(house: House, made: Made, inventory: Inventory) -> None:
    adopt(house, inventory)
    newer = again(made.account_token, made.signing, at=NOW + 9, description="newer")
    adoption = adopt(house, with_account_token(inventory, newer))
    assert [(one.name, one.state) for one in adoption.adopted if one.state != "same"] == [
        ("METERS", "updated")
    ]
    version = head(house, "account", made.account.public)
    assert (version.token, version.version) == (newer, 2)
    with house.authority.database.reading() as unit:
        assert [due.version for due in outbox.pending(unit)] == [2]


def test_an_older_token_is_not_taken_unless_told(house: House, made: Made, inventory: Inventory) -> None:
    newer = again(made.account_token, made.signing, at=NOW + 9, description="newer")
    adopt(house, with_account_token(inventory, newer))
    adoption = adopt(house, inventory)
    assert not adoption.changed
    assert {one.name for one in adoption.adopted if one.state == "older"} == {"METERS"}
    assert head(house, "account", made.account.public).token == newer
    assert adopt(house, inventory, overwrite=True).count("account") == 1
    assert head(house, "account", made.account.public).token == made.account_token


def test_one_of_the_same_second_is_somebody_elses_change(
    house: House, made: Made, inventory: Inventory
) -> None:
    adopt(house, inventory)
    other = again(made.account_token, made.signing, at=NOW, description="other")
    assert adopt(house, with_account_token(inventory, other)).count("account", "updated") == 1
    # And the one before is the past, although its second is the same.
    assert adopt(house, inventory).count("account", "older") == 1


def test_a_new_name_comes_with_a_newer_token(house: House, made: Made, inventory: Inventory) -> None:
    adopt(house, inventory)
    (account,) = inventory.operators[0].accounts
    renamed = sign(msgspec.structs.replace(account.claims, name="COUNTERS"), made.signing, at=NOW + 5)
    adopt(house, with_account_token(inventory, renamed))
    adopt(house, inventory)
    with house.authority.database.reading() as unit:
        row = hierarchy.account_by_public(unit, made.account.public)
        assert row is not None
        assert row.name == "COUNTERS"


def test_a_name_that_is_taken_refuses_everything(house: House, inventory: Inventory) -> None:
    house.do(add_operator, AddOperator("GRID"))
    before = events(house)
    with pytest.raises(NameTaken, match="operator 'GRID' exists here already") as caught:
        adopt(house, inventory)
    assert caught.value.at == inventory.operators[0].path
    assert events(house) == [*before, EventCode.ACT_REFUSED]
    adoption = adopt(house, inventory, skip_clashes=True)
    assert not adoption.changed
    assert len(adoption.left_out) == 1


def test_a_user_name_that_is_taken(house: House, made: Made, inventory: Inventory) -> None:
    (account,) = inventory.operators[0].accounts
    adopt(house, with_account(inventory, users=account.users[1:]))
    house.do(add_user, AddUser("m1", "METERS"))
    with pytest.raises(NameTaken, match="user 'm1' exists here already"):
        adopt(house, inventory)
    adoption = adopt(house, inventory, skip_clashes=True)
    assert [left.path for left in adoption.left_out] == [account.users[0].path]


def test_a_key_that_is_another_thing_here(house: House, made: Made, inventory: Inventory) -> None:
    """The account's key is a signing key of an account here."""
    house.do(add_operator, AddOperator("OTHER"))
    house.do(add_account, AddAccount("X"))
    house.do(edit_account, EditAccount("X", add_signing_keys=(made.account.public,)))
    house.do(take_seeds, TakeSeeds([made.account]))
    with pytest.raises(NotTaken, match="is a signing key here"):
        adopt(house, inventory)


def test_a_key_imported_before_finds_its_owner(house: House, made: Made, inventory: Inventory) -> None:
    house.do(take_seeds, TakeSeeds([made.operator, made.account, made.plain]))
    adopt(house, inventory)
    creds = house.do(generate_creds, GenerateCreds("m1", "METERS"))
    assert creds.text == format_creds(made.plain_token, made.plain)
    house.do(add_user, AddUser("m2", "METERS"))


def test_what_was_deleted_here_does_not_come_back(house: House, inventory: Inventory) -> None:
    adopt(house, inventory)
    house.do(delete_account, DeleteAccount("METERS"))
    adoption = adopt(house, inventory, overwrite=True)
    assert "was deleted here" in adoption.left_out[0].reason
    assert len(adoption.left_out) == 3
    assert adoption.count("account") == 0


@pytest.mark.parametrize("foreign", [False, True])
def test_an_account_its_operator_did_not_sign_is_left_out(
    house: House, made: Made, inventory: Inventory, foreign: bool
) -> None:
    signer = Seed.generate(Role.OPERATOR) if foreign else made.account
    claims = new_account(made.account.public, "METERS")
    adoption = adopt(house, with_account_token(inventory, sign(claims, signer)))
    assert adoption.count("operator") == 1
    assert adoption.count("account") == adoption.count("user") == 0
    assert len(adoption.left_out) == 3


def test_an_old_copy_does_not_bring_back_what_lost_its_key(
    house: House, made: Made, inventory: Inventory
) -> None:
    """Users are held against the account as it is here now, not as the copy has it."""
    (account,) = inventory.operators[0].accounts
    newer = again(made.account_token, made.signing, at=NOW + 9, signing_keys=())
    adopt(house, with_account(with_account_token(inventory, newer), users=()))
    adoption = adopt(house, with_account(inventory, users=account.users))
    assert {one.name for one in adoption.adopted if one.kind == "user"} == {"m1"}
    assert "no key any more" in adoption.left_out[0].reason


def test_strict_usage_of_signing_keys_is_kept_to(house: House, made: Made, inventory: Inventory) -> None:
    (operator,) = inventory.operators
    strict = again(made.operator_token, made.operator, at=NOW + 1, signing_keys=(made.signing.public,),
                   strict_signing_key_usage=True)  # fmt: skip
    read = decode(strict, OperatorClaims)
    by_identity = sign(operator.accounts[0].claims, made.operator)
    inventory = with_account_token(inventory, by_identity)
    (operator,) = inventory.operators
    operator = replace(operator, token=read.token, claims=read.claims)
    adoption = adopt(house, replace(inventory, operators=(operator,)))
    assert adoption.count("account") == 0
    assert "no key of the operator that counts" in adoption.left_out[0].reason


def test_orphans_and_quarantined_files_are_reported(house: House, made: Made, tmp_path: Path) -> None:
    home = made.write(tmp_path / "nsc")
    users = home / "stores/GRID/accounts/METERS/users"
    stray = Seed.generate(Role.USER)
    (users / "stray.jwt").write_text(sign(new_user(stray.public, "stray"), Seed.generate(Role.ACCOUNT)))
    (users / "broken.jwt").write_text("")
    adoption = adopt(house, read_store(home / "stores", home / "keys"))
    assert {Path(left.path).name for left in adoption.left_out} == {"stray.jwt", "broken.jwt"}
    assert adoption.count("user") == 2


def test_two_roles_of_one_name_are_told_apart_by_key(house: House, made: Made, inventory: Inventory) -> None:
    (account,) = inventory.operators[0].accounts
    (scope,) = account.claims.nats.signing_keys
    assert isinstance(scope, Scope)
    twin = msgspec.structs.replace(scope, key=Seed.generate(Role.ACCOUNT).public)
    token = again(made.account_token, made.signing, at=NOW, signing_keys=(twin, scope))
    adopt(house, with_account_token(inventory, token))
    with house.authority.database.reading() as unit:
        row = hierarchy.user_by_public(unit, made.scoped.public)
        assert row is not None
        assert row.role in {"reader", made.reader.public}
        owner: Any = head(house, "account", made.account.public)
    assert owner.token == token
    outcome = house.do(add_user, AddUser("r3", "METERS", role=row.role))
    assert house.claims(outcome).iss == made.reader.public


# One token at a time


def test_an_account_alone(house: House, made: Made, inventory: Inventory) -> None:
    adopt(house, replace(inventory, operators=(replace(inventory.operators[0], accounts=()),)))
    outcome = house.do(adopt_account, AdoptAccount(made.account_token, seed=made.account))
    assert (outcome.name, outcome.token, outcome.changed) == ("METERS", made.account_token, True)
    assert not house.do(adopt_account, AdoptAccount(made.account_token)).changed
    user = house.do(adopt_user, AdoptUser(made.plain_token, seed=made.plain))
    assert (user.name, user.token) == ("m1", made.plain_token)
    assert "its seed is not here" in house.do(adopt_user, AdoptUser(made.scoped_token)).notes[0]


def test_an_older_account_alone_says_so(house: House, made: Made, inventory: Inventory) -> None:
    newer = again(made.account_token, made.signing, at=NOW + 9, description="newer")
    adopt(house, with_account_token(inventory, newer))
    outcome = house.do(adopt_account, AdoptAccount(made.account_token))
    assert (outcome.token, outcome.changed) == (newer, False)
    assert "a newer token is here" in outcome.notes[0]
    outcome = house.do(adopt_account, AdoptAccount(made.account_token, overwrite=True))
    assert outcome.token == made.account_token


def test_an_account_of_another_operator_is_signed_anew_when_told(grid: House, made: Made) -> None:
    with pytest.raises(Untrusted, match="not by operator 'GRID'"):
        grid.do(adopt_account, AdoptAccount(made.account_token))
    act = AdoptAccount(again(made.account_token, made.signing, at=NOW, description="theirs"), sign_anew=True)
    with pytest.raises(AlreadyExists, match="account 'METERS' exists here already"):
        grid.do(adopt_account, act)
    claims = new_account(made.account.public, "THEIRS")
    act = AdoptAccount(sign(claims, made.account), seed=made.account, sign_anew=True)
    outcome = grid.do(adopt_account, act)
    assert grid.claims(outcome).nats.limits == claims.nats.limits
    with pytest.raises(AlreadyExists):
        grid.do(adopt_account, act)
    grid.do(add_user, AddUser("u", "THEIRS"))


def test_a_user_of_nobody_here_is_refused(grid: House, made: Made) -> None:
    with pytest.raises(NotFound, match="has no account"):
        grid.do(adopt_user, AdoptUser(made.plain_token))
    meters = grid.do(add_account, AddAccount("OTHER"))
    stranger = Seed.generate(Role.ACCOUNT)
    claims = new_user(made.plain.public, "m1", account=meters.public)
    with pytest.raises(Untrusted, match="not a key of account 'OTHER'"):
        grid.do(adopt_user, AdoptUser(sign(claims, stranger)))
    with pytest.raises(TokenError):
        grid.do(adopt_user, AdoptUser(made.account_token))


# And out again


def leave(house: House, target: Path, *, with_seeds: bool = True) -> Written:
    def write(export: NscExport) -> Written:
        return write_store(target, export, with_seeds=with_seeds)

    written: Written = house.do(export_store, ExportStore(write, with_seeds=with_seeds))
    return written


def test_out_again_it_is_the_same_store(house: House, made: Made, tmp_path: Path) -> None:
    home = made.write(tmp_path / "nsc")
    adopt(house, read_store(home / "stores", home / "keys"))
    written = leave(house, tmp_path / "out")
    assert (written.accounts, written.users, written.keys) == (1, 2, 7)
    files = {
        root: {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and path.name != "nsc.json"
        }
        for root in (home, tmp_path / "out")
    }
    assert files[home] == files[tmp_path / "out"]
    assert events(house).count(EventCode.KEY_EXPORTED) == 7
    assert events(house)[-1] == EventCode.EXPORT_DONE


def test_seeds_stay_unless_asked_for(house: House, made: Made, inventory: Inventory, tmp_path: Path) -> None:
    adopt(house, inventory)
    leave(house, tmp_path / "out", with_seeds=False)
    assert list((tmp_path / "out").rglob("*.nk")) == []
    assert EventCode.KEY_EXPORTED not in events(house)


def test_an_export_that_fails_tells_of_no_seed(house: House, inventory: Inventory, tmp_path: Path) -> None:
    adopt(house, inventory)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(AlreadyExists):
        leave(house, tmp_path / "out")
    assert EventCode.KEY_EXPORTED not in events(house)
    assert EventCode.EXPORT_DONE not in events(house)


def test_no_seed_is_in_any_event(house: House, made: Made, inventory: Inventory, tmp_path: Path) -> None:
    adoption = adopt(house, inventory)
    leave(house, tmp_path / "out")
    with house.authority.database.reading() as unit:
        bodies = "".join(str(line) for line in read_events(unit))
    for seed in (made.operator, made.account, made.curve, made.plain):
        assert seed.reveal() not in bodies + repr(adoption) + repr(inventory)


def crowd(made: Made, count: int) -> list[LeavingUser]:
    """Users enough to be taken in batches, issued over several seconds, some of them by the role's key."""
    users = []
    for number in range(count):
        seed, name = Seed.generate(Role.USER), f"u{number}"
        claims, signer = new_user(seed.public, name), made.account
        if number % 5 == 0:
            claims, signer = new_scoped_user(seed.public, name, account=made.account.public), made.reader
        kept = None if number % 7 == 0 else seed
        users.append(LeavingUser(name, sign(claims, signer, at=NOW + number % 3), kept))
    return users


def test_a_crowd_goes_in_and_out_unchanged(house: House, made: Made, tmp_path: Path) -> None:
    users = crowd(made, 250)
    accounts = [LeavingAccount("METERS", made.account_token, (made.account, made.reader, made.curve), users)]
    home = tmp_path / "nsc"
    write_store(home, made.export(accounts=accounts), with_seeds=True)
    inventory = read_store(home / "stores", home / "keys")
    adoption = adopt(house, inventory)
    assert (adoption.count("user"), adoption.left_out) == (250, ())
    with house.authority.database.reading() as unit:
        row = hierarchy.account_by_public(unit, made.account.public)
        assert row is not None
        assert hierarchy.count_users(unit, row.id, issuer=made.reader.public) == 50
        assert {user.role for user in hierarchy.users(unit, row.id)} == {"", "reader"}
        versions = [hierarchy.head_token(unit, "user", user.id) for user in hierarchy.users(unit, row.id)]
    assert {version.token for version in versions} == {user.token for user in users}
    assert events(house).count(EventCode.USER_ADOPTED) == 250
    assert events(house).count(EventCode.KEY_ADDED) == adoption.keys
    assert not adopt(house, inventory).changed
    assert leave(house, tmp_path / "out").users == 250


def test_in_a_crowd_clashes_are_found_too(house: House, made: Made, tmp_path: Path) -> None:
    users = crowd(made, 250)
    accounts = [LeavingAccount("METERS", made.account_token, (made.account, made.reader), users[:2])]
    write_store(tmp_path / "few", made.export(accounts=accounts), with_seeds=True)
    adopt(house, read_store(tmp_path / "few/stores", tmp_path / "few/keys"))
    house.do(add_user, AddUser("u100", "METERS"))
    house.do(delete_user, DeleteUser("u1", "METERS", revoke=False))
    accounts = [replace(accounts[0], users=users)]
    write_store(tmp_path / "all", made.export(accounts=accounts), with_seeds=True)
    inventory = read_store(tmp_path / "all/stores", tmp_path / "all/keys")
    with pytest.raises(NameTaken, match="user 'u100'"):
        adopt(house, inventory)
    adoption = adopt(house, inventory, skip_clashes=True)
    assert adoption.count("user") == 247
    assert {Path(left.path).stem for left in adoption.left_out} == {"u100", "u1"}
