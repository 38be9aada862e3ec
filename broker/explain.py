"""May this user do that, and why: the broker's own decisions, asked without connecting.

The answer is the broker's trace, so it ends at the gate that a server's log would name.
"""

from __future__ import annotations

from datetime import tzinfo
from enum import StrEnum
from typing import Final

import msgspec

from broker.enforcement.admission import (
    AccountFacts,
    Admission,
    Attempt,
    account_fault,
    admit,
    identify,
)
from broker.enforcement.admitting import GRANTING
from broker.enforcement.case import ACCOUNT_TOKEN
from broker.enforcement.limits import HasLimits, Limits, full
from broker.enforcement.permissions import USER_TOKEN
from broker.enforcement.traffic import LIMITS, decide_publish, decide_subscribe
from broker.enforcement.trust import Trust
from broker.enforcement.verdict import Gate, Outcome, Step, Verdict
from broker.protocol import texts
from broker.transforms import Mappings
from issuer.claims.account import AccountClaims
from issuer.claims.user import UserClaims
from issuer.findings.finding import step as pointer
from issuer.tokens.envelope import Verified, decode

SERVER_LIMITS: Final = Limits(subscriptions=-1, payload=1_048_576)
"""Those of a server whose configuration says nothing of them."""


class Act(StrEnum):
    """What is asked about."""

    CONNECT = "connect"
    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Something a user would do. That it holds its own key is taken for granted."""

    act: Act = Act.CONNECT
    subject: str = ""
    queue: str = ""
    reply: str = ""
    size: int = 0
    address: str = "127.0.0.1"
    connection_type: str = "STANDARD"
    proxied: bool = False
    """It comes by a trusted proxy."""
    connections: int = 0
    """How many of its account there are already."""
    subscriptions: int = 0
    """How many it has itself."""


def explain_tokens(
    operator_token: str | None,
    account_token: str | None,
    user_token: str,
    question: Question,
    now: float,
    *,
    server_limits: HasLimits = SERVER_LIMITS,
    local: tzinfo | None = None,
) -> Verdict:
    """The answer from tokens alone.

    Without an operator's token whoever signed the account is believed; without an account's the
    account is unknown. `local` is the zone of time windows without one (None: this machine's).

    Raises:
        TokenError: the operator's or the account's token does not verify.
    """
    account = None if account_token is None else decode(account_token, AccountClaims).claims
    if operator_token is not None:
        trust = Trust.of([operator_token])
        return explain(trust, account, user_token, question, now, server_limits=server_limits, local=local)
    trust = Trust(keys=frozenset() if account is None else frozenset({account.iss}))
    verdict = explain(trust, account, user_token, question, now, server_limits=server_limits, local=local)
    return Verdict(tuple(map(_believed, verdict.steps)))


def explain(
    trust: Trust,
    account: AccountClaims | None,
    user_token: str,
    question: Question,
    now: float,
    *,
    server_limits: HasLimits = SERVER_LIMITS,
    local: tzinfo | None = None,
) -> Verdict:
    """The answer for an account as it stands; None is one that nobody knows."""
    attempt = Attempt(
        token=user_token, address=question.address, connection_type=question.connection_type.upper()
    )
    identified = identify(attempt, trust, now=now, read=_read, proxied=question.proxied)
    facts = None
    if identified.account is not None and account is not None and account.sub == identified.account:
        fault = account_fault(account, trust, now=now)
        if fault is not None:
            return Verdict((*identified.steps, fault))
        facts = AccountFacts(claims=account, connections=question.connections)
    admission = admit(
        identified, attempt, trust, facts, now=now, server_limits=server_limits, local=local, asks=GRANTING
    )
    verdict = admission.verdict
    if facts is None or verdict.outcome is not Outcome.ALLOWED:
        return verdict
    stay = _stay(admission, now)
    connected = (*verdict.steps, stay)
    if question.act is Act.CONNECT or not stay.passed:
        return Verdict(connected)
    return Verdict((*connected, *_traffic(admission, facts.claims, trust, question)))


def _read(text: str) -> Verified[UserClaims]:
    return decode(text, UserClaims)


def _believed(step: Step) -> Step:
    if step.gate is not Gate.OPERATOR:
        return step
    return msgspec.structs.replace(step, source="believed: no operator was given to compare with")


def _stay(admission: Admission, now: float) -> Step:
    """Whether the connection would last: the server lets some in only to close them at once."""
    ends = admission.expires_at
    if ends is not None and ends <= now:
        return Step(Gate.STAY, False, "user /exp", admission.issued.exp, USER_TOKEN, texts.USER_EXPIRED)
    limit = admission.limits.subscriptions
    if full(0, limit):
        return Step(Gate.STAY, False, "subs", limit, LIMITS, texts.TOO_MANY_SUBSCRIPTIONS)
    return Step(Gate.STAY, True, "until", ends, "the user's time, or the end of the time window")


def _traffic(
    admission: Admission, account: AccountClaims, trust: Trust, question: Question
) -> tuple[Step, ...]:
    subject, permissions = question.subject, admission.permissions
    if question.act is Act.SUBSCRIBE:
        count = question.subscriptions
        answer = decide_subscribe(
            permissions, subject, question.queue, limits=admission.limits, subscriptions=count
        )
        return answer.steps
    mappings = Mappings.of(account.nats.mappings)
    destinations = mappings.destinations(subject)
    answer = decide_publish(
        permissions,
        subject,
        mapped=[each for each, _ in destinations if each is not None],
        reply=question.reply,
        asked=False,
        limits=admission.limits,
        size=question.size,
        system_account=account.sub == trust.system_account,
    )
    lost = sum(weight for each, weight in destinations if each is None)
    if not lost:
        return answer.steps
    field = "account /nats/mappings" + pointer(mappings.source(subject) or "")
    return (*answer.steps, Step(Gate.FILTER, True, field, f"{lost} % lost", ACCOUNT_TOKEN))
