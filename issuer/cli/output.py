"""The tool's manners.

1. Data goes to stdout and nothing else does; words go to stderr. `accredit … > file` is always clean.
2. `--json` turns the data into one JSON document of a stable shape; a verb that lists gives a list.
   Errors are then one JSON object on stderr.
3. An error is one line, `accredit: error: …`, lower case, no full stop, and one `hint: …` with the way
   out where there is one. Never a traceback for what we raise ourselves; ACCREDIT_DEBUG=1 shows it.
4. Nothing is asked unless stdin and stderr are terminals; a script says --force.
5. Tables are for people: drawn on a terminal, plain aligned text elsewhere. What strangers wrote is
   shown with its control characters made visible.
6. What takes longer than a second shows how far it is, on stderr, on a terminal, and leaves no trace.
7. Seeds are written to files only their owner can read, never over another file unless told; they are
   on stdout only when they are what was asked for. A failed run leaves no half file.
8. `--quiet` keeps words to errors.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import click

from issuer.errors import Refused

NAME: Final = "accredit"
_PATIENCE: Final = 1.0
_REDRAW: Final = 0.1


class NotConfirmed(Refused):
    """Something that cannot be undone was not confirmed."""

    code = "cli.not-confirmed"


class Screen:
    """Where a run's data and words go."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet

    # Data

    def document(self, value: Any) -> None:
        """One JSON document."""
        import json

        click.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))

    def stream(self, items: Iterable[Any]) -> None:
        """A JSON list of any length, an item at a time."""
        import json

        separator = "[\n "
        for item in items:
            text = json.dumps(item, ensure_ascii=False, default=str)
            click.echo(separator + text, nl=False)
            separator = ",\n "
        click.echo("[]" if separator.startswith("[") else "\n]")

    def text(self, text: str) -> None:
        """Data that is text already: a token, a configuration."""
        click.echo(text, nl=not text.endswith("\n"))

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
        """A table for people."""
        cells = [[visible(cell) for cell in row] for row in rows]
        if is_terminal(sys.stdout):
            _draw(title, headers, cells)
        else:
            click.echo(plain_table(title, headers, cells))

    def facts(self, rows: Iterable[tuple[str, Any]], *, title: str = "") -> None:
        """Names and values of one thing; a value of several lines is several lines."""
        self.table((), _by_line(rows), title=title)

    # Words

    def say(self, words: str) -> None:
        if not self.quiet:
            click.echo(visible(words), err=True)

    def note(self, words: str) -> None:
        self.say(f"note: {words}")

    def warn(self, words: str) -> None:
        self.say(f"warning: {words}")

    def hint(self, words: str) -> None:
        self.say(f"hint: {words}")

    def error(self, code: str, message: str, *, at: str | None, hint: str | None, exit_code: int) -> None:
        """The one error of a run; quiet or not."""
        if self.as_json:
            import json

            fault = {"code": code, "message": message, "at": at, "hint": hint, "exit_code": exit_code}
            click.echo(json.dumps({"error": fault}, ensure_ascii=False), err=True)
            return
        line = " ".join(visible(f"{at}: {message}" if at else message).split("\n"))
        click.echo(f"{NAME}: error: {line}", err=True)
        if hint:
            click.echo(f"hint: {visible(hint)}", err=True)

    def confirm(self, question: str, *, forced: bool) -> None:
        """Ask before what cannot be taken back.

        Raises:
            NotConfirmed: no was said, or nobody is there to ask.
        """
        if forced:
            return
        if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
            raise NotConfirmed(f"not confirmed: {question}", hint="say so with --force")
        click.echo(f"{visible(question)} [y/N] ", err=True, nl=False)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise NotConfirmed("nothing was changed")

    def progress(self, label: str, total: int | None = None) -> Progress:
        return Progress(label, total, shown=not self.quiet and is_terminal(sys.stderr))


class Progress:
    """One line on stderr that says how far we are, from the second second on."""

    def __init__(self, label: str, total: int | None, *, shown: bool) -> None:
        self._label = label
        self._total = total
        self._shown = shown
        self._started = time.monotonic()
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def at(self, done: int) -> None:
        """Say that so many are done."""
        now = time.monotonic()
        if not self._shown or now - self._started < _PATIENCE or now - self._drawn < _REDRAW:
            return
        self._drawn = now
        rate = done / (now - self._started)
        share = f"{_bar(done / self._total)} {done:,} of {self._total:,}" if self._total else f"{done:,}"
        left = f", {int((self._total - done) / rate)} s left" if self._total and rate else ""
        sys.stderr.write(f"\r\x1b[K{self._label} {share} ({rate:,.0f}/s{left})")
        sys.stderr.flush()


def visible(value: Any) -> str:
    """Text as it may go to a terminal: control characters of a stranger's making spelt out."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def plain_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns by blanks alone, for files and pipes."""
    lines = [list(headers), *map(list, rows)] if headers else [list(row) for row in rows]
    columns = max(map(len, lines), default=0)
    widths = [max((len(line[i]) for line in lines if i < len(line)), default=0) for i in range(columns)]
    text = [
        "  ".join(
            cell.replace("\n", " ").ljust(width) for cell, width in zip(line, widths, strict=False)
        ).rstrip()
        for line in lines
    ]
    return "\n".join(([title] if title else []) + text)


def is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def findings_plain(findings: Iterable[Any]) -> list[dict[str, str]]:
    """Findings as `--json` shows them."""
    return [
        {"level": str(one.level), "code": one.code, "message": one.message, "pointer": one.pointer}
        for one in findings
    ]


def outcome_plain(action: str, kind: str, outcome: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    """What an act did, as `--json` shows it."""
    return {
        "action": action if outcome.changed else "unchanged",
        "kind": kind,
        "name": outcome.name,
        "public_key": outcome.public,
        "changed": outcome.changed,
        "notes": list(outcome.notes),
        "findings": findings_plain(outcome.findings),
        **more,
    }


def _by_line(rows: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, str]]:
    for name, value in rows:
        if isinstance(value, list | tuple):
            value = "\n".join(map(visible, value))
        for index, line in enumerate(visible(value).split("\n")):
            yield ("" if index else name), line


def _bar(share: float, width: int = 24) -> str:
    full = int(min(max(share, 0.0), 1.0) * width)
    return "█" * full + "░" * (width - full)


def _draw(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # The one place where rich is worth its start-up time.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shape = box.ROUNDED if "UTF" in (sys.stdout.encoding or "").upper() else box.ASCII
    table = Table(
        title=Text(title) if title else None, box=shape, title_justify="left", show_header=bool(headers)
    )
    for index in range(len(headers) or max(map(len, rows), default=1)):
        table.add_column(headers[index] if headers else "", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(no_color=bool(os.environ.get("NO_COLOR"))).print(table)
