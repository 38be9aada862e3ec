"""Every rule with its exact words, in the order they are said (claims spec §4)."""

from __future__ import annotations

from typing import Any

import pytest

from issuer.claims.exchange import ActivationBody, ActivationClaims, GenericClaims
from issuer.claims.findings import Finding, Level, advise, blocking, validate
from issuer.claims.wire import from_plain
from issuer.errors import Defect
from issuer.keys.nkeys import PublicKey
from issuer.subjects import Subject
from issuer.tokens.envelope import KINDS, encode
from issuer.tokens.signer import SeedSigner
from tests.nasty_claims import ACCOUNT, ACCOUNT_KEY, CURVE, OPERATOR, OTHER_ACCOUNT, SERVER, USER

NOW = 1_700_000_000
COLON = "first path segment in URL cannot contain colon"
SCHEMES = "protocol not supported (only 'nats', 'tls', 'ws', 'wss' only)"
Plain = dict[str, Any]


def claims(kind: str, body: Plain, **outer: Any) -> Any:
    subject = {"operator": OPERATOR, "account": ACCOUNT, "activation": ACCOUNT}.get(kind, USER)
    return from_plain({"iss": OPERATOR.public, "sub": subject.public, **outer, "nats": body}, KINDS[kind])


def told(kind: str, body: Plain, **outer: Any) -> list[str]:
    return [finding.message for finding in validate(claims(kind, body, **outer), now=NOW)]


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


EXPORTS: list[tuple[Plain, list[str]]] = [
    ({"type": "service", "response_type": "Chunked", "response_threshold": 5, "allow_trace": True}, []),
    ({}, ['invalid export type: "unknown"']),
    ({"type": "service", "response_type": "single"}, ['invalid response type for service: "single"']),
    (
        {"type": "stream", "response_type": "Singleton", "allow_trace": True},
        ['invalid response type for stream: "Singleton"', "AllowTrace only valid for service export"],
    ),
    (
        {"type": "stream", "service_latency": {"sampling": 101, "results": "a.*"}, "response_threshold": 1},
        [
            "latency tracking only permitted for services",
            "sampling percentage needs to be between 1-100",
            "results subject can not contain wildcards",
            "response threshold only valid for services",
        ],
    ),
    (
        {"type": "service", "service_latency": {"sampling": "headers"}, "response_threshold": -1},
        ["subject cannot be empty", "negative response threshold is invalid"],
    ),
    (
        {"type": "stream", "account_token_position": 1},
        ["Account Token Position can only be used with wildcard subjects: s.a"],
    ),
    (
        {"type": "stream", "subject": "s.*", "account_token_position": 3},
        ["Account Token Position 3 exceeds length of subject 's.*'"],
    ),
    (
        {"type": "stream", "subject": "s.*", "account_token_position": 1},
        ["Account Token Position 1 matches 's' but must match a * in: s.*"],
    ),
    ({"type": "stream", "subject": "s.*", "account_token_position": 2}, []),
]


@pytest.mark.parametrize(("export", "words"), EXPORTS, ids=lambda v: str(v)[:50])
def test_exports(export: Plain, words: list[str]) -> None:
    assert told("account", {"exports": [{"subject": "s.a", **export}], "limits": {"exports": -1}}) == words


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (["a", "b"], []),
        (["a.*", "a.b"], ['stream export subject "a.*" already exports "a.b"']),
        (["a.b", "a.*", "a.c"], ['stream export subject "a.*" already exports "a.b"']),
        (["a", "a"], ['stream export subject "a" already exports "a"']),
        (["a.>", "a.*"], [
            'stream export subject "a.>" already exports "a.*"',
            'stream export subject "a.*" already exports "a.>"',  # sic
        ]),
        ([">", "x", ">"], ['stream export subject ">" already exports ">"']),
        (["a", "a.>"], []),
    ],
)  # fmt: skip
def test_overlapping_exports(offered: list[str], words: list[str]) -> None:
    body = {"limits": {"exports": -1}, "exports": [{"subject": text, "type": "stream"} for text in offered]}
    assert told("account", body) == words
    services = [{"subject": text, "type": "service"} for text in offered]
    assert told("account", {**body, "exports": services}) == [w.replace("stream", "service") for w in words]
    both = [{"subject": "a", "type": "service"}, {"subject": "a", "type": "stream"}]
    assert told("account", {**body, "exports": both}) == []


