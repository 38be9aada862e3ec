"""Asks others for an account that is not stored here: `$SYS.REQ.ACCOUNT.<A>.CLAIMS.LOOKUP` (spec §5.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from broker.account import Account
from broker.core import Core
from broker.routing import Message
from broker.trie import Subscription
from issuer.keys.nkeys import PublicKey

INBOX: Final = "$SYS._INBOX_"

Then = Callable[[str | None], None]


class Lookups:
    """Questions under way. The first answer counts: alone as we are, nobody else will know better."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def ours(self, reply: str) -> bool:
        """Whether this is an answer to ourselves: we do not answer our own questions."""
        return reply.startswith(f"{INBOX}.{self._core.identity.id}.")

    def ask(self, account: PublicKey, seconds: float, then: Then) -> None:
        """`then` is called once, with None if nobody has it or nobody answers in time."""
        core = self._core
        system = core.system
        if system is None:
            core.later(seconds, lambda: then(None))
            return
        inbox = f"{INBOX}.{core.identity.id}.{core.links.token(8)}"
        question = _Question(core, system, then)
        question.subscription = core.subscribe(system, inbox, question.answered)
        core.publish(system, f"$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP", b"", reply=inbox)
        core.later(seconds, lambda: question.end(None))


class _Question:
    def __init__(self, core: Core, system: Account, then: Then) -> None:
        self._core = core
        self._system = system
        self._then = then
        self._over = False
        self.subscription: Subscription | None = None

    def answered(self, message: Message) -> None:
        # Nobody listens any more: also an empty answer, with headers.
        self.end(None if message.headers else message.payload.decode("ascii", "replace").strip() or None)

    def end(self, token: str | None) -> None:
        if self._over:
            return
        self._over = True
        if self.subscription is not None:
            self._core.unsubscribe_inner(self._system, self.subscription)
        self._then(token)
