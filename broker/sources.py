"""Where account tokens come from: memory, a folder, or an address (enforcement spec §5.1, §5.2)."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from broker.configuration.model import Tls
from broker.configuration.options import Options
from broker.core import Resolver
from issuer.claims.account import AccountClaims
from issuer.errors import AccreditError, Refused, Unavailable
from issuer.keys.nkeys import PublicKey, Role, is_public
from issuer.tokens.envelope import Token, decode, plain_claims

log = logging.getLogger("accredit.broker")

FETCH_SECONDS: Final = 1.9
SWEEP_SECONDS: Final = 60.0
MAX_BODY: Final = 1_048_576
_SUFFIX: Final = ".jwt"
_DELETED: Final = ".jwt.deleted"

Then = Callable[[str | None], None]
Later = Callable[[float, Callable[[], None]], Any]
InThread = Callable[[Callable[[], str | None], Then], None]


class StoreFullError(Refused):
    """A folder holds as many tokens as it may."""

    code = "resolver.full"


class MemoryResolver:
    """What the configuration brought; nothing is added while it runs."""

    def __init__(self, preload: Mapping[str, str]) -> None:
        self._tokens = dict(preload)

    def fetch(self, account: PublicKey, then: Then) -> None:
        then(self._tokens.get(account))


class FolderResolver:
    """A folder with a file for each account, as nats-server keeps it.

    `full` holds every account; otherwise it is a cache of those that were asked for.
    """

    def __init__(
        self,
        folder: Path,
        *,
        full: bool,
        allow_delete: bool,
        hard_delete: bool,
        limit: int,
        timeout: float,
        later: Later,
    ) -> None:
        self._folder = folder
        self.full = full
        self.allow_delete = allow_delete
        self._hard_delete = hard_delete
        self._limit = limit
        self._timeout = timeout
        self._later = later
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot be made: {error.strerror}", at=str(folder)) from None
        self.elsewhere: Callable[[PublicKey, float, Then], None] | None = None
        """Asks others for an account that is not here."""
        # When each is over, 0 for never; who was used last stands last.
        self._known: dict[str, int] = {}
        for public in self.names():
            self._known[public] = _expiry(self.token_of(public) or "")

    def fetch(self, account: PublicKey, then: Then) -> None:
        token = self.token_of(account)
        if token is not None:
            self._known[account] = self._known.pop(account, 0)
            then(token)
            return
        if self.elsewhere is None:
            # Nobody to ask, and yet it is waited for as long as if there were.
            self._later(self._timeout, lambda: then(self.token_of(account)))
            return

        def found(token: str | None) -> None:
            if token is None:
                then(self.token_of(account))  # it may have been pushed meanwhile
                return
            if _about(token, account):
                try:
                    self.store(account, token)
                except (StoreFullError, OSError) as error:
                    log.error("could not store what was found of %s: %s", account, error)  # noqa: TRY400
                    then(None)
                    return
                then(token)
            else:
                log.error("what was found of %s is a token of another", account)
                then(None)

        self.elsewhere(account, self._timeout, found)

    def token_of(self, public: str) -> str | None:
        if not is_public(public, Role.ACCOUNT):
            return None
        try:
            return (self._folder / f"{public}{_SUFFIX}").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None

    def store(self, public: str, token: str) -> None:
        """Keep a token; the file is never half written.

        Raises:
            StoreFullError: the folder holds as many as it may, and not this account's.
        """
        path = self._folder / f"{public}{_SUFFIX}"
        if self._limit and public not in self._known and len(self._known) >= self._limit:
            if self.full:
                raise StoreFullError("jwt store is full")
            self._drop_oldest()
        temporary = self._folder / f".{public}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token)
        temporary.replace(path)
        self._known.pop(public, None)
        self._known[public] = _expiry(token)

    def store_newer(self, public: str, token: str) -> None:
        """Keep a token of the configuration unless a newer one is here."""
        here = self.token_of(public)
        with contextlib.suppress(AccreditError):
            if (
                here is not None
                and decode(here, AccountClaims).claims.iat > decode(token, AccountClaims).claims.iat
            ):
                return
        self.store(public, token)

    def drop_expired(self, now: float) -> None:
        """Remove the tokens whose time is over; who is in by one of them learns it elsewhere."""
        for public in [public for public, over in self._known.items() if 0 < over <= now]:
            del self._known[public]
            (self._folder / f"{public}{_SUFFIX}").unlink(missing_ok=True)

    def delete(self, public: str) -> None:
        self._known.pop(public, None)
        path = self._folder / f"{public}{_SUFFIX}"
        with contextlib.suppress(FileNotFoundError):
            if self._hard_delete:
                path.unlink()
            else:
                path.replace(self._folder / f"{public}{_DELETED}")

    def names(self) -> list[str]:
        return sorted(path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}"))

    def digest(self) -> bytes:
        """What two servers compare before they exchange: the hashes of all tokens, one upon another."""
        folded = bytes(32)
        for public in self.names():
            token = self.token_of(public) or ""
            one = hashlib.sha256(token.encode()).digest()
            folded = bytes(a ^ b for a, b in zip(folded, one, strict=True))
        return folded

    def _drop_oldest(self) -> None:
        oldest = next(iter(self._known))
        del self._known[oldest]
        (self._folder / f"{oldest}{_SUFFIX}").unlink(missing_ok=True)


def _about(token: str, account: PublicKey) -> bool:
    """Whether it verifies and is this account's; whether to trust it is decided where it is used."""
    try:
        return decode(token, AccountClaims).claims.sub == account
    except AccreditError:
        return False