IMPORTS: list[tuple[Plain, list[str]]] = [
    ({"type": "service", "share": True}, []),
    (
        {"type": "", "account": ""},
        ['invalid import type: "unknown"', "account to import from is not specified"],
    ),
    ({"type": "service", "allow_trace": True}, ["AllowTrace only valid for stream import"]),
    (
        {"to": "x", "local_subject": "y"},
        ["the field to has been deprecated (use LocalSubject instead)", "Local Subject replaces To"],
    ),
    ({"share": True}, ['sharing information (for latency tracking) is only valid for services: "s.a"']),
    ({"token": "x"}, ['import "s.a" contains an invalid activation token']),
    ({"subject": "s.*.*", "local_subject": "l.$2.$1"}, []),
    ({"subject": "s.*.*", "local_subject": "l.$2.$2"}, []),
    ({"subject": "s.*.>", "local_subject": "l.*.>"}, []),
    (
        {"subject": "s.>", "local_subject": "l"},
        ["both, renaming subject and subject, need to end or not end in >"],
    ),
    (
        {"subject": "s.*", "local_subject": "l.$2"},
        [
            'Reference $2 in "l.$2" reference * in "s.*" that do not exist',
            "subject does not contain enough * or reference wildcards $[0-9]",
        ],
    ),
    (
        {"subject": "s.*", "local_subject": "l"},
        ["subject does not contain enough * or reference wildcards $[0-9]"],
    ),
    ({"subject": "", "local_subject": "l"}, ["subject cannot be empty", "subject cannot be empty"]),
    ({"local_subject": "l l"}, ['subject "l l" cannot have spaces'] * 2),
]


@pytest.mark.parametrize(("entry", "words"), IMPORTS, ids=lambda v: str(v)[:50])
def test_imports(entry: Plain, words: list[str]) -> None:
    whole = {"subject": "s.a", "type": "stream", "account": OTHER_ACCOUNT.public, **entry}
    found = validate(claims("account", {"imports": [whole], "limits": {"imports": -1}}), now=NOW)
    assert [finding.message for finding in found] == words
    warned = {finding.message for finding in found if finding.level is Level.WARNING}
    assert warned <= {"the field to has been deprecated (use LocalSubject instead)"}


def test_overlapping_imports() -> None:
    def imported(subject: str, account: str = "A", kind: str = "service", **more: str) -> Plain:
        return {"subject": subject, "account": account, "type": kind, **more}

    def said(*taken: Plain) -> list[str]:
        return told("account", {"imports": list(taken), "limits": {"imports": -1}})

    assert said(imported("a"), imported("a", "B"), imported("a", kind="stream"), imported("b")) == []
    assert said(imported("a.*"), imported("a.b")) == [
        'overlapping subject namespace for "a.b" and "a.*" in same account "A"'
    ]
    assert said(imported("a"), imported("a")) == [
        'overlapping subject namespace for "a" and "a" in same account "A"',
        'overlapping subject namespace for "a" in account "A"',
    ]
    assert said(imported("a.*", local_subject="x.$1"), imported("b", local_subject="x.y")) == [
        'overlapping subject namespace for "x.y" and "x.*" in same account "A"'
    ]


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        ({}, []),
        ({"subject": "s.>"}, []),
        ({"exp": 1}, []),
        ({"signer": ACCOUNT_KEY, "issuer_account": OTHER_ACCOUNT.public}, []),
        ({"signer": ACCOUNT_KEY}, ['activation token doesn\'t match account for import "s.a"']),
        (
            {"sub": OTHER_ACCOUNT.public},
            ['activation token doesn\'t match account it is being included in, "s.a"'],
        ),
        ({"share": "service"}, ["mismatch between token import type service and type of import stream"]),
        (
            {"share": ""},
            [
                "mismatch between token import type unknown and type of import stream",
                'invalid import type: "unknown"',
            ],
        ),
        ({"subject": "s.b"}, ['activation token import subject "s.b" doesn\'t match import "s.a"']),
    ],
    ids=lambda v: str(v)[:40],
)
def test_imports_with_an_activation(activation: Plain, words: list[str]) -> None:
    body = ActivationBody(
        subject=Subject(activation.get("subject", "s.a")),
        share=activation.get("share", "stream"),
        issuer_account=activation.get("issuer_account", ""),
    )
    whole = ActivationClaims(
        sub=PublicKey(activation.get("sub", ACCOUNT.public)), exp=activation.get("exp", 0), nats=body
    )
    signer = SeedSigner(activation.get("signer", OTHER_ACCOUNT))
    entry = {
        "subject": "s.a",
        "type": "stream",
        "account": OTHER_ACCOUNT.public,
        "token": encode(whole, signer, now=NOW).token,
    }
    assert told("account", {"imports": [entry], "limits": {"imports": -1}}) == words


