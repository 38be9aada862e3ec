"""Tokens and findings against the Go library of the server and the JavaScript one."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from issuer.claims.account import AccountClaims, new_account
from issuer.claims.exchange import ActivationClaims
from issuer.claims.fields import Permission
from issuer.claims.operator import OperatorClaims, new_operator
from issuer.claims.user import UserClaims, new_scoped_user, new_user
from issuer.claims.wire import ClaimSyntaxError, from_plain, to_plain
from issuer.errors import AccreditError
from issuer.findings import validate
from issuer.keys.creds import format_creds, parse_creds
from issuer.keys.nkeys import Role
from issuer.subjects import Subject
from issuer.tokens.envelope import HEADER, KINDS, Signed, TokenRoleError, Verified, decode, encode
from issuer.tokens.signer import SeedSigner
from tests import peers
from tests.components import require
from tests.issuer.claims.making import BODIES, ISSUER, KEYS, SEEDS, any_claims, sound_claims

Ask = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
EXAMPLES = 200
SIGNERS = {role: SeedSigner(seeds[0]) for role, seeds in SEEDS.items()}
ACCOUNT = SEEDS[Role.ACCOUNT][0]


@pytest.fixture(scope="module")
def go() -> Ask:
    require("go")
    return peers.go_oracle


@pytest.fixture(scope="module")
def node() -> Ask:
    require("node")
    return lambda acts: peers.node_tokens(*acts)


def examples(strategy: st.SearchStrategy[Any], count: int = EXAMPLES) -> list[Any]:
    """Many at once: the peers are asked in one go, so nothing is shrunk."""
    made: list[Any] = []

    @settings(
        max_examples=count, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def collect(one: Any) -> None:
        made.append(one)

    collect()
    return made


def signed(
    payload: dict[str, Any] | str, role: Role, header: str = HEADER.decode(), *, first: bool = False
) -> str:
    """A token made by hand, whatever it says; `first` signs the way of the first format."""
    chunk = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
    signature = SEEDS[role][0].sign((chunk if first else f"{header}.{chunk}").encode())
    return f"{header}.{chunk}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def ours(claims: Any, now: int) -> Counter[tuple[str, str]]:
    return Counter((found.level.value, found.message) for found in validate(claims, now=now))


def theirs(answer: dict[str, Any]) -> Counter[tuple[str, str]]:
    return Counter((issue["level"], issue["description"]) for issue in answer["issues"])


@pytest.mark.parametrize("kind", BODIES)
def test_findings_are_the_go_librarys_word_for_word(kind: str, go: Ask) -> None:
    wishes = examples(any_claims(kind))
    answers = go([{"op": "validate", "kind": kind, "claims": wish} for wish in wishes])
    now = int(time.time())
    found: Counter[str] = Counter()
    for wish, answer in zip(wishes, answers, strict=True):
        expected = theirs(answer)
        assert ours(from_plain(wish, KINDS[kind]), now) == expected, wish
        found.update(text for _, text in expected)
    assert len(found) > 1


def test_an_activation_inside_an_import_is_judged_alike(go: Ask) -> None:
    exporter, importer, stranger = KEYS[Role.ACCOUNT]
    signing = SeedSigner(SEEDS[Role.ACCOUNT][2])
    wishes = []
    for grant in examples(sound_claims("activation"), 60):
        for named in ("", exporter, "x"):
            body = {**grant["nats"], "issuer_account": named}
            claims = from_plain({**grant, "nats": body}, ActivationClaims)
            for signer in (SIGNERS[Role.ACCOUNT], signing):
                token = encode(claims, signer, now=1).token
                taken = {"type": "stream", "subject": "a.b", "account": exporter, "token": token}
                other = {**taken, "type": "service", "to": "a.>"}
                wishes += [{"sub": sub, "nats": {"imports": [taken, other]}} for sub in (importer, stranger)]
    user = encode(new_user(KEYS[Role.USER][0], "u"), SIGNERS[Role.ACCOUNT], now=1).token
    wishes.append(
        {"nats": {"imports": [{"type": "stream", "subject": "a", "account": exporter, "token": user}]}}
    )
    answers = go([{"op": "validate", "kind": "account", "claims": wish} for wish in wishes])
    for wish, answer in zip(wishes, answers, strict=True):
        assert ours(from_plain(wish, AccountClaims), 2) == theirs(answer), wish


@pytest.mark.parametrize("kind", BODIES)
def test_our_tokens_are_the_go_librarys_byte_for_byte(kind: str, go: Ask) -> None:
    wishes = examples(sound_claims(kind))
    seed = SEEDS[ISSUER[kind]][0].reveal()
    answers = go([{"op": "encode", "kind": kind, "claims": wish, "seed": seed} for wish in wishes])
    for wish, answer in zip(wishes, answers, strict=True):
        if not answer["ok"]:
            # The one rule it applies while encoding; we apply all of them before.
            assert "account server url" in answer["error"]
            continue
        read = decode(answer["token"])
        again = encode(from_plain(wish, KINDS[kind]), SIGNERS[ISSUER[kind]], now=read.claims.iat)
        assert again.token == answer["token"]
        assert again.claims == read.claims


@pytest.mark.parametrize("kind", BODIES)
def test_go_reads_our_tokens(kind: str, go: Ask) -> None:
    tokens = [
        encode(from_plain(wish, KINDS[kind]), SIGNERS[ISSUER[kind]], now=1_700_000_000)
        for wish in examples(sound_claims(kind), 100)
    ]
    answers = go([{"op": "decode", "token": made.token} for made in tokens])
    assert [answer["kind"] for answer in answers] == [kind] * len(tokens)
    for made, answer in zip(tokens, answers, strict=True):
        assert answer["claims"]["jti"] == made.claims.jti
        assert answer["claims"]["sub"] == made.claims.sub


values = st.sampled_from(
    [None, 0, 1, 1.0, 1e9, 2**63, -1, "", "x", True, [], {}, [1], {"a": 1}, "user", 2, 3]
)
members = ["type", "version", "subs", "pub", "tags", "issuer_account", "Type", "SUBS", "\u017fub", "bearer_token", "src",
           "times", "resp", "other"]  # fmt: skip
top_members = [
    "type",
    "tags",
    "iat",
    "exp",
    "nbf",
    "name",
    "aud",
    "Type",
    "ISS",
    "jti",
    "issuer_account",
    "other",
]
changes = st.lists(
    st.tuples(st.booleans(), st.sampled_from(members + top_members), values), min_size=1, max_size=3
)
headers = st.sampled_from(
    [{"typ": "JWT", "alg": "ed25519-nkey"}, {"typ": "jwt", "alg": "ed25519"}, {"typ": "JWT", "alg": "Ed25519-NKey"},
     {"alg": "ed25519-nkey", "typ": "JWT", "kid": "x"}, {"typ": "JWT", "alg": "none"}, {"typ": "JWT"}, {"alg": "ed25519"},
     {"typ": 1, "alg": "ed25519"}, {"typ": "JWT", "alg": "EdDSA"}, {"typ": "JWT", "alg": "ed25519", "alg ": "x"}]
)  # fmt: skip


def hand_made(change: tuple[list[tuple[bool, str, Any]], dict[str, Any], bool, Role]) -> str:
    edits, header, first, role = change
    plain: dict[str, Any] = {
        "iat": 1,
        "iss": KEYS[role][0],
        "sub": KEYS[Role.USER][0],
        "nats": {"pub": {}, "sub": {}, "subs": -1, "type": "user", "version": 2},
    }
    for inside, name, value in edits:
        (plain["nats"] if inside else plain)[name] = value
    chunk = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return signed(plain, role, chunk, first=first)


def test_what_we_accept_go_accepts(go: Ask) -> None:
    roles = st.sampled_from([Role.ACCOUNT, Role.ACCOUNT, Role.OPERATOR, Role.USER])
    tokens = [
        hand_made(change) for change in examples(st.tuples(changes, headers, st.booleans(), roles), 1000)
    ]
    tokens += mangled(encode(new_user(KEYS[Role.USER][0], "u"), SIGNERS[Role.ACCOUNT], now=1).token)
    verdicts: Counter[tuple[bool, bool]] = Counter()
    for token, answer in zip(tokens, go([{"op": "decode", "token": token} for token in tokens]), strict=True):
        try:
            read: Verified[Any] | None = decode(token)
        except AccreditError as error:
            read = None
            # Its one decoder reads a generic token as one of the first format.
            if answer["ok"] and answer["kind"] not in {"", "generic"}:
                # Stricter on purpose: members that readers may see differently, foreign subjects.
                stricter = isinstance(error, ClaimSyntaxError | TokenRoleError) or "base64" in error.message
                assert stricter, (token, error)
        verdicts[read is not None, answer["ok"]] += 1
        if read is not None and read.claims.kind != "generic":
            assert answer["ok"], (token, answer)
    assert verdicts[True, True] > 50
    assert verdicts[False, False] > 50


def mangled(token: str) -> list[str]:
    cut = [token[:place] for place in range(0, len(token), 7)]
    flipped = [
        token[:place] + chr(ord(token[place]) ^ 1) + token[place + 1 :] for place in range(0, len(token), 3)
    ]
    return [*cut, *flipped, token + ".", token + "=", token + "\n", "." + token, token.upper()]


def test_javascript_reads_our_tokens_and_we_read_its(node: Ask) -> None:
    operator, account, user = SEEDS[Role.OPERATOR][0], ACCOUNT, SEEDS[Role.USER][0]
    made: list[Signed[Any]] = [
        encode(new_operator(operator.public, "O"), SIGNERS[Role.OPERATOR], now=1_700_000_000),
        encode(new_account(account.public, "A <&>"), SIGNERS[Role.OPERATOR], now=1_700_000_000),
        encode(new_user(user.public, "U"), SIGNERS[Role.ACCOUNT], now=1_700_000_000),
        encode(
            new_scoped_user(user.public, "U", account=account.public),
            SIGNERS[Role.ACCOUNT],
            now=1_700_000_000,
        ),
    ]
    answers = node([{"op": "decode", "token": one.token} for one in made])
    for one, answer in zip(made, answers, strict=True):
        assert answer["ok"], answer
        assert answer["claims"] == to_plain(one.claims)
    answers = node(
        [
            {"op": "encode_operator", "name": "O", "seed": operator.reveal()},
            {"op": "encode_account", "name": "A", "seed": account.reveal(), "signer": operator.reveal()},
            {
                "op": "encode_user",
                "name": "U",
                "user_public": user.public,
                "issuer": account.reveal(),
                "user": {"pub": {"allow": ["a.>", "b"]}, "tags": ["x:y"]},
            },
            {
                "op": "encode_user",
                "name": "U",
                "user_public": user.public,
                "issuer": SEEDS[Role.ACCOUNT][1].reveal(),
                "user": {"issuer_account": account.public},
                "scoped": True,
            },
        ]
    )
    kinds: list[type[Any]] = [OperatorClaims, AccountClaims, UserClaims, UserClaims]
    read = [decode(answer["token"], kind).claims for answer, kind in zip(answers, kinds, strict=True)]
    assert [claims.name for claims in read] == ["O", "A", "U", "U"]
    assert read[2].nats.pub == Permission(allow=(Subject("a.>"), Subject("b")))
    assert read[3].nats.issuer_account == account.public
    assert read[3].nats.unrestricted_by_itself()


def test_creds_files_go_both_ways(node: Ask, go: Ask) -> None:
    user = SEEDS[Role.USER][0]
    token = encode(new_user(user.public, "U"), SIGNERS[Role.ACCOUNT], now=1_700_000_000).token
    text = format_creds(token, user)
    theirs_text = node([{"op": "format_creds", "token": token, "seed": user.reveal()}])[0]["text"]
    assert parse_creds(theirs_text) == (token, user)
    assert node([{"op": "parse_creds", "text": text}])[0]["token"] == token
    made = go(
        [{"op": "format_creds", "token": token, "seed": user.reveal()}, {"op": "parse_creds", "text": text}]
    )
    assert made[0]["text"] == text
    assert made[1]["token"] == token
    again, seed = parse_creds(made[0]["text"])
    assert decode(again, UserClaims).claims.sub == seed.public


def test_activation_hashes_agree(go: Ask) -> None:
    grants = [from_plain(wish, ActivationClaims) for wish in examples(sound_claims("activation"), 100)]
    made = [encode(grant, SIGNERS[Role.ACCOUNT], now=1) for grant in grants if grant.nats.subject]
    answers = go([{"op": "activation_hash", "token": one.token} for one in made])
    assert [answer["hash"] for answer in answers] == [one.claims.hash_id() for one in made]


def test_numbers_of_generic_claims_are_written_as_go_writes_them(go: Ask) -> None:
    from issuer.claims.exchange import GenericClaims

    floats = [
        0.1,
        1.0,
        1e-6,
        1e-7,
        1.5e-9,
        1e20,
        1e21,
        1.5e300,
        -0.0,
        123456789.125,
        5e-324,
        1e22,
        100000000.0,
    ]
    body = {"z": floats, "a": {"y": 1, "b": "<&>\u2028"}, "version": 2}
    claims = GenericClaims(sub=KEYS[Role.USER][0], nats=body)
    plain = {"sub": claims.sub, "nats": body}
    seed = ACCOUNT.reveal()
    answer = go([{"op": "encode", "kind": "generic", "claims": plain, "seed": seed}])[0]
    theirs_read = decode(answer["token"], GenericClaims)
    again = encode(claims, SIGNERS[Role.ACCOUNT], now=theirs_read.claims.iat)
    assert again.token == answer["token"]
    assert msgspec.to_builtins(theirs_read.claims.nats)["z"] == floats
