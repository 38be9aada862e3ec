"""What the Go library says of nasty claims and damaged tokens, and what we say."""

from __future__ import annotations

import base64
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import asdict, replace

from issuer.claims.account import AccountClaims, JetStreamLimits, Scope, signing_key
from issuer.claims.exchange import ActivationClaims
from issuer.claims.fields import Envelope
from issuer.claims.user import UserClaims
from issuer.claims.wire import from_plain, strict_object, to_plain
from issuer.errors import AccreditError
from issuer.findings import validate
from issuer.keys.nkeys import Seed
from issuer.tokens.envelope import KINDS, decode, encode
from issuer.tokens.signer import SeedSigner
from tests import nasty_claims, peers
from tests.components import require
from tests.nasty_claims import ACCOUNT, ACCOUNT_KEY, CURVE, OPERATOR, OTHER_ACCOUNT, SERVER, USER, Maker

NOW = int(time.time())
SIGNERS = {
    "operator": OPERATOR,
    "account": OPERATOR,
    "user": ACCOUNT,
    "activation": OTHER_ACCOUNT,
    "authorization_request": SERVER,
    "authorization_response": ACCOUNT,
}
SUBJECTS = {"operator": OPERATOR, "account": ACCOUNT, "activation": ACCOUNT}


@pytest.fixture(autouse=True)
def _go() -> None:
    require("go")


def signed(claims: Envelope, signer: Seed) -> str:
    return encode(claims, SeedSigner(signer), now=NOW).token


def writable(maker: Maker, kind: str) -> Any:
    """Claims that Go does not refuse to write and can read."""
    while True:
        plain = {**maker.claims(kind), "sub": SUBJECTS.get(kind, USER).public}
        claims = from_plain(plain, KINDS[kind])
        codes = {each.code for each in validate(claims, now=NOW)}
        if codes.isdisjoint({"operator.account-server", "account.scope-number"}):
            return as_go_keeps_it(claims) if isinstance(claims, AccountClaims) else claims


def as_go_keeps_it(claims: AccountClaims) -> AccountClaims:
    """One entry for each key, 0 and absent in a role unlimited (claims spec §3.6), tiers or flat (§3.2)."""
    keys: dict[str, str | Scope] = {}
    for entry in claims.nats.signing_keys:
        if isinstance(entry, Scope):
            given = {name: getattr(entry.template, name) for name in ("subs", "data", "payload")}
            given = {name: -1 if value is UNSET or not value else value for name, value in given.items()}
            entry = replace(entry, template=replace(entry.template, **given))
        keys[signing_key(entry)] = entry
    limits = claims.nats.limits
    if limits.tiered_limits:
        limits = replace(
            limits, **{name: value for name, value in asdict(JetStreamLimits()).items() if name != "extra"}
        )
    return replace(claims, nats=replace(claims.nats, signing_keys=tuple(keys.values()), limits=limits))


