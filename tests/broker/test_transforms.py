"""Transforms and mappings against what nats-server was seen to do (tests/vectors/transforms.json)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.transforms import Mappings, Transform, TransformError, as_pattern, with_references, within
from issuer.claims.account import WeightedMapping
from issuer.errors import Defect
from issuer.subjects import Subject, covers, matches

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "transforms.json").read_text())
TOKENS = st.sampled_from(["a", "b", "ab", "é", "x-y"])
SUBJECTS = st.lists(TOKENS, min_size=1, max_size=5).map(".".join)
PATTERNS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4).flatmap(
    lambda head: st.sampled_from([".".join(head), ".".join([*head, ">"])])
)


def first() -> float:
    return 0.0


def never() -> float:
    raise AssertionError("nothing here is left to chance")


def drawing(number: float) -> Callable[[], float]:
    return lambda: number


def shares(*given: tuple[str, int] | tuple[str, int, str]) -> tuple[WeightedMapping, ...]:
    return tuple(
        WeightedMapping(subject=Subject(each[0]), weight=each[1], cluster=each[2] if len(each) > 2 else "")
        for each in given
    )


@pytest.mark.parametrize("vector", VECTORS["transforms"], ids=lambda vector: vector["source"])
def test_a_mapping_does_what_the_server_did(vector: dict[str, Any]) -> None:
    mappings = Mappings.of({vector["source"]: shares((vector["destination"], 0))})
    seen = {subject: mappings.choose(subject, first) for subject in vector["subjects"]}
    assert seen == vector["subjects"]


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["source"])
def test_an_invalid_mapping_is_out_of_force_with_the_servers_words(vector: dict[str, Any]) -> None:
    mappings = Mappings.of({vector["source"]: shares((vector["destination"], 0))})
    assert mappings.invalid == {vector["source"]: vector["words"]}
    assert mappings.empty
    assert mappings.choose("bad1.x", never) == "bad1.x"


def test_a_partition_of_a_whole_literal_subject_is_one_of_nothing() -> None:
    # Measured: the server has not taken the subject apart yet. The offset of the hash, modulo 9.
    mappings = Mappings.of({"lit": shares(("l.{{partition(9)}}", 100))})
    assert mappings.choose("lit", never) == f"l.{0x811C9DC5 % 9}"


class TestWeights:
    def spread(self, mappings: Mappings, subject: str) -> Counter[str | None]:
        return Counter(mappings.choose(subject, drawing(at / 100)) for at in range(100))

    @pytest.mark.parametrize(
        ("destinations", "expected"),
        [
            (shares(("b", 0)), {"b": 100}),
            (shares(("b", 30)), {"b": 30, "a": 70}),
            (shares(("b", 50), ("c", 50)), {"b": 50, "c": 50}),
            (shares(("b", 20), ("c", 30)), {"b": 20, "c": 30, "a": 50}),
            (shares(("a", 20)), {"a": 20, None: 80}),
            (shares(("a", 10), ("b", 40)), {"a": 10, "b": 40, None: 50}),
            ((), {"a": 100}),
            (shares(("b", 100, "east")), {"a": 100}),
            (shares(("b", 100, "east"), ("a", 0, "west")), {None: 100}),
            (shares(("b", 40), ("c", 100, "east")), {"b": 40, "a": 60}),
        ],
    )
    def test_what_is_left_goes_to_the_source_unless_it_is_listed(
        self, destinations: tuple[WeightedMapping, ...], expected: dict[str | None, int]
    ) -> None:
        mappings = Mappings.of({"a": destinations})
        assert self.spread(mappings, "a") == expected
        assert dict(mappings.destinations("a")) == expected

    def test_a_cluster_has_a_list_of_its_own(self) -> None:
        destinations = shares(("b", 40), ("c", 30, "east"), ("d", 20, "east"))
        assert self.spread(Mappings.of({"a": destinations}, "east"), "a") == {"c": 30, "d": 20, "a": 50}
        assert self.spread(Mappings.of({"a": destinations}, "west"), "a") == {"b": 40, "a": 60}

    def test_what_is_left_of_a_wildcard_source_stays_as_it_was(self) -> None:
        mappings = Mappings.of({"a.*.>": shares(("b.$1.>", 25))})
        assert self.spread(mappings, "a.x.y.z") == {"b.x.y.z": 25, "a.x.y.z": 75}

    @pytest.mark.parametrize(
        ("destinations", "words"),
        [
            (shares(("b", 50), ("b", 20)), 'duplicate entry for "b"'),
            (shares(("b", 50), ("b", 20, "east")), 'duplicate entry for "b"'),
            (shares(("b", 101)), "individual weights need to be <= 100"),
            (shares(("b", 60), ("c", 60)), "total weight needs to be <= 100"),
            (shares(("b", 60), ("c", 0)), "total weight needs to be <= 100"),
        ],
    )
    def test_refused_whole(self, destinations: tuple[WeightedMapping, ...], words: str) -> None:
        mappings = Mappings.of({"a": destinations, "x": shares(("y", 0))})
        assert mappings.invalid == {"a": words}
        assert mappings.choose("x", never) == "y"

    def test_chance_is_shown_as_it_is_written(self) -> None:
        mappings = Mappings.of({"a.*": shares(("b.{{random(3)}}.$1", 100))})
        assert mappings.destinations("a.x") == (("b.{{random(3)}}.x", 100),)
        assert {mappings.choose("a.x", drawing(at / 10)) for at in range(10)} == {
            f"b.{n}.x" for n in range(3)
        }


class TestChoice:
    def test_the_narrowest_source_wins_whatever_the_order(self) -> None:
        sources = {"a.b": "1", "a.*": "2", "*.b": "3", "a.>": "4", ">": "5"}
        for names in (list(sources), list(reversed(sources))):
            mappings = Mappings.of({name: shares((_to(name, sources[name]), 0)) for name in names})
            seen = {s: mappings.source(s) for s in ("a.b", "a.c", "c.b", "a.b.c", "c")}
            assert seen == {"a.b": "a.b", "a.c": "a.*", "c.b": "*.b", "a.b.c": "a.>", "c": ">"}

    def test_a_destination_is_not_mapped_again(self) -> None:
        mappings = Mappings.of({"a": shares(("b", 0)), "b": shares(("c", 0))})
        assert mappings.choose("a", never) == "b"

    def test_static_is_what_no_mapping_touches(self) -> None:
        mappings = Mappings.of({"a.*": shares(("b", 0)), "c": shares(("c", 20))})
        assert {s: mappings.static(s) for s in ("a.x", "b", "c", "a")} == {
            "a.x": False,
            "b": True,
            "c": False,
            "a": True,
        }
        assert Mappings.of({}).static("a")

    @given(
        st.dictionaries(PATTERNS, st.integers(1, 100), max_size=4),
        SUBJECTS,
        st.floats(0, 1, exclude_max=True),
    )
    def test_what_is_chosen_is_among_the_destinations(
        self, weights: dict[str, int], subject: str, drawn: float
    ) -> None:
        mappings = Mappings.of(
            {source: shares((_to(source, "d"), weight)) for source, weight in weights.items()}
        )
        assert not mappings.invalid
        possible = mappings.destinations(subject)
        assert sum(weight for _, weight in possible) == 100
        assert mappings.choose(subject, drawing(drawn)) in dict(possible)
        assert mappings.static(subject) == (not any(matches(source, subject) for source in weights))


class TestTransform:
    @pytest.mark.parametrize(
        ("source", "destination", "words"),
        [
            ("a.*", "b", "invalid mapping destination: not using all of the token wildcard(s) in b"),
            (
                "a.*",
                "b.{{partition(3,1)}}",
                "invalid mapping destination: the only mapping function allowed for import transforms "
                "is {{Wildcard()}} in {{partition(3,1)}}",
            ),
            ("a.*.*", "b.$1", "invalid mapping destination: not using all of the token wildcard(s) in b.$1"),
        ],
    )
    def test_an_import_takes_less(self, source: str, destination: str, words: str) -> None:
        Transform(source, destination)
        with pytest.raises(TransformError) as caught:
            Transform(source, destination, strict=True)
        assert caught.value.message == words

    @pytest.mark.parametrize(
        ("source", "destination", "back"),
        [
            ("a.*", "b.$1", "a.$1"),
            ("a.*.*", "b.$2.$1", "a.$2.$1"),
            ("a.*.*.>", "b.$2.x.$1.>", "a.$2.$1.>"),
            # Not the true way back: the server turns three round in the wrong direction.
            ("a.*.*.*", "b.$2.$3.$1", "a.$2.$3.$1"),
            ("a.*.*", "b.$1.$1", "a.$1.$1"),
            ("a.*.*", "b.$0.$1", None),
            ("a.*", "b.$1.$1", None),
        ],
    )
    def test_the_way_back(self, source: str, destination: str, back: str | None) -> None:
        reverse = Transform(source, destination, strict=True).reversed()
        assert (reverse and reverse.destination) == back

    @given(st.permutations([1, 2]), st.lists(TOKENS, min_size=2, max_size=2))
    def test_a_pair_comes_back_as_it_was(self, order: list[int], tokens: list[str]) -> None:
        there = Transform("a.*.*", f"b.${order[0]}.${order[1]}", strict=True)
        back = there.reversed()
        subject = ".".join(["a", *tokens])
        assert back is not None
        assert back.apply(there.apply(subject) or "") == subject

    @given(PATTERNS, SUBJECTS)
    def test_a_pattern_with_references_changes_nothing(self, pattern: str, subject: str) -> None:
        transform = Transform(pattern, with_references(pattern))
        assert transform.apply(subject) == (subject if matches(pattern, subject) else None)
        assert as_pattern(with_references(pattern)) == pattern

    def test_chance_must_be_given_where_it_is_needed(self) -> None:
        with pytest.raises(Defect):
            Transform("a.*", "b.{{random(3)}}").apply("a.x")


@given(PATTERNS, st.one_of(SUBJECTS, PATTERNS))
def test_within_is_covering_among_sound_subjects(wide: str, narrow: str) -> None:
    assert within(narrow.split("."), wide.split(".")) == covers(wide, narrow)


def _to(source: str, name: str) -> str:
    return f"{name}.>" if source.endswith(">") else name
