"""What holds for logins now, read from the store and kept in memory for as long as it may be relied on.

A login waits for no database. But what is kept ages: a policy that could not be read again within
`MOST_STALE` seconds lets nobody in any more, because who was cut off meanwhile would be let in.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from callout.mint import Place
from callout.policy.index import Compiled, compiled
from callout.policy.reading import read_policy
from callout.refusals import LoginRefusedError, Reason
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims, Scope
from issuer.custody.keyring import Keyring
from issuer.errors import AccreditError
from issuer.grants import Denial
from issuer.keys.nkeys import PublicKey
from issuer.store import hierarchy
from issuer.store.grants import newest_policy_version, policy_at, standing_denials
from issuer.store.unit import Database, Unit
from issuer.tokens.signer import Signer

log = logging.getLogger("accredit.callout")

REFRESH: Final = 0.5
MOST_STALE: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """One look at the store."""

    at: float
    version: int
    policy: Compiled | None
    denials: tuple[Denial, ...]
    places: Mapping[str, Place]
    heads: Mapping[str, int] = field(default_factory=dict)
    """The version of each account's token that its place was made of."""


class Rulebook:
    """The rules of one operator."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        operator_id: int,
        *,
        now: Callable[[], float],
        most_stale: float = MOST_STALE,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._operator_id = operator_id
        self._now = now
        self._most_stale = most_stale
        self._kept: _Kept | None = None

    # --- for the desk ------------------------------------------------------------------------------

    def policy(self) -> tuple[int, Compiled]:
        kept = self._kept
        if kept is None or kept.policy is None:
            raise LoginRefusedError(
                Reason.NO_POLICY,
                "no policy is in force, and so nobody is let in",
                hint="accredit callout policy",
            )
        if self.age > self._most_stale:
            raise LoginRefusedError(
                Reason.NO_POLICY, f"the store could not be read for {self.age:.0f} s, and so nobody is let in"
            )
        return kept.version, kept.policy

    @property
    def version(self) -> int:
        """Of the policy that is kept; 0 is none."""
        return self._kept.version if self._kept is not None else 0

    @property
    def age(self) -> float:
        """Seconds since the store was read."""
        return self._now() - self._kept.at if self._kept is not None else float("inf")

    def denials(self) -> tuple[Denial, ...]:
        return self._kept.denials if self._kept is not None else ()

    def place(self, account: str) -> Place | None:
        return self._kept.places.get(account) if self._kept is not None else None

    # --- keeping up --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Look at the store once; blocks.

        Raises:
            AccreditError: it cannot be read, or holds a policy that cannot; what was kept stays, and ages.
        """
        at = self._now()
        with self._database.reading() as unit:
            before = self._kept
            version = newest_policy_version(unit, self._operator_id)
            if before is not None and before.version == version:
                policy = before.policy
            else:
                policy = self._policy(unit, version)
            denials = tuple(standing_denials(unit, self._operator_id))
            heads, places = self._places(unit, policy, before)
        self._kept = _Kept(at, version, policy, denials, places, heads)

    async def keep_up(self, every: float = REFRESH) -> None:
        """Look again and again, until cancelled; what goes wrong is logged once."""
        well = True
        while True:
            try:
                await asyncio.to_thread(self.refresh)
            except AccreditError as error:
                if well:
                    log.error("the rules of the callout cannot be read: %s", error)  # noqa: TRY400
                well = False
            else:
                if not well:
                    log.info("the rules of the callout are read again")
                well = True
            await asyncio.sleep(every)

    def _policy(self, unit: Unit, version: int) -> Compiled | None:
        found = policy_at(unit, self._operator_id, version) if version else None
        return None if found is None else compiled(read_policy(json.loads(found.body)))

    def _places(
        self, unit: Unit, policy: Compiled | None, before: _Kept | None
    ) -> tuple[dict[str, int], dict[str, Place]]:
        heads: dict[str, int] = {}
        places: dict[str, Place] = {}
        named = {binding.account for binding in policy.policy.bindings} if policy is not None else set()
        for name in named:
            row = hierarchy.find_account(unit, self._operator_id, name)
            if row is None:
                continue
            heads[name] = row.head
            if before is not None and before.heads.get(name) == row.head:
                places[name] = before.places[name]
            else:
                places[name] = self._place(unit, head(unit, "account", row.id).claims)
        return heads, places

    def _place(self, unit: Unit, claims: AccountClaims) -> Place:
        roles: dict[str, Signer] = {}
        plain: Signer | None = None
        for entry in claims.nats.signing_keys:
            public = entry.key if isinstance(entry, Scope) else PublicKey(entry)
            if not self._keyring.has(unit, public):
                continue  # its seed is somebody else's: what it signs is not for us to sign
            if isinstance(entry, Scope):
                roles[entry.role] = self._keyring.signer(unit, public)
            elif plain is None:
                plain = self._keyring.signer(unit, public)
        return Place(claims=claims, roles=roles, plain=plain)
