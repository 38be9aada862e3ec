"""Tokens to carry: an API key exchanged by `accredit login` for creds that an unmodified client uses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest

from tests.system.broker.callout.scene import Which
from tests.system.callout.front import Front, front
from tests.system.callout.test_front import POLICY, come, with_key


@pytest.fixture(params=["real", "ours"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    which: Which = request.param
    with front(which, tmp_path) as made:
        made.run("callout", "enable", "--into", "APP")
        made.run("callout", "policy", "set", made.write("policy.yaml", POLICY))
        yield made


async def connects(desk: Front, creds: Path) -> None:
    client = await come(desk, str(creds))
    await client.subscribe("grid.north")
    await client.flush()
    await client.close()


def test_a_key_is_exchanged_for_creds_that_let_in_and_end_with_the_person(
    desk: Front, tmp_path: Path
) -> None:
    key, configuration = with_key(desk)
    (tmp_path / "scada.key").write_text(key)
    creds = tmp_path / "scada.creds"
    how = ("--token-file", str(tmp_path / "scada.key"), "--token-type", "api-key", "--creds", str(creds))
    with desk.serving(configuration | {"exchange": {"max_lifetime": 600}}) as said:
        desk.run("login", "--url", said["http"], *how)
        assert creds.stat().st_mode & 0o077 == 0
        asyncio.run(connects(desk, creds))
        (session,) = desk.document("sessions")
        assert session["subject"] == "scada"
        desk.run("revoke", "identity", "keys:services", "scada", "--yes")
        with pytest.raises(nats.errors.Error):
            asyncio.run(connects(desk, creds))
        # And no other is given.
        desk.run("login", "--url", said["http"], *how, code=4)
    assert key not in said["log"]


def test_who_is_refused_learns_nothing(desk: Front, tmp_path: Path) -> None:
    key, configuration = with_key(desk)
    (tmp_path / "wrong.key").write_text(key[:-1] + ("0" if key[-1] != "0" else "1"))
    how = ("--token-file", str(tmp_path / "wrong.key"), "--token-type", "api-key")
    with desk.serving(configuration | {"exchange": {}}) as said:
        words = desk.run("login", "--url", said["http"], *how, "--creds", str(tmp_path / "no.creds"), code=4)
        assert "credentials" not in words
    assert not (tmp_path / "no.creds").exists()
