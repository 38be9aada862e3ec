from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gzip
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from callout.directories.fetching import (
    Fetched,
    Fetcher,
    FetchSettings,
    FetchSettingsError,
    networks_of,
    permitted,
)
from callout.refusals import DirectoryDownError

HOST = "127.0.0.1"
Say = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(say: bytes | Say, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server that says these bytes to whatever it is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            if isinstance(say, bytes):
                writer.write(say)
            else:
                await say(reader, writer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(answer, HOST, 0, ssl=context)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()


def answer(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> bytes:
    lines = "".join(f"{header}\r\n" for header in (*headers, f"Content-Length: {len(body)}"))
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


async def get(
    url: str, *, patience: float = 5.0, headers: dict[str, str] | None = None, **more: Any
) -> Fetched:
    fetcher = Fetcher(FetchSettings(**{"insecure_loopback": True} | more), source="idp")
    try:
        return await fetcher.get(url, deadline=asyncio.get_running_loop().time() + patience, headers=headers)
    finally:
        await fetcher.close()


def fetched(say: bytes | Say, **more: Any) -> Fetched:
    async def run() -> Fetched:
        async with server(say) as port:
            return await get(f"http://{HOST}:{port}/x", **more)

    return asyncio.run(run())


def fault_of(say: bytes | Say, **more: Any) -> str:
    with pytest.raises(DirectoryDownError) as down:
        fetched(say, **more)
    return str(down.value)


def test_an_answer_is_fetched_with_its_status_and_headers() -> None:
    found = fetched(answer(b'{"a": 1}', "Cache-Control: max-age=5", status="404 Not Found"))
    assert (found.status, found.ok, found.body) == (404, False, b'{"a": 1}')
    assert found.headers["cache-control"] == "max-age=5"


def test_the_next_page_is_read_from_the_link_header() -> None:
    links = (
        'Link: <https://o.test/a?limit=2>; rel="self"',
        'Link: <https://o.test/a?after=x&limit=2>; rel="next"',
    )
    assert fetched(answer(b"[]", *links)).next == "https://o.test/a?after=x&limit=2"
    assert fetched(answer(b"[]")).next == ""


@settings(max_examples=30)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_whatever_stands_in_a_link_header_it_is_read_or_the_directory_is_down(link: str) -> None:
    with contextlib.suppress(DirectoryDownError):
        assert isinstance(fetched(answer(b"[]", f"Link: {link}")).next, str)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str) -> None:
    assert "redirect" in fault_of(answer(b"", "Location: http://127.0.0.1:1/", status=status))


def test_an_answer_that_is_too_large_is_cut_off() -> None:
    assert "more than 100 bytes" in fault_of(answer(b"x" * 101), max_bytes=100)
    assert fetched(answer(b"x" * 100), max_bytes=100).body == b"x" * 100


def test_an_endless_answer_is_cut_off() -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    assert "more than 1048576 bytes" in fault_of(flood)


def test_a_compressed_answer_is_not_unpacked() -> None:
    assert "compressed" in fault_of(answer(gzip.compress(bytes(10_000_000)), "Content-Encoding: gzip"))


def test_a_server_that_says_nothing_is_left_at_the_deadline() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    assert "in time" in fault_of(hang, patience=0.2)
    assert "ReadTimeout" in fault_of(hang, read=0.2)
    assert "in time" in fault_of(hang, total=0.2)


def test_a_server_that_drips_is_left_at_the_deadline() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    assert "in time" in fault_of(drip, patience=0.4)


@pytest.mark.parametrize(
    "say", [b"", b"\0\0\0", b"HTTP/1.1 xyz\r\n\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nA\r\n\r\n"]
)
def test_what_is_no_http_is_a_directory_that_is_down(say: bytes) -> None:
    with pytest.raises(DirectoryDownError):
        fetched(say)


def test_nobody_listens() -> None:
    async def run() -> None:
        async with server(b"") as port:
            pass
        await get(f"http://{HOST}:{port}/")

    with pytest.raises(DirectoryDownError, match="ConnectError"):
        asyncio.run(run())


@pytest.mark.parametrize(
    "url",
    [
        "http://example.test/",
        "ftp://example.test/",
        "file:///etc/passwd",
        "/keys",
        "",
        "https://",
        "https://user:secret@example.test/",
        "https://example.test/#x",
        "https://exa mple.test/",
        "https://example.test:99999/",
        "https://[::1/",
        "https://" + "x" * 70_000,
    ],
)
def test_addresses_that_are_never_called(url: str) -> None:
    with pytest.raises(DirectoryDownError) as down:
        asyncio.run(get(url, insecure_loopback=False))
    assert "secret" not in str(down.value)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "[::]",
        "10.0.0.1",
        "169.254.169.254",
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
        "192.168.1.1",
        "100.64.0.1",
        "224.0.0.1",
    ],
)
def test_a_private_address_is_not_called_however_it_is_written(host: str) -> None:
    with pytest.raises(DirectoryDownError, match=r"may not be called|gaierror"):
        asyncio.run(get(f"https://{host}:9/", insecure_loopback=False))


def test_without_tls_nothing_but_loopback_is_called() -> None:
    with pytest.raises(DirectoryDownError, match="may not be called"):
        asyncio.run(get("http://10.0.0.1/", networks=("10.0.0.0/8",)))


