"""URLs as Go's `net/url` reads them, with its words for what it refuses.

Python's parsers accept and refuse other texts than the server and the reference library do,
so the rules are told anew here; only the parts that findings look at are kept.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from issuer.claims.quoting import quoted

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PORT: Final = re.compile(r"(?::[0-9]*)?")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_USER_INFO: Final = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_HOST: Final = re.compile(r"""[A-Za-z0-9\-_.~!$&'()*+,;=:\[\]<>"\x80-\U0010ffff]""")


class UrlError(ValueError):
    """The text does not parse; the message is Go's."""


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a URL that rules ask about; `user_info` is None without an `@`."""

    scheme: str
    user_info: str | None
    host: str
    path: str

    def hostname(self) -> str:
        """The host without its port, and without the brackets of an IPv6 address."""
        name, colon, port = self.host.rpartition(":")
        if not colon or (port and not (port.isascii() and port.isdigit())):
            name = self.host
        return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def parse_url(text: str) -> Url:
    """Read a URL.

    Raises:
        UrlError: with the text Go gives, `parse "…": …`.
    """
    head, _, fragment = text.partition("#")
    try:
        url = _parse(head)
    except UrlError as error:
        raise UrlError(f"parse {quoted(head)}: {error}") from None
    try:
        _check_escapes(fragment)
    except UrlError as error:
        raise UrlError(f"parse {quoted(text)}: {error}") from None
    return url


def _parse(text: str) -> Url:
    if _CONTROL.search(text):
        raise UrlError("net/url: invalid control character in URL")
    if text.startswith(":"):
        raise UrlError("missing protocol scheme")
    found = _SCHEME.match(text)
    scheme = found.group()[:-1].lower() if found else ""
    rest = text[found.end() :] if found else text
    rest = rest.partition("?")[0]
    if not rest.startswith("/"):
        if scheme:
            # "h:4222" has a scheme and nothing else that could be looked at.
            return Url(scheme, None, "", "")
        if ":" in rest.partition("/")[0]:
            raise UrlError("first path segment in URL cannot contain colon")
    user_info, host = None, ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        user, at, host = authority.rpartition("@")
        host = _host(host)
        if at:
            user_info = _user_info(user)
    _check_escapes(rest)
    return Url(scheme, user_info, host, rest)


def _user_info(text: str) -> str:
    if not _USER_INFO.fullmatch(text):
        raise UrlError("net/url: invalid userinfo")
    for part in text.split(":", 1):
        _check_escapes(part)
    return text


def _host(text: str) -> str:
    bracket = text.rfind("[")
    if bracket > 0:
        raise UrlError("invalid IP-literal")
    if bracket == 0:
        return _ip_literal(text)
    # Newer Go refuses a second colon for the web's own schemes; the server's Go does not yet.
    colon = text.rfind(":")
    if colon >= 0 and not _PORT.fullmatch(text[colon:]):
        raise UrlError(f"invalid port {quoted(text[colon:])} after host")
    _check_host(text)
    return text


def _ip_literal(text: str) -> str:
    end = text.rfind("]")
    if end < 0:
        raise UrlError("missing ']' in host")
    if not _PORT.fullmatch(text[end + 1 :]):
        raise UrlError(f"invalid port {quoted(text[end + 1 :])} after host")
    name, percent, zone = text[1:end].partition("%25")
    _check_host(name)
    try:
        ipaddress.IPv6Address(f"{name}%{zone}" if percent and zone else name)
    except ValueError:
        raise UrlError(_address_fault(name)) from None
    return text


def _address_fault(name: str) -> str:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        # Go goes on to say what is wrong with it in particular.
        return f"invalid host: ParseAddr({quoted(name)}): unable to parse IP"
    return "invalid IP-literal"


def _check_host(text: str) -> None:
    place = 0
    while place < len(text):
        if text[place] == "%":
            found = _ESCAPE.match(text, place)
            # In a host, escapes are for bytes outside ASCII only.
            if not found or (int(found[1], 16) < 0x80 and found[1] != "25"):
                raise UrlError(f"invalid URL escape {quoted(text[place : place + 3])}")
            place += 3
        elif _HOST.match(text, place):
            place += 1
        else:
            raise UrlError(f"invalid character {quoted(text[place])} in host name")


def _check_escapes(text: str) -> None:
    place = text.find("%")
    while place >= 0:
        if not _ESCAPE.match(text, place):
            raise UrlError(f"invalid URL escape {quoted(text[place : place + 3])}")
        place = text.find("%", place + 3)
