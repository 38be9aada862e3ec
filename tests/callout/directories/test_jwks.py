from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from callout.directories.jwks import ALGORITHMS, MAX_KEYS, KeySet, KeySetError, read_key_set
from tests.callout.directories.oidc_world import EC, ED, OTHER_RSA, RSA, public


def entry(key: Any, **more: Any) -> dict[str, Any]:
    merged = {**key.as_dict(private=False), **more}
    return {name: value for name, value in merged.items() if value is not None}


def key_set(*entries: Any) -> KeySet:
    return read_key_set(json.dumps({"keys": list(entries)}).encode())


def test_each_key_is_found_by_its_name_and_fits_what_its_type_says() -> None:
    found = read_key_set(public(RSA, EC, ED))
    assert {kid: sorted(keys[0].algorithms) for kid, keys in found.keys.items()} == {
        "rsa": ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"],
        "ec": ["ES256"],
        "ed": ["Ed25519", "EdDSA"],
    }
    assert found.faults == ()
    assert len(found) == 3


def test_no_algorithm_has_a_secret_for_a_key() -> None:
    assert not {name for name in ALGORITHMS if name.startswith("HS") or name == "none"}


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        (entry(RSA, use="enc"), "not for signatures"),
        (entry(RSA, use=["sig"]), "not for signatures"),
        (entry(RSA, use=None, key_ops=["encrypt"]), "not for verifying"),
        (entry(RSA, use=None, key_ops="verify"), "not for verifying"),
        (RSA.as_dict(private=True), "private half"),
        (OctKey.generate_key(256, {"kid": "x"}).as_dict(private=True), "verifies nothing"),
        (entry(OKPKey.generate_key("X25519")), "verifies nothing"),
        (entry(ECKey.generate_key("secp256k1")), "verifies nothing"),
        (entry(EC, crv="P-384"), "does not load"),
        (entry(EC, x=None), "does not load"),
        (entry(RSA, n="!!"), "bits"),
        (entry(RSA, n=7), "does not load"),
        (entry(RSA, n=None), "does not load"),
        (entry(RSA, e="AQ"), "does not load"),
        (entry(RSA, alg="ES256"), "does not fit"),
        (entry(RSA, alg="HS256"), "does not fit"),
        (entry(RSA, alg=5), "does not fit"),
        (entry(RSA, kid=5), "kid"),
        (entry(RSA, kty=None), "verifies nothing"),
        ("a text", "is no key"),
        (None, "is no key"),
    ],
)
def test_a_key_that_cannot_be_meant_is_left_out_and_listed(left_out: Any, words: str) -> None:
    found = key_set(entry(OTHER_RSA), left_out)
    assert list(found.keys) == ["other"]
    (fault,) = found.faults
    assert fault.startswith("/keys/1 ")
    assert words in fault