@pytest.mark.parametrize(
    ("address", "networks", "allowed"),
    [
        ("8.8.8.8", (), True),
        ("2606:4700::1", (), True),
        ("10.0.0.1", (), False),
        ("10.0.0.1", ("10.0.0.0/24",), True),
        ("10.0.1.1", ("10.0.0.0/24",), False),
        ("172.16.0.1", (), False),
        ("169.254.169.254", (), False),
        ("100.64.0.1", (), False),
        ("0.0.0.0", (), False),
        ("224.0.0.1", (), False),
        ("255.255.255.255", (), False),
        ("240.0.0.1", (), False),
        ("::1", (), False),
        ("::", (), False),
        ("fe80::1", (), False),
        ("fd00::1", (), False),
        ("fd00::1", ("fd00::/8",), True),
        ("ff02::1", (), False),
        ("::ffff:10.0.0.1", (), False),
        ("::ffff:8.8.8.8", (), True),
        ("::ffff:10.0.0.1", ("10.0.0.0/8",), True),
        ("64:ff9b::a00:1", (), False),
        ("64:ff9b::808:808", (), True),
        ("2002:a00:1::1", (), False),
        ("2001:0:808:808::f5ff:fffe", (), False),
    ],
)
def test_which_addresses_may_be_called(address: str, networks: tuple[str, ...], allowed: bool) -> None:
    assert permitted(ipaddress.ip_address(address), networks_of(networks)) is allowed


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_like_itself(inner: ipaddress.IPv4Address) -> None:
    plain = permitted(inner, ())
    for wrapped in (f"::ffff:{inner}", f"64:ff9b::{inner}"):
        assert permitted(ipaddress.ip_address(wrapped), ()) is plain


def test_loopback_is_called_only_where_tests_ask_for_it() -> None:
    assert permitted(ipaddress.ip_address("127.0.0.1"), (), loopback=True)
    assert not permitted(ipaddress.ip_address("127.0.0.1"), ())


def test_a_name_is_looked_up_once_and_the_checked_address_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS that answers otherwise the second time cannot lead elsewhere."""
    asked = []

    async def run() -> Fetched:
        loop = asyncio.get_running_loop()
        real = loop.getaddrinfo

        async def lookup(host: str, *rest: Any, **more: Any) -> Any:
            asked.append(host)
            return await real(HOST if host == "rebinding.test" else host, *rest, **more)

        monkeypatch.setattr(loop, "getaddrinfo", lookup)
        seen = []

        async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(writer.get_extra_info("sockname")[0])
            writer.write(answer())

        async with server(say) as port:
            return await get(f"http://rebinding.test:{port}/")

    assert asyncio.run(run()).ok
    assert [host for host in asked if host == "rebinding.test"] == ["rebinding.test"]


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetched(answer()).ok


def test_a_secret_in_a_header_is_in_no_message() -> None:
    words = fault_of(answer(), headers={"Authorization": "SSWS secret\r\nX: y"})
    assert "secret" not in words


# TLS


def authority(folder: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """A CA file and a server's context with a certificate for these names."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(each)) if each[0].isdigit() else x509.DNSName(each)
        for each in names
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca, private = folder / "ca.pem", folder / "key.pem"
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, private)
    return ca, context


def over_tls(context: ssl.SSLContext, host: str, **more: Any) -> Fetched:
    async def run() -> Fetched:
        async with server(answer(), context) as port:
            return await get(f"https://{host}:{port}/", insecure_loopback=False, **more)

    return asyncio.run(run())


LOOPBACK = ("127.0.0.0/8", "::1/128")


def test_a_server_is_proved_by_the_name_it_was_asked_by(tmp_path: Path) -> None:
    ca, context = authority(tmp_path, "localhost")
    assert over_tls(context, "localhost", ca_file=str(ca), networks=LOOPBACK).ok
    with pytest.raises(DirectoryDownError, match="certificate verify failed"):
        over_tls(context, HOST, ca_file=str(ca), networks=LOOPBACK)


def test_a_server_of_another_authority_is_not_believed(tmp_path: Path) -> None:
    _, context = authority(tmp_path, "localhost", HOST)
    with pytest.raises(DirectoryDownError, match="certificate verify failed"):
        over_tls(context, "localhost", networks=LOOPBACK)


def test_a_private_network_is_called_only_when_it_is_named(tmp_path: Path) -> None:
    ca, context = authority(tmp_path, "localhost")
    with pytest.raises(DirectoryDownError, match="may not be called"):
        over_tls(context, "localhost", ca_file=str(ca))


@pytest.mark.parametrize(
    ("wrong", "at"),
    [
        ({"networks": ("10.0.0.1/8",)}, "networks"),
        ({"networks": ("x",)}, "networks"),
        ({"total": 0}, "total"),
        ({"read": 61}, "read"),
        ({"max_bytes": 0}, "max_bytes"),
    ],
)
def test_settings_that_cannot_be_meant(wrong: dict[str, Any], at: str) -> None:
    with pytest.raises(FetchSettingsError) as refused:
        FetchSettings(**wrong)
    assert refused.value.at == at


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(FetchSettingsError):
            Fetcher(FetchSettings(ca_file=str(tmp_path / name)), source="idp")
