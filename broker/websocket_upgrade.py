"""The request of HTTP that opens a websocket, and its answer (RFC 6455 §4.2), as nats-server judges it.

No I/O. A request that is refused may be followed by a better one on the same connection.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

Way = Literal["nats", "mqtt"]

MAX_REQUEST: Final = 65_536
"""Bytes of a request's line and headers."""
MAX_BODY: Final = 65_536
"""Bytes of a body that are read past, to answer the request behind it."""
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES: Final = 16
_MQTT_PATH: Final = "/mqtt"
_LEAF_PATH: Final = "/leafnode"
_SCHEME_PORTS: Final = {True: "443", False: "80"}

_REQUEST_LINE: Final = re.compile(r"([!-~]+) ([!-~\x80-\xff]+) (HTTP/\d\.\d)")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)([^?#]*)")
_HOST: Final = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:\[\]%]*")
_AUTHORITY: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]*\]|[^\[\]:]*)(?::\d*)?")
_COOKIE: Final = re.compile(r"[ !#-:<-\[\]-~]*")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_REASONS: Final = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    505: "HTTP Version Not Supported",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a listener asks of requests."""

    same_origin: bool = False
    allowed_origins: tuple[str, ...] = ()
    jwt_cookie: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    mqtt: bool = False
    """MQTT clients may come this way."""
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A websocket that is open: what speaks over it, and what its request said."""

    way: Way
    masked: bool
    browser: bool
    token: str = field(repr=False)
    """The value of the cookie that may hold a user's token."""
    forwarded_for: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send. Without `opened` it is a refusal; `last` ends the connection after it.

    After a refusal that is not the last, feed nothing to read what came behind it.
    """

    data: bytes
    opened: Opened | None = None
    last: bool = True
    reason: str = ""


class Upgrade:
    """Reads requests until one opens a websocket."""

    __slots__ = ("_buffer", "_rules", "_skip")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._buffer = b""
        self._skip = 0

    def feed(self, data: bytes, *, now: float) -> Reply | None:
        """The answer to the next request, once it is all there."""
        buffer = self._buffer + data
        if self._skip:
            passed = min(self._skip, len(buffer))
            self._skip -= passed
            buffer = buffer[passed:]
        end = _end(buffer)
        if end is None:
            self._buffer = buffer
            return _plainly(431) if len(buffer) > MAX_REQUEST else _hopeless(buffer)
        if end > MAX_REQUEST:
            return _plainly(431)
        self._buffer = buffer[end:]
        return self._answer(buffer[:end].decode("latin-1"), now)

    def _answer(self, text: str, now: float) -> Reply:
        try:
            request = _parse(text)
            opened = self._judge(request)
        except _Malformed as error:
            return _plainly(error.status, str(error))
        except _Refused as error:
            return self._refusal(error, request, now)
        data = _welcome(request, opened, self._rules)
        if self._buffer:
            return Reply(b"", reason="client sent data before handshake is complete")
        if request.path.endswith(_LEAF_PATH):
            return Reply(data, reason="not configured to accept leaf node connections")
        return Reply(data, opened, last=False)

    def _refusal(self, error: _Refused, request: _Request, now: float) -> Reply:
        length = request.get("content-length") or "0"
        readable = length.isascii() and length.isdigit() and int(length) <= MAX_BODY
        last = request.closes or not readable or "transfer-encoding" in request.headers
        if readable:
            self._skip = int(length)
        words = _REASONS[error.status] + "\n"
        lines = [
            f"{request.answered_in} {error.status} {_REASONS[error.status]}",
            "Content-Type: text/plain; charset=utf-8",
            "Sec-Websocket-Version: 13",
            "X-Content-Type-Options: nosniff",
            f"Date: {_date(now)}",
            f"Content-Length: {len(words)}",
        ]
        if last and request.answered_in == "HTTP/1.1":
            lines.append("Connection: close")
        body = "" if request.method == "HEAD" else words
        return Reply(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), last=last, reason=str(error))

    def _judge(self, request: _Request) -> Opened:
        """Every condition in the server's order; the first that fails decides."""
        rules = self._rules
        mqtt = request.path.endswith(_MQTT_PATH)
        if mqtt and not rules.mqtt:
            raise _Refused(404, "mqtt websocket endpoint not enabled")
        if request.method != "GET":
            raise _Refused(405, "request method must be GET")
        if not request.host:
            raise _Refused(400, "'Host' missing in request")
        if not request.lists("upgrade", "websocket"):
            raise _Refused(400, "invalid value for header 'Upgrade'")
        if not request.lists("connection", "upgrade"):
            raise _Refused(400, "invalid value for header 'Connection'")
        _require_key(request.get("sec-websocket-key"))
        if not request.lists("sec-websocket-version", "13"):
            raise _Refused(400, "invalid version")
        _require_origin(request, rules)
        return Opened(
            way="mqtt" if mqtt else "nats",
            masked=request.get("nats-no-masking") != "true",
            browser=request.get("user-agent").startswith("Mozilla/"),
            token=_cookie(request.headers.get("cookie", ()), rules.jwt_cookie),
            forwarded_for=_address(request.get("x-forwarded-for")),
        )


