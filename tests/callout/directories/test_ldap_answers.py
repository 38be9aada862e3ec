"""What the answer to a bind means; what is not known to be good is not good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.ldap.answers import Meaning, Policy, outcome_of, policy_of
from callout.directories.ldap.port import Answer, Code
from callout.refusals import Reason

ACTIVE = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {}, v3839"
# draft-behera-ldap-password-policy-10 §6.2
WARNING, GRACE, ERROR = (bytes.fromhex(text) for text in ("3005a003800164", "3005a003810102", "3003810101"))


@pytest.mark.parametrize(
    ("code", "meaning", "reason"),
    [
        ("525", Meaning.WRONG, Reason.CREDENTIALS_WRONG),
        ("52e", Meaning.WRONG, Reason.CREDENTIALS_WRONG),
        ("530", Meaning.REFUSED, Reason.NOT_PERMITTED),
        ("531", Meaning.REFUSED, Reason.NOT_PERMITTED),
        ("532", Meaning.REFUSED, Reason.PASSWORD_EXPIRED),
        ("533", Meaning.REFUSED, Reason.DISABLED),
        ("568", Meaning.REFUSED, Reason.NOT_PERMITTED),
        ("701", Meaning.REFUSED, Reason.EXPIRED),
        ("773", Meaning.REFUSED, Reason.PASSWORD_EXPIRED),
        ("775", Meaning.REFUSED, Reason.LOCKED),
        # Of another one it is not known that it was not counted.
        ("57", Meaning.WRONG, Reason.CREDENTIALS_WRONG),
    ],
)
def test_active_directory_tells_why_in_the_text(code: str, meaning: Meaning, reason: Reason) -> None:
    assert outcome_of(Answer(Code.WRONG, ACTIVE.format(code)))[:2] == (meaning, reason)


@pytest.mark.parametrize(
    ("code", "policy", "meaning", "reason"),
    [
        (Code.SUCCESS, b"", Meaning.GOOD, None),
        (Code.SUCCESS, None, Meaning.GOOD, None),
        (Code.SUCCESS, WARNING, Meaning.GOOD, None),
        (Code.SUCCESS, GRACE, Meaning.REFUSED, Reason.PASSWORD_EXPIRED),
        (Code.SUCCESS, bytes.fromhex("3003810102"), Meaning.REFUSED, Reason.PASSWORD_EXPIRED),
        (Code.SUCCESS, bytes.fromhex("3003810163"), Meaning.REFUSED, Reason.PASSWORD_EXPIRED),
        (Code.SUCCESS, b"\x30", Meaning.NO_ANSWER, Reason.DIRECTORY_DOWN),
        (Code.WRONG, None, Meaning.WRONG, Reason.CREDENTIALS_WRONG),
        (Code.WRONG, b"\x30", Meaning.WRONG, Reason.CREDENTIALS_WRONG),
        (Code.WRONG, bytes.fromhex("3003810100"), Meaning.REFUSED, Reason.PASSWORD_EXPIRED),
        (Code.WRONG, ERROR, Meaning.REFUSED, Reason.LOCKED),
        (Code.NO_SUCH_OBJECT, None, Meaning.WRONG, Reason.CREDENTIALS_WRONG),
        (Code.INVALID_DN, None, Meaning.WRONG, Reason.CREDENTIALS_WRONG),
        (Code.CONSTRAINT, None, Meaning.REFUSED, Reason.LOCKED),
        (Code.UNWILLING, None, Meaning.REFUSED, Reason.DISABLED),
        (Code.BUSY, None, Meaning.NO_ANSWER, Reason.DIRECTORY_DOWN),
        (Code.REFERRAL, None, Meaning.NO_ANSWER, Reason.DIRECTORY_DOWN),
        (8, None, Meaning.NO_ANSWER, Reason.DIRECTORY_DOWN),
    ],
)
def test_other_directories_tell_by_result_and_policy(
    code: int, policy: bytes | None, meaning: Meaning, reason: Reason | None
) -> None:
    found = outcome_of(Answer(code, "", policy))
    assert found.meaning is meaning
    assert reason is None or found.reason is reason


@given(st.integers(1, 200), st.text(max_size=40), st.none() | st.binary(max_size=20))
def test_only_success_is_good(code: int, message: str, policy: bytes | None) -> None:
    assert outcome_of(Answer(code, message, policy)).meaning is not Meaning.GOOD


@given(st.binary(max_size=30))
def test_a_policy_is_read_or_is_none(value: bytes) -> None:
    policy_of(value)


@given(st.integers(0, 2**31 - 1))
def test_numbers_of_a_policy(number: int) -> None:
    digits = number.to_bytes(number.bit_length() // 8 + 1, "big")
    part = b"\x80" + bytes([len(digits)]) + digits
    inner = b"\xa0" + bytes([len(part)]) + part
    assert policy_of(b"\x30" + bytes([len(inner)]) + inner) == Policy(expires_in=number)
