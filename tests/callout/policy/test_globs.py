from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.policy.globs import glob_matches, glob_surely_wider, glob_takes_all

pattern = st.text("ab*", max_size=8)
text = st.text("abAB.\n", max_size=12)


@given(pattern, text)
def test_a_star_is_any_run_and_all_else_is_itself(glob: str, value: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, glob.split("*"))), value, re.DOTALL) is not None
    assert glob_matches(glob, value) is expected


@given(st.text("*?[]\\.+^$(){}a", max_size=8).filter(lambda glob: "*" not in glob))
def test_nothing_else_is_special(glob: str) -> None:
    assert glob_matches(glob, glob)
    assert not glob_matches(glob, glob + "a")


@given(pattern, pattern, text)
def test_a_wider_glob_matches_all_that_a_narrower_one_does(wide: str, narrow: str, value: str) -> None:
    if glob_surely_wider(wide, narrow) and glob_matches(narrow, value):
        assert glob_matches(wide, value)


@pytest.mark.parametrize(("glob", "everything"), [("*", True), ("***", True), ("", False), ("a*", False)])
def test_which_globs_take_everything(glob: str, everything: bool) -> None:
    assert glob_takes_all(glob) is everything


def test_a_hostile_text_is_no_work() -> None:
    # Backtracking would take longer than the universe has been there.
    assert not glob_matches("*a" * 60 + "b", "a" * 100_000)
