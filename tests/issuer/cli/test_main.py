"""The table of verbs, and what an error means to a shell."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from issuer import errors
from issuer.cli import main as program
from issuer.cli.main import ALIASES, EXIT_CODES, VERBS, Branch, Table, exit_code, load, main
from issuer.cli.options import Verb
from tests.issuer.cli.conftest import Run


def _leaves(table: Table, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every verb by its words, and what it is made of."""
    for name, entry in table.items():
        path = (*above, name)
        if isinstance(entry, Branch):
            yield from _leaves(entry.entries, path)
        else:
            yield path, entry[0]


LEAVES = dict(_leaves(VERBS))
STRINGS = set(LEAVES.values())
PATHS = list(LEAVES)


# Its flags are nats-server's, help included.
FOREIGN = {"broker": "broker.cli:broker"}


@pytest.mark.parametrize("target", sorted(STRINGS - set(FOREIGN.values())))
def test_every_string_of_the_table_is_a_verb(target: str) -> None:
    assert isinstance(load(target, "x"), Verb)


def test_the_broker_has_the_flags_of_nats_server(run: Run) -> None:
    ran = run("broker", "--help")
    assert ran.out.startswith("Usage: accredit broker ")
    assert "--config" in ran.out


@pytest.mark.parametrize("path", [path for path in PATHS if path[0] not in FOREIGN], ids=" ".join)
def test_every_verb_explains_itself(path: tuple[str, ...], run: Run) -> None:
    ran = run(*path, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: accredit {' '.join(path)} ")
    assert "--json" in ran.out


def test_aliases_lead_somewhere() -> None:
    nouns = {name for entry in VERBS.values() if isinstance(entry, Branch) for name in entry.entries}
    assert set(ALIASES.values()) <= set(VERBS) | nouns


def test_help_imports_no_verb_and_no_library_but_click() -> None:
    code = (
        "import sys; from issuer.cli.main import main; main(['--help']); "
        "print(sorted(n for n in sys.modules if n.partition('.')[0] in "
        "{'sqlalchemy', 'msgspec', 'nacl', 'rich', 'jwt', 'nats', 'asyncio', 'alembic', 'psycopg', 'json'}), "
        "file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    shown = re.findall(r"^  (\w+)  ", done.stdout.partition("Verbs:")[2], re.MULTILINE)
    assert shown == list(VERBS)


@pytest.mark.parametrize(
    ("arguments", "banned"),
    [
        (["list", "accounts"], {"jwt", "alembic", "psycopg", "nats", "rich", "issuer.authority.signing"}),
        (["describe", "account", "--json"], {"jwt", "alembic", "psycopg", "nats", "rich"}),
        (["env"], {"sqlalchemy", "msgspec", "nacl", "jwt", "alembic", "nats", "rich", "asyncio"}),
        (["add", "user", "u", "--no-creds"], {"jwt", "alembic", "psycopg", "nats", "rich"}),
    ],
)
def test_a_verb_imports_what_it_needs(acme: Run, arguments: list[str], banned: set[str]) -> None:
    assert acme("env").code == 0
    code = (
        f"import sys; from issuer.cli.main import main; code = main({arguments!r}); "
        f"sys.exit(code or repr(sorted({banned!r} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.NotFound, 3),
        (errors.Refused, 4),
        (errors.AlreadyExists, 4),
        (errors.Conflict, 4),
        (errors.InvalidClaims, 4),
        (errors.PeerError, 5),
        (errors.Unavailable, 6),
        (errors.Defect, 1),
        (errors.AccreditError, 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(kind: type[errors.AccreditError], code: int) -> None:
    assert exit_code(kind("x")) == code


def test_every_exit_code_is_explained() -> None:
    help_text = click.Context(program.program()).command.epilog
    for code in {code for _, code in EXIT_CODES} | {0, 2, 7}:
        assert re.search(rf"\b{code} \w", str(help_text))


def test_an_error_is_one_line_and_one_hint(acme: Run) -> None:
    ran = acme("describe", "user", "nobody")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        "accredit: error: user: account 'ACCT' has no user 'nobody'\n"
        "hint: accredit list users --account ACCT\n"
    )


def test_with_json_an_error_is_one_object_on_stderr(acme: Run) -> None:
    ran = acme("describe", "user", "nobody", "--json")
    assert (ran.code, ran.out) == (3, "")
    assert ran.error == {
        "code": "not-found",
        "message": "account 'ACCT' has no user 'nobody'",
        "at": "user",
        "hint": "accredit list users --account ACCT",
        "exit_code": 3,
    }
    assert acme("nosuch", "--json").error["exit_code"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["desribe"], "no verb 'desribe'; did you mean 'describe'?"),
        (["xyzzy"], "no verb 'xyzzy'"),
        (["add", "usr"], "add knows no 'usr'; did you mean 'user'?"),
        (["list", "users", "--nope"], "no such option"),
        (["add", "account"], "which account? give its name"),
        (["add", "account", "A", "-n", "B"], "two names: 'B' and 'A'"),
        (["push", "-A", "-a", "X"], "-a and -A exclude each other"),
        (["generate", "config"], "which resolver?"),
        (["generate", "nkey"], "which kind?"),
    ],
)
def test_a_wrong_use_is_exit_code_2(acme: Run, arguments: list[str], words: str) -> None:
    ran = acme(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err.lower() or words in ran.err
    assert ran.err.startswith("accredit: error: ")


def test_without_a_verb_help_is_shown(run: Run) -> None:
    ran = run()
    assert ran.code == 2
    assert "Verbs:" in ran.err


def test_without_a_store_the_way_in_is_named(run: Run) -> None:
    ran = run("list", "accounts")
    assert ran.code == 3
    assert "there is no store yet" in ran.err
    assert "hint: accredit init" in ran.err


def test_a_defect_shows_its_place_and_not_its_words(acme: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("SUAPLANTEDSEED")

    monkeypatch.setattr("issuer.authority.inspecting.account_rows", broken)
    monkeypatch.setattr("issuer.cli.listing.account_rows", broken)
    ran = acme("list", "accounts")
    assert ran.code == 1
    assert "RuntimeError at test_main.py:" in ran.err
    assert "PLANTED" not in ran.err
    monkeypatch.setenv("ACCREDIT_DEBUG", "1")
    assert "Traceback" in acme("list", "accounts").err


def test_ctrl_c_is_130(acme: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("issuer.cli.listing.account_rows", interrupted)
    ran = acme("list", "accounts")
    assert (ran.code, ran.out) == (130, "")
    assert "Traceback" not in ran.err


def test_a_reader_that_leaves_early_is_no_error(acme: Run, data_dir: Path) -> None:
    acme("add", "user", "--from-file", "-", stdin="\n".join(f"u{n:05}" for n in range(2000)))
    command = f"{sys.executable} -m issuer.cli.main list users --json | head -1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": "."}
    )
    assert done.stdout == "[\n"
    assert done.stderr == ""


def test_a_terminated_command_leaves_no_traceback(acme: Run) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "issuer.cli.main", "add", "user", "--from-file", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stderr is not None
    for number in range(2500):
        child.stdin.write(f"v{number}\n")
    child.stdin.flush()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode in {130, -signal.SIGINT}
    assert child.returncode == -signal.SIGINT or "Traceback" not in err
    assert acme("audit", "verify").code == 0


def test_options_count_before_the_verb_and_after(acme: Run, tmp_path: Path) -> None:
    assert acme("--json", "list", "operators").json == acme("list", "operators", "--json").json
    ran = acme("--data-dir", str(tmp_path / "other"), "list", "operators")
    assert ran.code == 3
    assert str(tmp_path / "other") in ran.err


def test_the_environment_can_ask_for_json(acme: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCREDIT_OUTPUT", "json")
    assert isinstance(acme("list", "accounts").json, list)
    assert acme("describe", "user", "nobody").error["exit_code"] == 3


def test_nsc_spellings_work(acme: Run) -> None:
    assert acme("create", "user", "-n", "bob", "-a", "ACCT").code == 0
    assert acme("list", "user", "--json").json == acme("list", "users", "--json").json
    assert acme("revocations", "add_user", "-n", "bob").code == 0
    assert acme("revocations", "list_users", "--json").json[0]["name"] == "bob"
    assert acme("revocations", "delete_user", "--name", "bob").code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed(run: Run, shell: str) -> None:
    ran = run("completion", shell)
    assert ran.code == 0
    assert "_ACCREDIT_COMPLETE" in ran.out


@pytest.mark.parametrize(
    ("words", "place", "wanted"),
    [
        ("accredit de", 1, {"delete", "denials", "describe"}),
        ("accredit add ", 2, {"operator", "account", "user", "export", "import", "mapping"}),
        ("accredit list users -a ", 4, {"SYS", "ACCT"}),
        ("accredit list users --acc", 3, {"--account"}),
    ],
)
def test_completion_knows_verbs_options_and_names(
    acme: Run, words: str, place: int, wanted: set[str]
) -> None:
    assert acme("env").code == 0
    environment = os.environ | {
        "_ACCREDIT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place),
    }  # fmt: skip
    command = [sys.executable, "-c", "import sys; from issuer.cli.main import main; sys.exit(main([]))"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert {line.partition(",")[2] for line in done.stdout.split()} == wanted
    assert done.stderr == ""


def test_the_version_is_told(run: Run) -> None:
    from issuer import __version__

    assert run("--version").out == f"accredit {__version__}\n"


def test_main_takes_the_arguments_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["accredit", "--version"])
    assert main() == 0