class _Malformed(Exception):
    """Not HTTP as it must be; the connection ends."""

    def __init__(self, words: str = "", status: int = 400) -> None:
        super().__init__(words)
        self.status = status


class _Refused(Exception):
    """HTTP, but nothing that opens a websocket here; the words are for the log."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    host: str
    version: str
    headers: Mapping[str, tuple[str, ...]]

    def get(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return self.headers.get(name, ("",))[0]

    def lists(self, name: str, value: str) -> bool:
        """Whether a header names this among its values, in any letter case."""
        return any(
            part.strip(" \t").lower() == value
            for line in self.headers.get(name, ())
            for part in line.split(",")
        )

    @property
    def answered_in(self) -> str:
        return "HTTP/1.0" if self.version == "HTTP/1.0" else "HTTP/1.1"

    @property
    def closes(self) -> bool:
        return self.version == "HTTP/1.0" or self.lists("connection", "close")


def _end(buffer: bytes) -> int | None:
    """Where the headers end: at an empty line, whichever line ends are used."""
    ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := buffer.find(mark)) >= 0]
    return min(ends) if ends else None


def _hopeless(buffer: bytes) -> Reply | None:
    """The answer to what cannot become a request any more, so that nobody waits for its rest."""
    line, ended, _ = buffer.partition(b"\n")
    try:
        if ended:
            _request_line(line.decode("latin-1").removesuffix("\r"))
    except _Malformed as error:
        return _plainly(error.status, str(error))
    return None


def _request_line(line: str) -> tuple[str, str, str]:
    """Method, target and version."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is None or not _TOKEN.fullmatch(found[1]):
        raise _Malformed
    if found[3][5] != "1":
        raise _Malformed("unsupported protocol version", 505)
    return found[1], found[2], found[3]


def _parse(text: str) -> _Request:
    first, *rest = [line.removesuffix("\r") for line in text.split("\n")]
    method, target, version = _request_line(first)
    authority, path = _target(target)
    headers: dict[str, list[str]] = {}
    for name, value in _headers(rest):
        headers.setdefault(name.lower(), []).append(value)
    hosts = headers.get("host", [])
    if not hosts and version != "HTTP/1.0":
        raise _Malformed("missing required Host header")
    if len(hosts) > 1:
        raise _Malformed
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise _Malformed("malformed Host header")
    host = authority or (hosts[0] if hosts else "")
    return _Request(method, path, host, version, {name: tuple(values) for name, values in headers.items()})


def _target(target: str) -> tuple[str, str]:
    """Host, if the target names one, and path of a request."""
    absolute = _ABSOLUTE.match(target)
    authority, path = ("", target.partition("?")[0])
    if absolute is not None:
        authority, path = absolute[2].rpartition("@")[2], absolute[3]
    elif not target.startswith("/"):
        raise _Malformed
    if _BAD_ESCAPE.search(path):
        raise _Malformed
    return authority, path