def test_the_order_of_an_account() -> None:
    body = {
        "imports": [{"account": "A", "type": "stream", "subject": "i."}],
        "exports": [{"type": "stream", "subject": "e."}],
        "limits": {"imports": -1, "exports": -1, "tiered_limits": {"": {}}},
        "default_permissions": {"pub": {"allow": ["p."]}},
        "mappings": {"m.": []},
        "authorization": {"xkey": "x"},
        "trace": {"dest": "t."},
        "signing_keys": ["k"],
        "description": "d" * 8193,
        "cluster_traffic": "c",
    }
    found = validate(claims("account", body, exp=1, iss=ACCOUNT.public), now=NOW)
    assert [(finding.pointer, finding.level.value) for finding in found] == [
        ("/exp", "time"),
        ("/nats/imports/0/subject", "error"),
        ("/nats/exports/0/subject", "error"),
        ("/nats/limits/tiered_limits/", "error"),
        ("/nats/default_permissions/pub/allow/0", "error"),
        ("/nats/mappings/m.", "error"),
        ("/nats/authorization/xkey", "error"),
        ("/nats/trace/dest", "error"),
        ("/nats/signing_keys/0", "error"),
        ("/nats/description", "error"),
        ("/nats/cluster_traffic", "error"),
        ("/nats/limits", "warning"),
    ]


ADVICE: list[tuple[str, Plain, list[str]]] = [
    ("user", {"subs": -1, "data": -1, "payload": -1}, []),
    ("user", {}, []),
    ("user", {"subs": 0, "data": -1, "payload": -1}, ["advice.user-limit-zero"]),
    ("user", {"tags": ["a:b", "A:b", " x"]}, ["advice.tag", "advice.tag"]),
    ("operator", {"tags": ["X"]}, ["advice.tag"]),
    ("operator", {"strict_signing_key_usage": True}, ["advice.strict-without-key"]),
    ("account", {"default_permissions": {"pub": {"allow": ["a\t", "a.>.b", "a*"]}}}, ["advice.subject"] * 3),
    ("account", {"exports": [{"subject": "a.>.b", "type": "stream"}]}, ["advice.subject"]),
    ("account", {"revocations": {"*": 1, USER.public: 1, "x": 1}}, ["advice.revocation-key"]),
    (
        "account",
        {"mappings": {"a": [{"subject": "b", "weight": 5}, {"subject": "b", "weight": 5}]}},
        ["advice.mapping-twice"],
    ),
    ("activation", {"subject": "a\x01b", "kind": "stream"}, ["advice.subject"]),
]


@pytest.mark.parametrize(("kind", "body", "codes"), ADVICE, ids=lambda v: str(v)[:50])
def test_advice(kind: str, body: Plain, codes: list[str]) -> None:
    found = advise(claims(kind, body))
    assert [finding.code for finding in found] == codes
    assert {finding.level for finding in found} <= {Level.WARNING}


@pytest.mark.parametrize(
    ("template", "codes"),
    [
        ({"pub": {"allow": ["a.{{name()}}", "{{ account-tag(x) }}"]}, "sub": {"allow": ["_INBOX.>"]}}, set()),
        ({"sub": {"allow": ["a.{{nome()}}"]}, "pub": {"allow": ["x"]}}, {"advice.template-function"}),
        ({"sub": {"allow": ["{{name()}}", "q w"]}, "pub": {"allow": ["x"]}}, {"advice.template-queue"}),
        ({"subs": 0}, {"advice.scope-limit-zero"}),
        ({"src": ["x"]}, {"advice.scope-template"}),
        ({"pub": {"allow": ["x"]}}, {"advice.allows-everything"}),
        ({"allowed_connection_types": ["WEBSOCKET", "SOCKET"]}, {"advice.connection-type"}),
    ],
    ids=str,
)
def test_advice_on_a_role(template: Plain, codes: set[str]) -> None:
    scope = {"kind": "user_scope", "key": ACCOUNT_KEY.public, "role": "r", "template": template}
    found = advise(claims("account", {"signing_keys": [scope]}))
    assert {finding.code for finding in found} == codes
    assert all(finding.pointer.startswith("/nats/signing_keys/0/template/") for finding in found)
