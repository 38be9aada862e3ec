"""Stores read: whole ones, damaged ones, and ones laid as a trap."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from issuer.claims.account import Import, new_account
from issuer.claims.operator import new_operator
from issuer.claims.user import new_user
from issuer.errors import NotFound
from issuer.interop.nsc import Inventory, read_store
from issuer.keys.creds import decorate_token, format_creds
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject
from tests.issuer.interop.made import NOW, Made, again, sign


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.fixture
def home(made: Made, tmp_path: Path) -> Path:
    return made.write(tmp_path / "nsc")


def read(home: Path, **how: str) -> Inventory:
    return read_store(home / "stores", home / "keys", **how)


def accounts(home: Path) -> Path:
    return home / "stores" / "GRID" / "accounts"


def test_everything_is_found_and_every_token_is_its_own(made: Made, home: Path) -> None:
    inventory = read(home)
    (operator,) = inventory.operators
    (account,) = operator.accounts
    plain, scoped = account.users
    assert (operator.name, operator.token, operator.seed) == ("GRID", made.operator_token, made.operator)
    assert operator.signing == (made.signing,)
    assert not operator.managed
    assert (account.name, account.token, account.seed) == ("METERS", made.account_token, made.account)
    assert (account.signing, account.curve) == ((made.reader,), made.curve)
    assert (plain.name, plain.token, plain.seed) == ("m1", made.plain_token, made.plain)
    assert (scoped.name, scoped.token, scoped.seed) == ("r1", made.scoped_token, made.scoped)
    assert inventory == Inventory(inventory.operators)
    assert made.operator.reveal() not in repr(inventory)


def test_an_operator_is_chosen_by_folder_name_or_key(made: Made, home: Path) -> None:
    other = home / "stores" / "OTHER"
    other.mkdir()
    seed = Seed.generate(Role.OPERATOR)
    (other / "OTHER.jwt").write_text(sign(new_operator(seed.public, "Other Inc"), seed))
    (other / ".nsc").write_text('{"managed":true,"name":"OTHER"}')
    assert [one.name for one in read(home).operators] == ["GRID", "Other Inc"]
    for text in ("OTHER", "Other Inc", seed.public):
        (one,) = read(home, operator=text).operators
        assert one.managed
        assert one.public == seed.public
    with pytest.raises(NotFound, match="no operator 'NONE'"):
        read(home, operator="NONE")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe\0", "is not text"),
        (b"hello", "holds no user token"),
        (b"a.b.c", "holds no user token"),
        (b"x" * 3_000_000, "is larger than"),
    ],
    ids=["empty", "blank", "binary", "words", "dots", "huge"],
)
def test_a_bad_file_is_put_aside_and_the_rest_is_read(home: Path, content: bytes, reason: str) -> None:
    path = accounts(home) / "METERS" / "users" / "m1.jwt"
    path.write_bytes(content)
    inventory = read(home)
    (bad,) = inventory.quarantined
    assert bad.path == str(path)
    assert bad.reason.startswith(reason)
    assert [user.name for user in inventory.operators[0].accounts[0].users] == ["r1"]


def test_a_forged_token_is_put_aside(made: Made, home: Path) -> None:
    path = accounts(home) / "METERS" / "METERS.jwt"
    header, payload, signature = made.account_token.split(".")
    path.write_text(f"{header}.{payload}.{signature[::-1]}")
    inventory = read(home)
    assert inventory.operators[0].accounts == ()
    assert "signature" in inventory.quarantined[0].reason
    assert {orphan.name for orphan in inventory.orphans} == {"m1", "r1"}


def test_a_token_of_another_kind_is_put_aside(made: Made, home: Path) -> None:
    (accounts(home) / "METERS" / "METERS.jwt").write_text(made.plain_token)
    assert "is not a token of kind account" in read(home).quarantined[0].reason


def test_a_broken_operator_is_put_aside(home: Path) -> None:
    (home / "stores" / "GRID" / "GRID.jwt").write_text("")
    inventory = read(home)
    assert inventory.operators == ()
    assert [bad.reason for bad in inventory.quarantined] == ["is empty"]
    (home / "stores" / "GRID" / "GRID.jwt").unlink()
    assert [bad.reason for bad in read(home).quarantined] == ["holds no operator token"]


@pytest.mark.parametrize("name", ["..", "../../etc/passwd", "a/b", "a\\b", "a\nb", "\x1b[2J", "n" * 300])
def test_a_name_that_leads_elsewhere_is_put_aside(home: Path, made: Made, name: str) -> None:
    seed = Seed.generate(Role.ACCOUNT)
    place = accounts(home) / "innocent"
    place.mkdir()
    (place / "innocent.jwt").write_text(sign(new_account(seed.public, name), made.operator))
    inventory = read(home)
    assert "has a name" in inventory.quarantined[0].reason
    assert [one.name for one in inventory.operators[0].accounts] == ["METERS"]


def _linked_file(home: Path, outside: Path) -> Path:
    path = accounts(home) / "METERS" / "users" / "m1.jwt"
    shutil.move(path, outside)
    path.symlink_to(outside)
    return path


def _linked_folder(home: Path, outside: Path) -> Path:
    path = accounts(home) / "METERS"
    shutil.move(path, outside)
    path.symlink_to(outside)
    return path


def _linked_operator(home: Path, outside: Path) -> Path:
    path = home / "stores" / "GRID"
    shutil.move(path, outside)
    path.symlink_to(outside)
    return path


def _linked_key(home: Path, outside: Path) -> Path:
    path = next((home / "keys" / "keys" / "U").rglob("*.nk"))
    shutil.move(path, outside)
    path.symlink_to(outside)
    return path


def _linked_to(name: str) -> Callable[[Path, Path], Path]:
    def trap(home: Path, outside: Path) -> Path:
        path = home / name
        shutil.move(path, outside)
        path.symlink_to(outside)
        return path

    return trap


def _turning_on_itself(home: Path, _outside: Path) -> Path:
    path = accounts(home) / "METERS" / "users"
    shutil.rmtree(path)
    path.symlink_to(path)
    return path


@pytest.mark.parametrize(
    "trap",
    [
        _linked_file,
        _linked_folder,
        _linked_operator,
        _linked_key,
        _linked_to("stores/GRID/GRID.jwt"),
        _linked_to("stores/GRID/accounts"),
        _linked_to("stores/GRID/accounts/METERS/METERS.jwt"),
        _linked_to("stores/GRID/accounts/METERS/users"),
        _linked_to("stores/GRID/.nsc"),
        _linked_to("keys/keys"),
        _linked_to("keys/keys/U"),
        _linked_to("keys/creds"),
        _linked_to("keys/creds/GRID"),
        _linked_to("keys/creds/GRID/METERS"),
        _linked_to("keys/creds/GRID/METERS/m1.creds"),
        _turning_on_itself,
    ],
)
def test_links_are_not_followed(home: Path, tmp_path: Path, trap: Callable[[Path, Path], Path]) -> None:
    path = trap(home, tmp_path / "outside")
    (bad,) = read(home).quarantined
    assert bad.path == str(path)
    assert bad.reason == "is a symbolic link"


def test_a_pipe_does_not_make_us_wait(home: Path) -> None:
    path = accounts(home) / "METERS" / "users" / "m1.jwt"
    path.unlink()
    os.mkfifo(path)
    assert [bad.reason for bad in read(home).quarantined] == ["is not a plain file"]


@pytest.mark.parametrize(
    "name",
    [
        "stores/GRID/GRID.jwt",
        "stores/GRID/.nsc",
        "stores/GRID/accounts/METERS/METERS.jwt",
        "stores/GRID/accounts/METERS/users/m1.jwt",
        "keys/creds/GRID/METERS/m1.creds",
    ],
)
def test_a_folder_where_a_file_should_be_is_put_aside(home: Path, name: str) -> None:
    (home / name).unlink()
    (home / name).mkdir()
    inventory = read(home)
    if name.endswith((".nsc", "GRID.jwt", "METERS.jwt")):
        assert [(bad.path, bad.reason) for bad in inventory.quarantined] == [
            (str(home / name), "is not a plain file")
        ]
    assert {one.path for one in inventory.operators} == (
        set() if "GRID.jwt" in name else {str(home / "stores/GRID/GRID.jwt")}
    )


@pytest.mark.parametrize("name", ["stores/GRID/accounts", "stores/GRID/accounts/METERS/users", "keys/creds"])
def test_a_file_where_a_folder_should_be_is_put_aside(home: Path, name: str) -> None:
    shutil.rmtree(home / name)
    (home / name).write_text("")
    (bad,) = read(home).quarantined
    assert (bad.path, bad.reason) == (str(home / name), "is not a folder")


def test_files_whose_names_are_no_text(home: Path) -> None:
    (accounts(home) / "METERS" / "users" / os.fsdecode(b"\xff.jwt")).write_text("")
    (bad,) = read(home).quarantined
    assert bad.path.endswith("users/\\xff.jwt")


def test_what_a_mac_leaves_is_passed_over(made: Made, home: Path) -> None:
    users = accounts(home) / "METERS" / "users"
    (users / "._m1.jwt").write_bytes(b"\0\5\x16\7")
    user = Seed.generate(Role.USER)
    (users / "._true.jwt").write_text(sign(new_user(user.public, "._true"), made.account))
    inventory = read(home)
    assert inventory.quarantined == ()
    assert {one.name for one in inventory.operators[0].accounts[0].users} == {"m1", "r1", "._true"}


@pytest.mark.parametrize(("later", "standing"), [(-5, "older"), (5, "newer"), (0, "other")])
def test_creds_with_another_token_are_told(made: Made, home: Path, later: int, standing: str) -> None:
    path = home / "keys/creds/GRID/METERS/m1.creds"
    token = again(made.plain_token, made.account, at=NOW + later, subs=7)
    path.write_text(format_creds(token, made.plain))
    inventory = read(home)
    (odd,) = inventory.odd_creds
    assert (odd.path, odd.user, odd.public, odd.standing) == (str(path), "m1", made.plain.public, standing)
    user = inventory.operators[0].accounts[0].users[0]
    assert (user.token, user.creds) == (made.plain_token, (str(path),))


def test_creds_of_nobody_are_told(home: Path) -> None:
    (accounts(home) / "METERS" / "users" / "m1.jwt").unlink()
    inventory = read(home)
    assert inventory.stray_creds == (str(home / "keys/creds/GRID/METERS/m1.creds"),)


def test_creds_of_two_are_put_aside(made: Made, home: Path) -> None:
    path = home / "keys/creds/GRID/METERS/m1.creds"
    text = path.read_text()
    path.write_text(text.replace(made.plain_token, made.scoped_token))
    (bad,) = read(home).quarantined
    assert bad.reason == "holds a token and the seed of another user"
    path.write_text(text.replace(made.plain_token, made.plain_token[:-4]))
    (bad,) = read(home).quarantined
    assert bad.reason.startswith("holds no user token")


def test_creds_are_found_under_the_name_in_the_token(home: Path) -> None:
    (home / "stores" / "GRID").rename(home / "stores" / "renamed")
    (home / "stores/renamed/GRID.jwt").rename(home / "stores/renamed/renamed.jwt")
    shutil.rmtree(home / "keys" / "keys")
    users = read(home).operators[0].accounts[0].users
    assert [user.seed is not None for user in users] == [True, True]


def test_an_import_by_the_address_of_its_token_stays(made: Made, home: Path) -> None:
    other = Seed.generate(Role.ACCOUNT)
    url = "https://example.com/activations/1.jwt"
    taken = Import(subject=Subject("readings.>"), account=made.account.public, token=url, type="stream")
    owner = new_account(other.public, "OTHER")
    claims = msgspec.structs.replace(owner, nats=msgspec.structs.replace(owner.nats, imports=(taken,)))
    token = sign(claims, made.operator)
    place = accounts(home) / "OTHER"
    place.mkdir()
    (place / "OTHER.jwt").write_text(token)
    found = read(home).operators[0].accounts[1]
    assert found.token == token
    assert found.claims.nats.imports[0].token == url


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_broken_the_rest_is_read_and_no_seed_is_told(home: Path, seed: int) -> None:
    chance = random.Random(seed)
    everything = sorted(path for path in home.rglob("*") if path.is_file())
    broken = chance.sample(everything, chance.randint(1, 5))
    seeds = [path.read_text().strip() for path in everything if path.suffix == ".nk"]
    others = [path.read_bytes() for path in everything]
    for path in broken:
        data = path.read_bytes()
        cut = chance.randrange(len(data))
        path.write_bytes(
            chance.choice([
                data[:cut],
                data[cut:],
                data[:cut] + bytes([chance.randrange(256)]) + data[cut + 1 :],
                chance.choice(others),
                chance.randbytes(cut),
            ])
        )  # fmt: skip
    inventory = read(home)
    told = repr(inventory)
    assert not any(text[:20] in told for text in seeds)
    intact = {str(path) for path in everything} - {str(path) for path in broken}
    # Of what is whole, only a second token of one key can be put aside.
    for bad in inventory.quarantined:
        assert bad.path not in intact or "is about the same" in bad.reason, bad


def test_armour_and_line_ends_are_no_part_of_a_token(made: Made, home: Path) -> None:
    path = accounts(home) / "METERS" / "users" / "m1.jwt"
    for text in (decorate_token("user", made.plain_token), f"\n{made.plain_token}\r\n"):
        path.write_text(text)
        assert read(home).operators[0].accounts[0].users[0].token == made.plain_token


def test_a_user_belongs_to_who_signed_it(made: Made, home: Path) -> None:
    other = Seed.generate(Role.ACCOUNT)
    place = accounts(home) / "OTHER"
    (place / "users").mkdir(parents=True)
    (place / "OTHER.jwt").write_text(sign(new_account(other.public, "OTHER"), made.operator))
    shutil.move(accounts(home) / "METERS" / "users" / "m1.jwt", place / "users" / "m1.jwt")
    meters, empty = read(home).operators[0].accounts
    assert {user.name for user in meters.users} == {"m1", "r1"}
    assert empty.users == ()


def test_a_user_of_a_key_nobody_has_is_an_orphan(home: Path) -> None:
    stray, user = Seed.generate(Role.ACCOUNT), Seed.generate(Role.USER)
    path = accounts(home) / "METERS" / "users" / "stray.jwt"
    path.write_text(sign(new_user(user.public, "stray"), stray))
    (orphan,) = read(home).orphans
    assert (orphan.name, orphan.path) == ("stray", str(path))


def test_a_user_that_names_another_account_is_an_orphan(made: Made, home: Path) -> None:
    """A key of this account must not make users of that one."""
    user = Seed.generate(Role.USER)
    claims = new_user(user.public, "stray", account=Seed.generate(Role.ACCOUNT).public)
    (accounts(home) / "METERS" / "users" / "stray.jwt").write_text(sign(claims, made.account))
    assert [one.name for one in read(home).orphans] == ["stray"]


def test_names_that_one_disk_tells_apart_and_another_does_not(made: Made, home: Path) -> None:
    other = Seed.generate(Role.ACCOUNT)
    place = accounts(home) / "meters"
    place.mkdir()
    (place / "meters.jwt").write_text(sign(new_account(other.public, "Meters"), made.operator))
    (clash,) = read(home).clashes
    assert (clash.kind, len(clash.paths)) == ("account", 2)
    assert len(read(home).operators[0].accounts) == 2


def test_two_files_about_one_account_are_said(made: Made, home: Path) -> None:
    shutil.copytree(accounts(home) / "METERS", accounts(home) / "ZCOPY")
    inventory = read(home)
    assert len(inventory.operators[0].accounts) == 1
    reasons = {bad.reason.split(" as ")[0] for bad in inventory.quarantined}
    assert reasons == {"is about the same account", "is about the same user"}


def test_a_folder_named_otherwise_counts_by_its_token(home: Path) -> None:
    (accounts(home) / "METERS").rename(accounts(home) / "renamed")
    (account,) = read(home).operators[0].accounts
    assert account.name == "METERS"
    assert len(account.users) == 2


def test_a_second_token_in_a_folder_is_told(made: Made, home: Path) -> None:
    other = Seed.generate(Role.ACCOUNT)
    # Here the real nsc writes an account named `..`.
    path = home / "stores" / "GRID" / "...jwt"
    path.write_text(sign(new_account(other.public, ".."), made.operator))
    inventory = read(home)
    (bad,) = inventory.quarantined
    assert (bad.path, bad.reason) == (str(path), "is beside GRID.jwt, whose folder this is")
    assert inventory.operators[0].name == "GRID"


def test_keys_may_be_public_flat_or_in_creds_alone(made: Made, home: Path) -> None:
    keys = home / "keys"
    for path in list(keys.rglob("*.nk")):
        shutil.move(path, keys / path.name)
    shutil.rmtree(keys / "keys")
    (keys / f"{made.operator.public}.nk").write_text(made.operator.public)
    (keys / f"{made.signing.public}.nk").rename(keys / "whatever.nk")
    (keys / f"{made.plain.public}.nk").unlink()
    inventory = read(home)
    (operator,) = inventory.operators
    assert operator.seed is None
    assert operator.signing == (made.signing,)
    assert operator.accounts[0].users[0].seed == made.plain
    assert inventory.quarantined == ()


def test_creds_in_the_store_as_long_ago(made: Made, home: Path) -> None:
    users = accounts(home) / "METERS" / "users"
    shutil.move(home / "keys/creds/GRID/METERS/m1.creds", users / "m1.creds")
    shutil.rmtree(home / "keys")
    inventory = read_store(home / "stores", None)
    assert inventory.operators[0].accounts[0].users[0].seed == made.plain


def test_bad_keys_are_put_aside_and_never_quoted(made: Made, home: Path) -> None:
    path = next((home / "keys" / "keys" / "U").rglob("*.nk"))
    text = path.read_text()
    path.write_text(text[:-1] + ("A" if text[-1] != "A" else "B"))
    (bad,) = read(home).quarantined
    assert bad.reason.startswith("holds no key")
    assert text[2:20] not in bad.reason


def test_keys_of_others_stay_where_they_are(home: Path) -> None:
    stranger = Seed.generate(Role.ACCOUNT)
    (home / "keys" / f"{stranger.public}.nk").write_text(stranger.reveal())
    assert read(home).unused == (stranger.public,)


@pytest.mark.parametrize("note", ["{", "[]", '{"managed":"yes"}', "[" * 100_000])
def test_a_strange_note_is_no_reason_to_stop(home: Path, note: str) -> None:
    (home / "stores" / "GRID" / ".nsc").write_text(note)
    (operator,) = read(home).operators
    assert operator.managed is False


def test_what_is_no_store_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not an nsc store"):
        read_store(tmp_path, None)


def test_the_note_of_a_managed_operator(home: Path) -> None:
    (home / "stores" / "GRID" / ".nsc").write_text(json.dumps({"managed": True, "name": "GRID"}))
    assert read(home).operators[0].managed


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize(
    "name",
    [
        "stores",
        "stores/GRID",
        "stores/GRID/accounts",
        "stores/GRID/accounts/METERS",
        "stores/GRID/accounts/METERS/users",
        "keys",
        "keys/keys",
        "keys/creds/GRID",
    ],
)
def test_what_may_not_be_read_is_put_aside(home: Path, name: str) -> None:
    (home / name).chmod(0)
    try:
        quarantined = read(home).quarantined
    finally:
        (home / name).chmod(0o700)
    assert str(home / name) in {bad.path for bad in quarantined}
    # What is tried below it is told as well.
    for bad in quarantined:
        assert bad.path.startswith(str(home / name))
        assert bad.reason == "permission denied"
