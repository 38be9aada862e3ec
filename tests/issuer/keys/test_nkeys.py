from __future__ import annotations

import base64
import binascii
import copy
import json
import pickle
import traceback
from pathlib import Path
from typing import Any

import nkeys as peer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.errors import PeerError
from issuer.keys import nkeys
from issuer.keys.nkeys import (
    KeyAlphabetError,
    KeyChecksumError,
    KeyFormatError,
    KeyLengthError,
    KeyPrefixError,
    KeyRoleError,
    PublicKey,
    Role,
    Seed,
    b32,
    encode_public,
    is_public,
    parse_public,
    raw_public,
    role_of,
    verify,
)

VECTORS_DIR = Path(__file__).parents[2] / "vectors"
VECTORS: dict[str, Any] = json.loads((VECTORS_DIR / "vectors.json").read_text())
SERVER_VECTORS: dict[str, Any] = json.loads((VECTORS_DIR / "vectors-server.json").read_text())
BY_LETTER = {role.letter: role for role in Role}
SIGNING_ROLES = [role for role in Role if role is not Role.CURVE]

raw32 = st.binary(min_size=32, max_size=32)
roles = st.sampled_from(list(Role))
signing_roles = st.sampled_from(SIGNING_ROLES)

USER = Seed.from_raw(Role.USER, bytes([6]) * 32)


@pytest.mark.parametrize("vector", VECTORS["keys"], ids=lambda v: v["id"])
def test_keys_and_signatures_of_the_vectors(vector: dict[str, Any]) -> None:
    seed = Seed.parse(vector["seed"], Role(vector["role"]))
    assert seed.raw.hex() == vector["raw_seed_hex"]
    assert seed.public == vector["public"]
    assert seed.reveal() == vector["seed"]
    assert raw_public(seed.public).hex() == vector["raw_public_hex"]
    assert role_of(seed.public) is seed.role is Role(vector["role"])
    if seed.role is Role.CURVE:
        return
    message = vector["nonce"].encode()
    signature = seed.sign(message)
    assert signature.hex() == vector["signature_hex"]
    assert base64.urlsafe_b64encode(signature).decode().rstrip("=") == vector["signature_b64url"]
    assert verify(seed.public, message, signature)


@pytest.mark.parametrize(
    "vector",
    SERVER_VECTORS["keys"] + SERVER_VECTORS["curve_keys"],
    ids=lambda v: f"{v['kind']}-{v['raw_seed_hex'][:2]}",
)
def test_keys_and_signatures_of_the_server_vectors(vector: dict[str, Any]) -> None:
    role = BY_LETTER[vector["kind"]]
    seed = Seed.from_raw(role, bytes.fromhex(vector["raw_seed_hex"]))
    assert seed == Seed.parse(vector["seed"], role)
    assert seed.reveal() == vector["seed"]
    assert parse_public(vector["public"], role) == seed.public == vector["public"]
    assert raw_public(seed.public).hex() == vector["raw_public_hex"]
    if "signature_hex" in vector:
        assert seed.sign(vector["message_ascii"].encode()).hex() == vector["signature_hex"]


@pytest.mark.parametrize("vector", VECTORS["crc16"], ids=lambda v: v["hex"] or "empty")
def test_the_checksum_is_crc16_xmodem(vector: dict[str, Any]) -> None:
    assert f"{binascii.crc_hqx(bytes.fromhex(vector['hex']), 0):04x}" == vector["crc"]


FAULT_OF_NEGATIVE = {
    "seed-bad-crc": KeyChecksumError,
    "seed-lower-case": KeyAlphabetError,
    "seed-truncated-1": KeyLengthError,
    "seed-truncated-2": KeyLengthError,
    "seed-trailing-space": KeyAlphabetError,
    "seed-trailing-newline": KeyAlphabetError,
    "seed-padded": KeyAlphabetError,
    "seed-noncanonical-last-char": KeyAlphabetError,
    "seed-is-public-key": KeyPrefixError,
    "seed-unknown-type-Z": KeyPrefixError,
    "seed-16-byte-payload": KeyLengthError,
    "seed-31-byte-payload": KeyLengthError,
    "seed-33-byte-payload": KeyLengthError,
    "pub-bad-crc": KeyChecksumError,
    "pub-lower-case": KeyAlphabetError,
    "pub-truncated": KeyLengthError,
    "pub-extra-char": KeyLengthError,
    "pub-trailing-newline": KeyAlphabetError,
    "pub-digit-0": KeyAlphabetError,
    "pub-wrong-prefix-Z": KeyPrefixError,
    "pub-low-prefix-bits": KeyPrefixError,
    "pub-private-key": KeyPrefixError,
    "pub-seed": KeyPrefixError,
    "pub-account-where-user": KeyRoleError,
    "pub-account-1-byte-key": KeyLengthError,
    "pub-account-31-byte-key": KeyLengthError,
    "pub-account-33-byte-key": KeyLengthError,
    "pub-AAAAAAAA": KeyLengthError,
    "pub-empty": KeyLengthError,
}


