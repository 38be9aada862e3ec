"""Requests to open a websocket: read whole and byte by byte, with others behind them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.websocket_upgrade import MAX_REQUEST, Reply, Rules, Upgrade, accept_key

NOW = 1_795_444_027.4  # Mon, 23 Nov 2026 14:27:07 GMT
KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="
OPEN = Rules(mqtt=True)
WELCOME = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: BACScCJPNqyz+UBoqMH89VmURoA=\r\n"
)


def request(path: str = "/", *, method: str = "GET", version: str = "HTTP/1.1", **headers: Any) -> bytes:
    """A good request, but for what is said; underscores stand for dashes, None leaves a header out."""
    said: dict[str, str | None] = {
        "Host": "place:80",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"{name}: {value}" for name, value in said.items() if value is not None]
    return "\r\n".join([f"{method} {path} {version}", *lines, "", ""]).encode("latin-1")


def refusal(status: str, *, last: bool = False) -> bytes:
    words = status.partition(" ")[2] + "\n"
    close = "Connection: close\r\n" if last else ""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nSec-Websocket-Version: 13\r\n"
        "X-Content-Type-Options: nosniff\r\nDate: Mon, 23 Nov 2026 14:27:07 GMT\r\n"
        f"Content-Length: {len(words)}\r\n{close}\r\n{words}"
    ).encode()


def plainly(status: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    return (head + status).encode()


def answer(data: bytes, rules: Rules = OPEN) -> Reply:
    """The reply, which is the same when the request comes byte by byte."""
    whole = Upgrade(rules).feed(data, now=NOW)
    assert whole is not None
    slow = Upgrade(rules)
    for at in range(len(data) - 1):
        early = slow.feed(data[at : at + 1], now=NOW)
        assert early is None
    assert slow.feed(data[-1:], now=NOW) == whole
    return whole


def opened(rules: Rules = OPEN, path: str = "/", **headers: Any) -> Any:
    reply = answer(request(path, **headers), rules)
    assert reply.opened is not None, reply
    return reply.opened


def test_the_proof_is_that_of_the_standard() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_good_request_is_welcome() -> None:
    reply = answer(request())
    assert reply.data == WELCOME + b"\r\n"
    assert not reply.last
    assert reply.opened is not None
    assert (reply.opened.way, reply.opened.masked, reply.opened.browser) == ("nats", True, False)


@pytest.mark.parametrize("path", ["/", "/foo/bar?x=1", "/mqttx", "/?a=/mqtt", "http://h/", "/%6dqtt"])
def test_most_paths_lead_to_nats(path: str) -> None:
    assert opened(path=path).way == "nats"


@pytest.mark.parametrize("path", ["/mqtt", "/x/mqtt", "/mqtt?x=1", "http://h/mqtt"])
def test_mqtt_has_a_path(path: str) -> None:
    reply = answer(request(path))
    assert reply.data == WELCOME + b"Sec-Websocket-Protocol: mqtt\r\n\r\n"
    assert reply.opened is not None
    assert reply.opened.way == "mqtt"


def test_mqtt_that_is_not_there() -> None:
    reply = answer(request("/mqtt"), Rules())
    assert (reply.data, reply.last) == (refusal("404 Not Found"), False)


def test_leaf_nodes_are_greeted_and_sent_away() -> None:
    reply = answer(request("/leafnode"))
    assert (reply.data, reply.opened, reply.last) == (WELCOME + b"\r\n", None, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": ""}, "400 Bad Request"),
        ({"Upgrade": None}, "400 Bad Request"),
        ({"Upgrade": "web socket"}, "400 Bad Request"),
        ({"Connection": None}, "400 Bad Request"),
        ({"Connection": "keep-alive"}, "400 Bad Request"),
        ({"Sec_WebSocket_Key": None}, "400 Bad Request"),
        ({"Sec_WebSocket_Key": "abc"}, "400 Bad Request"),
        ({"Sec_WebSocket_Key": "eHh4eHh4eHh4eHh4eHh4"}, "400 Bad Request"),
        ({"Sec_WebSocket_Version": None}, "400 Bad Request"),
        ({"Sec_WebSocket_Version": "12"}, "400 Bad Request"),
        ({"method": "POST"}, "405 Method Not Allowed"),
        ({"method": "get"}, "405 Method Not Allowed"),
    ],
)
def test_what_is_missing_is_refused(headers: dict[str, Any], status: str) -> None:
    reply = answer(request(**headers))
    assert (reply.data, reply.last, reply.opened) == (refusal(status), False, None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Upgrade": "foo, WebSocket"},
        {"Connection": "keep-alive, upgrade"},
        {"Sec_WebSocket_Version": "8, 13"},
        {"Sec_WebSocket_Protocol": "nats"},
        {"Sec_WebSocket_Extensions": "permessage-deflate"},
        {"version": "HTTP/1.0"},
        {"version": "HTTP/1.2"},
        {"Expect": "100-continue"},
    ],
)
def test_what_makes_no_difference(headers: dict[str, Any]) -> None:
    assert answer(request(**headers)).data == WELCOME + b"\r\n"


def test_heads_get_no_body() -> None:
    assert (
        answer(request(method="HEAD")).data
        == refusal("405 Method Not Allowed")[: -len("Method Not Allowed\n")]
    )


def test_who_closes_is_answered_first() -> None:
    reply = answer(request(Upgrade=None, Connection="close"))
    assert (reply.data, reply.last) == (refusal("400 Bad Request", last=True), True)


def test_old_http_is_answered_in_its_version() -> None:
    reply = answer(request(version="HTTP/1.0", Host=None))
    assert reply.data == refusal("400 Bad Request").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert reply.last


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", "400 Bad Request"),
        (b"\r\n\r\n", "400 Bad Request"),
        (request("foo"), "400 Bad Request"),
        (request("*"), "400 Bad Request"),
        (request("/%zz"), "400 Bad Request"),
        (request(version="HTTP/x"), "400 Bad Request"),
        (request(method="G(T"), "400 Bad Request"),
        (
            request(version="HTTP/2.0"),
            "505 HTTP Version Not Supported: unsupported protocol version",
        ),
        (request(Host=None), "400 Bad Request: missing required Host header"),
        (request(Host="a b"), "400 Bad Request: malformed Host header"),
        (request(host="b"), "400 Bad Request"),
        (request(X_A="a\x01b"), "400 Bad Request"),
        (request().replace(b"Upgrade:", b"Upgrade :", 1), "400 Bad Request: invalid header name"),
        (request().replace(b"Upgrade:", b"Upgrade", 1), "400 Bad Request"),
        (request().replace(b"Host", b" Host", 1), "400 Bad Request"),
    ],
)
def test_what_is_no_http_ends_it(data: bytes, status: str) -> None:
    reply = Upgrade(OPEN).feed(data, now=NOW)
    assert reply is not None
    assert (reply.data, reply.last) == (plainly(status), True)


def test_lines_may_end_and_fold_as_they_like() -> None:
    assert answer(request().replace(b"\r\n", b"\n")).opened is not None
    assert answer(request().replace(b"Upgrade: websocket", b"Upgrade:\r\n websocket")).opened is not None


def test_of_two_keys_the_first_counts() -> None:
    data = request().replace(b"Sec-WebSocket-Version", b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version")
    assert answer(data).data == WELCOME + b"\r\n"


@pytest.mark.parametrize("data", [request(X_A="a" * MAX_REQUEST), b"GET /" + b"a" * MAX_REQUEST])
def test_a_request_has_its_measure(data: bytes) -> None:
    reply = Upgrade(OPEN).feed(data, now=NOW)
    assert reply is not None
    assert (reply.data, reply.last) == (plainly("431 Request Header Fields Too Large"), True)


def test_who_speaks_too_early_is_cut_off() -> None:
    reply = Upgrade(OPEN).feed(request() + b"\x82", now=NOW)
    assert reply is not None
    assert (reply.data, reply.opened, reply.last) == (b"", None, True)


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_after_a_refusal_the_next_request_is_read(body: bytes) -> None:
    first = request(Upgrade=None, Content_Length=str(len(body))) + body
    upgrade = Upgrade(OPEN)
    refused = upgrade.feed(first + request(), now=NOW)
    assert refused is not None
    assert not refused.last
    welcome = upgrade.feed(b"", now=NOW)
    assert welcome is not None
    assert welcome.opened is not None


@pytest.mark.parametrize(
    "headers", [{"Content_Length": "x"}, {"Content_Length": "9999999"}, {"Transfer_Encoding": "chunked"}]
)
def test_a_body_that_is_not_read_ends_it(headers: dict[str, str]) -> None:
    reply = answer(request(Upgrade=None, **headers))
    assert (reply.data, reply.last) == (refusal("400 Bad Request", last=True), True)


def test_no_masks_if_asked() -> None:
    reply = answer(request(Nats_No_Masking="true"))
    assert reply.data == WELCOME + b"Nats-No-Masking: true\r\n\r\n"
    assert reply.opened is not None
    assert not reply.opened.masked
    assert opened(Nats_No_Masking="TRUE").masked


def test_what_the_listener_adds() -> None:
    reply = answer(request(), Rules(headers={"X-One": "1", "X-Two": "a b"}))
    assert reply.data == WELCOME + b"X-One: 1\r\nX-Two: a b\r\n\r\n"


def test_browsers_are_known() -> None:
    assert opened(User_Agent="Mozilla/5.0 (X11)").browser
    assert not opened(User_Agent="curl Mozilla/5.0").browser


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::1", "::1"),
        ("1.2.3.4, 5.6.7.8", ""),
        ("1.2.3.4:80", ""),
        ("fe80::1%eth0", ""),
        ("name", ""),
    ],
)
def test_one_forwarded_address_is_taken(said: str, taken: str) -> None:
    assert opened(X_Forwarded_For=said).forwarded_for == taken


@pytest.mark.parametrize(
    ("said", "token"),
    [
        ("access=tok", "tok"),
        ("a=b; access=tok; c=d", "tok"),
        ('access="tok"', "tok"),
        ("access=x; access=tok", "tok"),
        ("ACCESS=tok", ""),
        ("access", ""),
        ("access=a\\b", ""),
        ("access=t=k", "t=k"),
        ("xaccess=tok", ""),
    ],
)
def test_a_cookie_may_hold_the_token(said: str, token: str) -> None:
    assert opened(Rules(jwt_cookie="access"), Cookie=said).token == token


def test_without_a_name_no_cookie_is_taken() -> None:
    assert opened(Cookie="=tok; access=tok").token == ""


def test_a_token_is_not_shown() -> None:
    assert "tok" not in repr(opened(Rules(jwt_cookie="access"), Cookie="access=tok"))


SAME = Rules(same_origin=True)
LISTED = Rules(allowed_origins=("http://one:90", "https://two"))


@pytest.mark.parametrize(
    ("rules", "host", "origin", "allowed"),
    [
        (SAME, "place:80", None, True),
        (SAME, "place:80", "http://place", True),
        (SAME, "place", "http://place:80", True),
        (SAME, "PLACE", "HTTP://Place", True),
        (SAME, "place:81", "http://place", False),
        (SAME, "place", "https://place", False),
        (SAME, "place:443", "https://place", False),
        (SAME, "place", "http://other", False),
        (SAME, "place", "null", False),
        (SAME, "place", "place", False),
        (SAME, "place", "http://place:x", False),
        (SAME, "[::1]:80", "http://[::1]:80", True),
        (SAME, "[::1]", "http://[::1]", True),
        (Rules(same_origin=True, tls=True), "place", "https://place:443", True),
        (Rules(same_origin=True, tls=True), "place", "http://place", False),
        (LISTED, "x", None, True),
        (LISTED, "x", "http://one:90", True),
        (LISTED, "x", "http://ONE:90", True),
        (LISTED, "x", "http://one", False),
        (LISTED, "x", "https://two:443", True),
        (LISTED, "x", "http://two:443", False),
        (LISTED, "x", "https://three", False),
        (Rules(same_origin=True, allowed_origins=("http://one",)), "one", "http://one", True),
        (Rules(same_origin=True, allowed_origins=("http://one",)), "two", "http://two", False),
        (Rules(same_origin=True, allowed_origins=("http://one",)), "two", "http://one", False),
        (OPEN, "place", "http://anywhere", True),
    ],
)
@pytest.mark.parametrize("header", ["Origin", "Sec_WebSocket_Origin"])
def test_origins(rules: Rules, host: str, origin: str | None, header: str, *, allowed: bool) -> None:
    said: dict[str, Any] = {"Host": host, header: origin}
    reply = answer(request(**said), rules)
    assert (reply.opened is not None) is allowed
    if not allowed:
        assert reply.data == refusal("403 Forbidden")


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer_or_wait(data: bytes) -> None:
    reply = Upgrade(OPEN).feed(data, now=NOW)
    assert reply is None or reply.opened is None


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40))
def test_any_header_may_come_along(value: str) -> None:
    answer(request(X_A=value, Cookie=value, Origin=value, X_Forwarded_For=value), Rules(jwt_cookie="a"))
