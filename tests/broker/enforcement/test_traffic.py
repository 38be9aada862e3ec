from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.enforcement.limits import Limits
from broker.enforcement.permissions import Permissions
from broker.enforcement.traffic import Remembered, decide_delivery, decide_publish, decide_subscribe
from broker.enforcement.verdict import Gate, Outcome, Verdict
from issuer.claims import fields
from issuer.claims.fields import Permission, ResponsePermission
from issuer.subjects import Subject


def may(
    pub: str = "", sub: str = "", resp: tuple[int, int] | None = None, *, no_pub: str = "", no_sub: str = ""
) -> Permissions:
    def entries(text: str) -> tuple[Subject, ...]:
        return tuple(Subject(entry) for entry in text.split(",") if entry)

    said = fields.Permissions(
        pub=Permission(allow=entries(pub), deny=entries(no_pub)),
        sub=Permission(allow=entries(sub), deny=entries(no_sub)),
        resp=None if resp is None else ResponsePermission(max=resp[0], ttl=resp[1]),
    )
    return Permissions.of(said, source="user token", field="user /nats")


def refusal(verdict: Verdict) -> tuple[Gate, str] | None:
    step = verdict.refusal
    return None if step is None else (step.gate, step.words)


@pytest.mark.parametrize(
    ("permissions", "question", "outcome", "refused"),
    [
        (may(), {"subject": "a"}, Outcome.ALLOWED, None),
        (may("a.*"), {"subject": "a.b"}, Outcome.ALLOWED, None),
        (
            may("a.*"),
            {"subject": "b"},
            Outcome.DENIED,
            (Gate.PUBLISH_ALLOW, 'Permissions Violation for Publish to "b"'),
        ),
        (
            may("a.*", no_pub="a.b"),
            {"subject": "a.b"},
            Outcome.DENIED,
            (Gate.PUBLISH_DENY, 'Permissions Violation for Publish to "a.b"'),
        ),
        # The account's mapping comes first.
        (
            may("m.in"),
            {"subject": "m.in", "mapped": ("m.b",)},
            Outcome.DENIED,
            (Gate.PUBLISH_ALLOW, 'Permissions Violation for Publish to "m.b"'),
        ),
        (may("m.a"), {"subject": "m.in", "mapped": ("m.a", "m.b")}, Outcome.FILTERED, None),
        (may("m.*"), {"subject": "m.in", "mapped": ("m.a", "m.b")}, Outcome.ALLOWED, None),
        # What servers keep to themselves.
        (
            may(),
            {"subject": "_GR_.x"},
            Outcome.DENIED,
            (Gate.RESERVED_SUBJECT, 'Permissions Violation for Publish to "_GR_.x"'),
        ),
        (
            may(),
            {"subject": "$NRG.x"},
            Outcome.DENIED,
            (Gate.RESERVED_SUBJECT, 'Permissions Violation for Publish to "$NRG.x"'),
        ),
        (may(), {"subject": "$NRG.x", "system_account": True}, Outcome.ALLOWED, None),
        (may(), {"subject": "$GNR.x"}, Outcome.ALLOWED, None),
        (may(), {"subject": "$SYS.x"}, Outcome.ALLOWED, None),
        (
            may(),
            {"subject": "a", "reply": "_R_.x"},
            Outcome.DENIED,
            (Gate.RESERVED_REPLY, 'Permissions Violation for Publish with Reply of "_R_.x"'),
        ),
        (
            may(),
            {"subject": "a", "reply": "$JS.ACK.x"},
            Outcome.DENIED,
            (Gate.RESERVED_REPLY, 'Permissions Violation for Publish with Reply of "$JS.ACK.x"'),
        ),
        (may("a"), {"subject": "a", "reply": "b"}, Outcome.ALLOWED, None),
        # Sizes.
        (may(), {"subject": "a", "size": 10, "limits": Limits(payload=10)}, Outcome.ALLOWED, None),
        (
            may(),
            {"subject": "a", "size": 11, "limits": Limits(payload=10)},
            Outcome.DENIED,
            (Gate.PAYLOAD, "Maximum Payload Violation"),
        ),
    ],
)
def test_publishing(
    permissions: Permissions, question: dict[str, Any], outcome: Outcome, refused: tuple[Gate, str] | None
) -> None:
    verdict = decide_publish(permissions, **question)
    assert verdict.outcome is outcome
    assert refusal(verdict) == refused


MINUTE = 60_000_000_000


@pytest.mark.parametrize(
    ("resp", "remembered", "passes"),
    [
        ((1, MINUTE), None, False),
        ((1, MINUTE), Remembered(0, 1.0), True),
        ((1, MINUTE), Remembered(1, 1.0), False),
        ((2, MINUTE), Remembered(1, 1.0), True),
        ((1, MINUTE), Remembered(0, 60.0), True),
        ((1, MINUTE), Remembered(0, 60.1), False),
        ((0, 0), Remembered(0, 119.0), True),
        ((0, 0), Remembered(0, 121.0), False),
        ((-1, -1), Remembered(10**6, 10.0**9), True),
    ],
)
def test_an_answer_may_go_where_nothing_else_may(
    resp: tuple[int, int], remembered: Remembered | None, *, passes: bool
) -> None:
    # Even where a denial says otherwise.
    for permissions in (may(resp=resp), may("a", resp=resp, no_pub="_INBOX.>")):
        verdict = decide_publish(permissions, "_INBOX.x", remembered=remembered)
        assert verdict.outcome is (Outcome.REPLY_ONLY if passes else Outcome.DENIED)


