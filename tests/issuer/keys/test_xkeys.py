from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.keys.nkeys import Role, Seed, encode_public
from issuer.keys.xkeys import (
    SealBrokenError,
    SealedTooShortError,
    SealedVersionError,
    SealError,
    SealKeyError,
    open_sealed,
    seal,
)

VECTORS_DIR = Path(__file__).parents[2] / "vectors"
VECTORS: dict[str, Any] = json.loads((VECTORS_DIR / "vectors.json").read_text())
SERVER_VECTORS: dict[str, Any] = json.loads((VECTORS_DIR / "vectors-server.json").read_text())
KEYS = {vector["id"]: Seed.parse(vector["seed"]) for vector in VECTORS["keys"]}
ONE, TWO, USER = KEYS["x1"], KEYS["x2"], KEYS["user"]


@pytest.mark.parametrize("vector", VECTORS["xkey"], ids=lambda v: v["id"])
def test_sealed_as_in_the_vectors(vector: dict[str, Any]) -> None:
    sender, recipient = KEYS[vector["from"]], KEYS[vector["to"]]
    message = vector["plaintext"].encode()
    sealed = seal(
        message, sender=sender, recipient=recipient.public, nonce=bytes.fromhex(vector["nonce_hex"])
    )
    assert sealed.hex() == vector["sealed_hex"]
    assert open_sealed(sealed, recipient=recipient, sender=sender.public) == message


def test_sealed_as_in_the_server_vector() -> None:
    vector = SERVER_VECTORS["curve_seal"]
    sender, recipient = Seed.parse(vector["sender_seed"]), Seed.parse(vector["recipient_seed"])
    assert sender.public == vector["sender_public"]
    assert recipient.public == vector["recipient_public"]
    sealed = seal(
        vector["message_ascii"].encode(),
        sender=sender,
        recipient=recipient.public,
        nonce=bytes.fromhex(vector["nonce_hex"]),
    )
    assert sealed.hex() == vector["sealed_hex"]


FAULT_OF_GO_TEXT = {
    "nkeys: encrypted input is not valid": SealedTooShortError,
    "nkeys: encrypted input wrong version": SealedVersionError,
    "nkeys: not a valid sender public curve key": SealKeyError,
    "nkeys: could not decrypt input": SealBrokenError,
}


@pytest.mark.parametrize("vector", VECTORS["xkey_negative"], ids=lambda v: v["id"])
def test_not_opened_as_in_the_vectors(vector: dict[str, Any]) -> None:
    with pytest.raises(SealError) as caught:
        open_sealed(
            bytes.fromhex(vector["sealed_hex"]),
            recipient=KEYS[vector["open_by"]],
            sender=KEYS[vector["sender"]].public,
        )
    assert type(caught.value) is FAULT_OF_GO_TEXT[vector["error"]]


FAULT_OF_SERVER_NAME = {
    "bad_length": SealedTooShortError,
    "bad_version": SealedVersionError,
    "cannot_decrypt": SealBrokenError,
}


@pytest.mark.parametrize("vector", SERVER_VECTORS["curve_open_negative"], ids=lambda v: v["name"])
def test_not_opened_as_in_the_server_vectors(vector: dict[str, Any]) -> None:
    pair = SERVER_VECTORS["curve_seal"]
    with pytest.raises(SealError) as caught:
        open_sealed(
            bytes.fromhex(vector["sealed_hex"]),
            recipient=Seed.parse(pair["recipient_seed"]),
            sender=pair["sender_public"],
        )
    assert type(caught.value) is FAULT_OF_SERVER_NAME[vector["fault"]]


@given(st.binary(max_size=2000))
def test_round_trip(message: bytes) -> None:
    sealed = seal(message, sender=ONE, recipient=TWO.public)
    assert len(sealed) == len(message) + 44
    assert open_sealed(sealed, recipient=TWO, sender=ONE.public) == message
    assert sealed != seal(message, sender=ONE, recipient=TWO.public)


@given(st.binary(max_size=200), st.data())
def test_any_changed_byte_is_noticed(message: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(message, sender=ONE, recipient=TWO.public))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealError):
        open_sealed(bytes(sealed), recipient=TWO, sender=ONE.public)


@given(st.binary(max_size=100))
def test_whatever_arrives_is_refused_with_a_seal_error(sealed: bytes) -> None:
    for start in (b"", b"xkv1"):
        with pytest.raises(SealError):
            open_sealed(start + sealed, recipient=TWO, sender=ONE.public)


def test_only_curve_keys_seal_and_open() -> None:
    sealed = seal(b"m", sender=ONE, recipient=TWO.public)
    with pytest.raises(SealKeyError, match="sender is of role user"):
        seal(b"m", sender=USER, recipient=TWO.public)
    with pytest.raises(SealKeyError, match="recipient is not a curve public key"):
        seal(b"m", sender=ONE, recipient=USER.public)
    with pytest.raises(SealKeyError, match="recipient is of role user"):
        open_sealed(sealed, recipient=USER, sender=ONE.public)


@pytest.mark.parametrize("point", [bytes(32), bytes([1]) + bytes(31)])
def test_a_weak_public_key_gets_no_secret(point: bytes) -> None:
    weak = encode_public(Role.CURVE, point)
    with pytest.raises(SealKeyError, match="weak point"):
        seal(b"m", sender=ONE, recipient=weak)
    with pytest.raises(SealError):
        open_sealed(b"xkv1" + bytes(60), recipient=ONE, sender=weak)


def test_codes_are_their_own() -> None:
    faults: list[type[SealError]] = [SealError, *SealError.__subclasses__()]
    assert len({fault.code for fault in faults}) == len(faults)
    assert all(fault.code.startswith("xkey.") for fault in faults)
