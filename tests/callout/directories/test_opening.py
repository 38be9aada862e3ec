"""The configured directories: exactly one for each login; one that is down stops no other."""

from __future__ import annotations

import asyncio
import importlib
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.certificates import CertificateSettings
from callout.directories.directory import Credentials
from callout.directories.keys import KeyLedger, KeySettings, ListedKeys, generate
from callout.directories.ldap.settings import LdapSettings
from callout.directories.nkeys import NkeyDirectory, NkeySettings
from callout.directories.oidc import OidcSettings
from callout.directories.openers import Ledgers
from callout.directories.opening import OPENERS, Directories, Times, read_directories
from callout.directories.passwords import PasswordSettings
from callout.directories.reading import DirectorySettingsError, read_settings
from callout.directories.scrypt import Cost, hash_password
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.keys.nkeys import Role, Seed
from tests.callout.directories.asking import NOW, identified
from tests.callout.directories.authorities import Authority, pem
from tests.callout.directories.odd_directories import CLOSED, ODD, PLANTED, Odd

QUICK = Times(start=0.2, close=0.2, retry=0.02, longest_retry=0.05)
CA = Authority(NOW)
DEVICE = Seed.generate(Role.USER)
KEY, STORED = generate("services", now=1, subject="scada")
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIn0.AAAA"
HASH = hash_password("pw", cost=Cost(ln=10, r=1, p=1))


def documents() -> list[dict[str, Any]]:
    return [
        {"name": "services", "kind": "keys", "entries": [{"id": STORED.id, "hash": STORED.hash, "subject": "scada"}]},
        {"name": "mqtt", "kind": "passwords", "default": True, "entries": [{"user": "m7", "hash": HASH}]},
        {"name": "meters", "kind": "nkeys", "entries": [{"public": DEVICE.public}]},
        {"name": "tls", "kind": "certificates", "issuers": [CA.pin], "identity": "common-name"},
        {
            "name": "okta",
            "kind": "oidc",
            "issuer": "https://idp.example",
            "audiences": ["nats"],
            "fetch": {"total": 0.2},
        },
    ]  # fmt: skip


SHOWN = {
    "services": Credentials(token=KEY),
    "mqtt": Credentials(user="m7", password="pw"),
    "meters": Credentials(nkey=DEVICE.public),
    "tls": Credentials(certificates=pem(CA.issue(), CA.certificate)),
    "okta": Credentials(token=JWT),
}


def opened(*found: dict[str, Any], **how: Any) -> Directories:
    openers = {**OPENERS, **ODD}
    return Directories(read_directories(found, openers=openers), openers=openers, **{"times": QUICK, **how})


