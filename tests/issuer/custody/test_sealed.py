"""A sealed seed opens in its own row, for its own purpose, under its own master key; nowhere else."""

from __future__ import annotations

import pytest

from issuer.custody.master import MasterKey
from issuer.custody.sealed import SealBroken, open_seed, rewrap, seal_seed
from issuer.keys.nkeys import Role, Seed

MASTER = MasterKey(bytes(range(32)))
SEED = Seed.from_raw(Role.ACCOUNT, bytes(range(100, 132)))
BLOB = seal_seed(MASTER, SEED, row_id=7, kind="signing")


@pytest.mark.parametrize("role", list(Role))
def test_every_kind_of_seed_comes_back(role: Role) -> None:
    seed = Seed.generate(role)
    blob = seal_seed(MASTER, seed, row_id=1, kind="identity")
    assert open_seed(MASTER, blob, row_id=1, kind="identity", public=seed.public) == seed


def test_no_two_seals_are_alike_and_none_holds_the_seed() -> None:
    other = seal_seed(MASTER, SEED, row_id=7, kind="signing")
    assert other != BLOB
    assert len(other) == len(BLOB) == 129
    assert SEED.raw not in BLOB


@pytest.mark.parametrize(
    ("row_id", "kind", "public"),
    [
        (8, "signing", SEED.public),
        (7, "identity", SEED.public),
        (7, "signing", Seed.generate(Role.ACCOUNT).public),
    ],
    ids=["row", "kind", "key"],
)
def test_a_seal_moved_elsewhere_does_not_open(row_id: int, kind: str, public: str) -> None:
    with pytest.raises(SealBroken):
        open_seed(MASTER, BLOB, row_id=row_id, kind=kind, public=public)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", range(0, len(BLOB), 4))
def test_any_changed_byte_is_noticed(place: int) -> None:
    changed = BLOB[:place] + bytes([BLOB[place] ^ 1]) + BLOB[place + 1 :]
    with pytest.raises(SealBroken):
        open_seed(MASTER, changed, row_id=7, kind="signing", public=SEED.public)


@pytest.mark.parametrize(
    "blob", [b"", BLOB[:-1], BLOB + b"\0", bytes(129)], ids=["none", "short", "long", "zeros"]
)
def test_what_is_no_seal_is_refused(blob: bytes) -> None:
    with pytest.raises(SealBroken):
        open_seed(MASTER, blob, row_id=7, kind="signing", public=SEED.public)


def test_another_master_key_is_named() -> None:
    other = MasterKey.generate()
    with pytest.raises(SealBroken) as caught:
        open_seed(other, BLOB, row_id=7, kind="signing", public=SEED.public)
    assert MASTER.key_id in str(caught.value.hint)


def test_rewrapping_changes_the_master_key_and_nothing_else() -> None:
    other = MasterKey.generate()
    blob = rewrap(MASTER, other, BLOB, row_id=7, kind="signing", public=SEED.public)
    assert open_seed(other, blob, row_id=7, kind="signing", public=SEED.public) == SEED
    with pytest.raises(SealBroken):
        open_seed(MASTER, blob, row_id=7, kind="signing", public=SEED.public)
    with pytest.raises(SealBroken):
        rewrap(MASTER, other, BLOB, row_id=8, kind="signing", public=SEED.public)
