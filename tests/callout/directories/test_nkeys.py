"""Device keys: a fresh signature over the server's nonce, or nothing."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.directory import Credentials, Directory
from callout.directories.nkeys import EnrolledNkey, ListedNkeys, NkeyDirectory, NkeySettings
from callout.directories.reading import DirectorySettingsError
from callout.refusals import LoginRefusedError, Reason
from issuer.errors import AccreditError
from issuer.grants import Kind
from issuer.keys.nkeys import PublicKey, Role, Seed
from tests.callout.directories.asking import NOW, identity, reason

DEVICE = Seed.generate(Role.USER)
OTHER = Seed.generate(Role.USER)
NONCE = "Vl1O_fczrCS8o9A"


def of(*entries: EnrolledNkey) -> Directory:
    return NkeyDirectory(NkeySettings(name="meters"), ListedNkeys({each.public: each for each in entries}))


def enrolled(**members: Any) -> EnrolledNkey:
    return EnrolledNkey(public=DEVICE.public, **members)


def signature(seed: Seed = DEVICE, nonce: str = NONCE) -> str:
    return base64.urlsafe_b64encode(seed.sign(nonce.encode())).rstrip(b"=").decode()


def shown(**members: Any) -> Credentials:
    given = {"nkey": DEVICE.public, "signature": signature(), "nonce": NONCE, "address": "192.0.2.7"}
    return Credentials(**{**given, **members})


def test_whose_it_is() -> None:
    found = identity(of(enrolled(name="meter 7", groups=("m",), attributes={"site": "n"})), shown())
    assert (found.issuer, found.subject, found.name) == ("nkeys:meters", DEVICE.public, "meter 7")
    assert (found.kind, found.groups, found.methods) == (Kind.DEVICE, ("m",), ("pop",))
    assert found.authenticated_at == int(NOW)


def test_standard_base64_is_taken_as_servers_take_it() -> None:
    text = base64.b64encode(DEVICE.sign(NONCE.encode())).decode()
    assert identity(of(enrolled()), shown(signature=text))


def test_what_is_signed_is_the_nonce_as_text() -> None:
    decoded = base64.urlsafe_b64decode(NONCE + "=")
    wrong = base64.urlsafe_b64encode(DEVICE.sign(decoded)).rstrip(b"=").decode()
    assert reason(of(enrolled()), shown(signature=wrong)) is Reason.CREDENTIALS_WRONG


# Padded, a signature of neither "-" nor "_" is plain base64, and taken.
TELLING = next(n for n in map(str, range(10_000)) if set("-_") & set(signature(nonce=n)))


@pytest.mark.parametrize(
    "members",
    [
        {"signature": ""},
        {"nonce": ""},
        {"nonce": "", "signature": signature(nonce="")},
        {"nonce": NONCE + "x"},
        {"signature": signature(OTHER)},
        {"signature": signature(nonce="another")},
        {"nonce": TELLING, "signature": signature(nonce=TELLING) + "=="},
        {"signature": signature() + "\n"},
        {"signature": signature()[:-1]},
        {"signature": "A" * 86},
        {"signature": "ä" * 86},
        {"nonce": "x" * 2000, "signature": signature(nonce="x" * 2000)},
        {"nonce": "\udcff"},
    ],
)
def test_what_proves_nothing(members: dict[str, str]) -> None:
    assert reason(of(enrolled()), shown(**members)) is Reason.CREDENTIALS_WRONG


def test_a_signature_of_another_connection_is_not_taken_again() -> None:
    directory = of(enrolled())
    assert identity(directory, shown())
    assert reason(directory, shown(nonce="the-next-nonce0")) is Reason.CREDENTIALS_WRONG


def test_only_enrolled_keys_are_claimed() -> None:
    directory = of(enrolled())
    assert directory.claims(shown(signature=""))
    for credentials in (shown(nkey=OTHER.public), shown(nkey=""), Credentials(user=DEVICE.public)):
        assert not directory.claims(credentials)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"disabled": True}, Reason.DISABLED),
        ({"expires_at": int(NOW)}, Reason.CREDENTIALS_EXPIRED),
        ({"networks": ("10.0.0.0/8",)}, Reason.NETWORK),
    ],
)
def test_an_enrolment_that_is_not_taken(members: dict[str, Any], expected: Reason) -> None:
    assert reason(of(enrolled(**members)), shown()) is expected


def test_who_cannot_sign_does_not_learn_that_a_key_is_shut() -> None:
    credentials = shown(signature=signature(OTHER))
    assert reason(of(enrolled(disabled=True)), credentials) is Reason.CREDENTIALS_WRONG


@pytest.mark.parametrize("role", [Role.ACCOUNT, Role.SERVER, Role.CURVE])
def test_only_keys_of_users_are_enrolled(role: Role) -> None:
    with pytest.raises(AccreditError) as refused:
        EnrolledNkey(public=Seed.generate(role).public)
    assert refused.value.at == "public"


def test_a_seed_in_place_of_a_key_is_not_repeated() -> None:
    seed = DEVICE.reveal()
    with pytest.raises(AccreditError) as refused:
        EnrolledNkey(public=PublicKey(seed))
    assert seed not in f"{refused.value} {refused.value.hint}"


def test_one_key_twice() -> None:
    with pytest.raises(DirectorySettingsError):
        NkeySettings(name="m", entries=(enrolled(), enrolled()))


@given(st.text(max_size=100), st.text(max_size=40))
def test_whatever_is_shown_is_refused(text: str, nonce: str) -> None:
    with pytest.raises(LoginRefusedError):
        identity(of(enrolled()), shown(signature=text, nonce=nonce))
