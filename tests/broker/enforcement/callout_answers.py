"""Answers of a callout, good but for what is said otherwise, and what is made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from broker.enforcement.admission import AccountFacts
from broker.enforcement.limits import Limits
from broker.enforcement.placement import (
    Answered,
    Denied,
    Gate,
    Placement,
    Question,
    place,
    read_answer,
)
from issuer.claims.account import AccountClaims, ExternalAuthorization, Scope, new_account
from issuer.claims.exchange import AuthorizationResponseBody, AuthorizationResponseClaims
from issuer.claims.fields import TimeRange
from issuer.claims.user import UserTemplate, new_scoped_user, new_user
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner

NOW = 1_700_000_000
UNLIMITED = Limits()
NOON_ONLY = (TimeRange(start="12:00:00", end="12:00:01"),)


@dataclass(frozen=True)
class House:
    """An account's keys."""

    seed: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    signing: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    role: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))

    def claims(self, template: UserTemplate | None = None, **members: Any) -> AccountClaims:
        base = new_account(self.seed.public, "house")
        role = Scope(kind="user_scope", key=self.role.public, role="r", template=template or UserTemplate())
        body = replace(base.nats, signing_keys=(self.signing.public, role), **members)
        return replace(base, nats=body)


CALLOUT, TARGET, OTHER = House(), House(), House()
STRANGER = Seed.generate(Role.ACCOUNT)
SERVER, ELSEWHERE = (Seed.generate(Role.SERVER).public for _ in range(2))
USER, SOMEBODY = (Seed.generate(Role.USER).public for _ in range(2))
SERVER_CURVE, ACCOUNT_CURVE = (Seed.generate(Role.CURVE) for _ in range(2))
PLAIN = Question(CALLOUT.seed.public, SERVER, USER)
SEALED = Question(CALLOUT.seed.public, SERVER, USER, ACCOUNT_CURVE.public)
AT_C = f'on account "{CALLOUT.seed.public}"'


def callout(*allowed: str, users: tuple[str, ...] = (SOMEBODY,)) -> AccountClaims:
    return CALLOUT.claims(
        authorization=ExternalAuthorization(auth_users=users, allowed_accounts=allowed),
    )


def user(by: Seed = TARGET.seed, **members: Any) -> str:
    top = {name: members.pop(name) for name in ("sub", "name", "exp", "nbf") if name in members}
    base = new_user(USER, "")
    claims = replace(base, nats=replace(base.nats, **members), **top)
    return encode(claims, SeedSigner(by), now=NOW).token


def role_user(by: Seed = TARGET.role, account: Seed = TARGET.seed, **members: Any) -> str:
    base = new_scoped_user(USER, "bob", account=account.public)
    return encode(replace(base, nats=replace(base.nats, **members)), SeedSigner(by), now=NOW).token


def response(jwt: str = "", *, by: Seed = CALLOUT.seed, **members: Any) -> bytes:
    top: dict[str, Any] = {"sub": USER, "aud": SERVER}
    top |= {name: members.pop(name) for name in ("sub", "aud", "exp", "nbf") if name in members}
    body = AuthorizationResponseBody(jwt=jwt, **members)
    return encode(AuthorizationResponseClaims(nats=body, **top), SeedSigner(by), now=NOW).token.encode()


def read(
    payload: bytes, question: Question = PLAIN, account: AccountClaims | None = None, *, now: float = NOW
) -> Answered | Denied:
    asked = account or callout(TARGET.seed.public)
    return read_answer(payload, question, asked, curve=SERVER_CURVE, now=now)


def denied(answer: object) -> tuple[Gate, str]:
    assert isinstance(answer, Denied)
    assert not answer
    return answer.gate, answer.words


def settle(
    jwt: str,
    target: AccountClaims | None = None,
    *,
    strict: bool = False,
    connections: int = 0,
    question: Question = PLAIN,
    account: AccountClaims | None = None,
    server: Limits = UNLIMITED,
) -> Placement | Denied:
    answered = read(response(jwt), question, account)
    assert isinstance(answered, Answered), answered
    facts = AccountFacts(claims=target or TARGET.claims(), connections=connections)
    return place(answered, question, facts, strict=strict, server=server, now=NOW)


def placed(jwt: str, target: AccountClaims | None = None, **options: Any) -> Placement:
    found = settle(jwt, target, **options)
    assert isinstance(found, Placement), found
    return found
