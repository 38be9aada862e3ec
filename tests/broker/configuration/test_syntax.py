"""The language by itself; that the real server reads the same is tests/system/broker/test_configuration_agrees.py."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.configuration.syntax import MAX_DEPTH, parse
from broker.configuration.values import Data, SyntaxFault, Table, Value
from tests.broker.configuration.reading_files import FILE, reader


def parsed(
    text: str, files: dict[str, str] | None = None, *, environment: dict[str, str] | None = None
) -> Table:
    return parse(text, file=FILE, environment=environment or {}, read=reader(files or {}))


def plain(data: Data | Table) -> Any:
    if isinstance(data, dict):
        return {key: plain(value.data) for key, value in data.items()}
    if isinstance(data, tuple):
        return [plain(value.data) for value in data]
    return data


def member(value: Value, key: str) -> Value:
    assert isinstance(value.data, dict)
    found = value.data[key]
    assert isinstance(found, Value)
    return found


def items(value: Value) -> tuple[Value, ...]:
    assert isinstance(value.data, tuple)
    return value.data


def value(text: str) -> Any:
    return plain(parsed(f"x: {text}\n"))["x"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5),
        ("-5k", -5000),
        ("5kb", 5 * 1024),
        ("5Ki", 5 * 1024),
        ("5KiB", 5 * 1024),
        ("2m", 2_000_000),
        ("2MB", 2 * 1024**2),
        ("1g", 10**9),
        ("1eib", 1024**6),
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("yes", True),
        ("OFF", False),
        ("'yes'", "yes"),
        ("10.0.0.1:4222", "10.0.0.1:4222"),
        ("2s", "2s"),
        ("1m30s", "1m30s"),
        ("2026-12-31T23:59:59Z", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("bare#text", "bare#text"),
        ("yes'", "yes"),
        ("$none'", "$none"),
        ("nats://a.b:4222/c", "nats://a.b:4222/c"),
        (r"'no \n escapes'", r"no \n escapes"),
        (r'"tab\tquote\"\x41"', 'tab\tquote"A'),
        (r'"\xc3\xa4"', "ä"),
        ("'over\ntwo lines'", "over\ntwo lines"),
        ("(\nblock )\n of text\n)\n", "\nblock )\n of text\n"),
        ("[1, two, 'three' ]", [1, "two", "three"]),
        ("[\n a # one\n b // two\n c\n]", ["a", "b", "c"]),
        ("{a = 1, b: 2; c 3\n 'd e' { f: g }}", {"a": 1, "b": 2, "c": 3, "d e": {"f": "g"}}),
        ("{a: 1, a: 2}", {"a": 2}),
    ],
)
def test_values(text: str, expected: Any) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "text",
    ["a: 1, b: 2", "{a: 1, b: 2}", '{"a": 1, "b": 2}', "a 1; b = 2", "a: 1\n}", "{\na: 1\nb: 2 // end\n}\n"],
)
def test_separators_and_braces_are_a_matter_of_taste(text: str) -> None:
    assert plain(parsed(text)).items() <= {"a": 1, "b": 2}.items()


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("a: 5\nb: $a", {}, 5),
        ("a: 5\nb: $a", {"a": "6"}, 5),
        ("b: $A", {"A": "6k"}, 6000),
        ("b: $A", {"A": "'six'"}, "six"),
        ("b: $A", {"A": "$B", "B": "[1, 2 ]"}, [1, 2]),
        ("a: outer\nb { a: inner, c: $a }", {}, {"a": "inner", "c": "inner"}),
        ("a: 1\nb: [$a ]", {}, [1]),
        ("b: $2a$11$saltandhash", {}, "$2a$11$saltandhash"),
        ('a: 1\nb: "$a"', {}, "$a"),
    ],
)
def test_variables(text: str, environment: dict[str, str], expected: Any) -> None:
    assert plain(parsed(text, environment=environment))["b"] == expected


def test_a_variable_is_told_from_an_unknown_key() -> None:
    found = parsed("a: 1\nb: $a\nc: 2")
    assert {key: value.referenced for key, value in found.items()} == {"a": True, "b": False, "c": False}


def test_includes_are_relative_to_the_including_file() -> None:
    files = {"/etc/nats/tls/inner.conf": "c: 3", "/etc/nats/tls/outer.conf": "include inner.conf\nb: 2"}
    text = "a { include 'tls/outer.conf' }"
    found = parse(text, file="/etc/nats/server.conf", environment={}, read=reader(files))
    assert plain(found) == {"a": {"b": 2, "c": 3}}
    inner = member(found["a"], "c")
    assert str(inner.place) == "/etc/nats/tls/inner.conf:1:1"


def test_included_values_can_be_variables_but_see_none() -> None:
    assert plain(parsed("include v.conf\nb: $a", {"v.conf": "a: 1"})) == {"a": 1, "b": 1}
    with pytest.raises(SyntaxFault, match="can not be found"):
        parsed("a: 1\ninclude v.conf", {"v.conf": "b: $a"})


def test_every_value_knows_its_place() -> None:
    found = parsed("# one\na: 1\n  b {\n\tc: [x,\n  yy]\n}")
    assert str(found["a"].place) == "server.conf:2:1"
    inner = member(found["b"], "c")
    assert str(inner.place) == "server.conf:4:2"
    assert [str(item.place) for item in items(inner)] == ["server.conf:4:6", "server.conf:5:3"]


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("a: 1\nb", "2:1", "'b' has no value"),
        ("a:\n1", "1:3", "new line"),
        ("a: .5", "1:4", "start with a digit"),
        ("a: 1.x", "1:6", "digit after the '.'"),
        ("a: -x", "1:5", "expected a digit"),
        ("a: 1kbb", "1:4", "no known size"),
        ("a: 9223372036854775808", "1:4", "out of the range"),
        ("a: 9eb", "1:4", "out of the range"),
        ("a: 2026-12-31", "1:4", "Zulu"),
        ("a: 2026-02-30T00:00:00Z", "1:4", "no date"),
        ('a: "open', "1:4", "no closing"),
        ("a: 'open", "1:4", "no closing"),
        ("a: (\nopen", "1:4", "no closing"),
        ('a: "\\q"', "1:5", "invalid escape"),
        ('a: "\\xzz"', "1:7", "hexadecimal"),
        ("a: [b c]", "1:7", "expected ',' or ']'"),
        ("a: [b", "1:6", "end of the file"),
        ("a: [,]", "1:5", "expected a value"),
        ("a: {b: 1", "1:9", "end of the file"),
        ("a: {b}", "1:5", "'b}' has no value"),
        ("a: {]}", "1:5", "expected a key"),
        ("a: 1 b: 2", "1:6", "expected the end of the line"),
        ("{a: 1} b: [", "1:12", "end of the file"),
        ("= 1", "1:1", "unexpected '='"),
        ("a: $b", "1:4", "variable reference for 'b' can not be found"),
        ("a: 1\nb: \0", "2:4", "unexpected character"),
        ("include none.conf", "1:1", "'none.conf': No such file"),
        ("include [", "1:9", "name of a file"),
        ("include", "1:1", "has no value"),
    ],
)
def test_faults_say_where(text: str, at: str, words: str) -> None:
    with pytest.raises(SyntaxFault) as refused:
        parsed(text)
    assert refused.value.at == f"{FILE}:{at}"
    assert words in refused.value.message


def test_circles_end() -> None:
    with pytest.raises(SyntaxFault, match="includes itself"):
        parsed("include a.conf", {"a.conf": "include b.conf", "b.conf": "include a.conf"})
    with pytest.raises(SyntaxFault, match="cycle"):
        parsed("a: $A", environment={"A": "$B", "B": "[$A ]"})


def test_depth_ends() -> None:
    assert value("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    with pytest.raises(SyntaxFault, match="deep"):
        value("[" * (MAX_DEPTH + 1))


def test_a_fault_within_an_included_file_names_that_file() -> None:
    with pytest.raises(SyntaxFault) as refused:
        parsed("include a.conf", {"a.conf": "\nb: ["})
    assert refused.value.at == "a.conf:2:5"


_PIECES = st.sampled_from(
    [*"{}[]()=:;,#/'\"\\$.-\n\r\t \0", "a", "1", "k", "true", "include ", "\n)\n", "é", "\ud800"]
)


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_whatever_comes_in_only_our_own_fault_comes_out(text: str) -> None:
    try:
        parsed(text, environment={"a": "$a"})
    except SyntaxFault as fault:
        assert fault.at is not None


@given(st.recursive(st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.text("ab \"\\\n'${}", max_size=6), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=4), max_leaves=12))  # fmt: skip
def test_what_is_written_is_read(data: Any) -> None:
    def written(data: Any) -> str:
        if isinstance(data, dict):
            return "{" + ", ".join(f'"{key}": {written(inner)}' for key, inner in data.items()) + " }"
        if isinstance(data, list):
            return "[" + ", ".join(map(written, data)) + " ]"
        if isinstance(data, str):
            return '"' + data.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return str(data).lower()

    assert value(written(data)) == data
