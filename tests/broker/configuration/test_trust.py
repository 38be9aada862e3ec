from __future__ import annotations

import pytest

from broker.configuration.model import Resolver
from broker.configuration.reading import ConfigurationError
from issuer.claims.account import new_account
from issuer.claims.fields import with_body
from issuer.claims.operator import new_operator
from issuer.keys.creds import decorate_token
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.broker.configuration.reading_files import options_of

OPERATOR, ACCOUNT = (Seed.from_raw(role, bytes(32)) for role in (Role.OPERATOR, Role.ACCOUNT))
SIGNER = SeedSigner(OPERATOR)
NOW = 1_700_000_000
PLAIN = new_operator(OPERATOR.public, "GRID")
TOKEN = encode(PLAIN, SIGNER, now=NOW).token
ACCOUNT_TOKEN = encode(new_account(ACCOUNT.public, "APP"), SIGNER, now=NOW).token


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MEMORY", Resolver("memory")),
        ("mem", Resolver("memory")),
        ("{type: mem}", Resolver("memory")),
        ("URL(http://a.b/c)", Resolver("url", url="http://a.b/c/")),
        ('URL("https://a.b/c/")', Resolver("url", url="https://a.b/c/")),
        ('"URL(http://[::1]:8080/c)"', Resolver("url", url="http://[::1]:8080/c/")),
        ("{type: full, dir: d}", Resolver("full", dir="d")),
        (
            '{type: full, dir: d, allow_delete: true, hard_delete: true, interval: "2m", limit: 5, timeout: "1s"}',
            Resolver("full", dir="d", allow_delete=True, hard_delete=True, interval=120, limit=5, timeout=1),
        ),
        ("{type: cache, dir: d}", Resolver("cache", dir="d", limit=1000)),
        ('{type: CACHE, dir: d, ttl: "1h", limit: 5}', Resolver("cache", dir="d", ttl=3600, limit=5)),
    ],
)
def test_resolvers(text: str, expected: Resolver) -> None:
    assert options_of(f"resolver: {text}").resolver == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("resolver: what", "error parsing account resolver"),
        ("resolver: URL(ftp://a)", "no http or https URL"),
        ("resolver {type: full}", "dir has no value"),
        ("resolver {type: full, dir: server.conf}", "accessible directory"),
        ('resolver {type: full, dir: d, ttl: "1h"}', "FULL does not accept ttl"),
        ("resolver {type: full, dir: d, hard_delete: true}", "hard_delete has no effect"),
        ("resolver {type: cache, dir: d, allow_delete: true}", "CACHE does not accept allow_delete"),
        ("resolver_preload {a: b}", "invalid account JWT"),
        (f"resolver_preload {{a: {TOKEN}}}", "invalid account JWT"),
        ("operator: none.jwt", "'none.jwt' cannot be read: No such file"),
        ("operator: eyJnope", "error parsing operator JWT"),
        (f"operator: {ACCOUNT_TOKEN}", "error parsing operator JWT"),
        ("operator: {}", "expected a string"),
        (f"trusted_keys: {ACCOUNT.public}", "valid public operator nkey"),
        ("proxies {trusted: [{key: x}]}", 'invalid proxy key "x"'),
        ("resolver_tls {foo: 1}", "unknown field"),
    ],
)
def test_faults(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        options_of(text)
    assert words in str(refused.value)


def test_an_operator_is_a_file_or_a_token() -> None:
    files = {"op.jwt": decorate_token("operator", TOKEN), "bare.jwt": f"{TOKEN}\n"}
    for text in ("operator: op.jwt", "operators: [bare.jwt]", f"roots: {TOKEN}"):
        assert options_of(text, files).operators == (TOKEN,)


def test_one_operator_says_what_the_file_does_not() -> None:
    claims = with_body(PLAIN, system_account=ACCOUNT.public, account_server_url="http://a.b/jwt/v1")
    token = encode(claims, SIGNER, now=NOW).token
    options = options_of(f"operator: {token}")
    assert options.resolver == Resolver("url", url="http://a.b/jwt/v1/accounts/")
    assert options.system_account == ACCOUNT.public
    for text in (
        f"operator: {token}\nresolver: MEM\nsystem_account: x",
        f"resolver: MEM\nsystem: x\noperator: {token}",
    ):
        options = options_of(text)
        assert (options.resolver, options.system_account) == (Resolver("memory"), "x")
    two = options_of(f"operators: [{token}, {TOKEN} ]")
    assert (two.resolver, two.system_account, len(two.operators)) == (None, "", 2)


def test_keys_and_preloads() -> None:
    text = f"""
        trusted_keys: [{OPERATOR.public}]
        resolver_preload {{{ACCOUNT.public}: {ACCOUNT_TOKEN} }}
        resolver_pinned_accounts: {ACCOUNT.public}
        proxies {{trusted: [{{key: {ACCOUNT.public}}}]}}
        resolver_tls {{}}
    """
    options = options_of(text)
    assert options.trusted_keys == (OPERATOR.public,)
    assert options.resolver_preload == {ACCOUNT.public: ACCOUNT_TOKEN}
    assert options.resolver_pinned_accounts == {ACCOUNT.public}
    assert options.proxies.trusted == (ACCOUNT.public,)
    assert options.resolver_tls is not None


def test_a_slip_in_a_resolver_is_said_though_the_real_server_is_silent() -> None:
    (notice,) = options_of("resolver {type: full, dir: d, allow_deletes: true}").warnings
    assert (notice.kind, notice.key) == ("ignored", "allow_deletes")
