"""Signed notes, against the examples of their specification."""

from __future__ import annotations

from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from issuer.audit.checkpoint import Checkpoint, CheckpointFormatError, parse_checkpoint
from issuer.audit.note import (
    Kind,
    Note,
    NoteFormatError,
    NoteNotSigned,
    VerifierKey,
    cosign,
    opened_by,
    parse_note,
    parse_vkey,
    sign_note,
    signed_by,
)
from issuer.keys.nkeys import Role, Seed, raw_public

# The example of C2SP signed-note v1.
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SIGNED = (
    "This is an example message.\n"
    "\n"
    "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXm"
    "RKuwHjG1Yu72IneyaQM=\n"
)
TREE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
SEED = Seed.from_raw(Role.SERVER, bytes(range(32)))
PUBLIC = raw_public(SEED.public)
NOW = 1_700_000_000


def log_note(text: str = TREE) -> tuple[Note, VerifierKey]:
    name = text.split("\n", maxsplit=1)[0]
    return sign_note(text, name, PUBLIC, SEED.sign), VerifierKey(name, Kind.ED25519, PUBLIC)


def test_the_example_of_the_specification() -> None:
    key = parse_vkey(VKEY)
    assert str(key) == VKEY
    note = parse_note(SIGNED)
    assert str(note) == SIGNED
    assert opened_by(note, key) == "This is an example message.\n"


def test_the_example_of_a_cosigned_checkpoint_is_read() -> None:
    text = (
        TREE
        + "\n\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1g"
        "GzGku9nTo+zyWE+xeMcTOAYQ8=\n\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeol"
        "MI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    note = parse_note(text)
    assert str(note) == text
    assert [each.name for each in note.signatures] == [
        "example.com/behind-the-sofa",
        "witness.example.com/w1",
    ]
    assert int.from_bytes(note.signatures[1].raw[:8]) == 1679315147
    checkpoint = parse_checkpoint(note.text)
    assert (checkpoint.origin, checkpoint.size, str(checkpoint)) == (
        "example.com/behind-the-sofa",
        20852163,
        TREE,
    )


def test_a_note_is_who_signed_it() -> None:
    note, key = log_note()
    assert opened_by(parse_note(str(note)), key) == TREE
    other = VerifierKey(key.name, Kind.ED25519, bytes(32))
    assert signed_by(note, (other,)) == []
    with pytest.raises(NoteNotSigned, match="has not signed"):
        opened_by(note, other)
    with pytest.raises(NoteNotSigned, match="not its signature"):
        opened_by(Note(note.text + "more\n", note.signatures), key)


@pytest.mark.parametrize("kind", [Kind.COSIGNATURE, Kind.COSIGNATURE_ML_DSA_44])
def test_witnesses_sign_beside_the_log(kind: Kind) -> None:
    note, key = log_note()
    if kind is Kind.COSIGNATURE:
        witness, sign = VerifierKey("w.example/1", kind, PUBLIC), SEED.sign
    else:
        private = MLDSA44PrivateKey.from_seed_bytes(bytes(32))
        public = private.public_key().public_bytes_raw()
        witness, sign = VerifierKey("w.example/2", kind, public), private.sign
    assert parse_vkey(str(witness)) == witness
    line = cosign(note, witness, sign, NOW)
    both = parse_note(str(note) + str(line))
    assert signed_by(both, (key, witness)) == [(key, 0), (witness, NOW)]
    moved = type(line)(line.name, line.id, (NOW + 1).to_bytes(8) + line.raw[8:])
    with pytest.raises(NoteNotSigned):
        signed_by(Note(note.text, (moved,)), (witness,))
    with pytest.raises(NoteNotSigned):
        signed_by(Note(note.text.replace("20852163", "20852164"), (line,)), (witness,))
    with pytest.raises(NoteNotSigned):
        signed_by(Note(note.text, (type(line)(line.name, line.id, b"short"),)), (witness,))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no signatures\n",
        "\n\n\u2014 a AAAAAAA=\n",
        "text\n\n",
        "text\n\n\u2014 a AAAAAAA=",
        "text\n\n- a AAAAAAA=\n",
        "text\n\n\u2014 a b c\n",
        "text\n\n\u2014 a+b AAAAAAA=\n",
        "text\n\n\u2014 a AAAA\n",
        "text\n\n\u2014 a AAAAAAB=\n",
        "te\rxt\n\n\u2014 a AAAAAAA=\n",
        "te\x01xt\n\n\u2014 a AAAAAAA=\n",
        "text\n\n" + "\u2014 a AAAAAAA=\n" * 65,
    ],
    ids=range(13),
)
def test_what_is_not_a_note(text: str) -> None:
    with pytest.raises(NoteFormatError):
        parse_note(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a+00000000",
        VKEY.replace("530d903a", "530d903b"),
        VKEY[:-4],
        VKEY.replace("+Ae", "+Bu"),
        "a b" + VKEY,
    ],
    ids=range(7),
)
def test_what_is_not_a_key(text: str) -> None:
    with pytest.raises(NoteFormatError):
        parse_vkey(text)


@pytest.mark.parametrize(
    "text",
    ["", "a\n1\n", TREE[:-1], TREE.replace("20852163", "020852163"), TREE.replace("20852163", "²"), TREE + "\n",
     TREE.replace("CsU", "Cs"), TREE.replace("q2I=", "q2J="), TREE.replace("20852163", "9" * 5000)],
    ids=range(9),
)  # fmt: skip
def test_what_is_not_a_checkpoint(text: str) -> None:
    with pytest.raises(CheckpointFormatError):
        parse_checkpoint(text)


@given(st.text(), st.binary(max_size=200))
def test_any_text_is_a_note_or_refused(text: str, raw: bytes) -> None:
    for each in (text, raw.decode("latin-1"), TREE + "\n" + text, str(log_note()[0]) + text):
        with suppress(NoteFormatError):
            assert str(parse_note(each)) == each
        with suppress(CheckpointFormatError):
            parse_checkpoint(each)


@given(st.integers(0, 2**63), st.binary(min_size=32, max_size=32))
def test_checkpoints_are_read_as_written(size: int, root: bytes) -> None:
    checkpoint = Checkpoint("log.example/admin/2026", size, root)
    assert parse_checkpoint(str(checkpoint)) == checkpoint
