"""A case as plain data: who exists, what their tokens say, and what happens in which order.

Everything here goes to JSON and back, so that a case that went wrong is a file that can be run again.

In texts of tokens and operations, `{A}` stands for the public key with the label A. The label says
what kind of key it is: `O…` is an operator's, small letters a user's, everything else an account's
(`A.k` is a signing key of A). Instead of a value, `{"$time": 5}` is the fifth second of the case,
`{"$clock": 3600}` the time of day one hour after its beginning, and `{"$token": {…}}` a token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

# What a well-behaved client says of itself in CONNECT.
OPTIONS: Final = {
    "verbose": False,
    "pedantic": False,
    "protocol": 1,
    "headers": True,
    "no_responders": True,
    "lang": "test",
    "version": "1",
}

# How the text of a token is made of what it says; all but the first three are faults.
Form: TypeAlias = Literal[
    "sound",
    "lower-header",  # names of type and algorithm in other letter case
    "first",  # the first format: signature over the payload alone
    "old-algorithm",
    "unsigned",
    "foreign-signature",
    "broken-signature",
    "two-chunks",
    "padded",
    "garbage",
]
Signature: TypeAlias = Literal[
    "good", "none", "other-nonce", "other-key", "standard", "padded", "garbage", "short"
]
ServerKind: TypeAlias = Literal["plain", "strict", "small", "sentinel", "pinned"]


class Plain(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Base of all parts of a case."""


class Token(Plain, kw_only=True):
    """What a token says. Times are seconds after the case begins; None leaves the member out."""

    signer: str
    sub: str
    nats: dict[str, Any]
    name: str = ""
    iat: int | None = 0
    exp: int | None = None
    nbf: int | None = None
    form: Form = "sound"
    members: dict[str, Any] = {}  # further top-level members, or others instead of the usual ones


class Pub(Plain, tag="pub"):
    """PUB, or HPUB with `headers` (the block after its first line). `times` in one write."""

    subject: str
    payload: str = ""
    reply: str = ""
    headers: str | None = None
    times: int = 1


class Sub(Plain, tag="sub"):
    subject: str
    sid: str
    queue: str = ""


class Unsub(Plain, tag="unsub"):
    sid: str
    maximum: int | None = None


class Ping(Plain, tag="ping"):
    pass


class Raw(Plain, tag="raw"):
    """Bytes as they are, as Latin-1; they must not leave the server waiting for more."""

    text: str


Op: TypeAlias = Pub | Sub | Unsub | Ping | Raw


class Connect(Plain, tag="connect", kw_only=True):
    """CONNECT and PING on a new connection, or once more on the one `client` has open.

    `user` is a label; None sends no token. `options` are the members of CONNECT as they are sent.
    `instead` are bytes sent in place of all that. With `asks`, somebody else is asked first: the step
    does not wait for the answer.
    """

    client: str
    user: str | None
    options: dict[str, Any]
    signature: Signature = "good"
    instead: str | None = None
    asks: bool = False


class Send(Plain, tag="send"):
    """Operations of one client in one write, or cut where `cuts` say."""

    client: str
    ops: list[Op]
    cuts: list[int] = []


class Answer(Plain, tag="answer"):
    """Publish to the reply subject of the last request `client` received (`back` = 0), or an earlier one."""

    client: str
    payload: str = ""
    headers: str | None = None
    back: int = 0
    times: int = 1


class Authorize(Plain, tag="authorize", kw_only=True):
    """The answer of `service` to the last question it got; `callout` is the key made for the user.

    `user` is what the answer says the user's token is; `instead` is sent in place of all that.
    """

    service: str
    signer: str
    user: Token | None = None
    error: str = ""
    sub: str = "callout"
    aud: str = "{NODE}"
    issuer_account: str = ""
    instead: str | None = None


class Ask(Plain, tag="ask"):
    """A request, and its answer; of the system account when no client is named.

    A client subscribes to the answer before and unsubscribes after.
    """

    client: str
    subject: str
    body: str = ""


class Push(Plain, tag="push"):
    """New claims of an account, given to the resolver."""

    account: str
    token: Token


class Delete(Plain, tag="delete"):
    """A request to the resolver to forget accounts, signed by `signer`."""

    accounts: list[str]
    signer: str = "O"


class Kick(Plain, tag="kick"):
    client: str


class Close(Plain, tag="close"):
    client: str


class Wait(Plain, tag="wait"):
    """Until this long after the beginning of the case, which then is the beginning of a second."""

    seconds: float


Step: TypeAlias = Connect | Send | Answer | Ask | Authorize | Push | Delete | Kick | Close | Wait


class Case(Plain, kw_only=True):
    """One play. Accounts are given to the resolver in this order before the first step."""

    theme: str
    server: ServerKind = "plain"
    accounts: dict[str, Token]
    users: dict[str, Token]
    steps: list[Step]

    def to_json(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    @classmethod
    def read(cls, file: Path) -> Case:
        return msgspec.json.decode(file.read_bytes(), type=Case)

    def key(self) -> bytes:
        """What tells cases apart."""
        return msgspec.json.encode(self)

    def timed(self) -> bool:
        """Whether something in it is bound to happen at a second near its beginning."""
        return any(isinstance(step, Wait) for step in self.steps)

    def weighted(self) -> bool:
        """Whether chance has a part in where messages go."""
        return any(
            len(destinations) > 1 or destinations[0].get("weight", 100) not in {0, 100}
            for token in self._claims()
            for destinations in token.nats.get("mappings", {}).values()
            if destinations
        )

    def serviced(self) -> bool:
        """Whether there are messages of the server's own making, whose length hangs on times and ids."""
        return any(isinstance(step, Ask) for step in self.steps) or any(
            "authorization" in token.nats
            or any(one.get("type") == "service" for one in token.nats.get("imports", ()))
            for token in self._claims()
        )

    def tight(self) -> bool:
        """Whether somebody may have too many subscriptions: servers say so, and hang up, a little later."""
        return any(_limited(token.nats) for token in self.users.values()) or any(
            _limited(token.nats.get("limits", {}))
            or any(
                isinstance(key, dict) and _limited(key.get("template", {}), absent=-1)
                for key in token.nats.get("signing_keys", ())
            )
            for token in self._claims()
        )

    def _claims(self) -> list[Token]:
        return [*self.accounts.values(), *(step.token for step in self.steps if isinstance(step, Push))]

    def grouped(self) -> bool:
        """Whether it has queue groups, whose members are chosen by chance."""
        return any(
            isinstance(op, Sub) and op.queue
            for step in self.steps
            if isinstance(step, Send)
            for op in step.ops
        )


def _limited(limits: dict[str, Any], *, absent: int = 0) -> bool:
    return limits.get("subs", absent) != -1 and "issuer_account" not in limits
