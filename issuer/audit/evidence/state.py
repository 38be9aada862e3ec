"""What tokens are in force, as the events tell it: the same fold that the auditor's program replays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from issuer.audit.log import Body

OF_STATE: Final = ("operator.%", "account.%", "user.%")
"""Codes of the events that may give or take a token."""


class Head(NamedTuple):
    """The newest token of a key: its hash, the account if it is a user's, and the event that says so."""

    sha256: str
    account: str
    seq: int


def is_of_state(body: Body) -> bool:
    """Whether an event gives or takes a token of an operator, account or user."""
    kind, _, deed = body.code.partition(".")
    return bool(body.target) and kind in {"operator", "account", "user"} and not deed.endswith("proved")


class State:
    """Heads by public key."""

    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self._users: dict[str, set[str]] = {}

    def copy(self) -> State:
        other = State()
        other.heads = dict(self.heads)
        other._users = {account: set(users) for account, users in self._users.items()}
        return other

    def follow(self, body: Body) -> None:
        """What an event changes."""
        if not is_of_state(body):
            return
        key = body.target
        if body.code.endswith(".deleted"):
            self._drop(key)
            for user in self._users.pop(key, ()):
                self.heads.pop(user, None)
        elif body.after:
            account = str(body.detail.get("account", "")) if key.startswith("U") else ""
            self.heads[key] = Head(body.after, account, body.seq)
            if account:
                self._users.setdefault(account, set()).add(key)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Operators first, then accounts, then users; each in the order of the events."""
        order = {"O": 0, "A": 1, "U": 2}
        for key, head in sorted(self.heads.items(), key=lambda item: (order[item[0][0]], item[1].seq)):
            yield {"key": key, "sha256": head.sha256, "account": head.account, "seq": head.seq}

    def _drop(self, key: str) -> None:
        head = self.heads.pop(key, None)
        if head is not None and head.account:
            self._users.get(head.account, set()).discard(key)
