"""Websockets beside the real nats-server: requests, frames, cookies, and what speaks over them.

The real server sends its last frame after a fault of the client only if it comes to it before it
closes the socket; there ours may say more, and never something else.
"""

from __future__ import annotations

import json
import re
import struct
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.broker.mqtt.wire import DISCONNECT, PING, mqtt_connect
from tests.system.broker.transport_scene import (
    COOKIE,
    Heard,
    Line,
    Place,
    Web,
    all_at_once,
    answered,
    connect,
    frame,
    hang_up,
    request,
)

_INFO: Final = re.compile(rb"INFO \{.*?\} \r\n")
_LONG_INFO: Final = re.compile(rb"\x82~..(?=(?:PONG\r\n)?INFO)", re.DOTALL)
_DATE: Final = re.compile(rb"Date: [^\r]*")


@pytest.fixture(scope="module")
def places() -> Iterator[tuple[Place, Place]]:
    """The real server, and ours."""
    block = f'jwt_cookie: "{COOKIE}", headers {{ "X-One": "1" }}'
    with Place("real", websocket=block) as real, Place("ours", websocket=block) as ours:
        yield real, ours


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    hang_up()


def plain(data: bytes) -> bytes:
    """Without what differs from run to run: the date, what INFO tells of the server, and in how many frames it comes."""
    said = _DATE.sub(b"Date:", _INFO.sub(b"INFO", _LONG_INFO.sub(b"\x82~", data)))
    return said.replace(b"\x82\x06PONG\r\n\x82~INFO", b"\x82~PONG\r\nINFO")


# --- requests --------------------------------------------------------------------------------------

REQUESTS: Final[dict[str, bytes]] = {
    "good": request(),
    "mqtt": request("/mqtt"),
    "mqtt below": request("/x/mqtt?a=b"),
    "leaf node": request("/leafnode"),
    "another path": request("/foo/bar?x=1"),
    "an absolute target": request("http://h/mqtt"),
    "a target of no form": request("foo"),
    "a target escaped badly": request("/%zz"),
    "POST": request(method="POST"),
    "POST with a body": request(method="POST", Content_Length="3") + b"abc",
    "HEAD": request(method="HEAD"),
    "a method in small letters": request(method="get"),
    "no host": request(Host=None),
    "an empty host": request(Host=""),
    "a host with a blank": request(Host="a b"),
    "two hosts": request(host="x"),
    "HTTP 1.0": request(version="HTTP/1.0"),
    "HTTP 1.0, no host": request(version="HTTP/1.0", Host=None),
    "HTTP 1.2": request(version="HTTP/1.2"),
    "HTTP 2.0": request(version="HTTP/2.0"),
    "no upgrade": request(Upgrade=None),
    "upgrade among others": request(Upgrade="foo, WebSocket"),
    "no connection": request(Connection=None),
    "connection among others": request(Connection="keep-alive, upgrade"),
    "to be closed": request(Upgrade=None, Connection="close, upgrade"),
    "no key": request(Sec_WebSocket_Key=None),
    "a key of no form": request(Sec_WebSocket_Key="abc"),
    "a short key": request(Sec_WebSocket_Key="eHh4eHh4eHh4eHh4eHh4"),
    "another version": request(Sec_WebSocket_Version="12"),
    "versions": request(Sec_WebSocket_Version="8, 13"),
    "no version": request(Sec_WebSocket_Version=None),
    "no masks": request(Nats_No_Masking="true"),
    "no masks in capitals": request(Nats_No_Masking="TRUE"),
    "compression": request(Sec_WebSocket_Extensions="permessage-deflate"),
    "a protocol": request(Sec_WebSocket_Protocol="nats"),
    "the protocol of mqtt": request(Sec_WebSocket_Protocol="mqtt"),
    "an origin": request(Origin="http://anywhere"),
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\x01\r\n",
    "an empty line first": b"\r\n" + request(),
    "ends of lines": request().replace(b"\r\n", b"\n"),
    "a blank before a colon": request().replace(b"Upgrade:", b"Upgrade :"),
    "no colon": request().replace(b"Upgrade:", b"Upgrade"),
    "a folded line": request().replace(b"Upgrade: websocket", b"Upgrade:\r\n websocket"),
    "a control character": request(X_A="a\x01b"),
    "two keys": request().replace(b"Sec-WebSocket-V", b"Sec-WebSocket-Key: x\r\nSec-WebSocket-V"),
    "two megabytes": request(X_A="a" * 2_000_000),
    "a refusal and a good one": request(Upgrade=None) + request(),
    "more than asked for": request() + frame(b"PING\r\n"),
    "a body": request(Content_Length="3") + b"abc",
    "a body refused": request(Content_Length="3", Upgrade=None) + b"abc",
    "what is expected": request(Expect="100-continue"),
}