def _expiry(token: str) -> int:
    """When it is over, as it says itself; whether that is true is looked at by who uses it."""
    try:
        return int(plain_claims(Token(token)).get("exp") or 0)
    except (AccreditError, IndexError, TypeError, ValueError):
        return 0


class UrlResolver:
    """Tokens from an HTTP address, one request each; asked in a thread, so that nobody waits for it."""

    def __init__(self, base: str, tls: Tls | None, in_thread: InThread) -> None:
        self._base = base if base.endswith("/") else f"{base}/"
        self._in_thread = in_thread
        self._context: ssl.SSLContext | None = None
        if self._base.startswith("https:"):
            self._context = ssl.create_default_context(cafile=(tls.ca_file or None) if tls else None)
            if tls is not None and tls.cert_file:
                self._context.load_cert_chain(tls.cert_file, tls.key_file)

    def fetch(self, account: PublicKey, then: Then) -> None:
        self._in_thread(lambda: self.get(account), then)

    def get(self, name: str) -> str | None:
        """What stands at an address below the base; None, with a word in the log, if nothing does."""
        url = self._base + name
        try:
            with urllib.request.urlopen(url, timeout=FETCH_SECONDS, context=self._context) as answer:  # noqa: S310  the operator's own address
                if answer.status != 200:
                    log.warning('could not fetch <"%s">: %s', url, answer.status)
                    return None
                body: bytes = answer.read(MAX_BODY + 1)
        except (OSError, ValueError) as error:
            log.warning('could not fetch <"%s">: %s', url, error)
            return None
        return None if len(body) > MAX_BODY else body.decode("utf-8", "replace").strip()


def open_resolver(
    options: Options, in_thread: InThread, later: Later, clock: Callable[[], float] = time.time
) -> Resolver:
    """The resolver a configuration names.

    Raises:
        Unavailable: its folder cannot be made, or nothing answers at its address.
    """
    named = options.resolver
    if named is None or named.kind == "memory":
        return MemoryResolver(options.resolver_preload)
    if named.kind == "url":
        found = UrlResolver(named.url, options.resolver_tls, in_thread)
        if found.get("") is None:
            raise Unavailable(f"nothing answers at {named.url}", at="resolver")
        return found
    folder = FolderResolver(
        Path(named.dir or "jwt"),
        full=named.kind == "full",
        # What a cache forgets it can ask for again: it always deletes, and for good.
        allow_delete=named.allow_delete or named.kind == "cache",
        hard_delete=named.hard_delete or named.kind == "cache",
        limit=named.limit,
        timeout=named.timeout,
        later=later,
    )
    for public, token in options.resolver_preload.items():
        folder.store_newer(public, token)

    def sweep() -> None:
        folder.drop_expired(clock())
        later(SWEEP_SECONDS, sweep)

    later(SWEEP_SECONDS, sweep)
    return folder
