"""Users and passwords of ours: who they are, what a storm costs, and how often one may guess."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from callout.directories.directory import Credentials
from callout.directories.keys import generate
from callout.directories.lockout import Limits
from callout.directories.passwords import (
    ListedPasswords,
    PasswordDirectory,
    PasswordSettings,
    StoredPassword,
)
from callout.directories.reading import DirectorySettingsError
from callout.directories.scrypt import Cost, PasswordHashError, StoredHash, hash_password
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.grants import Kind
from tests.callout.directories.asking import NOW, identified, identity, reason, refusal

CHEAP = Cost(ln=10, r=1, p=1)
PASSWORD = "planted-5ecret"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.AAAA"


def entry(user: str = "meter7", password: str = PASSWORD, **members: Any) -> StoredPassword:
    return StoredPassword(user=user, hash=hash_password(password, cost=CHEAP), **members)


def of(*entries: StoredPassword, **settings: Any) -> PasswordDirectory:
    ledger = ListedPasswords({each.user: each for each in entries})
    return PasswordDirectory(PasswordSettings(name="mqtt", cost=CHEAP, **settings), ledger)


def shown(user: str = "mqtt:meter7", password: str = PASSWORD, **members: Any) -> Credentials:
    return Credentials(user=user, password=password, address="192.0.2.7", **members)


class Counted:
    """Counts the hashes that are made, and can hold them up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[StoredHash] = []
        self.held = threading.Event()
        self.held.set()
        fits = StoredHash.fits

        def counted(stored: StoredHash, password: str) -> bool:
            self.made.append(stored)
            assert self.held.wait(20)
            return fits(stored, password)

        monkeypatch.setattr(StoredHash, "fits", counted)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def play(directory: PasswordDirectory, story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await directory.start()
        try:
            await story()
        finally:
            await directory.close()

    asyncio.run(run())


async def outcome(directory: PasswordDirectory, credentials: Credentials, **how: Any) -> Reason | None:
    try:
        await identified(directory, credentials, **how)
    except LoginRefusedError as refused:
        return refused.reason
    return None


def test_whose_it_is() -> None:
    directory = of(entry(name="meter 7", groups=("m",), attributes={"site": "n"}, kind=Kind.DEVICE))
    found = identity(directory, shown())
    assert (found.issuer, found.subject, found.name) == ("passwords:mqtt", "meter7", "meter 7")
    assert (found.kind, found.groups, found.methods) == (Kind.DEVICE, ("m",), ("pwd",))
    assert found.authenticated_at == int(NOW)


def test_mqtt_servers_show_the_password_as_a_token_too() -> None:
    assert identity(of(entry()), shown(token=PASSWORD, connection_type="mqtt", mqtt_id="c1"))


def test_a_token_beside_a_password_leaves_open_whose_login_it_is() -> None:
    assert reason(of(entry()), shown(token="other")) is Reason.CREDENTIALS_MALFORMED


# --- whom it claims ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "password", "claimed", "by_default"),
    [
        ("mqtt:meter7", PASSWORD, True, True),
        ("mqtt:a:b", PASSWORD, True, True),
        ("mqtt:", PASSWORD, True, True),
        ("mqtt:x", "", False, False),
        ("meter7", PASSWORD, False, True),
        ("meter7", "", False, False),
        ("MQTT:meter7", PASSWORD, False, False),
        ("mqtt2:meter7", PASSWORD, False, False),
        ("corp:ann", PASSWORD, False, False),
        ("CORP\\ann", PASSWORD, False, False),
        ("ann@corp.example", PASSWORD, False, False),
        ("", PASSWORD, False, False),
        pytest.param("anything", generate("iot", now=1)[0], False, False, id="an-api-key"),
        ("anything", JWT, False, False),
        ("mqtt:meter7", JWT, True, True),
    ],
)
def test_whom_it_claims(user: str, password: str, claimed: bool, by_default: bool) -> None:
    credentials = shown(user, password)
    assert of().claims(credentials) is claimed
    assert of(default=True).claims(credentials) is by_default


def test_a_user_without_realm_where_it_is_the_default() -> None:
    assert identity(of(entry(), default=True), shown("meter7")).subject == "meter7"


def test_no_password_is_nobodys() -> None:
    async def story() -> None:
        with pytest.raises(LoginRefusedError) as refused:
            await directory.identify(shown(password=""), now=NOW, deadline=1e12)
        assert refused.value.reason is Reason.CREDENTIALS_WRONG

    directory = of(entry())
    play(directory, story)