def test_requests(places: tuple[Place, Place]) -> None:
    def scene(place: Place) -> dict[str, tuple[bytes, bool]]:
        lines = {name: (Line(place.websocket), data) for name, data in REQUESTS.items()}
        return {name: (plain(each.data), each.closed) for name, each in all_at_once(lines).items()}

    real, ours = map(scene, places)
    assert ours == real


ORIGINS: Final = (
    *("http://place", "http://place:80", "HTTP://PLACE", "https://place", "http://place:81", "http://other"),
    *(
        "null",
        "place",
        "http://",
        "//place",
        "http://place/path",
        "http://u@place",
        "http://one",
        "http://one:90",
    ),
    *("https://two", "https://two:443", "http://two", "http://place:", "http://[::1]", ""),
)


@pytest.mark.parametrize(
    "rules",
    [
        "same_origin: true",
        'allowed_origins: ["http://one:90", "https://two", "http://place"]',
        'same_origin: true, allowed_origins: ["http://one:90", "http://place"]',
    ],
)
def test_origins(rules: str) -> None:
    def scene(place: Place) -> dict[str, bytes]:
        found = {}
        for header in ("Origin", "Sec_WebSocket_Origin"):
            for host in ("place", "place:80", "[::1]"):
                for origin in ORIGINS:
                    with Line(place.websocket) as line:
                        line.send(request(Host=host, **{header: origin}))
                        found[f"{header} {origin} at {host}"] = line.until(answered).split(b"\r\n")[0]
        return found

    with Place("real", websocket=rules) as real, Place("ours", websocket=rules) as ours:
        assert scene(ours) == scene(real)


# --- frames ----------------------------------------------------------------------------------------


def close(status: int, words: bytes = b"") -> bytes:
    return frame(struct.pack(">H", status) + words, opcode=8)


FRAMES: Final[dict[str, bytes]] = {
    "ping of NATS": frame(b"PING\r\n"),
    "as text": frame(b"PING\r\n", opcode=1),
    "in fragments": frame(b"PI", final=False) + frame(b"NG\r\n", opcode=0),
    "a ping between": frame(b"PI", final=False) + frame(b"hi", opcode=9) + frame(b"NG\r\n", opcode=0),
    "the last never comes": frame(b"PING\r\n", final=False),
    "ping": frame(b"abc", opcode=9),
    "ping of nothing": frame(b"", opcode=9),
    "the longest ping": frame(b"a" * 125, opcode=9),
    "pong": frame(b"abc", opcode=10),
    "nothing": frame(b"") + frame(b"PING\r\n"),
    "a long size for little": b"\x82\xfe\x00\x06\0\0\0\0PING\r\n",
    "close": frame(b"", opcode=8),
    "close 1000": close(1000),
    "close 1000 with words": close(1000, b"bye"),
    "close 3000": close(3000, b"bye"),
    "close 1000 with no text": close(1000, b"\xff\xfe"),
    "close with many words": close(1000, b"a" * 123),
    "close, and more": frame(b"PING\r\n") + close(1000) + frame(b"PING\r\n"),
    "too large a message": frame(b"PUB a 2000000\r\n"),
    "too long a line": frame(b"PUB " + b"a" * 5000 + b"\r\n"),
}
FAULTS: Final[dict[str, bytes]] = {
    "no mask": frame(b"PING\r\n", mask=None),
    **{f"reserved {bit:x}": frame(b"PING\r\n", reserved=bit) for bit in (0x40, 0x20, 0x10)},
    "a rest of nothing": frame(b"PING\r\n", opcode=0),
    "two beginnings": frame(b"PI", final=False) + frame(b"NG\r\n"),
    "kind 3": frame(b"", opcode=3),
    "kind 11": frame(b"", opcode=11),
    "too long a ping": frame(b"a" * 126, opcode=9),
    "a ping in parts": frame(b"a", opcode=9, final=False),
    "close of one byte": frame(b"a", opcode=8),
    **{
        f"close {status}": close(status, b"bye")
        for status in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000)
    },
    "a size below nothing": b"\x82\xff\x80" + b"\0" * 7 + b"1234",
    "no operation": frame(b"FOO\r\n"),
    "a message cut wrongly": frame(b"PUB a 3\r\nabcd\r\n"),
}


