"""An authority over an empty store, with a clock the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.desk import Actor, Authority, Outcome
from issuer.authority.operators import AddOperator, add_operator
from issuer.custody.keyring import Keyring
from issuer.custody.master import MasterKey
from issuer.store.unit import Database
from issuer.tokens.envelope import decode

ADA = Actor("ada", "test")
START = 1_700_000_000


@dataclass
class House:
    """An authority, its clock, and short words for asking it."""

    authority: Authority
    clock: list[int]
    woken: list[int] = field(default_factory=list)

    def do(self, function: Callable[..., Any], act: Any, **how: Any) -> Any:
        return self.authority.perform(function, act, ADA, **how)

    def claims(self, outcome: Outcome) -> Any:
        assert outcome.token is not None
        return decode(outcome.token).claims

    def wait(self, seconds: int) -> None:
        self.clock[0] += seconds


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    """No operator yet."""
    clock = [START]
    database = Database.open(database_url, create=True)
    woken: list[int] = []
    authority = Authority(
        database,
        Keyring(MasterKey(bytes(range(32)))),
        clock=lambda: clock[0],
        committed=lambda _: woken.append(clock[0]),
    )
    yield House(authority, clock, woken)
    database.close()


@pytest.fixture
def grid(house: House) -> House:
    """An operator GRID with a system account, and an account METERS."""
    house.do(add_operator, AddOperator("GRID"))
    house.wait(5)
    house.do(add_account, AddAccount("METERS"))
    house.wait(5)
    return house
