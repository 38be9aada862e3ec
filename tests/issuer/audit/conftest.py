from __future__ import annotations

from collections.abc import Iterator

import pytest

from issuer.store.unit import Database
from tests.issuer.store.founding import Founded, found


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A new store, on each engine."""
    opened = Database.open(database_url, create=True)
    yield opened
    opened.close()


@pytest.fixture
def founded(database: Database) -> Founded:
    """An operator and an account in the store."""
    return found(database)
