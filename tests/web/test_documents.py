"""YAML as plain data, without what YAML can do to a reader who is not careful."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.authority.plan.source import BadDocument
from issuer.errors import NotFound
from issuer.keys.nkeys import Role, Seed
from web.documents import plain_document, read_file

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.sampled_from("abcxyz-_ 1"), min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), plain, min_size=1))
def test_json_means_in_yaml_what_it_means_in_json(document: Any) -> None:
    assert plain_document(json.dumps(document), "x.json") == document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: on", "on"),
        ("a: 2026-01-31", "2026-01-31"),
        ("a: 007", "007"),
        ("a: 12:30", "12:30"),
        ("a: 0x10", "0x10"),
        ("a: .inf", ".inf"),
        ("a: 15m", "15m"),
        ("a: '5'", "5"),
        ("a: 5", 5),
        ("a: -0.5", -0.5),
        ("a: 2e3", 2000.0),
        ("a: ~", None),
        ("a:", None),
        ("a: true", True),
        ("a: &x [1]", [1]),
    ],
)
def test_what_a_plain_word_is(text: str, value: object) -> None:
    found = plain_document(text, "x.yaml")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "written twice"),
        ("a: !!python/object:os.system x", "not allowed"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("", "empty"),
        ("? [1]\n: 2", "plain text"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    ],
)
def test_what_is_no_document_of_ours(text: str, words: str) -> None:
    with pytest.raises(BadDocument, match=words):
        plain_document(text, "x.yaml")


def test_a_seed_is_refused_and_not_repeated() -> None:
    seed = Seed.generate(Role.USER).reveal()
    with pytest.raises(BadDocument, match="holds a seed") as caught:
        plain_document(f"a:\n  token: {seed}", "x.yaml")
    assert seed not in str(caught.value)


def test_many_aliases_of_aliases_are_not_followed_for_ever() -> None:
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(BadDocument, match="more than"):
        plain_document("\n".join(lines), "x.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"callout\.yaml"):
        read_file(tmp_path / "callout.yaml")
