"""The pages of traps and outages name tests that are there."""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path

import pytest

from web.metrics import LoginMetrics

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PAGES = ("traps.md", "outages.md")


def named(page: str) -> list[tuple[str, str]]:
    return NAMED.findall((ROOT / "docs" / "callout" / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_every_test_a_page_names_is_there(page: str) -> None:
    missing = [
        f"{path}::{name}"
        for path, name in named(page)
        if not (ROOT / path).is_file() or f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_row_of_a_page_names_one(page: str) -> None:
    text = (ROOT / "docs" / "callout" / page).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.endswith("| test |")]
    assert len(rows) > 10
    assert [row for row in rows if NAMED.search(row) is None] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "callout").glob("*.md")), ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).is_file()] == []


def test_every_metric_is_told_and_no_other() -> None:
    metrics = LoginMetrics(now=lambda: 0.0)
    watched = set(signature(metrics.watch).parameters) - {"directories"}
    metrics.watch(**{name: lambda: 0.0 for name in watched}, directories=tuple)
    made = set(re.findall(r"^# TYPE (\w+?)(?:_created)? ", metrics.text().decode(), re.MULTILINE))
    page = (ROOT / "docs" / "callout" / "observing.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(accredit_\w+)` \|", page, re.MULTILINE)) == made
