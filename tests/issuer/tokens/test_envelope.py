from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.claims.account import AccountClaims, new_account
from issuer.claims.exchange import ActivationClaims, GenericClaims
from issuer.claims.operator import OperatorClaims, new_operator
from issuer.claims.user import UserClaims, new_user
from issuer.claims.wire import ClaimSyntaxError, from_plain, to_json
from issuer.errors import AccreditError, PeerError
from issuer.keys.nkeys import PublicKey, Role, Seed, b32
from issuer.tokens.algorithm import NAME, NKeyAlgorithm, VerifyKey, jws, register
from issuer.tokens.envelope import (
    HEADER,
    KINDS,
    MAX_BYTES,
    Token,
    TokenAlgorithmError,
    TokenError,
    TokenKindError,
    TokenRoleError,
    TokenSignatureError,
    TokenTimeError,
    TokenTooLarge,
    decode,
    encode,
    plain_claims,
    token_hash,
)
from issuer.tokens.signer import SeedSigner
from tests.issuer.claims.making import BODIES, ISSUER, KEYS, SEEDS, sound_claims

VECTORS_DIR = Path(__file__).parents[2] / "vectors"
VECTORS: dict[str, Any] = json.loads((VECTORS_DIR / "vectors.json").read_text("utf-8"))
SERVER_VECTORS: dict[str, Any] = json.loads((VECTORS_DIR / "vectors-server.json").read_text("utf-8"))
NAMED = {entry["id"]: Seed.parse(entry["seed"]) for entry in VECTORS["keys"]}
TOKENS = {entry["id"]: entry for entry in VECTORS["jwts"]}
EVERY_TOKEN = [entry["token"] for entry in (*VECTORS["jwts"], *SERVER_VECTORS["tokens"])]
SIGNERS = {role: SeedSigner(seeds[0]) for role, seeds in SEEDS.items()}
ACCOUNT, USER = KEYS[Role.ACCOUNT][0], KEYS[Role.USER][0]
NOW = 1_700_000_000


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(payload: Any, *, header: Any = None, role: Role = Role.ACCOUNT, first: bool = False) -> str:
    """A token put together here, whatever it says, soundly signed."""
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    head = HEADER.decode() if header is None else b64(json.dumps(header).encode())
    message = b64(text) if first else f"{head}.{b64(text)}"
    return f"{head}.{b64(text)}.{b64(SEEDS[role][0].sign(message.encode()))}"


def user_plain(**body: Any) -> dict[str, Any]:
    inner = {"pub": {}, "sub": {}, "subs": -1, "type": "user", "version": 2, **body}
    return {"iat": 1, "iss": ACCOUNT, "sub": USER, "nats": inner}


@pytest.mark.parametrize("entry", VECTORS["jwts"], ids=lambda entry: entry["id"])
def test_every_vector_is_made_byte_for_byte(entry: dict[str, Any]) -> None:
    read = decode(entry["token"])
    assert to_json(read.claims) == entry["payload_json"].encode()
    bare = from_plain({**plain_claims(read.token), "jti": "", "iat": 5, "iss": ""}, type(read.claims))
    made = encode(bare, SeedSigner(NAMED[entry["signer"]]), now=NOW)
    assert made.token == entry["token"]
    assert made.claims.jti == entry["jti"]
    assert made.claims == read.claims
    assert read.version == 2


@pytest.mark.parametrize("entry", SERVER_VECTORS["tokens"], ids=lambda entry: entry["note"])
def test_every_server_vector_is_made_byte_for_byte(entry: dict[str, Any]) -> None:
    read = decode(entry["token"])
    assert to_json(read.claims) == entry["payload_json"].encode()
    made = encode(read.claims, SeedSigner(Seed.parse(entry["issuer_seed"])), now=entry["iat"])
    assert made.token == entry["token"]
    assert made.claims.jti == entry["jti"]


STRICTER = {"trailing-space": None}  # Go refuses a blank behind a token, we strip it