def play(directories: Directories, story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await directories.start()
        try:
            await story()
        finally:
            await directories.close()

    asyncio.run(run())


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        for _ in itertools.count():
            if seen():
                return
            await asyncio.sleep(0.01)


def reason(directories: Directories, credentials: Credentials) -> Reason:
    with pytest.raises(LoginRefusedError) as refused:
        directories.choose(credentials)
    return refused.value.reason


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Odd.left.clear()
    CLOSED.clear()


# --- which one ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["services", "mqtt", "meters", "tls"])
def test_each_form_of_credential_is_for_its_own_directory(name: str) -> None:
    directories = opened(*documents()[:4])

    async def story() -> None:
        assert directories.choose(SHOWN[name]).name == name

    play(directories, story)


def test_an_issuers_tokens_are_for_its_directory_whether_it_answers_or_not() -> None:
    directories = opened(*documents())

    async def story() -> None:
        try:
            assert directories.choose(SHOWN["okta"]).name == "okta"
        except DirectoryDownError as down:
            assert "okta" in str(down)

    play(directories, story)


def test_who_shows_nothing() -> None:
    directories = opened(*documents()[:4])

    async def story() -> None:
        for credentials in (Credentials(), Credentials(address="192.0.2.1", nonce="x", mqtt_id="c")):
            assert reason(directories, credentials) is Reason.NO_CREDENTIALS

    play(directories, story)


def test_what_is_for_none() -> None:
    directories = opened(*documents()[:4])

    async def story() -> None:
        for credentials in (
            Credentials(token="x"),
            Credentials(nkey="U"),
            Credentials(user="a:b", password="c"),
        ):
            assert reason(directories, credentials) is Reason.NO_DIRECTORY

    play(directories, story)


def test_what_two_claim_is_for_neither_and_both_are_named() -> None:
    directories = opened(*documents()[:4])

    async def story() -> None:
        both = Credentials(user="mqtt:m7", password=KEY)
        with pytest.raises(LoginRefusedError) as refused:
            directories.choose(both)
        assert refused.value.reason is Reason.SEVERAL_DIRECTORIES
        assert "services" in str(refused.value)
        assert "mqtt" in str(refused.value)
        assert KEY not in str(refused.value)

    play(directories, story)


def test_two_defaults_claim_each_others_users() -> None:
    twice = [{"name": name, "kind": "passwords", "default": True, "entries": []} for name in "ab"]
    directories = opened(*twice)

    async def story() -> None:
        assert reason(directories, Credentials(user="u", password="p")) is Reason.SEVERAL_DIRECTORIES

    play(directories, story)


@given(
    user=st.sampled_from(["", "m7", "mqtt:m7", "x:y", "a@b"]),
    password=st.sampled_from(["", "pw", KEY, JWT]),
    token=st.sampled_from(["", "pw", KEY, JWT]),
    nkey=st.sampled_from(["", DEVICE.public, "U"]),
    chain=st.sampled_from([(), SHOWN["tls"].certificates]),
)
def test_exactly_one_or_none(user: str, password: str, token: str, nkey: str, chain: tuple[str, ...]) -> None:
    credentials = Credentials(user=user, password=password, token=token, nkey=nkey, certificates=chain)
    directories = ALL_OPEN
    claiming = [s for s in directories._slots.values() if s.directory and s.directory.claims(credentials)]
    try:
        chosen = directories.choose(credentials)
    except LoginRefusedError:
        assert len(claiming) != 1
    else:
        assert [chosen] == [slot.directory for slot in claiming]


def _open() -> Directories:
    directories = opened(*documents()[:4])
    asyncio.run(directories.start())
    return directories


ALL_OPEN = _open()


# --- one that does not work --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "reason_says"),
    [
        ({"kind": "odd", "how": "down"}, "nobody answers"),
        ({"kind": "odd", "how": "hangs"}, "not ready within 0.2 s"),
        ({"kind": "odd", "how": "breaks"}, "failed with RuntimeError"),
        ({"kind": "lacking"}, "needs a_library_nobody_has"),
        ({"kind": "gone"}, "needs a_module_nobody_has"),
        ({"kind": "keys", "entrys": []}, "/directories/1/entrys: is not known here"),
        ({"kind": "keys"}, "lacks entries"),
        ({"kind": "certificates", "identity": "dns", "ca_file": "/none"}, "cannot be read"),
    ],
)
def test_one_that_does_not_work_is_disabled_with_its_reason_and_stops_no_other(
    odd: dict[str, Any], reason_says: str
) -> None:
    directories = opened(documents()[0], {"name": "broken", **odd}, documents()[2])

    async def story() -> None:
        assert directories.choose(SHOWN["services"]).name == "services"
        assert directories.choose(SHOWN["meters"]).name == "meters"
        states = {each.name: each for each in directories.state()}
        assert list(states) == ["services", "broken", "meters"]
        assert (states["services"].ready, states["meters"].ready) == (True, True)
        broken = states["broken"]
        assert not broken.ready
        assert reason_says in broken.reason
        assert broken.attempts >= 1
        assert broken.code
        assert PLANTED not in repr(directories.state())

    play(directories, story)


def test_one_that_judges_by_keys_tells_how_old_they_are() -> None:
    directories = opened({"name": "plain", "kind": "odd"}, {"name": "keyed", "kind": "keyed"})

    async def story() -> None:
        plain, keyed = directories.state()
        assert (plain.keys_at, plain.keys_stale) == (None, False)
        assert (keyed.keys_at, keyed.keys_stale) == (5.0, True)

    play(directories, story)


