"""A short run of the fuzz target that asks both servers; `make fuzz` runs a million."""

from __future__ import annotations

import pytest

from tests.fuzz import fuzz_connect


@pytest.mark.component("nats-server")
def test_nobody_is_let_in_whom_the_real_server_refuses() -> None:
    found = fuzz_connect.run(3000, seed=11)
    assert not found.generous
    assert found.left == 0
    # Mutations so harsh that nobody gets in would prove nothing.
    assert 300 < found.let_in < 1500
