"""What the answer to a login's bind means: who let in, who not and why, and whether it was a failure.

Sources: RFC 4511 §4.1.9 (results), RFC 4513 §5.1, MS-ADTS §3.1.1.5.1 and the codes Windows puts into the
text of a refusal, draft-behera-ldap-password-policy-10 §6.2 (the answer's control).
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from callout.directories.ldap.port import Answer, Code
from callout.refusals import Reason

_ACTIVE_CODE: Final = re.compile(r"AcceptSecurityContext error, data ([0-9a-f]{1,8})\b")


class Meaning(Enum):
    """What a bind came to."""

    GOOD = "good"
    WRONG = "wrong"
    """Refused for the password: the directory has counted it."""
    REFUSED = "refused"
    """Refused for another reason; it says nothing of the password, and is not counted."""
    NO_ANSWER = "no answer"
    """The directory cannot say now."""


class Outcome(NamedTuple):
    """The meaning, and for a refusal its reason and words for the operator."""

    meaning: Meaning
    reason: Reason = Reason.CREDENTIALS_WRONG
    message: str = ""


_ACTIVE: Final = {
    0x525: Outcome(Meaning.WRONG, Reason.CREDENTIALS_WRONG, "no such user (525)"),
    0x52E: Outcome(Meaning.WRONG, Reason.CREDENTIALS_WRONG, "wrong password or no such user (52e)"),
    0x530: Outcome(Meaning.REFUSED, Reason.NOT_PERMITTED, "not at this time of day (530)"),
    0x531: Outcome(Meaning.REFUSED, Reason.NOT_PERMITTED, "not from this machine (531)"),
    0x532: Outcome(Meaning.REFUSED, Reason.PASSWORD_EXPIRED, "the password has expired (532)"),
    0x533: Outcome(Meaning.REFUSED, Reason.DISABLED, "the account is disabled (533)"),
    0x568: Outcome(Meaning.REFUSED, Reason.NOT_PERMITTED, "too many security ids (568)"),
    0x701: Outcome(Meaning.REFUSED, Reason.EXPIRED, "the account has expired (701)"),
    0x773: Outcome(Meaning.REFUSED, Reason.PASSWORD_EXPIRED, "the password must be changed first (773)"),
    0x775: Outcome(Meaning.REFUSED, Reason.LOCKED, "the directory has locked the account (775)"),
}
_POLICY: Final = {
    0: Outcome(Meaning.REFUSED, Reason.PASSWORD_EXPIRED, "the password has expired"),
    1: Outcome(Meaning.REFUSED, Reason.LOCKED, "the directory has locked the account"),
    2: Outcome(Meaning.REFUSED, Reason.PASSWORD_EXPIRED, "the password must be changed first"),
}
_BY_CODE: Final = {
    Code.CONSTRAINT: Outcome(Meaning.REFUSED, Reason.LOCKED, "the directory takes no more tries now"),
    Code.NO_SUCH_OBJECT: Outcome(Meaning.WRONG, Reason.CREDENTIALS_WRONG, "there is no such entry"),
    Code.INVALID_DN: Outcome(Meaning.WRONG, Reason.CREDENTIALS_WRONG, "that is nobody's name"),
    Code.INAPPROPRIATE_AUTH: Outcome(Meaning.WRONG, Reason.CREDENTIALS_WRONG, "the entry has no password"),
    Code.UNWILLING: Outcome(Meaning.REFUSED, Reason.DISABLED, "the directory is not willing to let it in"),
}


class Policy(NamedTuple):
    """The answer of a password policy."""

    expires_in: int | None = None
    grace: int | None = None
    """Logins left although the password has expired."""
    error: int | None = None


def outcome_of(answer: Answer) -> Outcome:
    """What a bind's answer means; what is not known to be good is not."""
    policy = policy_of(answer.policy)
    if answer.code == Code.SUCCESS:
        if policy is None:
            return Outcome(Meaning.NO_ANSWER, Reason.DIRECTORY_DOWN, "its password policy cannot be read")
        if policy.error is not None:
            return _POLICY.get(policy.error, _POLICY[2])
        if policy.grace is not None:
            # We cannot change it for its owner, and each of our logins would use one of the last ones up.
            return Outcome(
                Meaning.REFUSED, Reason.PASSWORD_EXPIRED, "the password has expired; grace logins left"
            )
        return Outcome(Meaning.GOOD)
    if answer.code == Code.WRONG:
        if (found := _ACTIVE_CODE.search(answer.message)) is not None:
            known = _ACTIVE.get(int(found[1], 16))
            return known or Outcome(Meaning.WRONG, Reason.CREDENTIALS_WRONG, f"refused with code {found[1]}")
        if policy is not None and policy.error in _POLICY:
            return _POLICY[policy.error]
        return Outcome(Meaning.WRONG, Reason.CREDENTIALS_WRONG, "wrong password")
    if answer.code in _BY_CODE:
        return _BY_CODE[Code(answer.code)]
    return Outcome(Meaning.NO_ANSWER, Reason.DIRECTORY_DOWN, f"it answered a bind with result {answer.code}")


def policy_of(value: bytes | None) -> Policy | None:
    """What the control says; no control says nothing, one that cannot be read is None.

    PasswordPolicyResponseValue ::= SEQUENCE {
        warning [0] CHOICE { timeBeforeExpiration [0] INTEGER, graceAuthNsRemaining [1] INTEGER } OPTIONAL,
        error   [1] ENUMERATED OPTIONAL }
    """
    if not value:
        return Policy()
    try:
        tag, content, rest = _element(value)
        if tag != 0x30 or rest:
            return None
        policy = Policy()
        while content:
            tag, part, content = _element(content)
            if tag == 0xA0:
                inner, number, more = _element(part)
                if more or inner not in {0x80, 0x81}:
                    return None
                policy = policy._replace(**{"expires_in" if inner == 0x80 else "grace": _integer(number)})
            elif tag == 0x81:
                policy = policy._replace(error=_integer(part))
            else:
                return None
    except ValueError:
        return None
    return policy


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows (BER, definite lengths)."""
    if len(data) < 2:
        raise ValueError("too short")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        if not 2 < start <= min(len(data), 6):
            raise ValueError("no length")
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError("too short")
    return data[0], data[start : start + length], data[start + length :]


def _integer(data: bytes) -> int:
    if not 1 <= len(data) <= 5:
        raise ValueError("no number")
    return int.from_bytes(data, "big", signed=True)
