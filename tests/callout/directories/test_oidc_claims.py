"""What a verified token must say; nothing here is signed, for nothing here looks at signatures."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.oidc import OidcSettings, OidcSettingsError, TokenKind
from callout.directories.oidc.claims import buckets, judge
from callout.directories.oidc.identities import groups_of, identity_of
from callout.refusals import LoginRefusedError, Reason
from tests.callout.directories.oidc_world import AUDIENCE, DAY, ISSUER, NOW, claims_with, settings_with


def kind_of(
    claims: dict[str, Any], typ: str = "", *, now: float = NOW, nonce: str | None = None, **more: Any
) -> TokenKind:
    return judge(claims, typ, settings_with(**more), now=now, nonce=nonce)


def refusal_of(claims: dict[str, Any], typ: str = "", **more: Any) -> LoginRefusedError:
    with pytest.raises(LoginRefusedError) as refused:
        kind_of(claims, typ, **more)
    return refused.value


# Time


@pytest.mark.parametrize("value", ["1900000000", None, True, [], {}, 1e300, 10**30, -(10**30), NOW * 1000])
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_a_time_that_is_no_number_of_seconds(name: str, value: Any) -> None:
    refused = refusal_of(claims_with(**{name: value}))
    assert (refused.reason, refused.at) == (Reason.CREDENTIALS_MALFORMED, f"/{name}")


@pytest.mark.parametrize("name", ["exp", "iat"])
def test_a_token_without_its_times(name: str) -> None:
    assert refusal_of(claims_with(**{name: ...})).reason is Reason.CREDENTIALS_MALFORMED


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"exp": NOW}, Reason.CREDENTIALS_EXPIRED),
        ({"exp": NOW - 1}, Reason.CREDENTIALS_EXPIRED),
        ({"exp": -1}, Reason.CREDENTIALS_EXPIRED),
        ({"exp": NOW + 0.5}, None),
        ({"iat": NOW + 30}, None),
        ({"iat": NOW + 31}, Reason.CREDENTIALS_EARLY),
        ({"nbf": NOW + 30}, None),
        ({"nbf": NOW + 31}, Reason.CREDENTIALS_EARLY),
        ({"nbf": NOW - 1000, "iat": NOW + 3600, "exp": NOW + 4000}, Reason.CREDENTIALS_EARLY),
        ({"iat": NOW - 10, "exp": NOW - 10 + DAY}, None),
        ({"iat": NOW - 10, "exp": NOW - 9 + DAY}, Reason.CREDENTIALS_TOO_LONG_LIVED),
        ({"iat": NOW + 30, "exp": NOW + 30 + DAY}, None),
        ({"iat": 0}, Reason.CREDENTIALS_TOO_LONG_LIVED),
        ({"exp": NOW + 10 * 365 * DAY}, Reason.CREDENTIALS_TOO_LONG_LIVED),
    ],
)
def test_the_time_of_a_token(times: dict[str, float], reason: Reason | None) -> None:
    if reason is None:
        kind_of(claims_with(**times))
    else:
        assert refusal_of(claims_with(**times)).reason is reason


def test_the_leeway_is_configured_and_bounded() -> None:
    kind_of(claims_with(iat=NOW + 60), leeway=60)
    assert refusal_of(claims_with(iat=NOW + 1), leeway=0).reason is Reason.CREDENTIALS_EARLY
    with pytest.raises(OidcSettingsError):
        settings_with(leeway=61)


@given(st.floats(0, 2e10), st.floats(0, 2e10), st.floats(0, 2e10))
def test_a_token_that_is_taken_is_in_its_time(exp: float, iat: float, now: float) -> None:
    try:
        kind_of(claims_with(exp=exp, iat=iat), now=now)
    except LoginRefusedError:
        return
    assert iat - 30 <= now < exp
    assert exp - iat <= DAY


# For whom, and brought by whom


@pytest.mark.parametrize(
    ("claims", "clients", "reason"),
    [
        ({}, (), None),
        ({"aud": [AUDIENCE]}, (), None),
        ({"aud": [AUDIENCE, "console"]}, (), None),
        ({"aud": "another"}, (), Reason.AUDIENCE),
        ({"aud": AUDIENCE + "x"}, (), Reason.AUDIENCE),
        ({"aud": AUDIENCE.upper()}, (), Reason.AUDIENCE),
        ({"aud": []}, (), Reason.AUDIENCE),
        ({"aud": ...}, (), Reason.CREDENTIALS_MALFORMED),
        ({"aud": None}, (), Reason.CREDENTIALS_MALFORMED),
        ({"aud": [AUDIENCE, 5]}, (), Reason.CREDENTIALS_MALFORMED),
        ({"aud": {AUDIENCE: 1}}, (), Reason.CREDENTIALS_MALFORMED),
        ({"aud": [[AUDIENCE]]}, (), Reason.CREDENTIALS_MALFORMED),
        # for others as well: whoever of them got it could bring it here
        ({"aud": [AUDIENCE, "another"]}, (), Reason.PARTY),
        ({"aud": [AUDIENCE, "another"]}, ("app",), Reason.PARTY),
        ({"aud": [AUDIENCE, "another"], "azp": "app"}, (), Reason.PARTY),
        ({"aud": [AUDIENCE, "another"], "azp": "app"}, ("app",), None),
        ({"aud": [AUDIENCE, "another"], "cid": "app"}, ("app",), None),
        ({"aud": [AUDIENCE, "another"], "azp": "strange"}, ("app",), Reason.PARTY),
        # who may bring it
        ({"azp": "any"}, (), None),
        ({"azp": "app"}, ("app",), None),
        ({"azp": "strange"}, ("app",), Reason.PARTY),
        ({"cid": "strange"}, ("app",), Reason.PARTY),
        ({"client_id": "strange"}, ("app",), Reason.PARTY),
        ({"appid": "strange"}, ("app",), Reason.PARTY),
        ({"azp": "app", "cid": "strange"}, ("app",), Reason.PARTY),
        ({"azp": ""}, ("app",), Reason.CREDENTIALS_MALFORMED),
        ({"azp": ["app"]}, ("app",), Reason.CREDENTIALS_MALFORMED),
        ({"azp": None}, (), Reason.CREDENTIALS_MALFORMED),
        # nobody is named: an ID token is for its client, an access token for its API
        ({"aud": "console"}, ("console",), None),
        ({"aud": "console"}, ("app",), Reason.PARTY),
        ({"scope": "x"}, (AUDIENCE,), Reason.PARTY),
    ],
)
def test_for_whom_a_token_is_and_who_may_bring_it(
    claims: dict[str, Any], clients: tuple[str, ...], reason: Reason | None
) -> None:
    if reason is None:
        kind_of(claims_with(**claims), clients=clients)
    else:
        assert refusal_of(claims_with(**claims), clients=clients).reason is reason


@pytest.mark.parametrize("issuer", [ISSUER + "/", ISSUER.upper(), "", None, [ISSUER]])
def test_the_issuer_is_compared_exactly(issuer: Any) -> None:
    assert refusal_of(claims_with(iss=issuer)).at == "/iss"


# What kind it is


@pytest.mark.parametrize(
    ("typ", "claims", "kind"),
    [
        ("", {}, TokenKind.ID),
        ("jwt", {}, TokenKind.ID),
        ("at+jwt", {}, TokenKind.ACCESS),
        ("", {"cid": "app", "scp": ["nats"], "uid": "u"}, TokenKind.ACCESS),
        ("jwt", {"client_id": "app"}, TokenKind.ACCESS),
        ("jwt", {"scope": "a b"}, TokenKind.ACCESS),
        ("jwt", {"appid": "app"}, TokenKind.ACCESS),
        ("jwt", {"typ": "Bearer", "azp": "app"}, TokenKind.ACCESS),
        ("jwt", {"typ": "ID", "azp": "app"}, TokenKind.ID),
        ("jwt", {"nonce": "n", "at_hash": "h"}, TokenKind.ID),
    ],
)
def test_id_tokens_and_access_tokens_are_told_apart(
    typ: str, claims: dict[str, Any], kind: TokenKind
) -> None:
    assert kind_of(claims_with(**claims), typ) is kind
    assert kind_of(claims_with(**claims), typ, kinds=(kind,)) is kind
    (other,) = set(TokenKind) - {kind}
    assert refusal_of(claims_with(**claims), typ, kinds=(other,)).reason is Reason.TOKEN_KIND


@pytest.mark.parametrize(
    "typ", ["logout+jwt", "secevent+jwt", "dpop+jwt", "token-introspection+jwt", "at", "jws", "x" * 999]
)
def test_other_tokens_of_the_issuer_are_no_credentials(typ: str) -> None:
    assert refusal_of(claims_with(), typ).reason is Reason.TOKEN_KIND


@pytest.mark.parametrize(
    "claims", [{"events": {}}, {"typ": "Refresh"}, {"typ": "Logout"}, {"typ": "Offline"}, {"typ": 5}]
)
def test_other_tokens_without_their_type_are_no_credentials(claims: dict[str, Any]) -> None:
    assert refusal_of(claims_with(**claims), "jwt").reason is Reason.TOKEN_KIND


@pytest.mark.parametrize("issuer", ["https://example.okta.com", "https://login.example.test/"])
def test_an_access_token_of_oktas_org_server_is_refused_in_clear_words(issuer: str) -> None:
    refused = refusal_of(claims_with(iss=issuer, cid="app", scp=["openid"]), issuer=issuer)
    assert refused.reason is Reason.TOKEN_KIND
    assert "org authorization server" in str(refused)
    assert kind_of(claims_with(iss=issuer), issuer=issuer) is TokenKind.ID


def test_a_token_bound_to_a_key_is_no_bearer_token() -> None:
    assert refusal_of(claims_with(cnf={"jkt": "x"}), "at+jwt").reason is Reason.TOKEN_KIND


def test_a_nonce_is_looked_at_only_when_it_is_ours() -> None:
    assert kind_of(claims_with(nonce="n")) is TokenKind.ID
    assert kind_of(claims_with(nonce="n"), nonce="n") is TokenKind.ID
    for claims, typ in (
        (claims_with(nonce="m"), ""),
        (claims_with(), ""),
        (claims_with(nonce=5), ""),
        (claims_with(nonce="n"), "at+jwt"),
    ):
        assert refusal_of(claims, typ, nonce="n").reason is Reason.CREDENTIALS_WRONG
    assert refusal_of(claims_with(nonce="\ud800"), nonce="n").reason is Reason.CREDENTIALS_WRONG


# Buckets


names = st.sampled_from(
    ["sub", "oid", "groups", "email", "roles", "acr", "x", "https://x/y", "/realm_access/roles", "iat"]
)


@given(names, names, names, st.lists(names, max_size=4), st.booleans())
def test_every_claim_is_in_exactly_one_bucket(
    subject: str, name: str, groups: str, attributes: list[str], required: bool
) -> None:
    chosen = settings_with(
        subject_claim=subject,
        name_claim=name,
        groups_claim=groups,
        attributes=tuple(attributes),
        groups_required=required,
    )
    found = buckets(chosen)
    assert not found.required & found.checked
    assert not found.required & found.ignored
    assert not found.checked & found.ignored
    known = found.required | found.checked | found.ignored
    assert {subject, name, *attributes} <= known - found.ignored
    assert found.unaccounted(dict.fromkeys(known)) == frozenset()
    assert found.unaccounted({"never-heard-of": 1}) == {"never-heard-of"}


# Settings


@pytest.mark.parametrize(
    ("wrong", "at"),
    [
        ({"name": ""}, "name"),
        ({"audiences": ()}, "audiences"),
        ({"audiences": ("",)}, "audiences"),
        ({"clients": ("",)}, "clients"),
        ({"kinds": ()}, "kinds"),
        ({"subject_claim": ""}, "subject_claim"),
        ({"algorithms": ()}, "algorithms"),
        ({"algorithms": ("RS256", "HS256")}, "algorithms"),
        ({"algorithms": ("none",)}, "algorithms"),
        ({"leeway": -1}, "leeway"),
        ({"max_lifetime": 0}, "max_lifetime"),
        ({"max_lifetime": 365 * DAY}, "max_lifetime"),
        ({"max_token_bytes": 10**9}, "max_token_bytes"),
        ({"issuer": "http://idp.test"}, "issuer"),
        ({"issuer": "https://"}, "issuer"),
        ({"issuer": "https://user@idp.test"}, "issuer"),
        ({"issuer": "https://idp.test?x"}, "issuer"),
        ({"issuer": "https://idp.test#"}, "issuer"),
        ({"issuer": "https://[idp"}, "issuer"),
        ({"issuer": "https://idp.test:x"}, "issuer"),
        ({"issuer": "idp.test"}, "issuer"),
    ],
)
def test_settings_that_cannot_be_meant(wrong: dict[str, Any], at: str) -> None:
    with pytest.raises(OidcSettingsError) as refused:
        settings_with(**wrong)
    assert refused.value.at == at


def test_settings_are_read_from_a_file_and_unknown_ones_refused() -> None:
    written = """
        name = "okta"
        issuer = "https://example.okta.com/oauth2/default"
        audiences = ["urn:nats:callout"]
        kinds = ["access"]
        keys = { fresh = 300, stale = 7200 }
        fetch = { networks = ["10.0.0.0/8"] }
    """
    found = msgspec.convert(tomllib.loads(written), OidcSettings)
    assert (found.kinds, found.keys.stale, found.fetch.networks) == (
        (TokenKind.ACCESS,),
        7200,
        ("10.0.0.0/8",),
    )
    with pytest.raises(msgspec.ValidationError, match="audience"):
        msgspec.convert(tomllib.loads(written) | {"audience": "x"}, OidcSettings)
    with pytest.raises(OidcSettingsError):
        msgspec.convert(tomllib.loads(written) | {"leeway": 600}, OidcSettings)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
claim_names = st.sampled_from(
    [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "azp",
        "cid",
        "typ",
        "groups",
        "amr",
        "acr",
        "auth_time",
        "email",
        "scope",
        "_claim_names",
        "hasgroups",
        "idtyp",
        "nonce",
        "cnf",
        "events",
        "email_verified",
        "preferred_username",
    ]
)


@given(st.dictionaries(claim_names, anything, max_size=6), st.sampled_from(["", "jwt", "at+jwt"]))
def test_whatever_a_token_says_it_is_taken_or_refused_with_a_reason(wrong: dict[str, Any], typ: str) -> None:
    claims = claims_with() | wrong
    chosen = settings_with(attributes=("email", "scope"))
    try:
        kind = judge(claims, typ, chosen, now=NOW, nonce=None)
        groups = groups_of(claims, chosen)
        identity_of(claims, kind, chosen, groups=groups or (), now=NOW, credential="c")
    except LoginRefusedError:
        pass
