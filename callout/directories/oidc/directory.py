"""A directory for one OpenID Connect issuer: ID tokens and JWT access tokens, verified here.

The proof of a token, step by step; the first that fails is the reason:

1. it says it is of exactly this issuer (`claims`, before anything is believed);
2. it is not larger than configured;
3. it is a signed token in the one form it can have;
4. its algorithm is configured for this issuer, and it demands nothing we do not understand;
5. the issuer publishes the key it names, for that algorithm;
6. its signature is that key's;
7. its claims are one object without doubles, and say the same issuer;
8. its time is now, and not longer than configured;
9. it is of a kind that is taken;
10. it is for us, and brought by a party that may bring it;
11. it is a bearer token;
12. it answers our own login, where it is for one;
13. its groups are complete, or can be completed;
14. everything that is read of it has its right shape.

Steps 1 to 6 need the text alone, so nobody's JSON but the issuer's is parsed beyond its issuer. The
signature may be remembered (`memory`); steps 7 to 14 are taken each time.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from typing import Final

from callout.directories.directory import Credentials
from callout.directories.fetching import Fetcher
from callout.directories.jwks import VerificationKey
from callout.directories.oidc.claims import Claims, buckets, judge
from callout.directories.oidc.groups import GroupsApi
from callout.directories.oidc.identities import groups_of, identity_of, incomplete
from callout.directories.oidc.memory import Remembered, VerifiedTokens
from callout.directories.oidc.provider import MARGIN, IssuerMismatchError, Provider
from callout.directories.oidc.settings import OidcSettings
from callout.directories.oidc.tokens import (
    issuer_in,
    malformed,
    read_claims,
    read_token,
    shown,
    unambiguous,
    unverified_issuer,
)
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.grants import Identity

log = logging.getLogger("accredit.callout")

MAX_STRANGE: Final = 100


class OidcDirectory:
    """One issuer, as a `Directory`. Safe to be asked by many at once."""

    def __init__(
        self,
        settings: OidcSettings,
        *,
        groups_api: GroupsApi | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` tells the time of day to `start`, which is handed none."""
        self._settings = settings
        self._groups_api = groups_api
        self._clock = clock
        self._buckets = buckets(settings)
        self._verified = VerifiedTokens(settings.remembered)
        self._strange: set[str] = set()
        self._fetcher: Fetcher | None = None
        self._provider: Provider | None = None

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def issuer(self) -> str:
        return self._settings.issuer

    @property
    def fault(self) -> DirectoryDownError | None:
        """Why the issuer gave no keys when it was last asked; logins may still go on with older ones."""
        return self._provider.fault if self._provider is not None else None

    @property
    def keys_at(self) -> float | None:
        """When the issuer told its keys, by the clock of logins."""
        held = self._provider.published if self._provider is not None else None
        return held.at if held is not None else None

    def keys_stale(self, now: float) -> bool:
        """Whether it goes on with old keys, or has stopped to, because the issuer tells no new ones."""
        return self._provider is not None and self._provider.stale(now)

    @property
    def unaccounted(self) -> frozenset[str]:
        """Claims the issuer puts into its tokens and nobody here has thought of."""
        return frozenset(self._strange)

    async def start(self) -> None:
        """Make ready, with the issuer's keys if it answers; if it does not, logins will ask again.

        Raises:
            FetchSettingsError: the CA file cannot be used.
            IssuerMismatchError: another issuer answers there.
        """
        if self._fetcher is not None:
            return
        self._fetcher = Fetcher(self._settings.fetch, source=self.name)
        self._provider = Provider(self._settings, self._fetcher.get)
        end = asyncio.get_running_loop().time() + self._settings.fetch.total
        try:
            await self._provider.keys(None, now=self._clock(), deadline=end)
        except IssuerMismatchError:
            await self.close()
            raise
        except DirectoryDownError:
            # An issuer that is down now may be up at the next login: it is not disabled for that.
            return

    async def close(self) -> None:
        if self._provider is not None:
            await self._provider.close()
        if self._fetcher is not None:
            await self._fetcher.close()
        self._provider = self._fetcher = None

    def claims(self, credentials: Credentials) -> bool:
        most = self._settings.max_token_bytes
        return unverified_issuer(shown(credentials, self._settings), most=most) == self._settings.issuer

    async def identify(self, credentials: Credentials, *, now: float, deadline: float) -> Identity:
        unambiguous(credentials, most=self._settings.max_token_bytes)
        return await self.verify(shown(credentials, self._settings), now=now, deadline=deadline)

    async def verify(self, token: str, *, now: float, deadline: float, nonce: str | None = None) -> Identity:
        """Whose token it is; `nonce` is that of our own login, if this is the ID token that ends it.

        Raises:
            LoginRefusedError: with the reason of the step that failed.
            DirectoryDownError: the issuer, or its groups API, gave no answer in time.
        """
        provider = self._provider
        if provider is None:
            raise DirectoryDownError(f"{self.name} is not started")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        keys = provider.fresh_keys(now)
        found = self._verified.find(digest, keys.digest, now=now) if keys is not None else None
        if found is not None:
            typ, claims, key = found.typ, found.claims, None
        else:
            typ, claims, key = await self._proved(token, provider, now=now, deadline=deadline)
        kind = judge(claims, typ, self._settings, now=now, nonce=nonce)
        groups = groups_of(claims, self._settings)
        if groups is None:
            groups = await self._all_groups(claims, deadline=deadline)
        identity = identity_of(
            claims, kind, self._settings, groups=groups, now=now, credential=digest.hex()[:32]
        )
        if key is not None:
            self._account_for(claims)
            # Asked again: other keys may have come while this waited.
            keys = provider.fresh_keys(now)
            if keys is not None and any(key is held for held in keys.keys.get(key.kid, ())):
                self._verified.add(
                    digest, keys.digest, Remembered(typ, claims, claims["exp"]), size=len(token)
                )
        return identity

    async def _proved(
        self, token: str, provider: Provider, *, now: float, deadline: float
    ) -> tuple[str, Claims, VerificationKey]:
        """Steps 2 to 7: type, claims, and the key that signed them."""
        unverified = read_token(token, self._settings)
        if issuer_in(unverified.payload) != self._settings.issuer:
            raise malformed("it is not of this issuer", at="/iss")
        key = await provider.key(unverified.kid, unverified.algorithm, now=now, deadline=deadline)
        if not key.verifies(unverified.algorithm, unverified.signed, unverified.signature):
            raise LoginRefusedError(Reason.CREDENTIALS_WRONG, "the signature is not the issuer's")
        return unverified.typ, read_claims(unverified), key

    async def _all_groups(self, claims: Claims, *, deadline: float) -> tuple[str, ...]:
        if self._groups_api is None or self._fetcher is None:
            raise incomplete(self._settings)
        try:
            async with asyncio.timeout_at(deadline - MARGIN):
                return await self._groups_api.groups(claims, fetch=self._fetcher.get, deadline=deadline)
        except TimeoutError:
            raise DirectoryDownError(f"{self.name}: the groups were not told in time") from None

    def _account_for(self, claims: Claims) -> None:
        if len(self._strange) >= MAX_STRANGE:
            return
        new = self._buckets.unaccounted(claims) - self._strange
        if new:
            self._strange |= new
            log.info(
                "oidc %s: claims nobody looks at: %s", self.name, ", ".join(map(repr, sorted(new)))[:500]
            )
