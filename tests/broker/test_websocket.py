"""Frames: read whole, byte by byte, and with the next ones behind them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol.texts import Closed
from broker.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Answer,
    Ended,
    Event,
    Frames,
    close_frame,
    frame,
    frames_for_browser,
    last_frame,
)

KEY = b"\x0b\xad\xf0\x0d"


def sent(
    payload: bytes = b"",
    *,
    opcode: int = BINARY,
    final: bool = True,
    key: bytes | None = KEY,
    reserved: int = 0,
) -> bytes:
    """A frame as a client sends it."""
    bit = 0 if key is None else 0x80
    head = bytes([(0x80 if final else 0) | reserved | opcode])
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if key is None:
        return head + payload
    return head + key + bytes(byte ^ key[at & 3] for at, byte in enumerate(payload))


def read(*parts: bytes, masked: bool = True) -> list[Event]:
    """What a reader makes of these parts; payloads that follow each other are one."""
    frames = Frames(masked=masked)
    found: list[Event] = []
    for part in parts:
        for event in frames.feed(part):
            if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
                found[-1] += event
            else:
                found.append(event)
    return found


def every_way(data: bytes, *, masked: bool = True) -> list[Event]:
    """The same whole and byte by byte, with nothing lost behind it."""
    whole = read(data, masked=masked)
    assert read(*(bytes([byte]) for byte in data), masked=masked) == whole
    return whole


def closing(status: int, text: bytes = b"") -> bytes:
    return sent(struct.pack(">H", status) + text, opcode=CLOSE)


def faulty(words: str) -> Ended:
    return Ended(close_frame(1002, words), words)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 127, 4096, 65_535, 65_536, 70_001])
@pytest.mark.parametrize("key", [KEY, b"\0\0\0\0", None])
def test_a_payload_comes_out_as_it_went_in(size: int, key: bytes | None) -> None:
    payload = bytes(at * 7 & 0xFF for at in range(size))
    masked = key is not None
    assert read(sent(payload, key=key), masked=masked) == ([payload] if payload else [])


def test_payloads_go_on_before_their_frame_is_over() -> None:
    frames = Frames()
    data = sent(b"PUB a 1\r\nx\r\n")
    assert frames.feed(data[:10]) == [b"PUB "]
    assert frames.feed(data[10:]) == [b"a 1\r\nx\r\n"]


def test_a_length_costs_nothing() -> None:
    frames = Frames()
    assert frames.feed(b"\x82\xff\x7f" + b"\xff" * 7 + b"\0\0\0\0abc") == [b"abc"]
    assert frames.feed(b"def") == [b"def"]


def test_text_is_taken_as_it_is() -> None:
    assert every_way(sent(b"\xff\xfe", opcode=TEXT)) == [b"\xff\xfe"]


def test_fragments_and_what_may_come_between_them() -> None:
    data = sent(b"PI", final=False) + sent(b"hi", opcode=PING) + sent(b"NG\r\n", opcode=CONTINUATION)
    assert every_way(data) == [b"PI", Answer(b"\x8a\x02hi"), b"NG\r\n"]


@pytest.mark.parametrize("payload", [b"", b"abc", b"a" * 125])
def test_a_ping_is_answered_with_the_same(payload: bytes) -> None:
    assert every_way(sent(payload, opcode=PING)) == [Answer(bytes([0x8A, len(payload)]) + payload)]


def test_a_pong_means_nothing() -> None:
    assert every_way(sent(b"abc", opcode=PONG)) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (sent(b"x", reserved=0x20), "RSV2 and RSV3 must be clear"),
        (sent(b"x", reserved=0x10), "RSV2 and RSV3 must be clear"),
        (
            sent(b"x", reserved=0x40),
            "compressed frame received without negotiated permessage-deflate",
        ),
        (sent(b"x", key=None), "mask bit missing"),
        (sent(b"x", opcode=CONTINUATION), "invalid continuation frame"),
        (sent(b"x", opcode=3), "unknown opcode 3"),
        (sent(b"x", opcode=11), "unknown opcode 11"),
        (
            sent(b"a" * 126, opcode=PING),
            "control frame length bigger than maximum allowed of 125 bytes",
        ),
        (sent(b"a", opcode=PING, final=False), "control frame does not have final bit set"),
        (sent(b"a", opcode=CLOSE), "close frame payload cannot be 1 byte"),
        (b"\x82\xff\x80" + b"\0" * 7 + KEY, "invalid 64-bit payload length"),
    ],
)
def test_what_no_client_may_send_ends_it(data: bytes, words: str) -> None:
    assert every_way(data + sent(b"more")) == [faulty(words)]


def test_a_message_begun_must_be_ended_first() -> None:
    words = "new message started before final frame for previous message was received"
    assert every_way(sent(b"PI", final=False) + sent(b"NG")) == [b"PI", faulty(words)]


@pytest.mark.parametrize("status", [1000, 1001, 1003, 1007, 1008, 1011, 1014, 3000, 4999])
def test_a_close_is_answered_with_the_same(status: int) -> None:
    assert every_way(closing(status, b"bye") + sent(b"more")) == [Ended(close_frame(status, "bye"))]
    assert every_way(closing(status)) == [Ended(close_frame(status))]


def test_a_close_without_a_word_is_answered_without_one() -> None:
    assert every_way(sent(opcode=CLOSE)) == [Ended(b"\x88\x00")]


@pytest.mark.parametrize("status", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])
def test_a_close_that_none_may_send(status: int) -> None:
    assert every_way(closing(status, b"bye")) == [faulty(f"invalid close status code {status}")]


def test_a_close_whose_words_are_no_text() -> None:
    expected = Ended(close_frame(1007, "invalid utf8 body in close frame"))
    assert every_way(closing(1000, b"\xff")) == [expected]


def test_nothing_is_read_after_the_end() -> None:
    frames = Frames()
    frames.feed(sent(opcode=CLOSE))
    assert frames.ended
    assert frames.feed(sent(b"x")) == []


def test_without_masks_the_bit_is_not_looked_at() -> None:
    # As on the server: what would be the mask is payload then, and spoils what follows.
    assert read(sent(b"x"), masked=False)[0] == KEY[:1]
    assert every_way(sent(b"xyz", key=None), masked=False) == [b"xyz"]


payloads = st.binary(max_size=300)


@given(
    st.lists(st.tuples(payloads, st.binary(min_size=4, max_size=4)), max_size=6),
    st.lists(st.integers(0, 2000), max_size=6),
)
def test_however_it_is_cut(messages: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    data = b"".join(sent(payload, key=key) for payload, key in messages)
    places = sorted({min(cut, len(data)) for cut in cuts})
    parts = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    found = read(*parts)
    assert all(isinstance(event, bytes) for event in found)
    assert b"".join(e for e in found if isinstance(e, bytes)) == b"".join(p for p, _ in messages)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_the_same_way_however_they_come(data: bytes) -> None:
    every_way(data)


@given(st.binary(max_size=70_000))
def test_what_is_written_can_be_read(payload: bytes) -> None:
    assert read(frame(payload), masked=False) == ([payload] if payload else [])
    assert read(frames_for_browser(payload), masked=False) == ([payload] if payload else [])


def test_frames_for_a_browser_are_short() -> None:
    data = frames_for_browser(b"x" * 9000)
    assert data[:4] == b"\x82\x7e\x10\x00"
    assert len(data) == 9000 + 3 * 4


def test_words_too_long_for_a_close_are_cut() -> None:
    assert close_frame(1000, "a" * 123)[4:] == b"a" * 123
    assert close_frame(1000, "a" * 124)[4:] == b"a" * 120 + b"..."


@pytest.mark.parametrize(
    ("closed", "status"),
    [
        (Closed.CLIENT_CLOSED, 1000),
        (Closed.AUTHENTICATION_FAILURE, 1008),
        (Closed.MAX_PAYLOAD, 1009),
        (Closed.PROTOCOL_VIOLATION, 1002),
        (Closed.SERVER_SHUTDOWN, 1001),
        (Closed.KICKED, 1011),
        (Closed.DUPLICATE_CLIENT_ID, 1011),
    ],
)
def test_the_last_frame_says_why(closed: Closed, status: int) -> None:
    assert last_frame(closed) == close_frame(status, closed.value)


def test_where_nothing_arrives_nothing_is_said() -> None:
    assert last_frame(Closed.READ_ERROR) == b""
    assert last_frame(Closed.SLOW_CONSUMER_PENDING) == b""