@pytest.mark.parametrize("case", VECTORS["token_cases"], ids=lambda case: case["id"])
def test_verdicts_are_those_of_go(case: dict[str, Any]) -> None:
    verdict = case["go_decode"]
    if verdict.startswith("ok") or case["id"] in STRICTER:
        assert decode(case["token"]).claims.sub == NAMED["user"].public
        return
    with pytest.raises(TokenError) as refusal:
        decode(case["token"])
    words = verdict.removeprefix("error: ").strip()
    assert refusal.value.message == words or words.startswith("illegal base64")


@pytest.mark.parametrize("case", SERVER_VECTORS["token_negative"], ids=lambda case: case["name"])
def test_server_negatives_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(TokenError) as refusal:
        decode(case["token"])
    words = case["go_message"].strip()
    assert refusal.value.message == words or words.startswith("illegal base64")


def test_a_first_format_user_is_read_with_its_own_defaults() -> None:
    token = next(case["token"] for case in VECTORS["token_cases"] if case["id"] == "v1-user")
    read = decode(token, UserClaims)
    body = read.claims.nats
    assert read.version == 1
    assert (body.subs, body.data, body.payload, body.bearer_token, body.tags) == (-1, -1, 5, True, ("T",))


@pytest.mark.parametrize("case", VECTORS["activation_hash"], ids=lambda case: case["import_subject"])
def test_activation_hashes(case: dict[str, Any]) -> None:
    issuer, subject, _ = case["hash_input"].split(".", 2)
    plain = {"iss": issuer, "sub": subject, "nats": {"subject": case["import_subject"], "kind": "service"}}
    assert from_plain(plain, ActivationClaims).hash_id() == case["hash_id"]


def test_an_activation_without_its_parties_has_no_hash() -> None:
    with pytest.raises(PeerError, match="not enough data in the activaion claims"):
        ActivationClaims().hash_id()


@pytest.mark.parametrize("token", EVERY_TOKEN, ids=range(len(EVERY_TOKEN)))
def test_pyjwt_agrees_on_every_vector(token: str) -> None:
    codec = jws(NAME)
    header, payload, _ = token.split(".")
    read = decode(token)
    key: Any = VerifyKey(read.claims.iss)
    assert codec.decode(token, key, algorithms=[NAME]) == to_json(read.claims)
    signer = next(seed for seed in [*NAMED.values(), *server_seeds()] if seed.public == read.claims.iss)
    raw = base64.urlsafe_b64decode(payload + "==")
    again = codec.encode(raw, SeedSigner(signer), algorithm=NAME, headers={"typ": "JWT"}, sort_headers=False)
    # PyJWT writes a token's type before its algorithm as well.
    assert again.split(".")[0] == header
    assert again == token


def server_seeds() -> list[Seed]:
    return [Seed.parse(entry["issuer_seed"]) for entry in SERVER_VECTORS["tokens"]]


@pytest.mark.parametrize("kind", BODIES)
@given(data=st.data())
def test_encode_and_decode_are_each_others_inverse(kind: str, data: st.DataObject) -> None:
    claims = from_plain(data.draw(sound_claims(kind)), KINDS[kind])
    made = encode(claims, SIGNERS[ISSUER[kind]], now=NOW)
    read = decode(made.token, KINDS[kind])
    assert read.claims == made.claims
    assert read == decode(made.token)
    assert encode(read.claims, SIGNERS[ISSUER[kind]], now=NOW).token == made.token
    codec = jws(NAME)
    payload = to_json(made.claims)
    assert codec.encode(payload, SIGNERS[ISSUER[kind]], algorithm=NAME, sort_headers=False) == made.token
    members = {name: value for name, value in json.loads(payload).items() if name not in {"nats", "jti"}}
    digest = hashlib.new("sha512_256", to_json(from_plain(members, GenericClaims))).digest()
    assert made.claims.jti == b32(digest)


