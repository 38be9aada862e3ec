"""`docs/cli.md`, made from the verbs themselves: `python -m issuer.cli.reference > docs/cli.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from issuer.cli.flags import GLOBAL_NAMES, global_options
from issuer.cli.main import VERBS, Branch, Entry, load

_HEAD: Final = """\
# Command line

<!-- made by `python -m issuer.cli.reference`; do not edit -->

Whoever knows `nsc` knows most of this: verbs, flags, durations and sizes are the same where they mean the
same. `add_user` works for `add-user`, `-n NAME` for the name alone, `--flag=false` for `--no-flag`, lists are
comma separated or the option is repeated.

## Manners

- Data is on stdout, words are on stderr. `--json` turns the data into one JSON document whose shape is
  stable; a verb that lists gives a list. Errors are then one JSON object on stderr:
  `{"error": {"code", "message", "at", "hint", "exit_code"}}`; its codes never change their meaning.
- Nothing is asked unless stdin and stderr are terminals. What cannot be undone needs `--force` then.
- Creds, tokens and keys are written to files only you can read, and never over a file that exists unless
  told.
- Tables are drawn on a terminal and are plain aligned text elsewhere. `NO_COLOR` is honoured.
- A change that is so already changes nothing, says so and is no error.
- Times: `0` for never, `2026-12-31`, RFC 3339, or from now `10m` `4h` `3d` `2w` `1M` `1y`.
  Sizes: `k m g t` count thousands, `kib mib gib tib` 1024s, `-1` is unlimited.
- Which operator and account is meant: a flag, else `ACCREDIT_OPERATOR` and `ACCREDIT_ACCOUNT`, else what
  `accredit select` or the newest `add` left, else the only one there is.

## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | a defect of this program; `ACCREDIT_DEBUG=1` shows where |
| 2 | wrong use: an unknown verb or flag, a missing name |
| 3 | not found: the thing named, the store, a key that is not stored here |
| 4 | refused: the rules say no, the name is taken, somebody else was faster, not confirmed |
| 5 | malformed: a key, token, file, time or size that cannot be read |
| 6 | unavailable: the database or the servers do not answer |
| 7 | not in force everywhere (`push`), different (`pull`), or something found (`validate`, `doctor`, …) |
| 130 | interrupted |
| 141 | whoever read the output had enough |
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "## Options of every verb\n", *_options(global_options()), ""]
    for verb, entry in VERBS.items():
        parts += _entry(verb, entry, level=2)
    return "\n".join(parts).rstrip() + "\n"


def _entry(path: str, entry: Entry | Branch, *, level: int) -> Iterator[str]:
    if isinstance(entry, Branch):
        yield from (f"{'#' * level} {path}\n", f"{_sentence(entry.words)}\n")
        for name, inner in entry.entries.items():
            yield from _entry(f"{path} {name}", inner, level=level + 1)
    else:
        yield from _verb(path, load(entry[0], path.rpartition(" ")[2]), level=level)


def _verb(path: str, command: click.Command, *, level: int) -> Iterator[str]:
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    words = " ".join(_argument(one) for one in arguments)
    yield f"{'#' * level} {path}\n"
    yield f"`accredit {path}{' ' + words if words else ''}`\n"
    yield from (f"{' '.join(part.split())}\n" for part in (command.help or "").split("\n\n"))
    own = [
        param
        for param in command.params
        if isinstance(param, click.Option) and param.name not in GLOBAL_NAMES and not param.hidden
    ]
    if own:
        yield from _options(own)
        yield ""


def _argument(argument: click.Argument) -> str:
    name = (argument.metavar or str(argument.name).upper()).strip("[]")
    if argument.nargs == -1:
        name += "…"
    return name if argument.required else f"[{name}]"


def _options(options: list[click.Option]) -> Iterator[str]:
    yield "| option | |\n|---|---|"
    for option in options:
        if option.hidden:
            continue
        names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
        metavar = "" if option.is_flag else f" `{option.metavar or str(option.name).upper()}`"
        words = (option.help or "").replace("|", "\\|")
        default = f" (default {option.default})" if option.show_default and option.default is not None else ""
        yield f"| {names}{metavar} | {words}{default} |"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


if __name__ == "__main__":
    click.echo(page(), nl=False)
