"""Who comes in by a callout, and who not, on the real server and on ours (enforcement spec §6).

What is expected stands here as it was measured on the real server; both must give it: what the
client reads, whether it had to wait, which account it is in, and what the account is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from issuer.keys.nkeys import Role, Seed
from issuer.keys.xkeys import seal
from tests.system.broker.callout.rows import (
    BROKEN,
    GOOD,
    INVALID,
    OTHER_CURVE,
    ROWS,
    STRANGER,
    UNKNOWN,
    Play,
    Row,
    around,
    attempt,
    inner,
    inside,
    not_allowed,
    outer,
    raw,
    response,
)
from tests.system.broker.callout.scene import Scene, Which, refused


@pytest.mark.parametrize("name", ROWS)
def test_who_comes_in(shared: Scene, name: str) -> None:
    wire, seen = attempt(shared, ROWS[name])
    wire.close()
    assert seen == ROWS[name].expected


# --- sealed ----------------------------------------------------------------------------------------


def sealed(play: Play) -> Play:
    return lambda scene, request: scene.sealed(request, play(scene, request))


SEALED: dict[str, Row] = {
    "plain": Row(GOOD, inside()),
    "plain, by nobody": Row(outer(""), refused(UNKNOWN)),
    "sealed": Row(sealed(GOOD), inside()),
    "sealed, by nobody": Row(sealed(outer("")), inside()),
    "sealed, by nobody for A": Row(sealed(outer("", "A")), inside()),
    "sealed, by nobody for C": Row(sealed(outer("", "C")), inside()),
    "sealed, user by nobody": Row(sealed(inner("")), not_allowed(STRANGER.public)),
    "sealed error": Row(
        sealed(response(error="no", by=STRANGER)), refused("Auth callout service returned an error: no")
    ),
    "sealed, of no account": Row(
        sealed(around(issuer_account="x")), refused(INVALID + "issuer_account is not an account public key")
    ),
    "sealed garbage": Row(sealed(raw(b"garbage")), refused("Expected 3 chunks")),
    "sealed nothing": Row(sealed(raw(b"")), refused("Expected 3 chunks")),
    "garbage": Row(raw(b"garbage"), refused(BROKEN + "encrypted input is not valid")),
    "version alone": Row(raw(b"xkv1"), refused(BROKEN + "encrypted input is not valid")),
    "altered": Row(
        lambda scene, request: sealed(GOOD)(scene, request)[:-1] + b"x",
        refused(BROKEN + "could not decrypt input"),
    ),
    "another version": Row(
        lambda scene, request: b"xkv2" + sealed(GOOD)(scene, request)[4:],
        refused(BROKEN + "encrypted input wrong version"),
    ),
    "another key": Row(
        lambda scene, request: seal(
            GOOD(scene, request), sender=OTHER_CURVE, recipient=Seed.generate(Role.CURVE).public
        ),
        refused(BROKEN + "could not decrypt input"),
    ),
    "a blank before it": Row(
        lambda scene, request: b" " + GOOD(scene, request), refused(BROKEN + "encrypted input wrong version")
    ),
    "empty": Row(raw(b""), refused('Auth callout violation: "no reason supplied" on account "<C>"')),
}


@pytest.mark.parametrize("name", SEALED)
def test_sealed_answers(shared_sealed: Scene, name: str) -> None:
    wire, seen = attempt(shared_sealed, SEALED[name])
    wire.close()
    assert seen == SEALED[name].expected


def test_a_sealed_question_says_to_whom_the_answer_is_sealed(shared_sealed: Scene) -> None:
    wire, _ = attempt(shared_sealed, SEALED["sealed"])
    message, claims = shared_sealed.requests[-1].message, shared_sealed.requests[-1].claims
    xkey = wire.info["xkey"]
    assert message.headers == f"NATS/1.0\r\nNats-Server-Xkey: {xkey}\r\n\r\n".encode()
    assert message.payload.startswith(b"xkv1")
    assert claims.nats.server_id.xkey == xkey


# --- the question ----------------------------------------------------------------------------------


def test_what_the_service_is_asked(shared: Scene) -> None:
    wire, _ = attempt(
        shared, Row(GOOD, inside(), lambda _: {"user": "bob", "pass": "pw", "name": "app", "auth_token": "t"})
    )
    request = shared.requests[-1]
    claims = request.claims
    assert claims.aud == "nats-authorization-request"
    assert claims.sub == shared.key("C")
    assert claims.iss == claims.nats.server_id.id == wire.info["server_id"]
    assert claims.exp - claims.iat in {0, 1}
    server = claims.nats.server_id
    assert (server.name, server.host) == (wire.info["server_name"], wire.info["host"])
    assert (server.version, server.cluster, server.tags, server.xkey) == ("2.15.1", "", (), "")
    info = claims.nats.client_info
    assert (info.host, info.id) == ("127.0.0.1", wire.info["client_id"])
    assert (info.user, info.name, info.tags, info.name_tag) == ("bob", "app", ("door:front",), "sentinel")
    assert (info.kind, info.type, info.mqtt_id, info.nonce) == ("Client", "nats", "", "")
    said = claims.nats.connect_opts
    assert (said.jwt, said.nkey, said.sig, said.auth_token) == (shared.sentinel_token, "", "", "t")
    assert (said.user, said.password, said.name) == ("bob", "pw", "app")
    assert (said.lang, said.version, said.protocol) == ("test", "", 1)
    assert claims.nats.client_tls is None
    words = request.message.reply.split(".")
    assert words[:2] == ["$SYS", "_INBOX"]
    assert [len(word) for word in words[2:]] == [8, 8]


@pytest.mark.parametrize(
    ("said", "user"),
    [({"nkey": "N", "user": "u"}, "N"), ({"user": "u"}, "u"), ({"auth_token": "t"}, None), ({}, None)],
)
def test_under_which_name(shared: Scene, said: dict[str, str], user: str | None) -> None:
    attempt(shared, Row(GOOD, inside(), lambda _: said))
    assert shared.requests[-1].claims.nats.client_info.user == (user or shared.sentinel.public)


def test_the_nonce_of_a_signature(shared: Scene) -> None:
    wire, _ = attempt(shared, ROWS["signature of a bearer"])
    claims = shared.requests[-1].claims.nats
    assert (claims.client_info.nonce, claims.connect_opts.sig) == (wire.info["nonce"], "AAAA")


@pytest.mark.parametrize(
    "said", [{"jwt": ""}, {"jwt": "opaque"}, {"jwt": "", "user": "bob", "pass": "x"}], ids=str
)
def test_the_default_token_is_asked_about(own: Callable[..., Scene], which: Which, said: Any) -> None:
    scene = own()
    scene.play(which, extra=f'default_sentinel: {scene.sentinel_token}\nserver_tags: ["a:b"]')
    _, seen = attempt(scene, Row(GOOD, inside(), lambda _: said))
    assert seen == inside()
    claims = scene.requests[-1].claims.nats
    assert claims.connect_opts.jwt == scene.sentinel_token
    assert claims.client_info.user == said.get("user", scene.sentinel.public)
    assert claims.server_id.tags == ("a:b",)
