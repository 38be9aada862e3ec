"""What nats-py leaves behind when it is refused: its sockets are for the garbage collector to close.

They are collected after each test here, when nothing of it is held any more (its log holds exceptions, and
those the client), so that no other test is blamed for them.
"""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(
                pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"), append=False
            )


def pytest_runtest_logfinish() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