def test_asked_about_no_moment_answers_pass() -> None:
    assert decide_publish(may(resp=(1, 0)), "x", asked=False).outcome is Outcome.REPLY_ONLY
    assert decide_publish(may("x"), "y", asked=False).outcome is Outcome.DENIED


def test_the_entry_that_decided_is_named() -> None:
    verdict = decide_publish(may("a.*,b.*", no_pub="x,b.c"), "b.c")
    assert [(step.field, step.value) for step in verdict.steps[1:]] == [
        ("user /nats/pub/allow/1", "b.*"),
        ("user /nats/pub/deny/1", "b.c"),
    ]
    verdict = decide_publish(may("a.*"), "b")
    assert [(step.field, step.value) for step in verdict.steps[1:]] == [("user /nats/pub/allow", ("a.*",))]


@pytest.mark.parametrize(
    ("permissions", "question", "outcome", "refused"),
    [
        (may(), {"subject": ">"}, Outcome.ALLOWED, None),
        (
            may(sub="a"),
            {"subject": "b"},
            Outcome.DENIED,
            (Gate.SUBSCRIBE_ALLOW, 'Permissions Violation for Subscription to "b"'),
        ),
        (
            may(sub="q grp"),
            {"subject": "q", "queue": "x"},
            Outcome.DENIED,
            (Gate.SUBSCRIBE_ALLOW, 'Permissions Violation for Subscription to "q" using queue "x"'),
        ),
        (
            may(no_sub="foo.>"),
            {"subject": "foo.*"},
            Outcome.DENIED,
            (Gate.SUBSCRIBE_DENY, 'Permissions Violation for Subscription to "foo.*"'),
        ),
        (may(no_sub="foo.>"), {"subject": ">"}, Outcome.FILTERED, None),
        (may(no_sub="foo.>"), {"subject": "bar.*"}, Outcome.ALLOWED, None),
        (may(no_sub="foo v1"), {"subject": "*", "queue": "v1"}, Outcome.FILTERED, None),
        (may(no_sub="foo v1"), {"subject": "*", "queue": "v2"}, Outcome.ALLOWED, None),
        (may(no_sub="foo v1"), {"subject": "*"}, Outcome.ALLOWED, None),
        (
            may(),
            {"subject": "a", "queue": "_sys_"},
            Outcome.DENIED,
            (Gate.RESERVED_QUEUE, 'Permissions Violation for Subscription to "a" using queue "_sys_"'),
        ),
        (
            may(),
            {"subject": "a.b.c", "max_tokens": 2},
            Outcome.DENIED,
            (Gate.TOKENS, 'Permissions Violation for Subscription to "a.b.c", too many tokens'),
        ),
        (
            may(),
            {"subject": "a", "limits": Limits(subscriptions=2), "subscriptions": 1},
            Outcome.ALLOWED,
            None,
        ),
        (
            may(),
            {"subject": "a", "limits": Limits(subscriptions=2), "subscriptions": 2},
            Outcome.DENIED,
            (Gate.SUBSCRIPTIONS, "maximum subscriptions exceeded"),
        ),
        (may(), {"subject": "a..b"}, Outcome.DENIED, (Gate.SUBJECT, "Invalid Subject")),
        (may(), {"subject": "a.>.b"}, Outcome.DENIED, (Gate.SUBJECT, "Invalid Subject")),
    ],
)
def test_subscribing(
    permissions: Permissions, question: dict[str, Any], outcome: Outcome, refused: tuple[Gate, str] | None
) -> None:
    verdict = decide_subscribe(permissions, **question)
    assert verdict.outcome is outcome
    assert refusal(verdict) == refused


def test_what_is_filtered_is_named() -> None:
    verdict = decide_subscribe(may(no_sub="a.x,b.>,a.y grp"), "a.*", "grp")
    assert [step.value for step in verdict.steps if step.gate is Gate.FILTER] == [("a.x", "a.y grp")]


def test_delivery() -> None:
    assert decide_delivery(may(no_sub="a.x"), "a.y").outcome is Outcome.ALLOWED
    verdict = decide_delivery(may(no_sub="a.x"), "a.x")
    assert verdict.outcome is Outcome.DENIED
    assert verdict.refusal is not None
    assert (verdict.refusal.gate, verdict.refusal.field) == (Gate.DELIVERY_DENY, "user /nats/sub/deny/0")


subject = st.lists(st.sampled_from(["a", "b", "*", ">"]), min_size=1, max_size=3).map(".".join)
entries = st.lists(subject, max_size=3).map(",".join)


@given(entries, entries, subject)
def test_the_trace_says_what_the_fast_path_does(allow: str, deny: str, asked: str) -> None:
    publishing, subscribing = may(allow, no_pub=deny), may(sub=allow, no_sub=deny)
    assert decide_publish(publishing, asked).allowed is publishing.can_publish(asked)
    subscribed = decide_subscribe(subscribing, asked)
    wellformed = ">" not in asked.split(".")[:-1]
    assert subscribed.allowed is (subscribing.can_subscribe(asked) and wellformed)
    if subscribed.allowed:
        assert (subscribed.outcome is Outcome.FILTERED) is subscribing.filters(asked)