def opened(place: Place, frames: dict[str, bytes]) -> dict[str, Heard]:
    """Each on a connection that is in."""
    token = place.token()
    lines: dict[str, tuple[Line, bytes]] = {}
    for name, data in frames.items():
        line = Web(place.websocket)
        line.come_in(token)
        lines[name] = (line, data)
    return all_at_once(lines, seconds=0.5)


def test_frames(places: tuple[Place, Place]) -> None:
    real, ours = (opened(place, FRAMES) for place in places)
    assert ours == real


def test_frames_that_none_may_send(places: tuple[Place, Place]) -> None:
    real, ours = (opened(place, FAULTS) for place in places)
    for name, heard in ours.items():
        assert heard.closed
        assert real[name].closed
        assert heard.data.startswith(real[name].data), name
        assert b"\x03\xea" in heard.data, name  # status 1002


def test_a_line_in_many_frames(places: tuple[Place, Place]) -> None:
    data = b"SUB a 1\r\nPUB a 3\r\nxyz\r\nPING\r\n"
    for place in places:
        line = Web(place.websocket)
        line.frame()
        for byte in connect(place.token()) + data:
            line.send(frame(bytes([byte])))
        heard = b""
        while b"PONG\r\n" not in heard:
            heard += line.frame()[1]
        assert heard.startswith(b"MSG a 1 3\r\nxyz\r\nPONG\r\n")


@pytest.mark.parametrize("browser", ["", "Mozilla/5.0"])
def test_browsers_get_short_frames(places: tuple[Place, Place], browser: str) -> None:
    for place in places:
        line = Web(place.websocket, User_Agent=browser or "test")
        line.frame()
        line.send(
            frame(connect(place.token()) + b"SUB a 1\r\nPUB a 9000\r\n" + b"x" * 9000 + b"\r\nPING\r\n")
        )
        sizes, heard = [], b""
        while b"PONG" not in heard:
            first, payload = line.frame()
            assert first == 0x82
            sizes.append(len(payload))
            heard += payload
        assert heard.startswith(b"MSG a 1 9000\r\n" + b"x" * 9000)
        assert (max(sizes) <= 4096) is bool(browser)


# --- who comes in ----------------------------------------------------------------------------------


def test_tokens_types_and_cookies(places: tuple[Place, Place]) -> None:
    def scene(place: Place) -> dict[str, tuple[bytes, bool]]:
        token, (_, signing) = place.token(), place.user(bearer=False)
        cookies = {
            "cookie": f"{COOKIE}={token}",
            "among others": f"a=b; {COOKIE}={token}; c=d",
            "in quotes": f'a=b; {COOKIE}="{token}"',
            "first wrong": f"{COOKIE}=x; {COOKIE}={token}",
            "first right": f"{COOKIE}={token}; {COOKIE}=x",
            "in capitals": f"{COOKIE.upper()}={token}",
            "of one who signs": f"{COOKIE}={signing}",
        }
        lines: dict[str, tuple[Line, bytes]] = {
            name: (Web(place.websocket, Cookie=cookie), frame(connect() + b"PING\r\n"))
            for name, cookie in cookies.items()
        }
        both = {
            "the cookie is no good": (token, "x"),
            "the token is no good": ("x", token),
        }
        for name, (said, cookie) in both.items():
            lines[name] = (
                Web(place.websocket, Cookie=f"{COOKIE}={cookie}"),
                frame(connect(said) + b"PING\r\n"),
            )
        for types in (("WEBSOCKET",), ("STANDARD",), ("MQTT_WS",), ("websocket", "MQTT")):
            given = place.token(allowed_connection_types=types)
            lines[f"types {types}"] = Web(place.websocket), frame(connect(given) + b"PING\r\n")
        lines["no connect"] = Web(place.websocket), frame(b"PING\r\n")
        lines["no masks"] = (
            Web(place.websocket, Nats_No_Masking="true"),
            frame(connect(token) + b"PING\r\n", mask=None),
        )
        lines["masks nevertheless"] = Web(place.websocket, Nats_No_Masking="true"), frame(connect(token))
        lines["forwarded"] = (
            Web(place.websocket, X_Forwarded_For="1.2.3.4"),
            frame(connect(place.token(src=("1.2.3.4/32",))) + b"PING\r\n"),
        )
        return {name: (plain(each.data), each.closed) for name, each in all_at_once(lines).items()}

    real, ours = map(scene, places)
    assert ours == real
    violation = b"\x82 -ERR 'Authorization Violation'\r\n\x88\x18\x03\xf0Authentication Failure"
    assert ours["types ('STANDARD',)"][0].endswith(violation)


