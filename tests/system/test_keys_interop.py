"""Keys, signatures, sealed messages and creds files against the JavaScript, Go and Python libraries."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nkeys import from_seed

from issuer.keys.creds import CredsError, decorate_seed, format_creds, parse_creds, write_private
from issuer.keys.nkeys import KeyFormatError, Role, Seed, is_public, parse_public, verify
from issuer.keys.xkeys import SealError, open_sealed, seal
from tests import peers
from tests.components import ROOT, require

VECTORS: dict[str, Any] = json.loads((ROOT / "tests" / "vectors" / "vectors.json").read_text("utf-8"))
SEEDS = [Seed.from_raw(role, bytes([n]) * 32) for role in Role for n in (0, 1, 0x7F, 0xFF)]
SIGNERS = [seed for seed in SEEDS if seed.role is not Role.CURVE]
CURVES = [seed for seed in SEEDS if seed.role is Role.CURVE]
MESSAGES = [b"", b"nonce-for-test-0123456789", bytes(range(256)) * 17]
FILE: str = VECTORS["creds"]["text"]
TOKEN, USER = parse_creds(FILE)

Ask = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture
def node() -> Ask:
    require("node")
    return lambda acts: peers.node_tokens(*acts)


@pytest.fixture
def go() -> Ask:
    require("go")
    return peers.go_oracle


@pytest.fixture(params=["node", "go"])
def peer(request: pytest.FixtureRequest) -> Ask:
    ask: Ask = request.getfixturevalue(request.param)
    return ask


def test_they_find_our_public_keys(node: Ask, go: Ask) -> None:
    publics = [seed.public for seed in SEEDS]
    asked = [{"op": "public_of", "seed": seed.reveal()} for seed in SEEDS]
    assert [found["public"] for found in node(asked)] == publics
    answers = go([{"op": "nkey", "seed": seed.reveal()} for seed in SEEDS])
    assert [found["public"] for found in answers] == publics
    names = {"x25519": "curve"}
    assert [names.get(found["role"], found["role"]) for found in answers] == [s.role.value for s in SEEDS]
    ours = [{"op": "check_public", "public": seed.public} for seed in SIGNERS]
    assert all(found["ok"] for found in node(ours))


def test_we_read_the_keys_they_make(node: Ask) -> None:
    for role, made in zip(Role, node([{"op": "create", "role": role} for role in Role]), strict=True):
        seed = Seed.parse(made["seed"], role)
        assert parse_public(made["public"], role) == seed.public
        assert seed.reveal() == made["seed"]


def test_signatures_are_the_same_and_verify_both_ways(peer: Ask) -> None:
    pairs = [(seed, message) for seed in SIGNERS for message in MESSAGES]
    theirs = peer([{"op": "sign", "seed": seed.reveal(), "data": data.hex()} for seed, data in pairs])
    for (seed, message), answer in zip(pairs, theirs, strict=True):
        signature = bytes.fromhex(answer["signature"])
        assert signature == seed.sign(message)
        assert verify(seed.public, message, signature)
    asked = [
        {
            "op": "verify",
            "public": seed.public,
            "data": (message + extra).hex(),
            "signature": seed.sign(message).hex(),
        }
        for seed, message in pairs
        for extra in (b"", b"!")
    ]
    taken = [answer["ok"] and answer.get("valid", True) for answer in peer(asked)]
    assert taken == [True, False] * len(pairs)


def test_sealed_messages_open_both_ways(peer: Ask) -> None:
    one, two = CURVES[1], CURVES[2]
    sealed = peer(
        [{"op": "seal", "seed": one.reveal(), "peer": two.public, "data": m.hex()} for m in MESSAGES]
    )
    for message, answer in zip(MESSAGES, sealed, strict=True):
        assert open_sealed(bytes.fromhex(answer["data"]), recipient=two, sender=one.public) == message
    ours = [seal(message, sender=one, recipient=two.public) for message in MESSAGES]
    opened = peer([{"op": "open", "seed": two.reveal(), "peer": one.public, "data": s.hex()} for s in ours])
    assert [bytes.fromhex(answer["data"]) for answer in opened] == MESSAGES


def test_with_one_nonce_the_sealed_bytes_are_those_of_go(go: Ask) -> None:
    one, two, nonce = CURVES[1], CURVES[2], bytes(range(24))
    asked = [
        {"op": "seal", "seed": one.reveal(), "peer": two.public, "data": m.hex(), "nonce": nonce.hex()}
        for m in MESSAGES
    ]
    ours = [seal(message, sender=one, recipient=two.public, nonce=nonce) for message in MESSAGES]
    assert [bytes.fromhex(answer["data"]) for answer in go(asked)] == ours


def test_what_they_cannot_open_we_cannot_open(peer: Ask) -> None:
    one, two = CURVES[1], CURVES[2]
    sealed = seal(b"message", sender=one, recipient=two.public)
    broken = [sealed[:n] for n in (0, 4, 27, 28, 29, 43, len(sealed) - 1)]
    broken += [b"xkv2" + sealed[4:], sealed + b"!", sealed[:-1] + bytes([sealed[-1] ^ 1])]
    asked = [{"op": "open", "seed": two.reveal(), "peer": one.public, "data": b.hex()} for b in broken]
    assert not any(answer["ok"] for answer in peer(asked))
    for text in broken:
        with pytest.raises(SealError):
            open_sealed(text, recipient=two, sender=one.public)


def _mutations(text: str, letters: str, count: int) -> list[str]:
    rand = random.Random(7)
    made = []
    for _ in range(count):
        chars = list(text)
        for _ in range(rand.choice((1, 1, 2, 3))):
            place, letter = rand.randrange(len(chars)), rand.choice(letters)
            chars[place : place + rand.choice((0, 1, 1, 2))] = rand.choice(([], [letter], [letter, letter]))
        made.append("".join(chars))
    return made


def test_we_take_no_key_that_go_refuses(go: Ask) -> None:
    texts = [t for seed in SEEDS[::3] for t in _mutations(seed.public, "AUOXNCSPZ27\n=a0", 150)]
    texts += [vector["text"] for vector in VECTORS["key_negative"]] + [seed.public for seed in SEEDS]
    for text, answer in zip(texts, go([{"op": "nkey", "public": t} for t in texts]), strict=True):
        assert answer["ok"] or not is_public(text), text
    seeds = [t for seed in SEEDS[::3] for t in _mutations(seed.reveal(), "AUOXNCSPZ27\n=a0", 150)]
    for text, answer in zip(seeds, go([{"op": "nkey", "seed": t} for t in seeds]), strict=True):
        try:
            public = Seed.parse(text).public
        except KeyFormatError:
            continue
        assert answer["public"] == public


def test_creds_files_are_the_same_and_read_both_ways(node: Ask, go: Ask) -> None:
    (made,) = go([{"op": "format_creds", "token": TOKEN, "seed": USER.reveal()}])
    assert made["text"] == format_creds(TOKEN, USER) == FILE
    (made,) = node([{"op": "format_creds", "token": TOKEN, "seed": USER.reveal()}])
    assert parse_creds(made["text"]) == (TOKEN, USER)
    (read,) = node([{"op": "parse_creds", "text": FILE}])
    assert read["ok"], read
    assert read["token"] == TOKEN
    (read,) = go([{"op": "parse_creds", "text": FILE}])
    assert (read["token"], read["public"]) == (TOKEN, USER.public)


def test_we_read_every_file_go_reads(go: Ask) -> None:
    header, block = FILE.split("\n\n", 1)
    texts = [
        *_mutations(FILE, "-\n\r \t.=*", 1500),
        *_mutations(f"{header}\n{USER.reveal()}\n", "-\n\r \t.=*", 500),
        *_mutations(FILE.replace("\n", "\r\n"), "-\n\r", 500),
        block + "\n" + header,
        decorate_seed(USER),
        TOKEN,
        "",
    ]
    read = 0
    for text, answer in zip(texts, go([{"op": "parse_creds", "text": t} for t in texts]), strict=True):
        try:
            token, seed = parse_creds(text)
        except (CredsError, KeyFormatError):
            # What it takes for a token without looking, and spellings of a seed that are not its own,
            # are refused by us on purpose.
            assert not answer["ok"] or answer["token"] != TOKEN or USER.reveal() not in text, text
            continue
        read += 1
        if answer["ok"] and answer["token"].count(".") == 2:
            assert (answer["token"].strip(), answer["public"]) == (token, seed.public)
    assert read > 500


def test_the_python_client_reads_our_file(tmp_path: Path) -> None:
    path = tmp_path / "user.creds"
    write_private(path, format_creds(TOKEN, USER))
    client = Client()
    assert client._read_creds_user_jwt(path).decode() == TOKEN
    pair = from_seed(client._read_creds_user_nkey(path))
    assert pair.public_key.decode() == USER.public
    assert verify(USER.public, b"nonce", pair.sign(b"nonce"))
