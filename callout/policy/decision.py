"""What a policy comes to for one login, and every step on the way there."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from callout.policy.model import Priority
from callout.refusals import LoginRefusedError, Reason


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """From where somebody comes, as the server said it."""

    address: str = ""
    type: str = ""
    """`nats` (or `standard`), `websocket`, `mqtt`."""


UNKNOWN: Final = Connection()


class Part(StrEnum):
    """What a step is about, in the order of a decision."""

    CRITERION = "criterion"
    BINDING = "binding"
    SEPARATION = "separation"
    CHOICE = "choice"
    VALUE = "value"
    EXPIRY = "expiry"


class Step(msgspec.Struct, frozen=True, gc=False):
    """One thing looked at."""

    part: Part
    passed: bool
    why: str
    binding: str = ""
    criterion: str = ""
    """As `not groups any-of`, or the key of a value, or the source of a cap."""
    wanted: object = None
    """What the policy asks for; formatted only when it is printed."""
    value: object = None
    """What was seen. Of an identity's attributes, so not for everybody's eyes."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a login is given.

    One role is signed by that role's scoped key. Several are signed by a plain key of the account,
    with the permissions of their templates filled in and joined; what one denies is denied.
    """

    account: str
    roles: tuple[str, ...]
    bindings: tuple[str, ...]
    expires_at: int
    """Seconds since 1970; never 0."""
    values: Mapping[str, tuple[str, ...]] = {}
    """For `{{tag(KEY)}}`; each is one safe token, in lower case."""
    user_name: str = ""
    """For `{{name()}}`, one safe token; empty where no binding gives one."""
    priority: Priority = Priority.NORMAL
    grace: int = 0
    single_use: bool = False
    """What was shown is used up by this."""
    steps: tuple[Step, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """For the token, as `key:value`."""
        return tuple(f"{key}:{value}" for key, values in self.values.items() for value in values)


class Granted(msgspec.Struct, frozen=True):
    """Yes."""

    grant: Grant
    shadowed: tuple[str, ...] = ()
    """Shadow bindings that would have had a say."""

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.grant.steps

    def __bool__(self) -> bool:
        return True


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """No; `message` is for the operator."""

    reason: Reason
    message: str
    hint: str = ""
    bindings: tuple[str, ...] = ()
    """Those that matched all the same."""
    steps: tuple[Step, ...] = ()
    shadowed: tuple[str, ...] = ()

    def error(self) -> LoginRefusedError:
        return LoginRefusedError(
            self.reason, self.message, at=", ".join(self.bindings) or None, hint=self.hint or None
        )

    def __bool__(self) -> bool:
        return False


Decision = Granted | Refusal
