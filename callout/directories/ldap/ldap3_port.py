"""The door to ldap3: no other module knows it, and nothing of it gets out, neither types nor exceptions.

Its defaults are dangerous, so each is set: no check of certificates, referrals followed with the user's
password to any host, no time limits (callout spec §3.2). TLS is made by us, with the standard library's own
check of names, and every byte is waited for only until a moment that holds for the whole exchange.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import warnings
from typing import Any, Final

from callout.directories.ldap.port import Answer, Entry, Found, Search, Unanswered, Unreached, UnsendableError
from callout.directories.ldap.settings import LdapSettings, LdapSettingsError, Server

with warnings.catch_warnings():
    # It uses names of pyasn1 and ssl that are deprecated; nothing we could do differently.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core.exceptions import LDAPSASLPrepError

_PASSWORD_POLICY: Final = "1.3.6.1.4.1.42.2.27.8.5.1"  # noqa: S105  draft-behera-ldap-password-policy-10 §6
_PAGES: Final = "1.2.840.113556.1.4.319"  # RFC 2696
_SHOW_DELETED: Final = "1.2.840.113556.1.4.417"  # MS-ADTS §3.1.1.3.4.1.14
MAX_ANSWER: Final = 32 * 1024 * 1024
"""Bytes of the longest answer that is read."""


class _Bounded:
    """A socket whose every wait ends at one moment: with a limit for each read a slow drip never ends."""

    def __init__(self, link: socket.socket, until: float) -> None:
        self.link = link
        self._limit(until)

    def _limit(self, until: float) -> None:
        self.until = until
        self.left = MAX_ANSWER

    begin = _limit

    def remaining(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left

    def recv(self, size: int) -> bytes:
        self.link.settimeout(self.remaining())
        data = self.link.recv(size)
        self.left -= len(data)
        if self.left < 0:
            raise OSError("the answer is too long")
        return data

    def sendall(self, data: bytes) -> None:
        self.link.settimeout(self.remaining())
        self.link.sendall(data)

    def shutdown(self, how: int) -> None:
        self.link.shutdown(how)

    def close(self) -> None:
        self.link.close()


class _Tls(ldap3.Tls):  # type: ignore[misc]
    """TLS by our own context: ldap3's checks names by a function that Python has dropped."""

    def __init__(self, context: ssl.SSLContext, name: str, until: float) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context
        self._name = name
        self._until = until
        self.fault = ""

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: FBT001, FBT002  theirs
        bare = connection.socket
        link = bare.link if isinstance(bare, _Bounded) else bare
        link.settimeout(max(self._until - time.monotonic(), 0.001))
        try:
            safe = self._context.wrap_socket(link, server_hostname=self._name)
        except (OSError, ValueError) as fault:
            self.fault = _words(fault)
            raise
        connection.socket = _Bounded(safe, self._until)


class Ldap3Dial:
    """Opens connections to the servers of one directory."""

    def __init__(self, settings: LdapSettings) -> None:
        """
        Raises:
            LdapSettingsError: the certificates cannot be read.
        """
        self._context = _context(settings)

    def __call__(self, server: Server, until: float) -> Ldap3Session:
        """
        Raises:
            Unreached: it does not open, does not speak TLS, or is not who it should be.
        """
        fault: Unreached | None = None
        addresses = _resolved(server)
        for place, address in enumerate(addresses):
            now = time.monotonic()
            try:
                return self._open(server, address, now + (until - now) / (len(addresses) - place))
            except Unreached as error:
                fault = error
        raise fault or Unreached(f"{server}: no address")

    def _open(self, server: Server, address: str, until: float) -> Ldap3Session:
        left = until - time.monotonic()
        if left <= 0:
            raise Unreached(f"{server}: no time left")
        tls = _Tls(self._context, server.host, until) if server.tls or server.starttls else None
        connection: Any = None
        try:
            connection = ldap3.Connection(
                ldap3.Server(
                    address,
                    port=server.port,
                    use_ssl=server.tls,
                    tls=tls,
                    get_info=ldap3.NONE,
                    connect_timeout=left,
                    allowed_referral_hosts=[],
                ),
                client_strategy=ldap3.SAFE_SYNC,
                auto_referrals=False,
                auto_range=False,
                check_names=False,
                auto_escape=False,
                return_empty_attributes=False,
            )
            connection.open(read_server_info=False)
            if not isinstance(connection.socket, _Bounded):
                connection.socket = _Bounded(connection.socket, until)
            if server.starttls:
                connection.start_tls(read_server_info=False)
        except Exception as error:  # noqa: BLE001  whatever it throws, the server was not reached
            _drop(connection)
            fault = tls.fault if tls is not None and tls.fault else _words(error)
            raise Unreached(f"{server}: {fault}") from None
        if tls is not None and not isinstance(connection.socket.link, ssl.SSLSocket):
            # It has ways to answer "not now" to StartTLS without an exception.
            _drop(connection)
            raise Unreached(f"{server}: TLS did not start")
        return Ldap3Session(connection, server)