def test_short_and_giant_rsa_keys_are_left_out() -> None:
    import base64

    short, giant = (
        base64.urlsafe_b64encode(b"\xff" * (bits // 8)).decode().rstrip("=") for bits in (1024, 16384)
    )
    assert [
        fault.rpartition(" key of ")[2] for fault in key_set(entry(RSA, n=short), entry(RSA, n=giant)).faults
    ] == [
        "1024 bits",
        "16384 bits",
    ]


def test_a_key_with_an_algorithm_is_for_no_other() -> None:
    (key,) = key_set(entry(RSA, alg="PS256")).named("rsa")
    assert key.algorithms == {"PS256"}
    (key,) = key_set(entry(ED, alg="EdDSA")).named("ed")
    assert key.algorithms == {"EdDSA"}


def test_two_keys_of_one_name_are_told_apart_by_what_they_fit() -> None:
    both = key_set(entry(RSA, kid="k"), entry(EC, kid="k"))
    assert len(both.named("k")) == 2
    assert len(key_set(entry(RSA), entry(RSA)).named("rsa")) == 1


def test_a_token_without_kid_can_only_mean_the_only_key() -> None:
    assert len(read_key_set(public(RSA)).named(None)) == 1
    assert read_key_set(public(RSA, EC)).named(None) == ()
    assert key_set(entry(RSA, kid="k"), entry(EC, kid="k")).named(None) == ()
    assert key_set().named(None) == ()


@pytest.mark.parametrize("kid", ["../../etc/passwd", "rsa\0", "RSA", " rsa", "' OR 1=1 --", "http://x/", ""])
def test_a_kid_is_compared_and_never_interpreted(kid: str) -> None:
    assert read_key_set(public(RSA)).named(kid) == ()
    assert len(key_set(entry(RSA, kid=kid)).named(kid)) == 1


def test_the_digest_changes_with_every_change_of_the_keys() -> None:
    sets = [
        key_set(entry(RSA)),
        key_set(entry(RSA), entry(EC)),
        key_set(entry(EC)),
        key_set(entry(RSA, kid="ec")),
        key_set(entry(RSA, alg="RS256")),
        key_set(entry(OTHER_RSA, kid="rsa")),
        key_set(),
    ]
    assert len({found.digest for found in sets}) == len(sets)
    assert key_set(entry(EC), entry(RSA)).digest == key_set(entry(RSA), entry(EC)).digest


def test_a_set_without_keys_is_a_set() -> None:
    assert len(read_key_set(b'{"keys": []}')) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        b"<html>",
        b"\xff",
        b'{"keys": [' + b"1," * 200_000,
    ],
)
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(KeySetError):
        read_key_set(body)


def test_a_set_of_too_many_keys_is_none() -> None:
    with pytest.raises(KeySetError, match="101 keys"):
        key_set(*[{}] * (MAX_KEYS + 1))


def test_a_key_does_not_show_itself() -> None:
    assert repr(read_key_set(public(EC)).named("ec")[0]) == "VerificationKey('ec', ['ES256'])"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(["kty", "crv", "kid", "use", "key_ops", "alg", "n", "e", "x", "y", "d"])


@given(st.sampled_from([RSA, EC, ED]), st.dictionaries(fields, json_values, max_size=4))
def test_whatever_an_issuer_publishes_it_is_read_or_left_out(key: Any, wrong: dict[str, Any]) -> None:
    found = key_set(entry(key) | wrong)
    assert len(found) + len(found.faults) == 1


@given(st.binary(max_size=300))
def test_whatever_an_issuer_answers_it_is_a_set_or_none(body: bytes) -> None:
    with contextlib.suppress(KeySetError):
        read_key_set(body)


@given(st.sampled_from(sorted(ALGORITHMS)), st.binary(max_size=600))
def test_no_noise_is_a_signature(algorithm: str, noise: bytes) -> None:
    for keys in read_key_set(public(RSA, EC, ED)).keys.values():
        assert keys[0].verifies(algorithm, b"message", noise) is False


def test_a_key_verifies_what_it_fits_and_nothing_else() -> None:
    from joserfc.jws import JWSRegistry

    pairs = [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")]
    for signer, algorithm in pairs:
        signature = JWSRegistry.algorithms[algorithm].sign(b"message", signer)
        for key in (RSA, EC, ED):
            (public_key,) = read_key_set(public(key)).named(key.kid)
            assert public_key.verifies(algorithm, b"message", signature) is (key is signer)
            assert not public_key.verifies(algorithm, b"another", signature)
    assert not read_key_set(public(RSA)).named("rsa")[0].verifies("HS256", b"", b"")


def test_generated_keys_are_of_the_kinds_that_are_known() -> None:
    for curve, algorithm in (("P-384", "ES384"), ("P-521", "ES512")):
        key = ECKey.generate_key(curve, {"kid": curve})
        assert read_key_set(public(key)).named(curve)[0].algorithms == {algorithm}
    assert RSAKey.generate_key(3072).kid is None
