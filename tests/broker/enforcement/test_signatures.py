from __future__ import annotations

import base64

import pytest

from broker.enforcement.signatures import signature_bytes, signature_holds
from issuer.keys.nkeys import Role, Seed

USER = Seed.from_raw(Role.USER, bytes([6]) * 32)
NONCE = "vZ0nEtpLIhY7pXw"
# Bytes whose base64 shows both letters in which the alphabets differ.
RAW = b"\xfb\xff\xfe" * 21 + b"\xfb"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (base64.urlsafe_b64encode(RAW).rstrip(b"=").decode(), True),
        (base64.b64encode(RAW).decode(), True),
        (base64.urlsafe_b64encode(RAW).decode(), False),
        (base64.b64encode(RAW).rstrip(b"=").decode(), False),
        (base64.urlsafe_b64encode(RAW).rstrip(b"=").decode()[:-1] + "?", False),
        ("a", False),
        ("é", False),
    ],
)
def test_which_spellings_of_a_signature_are_read(text: str, *, read: bool) -> None:
    assert signature_bytes(text) == (RAW if read else None)


def test_line_ends_inside_count_for_nothing() -> None:
    text = base64.urlsafe_b64encode(RAW).rstrip(b"=").decode()
    assert signature_bytes(text[:20] + "\r\n" + text[20:] + "\n") == RAW


def test_the_text_of_the_nonce_is_signed() -> None:
    good = base64.b64encode(USER.sign(NONCE.encode())).decode()
    assert signature_holds(USER.public, NONCE, good)
    assert not signature_holds(USER.public, NONCE + "x", good)
    assert not signature_holds(USER.public, NONCE, "AAAA")
    assert not signature_holds(USER.public, NONCE, "")
    assert not signature_holds(Seed.generate(Role.USER).public, NONCE, good)
