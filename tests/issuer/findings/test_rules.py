"""Every rule with its exact words, in the order they are said (claims spec §4)."""

from __future__ import annotations

import pytest

from issuer.claims.exchange import GenericClaims
from issuer.errors import Defect
from issuer.findings import Finding, Level, blocking, validate
from issuer.keys.nkeys import PublicKey
from tests.issuer.findings.telling import COLON, NOW, SCHEMES, Plain, claims, told
from tests.nasty_claims import ACCOUNT, CURVE, OPERATOR, SERVER, USER


@pytest.mark.parametrize("kind", ["operator", "account", "user", "activation"])
def test_time(kind: str) -> None:
    good = {"subject": "a", "kind": "stream"} if kind == "activation" else {}
    for outer, words in (
        ({"exp": NOW}, []),
        ({"exp": NOW - 1}, ["claim is expired"]),
        ({"exp": -1, "nbf": -1}, []),
        ({"nbf": NOW}, []),
        ({"nbf": NOW + 1}, ["claim is not yet valid"]),
        ({"exp": 1, "nbf": NOW + 1}, ["claim is expired", "claim is not yet valid"]),
    ):
        assert told(kind, good, **outer) == words
        found = validate(claims(kind, good, **outer), now=NOW)
        assert {finding.level for finding in found} <= {Level.TIME}
        assert not blocking(found, include_time=False)
        assert blocking(found, include_time=True) is bool(words)


def test_what_blocks() -> None:
    def of(level: Level) -> list[Finding]:
        return [Finding(level, "c", "m", "/p")]

    assert blocking(of(Level.ERROR), include_time=False)
    assert not blocking(of(Level.WARNING), include_time=True)
    assert not blocking([], include_time=True)


def test_kinds_nobody_has_rules_for() -> None:
    assert validate(GenericClaims(sub=PublicKey("x")), now=NOW) == ()
    with pytest.raises(Defect):
        validate("claims", now=NOW)  # type: ignore[arg-type]


SUBJECT_TEXTS: list[tuple[str, list[str]]] = [
    ("a.b", []),
    ("", ["subject cannot be empty"]),
    ("a b", ['subject "a b" cannot have spaces']),
    (".a", ['subject ".a" cannot start or end with a `.`']),
    ("a.", ['subject "a." cannot start or end with a `.`']),
    ("a..b", ['subject "a..b" cannot contain consecutive `.`']),
    (
        ". ..",
        [
            'subject ". .." cannot have spaces',
            'subject ". .." cannot start or end with a `.`',
            'subject ". .." cannot contain consecutive `.`',
        ],
    ),
    ("a\t>.b*", []),
]


@pytest.mark.parametrize(("text", "words"), SUBJECT_TEXTS)
def test_subjects(text: str, words: list[str]) -> None:
    assert told("activation", {"subject": text, "kind": "stream"}) == words
    assert (
        told("account", {"exports": [{"subject": text, "type": "stream"}], "limits": {"exports": -1}})
        == words
    )


