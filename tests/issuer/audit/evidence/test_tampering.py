"""Whatever is done to a bundle, or to the log behind it, is seen."""

from __future__ import annotations

import base64
import json
import random
import shutil

import pytest

from issuer.audit.evidence import verify
from issuer.audit.note import Kind, Note, VerifierKey, cosign, parse_note
from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.desk import Authority
from issuer.keys.nkeys import Role, Seed, raw_public
from issuer.store import checkpoints
from issuer.store.unit import Database, Log
from tests.issuer.audit.evidence.conftest import BEGIN, DAY, House, Parts, checked, log_key
from tests.issuer.audit.evidence.history import found, go_on
from tests.issuer.audit.evidence.mutations import mutate

# Of each of four kinds.
EACH = 2500


@pytest.fixture
def lived(house: House) -> House:
    found(house)
    house.clock[0] = BEGIN + DAY
    go_on(house)
    return house


@pytest.mark.parametrize("by_owner", [False, True], ids=["by anybody", "by who may sign the manifest"])
@pytest.mark.parametrize("since", [0, BEGIN + DAY], ids=["all of it", "a period"])
def test_no_mutation_is_missed(lived: House, since: int, by_owner: bool) -> None:
    whole = Parts.of(lived.bundle(since=since))
    seed = lived.log_seed()
    options = {"log_key": log_key(seed)}
    assert checked(whole, **options)["status"] == 0
    rng = random.Random(since + by_owner)
    missed, made = [], 0
    while made < EACH:
        told, parts = mutate(rng, whole, seed if by_owner else None)
        if parts is None:
            continue
        made += 1
        report = checked(parts, **options)
        if report["status"] not in {1, 2, 3} or not report["fault"]:
            missed.append(told)
    assert missed == []


def test_another_key_for_all_of_it(lived: House) -> None:
    whole, seed = Parts.of(lived.bundle()), lived.log_seed()
    other = Seed.generate(Role.SERVER)
    keys = json.loads(whole.files["keys.json"])
    keys["log_keys"] = [base64.b64encode(raw_public(other.public)).decode()]
    forged = whole.copy()
    forged.files["keys.json"] = json.dumps(keys).encode() + b"\n"
    for name, data in whole.files.items():
        if "checkpoint" in name:
            note = parse_note(data.decode())
            origin = note.text.split("\n")[0]
            key = VerifierKey(origin, Kind.ED25519, raw_public(other.public))
            line = type(note.signatures[0])(origin, key.id, other.sign(note.text.encode()))
            forged.files[name] = str(Note(note.text, (line,))).encode()
    forged = forged.signed(other)
    # Without a key to compare with all of it fits; it is said that there was none.
    report = checked(forged)
    assert report["status"] == 0
    assert "the log's key is the bundle's own" in report["notes"][0]
    report = checked(forged, log_key=log_key(seed))
    assert (report["status"], report["fault"]) == (1, "manifest: the log's key is not the one you named")


def test_another_operator(lived: House) -> None:
    path = lived.bundle()
    operator = next(json.loads(line)["key"] for line in Parts.of(path).files["tokens.jsonl"].splitlines())
    assert checked(path, operator=operator)["status"] == 0
    assert checked(path, operator=Seed.generate(Role.OPERATOR).public)["status"] == 1


def kept(house: House, size: int | None = None) -> tuple[str, int, bytes]:
    """A checkpoint somebody wrote down."""
    with house.database.reading() as unit:
        sealed = checkpoints.newest(unit, Log.ADMIN, 2023)
        if size is not None:
            sealed = checkpoints.smallest(unit, Log.ADMIN, 2023, size)
    assert sealed is not None
    return verify.Note(sealed.note.encode(), "kept").tree()