# --- who is not let in -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (shown(password="wrong"), Reason.CREDENTIALS_WRONG),
        (shown(user="mqtt:nobody"), Reason.CREDENTIALS_WRONG),
        (shown(user="mqtt:METER7"), Reason.CREDENTIALS_WRONG),
        (shown(user="mqtt:"), Reason.CREDENTIALS_WRONG),
        (shown(user="mqtt:" + "x" * 300), Reason.CREDENTIALS_WRONG),
        (shown(password="x" * 5000), Reason.CREDENTIALS_TOO_LARGE),
        (shown(password="\udcff"), Reason.CREDENTIALS_WRONG),
    ],
)
def test_who_is_not_let_in(credentials: Credentials, expected: Reason) -> None:
    found = refusal(of(entry()), credentials)
    assert found.reason is expected
    if len(credentials.password) > 5:
        assert credentials.password not in f"{found} {found.hint} {found!r}"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"disabled": True}, Reason.DISABLED),
        ({"expires_at": int(NOW)}, Reason.CREDENTIALS_EXPIRED),
        ({"networks": ("10.0.0.0/8",)}, Reason.NETWORK),
    ],
)
def test_who_is_right_and_not_let_in(members: dict[str, Any], expected: Reason) -> None:
    assert reason(of(entry(**members)), shown()) is expected
    assert reason(of(entry(**members)), shown(password="wrong")) is Reason.CREDENTIALS_WRONG


def test_an_unknown_user_costs_the_same_hash_as_a_known_one(counted: Counted) -> None:
    directory = of(entry(disabled=True))

    async def story() -> None:
        for user in ("mqtt:meter7", "mqtt:nobody"):
            for password in (PASSWORD, "wrong"):
                await outcome(directory, shown(user, password))

    play(directory, story)
    assert [each.cost for each in counted.made] == [CHEAP] * 4


def test_the_digest_in_an_identity_tells_nothing_of_the_password() -> None:
    one, other = entry(), entry()
    assert identity(of(one), shown()).credential != identity(of(other), shown()).credential


# --- storms ------------------------------------------------------------------------------------------


def test_a_storm_of_one_device_costs_one_hash(counted: Counted) -> None:
    directory = of(entry())

    async def story() -> None:
        found = await asyncio.gather(*(identified(directory, shown()) for _ in range(200)))
        assert len({each.subject for each in found}) == 1
        for later in range(200):
            await identified(directory, shown(), now=NOW + later)

    play(directory, story)
    assert len(counted.made) == 1


def test_what_is_remembered_ends(counted: Counted) -> None:
    directory = of(entry(), remembered=60)

    async def story() -> None:
        for later, hashes in ((0.0, 1), (59.9, 1), (60.0, 2)):
            await identified(directory, shown(), now=NOW + later)
            assert len(counted.made) == hashes

    play(directory, story)


def test_a_clock_put_back_does_not_make_it_last_longer(counted: Counted) -> None:
    directory = of(entry(), remembered=60)

    async def story() -> None:
        await identified(directory, shown(), now=NOW)
        await identified(directory, shown(), now=NOW - 3600)

    play(directory, story)
    assert len(counted.made) == 2


def test_a_changed_password_is_forgotten_at_once() -> None:
    users = {"meter7": entry()}

    class Ledger:
        def password(self, user: str) -> StoredPassword | None:
            return users.get(user)

    directory = PasswordDirectory(PasswordSettings(name="mqtt", cost=CHEAP), Ledger())

    async def story() -> None:
        assert await outcome(directory, shown()) is None
        users["meter7"] = entry(password="new-5ecret")
        assert await outcome(directory, shown()) is Reason.CREDENTIALS_WRONG
        assert await outcome(directory, shown(password="new-5ecret")) is None

    play(directory, story)


def test_what_is_remembered_does_not_let_in_who_was_shut_since() -> None:
    users = {"meter7": entry()}

    class Ledger:
        def password(self, user: str) -> StoredPassword | None:
            return users.get(user)

    directory = PasswordDirectory(PasswordSettings(name="mqtt", cost=CHEAP), Ledger())

    async def story() -> None:
        assert await outcome(directory, shown()) is None
        users["meter7"] = msgspec.structs.replace(users["meter7"], disabled=True)
        assert await outcome(directory, shown()) is Reason.DISABLED
        users.clear()
        assert await outcome(directory, shown()) is Reason.CREDENTIALS_WRONG

    play(directory, story)


def test_nothing_is_remembered_where_that_is_wanted(counted: Counted) -> None:
    directory = of(entry(), remembered=0)

    async def story() -> None:
        for _ in range(3):
            await identified(directory, shown())

    play(directory, story)
    assert len(counted.made) == 3


def test_no_password_is_kept() -> None:
    directory = of(entry())

    async def story() -> None:
        await identified(directory, shown())
        kept = repr(vars(directory)) + repr(list(directory._remembered))
        assert PASSWORD not in kept

    play(directory, story)


# --- guessing ----------------------------------------------------------------------------------------


def test_after_so_many_wrong_passwords_none_is_tried(counted: Counted) -> None:
    directory = of(entry(), lockout=Limits(failures=3, failures_anywhere=9, window=100))

    async def story() -> None:
        found = [await outcome(directory, shown(password=f"w{n}")) for n in range(5)]
        assert found == [Reason.CREDENTIALS_WRONG] * 3 + [Reason.GUARDED] * 2
        assert await outcome(directory, shown()) is Reason.GUARDED
        assert await outcome(directory, shown(), now=NOW + 100) is None

    play(directory, story)
    assert len(counted.made) == 4