def test_all_start_at_once() -> None:
    slow = [{"name": f"slow{n}", "kind": "odd", "how": "hangs"} for n in range(20)]
    directories = opened(*slow, times=Times(start=0.3, close=0.1, retry=60))

    async def story() -> None:
        assert not any(each.ready for each in directories.state())

    loop_time: list[float] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await directories.start()
        loop_time.append(loop.time() - begun)
        await directories.close()

    asyncio.run(run())
    assert loop_time[0] < 20 * 0.3


def test_what_is_for_a_disabled_one_is_told_so_and_goes_to_no_other() -> None:
    directories = opened(
        {"name": "m7", "kind": "odd", "how": "down"}, documents()[1], times=Times(start=0.2, retry=60)
    )

    async def story() -> None:
        with pytest.raises(DirectoryDownError, match="m7 is disabled: nobody answers") as down:
            directories.choose(Credentials(user="m7:x"))
        assert down.value.hint == "start it"
        # Both claim this one: that the other is down must not decide it.
        assert reason(directories, SHOWN["mqtt"]) is Reason.SEVERAL_DIRECTORIES

    play(directories, story)


def test_what_nobody_claims_is_told_with_those_that_could_not_be_asked() -> None:
    directories = opened({"name": "broken", "kind": "keys", "entrys": []})

    async def story() -> None:
        with pytest.raises(LoginRefusedError, match="not asked: broken: /directories/0/entrys") as refused:
            directories.choose(Credentials(token="x"))
        assert refused.value.reason is Reason.NO_DIRECTORY

    play(directories, story)


def test_one_that_comes_back_is_found_in_the_background() -> None:
    directories = opened({"name": "late", "kind": "odd", "how": "down", "fails": 3})

    async def story() -> None:
        await until(lambda: directories.state()[0].ready)
        state = directories.state()[0]
        assert (state.attempts, state.reason, state.next_attempt) == (4, "", None)
        assert directories.choose(Credentials(user="late")).name == "late"
        assert CLOSED == ["late"] * 3

    play(directories, story)


