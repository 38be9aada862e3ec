"""The folder account tokens are kept in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from broker.configuration.model import Resolver
from broker.configuration.options import Options
from broker.sources import FolderResolver, StoreFullError, open_resolver
from issuer.claims.account import new_account
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.tokens.envelope import Token, encode
from issuer.tokens.signer import SeedSigner

NOW = 1_700_000_000
OPERATOR = Seed.generate(Role.OPERATOR)


def account(*, now: int = NOW, expires: int = 0, key: PublicKey | None = None) -> tuple[PublicKey, Token]:
    public = key or Seed.generate(Role.ACCOUNT).public
    claims = new_account(public, "A")
    signed = encode(type(claims)(sub=public, exp=expires, nats=claims.nats), SeedSigner(OPERATOR), now=now)
    return public, signed.token


def opened(
    folder: Path,
    *,
    full: bool = True,
    hard: bool = False,
    limit: int = 0,
    later: Callable[..., object] = print,
) -> FolderResolver:
    return FolderResolver(
        folder, full=full, allow_delete=True, hard_delete=hard, limit=limit, timeout=1.0, later=later
    )


def test_what_is_stored_is_found_again_after_a_restart(tmp_path: Path) -> None:
    public, token = account()
    opened(tmp_path).store(public, token)
    again = opened(tmp_path)
    assert again.token_of(public) == token
    assert again.names() == [public]
    (path,) = tmp_path.iterdir()
    assert path.name == f"{public}.jwt"
    assert path.stat().st_mode & 0o777 == 0o600


def test_only_keys_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "outside.jwt").write_text("kept")
    inside = opened(tmp_path / "inside")
    assert inside.token_of("../outside") is None


def test_a_full_store_takes_no_more_but_newer_ones(tmp_path: Path) -> None:
    store = opened(tmp_path, limit=1)
    public, token = account()
    store.store(public, token)
    with pytest.raises(StoreFullError, match="jwt store is full"):
        store.store(*account())
    _, later = account(now=NOW + 1, key=public)
    store.store(public, later)
    assert store.token_of(public) == later
    store.delete(public)
    store.store(*account())


def test_a_cache_forgets_who_was_not_asked_for_longest(tmp_path: Path) -> None:
    store = opened(tmp_path, full=False, limit=2)
    (one, first), (two, second), (three, third) = account(), account(), account()
    store.store(one, first)
    store.store(two, second)
    store.fetch(one, lambda _: None)
    store.store(three, third)
    assert set(store.names()) == {one, three}


@pytest.mark.parametrize(("hard", "left"), [(False, ".jwt.deleted"), (True, None)])
def test_a_deleted_one_is_kept_aside_or_gone(tmp_path: Path, hard: bool, left: str | None) -> None:
    store = opened(tmp_path, hard=hard)
    public, token = account()
    store.store(public, token)
    store.delete(public)
    store.delete(public)
    assert store.names() == []
    assert [path.name for path in tmp_path.iterdir()] == ([f"{public}{left}"] if left else [])


def test_those_whose_time_is_over_are_removed(tmp_path: Path) -> None:
    kept, over, soon = account(), account(expires=NOW + 10), account(expires=NOW + 60)
    store = opened(tmp_path)
    for public, token in (kept, over, soon):
        store.store(public, token)
    store = opened(tmp_path)  # it knows them after a restart as well
    store.drop_expired(NOW + 9)
    assert len(store.names()) == 3
    store.drop_expired(NOW + 10)
    assert set(store.names()) == {kept[0], soon[0]}


@pytest.mark.parametrize("kind", ["full", "cache"])
def test_they_are_looked_for_every_minute(tmp_path: Path, kind: Literal["full", "cache"]) -> None:
    public, token = account(expires=NOW + 10)
    opened(tmp_path).store(public, token)
    waiting: list[tuple[float, Callable[[], None]]] = []
    options = replace(Options.defaults(), resolver=Resolver(kind, dir=str(tmp_path)))
    found = open_resolver(
        options,
        lambda *_: None,
        lambda seconds, action: waiting.append((seconds, action)),
        clock=lambda: NOW + 60,
    )
    assert isinstance(found, FolderResolver)
    assert found.names() == [public]
    for turn in range(2):
        seconds, sweep = waiting[turn]
        assert seconds == 60
        sweep()
    assert found.names() == []


def test_the_hash_does_not_depend_on_the_order(tmp_path: Path) -> None:
    accounts = [account() for _ in range(3)]
    folded = bytes(32)
    for _, token in accounts:
        one = hashlib.sha256(token.encode()).digest()
        folded = bytes(a ^ b for a, b in zip(folded, one, strict=True))
    left, right = opened(tmp_path / "left"), opened(tmp_path / "right")
    for public, token in accounts:
        left.store(public, token)
    for public, token in reversed(accounts):
        right.store(public, token)
    assert left.digest() == right.digest() == folded
    assert opened(tmp_path / "empty").digest() == bytes(32)


def test_an_older_one_of_the_configuration_does_not_win(tmp_path: Path) -> None:
    store = opened(tmp_path)
    public, older = account()
    _, newer = account(now=NOW + 5, key=public)
    store.store_newer(public, older)
    store.store_newer(public, newer)
    store.store_newer(public, older)
    assert store.token_of(public) == newer


def test_files_that_are_no_tokens_do_not_stop_it(tmp_path: Path) -> None:
    public, _ = account()
    (tmp_path / f"{public}.jwt").write_text("garbage")
    (tmp_path / "notes.jwt").write_bytes(b"\xff\xfe")
    opened(tmp_path).drop_expired(NOW)


def test_nobody_to_ask_is_waited_for_all_the_same(tmp_path: Path) -> None:
    waiting: list[Callable[[], None]] = []
    store = opened(tmp_path, later=lambda _, action: waiting.append(action))
    found: list[str | None] = []
    store.fetch(account()[0], found.append)
    assert found == []
    waiting[0]()
    assert found == [None]
