"""One bounded HTTPS call by the standard library, for programs and verbs that are clients. It blocks.

The certificate is checked, always; without TLS only this machine itself is called. Redirects are not
followed: a token sent to one place must not arrive at another.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from issuer.claims.wire import ClaimSyntaxError, strict_object
from issuer.errors import PeerError, Unavailable

MAX_BYTES: Final = 1024 * 1024
SECONDS: Final = 15.0
FORM: Final = "application/x-www-form-urlencoded"


class UrlError(PeerError):
    """An address that is none, or that may not be called."""

    code = "url.malformed"


class AnswerError(PeerError):
    """What answered is not what we called."""

    code = "http.answer"


class Answer(NamedTuple):
    """A status, headers with names in lower case, and a body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status == http.HTTPStatus.OK

    def json(self) -> dict[str, Any]:
        """The object in its body.

        Raises:
            AnswerError: there is none.
        """
        try:
            return strict_object(self.body)
        except ClaimSyntaxError as error:
            raise AnswerError(f"its answer {error.message}") from None


def get(url: str, *, ca_file: Path | None = None, seconds: float = SECONDS) -> Answer:
    """GET it.

    Raises:
        UrlError: it may not be called.
        Unavailable: it does not answer, or not with a certificate that is trusted.
        AnswerError: an answer that is none, or too much of one.
    """
    return _call("GET", url, None, ca_file, seconds)


def post(
    url: str, fields: Mapping[str, str], *, ca_file: Path | None = None, seconds: float = SECONDS
) -> Answer:
    """POST a form; as `get`."""
    return _call("POST", url, urlencode(fields).encode(), ca_file, seconds)


def checked(url: str) -> str:
    """The address, if it may be called: https, or http on this machine.

    Raises:
        UrlError: it may not.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UrlError("is no URL") from None
    if not host or parts.username is not None or parts.fragment or not url.isprintable() or " " in url:
        raise UrlError("is no URL with a host, and without user and fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise UrlError("is not called without TLS", hint="https://; http:// only on this machine itself")
    return url


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, whatever the network says."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _call(method: str, url: str, body: bytes | None, ca_file: Path | None, seconds: float) -> Answer:
    parts = urlsplit(checked(url))
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=_context(ca_file))
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=seconds)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Accept": "application/json", "User-Agent": "accredit"}
    if body is not None:
        headers["Content-Type"] = FORM
    try:
        connection.request(method, target, body=body, headers=headers)
        answer = connection.getresponse()
        data = answer.read(MAX_BYTES + 1)
        found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, data)
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(
            f"{host} is not trusted: {error.verify_message}", hint="name its authority with --tls-ca"
        ) from None
    except (OSError, socket.gaierror) as error:
        words = error.strerror or str(error) or type(error).__name__
        raise Unavailable(f"{host} does not answer: {words}") from None
    except (http.client.HTTPException, ValueError) as error:
        raise AnswerError(f"{host} does not speak HTTP: {type(error).__name__}") from None
    finally:
        connection.close()
    if len(data) > MAX_BYTES:
        raise AnswerError(f"{host} answers more than {MAX_BYTES} bytes")
    return found


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        words = error.strerror or type(error).__name__
        raise UrlError(f"cannot be used as authorities: {words}", at=str(ca_file)) from None