@given(st.data())
def test_a_damaged_token_is_refused_by_our_own_errors(data: st.DataObject) -> None:
    token = data.draw(st.sampled_from(EVERY_TOKEN))
    other = data.draw(st.sampled_from(EVERY_TOKEN))
    place = data.draw(st.integers(0, len(token) - 1))
    way = data.draw(st.sampled_from(["cut", "flip", "insert", "swap", "mix"]))
    chunks, others = token.split("."), other.split(".")
    damaged = {
        "cut": token[:place],
        "flip": token[:place] + chr(ord(token[place]) ^ (1 << data.draw(st.integers(0, 20)))) + token[place + 1 :],
        "insert": token[:place] + data.draw(st.text(min_size=1, max_size=3)) + token[place:],
        "swap": token[: place - 1] + token[place : place + 1] + token[place - 1 : place] + token[place + 1 :],
        "mix": ".".join(data.draw(st.sampled_from(pair)) for pair in zip(chunks, others, strict=True)),
    }[way]
    try:
        read = decode(damaged, now=0)
    except AccreditError as refusal:
        assert isinstance(refusal, TokenError | ClaimSyntaxError)  # noqa: PT017
    else:
        # Blanks around it, or bits that base64 does not use.
        assert read.claims in {id_: decode(t).claims for id_, t in enumerate(EVERY_TOKEN)}.values()


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_refused_by_our_own_errors(text: str, more: str) -> None:
    for token in (text, f"{text}.{more}.", f"{HEADER.decode()}.{text}.{more}", by_hand(text.encode("utf-8", "replace"))):
        with pytest.raises((TokenError, ClaimSyntaxError)):
            decode(token)


@given(
    st.dictionaries(
        st.sampled_from(["typ", "alg", "kid", "crit", "b64", "jwk", "x"]),
        st.one_of(st.none(), st.integers(), st.sampled_from(["JWT", "jwt", "ed25519", "ED25519-nkey"]), st.booleans(),
                  st.lists(st.sampled_from(["b64", "x"]), max_size=2)),
    )
)  # fmt: skip
def test_any_header_is_read_or_refused(header: dict[str, Any]) -> None:
    try:
        assert decode(by_hand(user_plain(), header=header)).claims.sub == USER
    except AccreditError as refusal:
        assert isinstance(refusal, TokenError)  # noqa: PT017


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b'{"iss":"x","iss":"y","nats":{"type":"user","version":2}}', ClaimSyntaxError),
        (b'{"type":"user","type":"","nats":{}}', ClaimSyntaxError),
        (user_plain(Version=2), ClaimSyntaxError),
        ({**user_plain(), "Type": "user"}, ClaimSyntaxError),
        ({**user_plain(type=None, Type="user")}, ClaimSyntaxError),
        ({**user_plain(type="x", VERSION=1)}, ClaimSyntaxError),
        ({**user_plain(), "nats": []}, ClaimSyntaxError),
        ({**user_plain(), "nats": {"type": 5}}, ClaimSyntaxError),
        ({**user_plain(), "type": "user", "Tags": ["x"]}, ClaimSyntaxError),
        ({**user_plain(PUB={}), "type": "user"}, ClaimSyntaxError),
        (b"x", ClaimSyntaxError),
        (b"", ClaimSyntaxError),
        (user_plain(version=3), TokenError),
        (user_plain(version=0), TokenError),
        (user_plain(type="cluster"), TokenKindError),
        ({**user_plain(), "type": "server"}, TokenKindError),
        ({**user_plain(), "iss": ACCOUNT.lower()}, TokenRoleError),
        ({**user_plain(), "iss": ""}, TokenRoleError),
        ({**user_plain(), "iss": KEYS[Role.ACCOUNT][1]}, TokenSignatureError),
        ({**user_plain(), "sub": "foo"}, TokenRoleError),
        ({**user_plain(), "sub": ""}, TokenRoleError),
        ({**user_plain(), "sub": ACCOUNT}, TokenRoleError),
    ],
)
def test_what_no_token_may_say(payload: Any, error: type[AccreditError]) -> None:
    with pytest.raises(error):
        decode(by_hand(payload))


def test_members_nobody_knows_stay_when_it_is_signed_again() -> None:
    plain = {**user_plain(), "future": {"b": 1.5, "a": [None]}, "nats": {**user_plain()["nats"], "new": "<x>"}}
    read = decode(by_hand(plain), UserClaims)
    again = decode(encode(read.claims, SIGNERS[Role.ACCOUNT], now=2).token, UserClaims)
    assert plain_claims(again.token)["future"] == plain["future"]
    assert again.claims.nats.extra == {"new": "<x>"}
    assert plain_claims(again.token) == {**plain, "iat": 2, "jti": again.claims.jti}


