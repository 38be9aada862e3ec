"""Whether a message may be published, a subscription made, a delivery filtered (enforcement spec §3.2-3.5).

The steps in the server's order. On the fast path the broker asks `Permissions` itself; these
functions put the same answers into a trace, with the claim that decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from broker.enforcement.limits import UNLIMITED, HasLimits, full
from broker.enforcement.matching import queue_fits
from broker.enforcement.permissions import Permissions, ResponseRule, server_subject
from broker.enforcement.verdict import Gate, Step, Verdict
from broker.protocol import texts
from issuer.claims.fields import UNLIMITED as NO_LIMIT
from issuer.subjects import matches, overlaps

RESERVED_QUEUE: Final = "_sys_"
GATEWAY_PREFIX: Final = "_GR_."
CONSENSUS_PREFIX: Final = "$NRG."
RESERVED_REPLIES: Final = ("_R_.", "$JS.ACK.", GATEWAY_PREFIX)
PROTOCOL: Final = "protocol"
LIMITS: Final = "least of user, account and server"


class Remembered(msgspec.Struct, frozen=True):
    """A reply subject that came with a message: how often it was answered, and how long ago it came."""

    count: int
    age: float


def decide_publish(
    permissions: Permissions,
    subject: str,
    *,
    mapped: Sequence[str] = (),
    reply: str = "",
    remembered: Remembered | None = None,
    asked: bool = True,
    limits: HasLimits = UNLIMITED,
    size: int = 0,
    system_account: bool = False,
) -> Verdict:
    """Whether a message may be published.

    `mapped` are the subjects of which the account's mappings choose one; without any it is the
    subject itself. `remembered` is a request with this subject for its reply. With `asked` False
    the question is not about this moment: would an answer be let through, once there is a request?
    """

    def steps() -> Iterator[Step]:
        yield _size(limits, size)
        destinations = tuple(mapped) or (subject,)
        if destinations != (subject,):
            yield Step(Gate.MAPPING, True, "account /nats/mappings", destinations, "account token")
        if any(each.startswith(GATEWAY_PREFIX) for each in destinations):
            yield _reserved(Gate.RESERVED_SUBJECT, texts.publish_violation(subject), subject)
        refused = [each for each in destinations if not permissions.can_publish(each)]
        if len(refused) == len(destinations):
            yield from _publish_steps(permissions, refused[0])
            if permissions.response is not None:
                yield _response(permissions, permissions.response, refused[0], remembered, asked=asked)
        else:
            passing = next(each for each in destinations if each not in refused)
            yield from _publish_steps(permissions, passing)
            if refused:
                # The mapping chooses: some of the messages are refused, some not.
                failed = next(step for step in _publish_steps(permissions, refused[0]) if not step.passed)
                yield Step(Gate.FILTER, True, failed.field, tuple(refused), failed.source, failed.words)
        if any(each.startswith(CONSENSUS_PREFIX) for each in destinations) and not system_account:
            yield _reserved(Gate.RESERVED_SUBJECT, texts.publish_violation(subject), subject)
        if reply:
            held = not reply.startswith(RESERVED_REPLIES)
            words = "" if held else texts.reply_violation(reply)
            yield Step(Gate.RESERVED_REPLY, held, "the reply subject", reply, PROTOCOL, words)

    return _until_refused(steps())


def decide_subscribe(
    permissions: Permissions,
    subject: str,
    queue: str = "",
    *,
    limits: HasLimits = UNLIMITED,
    subscriptions: int = 0,
    max_tokens: int = 0,
) -> Verdict:
    """Whether a subscription may be made, and whether everything it matches will be delivered.

    `subscriptions` are those the connection has; `max_tokens` 0 is any number.
    """

    def steps() -> Iterator[Step]:
        words = texts.subscription_violation(subject, queue)
        allowed = permissions.subscribe_allowed(subject, queue)
        yield _allow_step(permissions, subject, queue, words, passed=allowed)
        denied = permissions.subscribe_denied(subject, queue)
        yield _deny_step(permissions, subject, queue, words, passed=not denied)
        if queue == RESERVED_QUEUE:
            yield _reserved(Gate.RESERVED_QUEUE, words, queue)
        if max_tokens:
            fits = subject.count(".") < max_tokens
            text = "" if fits else texts.too_many_tokens(subject)
            field, source = "max_subscription_tokens", "server configuration"
            yield Step(Gate.TOKENS, fits, field, max_tokens, source, text)
        limit = limits.subscriptions
        if limit != NO_LIMIT:
            room = not full(subscriptions, limit)
            text = "" if room else texts.TOO_MANY_SUBSCRIPTIONS
            yield Step(Gate.SUBSCRIPTIONS, room, "subs", limit, LIMITS, text)
        if not server_subject(subject):
            yield Step(Gate.SUBJECT, False, "the subject", subject, PROTOCOL, texts.INVALID_SUBJECT)
        if permissions.filters(subject, queue):
            held = tuple(entry for entry in permissions.sub.deny if _withholds(entry, subject, queue))
            if held:
                field = f"{permissions.field}/sub/deny"
                yield Step(Gate.FILTER, True, field, held, permissions.source)

    return _until_refused(steps())


def decide_delivery(permissions: Permissions, subject: str, queue: str = "") -> Verdict:
    """Whether a message may go to an accepted subscription: only denials count now (spec §3.3)."""
    passed = permissions.may_deliver(subject, queue)
    words = "" if passed else f"delivery of {subject} denied"
    step = _deny_step(permissions, subject, queue, words, passed=passed)
    return Verdict((msgspec.structs.replace(step, gate=Gate.DELIVERY_DENY),))


def _until_refused(steps: Iterator[Step]) -> Verdict:
    """The steps up to the one that ends it: a failed list may yet be overridden by the step after it."""
    taken: list[Step] = []
    for step in steps:
        if step.gate is not Gate.RESPONSE and not Verdict(tuple(taken)).allowed and taken:
            break
        taken.append(step)
    return Verdict(tuple(taken))


def _withholds(entry: str, subject: str, queue: str) -> bool:
    """Whether a denial keeps some message from a subscription that was accepted."""
    named = _queue_of(entry)
    return overlaps(_subject_of(entry), subject) and (
        not named or (bool(queue) and queue_fits(queue, (named,)))
    )


def _size(limits: HasLimits, size: int) -> Step:
    limit = limits.payload
    fits = limit == NO_LIMIT or size <= limit
    return Step(Gate.PAYLOAD, fits, "payload", limit, LIMITS, "" if fits else texts.PAYLOAD_VIOLATION)


def _publish_steps(permissions: Permissions, subject: str) -> list[Step]:
    words = texts.publish_violation(subject)
    allowed = permissions.publish_allowed(subject)
    pub, source = permissions.pub, permissions.source
    place = _first(pub.allow, subject)
    field = f"{permissions.field}/pub/allow" + ("" if place is None else f"/{place}")
    value = pub.allow if place is None else pub.allow[place]
    steps = [Step(Gate.PUBLISH_ALLOW, allowed, field, value, source, "" if allowed else words)]
    if allowed:
        denied = permissions.publish_denied(subject)
        place = _first(pub.deny, subject) if denied else None
        field = f"{permissions.field}/pub/deny" + ("" if place is None else f"/{place}")
        value = pub.deny if place is None else pub.deny[place]
        steps.append(Step(Gate.PUBLISH_DENY, not denied, field, value, source, words if denied else ""))
    return steps


def _response(
    permissions: Permissions, rule: ResponseRule, subject: str, remembered: Remembered | None, *, asked: bool
) -> Step:
    field, source = f"{permissions.field}/resp", permissions.source
    if not asked:
        return Step(Gate.RESPONSE, True, field, rule, source)
    passed = (
        remembered is not None
        and (rule.max < 0 or remembered.count < rule.max)
        and (rule.ttl_ns < 0 or remembered.age <= rule.ttl_ns / 1e9)
    )
    words = "" if passed else texts.publish_violation(subject)
    return Step(Gate.RESPONSE, passed, field, rule, source, words)


def _allow_step(permissions: Permissions, subject: str, queue: str, words: str, *, passed: bool) -> Step:
    place = _decisive(permissions.sub.allow, subject, queue) if passed else None
    field = f"{permissions.field}/sub/allow" + ("" if place is None else f"/{place}")
    value = permissions.sub.allow if place is None else permissions.sub.allow[place]
    return Step(Gate.SUBSCRIBE_ALLOW, passed, field, value, permissions.source, "" if passed else words)


def _deny_step(permissions: Permissions, subject: str, queue: str, words: str, *, passed: bool) -> Step:
    place = None if passed else _decisive(permissions.sub.deny, subject, queue)
    field = f"{permissions.field}/sub/deny" + ("" if place is None else f"/{place}")
    value = permissions.sub.deny if place is None else permissions.sub.deny[place]
    return Step(Gate.SUBSCRIBE_DENY, passed, field, value, permissions.source, "" if passed else words)


def _reserved(gate: Gate, words: str, value: str) -> Step:
    return Step(
        gate, False, "the queue" if gate is Gate.RESERVED_QUEUE else "the subject", value, PROTOCOL, words
    )


def _first(entries: Sequence[str], subject: str) -> int | None:
    return next((place for place, entry in enumerate(entries) if matches(_subject_of(entry), subject)), None)


def _decisive(entries: Sequence[str], subject: str, queue: str) -> int | None:
    """The entry to name: one for this queue before one for none."""
    plain = None
    for place, entry in enumerate(entries):
        if not matches(_subject_of(entry), subject):
            continue
        named = _queue_of(entry)
        if named and queue and queue_fits(queue, (named,)):
            return place
        if not named and plain is None:
            plain = place
    return plain


def _subject_of(entry: str) -> str:
    parts = entry.split()
    return parts[0] if parts else ""


def _queue_of(entry: str) -> str:
    parts = entry.split()
    return parts[1] if len(parts) == 2 else ""
