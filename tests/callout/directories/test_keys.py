"""API keys: what they look like, and whose they are."""

from __future__ import annotations

import hashlib
import re
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.directory import Credentials, Directory
from callout.directories.keys import (
    KeyDirectory,
    KeySettings,
    ListedKeys,
    StoredKey,
    generate,
    is_key,
)
from callout.directories.reading import DirectorySettingsError
from callout.refusals import Reason
from issuer.grants import Kind
from tests.callout.directories.asking import NOW, identity, reason, refusal

MADE = int(NOW) - 1000


def made(directory: str = "iot", **members: Any) -> tuple[str, StoredKey]:
    return generate(directory, now=MADE, **members)


def of(*keys: StoredKey, name: str = "iot") -> Directory:
    return KeyDirectory(KeySettings(name=name), ListedKeys({each.id: each for each in keys}))


def test_whose_it_is() -> None:
    text, stored = made(
        subject="scada",
        name="SCADA gateway",
        groups=("b", "a", "b"),
        attributes={"site": "north"},
        expires_at=int(NOW) + 9,
    )
    found = identity(of(stored), Credentials(token=text))
    assert (found.issuer, found.subject, found.name) == ("keys:iot", "scada", "SCADA gateway")
    assert (found.directory, found.kind, found.groups) == ("iot", Kind.SERVICE, ("a", "b"))
    assert (dict(found.attributes), found.expires_at) == ({"site": "north"}, int(NOW) + 9)
    assert found.authenticated_at == MADE


def test_without_more_said_it_goes_by_its_id() -> None:
    text, stored = made()
    found = identity(of(stored), Credentials(token=text))
    assert found.subject == found.name == stored.id


def test_two_keys_of_one_owner_are_one_identity_while_they_are_exchanged() -> None:
    one, other = made(subject="scada"), made(subject="scada")
    directory = of(one[1], other[1])
    first, second = (identity(directory, Credentials(token=text)) for text, _ in (one, other))
    assert (first.issuer, first.subject) == (second.issuer, second.subject)
    assert first.credential != second.credential


@pytest.mark.parametrize(
    "shown",
    [
        lambda text: Credentials(token=text),
        lambda text: Credentials(password=text),
        lambda text: Credentials(user="anything", password=text),
        lambda text: Credentials(user="x:y", password=text, token=text, connection_type="mqtt"),
    ],
)
def test_it_is_shown_as_a_token_or_as_a_password(shown: Any) -> None:
    text, stored = made()
    assert identity(of(stored), shown(text)).subject == stored.id


def test_two_different_keys_at_once_are_nobodys() -> None:
    (one, stored), (other, another) = made(), made()
    credentials = Credentials(token=one, password=other)
    assert reason(of(stored, another), credentials) is Reason.CREDENTIALS_MALFORMED


# --- what it looks like ------------------------------------------------------------------------------


def test_its_form() -> None:
    text, _ = made()
    assert re.fullmatch(r"ak_iot_[0-9A-Za-z]{13}_[0-9A-Za-z]{49}", text)
    assert is_key(text)


def test_what_is_stored_gives_nothing_away() -> None:
    text, stored = made()
    secret = text.rpartition("_")[2]
    assert secret not in repr(stored) + str(msgspec.json.encode(stored))
    assert stored.hash == hashlib.sha256(text.encode()).hexdigest()


def test_secrets_differ() -> None:
    assert len({made()[0] for _ in range(100)}) == 100


@given(st.binary(min_size=41, max_size=41))
def test_any_random_bytes_make_a_key(data: bytes) -> None:
    left = [data[:9], data[9:]]
    text, stored = generate("a-1", now=1, rand=lambda size: left.pop(0)[:size])
    assert is_key(text)
    assert text.split("_")[2] == stored.id


@given(st.data())
def test_a_slip_of_the_pen_is_found_without_a_look_up(data: st.DataObject) -> None:
    text, _ = made()
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(string.ascii_letters + string.digits + "_- "))
    slipped = text[:place] + letter + text[place + 1 :]
    assert is_key(slipped) is (slipped == text)


