from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.issuer.delivery.town import Town


@pytest.fixture
def town(sqlite_url: str) -> Iterator[Town]:
    made = Town(sqlite_url)
    yield made
    made.close()