FAULTS: list[tuple[str, Plain, list[str]]] = [
    ("operator", {"account_server_url": "h"}, ['account server url "h" requires a protocol']),
    ("operator", {"account_server_url": "http://h/jwt/v1"}, []),
    (
        "operator",
        {"account_server_url": "127.0.0.1:4222"},
        [f'error parsing account server url: parse "127.0.0.1:4222": {COLON}'],
    ),
    (
        "operator",
        {"operator_service_urls": ["nats://h:99999", "", "tls://h?a#b", "WSS://h"]},
        [],
    ),
    (
        "operator",
        {"operator_service_urls": ["nats://u@h/p", "nats://h/", "http://h", "h:4222", "localhost"]},
        [
            'operator service url "nats://u@h/p" - credentials are not supported',
            'operator service url "nats://h/" - paths are not supported',
            f'operator service url "http://h" - {SCHEMES}',
            f'operator service url "h:4222" - {SCHEMES}',
            'operator service url "localhost" - paths are not supported',
        ],
    ),
    (
        "operator",
        {"operator_service_urls": ["nats://h:x"]},
        ['error parsing operator service url "nats://h:x": parse "nats://h:x": invalid port ":x" after host'],
    ),
    ("operator", {"signing_keys": ["x", OPERATOR.public]}, ["x is not an operator public key"]),
    ("operator", {"system_account": USER.public}, [f"{USER.public} is not an account public key"]),
    ("operator", {"assert_server_version": "+1.2.3"}, []),
    (
        "operator",
        {"assert_server_version": "2.10"},
        ["assert server version error: asserted server version must be of the form <major>.<minor>.<update>"],
    ),
    (
        "operator",
        {"assert_server_version": "v2.1.0"},
        ["assert server version error: asserted server version cant parse v2 to int"],
    ),
    (
        "operator",
        {"assert_server_version": "1.-2.3"},
        ["assert server version error: asserted server version can'b contain negative values: 1.-2.3"],
    ),
    (
        "account",
        {"limits": {"mem_storage": 1, "tiered_limits": {"": {}}}},
        [
            "JetStream Limits and tiered JetStream Limits are mutually exclusive",
            'Tiered JetStream Limits can not contain a blank "" tier name',
        ],
    ),
    (
        "account",
        {"mappings": {"a b": [{"subject": "x.", "weight": 101}]}},
        [
            'subject "a b" cannot have spaces',
            'subject "x." cannot start or end with a `.`',
            'Mapping "a b" has a weight 101 that exceeds 100',
            'Mapping "a b" exceeds 100% among all of it\'s weighted to mappings',
        ],
    ),
    (
        "account",
        {"mappings": {"a": [{"subject": "x", "weight": 60, "cluster": "c"}] * 3}},
        ['Mapping "a" in cluster "c" exceeds 100% among all of it\'s weighted to mappings'] * 2,
    ),
    ("account", {"mappings": {"a": [{"subject": "x"}, {"subject": "y", "cluster": "c"}]}}, []),
    (
        "account",
        {"authorization": {"allowed_accounts": ["*", "x"], "xkey": "x"}},
        [
            "External authorization cannot have accounts without users specified",
            'AllowedAccounts can only be a list of accounts or "*"',
            'Account "x" is not a valid account public key',
            'XKey "x" is not a valid public xkey',
        ],
    ),
    (
        "account",
        {"authorization": {"auth_users": ['q"'], "allowed_accounts": ["*"], "xkey": CURVE.public}},
        ['AuthUser "q\\"" is not a valid user public key'],
    ),
    (
        "account",
        {"trace": {"dest": "", "sampling": -1}},
        [
            "the account Trace.Destination subject cannot be empty",
            "the account Trace.Sampling value '-1' is not valid, should be in the range [1..100]",
        ],
    ),
    (
        "account",
        {"trace": {"dest": "a .*", "sampling": 100}},
        [
            'the account Trace.Destination subject "a .*" cannot have spaces',
            'the account Trace.Destination subject "a .*" is not a valid publish subject',
        ],
    ),
    (
        "account",
        {
            "limits": {"exports": 1},
            "exports": [{"subject": "a.*", "type": "stream"}, {"subject": ">", "type": "service"}],
        },
        [
            "the account contains more exports than allowed by the operator",
            "the account contains wildcard exports that are not allowed by the operator",
            "the account contains wildcard exports that are not allowed by the operator",
        ],
    ),
    ("account", {"signing_keys": ["x"]}, ['"x" is not a valid account signing key']),
    (
        "account",
        {"signing_keys": [{"kind": "user_scope", "key": "x"}]},
        ["x is not an account public key"],
    ),
    (
        "account",
        {"signing_keys": [{"kind": "user_scope", "key": ACCOUNT.public, "template": {"subs": 2**63 - 1}}]},
        ["no server can read a number as large as 9223372036854775807 in a role"],
    ),
    (
        "account",
        {"description": "é" * 4097, "info_url": "x", "cluster_traffic": "all"},
        [
            "Description is too long",
            "error parsing info url: no hostname or scheme",
            'unknown cluster traffic option: "all"',
        ],
    ),
    ("account", {"info_url": "http://h/" + "x" * 8192}, ["Info URL is too long"]),
    (
        "account",
        {"info_url": "http://a b"},
        ['error parsing info url: parse "http://a b": invalid character " " in host name'],
    ),
    (
        "account",
        {"default_permissions": {"sub": {"allow": ["a  b"]}, "pub": {"deny": [""]}}},
        ['Permission Subject "a  b" contains too many spaces', "subject cannot be empty"],
    ),
    (
        "user",
        {"pub": {"allow": ["a q", "b"], "deny": ["..x"]}, "sub": {"allow": ["a q", "a q r"], "deny": ["x "]}},
        [
            'Permission Subject "a q r" contains too many spaces',
            "subject cannot be empty",
            'Permission Subject "a q" is not allowed to contain queue',
            'subject "..x" cannot start or end with a `.`',
            'subject "..x" cannot contain consecutive `.`',
        ],
    ),
    (
        "user",
        {"src": ["10.1.2.3/8", "::/0", "1.2.3.4", "01.0.0.0/8", "1.2.3.4/33", "1.2.3.4/255.0.0.0"]},
        [
            'invalid cidr "1.2.3.4" in user src limits',
            'invalid cidr "01.0.0.0/8" in user src limits',
            'invalid cidr "1.2.3.4/33" in user src limits',
            'invalid cidr "1.2.3.4/255.0.0.0" in user src limits',
        ],
    ),
    (
        "user",
        {"times": [{"start": "8:00:00", "end": "17:00:00.5"}, {}, {"start": "24:00:00", "end": "08:60:00"}]},
        [
            "time ranges start must contain a start",
            "time ranges end must contain an end",
            'start in time range is invalid "24:00:00"',
            'end in time range is invalid "08:60:00"',
        ],
    ),
    ("user", {"times_location": "Local"}, []),
    (
        "user",
        {"times_location": "Mars/X"},
        ["could not parse iana time zone by name: unknown time zone Mars/X"],
    ),
    (
        "user",
        {"times_location": "../x"},
        ["could not parse iana time zone by name: time: invalid location name"],
    ),
    ("user", {"issuer_account": USER.public}, ["account_id is not an account public key"]),
    ("user", {"subs": -7, "resp": {"max": -1}, "allowed_connection_types": ["X"], "bearer_token": True}, []),
    (
        "activation",
        {"subject": "a", "issuer_account": "x"},
        ['invalid import type: "unknown"', "account_id is not an account public key"],
    ),
    ("authorization_request", {}, ["User nkey is required"]),
    ("authorization_request", {"user_nkey": "x"}, ['User nkey "x" is not a valid user public key']),
    (
        "authorization_response",
        {"issuer_account": "x"},
        [
            "Audience must be a server public key",
            "Error or Jwt is required",
            "issuer_account is not an account public key",
        ],
    ),
    (
        "authorization_response",
        {"jwt": "x", "error": "y"},
        ["Audience must be a server public key", "Only Error or Jwt can be set"],
    ),
]