def test_a_secret_that_is_put_right_is_read_again(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    okta = {**documents()[4], "okta_groups": {"url": "https://okta.example", "token": f"file:{secret}"}}
    directories = opened(okta)

    async def story() -> None:
        state = directories.state()[0]
        assert state.reason.startswith("/directories/0/okta_groups/token: ")
        secret.write_text("00" * 20)
        secret.chmod(0o600)
        await until(lambda: directories._slots["okta"].directory is not None)

    play(directories, story)


def test_closing_ends_the_attempts_and_every_directory() -> None:
    directories = opened(
        *(
            {"name": f"d{n}", "kind": "odd", "how": how}
            for n, how in enumerate(["", "hangs", "breaks", "down"])
        )
    )

    async def story() -> None:
        await directories.close()
        assert {"d0", "d1", "d2", "d3"} <= set(CLOSED)
        assert not directories._retries
        with pytest.raises(DirectoryDownError):
            directories.choose(Credentials(user="d0"))

    play(directories, story)


# --- the table and the settings ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", OPENERS)
def test_every_line_of_the_table_leads_somewhere(kind: str) -> None:
    module, _, name = OPENERS[kind].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize(
    "settings",
    [CertificateSettings, KeySettings, LdapSettings, NkeySettings, OidcSettings, PasswordSettings],
)
def test_no_setting_is_hidden_by_the_word_that_says_which_kind_of_directory_it_is(settings: type) -> None:
    assert "kind" not in {field.name for field in msgspec.structs.fields(settings)}


def test_an_ldap_password_is_read_from_where_the_settings_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDAP_PASSWORD", PLANTED)
    document = {
        "name": "corp",
        "realm": "CORP",
        "servers": ["ldaps://127.0.0.1:1"],
        "user_base": "ou=people,dc=example",
        "service": {"name": "cn=svc", "password": "env:LDAP_PASSWORD"},
    }
    settings = read_settings(document, LdapSettings)
    assert settings.service is not None
    assert settings.service.password.reveal() == PLANTED
    assert PLANTED not in repr(settings)


@pytest.mark.parametrize(
    ("settings", "at"),
    [
        ({"kind": "ldap", "realm": "C", "servers": ["ldaps://h"], "user_base": "b", "service": {"name": "c", "password": PLANTED}}, "/directories/0/service/password"),
        ({"kind": "ldap", "realm": "C", "servers": [], "user_base": "b"}, "/directories/0/servers"),
        ({"kind": "oidc", "issuer": "https://x", "audiences": []}, "/directories/0/audiences"),
        ({"kind": "oidc", "issuer": "https://x", "audiences": ["a"], "keys": {"fresh": 0}}, "/directories/0/keys"),
        ({"kind": "oidc", "issuer": "https://x", "audiences": ["a"], "isuer": ""}, "/directories/0/isuer"),
    ],
)  # fmt: skip
def test_where_the_settings_of_the_others_are_at_fault(settings: dict[str, Any], at: str) -> None:
    directories = opened({"name": "x", **settings})

    async def story() -> None:
        reason = directories.state()[0].reason
        assert reason.startswith(at)
        assert PLANTED not in reason

    play(directories, story)


def test_a_user_name_is_no_more_than_a_label_beside_a_certificate() -> None:
    directories = opened(*documents()[:4])

    async def story() -> None:
        for user in ("label", "mqtt:label"):
            credentials = Credentials(user=user, certificates=SHOWN["tls"].certificates)
            assert directories.choose(credentials).name == "tls"

    play(directories, story)


def test_keys_may_come_from_another_ledger() -> None:
    asked: list[str] = []

    def ledger(name: str) -> KeyLedger:
        asked.append(name)
        return ListedKeys({STORED.id: STORED})

    directories = opened({"name": "services", "kind": "keys"}, ledgers=Ledgers(keys=ledger))

    async def story() -> None:
        assert (await identified(directories.choose(SHOWN["services"]), SHOWN["services"])).subject == "scada"

    play(directories, story)
    assert asked == ["services"]


def test_an_empty_list_of_entries_is_a_list() -> None:
    directories = opened({"name": "meters", "kind": "nkeys", "entries": []})

    async def story() -> None:
        assert isinstance(directories._slots["meters"].directory, NkeyDirectory)
        assert reason(directories, SHOWN["meters"]) is Reason.NO_DIRECTORY

    play(directories, story)


@pytest.mark.parametrize(
    ("found", "at", "words"),
    [
        (["x"], "/directories/0", "is no mapping"),
        ([{"kind": "keys"}], "/directories/0", "lacks a name"),
        ([{"name": "a"}], "/directories/0", "lacks a kind"),
        ([{"name": 1, "kind": "keys"}], "/directories/0", "lacks a name"),
        ([{"name": "a b", "kind": "keys"}], "/directories/0/name", "no plain name"),
        ([{"name": "", "kind": "keys"}], "/directories/0/name", "no plain name"),
        ([{"name": "a", "kind": "kyes"}], "/directories/0/kind", "did you mean keys?"),
        ([{"name": "a", "kind": "keys"}, {"name": "a", "kind": "ldap"}], "/directories/1/name", "two directories"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read(found: list[Any], at: str, words: str) -> None:
    with pytest.raises(DirectorySettingsError) as refused:
        read_directories(found)
    assert refused.value.at == at
    assert words in f"{refused.value.message} {refused.value.hint}"


def test_no_directories_at_all_let_nobody_in() -> None:
    directories = opened()

    async def story() -> None:
        assert reason(directories, Credentials(token="x")) is Reason.NO_DIRECTORY

    play(directories, story)


def test_settings_are_not_shown() -> None:
    configured = read_directories([{"name": "a", "kind": "keys", "password": PLANTED}])
    assert PLANTED not in repr(configured)
