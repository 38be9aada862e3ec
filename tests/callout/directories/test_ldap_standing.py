"""How it stands with an account, by its entry alone."""

from __future__ import annotations

import pytest

from callout.directories.ldap.port import Entry
from callout.directories.ldap.standing import (
    Facts,
    Flavour,
    ends_at,
    failures_counted,
    key_of,
    lasting_objection,
    objection,
    password_stamp,
)
from callout.refusals import Reason

NOW = 1795471154.0  # 20261123215914Z
ACTIVE, OPEN = Facts(Flavour.ACTIVE_DIRECTORY), Facts(Flavour.OPEN)


def entry(**attributes: str | bytes | list[str]) -> Entry:
    def values(value: str | bytes | list[str]) -> tuple[bytes, ...]:
        each = value if isinstance(value, list) else [value]
        return tuple(one.encode() if isinstance(one, str) else one for one in each)

    return Entry(
        "cn=x", {name.lower().replace("_", "-"): values(value) for name, value in attributes.items()}
    )


def ticks(seconds: float) -> str:
    return str(int((seconds + 11_644_473_600) * 10_000_000))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (entry(userAccountControl="512"), None),
        (entry(), Reason.DISABLED),
        (entry(userAccountControl="x"), Reason.DISABLED),
        (entry(userAccountControl="514"), Reason.DISABLED),
        (entry(userAccountControl="512", accountExpires=ticks(NOW - 1)), Reason.EXPIRED),
        (entry(userAccountControl="512", accountExpires=ticks(NOW + 1)), None),
        (entry(userAccountControl="512", accountExpires="0"), None),
        (entry(userAccountControl="512", accountExpires="9223372036854775807"), None),
        (entry(userAccountControl="512", msDS_User_Account_Control_Computed="16"), Reason.LOCKED),
        (
            entry(userAccountControl="512", msDS_User_Account_Control_Computed="8388608"),
            Reason.PASSWORD_EXPIRED,
        ),
    ],
)
def test_in_active_directory(found: Entry, reason: Reason | None) -> None:
    told = objection(found, ACTIVE, NOW)
    assert (told.reason if told else None) is reason


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (entry(), None),
        (entry(nsAccountLock="TRUE"), Reason.DISABLED),
        (entry(pwdAccountLockedTime="000001010000Z"), Reason.LOCKED),
        # It may have run out: only a bind tells.
        (entry(pwdAccountLockedTime="20261123215900Z"), None),
        (entry(pwdReset="TRUE"), Reason.PASSWORD_EXPIRED),
        (entry(pwdStartTime="20270101000000Z"), Reason.DISABLED),
        (entry(pwdStartTime="20260101000000Z"), None),
        (entry(pwdEndTime="20260101000000Z"), Reason.EXPIRED),
        (entry(pwdEndTime="20270101000000Z"), None),
    ],
)
def test_elsewhere(found: Entry, reason: Reason | None) -> None:
    told = objection(found, OPEN, NOW)
    assert (told.reason if told else None) is reason


@pytest.mark.parametrize(
    ("locked", "holds"),
    [("20261123215900Z", True), ("20261123215800Z", False), ("garbage", True), ("000001010000Z", True)],
)
def test_without_a_password_a_lock_counts_as_long_as_failures_do(locked: str, holds: bool) -> None:
    assert (lasting_objection(entry(pwdAccountLockedTime=locked), OPEN, NOW, 60) is not None) is holds


def test_when_an_account_ends() -> None:
    assert ends_at(entry(accountExpires=ticks(NOW + 60)), ACTIVE) == int(NOW) + 60
    assert ends_at(entry(accountExpires="0"), ACTIVE) is None
    assert ends_at(entry(pwdEndTime="20261123215914Z"), OPEN) == int(NOW)
    assert ends_at(entry(), OPEN) is None


def test_what_names_an_entry_for_ever() -> None:
    raw = bytes(range(16))
    assert key_of(entry(objectGUID=raw), ACTIVE) == "03020100-0504-0706-0809-0a0b0c0d0e0f"
    assert (
        key_of(entry(entryUUID="DDA7E9CC-7BD4-1041-9A60-A7CF0F0AAD14"), OPEN)
        == "dda7e9cc-7bd4-1041-9a60-a7cf0f0aad14"
    )
    for nothing in (entry(), entry(objectGUID=b"x"), entry(entryUUID="uid=ann")):
        assert key_of(nothing, ACTIVE) is None
        assert key_of(nothing, OPEN) is None


def test_failures_that_the_directory_has_counted_lately() -> None:
    times = ["20261123215900Z", "20261123215910.123456Z", "20261123200000Z", "garbage"]
    assert failures_counted(entry(pwdFailureTime=times), NOW, 60) == 2
    assert failures_counted(entry(badPwdCount="2", badPasswordTime=ticks(NOW - 10)), NOW, 60) == 2
    assert failures_counted(entry(badPwdCount="2", badPasswordTime=ticks(NOW - 100)), NOW, 60) == 0
    assert failures_counted(entry(), NOW, 60) == 0


def test_a_stamp_that_changes_with_the_password() -> None:
    assert password_stamp(entry(pwdChangedTime="20261123215900Z")) == "20261123215900Z"
    assert password_stamp(entry(pwdLastSet="133")) == "133"
    assert password_stamp(entry()) == ""