@pytest.mark.parametrize(("kind", "body", "words"), FAULTS, ids=lambda v: str(v)[:50])
def test_faults(kind: str, body: Plain, words: list[str]) -> None:
    found = validate(claims(kind, body), now=NOW)
    assert [finding.message for finding in found] == words
    assert {finding.level for finding in found} <= {Level.ERROR}


def test_callout_kinds_are_asked_about_time_last() -> None:
    assert told("authorization_request", {}, exp=1) == ["User nkey is required", "claim is expired"]
    assert told("authorization_response", {"jwt": "x"}, aud=SERVER.public, exp=1) == ["claim is expired"]
    assert told("authorization_response", {"jwt": "x"}, aud=SERVER.public, sub=ACCOUNT.public) == [
        "Subject must be a user public key"
    ]


@pytest.mark.parametrize(
    ("limits", "times"),
    [
        ({"imports": -1}, 0),
        ({"imports": 1}, 0),
        ({"imports": 0, "subs": 1}, 2),
        ({}, 1),
        ({"imports": -2}, 1),
    ],
)
def test_the_count_of_imports_is_said_once_or_twice(limits: Plain, times: int) -> None:
    body = {"limits": limits, "imports": [{"subject": "a", "type": "stream", "account": ACCOUNT.public}]}
    words = "the account contains more imports than allowed by the operator"
    assert told("account", body) == [words] * times


@pytest.mark.parametrize("limits", [{}, {"subs": -1}, {"wildcards": True}, {"tiered_limits": {"R1": {}}}])
def test_self_signed_accounts_with_limits(limits: Plain) -> None:
    found = validate(claims("account", {"limits": limits}, iss=ACCOUNT.public), now=NOW)
    words = ["self-signed account JWTs shouldn't contain operator limits"] if limits else []
    assert [finding.message for finding in found] == words
    assert {finding.level for finding in found} <= {Level.WARNING}
    assert told("account", {"limits": limits}) == []