@pytest.mark.parametrize("change", [str.lower, str.upper, lambda t: t[:-1], lambda t: t + "A", lambda t: t + "\n", lambda t: " " + t])  # fmt: skip
def test_what_is_no_key(change: Any) -> None:
    assert not is_key(change(made()[0]))


def test_what_begins_as_one_is_refused_as_one() -> None:
    text, stored = made()
    for shown in (text[:-1], text + "x", "ak_iot_", "ak_iot_x", "ak_iot_" + "y" * 10_000, text + "\n"):
        found = refusal(of(stored), Credentials(token=shown))
        assert found.reason is Reason.CREDENTIALS_MALFORMED
        assert shown[7:40] not in f"{found} {found.hint}" or len(shown) < 10


# --- what it is held against -------------------------------------------------------------------------


def test_whose_prefix_is_anothers_is_not_claimed() -> None:
    directory = of(made()[1])
    for text in (made("iot2")[0], made("io")[0], "AK_iot_x", "ak_iot", "x", "", " ak_iot_", "akk_iot_"):
        assert not directory.claims(Credentials(token=text))
        assert not directory.claims(Credentials(user=text, password="p"))


def test_an_unknown_key_and_a_wrong_secret_are_told_alike() -> None:
    text, stored = made(key_id="k1")
    other, _ = made(key_id="k1")
    unknown, _ = made(key_id="k2")
    found = [refusal(of(stored), Credentials(token=shown)) for shown in (other, unknown)]
    assert {each.reason for each in found} == {Reason.CREDENTIALS_WRONG}
    assert len({each.message for each in found}) == 1
    assert all(text[20:] not in str(each) for each in found)


def test_a_ledger_that_gives_another_key_lets_nobody_in() -> None:
    class Mixed:
        def key(self, key_id: str) -> StoredKey:
            return stored

    text, mine = made(key_id="mine")
    stored = msgspec.structs.replace(mine, id="other")
    assert (
        reason(KeyDirectory(KeySettings(name="iot"), Mixed()), Credentials(token=text))
        is Reason.CREDENTIALS_WRONG
    )


def test_a_key_of_one_directory_opens_no_other() -> None:
    text, stored = made("one")
    moved = text.replace("ak_one_", "ak_two_")
    assert reason(of(stored, name="two"), Credentials(token=moved)) is Reason.CREDENTIALS_MALFORMED


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"expires_at": int(NOW)}, Reason.CREDENTIALS_EXPIRED),
        ({"networks": ("10.0.0.0/8",)}, Reason.NETWORK),
    ],
)
def test_a_good_key_that_is_not_taken(members: dict[str, Any], expected: Reason) -> None:
    text, stored = made(**members)
    assert reason(of(stored), Credentials(token=text, address="192.0.2.7")) is expected


def test_who_cannot_prove_a_key_does_not_learn_that_it_is_shut() -> None:
    text, stored = made(key_id="k")
    wrong, _ = made(key_id="k")
    shut = of(msgspec.structs.replace(stored, disabled=True))
    assert reason(shut, Credentials(token=text)) is Reason.DISABLED
    assert reason(shut, Credentials(token=wrong)) is Reason.CREDENTIALS_WRONG


# --- what is refused when it is made -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a_b", "-a", "a b", "ä", "a" * 64, "a\n"])
def test_names_that_cannot_be_part_of_a_key(name: str) -> None:
    with pytest.raises(DirectorySettingsError):
        KeySettings(name=name)
    with pytest.raises(DirectorySettingsError):
        generate(name, now=1)


@pytest.mark.parametrize(
    "members",
    [
        {"id": ""},
        {"id": "a_b"},
        {"hash": ""},
        {"hash": "A" * 64},
        {"kind": Kind.PERSON},
        {"hash": "ak_iot_x"},
    ],
)
def test_entries_that_cannot_stand(members: dict[str, Any]) -> None:
    with pytest.raises(DirectorySettingsError):
        StoredKey(**{"id": "a", "hash": "0" * 64, **members})


def test_one_id_twice() -> None:
    entry = StoredKey(id="a", hash="0" * 64)
    with pytest.raises(DirectorySettingsError):
        KeySettings(name="k", entries=(entry, entry))
