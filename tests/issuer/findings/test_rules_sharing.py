"""What accounts share, and advice: every rule with its exact words (claims spec §4.5, §4.6)."""

from __future__ import annotations

import pytest

from issuer.claims.exchange import ActivationBody, ActivationClaims
from issuer.findings import Level, advise, validate
from issuer.keys.nkeys import PublicKey
from issuer.subjects import Subject
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.issuer.findings.telling import NOW, Plain, claims, told
from tests.nasty_claims import ACCOUNT, ACCOUNT_KEY, OTHER_ACCOUNT, USER

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
