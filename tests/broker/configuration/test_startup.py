"""The words are compared with the real server's in tests/system/broker/test_configuration_agrees.py."""

from __future__ import annotations

import pytest

from broker.configuration.startup import NotStartable, require_startable
from issuer.claims.account import new_account
from issuer.claims.fields import with_body
from issuer.claims.operator import new_operator
from issuer.claims.user import UserBody, UserClaims
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.broker.configuration.reading_files import options_of

NOW = 1_700_000_000
OPERATOR, ACCOUNT, USER = (
    Seed.from_raw(role, bytes(32)) for role in (Role.OPERATOR, Role.ACCOUNT, Role.USER)
)
PLAIN = new_operator(OPERATOR.public, "GRID")


def operator(**body: object) -> str:
    return (
        f"operator: {encode(with_body(PLAIN, **body), SeedSigner(OPERATOR), now=NOW).token}\nresolver: MEM\n"
    )


def sentinel(**body: object) -> str:
    claims = UserClaims(sub=USER.public, nats=UserBody(type="user", version=2, **body))  # type: ignore[arg-type]
    return f"default_sentinel: {encode(claims, SeedSigner(ACCOUNT), now=NOW).token}\n"


@pytest.mark.parametrize(
    "text",
    [
        "debug: true",
        operator(),
        operator(assert_server_version="2.15.1"),
        operator(assert_server_version="2.9.99"),
        operator(system_account=ACCOUNT.public) + f"system_account: {ACCOUNT.public}",
        operator() + sentinel(bearer_token=True),
        operator() + sentinel(issuer_account=ACCOUNT.public),
        operator() + f"resolver_pinned_accounts: {ACCOUNT.public}",
        "websocket {jwt_cookie: c}",
        'websocket {port: -1, no_tls: true, origins: ["https://a.b:8443", "http://[::1]"]}',
        "authorization {users: [{user: a}]}\nno_auth_user: a",
        "mqtt {port: -1}",
    ],
)
def test_it_may_start(text: str) -> None:
    require_startable(options_of(text), version=(2, 15, 1))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("max_payload: 2MB, max_pending: 1MB", "max_payload"),
        ('lame_duck_duration: "30s", lame_duck_grace_period: "30s"', "lame_duck_grace_period"),
        (operator() + "accounts {A {}}", "accounts"),
        (operator() + "authorization {users: [{user: a}]}", "authorization"),
        (operator() + f"trusted_keys: {OPERATOR.public}", "trusted_keys"),
        (operator() + "no_auth_user: a", "no_auth_user"),
        (operator() + "resolver {type: full, dir: d}", "system_account"),
        (operator(system_account=ACCOUNT.public) + "system_account: x", "system_account"),
        (operator(assert_server_version="2.15.2"), "operator"),
        (operator(assert_server_version="2.15"), "operator"),
        (operator() + "resolver_pinned_accounts: x", "resolver_pinned_accounts"),
        (sentinel(bearer_token=True), "default_sentinel"),
        (operator() + sentinel(), "default_sentinel"),
        (operator() + sentinel(issuer_account=ACCOUNT.public, subs=1), "default_sentinel"),
        ("no_auth_user: a", "no_auth_user"),
        ("websocket {port: -1}", "websocket"),
        ('websocket {port: -1, no_tls: true, origins: ["http://a:x"]}', "websocket allowed_origins"),
        ("mqtt {port: -1, no_auth_user: a}", "mqtt no_auth_user"),
        ("tls {}", "tls"),
        ("https_port: -1", "https_port"),
    ],
)
def test_it_may_not(text: str, at: str) -> None:
    with pytest.raises(NotStartable) as refused:
        require_startable(options_of(text), version=(2, 15, 1))
    assert refused.value.at == at


def test_a_preload_is_no_hindrance() -> None:
    token = encode(new_account(ACCOUNT.public, "APP"), SeedSigner(OPERATOR), now=NOW).token
    options = options_of(operator() + f"resolver_preload {{{ACCOUNT.public}: {token} }}")
    require_startable(options, version=(2, 15, 1))