def test_an_older_copy_of_the_database_is_shorter_than_what_was_kept(lived: House) -> None:
    lived.database.close()
    shutil.copytree(lived.folder / "data", lived.folder / "old")
    reopened = Database.open(str(lived.folder / "data" / "accredit.db"))
    lived.database = reopened
    lived.authority = Authority(reopened, lived.authority.keyring, clock=lambda: lived.clock[0])
    lived.do(add_account, AddAccount("LATER"))
    later = kept(lived)
    assert checked(lived.bundle(), kept=[later])["status"] == 0
    reopened.close()
    # The copy is put back, and life goes on in it.
    lived.database = Database.open(str(lived.folder / "old" / "accredit.db"))
    lived.authority = Authority(lived.database, lived.authority.keyring, clock=lambda: lived.clock[0])
    rolled_back = lived.bundle("back.zip", until=BEGIN + DAY)
    report = checked(rolled_back, kept=[later])
    assert report["status"] == 1
    assert "there is no tree of" in report["fault"]
    for name in ("OTHER", "MORE"):
        lived.do(add_account, AddAccount(name))
    forked = checked(lived.bundle("fork.zip"), kept=[later])
    assert forked["status"] == 1
    assert "not those that were signed" in forked["fault"]
    lived.database.close()


def test_a_checkpoint_from_before_is_found_in_what_came_after(lived: House) -> None:
    early = kept(lived, 5)
    assert checked(lived.bundle(), kept=[early])["status"] == 0
    other = (early[0], early[1], bytes(32))
    report = checked(lived.bundle(), kept=[other])
    assert (report["status"], "not those that were signed" in report["fault"]) == (1, True)
    # A bundle that begins later has only hashes of that time: it cannot be compared there.
    report = checked(lived.bundle(since=BEGIN + DAY + 300), kept=[early])
    assert report["status"] in {0, 3}


def test_witnesses(lived: House) -> None:
    witness = Seed.generate(Role.SERVER)
    key = VerifierKey("w.example/1", Kind.COSIGNATURE, raw_public(witness.public))
    path = lived.bundle()
    assert checked(path, witness=[str(key)], quorum=1)["status"] == 2
    parts = Parts.of(path)
    name = "log/admin/2023/checkpoint.last"
    note = parse_note(parts.files[name].decode())
    line = cosign(note, key, witness.sign, BEGIN)
    parts.files[name] += str(line).encode()
    signed = parts.signed(lived.log_seed())
    assert checked(signed, witness=[str(key)], quorum=1)["status"] == 0
    assert checked(signed, witness=[str(key)], quorum=2)["status"] == 2
    parts.files[name] = parts.files[name].replace(
        str(line).encode(), str(type(line)(line.name, line.id, bytes(72))).encode()
    )
    assert checked(parts.signed(lived.log_seed()), witness=[str(key)], quorum=1)["status"] == 1


def test_what_is_no_bundle(lived: House) -> None:
    assert checked(lived.folder / "none.zip")["status"] == 3
    path = lived.bundle()
    raw = path.read_bytes()
    for size in (0, 10, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:size])
        assert checked(path)["status"] in {1, 2}
    other = Parts({"a": b"b"})
    assert checked(other)["status"] == 2


def test_every_way_to_verify_a_signature_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    seed = Seed.generate(Role.SERVER)
    key, message = raw_public(seed.public), b"message"
    good = seed.sign(message)
    order = verify.L.to_bytes(32, "little")
    too_large = good[:32] + (int.from_bytes(good[32:], "little") + verify.L).to_bytes(32, "little")
    cases = [(key, message, good, True), (key, b"other", good, False), (key, message, too_large, False)]
    cases += [(small, message, good, False) for small in verify.SMALL]
    cases += [(key, message, small + good[32:], False) for small in verify.SMALL]
    # A key of small order signs everything: R = B * s for any s.
    cases += [(small, message, small + bytes(32), False) for small in verify.SMALL]
    cases += [
        ((2**255 - 19 + 1).to_bytes(32, "little"), message, good, False),
        (bytes([2]) + bytes(31), message, good, False),
    ]
    cases += [
        (key, message, good[:63], False),
        (key[:31], message, good, False),
        (key, message, good[:32] + order, False),
    ]
    for _ in range(100):
        at = rng.randrange(64)
        cases.append(
            (key, message, good[:at] + bytes([good[at] ^ (1 << rng.randrange(8))]) + good[at + 1 :], False)
        )
    for name in verify.VERIFIERS:
        monkeypatch.setattr(verify, "_CHOSEN", [name])
        monkeypatch.setattr(verify, "_KEYS", {})
        assert [verify.ed25519(*case[:3]) for case in cases] == [case[3] for case in cases], name