@pytest.mark.parametrize("vector", VECTORS["key_negative"], ids=lambda v: v["id"])
def test_every_fault_of_the_vectors_has_its_error(vector: dict[str, Any]) -> None:
    wanted = [Role.USER] if vector["kind"] == "public-user" else []
    with pytest.raises(KeyFormatError) as caught:
        (Seed.parse if vector["kind"] == "seed" else parse_public)(vector["text"], *wanted)
    assert type(caught.value) is FAULT_OF_NEGATIVE[vector["id"]]


FAULTS_OF_SERVER_NAME = {
    "bad_checksum": KeyChecksumError,
    "wrong_kind": KeyRoleError,
    "bad_prefix": KeyPrefixError,
    "not_a_seed": KeyPrefixError,
    "bad_base32": KeyAlphabetError,
    "bad_length": KeyLengthError,
}


@pytest.mark.parametrize("vector", SERVER_VECTORS["encoding_negative"], ids=lambda v: v["name"])
def test_every_fault_of_the_server_vectors_has_its_error(vector: dict[str, Any]) -> None:
    wanted = [BY_LETTER[vector["expected_kind"]]] if vector["expected_kind"] else []
    with pytest.raises(KeyFormatError) as caught:
        (Seed.parse if vector["form"] == "seed" else parse_public)(vector["text"], *wanted)
    assert type(caught.value) is FAULTS_OF_SERVER_NAME[vector["fault"]]


def test_every_fault_has_a_code_of_its_own() -> None:
    faults: list[type[KeyFormatError]] = [KeyFormatError, *KeyFormatError.__subclasses__()]
    codes = [fault.code for fault in faults]
    assert len(set(codes)) == len(codes) == 6
    assert all(issubclass(fault, PeerError) for fault in faults)


@given(st.binary(max_size=90))
def test_base32_is_the_standard_one_without_padding(data: bytes) -> None:
    assert b32(data) == base64.b32encode(data).decode().rstrip("=")


@given(roles, raw32)
def test_seed_round_trip(role: Role, raw: bytes) -> None:
    seed = Seed.from_raw(role, raw)
    again = Seed.parse(seed.reveal(), role)
    assert again == seed
    assert hash(again) == hash(seed)
    assert (again.raw, again.role, again.public) == (raw, role, seed.public)
    assert seed.reveal()[:2] == "S" + role.letter
    assert len(seed.reveal()) == 58


@given(roles, raw32)
def test_public_round_trip(role: Role, raw: bytes) -> None:
    public = encode_public(role, raw)
    assert len(public) == 56
    assert public[0] == role.letter
    assert parse_public(public, role) == public
    assert raw_public(public) == raw
    assert role_of(public) is role
    assert is_public(public)
    assert not is_public(public, *(other for other in Role if other is not role))


@given(roles, raw32, st.integers(0, 55), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_one_wrong_character_is_always_noticed(role: Role, raw: bytes, place: int, letter: str) -> None:
    public = encode_public(role, raw)
    changed = public[:place] + letter + public[place + 1 :]
    assert is_public(changed) == (changed == public)


@given(st.text(max_size=64) | st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=54, max_size=60))
def test_any_text_is_read_or_refused_with_a_key_error(text: str) -> None:
    for read in (parse_public, Seed.parse):
        try:
            read(text)
        except KeyFormatError as fault:
            assert fault.message


@given(signing_roles, raw32, st.binary(max_size=300), st.binary(max_size=300))
def test_a_signature_is_for_one_message_and_one_key(
    role: Role, raw: bytes, message: bytes, other: bytes
) -> None:
    seed = Seed.from_raw(role, raw)
    signature = seed.sign(message)
    assert len(signature) == 64
    assert verify(seed.public, message, signature)
    assert verify(seed.public, other, signature) == (other == message)
    stranger = Seed.from_raw(role, bytes([raw[0] ^ 1]) + raw[1:])
    assert not verify(stranger.public, message, signature)


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64])
def test_nonsense_is_not_a_signature(signature: bytes) -> None:
    assert not verify(USER.public, b"message", signature)


def test_a_signature_does_not_borrow_bytes_from_the_message() -> None:
    message = b"0123456789"
    signature = USER.sign(message)
    assert not verify(USER.public, signature[-1:] + message, signature[:-1])
    assert not verify(USER.public, message[1:], signature + message[:1])


def test_curve_keys_neither_sign_nor_verify() -> None:
    curve = Seed.from_raw(Role.CURVE, bytes([9]) * 32)
    with pytest.raises(KeyRoleError, match="cannot sign"):
        curve.sign(b"message")
    assert not verify(curve.public, b"message", bytes(64))