@pytest.mark.parametrize("blank", [" ", "\n", "\r\n", "\t "])
def test_blanks_around_a_token_do_not_matter(blank: str) -> None:
    token = EVERY_TOKEN[0]
    assert decode(blank + token + blank).token == token
    with pytest.raises(TokenError):
        decode(token[:100] + blank + token[100:])
    with pytest.raises(TokenError):
        decode(token + "\u00a0")


def test_a_token_beyond_what_servers_take_is_neither_made_nor_read() -> None:
    account = new_account(PublicKey(ACCOUNT), "x" * MAX_BYTES)
    with pytest.raises(TokenTooLarge, match="exceeds maximum of 1048576 bytes: token too large"):
        encode(account, SIGNERS[Role.OPERATOR], now=NOW)
    with pytest.raises(TokenTooLarge):
        decode("x" * (MAX_BYTES + 1))


def test_the_largest_token_is_both() -> None:
    room = MAX_BYTES * 3 // 4 - 700
    made = encode(new_account(PublicKey(ACCOUNT), "x" * room), SIGNERS[Role.OPERATOR], now=NOW)
    assert MAX_BYTES - 1000 < len(made.token) <= MAX_BYTES
    assert decode(made.token, AccountClaims).claims == made.claims


@pytest.mark.parametrize("kind", BODIES)
def test_only_the_right_kind_of_key_signs(kind: str) -> None:
    claims: Any = KINDS[kind](sub=KEYS[Role.USER if kind == "user" else Role.ACCOUNT][0])
    if kind == "operator":
        claims = OperatorClaims(sub=KEYS[Role.OPERATOR][0])
    for role in Role:
        if role is Role.CURVE:
            continue
        if role in KINDS[kind].issuers:
            assert decode(encode(claims, SIGNERS[role], now=NOW).token).claims.iss == KEYS[role][0]
            continue
        with pytest.raises(TokenRoleError) as refusal:
            encode(claims, SIGNERS[role], now=NOW)
        expected = " ".join(role.value for role in KINDS[kind].issuers)
        assert refusal.value.message == f"unable to validate expected prefixes - [{expected}]"


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        (new_user(PublicKey(ACCOUNT), "u"), Role.ACCOUNT),
        (new_account(PublicKey(USER), "a"), Role.OPERATOR),
        (new_operator(PublicKey(ACCOUNT), "o"), Role.OPERATOR),
        (ActivationClaims(sub=PublicKey(USER)), Role.ACCOUNT),
        (new_user(PublicKey(""), "u"), Role.ACCOUNT),
        (new_user(PublicKey(USER[:-1]), "u"), Role.ACCOUNT),
        (GenericClaims(), Role.ACCOUNT),
    ],
)
def test_only_the_right_kind_of_key_is_the_subject(claims: Any, role: Role) -> None:
    with pytest.raises(TokenRoleError) as refusal:
        encode(claims, SIGNERS[role], now=NOW)
    assert refusal.value.at == "/sub"


def test_a_curve_key_signs_nothing() -> None:
    with pytest.raises(AccreditError):
        encode(GenericClaims(sub=PublicKey(USER)), SeedSigner(SEEDS[Role.CURVE][0]), now=NOW)


def test_another_kind_than_asked_for_is_refused() -> None:
    with pytest.raises(TokenKindError, match="is not a token of kind account, but user"):
        decode(TOKENS["user-default"]["token"], AccountClaims)
    with pytest.raises(TokenKindError):
        decode(TOKENS["user-default"]["token"], GenericClaims)


