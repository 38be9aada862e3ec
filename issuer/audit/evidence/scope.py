"""Of what a bundle is: everything, or one account and what is above and below it."""

from __future__ import annotations

from dataclasses import dataclass, field

from issuer.audit.log import Body


@dataclass(slots=True)
class Scope:
    """`account` is a public key; '' is everything. Users are learnt from events that name it."""

    account: str = ""
    _users: set[str] = field(default_factory=set)

    @property
    def is_all(self) -> bool:
        return not self.account

    def holds(self, body: Body) -> bool:
        """Whether an event is of the scope; asked in the order of the log."""
        if not self.account:
            return True
        if self.account == body.target or self.account in body.targets:
            self._learn(body)
            return True
        if body.detail.get("account") == self.account:
            self._learn(body)
            return True
        return body.target.startswith("O") or body.target in self._users

    def _learn(self, body: Body) -> None:
        if body.target.startswith("U"):
            self._users.add(body.target)

    def __str__(self) -> str:
        return f"account:{self.account}" if self.account else "all"