def test_many_guesses_at_once_pass_no_limit(counted: Counted) -> None:
    directory = of(entry(), lockout=Limits(failures=3, failures_anywhere=9))

    async def story() -> None:
        guesses = (outcome(directory, shown(password=f"w{n}")) for n in range(20))
        found = await asyncio.gather(*guesses)
        assert found.count(Reason.GUARDED) == 17

    play(directory, story)
    assert len(counted.made) == 3


def test_unknown_users_are_guarded_like_known_ones() -> None:
    directory = of(entry(), lockout=Limits(failures=3))

    async def story() -> None:
        for user in ("mqtt:meter7", "mqtt:nobody"):
            found = [await outcome(directory, shown(user, f"w{n}")) for n in range(4)]
            assert found == [Reason.CREDENTIALS_WRONG] * 3 + [Reason.GUARDED]

    play(directory, story)


def test_a_device_with_an_old_password_counts_once_however_often_it_comes(counted: Counted) -> None:
    directory = of(entry(), lockout=Limits(failures=2))

    async def story() -> None:
        for _ in range(50):
            assert await outcome(directory, shown(password="old")) is Reason.CREDENTIALS_WRONG
        assert await outcome(directory, shown()) is None

    play(directory, story)
    assert len(counted.made) == 2


def test_a_device_that_was_let_in_lately_is_not_shut_out_by_guesses_of_others() -> None:
    directory = of(entry(), lockout=Limits(failures=2, failures_anywhere=2))

    async def story() -> None:
        assert await outcome(directory, shown()) is None
        for n in range(4):
            await outcome(directory, msgspec.structs.replace(shown(password=f"w{n}"), address="198.51.100.1"))
        assert await outcome(directory, shown()) is None

    play(directory, story)


# --- waiting -----------------------------------------------------------------------------------------


def test_the_answer_comes_before_the_deadline_and_the_hash_is_not_lost(counted: Counted) -> None:
    directory = of(entry())
    counted.held.clear()

    async def story() -> None:
        with pytest.raises(DirectoryDownError, match="in time"):
            await identified(directory, shown(), patience=0.2)
        counted.held.set()
        await identified(directory, shown())

    play(directory, story)
    assert len(counted.made) == 1


def test_who_comes_when_too_many_wait_is_told_that_nothing_could_be_found_out(counted: Counted) -> None:
    directory = of(*(entry(f"m{n}") for n in range(6)), threads=1, waiting=2)
    counted.held.clear()

    async def story() -> None:
        waiting = [asyncio.ensure_future(identified(directory, shown(f"mqtt:m{n}"))) for n in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(DirectoryDownError, match="wait"):
            await identified(directory, shown("mqtt:m5"))
        counted.held.set()
        await asyncio.gather(*waiting)
        await identified(directory, shown("mqtt:m5"))

    play(directory, story)


def test_one_caller_that_goes_away_takes_nothing_from_the_others(counted: Counted) -> None:
    directory = of(entry())
    counted.held.clear()

    async def story() -> None:
        one, other = (asyncio.ensure_future(identified(directory, shown())) for _ in range(2))
        await asyncio.sleep(0.05)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        counted.held.set()
        assert (await other).subject == "meter7"

    play(directory, story)


def test_closing_ends_who_waits(counted: Counted) -> None:
    directory = of(entry())
    counted.held.clear()

    async def story() -> None:
        waiting = asyncio.ensure_future(identified(directory, shown()))
        await asyncio.sleep(0.05)
        await directory.close()
        with pytest.raises(DirectoryDownError):
            await waiting
        with pytest.raises(DirectoryDownError, match="not started"):
            await identified(directory, shown())
        counted.held.set()

    play(directory, story)


# --- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        {"name": ""},
        {"name": "a:b"},
        {"remembered": -1},
        {"threads": 0},
        {"waiting": -1},
        {"lockout": Limits(failures=0)},
        {"lockout": Limits(failures=10, failures_anywhere=5)},
        {"lockout": Limits(window=0)},
        {"entries": (entry(), entry())},
    ],
)
def test_settings_that_cannot_stand(members: dict[str, Any]) -> None:
    with pytest.raises(DirectorySettingsError):
        PasswordSettings(**{"name": "p", **members})


def test_a_password_in_place_of_its_hash_is_not_repeated() -> None:
    with pytest.raises(PasswordHashError) as refused:
        StoredPassword(user="u", hash=PASSWORD)
    assert PASSWORD not in f"{refused.value} {refused.value.hint}"
    assert refused.value.at == "hash"


def test_an_entry_shows_no_hash() -> None:
    assert "scrypt" not in repr(entry())