def activations(seed: int) -> Iterator[str]:
    maker = Maker(seed)
    for _ in range(40):
        plain = {**maker.claims("activation"), "sub": maker.one(ACCOUNT, OTHER_ACCOUNT).public}
        signer = maker.one(OTHER_ACCOUNT, OTHER_ACCOUNT, ACCOUNT_KEY)
        yield signed(from_plain(plain, ActivationClaims), signer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_findings_are_those_of_the_go_library(kind: str, seed: int) -> None:
    maker = Maker(1000 + seed)
    maker.tokens = tuple(activations(seed))
    cases = [maker.claims(kind) for _ in range(400)]
    answers = peers.go_oracle({"op": "validate", "kind": kind, "claims": plain} for plain in cases)
    seen: Counter[str] = Counter()
    for plain, answer in zip(cases, answers, strict=True):
        found = validate(from_plain(plain, KINDS[kind]), now=NOW)
        unreadable = any(each.code == "account.scope-number" for each in found)
        assert answer["ok"] is not unreadable, (answer, plain)
        if unreadable:
            continue
        theirs = Counter((issue["level"], issue["description"]) for issue in answer["issues"])
        ours = Counter((each.level.value, each.message) for each in found)
        assert ours == theirs, plain
        seen.update(each.code for each in found)
    # Claims that are only ever good, or all bad in one way, would compare nothing.
    assert len(seen) >= {"operator": 7, "account": 25, "user": 10}.get(kind, 3), seen


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_encodes_the_other_encodes_and_reads_alike(kind: str) -> None:
    maker = Maker(77)
    cases = [writable(maker, kind) for _ in range(150)]
    seed = SIGNERS[kind].reveal()
    written = peers.go_oracle(
        {"op": "encode", "kind": kind, "claims": to_plain(claims), "seed": seed} for claims in cases
    )
    ours = []
    for claims, answer in zip(cases, written, strict=True):
        assert answer["ok"], (answer, to_plain(claims))
        theirs = decode(answer["token"], KINDS[kind])
        again = encode(claims, SeedSigner(SIGNERS[kind]), now=theirs.claims.iat)
        assert again.token == theirs.token
        ours.append(again)
    read = peers.go_oracle({"op": "decode", "token": each.token} for each in ours)
    for each, answer in zip(ours, read, strict=True):
        assert answer["ok"], answer
        assert answer["kind"] == kind
        assert from_plain(answer["claims"], KINDS[kind]) == decode(each.token).claims


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==="[: -len(text) % 4])


def resigned(payload: bytes, signer: Seed, header: str = '{"typ":"JWT","alg":"ed25519-nkey"}') -> str:
    message = f"{b64(header.encode())}.{b64(payload)}"
    return f"{message}.{b64(signer.sign(message.encode()))}"


def signed_first_format(payload: bytes, signer: Seed, header: str = '{"typ":"jwt","alg":"ed25519"}') -> str:
    return f"{b64(header.encode())}.{b64(payload)}.{b64(signer.sign(b64(payload).encode()))}"


def damaged(draw: random.Random, tokens: list[str]) -> str:
    token = draw.choice(tokens)
    chunks = token.split(".")
    what = draw.randrange(7)
    if what == 0:
        return token[: draw.randrange(len(token))]
    if what == 1:
        raw = bytearray(token.encode())
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(7)
        return raw.decode()
    if what == 2:
        chunks[draw.randrange(3)] = draw.choice(tokens).split(".")[draw.randrange(3)]
        return ".".join(chunks)
    if what == 3:
        return token + draw.choice(["\n", "=", " ", ".", ".x", "A"])
    if what == 4:
        place = draw.randrange(len(token))
        return token[:place] + draw.choice(["+", "/", "=", "-", "_", "é", "\0", " "]) + token[place + 1 :]
    header = draw.choice([
        '{"typ":"jwt","alg":"ed25519"}', '{"typ":"JWT","alg":"ED25519-NKEY"}', '{"typ":"JWT","alg":"none"}',
        '{"typ":"JWT"}', '{"alg":"ed25519-nkey"}', "[]", '{"typ":"JWT","alg":"EdDSA"}', "",
        '{"typ":1,"alg":"ed25519"}', '{"typ":"JWT","alg":"ed25519-nkey","kid":"x"}',
    ])  # fmt: skip
    plain = strict_object(unb64(chunks[1]))
    seed = {each.public: each for each in nasty_claims.SEEDS}[plain["iss"]]
    if what == 5:
        return resigned(unb64(chunks[1]), seed, header)
    return signed_first_format(unb64(chunks[1]), seed, header)


# Where we are stricter on purpose (claims spec §1.2, §2.5): what servers might read in two ways.
STRICTER = (
    "key.",
    "claims.syntax",
    "token.role",  # subjects are checked when read, not only when written
    "token.malformed",  # line ends inside, which Go skips
)


def test_verdicts_on_damaged_tokens_agree() -> None:
    maker, draw = Maker(9), random.Random(9)
    tokens = [signed(writable(maker, kind), SIGNERS[kind]) for kind in KINDS for _ in range(5)]
    cases = tokens + [damaged(draw, tokens) for _ in range(3000)]
    answers = peers.go_oracle({"op": "decode", "token": token} for token in cases)
    agreed: Counter[bool] = Counter()
    stricter = 0
    for token, answer in zip(cases, answers, strict=True):
        try:
            decode(token)
            ours, fault = True, None
        except AccreditError as error:
            ours, fault = False, error
        if ours and not answer["ok"]:
            # One text of a token has one meaning here: blanks around it are none of it.
            assert token.strip() != token, (answer, token)
        elif fault is not None and answer["ok"]:
            assert fault.code.startswith(STRICTER), (fault, token)
            stricter += 1
        else:
            agreed[ours] += 1
    assert agreed[True] > 100
    assert agreed[False] > 2000
    assert stricter < 200


MEMBERS: list[tuple[str, str]] = [
    ('"type":"user","version":2', '"subs":-1'),
    ('"type":"user","version":2', '"subs":1.0'),
    ('"type":"user","version":2', '"subs":1e2'),
    ('"type":"user","version":2', '"subs":9223372036854775808'),
    ('"type":"user","version":2', '"subs":null,"pub":null,"src":null'),
    ('"type":"user","version":2', '"src":"10.0.0.0/8, 1.2.3.4/32"'),
    ('"type":"user","version":2', '"pub":{"allow":"a"}'),
    ('"type":"user","version":2', '"resp":{"max":1,"ttl":"5s"}'),
    ('"type":"user","version":2', '"later":{"a":[1,2.5,null]}'),
    ('"type":"user","version":3', '"subs":1'),
    ('"type":"user","version":1', '"subs":1'),
    ('"type":"user"', '"subs":1'),
    ('"type":"user","version":-1', '"subs":1'),
    ('"type":"cluster","version":2', '"subs":1'),
    ('"type":"server","version":2', '"subs":1'),
    ('"type":1,"version":2', '"subs":1'),
    ('"type":"user","version":"2"', '"subs":1'),
]


@pytest.mark.parametrize(("tail", "members"), MEMBERS)
def test_verdicts_on_odd_bodies_agree(tail: str, members: str) -> None:
    payload = (
        f'{{"iat":1,"iss":"{ACCOUNT.public}","sub":"{USER.public}","nats":{{{members},{tail}}}}}'.encode()
    )
    for token in (resigned(payload, ACCOUNT), signed_first_format(payload, ACCOUNT)):
        (answer,) = peers.go_oracle([{"op": "decode", "token": token}])
        try:
            ours: Any = decode(token)
        except AccreditError:
            ours = None
        assert (ours is not None) is answer["ok"], answer
        if ours is None:
            continue
        known = {
            **answer["claims"],
            "nats": {k: v for k, v in answer["claims"]["nats"].items() if k != "later"},
        }
        assert from_plain(known, UserClaims).nats.subs == ours.claims.nats.subs
        assert tuple(answer["claims"]["nats"].get("src", ())) == ours.claims.nats.src


FIRST_FORMAT: list[dict[str, Any]] = [
    {"type": "user", "tags": ["T"], "nats": {"payload": 5, "bearer_token": True, "max": 7}},
    {
        "type": "user",
        "issuer_account": ACCOUNT.public,
        "nats": {"pub": {"allow": ["a.>"]}, "src": "10.0.0.0/8"},
    },
    {"type": "user", "nats": {"resp": {"max": 1, "ttl": 2}, "subs": 0, "allowed_connection_types": ["MQTT"]}},
    {"type": "user"},
    {"type": "activation", "nats": {"subject": "a.b", "type": "service", "max": 1, "src": "x"}},
    {"type": "activation", "issuer_account": ACCOUNT.public, "nats": {"subject": "a", "type": "stream"}},
    {"type": "account", "tags": ["A"], "nats": {"limits": {"subs": 5, "mem_storage": 9}, "signing_keys": []}},
    {"type": "account", "nats": {"exports": [{"subject": "a", "type": "stream"}], "revocations": {"*": 4}}},
    {"type": "account", "nats": {"mappings": {"a": [{"subject": "b"}]}, "trace": {"dest": "x"}}},
]


@pytest.mark.parametrize("plain", FIRST_FORMAT, ids=lambda plain: json.dumps(plain)[:60])
def test_first_format_tokens_are_read_alike(plain: dict[str, Any]) -> None:
    subject = USER if plain["type"] == "user" else ACCOUNT
    payload = json.dumps({"iat": 1, "iss": ACCOUNT.public, "sub": subject.public, **plain}).encode()
    token = signed_first_format(payload, ACCOUNT)
    (answer,) = peers.go_oracle([{"op": "decode", "token": token}])
    assert answer["ok"], answer
    ours = decode(token)
    assert ours.version == 1
    assert ours.claims == from_plain(answer["claims"], KINDS[plain["type"]])


def test_they_refuse_a_curve_key_as_issuer_too() -> None:
    payload = json.dumps({"iss": CURVE.public, "sub": "x", "nats": {"type": "x", "version": 2}}).encode()
    token = f"{b64(b'{}')}.{b64(payload)}.{b64(bytes(64))}"
    (answer,) = peers.go_oracle([{"op": "decode", "token": token}])
    assert not answer["ok"]
    with pytest.raises(AccreditError):
        decode(token)
