"""Messages as servers send them, about users of a made-up house with real tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append
from issuer.claims.user import new_user
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.store import hierarchy, keys
from issuer.store.hierarchy import Account
from issuer.store.unit import Database
from issuer.tokens.envelope import encode, token_hash
from issuer.tokens.signer import SeedSigner
from tests.issuer.store.founding import NOW

SERVER = Seed.generate(Role.SERVER).public
Message = tuple[str, bytes]


@dataclass(frozen=True)
class Shown:
    """A token somebody shows, of whoever signed it."""

    public: PublicKey
    token: str = field(repr=False)
    issuer: str

    @property
    def signature(self) -> str:
        return self.token.rpartition(".")[2]


@dataclass
class House:
    """An account whose signing key is at hand; every user's token is real."""

    database: Database
    account: Account
    signer: SeedSigner
    _ids: Any = field(default_factory=lambda: count(1))

    @classmethod
    def over(cls, database: Database, account: Account) -> House:
        signer = SeedSigner(Seed.generate(Role.ACCOUNT))
        with database.writing() as unit:
            row_id = hierarchy.allocate_ids(unit, 1)[0]
            keys.insert_key(unit, row_id, signer.public, "A", "signing", account.id, None, NOW)
            append(unit, Event(EventCode.KEY_ADDED, "test", signer.public), NOW)
        return cls(database, account, signer)

    def signed(self, name: str, *, by: SeedSigner | None = None) -> Shown:
        """A token nobody noted."""
        seed = Seed.generate(Role.USER)
        signer = by or self.signer
        claims = new_user(seed.public, name, account=self.account.public)
        return Shown(seed.public, encode(claims, signer, now=NOW).token, signer.public)

    def issued(self, name: str) -> Shown:
        """The same, as the authority does it."""
        shown = self.signed(name)
        with self.database.writing() as unit:
            row_id = hierarchy.allocate_ids(unit, 1)[0]
            keys.insert_key(unit, row_id, shown.public, "U", "identity", None, None, NOW)
            row = hierarchy.add_user(
                unit, row_id, self.account.id, shown.public, name, role="", issuer=self.signer.public, now=NOW
            )
            sha256 = token_hash(shown.token)
            hierarchy.save_version(
                unit, "user", row.id, 0, jti=f"jti of {name}", sha256=sha256, iat=NOW, exp=None,
                issuer=self.signer.public, token=shown.token,
            )  # fmt: skip
            event = Event(EventCode.USER_ISSUED, "cli:ada", shown.public, after=sha256, detail={"name": name})
            append(unit, event, NOW)
        return shown

    def connect(self, shown: Shown | None, client: int, **more: Any) -> Message:
        return self._say("CONNECT", "client_connect", shown, client, more)

    def disconnect(
        self, shown: Shown | None, client: int, reason: str = "Client Closed", **more: Any
    ) -> Message:
        return self._say("DISCONNECT", "client_disconnect", shown, client, more, reason=reason)

    def refuse(self, shown: Shown | None, client: int, **more: Any) -> Message:
        more = {"acc": "$G", "issuer_key": "", **more}
        _, data = self._say(
            "CONNECT", "client_disconnect", shown, client, more, reason="Authentication Failure"
        )
        return f"$SYS.SERVER.{SERVER}.CLIENT.AUTH.ERR", data

    def _say(
        self, end: str, kind: str, shown: Shown | None, client: int, more: dict[str, Any], reason: str = ""
    ) -> Message:
        began = NOW + 100
        told: dict[str, Any] = {
            "id": client, "acc": self.account.public, "host": "10.0.0.7", "start": _time(began),
            "name": "a program", "lang": "go", "ver": "1.2", "kind": "Client", "client_type": "nats",
        }  # fmt: skip
        if shown is not None:
            told |= {"user": shown.public, "jwt": shown.token, "issuer_key": shown.issuer}
        if end == "DISCONNECT":
            told["stop"] = _time(began + 60)
        told |= more
        document = {
            "type": f"io.nats.server.advisory.v1.{kind}",
            "id": told.pop("event", None) or f"event{next(self._ids)}",
            "timestamp": _time(began),
            "server": {"id": SERVER, "name": "S1"},
            "client": told,
            "sent": {"msgs": 1, "bytes": 5},
            "received": {"msgs": 2, "bytes": 9},
            "reason": reason,
        }
        return f"$SYS.ACCOUNT.{told['acc']}.{end}", json.dumps(document).encode()


def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
