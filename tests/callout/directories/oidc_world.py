"""An issuer whose keys we hold, so that it can say what no real one would: over HTTP on loopback, or by hand."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from callout.directories.directory import Credentials
from callout.directories.fetching import Fetched, FetchSettings
from callout.directories.oidc import GroupsApi, OidcDirectory, OidcSettings
from callout.refusals import DirectoryDownError
from issuer.grants import Identity

NOW = 1_800_000_000.0
AUDIENCE = "urn:nats:callout"
HOST = "127.0.0.1"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
OTHER_RSA = RSAKey.generate_key(2048, {"kid": "other", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"})


class _Anything(jws.JWSRegistry):
    """Signs whatever a test wants signed."""

    def check_header(self, header: Any) -> None: ...

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


def public(*keys: Any, **more: Any) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=False) | more for key in keys]}).encode()


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(
    payload: Mapping[str, Any] | bytes,
    key: Any = RSA,
    *,
    header: Mapping[str, Any] | bytes | None = None,
    algorithm: str = "RS256",
) -> str:
    """A token with exactly this header and payload; `algorithm` is what really signs."""
    if header is None:
        header = {"alg": algorithm, "kid": key.kid, "typ": "JWT"}
    parts = [
        json.dumps(dict(part)).encode() if isinstance(part, Mapping) else part for part in (header, payload)
    ]
    message = ".".join(encoded(part) for part in parts)
    model = _Anything.algorithms[algorithm]
    return f"{message}.{encoded(model.sign(message.encode(), key))}"


def sign_with_secret(payload: Mapping[str, Any], secret: bytes, *, kid: str) -> str:
    """HS256 with a public key for the secret (joserfc itself would not): a trap for who believes `alg`."""
    header = json.dumps({"alg": "HS256", "kid": kid}).encode()
    message = f"{encoded(header)}.{encoded(json.dumps(payload).encode())}"
    return f"{message}.{encoded(hmac.digest(secret, message.encode(), 'sha256'))}"


@dataclass
class Issuer:
    """Answers over HTTP; counts what it is asked. Everything may be set between two questions."""

    keys: list[Any] = field(default_factory=lambda: [RSA])
    url: str = ""
    discovery: dict[str, Any] = field(default_factory=dict)
    key_set: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    """Whole HTTP answers by path, instead of the good ones."""
    asked: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    hang: bool = False

    def claims(self, **more: Any) -> dict[str, Any]:
        """Of a good ID token; one that is None is left out."""
        given = {"iss": self.url, "sub": "alice", "aud": AUDIENCE, "iat": NOW - 10, "exp": NOW + 600, **more}
        return {name: value for name, value in given.items() if value is not None}

    def body(self, path: str) -> bytes | None:
        if path.endswith("/.well-known/openid-configuration"):
            said = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.discovery}
            return json.dumps(said).encode()
        if path.endswith("/keys"):
            return public(*self.keys) if self.key_set is None else self.key_set
        return None

    @contextlib.asynccontextmanager
    async def served(self, path: str = "") -> AsyncIterator[Issuer]:
        server = await asyncio.start_server(self._answer, HOST, 0)
        self.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}{path}"
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            path = request.split(b" ", 2)[1].decode()
            self.asked.append(path)
            self.requests.append(request)
            if self.hang:
                await asyncio.sleep(60)
            if path in self.answers:
                writer.write(self.answers[path])
            else:
                body = self.body(path)
                lines = [f"{name}: {value}\r\n" for name, value in self.headers.items()]
                status = "404 Not Found" if body is None else "200 OK"
                head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body or b'')}\r\n{''.join(lines)}\r\n"
                writer.write(head.encode() + (body or b""))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


def settings_for(issuer: Issuer, **more: Any) -> OidcSettings:
    given: dict[str, Any] = {
        "name": "idp",
        "issuer": issuer.url,
        "audiences": (AUDIENCE,),
        "fetch": FetchSettings(insecure_loopback=True),
    }
    return OidcSettings(**given | more)


async def identified(
    directory: OidcDirectory, token: str, *, now: float = NOW, patience: float = 5.0, nonce: str | None = None
) -> Identity:
    deadline = asyncio.get_running_loop().time() + patience
    if nonce is not None:
        return await directory.verify(token, now=now, deadline=deadline, nonce=nonce)
    return await directory.identify(Credentials(token=token), now=now, deadline=deadline)


def tell(
    story: Callable[[Issuer, OidcDirectory], Coroutine[Any, Any, None]],
    issuer: Issuer | None = None,
    *,
    groups_api: GroupsApi | None = None,
    **more: Any,
) -> None:
    """Run a story with an issuer that is served and a directory that was started."""

    async def run() -> None:
        async with (issuer or Issuer()).served() as served:
            directory = OidcDirectory(settings_for(served, **more), groups_api=groups_api, clock=lambda: NOW)
            await directory.start()
            try:
                await story(served, directory)
            finally:
                await directory.close()

    asyncio.run(run())


@dataclass
class Scripted:
    """A `Fetch` by hand: answers, faults and waits as a test sets them."""

    issuer: Issuer
    down: bool = False
    gate: asyncio.Event | None = None

    async def __call__(
        self, url: str, *, deadline: float, headers: Mapping[str, str] | None = None
    ) -> Fetched:
        self.issuer.asked.append(url)
        if self.gate is not None:
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self.gate.wait(), left)
            except TimeoutError:
                raise DirectoryDownError("no answer in time") from None
        if self.down:
            raise DirectoryDownError("no way there")
        body = self.issuer.body(url)
        return Fetched(status=404 if body is None else 200, headers=self.issuer.headers, body=body or b"")


# Claims that nobody signed

ISSUER = "https://idp.test/oauth2/default"
DAY = 86_400


def settings_with(**more: Any) -> OidcSettings:
    given: dict[str, Any] = {"name": "idp", "issuer": ISSUER, "audiences": (AUDIENCE, "console")}
    return OidcSettings(**given | more)


def claims_with(**more: Any) -> dict[str, Any]:
    given = {"iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "iat": NOW - 10, "exp": NOW + 600, **more}
    return {name: value for name, value in given.items() if value is not ...}
