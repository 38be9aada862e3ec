"""HTTP as a directory may use it: one bounded GET to an address that was checked before it is called.

What is fetched decides whom we believe, and its address comes partly from outside. So: https only,
no redirects, no proxies from the environment, no compression, caps on size and on every wait, and no
private address unless the operator named its network (callout spec §3.3, SSRF). A name is resolved
once, its addresses are checked, and the connection goes to a checked address: there is no second
look-up that could answer otherwise. The certificate is still checked for the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
import msgspec

from callout.refusals import DirectoryDownError
from issuer.errors import PeerError

MAX_ADDRESSES: Final = 4
"""Of one name; a fifth would hardly be reached before the deadline."""
_HTTP_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
# 64:ff9b::/96 and its local cousin stand for the IPv4 address in their last 32 bits (RFC 6052, RFC 8215).
_TRANSLATED: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class FetchSettingsError(PeerError):
    """A setting for fetching that cannot be used; `at` names it."""

    code = "settings.fetching"


class FetchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a directory may use the network. Times are seconds."""

    ca_file: str = ""
    """Certificates (PEM) to trust instead of the system's."""
    networks: tuple[str, ...] = ()
    """Networks that may be called although they are private, as "10.1.0.0/16"."""
    insecure_loopback: bool = False
    """For tests: loopback may be called, and without TLS."""
    connect: float = 2.0
    read: float = 2.0
    """Without a byte."""
    total: float = 5.0
    """For one GET, whatever the deadline of the login is."""
    max_bytes: int = 1024 * 1024
    """Of an answer. Okta's key set has 2 kB, the largest known (a multi-tenant Entra one) 40 kB."""

    def __post_init__(self) -> None:
        for name in ("connect", "read", "total"):
            if not 0 < getattr(self, name) <= 60:
                raise FetchSettingsError("is not between 0 and 60 seconds", at=name)
        if not 0 < self.max_bytes <= 64 * 1024 * 1024:
            raise FetchSettingsError("is not between 1 byte and 64 MiB", at="max_bytes")
        networks_of(self.networks)


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: its status, headers in lower case, the whole body, and its `Link` with rel "next"."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    next: str = ""

    @property
    def ok(self) -> bool:
        return self.status == _HTTP_OK


class Fetch(Protocol):
    """What needs the network asks for it in this shape."""

    async def __call__(
        self, url: str, *, deadline: float, headers: Mapping[str, str] | None = None
    ) -> Fetched: ...