class Ldap3Session:
    """One connection."""

    def __init__(self, connection: Any, server: Server) -> None:
        self._connection = connection
        self._server = server

    def bind(self, name: str, password: str, *, until: float) -> Answer:
        connection = self._connection
        connection.user, connection.password = name, password
        connection.authentication = ldap3.SIMPLE
        try:
            connection.socket.begin(until)
            _, result, _, _ = connection.bind(
                read_server_info=False, controls=[(_PASSWORD_POLICY, False, None)]
            )
        except (LDAPSASLPrepError, UnicodeError):
            raise UnsendableError from None
        except Exception as error:  # noqa: BLE001  whatever it throws, there was no answer
            raise self._unanswered(error) from None
        finally:
            # It would stand in ldap3's own repr of the connection.
            connection.password = None
        control = (result.get("controls") or {}).get(_PASSWORD_POLICY)
        value = control.get("value") if control else None
        return Answer(int(result["result"]), str(result.get("message") or ""), value)

    def search(self, search: Search, *, until: float) -> Found:
        controls = [(_SHOW_DELETED, True, None)] if search.deleted else None
        try:
            self._connection.socket.begin(until)
            _, result, rows, _ = self._connection.search(
                search.base,
                search.filter,
                search_scope=(ldap3.BASE, ldap3.LEVEL, ldap3.SUBTREE)[search.scope],
                dereference_aliases=ldap3.DEREF_NEVER,
                attributes=list(search.attributes) or None,
                size_limit=search.limit,
                paged_size=search.page or None,
                paged_cookie=search.cookie or None,
                controls=controls,
            )
            entries = tuple(
                Entry(
                    row["raw_dn"].decode("utf-8"),
                    {name.lower(): tuple(values) for name, values in row["raw_attributes"].items() if values},
                )
                for row in rows or ()
                if row.get("type") == "searchResEntry"
            )
            page = (result.get("controls") or {}).get(_PAGES)
            cookie = page["value"]["cookie"] if page else b""
            return Found(entries, int(result["result"]), str(result.get("message") or ""), cookie or b"")
        except Exception as error:  # noqa: BLE001  as in bind
            raise self._unanswered(error) from None

    def close(self) -> None:
        connection = self._connection
        with contextlib.suppress(Exception):
            connection.socket.begin(time.monotonic() + 0.2)
            connection.unbind()
        _drop(connection)

    def _unanswered(self, error: Exception) -> Unanswered:
        self.close()
        return Unanswered(f"{self._server}: {_words(error)}")


def _context(settings: LdapSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ca_file)
        if settings.client_certificate is not None:
            context.load_cert_chain(settings.client_certificate, settings.client_key)
    except (OSError, ssl.SSLError) as fault:
        raise LdapSettingsError(
            f"the certificates cannot be read: {fault.strerror or fault}", at="ca_file"
        ) from None
    # Both are so already; said aloud, since all else rests on them.
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _resolved(server: Server) -> list[str]:
    """The addresses of a server, each once.

    ldap3 would give each address the whole time limit; and a name cannot be resolved with a limit at all.
    """
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as fault:
        raise Unreached(f"{server}: {_words(fault)}") from None
    return list(dict.fromkeys(str(row[4][0]) for row in found))


def _drop(connection: Any) -> None:
    """Close the socket whatever state ldap3 thinks it is in: it forgets those that failed while opening."""
    link = getattr(connection, "socket", None)
    if link is not None:
        with contextlib.suppress(OSError):
            link.close()


def _words(error: BaseException) -> str:
    """What happened, in words that hold nothing of what was sent.

    ldap3 makes classes of its own out of the exceptions it catches; those lack what the real ones tell.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {getattr(error, 'verify_message', 'it was not verified')}"
    if isinstance(error, TimeoutError) or "timed out" in str(error) or "in time" in str(error):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {getattr(error, 'reason', None) or 'broken'}"
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    text = str(error)
    if "socket" in text or "session terminated" in text or "StartTLS" in text or "startTLS" in text:
        return text[:200]
    return f"an answer that cannot be read ({type(error).__name__})"
