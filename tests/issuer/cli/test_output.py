"""The tool's manners."""

from __future__ import annotations

import io
import json

import pytest

from issuer.cli.output import NotConfirmed, Progress, Screen, plain_table, visible


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_data_goes_to_stdout_and_words_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.say("words")
    screen.note("a note")
    screen.warn("a warning")
    screen.table(("A", "B"), [("1", "22"), ("333", None)])
    screen.text("token")
    said = capsys.readouterr()
    assert said.err == "words\nnote: a note\nwarning: a warning\n"
    assert said.out == "A    B\n1    22\n333\ntoken\n"


def test_quiet_keeps_words_to_errors(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(quiet=True)
    screen.say("words")
    screen.hint("a hint")
    screen.error("x", "broken", at="--flag", hint="mend it", exit_code=4)
    assert capsys.readouterr().err == "accredit: error: --flag: broken\nhint: mend it\n"


def test_a_json_list_is_streamed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    for items in ([], [1], [{"a": "é"}, {"b": None}]):
        Screen(as_json=True).stream(iter(items))
        assert json.loads(capsys.readouterr().out) == items


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain é", "plain é"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\rb"),
        ("\u202eabc", "\\u202eabc"),
        ("two\nlines", "two\nlines"),
        (True, "yes"),
        (False, "no"),
        (None, ""),
        (7, "7"),
    ],
)
def test_control_characters_of_strangers_are_spelt_out(value: object, shown: str) -> None:
    assert visible(value) == shown


def test_an_error_of_several_lines_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().error("x", "one\ntwo", at=None, hint=None, exit_code=1)
    assert capsys.readouterr().err == "accredit: error: one two\n"


def test_a_plain_table_has_a_row_a_line() -> None:
    assert plain_table("T", (), [("a", "x\ny"), ("bb", "")]) == "T\na   x y\nbb"
    assert plain_table("", ("H",), []) == "H"


def test_a_terminal_gets_a_drawn_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    Screen().table(("Name", "Key"), [("[red]x", "\x1b[1mK")], title="Things")
    drawn = terminal.getvalue()
    assert "Things" in drawn
    assert "╭" in drawn
    assert "[red]x" in drawn
    assert "\\x1b[1mK" in drawn


def test_nothing_is_asked_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(NotConfirmed) as caught:
        Screen().confirm("delete it?", forced=False)
    assert caught.value.hint == "say so with --force"
    Screen().confirm("delete it?", forced=True)


@pytest.mark.parametrize(
    ("answer", "done"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_a_person_is_asked(monkeypatch: pytest.MonkeyPatch, answer: str, done: bool) -> None:
    typed, terminal = Terminal(answer), Terminal()
    monkeypatch.setattr("sys.stdin", typed)
    monkeypatch.setattr("sys.stderr", terminal)
    if done:
        Screen().confirm("delete it?", forced=False)
    else:
        with pytest.raises(NotConfirmed):
            Screen().confirm("delete it?", forced=False)
    assert terminal.getvalue() == "delete it? [y/N] "


def test_progress_shows_after_a_second_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, clock = Terminal(), [100.0]
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with Progress("issuing", 2000, shown=True) as progress:
        progress.at(10)
        assert terminal.getvalue() == ""
        clock[0] += 2
        progress.at(1000)
        assert "1,000 of 2,000 (500/s, 2 s left)" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_progress_is_silent_in_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with Screen().progress("x", 5) as progress:
        clock[0] = 9
        progress.at(3)
    assert capsys.readouterr().err == ""