@pytest.mark.parametrize("path", ["/", "/mqtt"])
def test_silence_ends_it(places: tuple[Place, Place], path: str) -> None:
    found = []
    for place in places:
        line = Web(place.websocket, path)
        start = time.monotonic()
        found.append(plain(line.hear(quiet=3, first=3).data))
        assert abs(time.monotonic() - start - 2) < 0.5
    assert found[1] == found[0]


def test_mqtt_over_it(places: tuple[Place, Place]) -> None:
    def scene(place: Place) -> dict[str, Heard]:
        token = place.token()
        scripts = {
            "in": frame(mqtt_connect("m1", password=token)) + frame(PING[:1]) + frame(PING[1:]),
            "out": frame(mqtt_connect("m2", password=token) + DISCONNECT),
            "a token in the cookie": frame(mqtt_connect("m3")),
            **{
                str(types): frame(
                    mqtt_connect(f"m{at}", password=place.token(allowed_connection_types=types))
                )
                for at, types in enumerate((("MQTT",), ("MQTT_WS",), ("WEBSOCKET",)), 4)
            },
        }
        lines: dict[str, tuple[Line, bytes]] = {
            name: (Web(place.websocket, "/mqtt", Cookie=f"{COOKIE}={token}"), data)
            for name, data in scripts.items()
        }
        return all_at_once(lines)

    def joined(heard: Heard) -> tuple[bytes, bool]:
        # How many frames it takes is a matter of when the answers are ready.
        return heard.data.replace(b"\x00\x82\x02", b"\x00").replace(b"\x82\x06", b"\x82\x04"), heard.closed

    real, ours = ({name: joined(each) for name, each in scene(place).items()} for place in places)
    assert ours == real


def test_what_info_says(places: tuple[Place, Place]) -> None:
    for place in places:
        line = Web(place.websocket)
        first = json.loads(line.frame()[1].removeprefix(b"INFO "))
        line.send(frame(connect(place.token()) + b"PING\r\n"))
        said = line.until_said(b"} \r\n")
        second = json.loads(said.removeprefix(b"PONG\r\nINFO "))
        for info in (first, second):
            assert (info["host"], info["port"]) == ("127.0.0.1", place.websocket)
            assert "tls_required" not in info
        assert second["connect_info"] is True


def test_what_monitoring_shows(places: tuple[Place, Place]) -> None:
    def scene(place: Place) -> Any:
        line = Web(place.websocket)
        line.frame()
        line.send(frame(connect(place.token(), name="shown") + b"SUB a 1\r\nPING\r\n"))
        line.frame()
        shown = next(each for each in place.connections() if each.get("name") == "shown")
        return {name: shown.get(name) for name in ("kind", "type", "subscriptions", "ip")}

    real, ours = map(scene, places)
    assert ours == real


# --- where they differ on purpose (docs/broker/differences.md) -------------------------------------


def test_a_path_that_is_not_tidy(places: tuple[Place, Place]) -> None:
    """nats-server sends the client to the tidy one; nobody's library follows."""
    found = []
    for place in places:
        line = Line(place.websocket)
        line.send(request("/a/../b"))
        found.append(line.until(answered).split(b"\r\n")[0])
    assert found == [b"HTTP/1.1 307 Temporary Redirect", b"HTTP/1.1 101 Switching Protocols"]


def test_a_request_of_many_words(places: tuple[Place, Place]) -> None:
    """Up to a megabyte waits in nats-server's memory for its end; ours takes 64 kB."""
    found = []
    for place in places:
        line = Line(place.websocket)
        line.send(request(X_A="a" * 100_000))
        found.append(line.until(answered).split(b"\r\n")[0])
    assert found == [b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 431 Request Header Fields Too Large"]


def test_a_request_that_does_not_end(places: tuple[Place, Place]) -> None:
    """Unless the configuration says handshake_timeout, nats-server waits for ever; ours two seconds."""
    lines = [Line(place.websocket) for place in places]
    for line in lines:
        line.send(request()[:40])
    time.sleep(2.5)
    assert [line.hear(first=0.1).closed for line in lines] == [False, True]