def _headers(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Names and values; a line that begins with a blank goes on with the one before it."""
    joined: list[str] = []
    for line in lines:
        if line[:1] in {" ", "\t"}:
            if not joined:
                raise _Malformed
            joined[-1] += " " + line.strip(" \t")
        elif line:
            joined.append(line)
    for line in joined:
        name, colon, value = line.partition(":")
        if not colon or not name or _CONTROL.search(line):
            raise _Malformed
        if not _TOKEN.fullmatch(name):
            raise _Malformed("invalid header name")
        yield name, value.strip(" \t")


def _require_key(key: str) -> None:
    if not key:
        raise _Refused(400, "key missing")
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise _Refused(400, "invalid websocket key")


# --- origin ----------------------------------------------------------------------------------------


def _require_origin(request: _Request, rules: Rules) -> None:
    """A browser's page must come from where the listener allows; others name no origin (RFC 6455 §1.6)."""
    origin = request.get("origin") or request.get("sec-websocket-origin")
    if not origin or not (rules.same_origin or rules.allowed_origins):
        return
    scheme, host, port = _origin(origin)
    if rules.same_origin:
        own_host, own_port = _host_and_port(request.host, tls=rules.tls)
        if (scheme, host, port) != ("https" if rules.tls else "http", own_host, own_port):
            raise _Refused(403, "origin not allowed: not same origin")
    if rules.allowed_origins and (scheme, host, port) not in map(_origin, rules.allowed_origins):
        raise _Refused(403, "origin not allowed: not in the allowed list")


def _origin(text: str) -> tuple[str, str, str]:
    """Scheme, host and port of an origin."""
    found = _ABSOLUTE.match(text)
    if found is not None and not _CONTROL.search(text):
        scheme = found[1].lower()
        authority = found[2].rpartition("@")[2]
        if _HOST.fullmatch(authority) and _AUTHORITY.fullmatch(authority):
            return (scheme, *_host_and_port(authority, tls=scheme == "https"))
    raise _Refused(403, "origin not allowed: no origin at all")


def _host_and_port(text: str, *, tls: bool) -> tuple[str, str]:
    # Brackets stay around an address only where no port follows, as the server has it.
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port:
        return text.lower(), _SCHEME_PORTS[tls]
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise _Refused(403, f"origin not allowed: address {text}: too many colons in address")
    return host.lower(), port


# --- what else a request says ----------------------------------------------------------------------


def _cookie(lines: tuple[str, ...] | list[str], wanted: str) -> str:
    """The last cookie of this name."""
    value = ""
    for line in lines if wanted else ():
        for part in line.split(";"):
            name, _, text = part.strip(" \t").partition("=")
            if name.strip(" \t") != wanted:
                continue
            if len(text) > 1 and text[0] == text[-1] == '"':
                text = text[1:-1]
            if _COOKIE.fullmatch(text):
                value = text
    return value


def _address(text: str) -> str:
    """The address a proxy says the client has; nothing unless it is one address and no more."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return ""
    return "" if "%" in text else text


# --- answers ---------------------------------------------------------------------------------------


def _welcome(request: _Request, opened: Opened, rules: Rules) -> bytes:
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(request.get('sec-websocket-key'))}",
    ]
    if not opened.masked:
        lines.append("Nats-No-Masking: true")
    if opened.way == "mqtt":
        lines.append("Sec-Websocket-Protocol: mqtt")
    lines += [f"{name}: {value}" for name, value in rules.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def accept_key(key: str) -> str:
    """The proof that the request was understood (RFC 6455 §4.2.2)."""
    digest = hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _plainly(status: int, words: str = "") -> Reply:
    """The answer to what is no proper HTTP."""
    line = f"{status} {_REASONS[status]}" + (f": {words}" if words else "")
    head = f"HTTP/1.1 {line}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    return Reply((head + line).encode(), reason=line)


def _date(now: float) -> str:
    # Not by strftime: its names of days and months are those of the machine's language.
    at = datetime.fromtimestamp(now, UTC)
    return f"{_DAYS[at.weekday()]}, {at:%d} {_MONTHS[at.month - 1]} {at:%Y %H:%M:%S} GMT"