def test_verify_does_not_take_an_unchecked_key() -> None:
    with pytest.raises(KeyLengthError):
        verify(PublicKey("AAAAAAAA"), b"message", bytes(64))


def test_role_of_what_is_no_key() -> None:
    for text in ("", "Z", "SUAA"):
        with pytest.raises(KeyPrefixError):
            role_of(PublicKey(text))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_raw_keys_have_32_bytes(size: int) -> None:
    with pytest.raises(KeyLengthError):
        Seed.from_raw(Role.USER, bytes(size))
    with pytest.raises(KeyLengthError):
        encode_public(Role.USER, bytes(size))


def test_generate_asks_for_32_bytes_and_uses_them() -> None:
    asked = []

    def rand(size: int) -> bytes:
        asked.append(size)
        return bytes([6]) * size

    assert Seed.generate(Role.USER, rand=rand) == USER
    assert asked == [32]
    assert Seed.generate(Role.ACCOUNT) != Seed.generate(Role.ACCOUNT)


def test_seeds_of_different_roles_differ() -> None:
    assert Seed.from_raw(Role.USER, USER.raw) == USER
    assert Seed.from_raw(Role.ACCOUNT, USER.raw) != USER
    assert USER.reveal() != USER


def test_the_place_is_reported_and_a_cached_key_does_not_remember_it() -> None:
    for at in ("/iss", "/sub", None):
        with pytest.raises(KeyChecksumError) as caught:
            parse_public(USER.public[:-1] + "A", at=at)
        assert caught.value.at == at
        with pytest.raises(KeyRoleError) as wrong:
            parse_public(USER.public, Role.ACCOUNT, Role.OPERATOR, at=at)
        assert wrong.value.at == at
        assert wrong.value.message == "this is a user key, wanted an account or operator key"
        with pytest.raises(KeyLengthError) as short:
            Seed.parse(USER.reveal()[:-1], at=at)
        assert short.value.at == at


def _spill(error: BaseException) -> str:
    parts = ["".join(traceback.format_exception(error)), repr(error), str(error), repr(vars(error))]
    linked: BaseException | None = error
    while linked is not None:
        parts += [repr(linked), repr(linked.args), repr(getattr(linked, "object", ""))]
        linked = linked.__cause__ or linked.__context__
    return "\n".join(parts)


@pytest.mark.parametrize(
    "misplaced",
    [
        USER.reveal(),
        USER.reveal()[:-1],
        USER.reveal() + "\n",
        " " + USER.reveal(),
        USER.reveal() + "=",
        USER.reveal() + "é",
        USER.reveal() + "\ud800",
        USER.reveal().lower(),
        USER.reveal()[:-1] + "A",
        VECTORS["keys"][5]["private"],
    ],
)
def test_no_error_repeats_a_seed(misplaced: str) -> None:
    secret = misplaced.strip()[3:40]
    for read in (parse_public, lambda text: Seed.parse(text, Role.ACCOUNT)):
        with pytest.raises(KeyFormatError) as caught:
            read(misplaced)
        assert secret not in _spill(caught.value)


def test_a_seed_for_a_public_key_is_called_that() -> None:
    with pytest.raises(KeyPrefixError) as caught:
        parse_public(USER.reveal(), at="--user")
    assert str(caught.value) == "--user: a seed was given where a public key is wanted"
    assert "exposed" in (caught.value.hint or "")


def test_no_rendering_shows_the_seed() -> None:
    text = USER.reveal()
    shown = f"{USER} {USER!r} {USER!s} {[USER]} { ({'seed': USER}) } %s %r" % (USER, USER)
    assert text[3:40] not in shown
    assert USER.raw.hex() not in shown
    assert str(USER) == f"Seed({USER.public[:4]}…, hidden)"
    assert not hasattr(USER, "__dict__")


def test_a_seed_is_not_serialised_and_not_made_by_hand() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not serialised"):
            pickle.dumps(USER, protocol)
    with pytest.raises(TypeError, match="not serialised"):
        copy.deepcopy(USER)
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(USER)
    with pytest.raises(TypeError, match=r"Seed\.generate"):
        Seed()


def test_a_seed_never_enters_the_cache_of_public_keys() -> None:
    nkeys._read_public.cache_clear()
    with pytest.raises(KeyPrefixError):
        parse_public(USER.reveal())
    assert nkeys._read_public.cache_info().currsize == 0


@given(signing_roles, raw32, st.binary(max_size=100))
def test_the_python_nkeys_package_agrees(role: Role, raw: bytes, message: bytes) -> None:
    ours = Seed.from_raw(role, raw)
    theirs = peer.from_seed(bytearray(ours.reveal().encode()))
    assert theirs.public_key.decode() == ours.public
    assert theirs.sign(message) == ours.sign(message)
    assert theirs.verify(message, ours.sign(message))
    prefix = base64.b32decode(role.letter + "A======")[0]
    assert peer.encode_seed(raw, prefix).decode() == ours.reveal()
