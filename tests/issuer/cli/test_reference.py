"""The page of reference is the one the verbs make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from issuer import settings
from issuer.cli.main import EXIT_CODES
from issuer.cli.reference import page

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_up_to_date() -> None:
    made = page()
    assert (DOCS / "cli.md").read_text() == made, "python -m issuer.cli.reference > docs/cli.md"


def test_every_exit_code_is_on_it() -> None:
    for code in {code for _, code in EXIT_CODES} | {0, 2, 7, 130, 141}:
        assert re.search(rf"^\| {code} \| ", page(), re.MULTILINE)


@pytest.mark.parametrize("name", settings.NAMES)
def test_every_setting_is_in_the_page_on_configuration(name: str) -> None:
    text = (DOCS / "configuration.md").read_text()
    assert f"| `{name}` |" in text
    assert f"`{settings.variable(name)}`" in text
