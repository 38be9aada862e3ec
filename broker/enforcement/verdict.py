"""A decision with its trace: which gates were passed, and at which one it ended."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec


class Gate(StrEnum):
    """Where a decision can end, in the order asked; those of a connection as in enforcement spec §2."""

    PROXY = "proxy"
    PASSWORD_TOKEN = "password-token"  # noqa: S105  a gate's name
    TOKEN = "token"  # noqa: S105
    SENTINEL = "sentinel"
    PROXY_REQUIRED = "proxy-required"
    CLAIMS = "claims"
    PINNED = "pinned"
    ACCOUNT = "account"
    OPERATOR = "operator"
    ISSUER = "issuer"
    ROLE = "role"
    ACCOUNT_TIME = "account-time"
    BEARER = "bearer"
    CONNECTION_TYPE = "connection-type"
    SIGNATURE = "signature"
    REVOCATION = "revocation"
    NETWORK = "network"
    TIME_WINDOW = "time-window"
    CONNECTIONS = "connections"
    DELEGATION = "delegation"
    # Once it is in.
    STAY = "stay"

    PAYLOAD = "payload"
    MAPPING = "mapping"
    RESERVED_SUBJECT = "reserved-subject"
    PUBLISH_ALLOW = "publish-allow"
    PUBLISH_DENY = "publish-deny"
    RESPONSE = "response"
    RESERVED_REPLY = "reserved-reply"

    SUBSCRIBE_ALLOW = "subscribe-allow"
    SUBSCRIBE_DENY = "subscribe-deny"
    RESERVED_QUEUE = "reserved-queue"
    TOKENS = "tokens"
    SUBSCRIPTIONS = "subscriptions"
    SUBJECT = "subject"

    DELIVERY_DENY = "delivery-deny"
    FILTER = "filter"

    @property
    def number(self) -> int | None:
        """The number of the step in enforcement spec §2; only gates of a connection have one."""
        return _NUMBERS.get(self)


_NUMBERS: Final = {gate: number for number, gate in enumerate(Gate, 1) if number <= 20}
# What a response permission overrides (enforcement spec §3.4).
_OVERRIDABLE: Final = frozenset({Gate.PUBLISH_ALLOW, Gate.PUBLISH_DENY})


class Step(msgspec.Struct, frozen=True, gc=False):
    """One gate asked."""

    gate: Gate
    passed: bool
    field: str = ""
    """The claim that decided, as "user /nats/src", or what was asked for."""
    value: object = None
    """What stood there; formatted only when it is printed."""
    source: str = ""
    """Where that came from."""
    words: str = ""
    """For a refusal, the words the server's log has for it."""


class Outcome(StrEnum):
    """What a trace comes to."""

    ALLOWED = "allowed"
    DENIED = "denied"
    FILTERED = "allowed with some messages filtered"
    REPLY_ONLY = "allowed only as a reply"
    DELEGATED = "delegated"


class Verdict(msgspec.Struct, frozen=True):
    """The steps taken. What they come to is derived from them; no steps at all are a refusal."""

    steps: tuple[Step, ...] = ()

    @property
    def refusal(self) -> Step | None:
        """The step at which it ended."""
        failed = [step for step in self.steps if not step.passed]
        if failed and any(step.gate is Gate.RESPONSE and step.passed for step in self.steps):
            failed = [step for step in failed if step.gate not in _OVERRIDABLE]
        return failed[0] if failed else None

    @property
    def outcome(self) -> Outcome:
        if not self.steps or self.refusal is not None:
            return Outcome.DENIED
        gates = {step.gate for step in self.steps}
        if Gate.DELEGATION in gates:
            return Outcome.DELEGATED
        if Gate.RESPONSE in gates:
            return Outcome.REPLY_ONLY
        return Outcome.FILTERED if Gate.FILTER in gates else Outcome.ALLOWED

    @property
    def allowed(self) -> bool:
        """Whether nothing here refuses; a delegated connection is still to be asked about elsewhere."""
        return bool(self.steps) and self.refusal is None

    def __bool__(self) -> bool:
        return self.allowed


def refusal_of(steps: Iterable[Step]) -> Step | None:
    """The first failed step, where no step overrides another."""
    for step in steps:
        if not step.passed:
            return step
    return None