@pytest.mark.parametrize(
    ("exp", "nbf", "now", "words"),
    [
        (0, 0, 10**10, None),
        (100, 0, 100, None),
        (100, 0, 101, "claim is expired"),
        (-1, -1, 0, None),
        (0, 100, 100, None),
        (0, 100, 99, "claim is not yet valid"),
    ],
)
def test_time_is_asked_when_it_is_given(exp: int, nbf: int, now: int, words: str | None) -> None:
    token = encode(UserClaims(sub=PublicKey(USER), exp=exp, nbf=nbf), SIGNERS[Role.ACCOUNT], now=1).token
    assert decode(token).claims.exp == exp
    if words is None:
        decode(token, now=now)
        return
    with pytest.raises(TokenTimeError) as refusal:
        decode(token, now=now)
    assert refusal.value.message == words


def test_generic_claims_are_whatever_they_are() -> None:
    body = {"z": 1, "a": {"c": [True, None, 1e-7], "b": "<"}, "type": "thing"}
    made = encode(GenericClaims(sub=PublicKey("anything"), nats=body), SIGNERS[Role.USER], now=NOW)
    read = decode(made.token)
    assert isinstance(read.claims, GenericClaims)
    assert read.claims.nats == {**body, "version": 2}
    assert to_json(read.claims).endswith(
        b'"nats":{"a":{"b":"\\u003c","c":[true,null,1e-7]},"type":"thing","version":2,"z":1}}'
    )
    empty = encode(GenericClaims(sub=PublicKey("x"), extra={"y": 1}), SIGNERS[Role.USER], now=NOW)
    assert plain_claims(empty.token)["y"] == 1
    assert decode(empty.token).claims == empty.claims


def test_second_zero_can_be_signed() -> None:
    made = encode(new_user(PublicKey(USER), "u"), SIGNERS[Role.ACCOUNT], now=0)
    assert decode(made.token, UserClaims).claims == made.claims


def test_texts_that_look_like_members_change_nothing() -> None:
    name = '"iat":1,"nats":{},"iss":"x'
    made = encode(new_user(PublicKey(USER), name), SIGNERS[Role.ACCOUNT], now=NOW)
    assert decode(made.token, UserClaims).claims == made.claims
    assert made.claims.name == name


def test_the_hash_of_a_token_is_that_of_its_text() -> None:
    token = Token(EVERY_TOKEN[0])
    assert token_hash(token) == hashlib.sha256(token.encode()).hexdigest()


def test_pyjwt_itself_learns_the_algorithm() -> None:
    register()
    register()
    payload = jwt.api_jws.decode(EVERY_TOKEN[0], VerifyKey(decode(EVERY_TOKEN[0]).claims.iss), algorithms=[NAME])  # type: ignore[arg-type]
    assert payload == to_json(decode(EVERY_TOKEN[0]).claims)


def test_a_public_key_cannot_sign_and_no_key_becomes_a_jwk() -> None:
    algorithm = NKeyAlgorithm()
    with pytest.raises(AccreditError):
        algorithm.sign(b"x", VerifyKey(PublicKey(ACCOUNT)))
    with pytest.raises(AccreditError):
        algorithm.to_jwk(None)
    with pytest.raises(AccreditError):
        algorithm.from_jwk("{}")


@pytest.mark.parametrize("alg", ["none", "EdDSA", "HS256", "", None, "ed25519-nkey "])
def test_no_other_algorithm_is_taken(alg: str | None) -> None:
    with pytest.raises(TokenAlgorithmError):
        decode(by_hand(user_plain(), header={"typ": "JWT", "alg": alg}))


@pytest.mark.parametrize("header", [{"typ": "JWT", "alg": "ed25519-nkey"}, {"typ": "jwt", "alg": "ed25519"}])
def test_the_body_says_what_was_signed_not_the_header(header: dict[str, str]) -> None:
    assert decode(by_hand(user_plain(), header=header)).version == 2
    with pytest.raises(TokenSignatureError, match="claim failed V2 signature verification"):
        decode(by_hand(user_plain(), header=header, first=True))
    old = {**user_plain(), "type": "user"}
    assert decode(by_hand(old, header=header, first=True)).version == 1
    with pytest.raises(TokenSignatureError, match="claim failed V1 signature verification"):
        decode(by_hand(old, header=header))


def test_a_signer_shows_its_public_key_only() -> None:
    signer = SIGNERS[Role.ACCOUNT]
    assert repr(signer) == f"SeedSigner({signer.public})"
