"""Account tokens that come while the broker runs: which are kept, put in force, deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from issuer.claims.exchange import GenericClaims
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.broker.services.headquarters import Headquarters

UPDATE = "$SYS.REQ.CLAIMS.UPDATE"
DELETE = "$SYS.REQ.CLAIMS.DELETE"


def one(place: Headquarters, name: str) -> str:
    return f"$SYS.REQ.ACCOUNT.{place.public(name)}.CLAIMS.UPDATE"


def deletion(place: Headquarters, accounts: Any, by: Seed | None = None) -> bytes:
    by = by or place.operator
    claims = GenericClaims(sub=by.public, nats={"accounts": accounts, "type": GenericClaims.kind})
    return encode(claims, SeedSigner(by), now=int(place.time)).token.encode()


def test_a_full_store_keeps_what_it_is_given(tmp_path: Path) -> None:
    place = Headquarters(tmp_path)
    token = place.token("A")
    assert place.answer(UPDATE, token.encode())["data"]["message"] == "jwt updated"
    assert place.store.token_of(place.public("A")) == token
    assert place.core.account(place.public("A")) is None


def test_a_foreign_token_is_stored_but_never_in_force(tmp_path: Path) -> None:
    place = Headquarters(tmp_path)
    account = place.put("A")
    good, foreign = account.token, place.token("A", by=Seed.generate(Role.OPERATOR))
    assert place.answer(UPDATE, foreign.encode())["data"]["code"] == 200
    assert place.store.token_of(account.public) == foreign
    assert account.token == good


def test_a_cache_keeps_only_what_is_loaded(tmp_path: Path) -> None:
    place = Headquarters(tmp_path, "cache")
    said = place.answer(UPDATE, place.token("A").encode())["data"]["message"]
    assert said == "jwt update cache skipped"
    assert place.store.token_of(place.public("A")) is None
    place.put("A")
    later = place.token("A", description="later")
    assert place.answer(one(place, "A"), later.encode())["data"]["message"] == "jwt updated cache"
    assert place.core.accounts[place.public("A")].token == later


def test_memory_takes_what_is_loaded_and_trusted(tmp_path: Path) -> None:
    place = Headquarters(tmp_path, "memory")
    assert place.answer(one(place, "A"), place.token("A").encode())["data"]["message"] == "jwt update skipped"
    account = place.put("A")
    foreign = place.token("A", by=Seed.generate(Role.OPERATOR))
    said = place.answer(one(place, "A"), foreign.encode())["error"]["description"]
    assert said == "jwt update resulted in error - account validation failed"
    later = place.token("A", description="later")
    assert place.answer(one(place, "A"), later.encode())["data"]["message"] == "jwt updated"
    assert account.token == later
    assert not place.ask(UPDATE, later.encode())


@pytest.mark.parametrize("name", ["../outside", "../../outside", "/etc/outside", "AX", "", "B" * 56, 7])
def test_nothing_but_a_key_becomes_the_name_of_a_file(tmp_path: Path, name: object) -> None:
    inside = tmp_path / "a" / "b"
    place = Headquarters(inside)
    outside = [tmp_path / "outside.jwt", tmp_path / "a" / "outside.jwt"]
    for path in outside:
        path.write_text("kept")
    refused = place.answer(DELETE, deletion(place, [name]))["error"]["description"]
    assert refused == f"delete accounts request by {place.operator.public} failed - malformed request"
    assert all(path.read_text() == "kept" for path in outside)


def test_one_bad_name_and_nothing_is_deleted(tmp_path: Path) -> None:
    place = Headquarters(tmp_path)
    place.ask(UPDATE, place.token("A").encode())
    for names in ([place.public("A"), "AX"], [place.public("A"), place.system]):
        assert "error" in place.answer(DELETE, deletion(place, names))
        assert place.store.token_of(place.public("A"))


def test_a_deleted_account_shuts_its_connections(tmp_path: Path) -> None:
    place = Headquarters(tmp_path)
    place.ask(UPDATE, place.token("A").encode())
    client = place.enter(place.put("A"))
    answer = place.answer(DELETE, deletion(place, [place.public("A")]))
    assert answer["data"] == {"code": 200, "message": "deleted 1 accounts"}
    assert client.closed == "Authentication Expired"
    assert place.store.names() == []


def test_who_may_not_delete(tmp_path: Path) -> None:
    stranger = Seed.generate(Role.OPERATOR)
    place = Headquarters(tmp_path)
    accounts = [place.public("A")]
    assert "not trusted" in place.answer(DELETE, deletion(place, accounts, stranger))["error"]["description"]
    shut = Headquarters(tmp_path / "shut", allow_delete=False)
    said = shut.answer(DELETE, deletion(shut, accounts))["error"]["description"]
    assert said.endswith("delete must be enabled in server config")


def test_a_lookup_answers_of_keys_only(tmp_path: Path) -> None:
    place = Headquarters(tmp_path)
    token = place.token("A")
    place.ask(UPDATE, token.encode())
    look = "$SYS.REQ.ACCOUNT.{}.CLAIMS.LOOKUP"
    assert place.ask(look.format(place.public("A"))) == [token.encode()]
    assert place.ask(look.format(place.public("B"))) == [b""]
    assert place.ask(look.format("AX")) == []