def networks_of(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks as written.

    Raises:
        FetchSettingsError: a text that is no network.
    """
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise FetchSettingsError(f"is no network: {error}", at="networks") from None


def permitted(address: Address, networks: tuple[Network, ...], *, loopback: bool = False) -> bool:
    """Whether an address may be called: a public one, or one of the networks named."""
    if any(address.version == network.version and address in network for network in networks):
        return True
    inner = _embedded(address)
    if inner is not None:
        return permitted(inner, networks, loopback=loopback)
    if address.is_loopback:
        return loopback
    # `is_global` alone takes multicast and some reserved blocks for public ones.
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


class Fetcher:
    """Fetches for one directory. `close` it."""

    def __init__(self, settings: FetchSettings, *, source: str) -> None:
        """`source` is the directory's name, for messages.

        Raises:
            FetchSettingsError: the CA file cannot be used.
        """
        self._settings = settings
        self._source = source
        self._networks = networks_of(settings.networks)
        self._client = httpx.AsyncClient(
            verify=_context(settings.ca_file),
            trust_env=False,
            follow_redirects=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "accredit"},
            timeout=httpx.Timeout(settings.read, connect=settings.connect),
            # A kept connection belongs to an address, and may have been proved for another name than
            # the next one asked of it.
            limits=httpx.Limits(max_connections=20, max_keepalive_connections=0),
        )

    async def get(self, url: str, *, deadline: float, headers: Mapping[str, str] | None = None) -> Fetched:
        """Fetch it; `deadline` is on the clock of the running loop. Statuses but redirects are the caller's.

        Raises:
            DirectoryDownError: no answer, none in time, too much of one, or a place that may not be called.
        """
        loop = asyncio.get_running_loop()
        end = min(deadline, loop.time() + self._settings.total)
        target = self._target(url)
        try:
            async with asyncio.timeout_at(end):
                fault: DirectoryDownError | None = None
                for address in await self._addresses(target):
                    try:
                        return await self._from(target, address, headers or {})
                    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                        # The next address of the same name; nothing was asked of this one yet.
                        fault = self._down(target, _words(error))
                raise fault or self._down(target, "it has no address")
        except TimeoutError:
            raise self._down(target, "no answer in time") from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            raise self._down(target, _words(error)) from None

    async def close(self) -> None:
        await self._client.aclose()

    def _target(self, url: str) -> httpx.URL:
        try:
            target = httpx.URL(url)
        except (httpx.InvalidURL, ValueError):
            raise DirectoryDownError(f"{self._source}: an address that is no URL") from None
        if target.scheme != "https" and not (target.scheme == "http" and self._settings.insecure_loopback):
            raise self._down(target, f"{target.scheme or 'no'} scheme; only https is called")
        if not target.host or target.userinfo or target.fragment:
            raise self._down(target, "a URL without host, or with a user or fragment")
        return target

    async def _addresses(self, target: httpx.URL) -> list[str]:
        loop = asyncio.get_running_loop()
        port = target.port or (443 if target.scheme == "https" else 80)
        found = await loop.getaddrinfo(target.host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        parsed = [ipaddress.ip_address(text.partition("%")[0]) for text in addresses]
        plain = target.scheme == "http"
        allowed = [
            str(address)
            for address in parsed
            if permitted(address, self._networks, loopback=self._settings.insecure_loopback)
            and (address.is_loopback or not plain)
        ]
        if not allowed:
            raise DirectoryDownError(
                f"{self._source}: {target.host} has only addresses that may not be called",
                hint="name its network in `networks` if it is meant to be private",
            )
        return allowed[:MAX_ADDRESSES]

    async def _from(self, target: httpx.URL, address: str, headers: Mapping[str, str]) -> Fetched:
        request = self._client.build_request(
            "GET",
            target.copy_with(host=address),
            headers={**headers, "Host": target.netloc.decode("ascii")},
            extensions={"sni_hostname": target.host},
        )
        answer = await self._client.send(request, stream=True)
        try:
            if answer.status_code in _REDIRECTS:
                raise self._down(target, "it redirects, and redirects are not followed")
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise self._down(target, "a compressed answer, which was not asked for")
            body = bytearray()
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > self._settings.max_bytes:
                    raise self._down(target, f"an answer of more than {self._settings.max_bytes} bytes")
            return Fetched(
                status=answer.status_code,
                headers={name.lower(): value for name, value in answer.headers.items()},
                body=bytes(body),
                next=str(answer.links.get("next", {}).get("url", "")),
            )
        finally:
            await answer.aclose()

    def _down(self, target: httpx.URL, words: str) -> DirectoryDownError:
        # The query may hold a cursor or an id; the host and path say enough.
        return DirectoryDownError(f"{self._source}: {target.host}{target.path}: {words}")


def _context(ca_file: str) -> ssl.SSLContext:
    try:
        if ca_file:
            return ssl.create_default_context(cafile=str(Path(ca_file).expanduser()))
        return ssl.create_default_context()
    except (OSError, ssl.SSLError) as error:
        raise FetchSettingsError(f"cannot be used: {error.strerror or error}", at="ca_file") from None


def _words(error: Any) -> str:
    """What a fault may say of itself: one about our own request would quote its headers, secret and all."""
    if isinstance(error, httpx.ConnectError | httpx.TimeoutException) or not isinstance(
        error, httpx.HTTPError | ValueError
    ):
        return f"{type(error).__name__}: {error}"[:200]
    return type(error).__name__
