"""What constructors make, as it is written."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from issuer.claims.account import (
    AccountBody,
    AccountClaims,
    AccountLimits,
    JetStreamLimits,
    Scope,
    new_account,
)
from issuer.claims.fields import Envelope
from issuer.claims.operator import new_operator
from issuer.claims.user import UserClaims, UserTemplate, new_scoped_user, new_user
from issuer.keys.nkeys import Seed
from issuer.tokens.envelope import (
    decode,
    encode,
)
from issuer.tokens.signer import SeedSigner

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "vectors.json").read_text())
SEEDS = {vector["id"]: Seed.parse(vector["seed"]) for vector in VECTORS["keys"]}
OPERATOR, ACCOUNT, USER = SEEDS["op"], SEEDS["acct"], SEEDS["user"]
NOW = 1_700_000_000


def test_tokens_of_constructors() -> None:
    """Each constructor's body as Go's constructor writes it."""
    user = '{"pub":{},"sub":{},"subs":-1,"data":-1,"payload":-1,"type":"user","version":2}'
    scoped = f'"issuer_account":"{ACCOUNT.public}","tags":["a:b"],"type":"user","version":2'
    limits = '"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1'
    empty = '"default_permissions":{"pub":{},"sub":{}},"authorization":{}'
    texts: list[tuple[Envelope, str]] = [
        (new_operator(OPERATOR.public, "O"), '{"type":"operator","version":2}'),
        (new_user(USER.public, "u"), user),
        (
            new_scoped_user(USER.public, "u", account=ACCOUNT.public, tags=("a:b",)),
            f'{{"pub":{{}},"sub":{{}},{scoped}}}',
        ),
        (
            new_account(ACCOUNT.public, "A"),
            f'{{"limits":{{{limits}}},{empty},"type":"account","version":2}}',
        ),
    ]
    for claims, text in texts:
        signer = SeedSigner(ACCOUNT if isinstance(claims, UserClaims) else OPERATOR)
        token = encode(claims, signer, now=NOW).token
        written = base64.urlsafe_b64decode(token.split(".")[1] + "==").decode()
        assert written.partition('"nats":')[2] == text + "}"


def test_roles_and_tiers_are_written_whole() -> None:
    scope = Scope(key=ACCOUNT.public, role="r", template=UserTemplate(subs=5))
    body = AccountBody(signing_keys=(scope,), limits=AccountLimits(tiered_limits={"R1": JetStreamLimits()}))
    token = encode(AccountClaims(sub=ACCOUNT.public, nats=body), SeedSigner(OPERATOR), now=NOW).token
    written = base64.urlsafe_b64decode(token.split(".")[1] + "==").decode()
    assert f'{{"kind":"user_scope","key":"{ACCOUNT.public}","role":"r","template":' in written
    assert '"template":{"pub":{},"sub":{},"subs":5},"description":""}' in written
    assert '"limits":{"tiered_limits":{"R1":{}}}' in written
    assert decode(token, AccountClaims).claims.nats.signing_keys == (scope,)
