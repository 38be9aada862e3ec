"""One table says what can be recorded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from issuer.audit import catalogue
from issuer.audit.catalogue import CATALOGUE, EventCode


def test_every_code_has_its_entry_in_order() -> None:
    assert set(CATALOGUE) == set(EventCode)
    assert [entry.code for entry in catalogue.rows()] == sorted(EventCode)
    assert list(EventCode) == sorted(EventCode)


def test_codes_are_thing_then_deed() -> None:
    for code in EventCode:
        assert re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", code)
        assert code.name == code.value.upper().replace(".", "_").replace("-", "_")


def test_entries_read_like_sentences_and_have_room_for_no_secret() -> None:
    for entry in catalogue.rows():
        assert entry.title[0].islower()
        assert not entry.title.endswith(".")
        assert all(re.fullmatch(r"[a-z]+[a-z0-9_]*", name) for name in entry.fields)
        assert not {"seed", "token", "creds", "password", "secret"} & entry.fields


def test_the_page_lists_every_code() -> None:
    page = subprocess.run(
        [sys.executable, "-m", "issuer.audit.catalogue"], capture_output=True, text=True, check=True
    ).stdout
    assert page == catalogue.page()
    assert all(f"| `{code}` |" in page for code in EventCode)


def test_the_page_of_the_reference_is_this_catalogue() -> None:
    written = Path(__file__).parents[3] / "docs" / "reference" / "events.md"
    assert written.read_text("utf-8") == catalogue.page(), (
        "python -m issuer.audit.catalogue > docs/reference/events.md"
    )
