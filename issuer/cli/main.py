"""The command line: a table of verbs, loaded when called, and what their errors mean to a shell.

Nothing but click and the standard library is imported here: `--help` answers from this table alone.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from issuer import errors
from issuer.cli.output import NAME, Screen

Entry = tuple[str, str]
Table = Mapping[str, "Entry | Branch"]


class Branch:
    """A verb that takes a noun."""

    def __init__(self, words: str, *, otherwise: str | None = None, **entries: Entry | Branch) -> None:
        """`otherwise` is the noun that is meant where none of them is said."""
        self.words = words
        self.otherwise = otherwise
        self.entries = {name.rstrip("_").replace("_", "-"): entry for name, entry in entries.items()}


VERBS: Final[Table] = {
    "init": ("issuer.cli.init:init", "found an operator, its system account, a first account and user"),
    "add": Branch(
        "create operators, accounts, users and what accounts share",
        operator=("issuer.cli.add:operator", "a new root of trust, or one that others keep"),
        account=("issuer.cli.add:account", "a new account"),
        user=("issuer.cli.add_user:user", "a new user and its creds, or many from a list"),
        export=("issuer.cli.sharing:add_export", "offer a stream or service to other accounts"),
        import_=("issuer.cli.sharing:add_import", "take a stream or service from another account"),
        mapping=("issuer.cli.sharing:add_mapping", "send what is published on one subject to another"),
    ),
    "edit": Branch(
        "change operators, accounts, users and what accounts share",
        operator=("issuer.cli.edit:operator", "service URLs, system account, signing keys"),
        account=("issuer.cli.edit:account", "limits, JetStream, signing keys, default permissions"),
        user=("issuer.cli.edit_user:user", "permissions, limits, tags, expiry"),
        signing_key=("issuer.cli.edit_user:signing_key", "roles: scoped signing keys and their templates"),
        export=("issuer.cli.sharing:edit_export", "an export's visibility, latency and responses"),
        authcallout=("issuer.cli.edit:authcallout", "who answers an account's logins"),
    ),
    "delete": Branch(
        "take accounts, users, roles and shared subjects away",
        account=("issuer.cli.delete:account", "an account, here and on every server"),
        user=("issuer.cli.delete:user", "users; their tokens are revoked unless told otherwise"),
        signing_key=("issuer.cli.delete:signing_key", "a role and its key"),
        export=("issuer.cli.sharing:delete_export", "an export"),
        import_=("issuer.cli.sharing:delete_import", "an import"),
        mapping=("issuer.cli.sharing:delete_mapping", "a subject mapping"),
    ),
    "rename": Branch(
        "give another name to the same key",
        account=("issuer.cli.edit:rename_account", "an account"),
    ),
    "describe": Branch(
        "show what a token says",
        operator=("issuer.cli.describe:operator", "an operator"),
        account=("issuer.cli.describe:account", "an account"),
        user=("issuer.cli.describe:user", "a user"),
        jwt=("issuer.cli.describe:jwt", "any token or creds file"),
    ),
    "list": Branch(
        "list what there is",
        operators=("issuer.cli.listing:operators", "operators"),
        accounts=("issuer.cli.listing:accounts", "accounts of an operator"),
        users=("issuer.cli.listing:users", "users of an account"),
        keys=("issuer.cli.keys:list_keys", "every key, whose it is, and whether its seed is here"),
        roles=("issuer.cli.listing:roles", "roles of an account"),
    ),
    "env": ("issuer.cli.context:env", "show settings and where each comes from"),
    "select": Branch(
        "choose what other commands mean by default",
        operator=("issuer.cli.context:select_operator", "an operator"),
        account=("issuer.cli.context:select_account", "an account"),
    ),
    "generate": Branch(
        "make creds, configurations, activations and keys",
        creds=("issuer.cli.generate:creds", "a user's creds file"),
        config=("issuer.cli.generate_config:config", "a nats-server configuration for an operator"),
        activation=("issuer.cli.generate:activation", "leave to import a private export"),
        nkey=("issuer.cli.generate:nkey", "new key pairs"),
        api_key=("web.cli_credentials:api_key", "an API key for a callout's directory"),
        password_hash=("web.cli_credentials:password_hash", "what a callout's directory keeps of a password"),
    ),
    "revoke": Branch(
        "cut off, at once and on every server: a user by its key, a person whatever he connects with",
        otherwise="user",
        user=("issuer.cli.revoke:revoke", "a user; meant where no noun is said"),
        identity=("web.cli_cutting:identity", "whom a callout lets in: one, a group, or all from somewhere"),
    ),
    "lift": Branch(
        "let in again",
        denial=("web.cli_cutting:lift_denial", "whom a denial keeps out"),
    ),
    "denials": ("web.cli_cutting:denials", "who is kept out, whatever the policy says"),
    "sessions": ("web.cli_cutting:sessions", "who is connected as whom, from where and until when"),
    "revocations": Branch(
        "who is cut off",
        add_user=("issuer.cli.revoke:add_user", "cut a user off"),
        delete_user=("issuer.cli.revoke:delete_user", "let a user's old tokens count again"),
        list_users=("issuer.cli.revoke:list_users", "users cut off"),
        add_activation=("issuer.cli.revoke:add_activation", "withdraw an activation"),
        delete_activation=("issuer.cli.revoke:delete_activation", "let activations count again"),
        list_activations=("issuer.cli.revoke:list_activations", "activations withdrawn"),
        compact=("issuer.cli.revoke:compact", "drop entries that no longer matter"),
    ),
    "push": ("issuer.cli.push:push", "bring servers to what is signed, and prove it"),
    "pull": ("issuer.cli.pull:pull", "compare what servers have with what is signed"),
    "validate": ("issuer.cli.check:validate", "check tokens, chains and what accounts share"),
    "expirations": ("issuer.cli.check:expirations", "what ends when"),
    "keys": Branch(
        "the keys in custody",
        list=("issuer.cli.keys:list_keys", "every key, whose it is, and whether its seed is here"),
        import_=("issuer.cli.keys:import_keys", "take seeds into custody"),
        export=("issuer.cli.keys:export_keys", "give seeds out as files"),
    ),
    "import": Branch(
        "bring in what exists",
        nsc=("issuer.cli.moving:import_nsc", "a whole nsc store with its keys"),
        keys=("issuer.cli.keys:import_keys", "seeds"),
        account=("issuer.cli.moving:import_account", "an account token"),
        user=("issuer.cli.moving:import_user", "a user token or creds file"),
    ),
    "export": Branch(
        "take it elsewhere",
        nsc=("issuer.cli.moving:export_nsc", "a store that nsc works with"),
        org=("issuer.cli.declare:export_org", "the present state as a file for plan and apply"),
        keys=("issuer.cli.keys:export_keys", "seeds as files"),
    ),
    "plan": ("issuer.cli.declare:plan", "show what a declarative file would change"),
    "apply": ("issuer.cli.declare:apply", "make it so, in one transaction"),
    "audit": Branch(
        "the record of every change and refusal",
        list=("issuer.cli.audit:list_events", "events"),
        verify=("issuer.cli.audit:verify", "prove that nothing in it was altered"),
        sessions=("issuer.cli.audit_servers:sessions", "who was on which server, and who had approved it"),
        ingest=Branch(
            "what servers tell of connections",
            enable=("issuer.cli.audit_servers:enable", "let a stream keep it until it is in the log"),
        ),
        export=("issuer.cli.audit_export:export", "events as a file, for a tool, a table or a proof"),
        checkpoint=("issuer.cli.audit_proofs:checkpoint", "sign where the logs stand, for others to keep"),
        prove=("issuer.cli.audit_proofs:prove", "one event, with the proof that it is in the log"),
        erase=("issuer.cli.audit_proofs:erase", "forget a person; the log stays whole"),
        bundle=("issuer.cli.evidence:bundle", "evidence of a period in one file, for an auditor"),
        check=("issuer.cli.evidence:check", "check such a file, as the auditor does"),
    ),
    "up": ("web.cli:up", "everything in one process, with a broker of its own"),
    "serve": ("web.cli:serve", "the service beside NATS servers of your own"),
    "callout": Branch(
        "logins of people, services and devices, decided by a policy",
        enable=("web.cli_callout:enable", "set an account up for it, in one step, and try it"),
        serve=("web.cli_callout:serve", "answer servers that ask about logins"),
        policy=Branch(
            "who gets which role",
            show=("web.cli_policy:show", "the policy in force, or an earlier one"),
            set=("web.cli_policy:set_", "put a policy in force"),
            history=("web.cli_policy:history", "every version there was"),
            rollback=("web.cli_policy:rollback", "put an earlier version in force again"),
        ),
        lint=("web.cli_policy:lint", "what is shadowed, too wide or impossible in a policy"),
        explain=("web.cli_policy:explain", "would they be let in, as what, and which rule says so"),
        what_if=("web.cli_policy:what_if", "whose logins another policy would have decided otherwise"),
    ),
    "login": ("web.cli_login:login", "log in at the identity provider, and get creds"),
    "logout": ("web.cli_login:logout", "remove the creds that login wrote"),
    "broker": ("broker.cli:broker", "the reference broker alone, with nats-server's flags and files"),
    "explain": ("web.explaining:explain", "may this user do that, and why: the gates, one by one"),
    "doctor": ("issuer.cli.doctor:doctor", "look for what is wrong with this installation"),
    "migrate": ("issuer.cli.doctor:migrate", "bring the store to this version"),
    "completion": ("issuer.cli.completion:completion", "shell completion for bash, zsh and fish"),
}
POLICY_READER: Final = "web.policies:declared"
"""What reads a policy of the callout that stands in a declarative file: issuer knows nothing of callout."""
ALIASES: Final = {"create": "add", "key": "keys", "rm": "delete", "ls": "list", "signing-keys": "signing-key"}

OK: Final = 0
DEFECT: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
REFUSED: Final = 4
MALFORMED: Final = 5
UNAVAILABLE: Final = 6
FINDINGS: Final = 7
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

# The first that fits; NotFound is a kind of Refused.
EXIT_CODES: Final[tuple[tuple[type[errors.AccreditError], int], ...]] = (
    (errors.NotFound, NOT_FOUND),
    (errors.Refused, REFUSED),
    (errors.PeerError, MALFORMED),
    (errors.Unavailable, UNAVAILABLE),
    (errors.AccreditError, DEFECT),
)

_EPILOG: Final = (
    "Exit codes: 0 done · 1 defect · 2 usage · 3 not found · 4 refused · 5 malformed input · "
    "6 unavailable · 7 not in force everywhere, or findings"
)


class LazyGroup(click.Group):
    """A group whose members are strings until one is called."""

    def __init__(
        self, name: str, entries: Table, words: str, *, otherwise: str | None = None, **settings: Any
    ) -> None:
        super().__init__(name=name, help=words, **settings)
        self.entries = dict(entries)
        self.otherwise = otherwise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if self.otherwise and args and args[0] not in {"-h", "--help"} and self._resolved(args[0]) is None:
            args = [self.otherwise, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = self._resolved(cmd_name)
        if name is None:
            return None
        entry = self.entries[name]
        if isinstance(entry, Branch):
            return LazyGroup(
                name, entry.entries, entry.words, otherwise=entry.otherwise, no_args_is_help=True
            )
        return load(entry[0], name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            close = _similar(args[0], self.entries)
            words = f"no verb {args[0]!r}" if ctx.parent is None else f"{ctx.info_name} knows no {args[0]!r}"
            raise click.UsageError(words + (f"; did you mean {close!r}?" if close else ""), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [
            (name, entry.words if isinstance(entry, Branch) else entry[1])
            for name, entry in self.entries.items()
        ]
        with formatter.section("Verbs" if ctx.parent is None else "Of what"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        items = [
            CompletionItem(name, help=entry.words if isinstance(entry, Branch) else entry[1])
            for name, entry in self.entries.items()
            if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def _resolved(self, text: str) -> str | None:
        """The entry meant: nsc's underscores, its other names, and the singular of a list."""
        name = text.replace("_", "-")
        for spelling in (name, ALIASES.get(name, ""), name + "s"):
            if spelling in self.entries:
                return spelling
        return None


def load(target: str, name: str) -> click.Command:
    """Import a verb by its string."""
    command: click.Command = found(target)
    command.name = name
    return command


def found(target: str) -> Any:
    """What a string `module:attribute` stands for, imported now."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def program() -> LazyGroup:
    """The whole command."""
    from issuer.cli.flags import global_options, print_version

    group = LazyGroup(
        NAME,
        VERBS,
        "The access authority for NATS: issue, deliver, prove and revoke decentralized credentials.",
        no_args_is_help=True,
        epilog=_EPILOG,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        params=[
            *global_options(),
            click.Option(["-v", "--version"], is_flag=True, expose_value=False, is_eager=True,
                         callback=print_version, help="print the version"),
        ],
    )  # fmt: skip
    # Options before the verb are read by the verb itself, from its parent's parameters.
    group.callback = _nothing
    return group


def _nothing(**_flags: Any) -> None:
    return None


class Run:
    """What an error needs to know of the run it ended."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen


def entry() -> NoReturn:
    """The program `accredit`: run, and be gone."""
    # Modules make many objects and no garbage: the collector would look at them dozens of times.
    gc.set_threshold(50_000)
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Everything is closed and written; taking the interpreter apart would only cost time.
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    run = Run(Screen(as_json="--json" in arguments or os.environ.get("ACCREDIT_OUTPUT") == "json"))
    try:
        result = program().main(arguments, prog_name=NAME, standalone_mode=False, obj=run)
        sys.stdout.flush()
    except BaseException as fault:  # noqa: BLE001  what it is decides how the run ends
        if os.environ.get("ACCREDIT_DEBUG") and isinstance(fault, Exception):
            import traceback

            traceback.print_exc()
        return _ended(run.screen, fault)
    return result if isinstance(result, int) else OK


def _ended(screen: Screen, fault: BaseException) -> int:
    """Say what ended the run, in one line; its exit code."""
    if isinstance(fault, click.exceptions.Exit):
        return fault.exit_code
    if isinstance(fault, SystemExit):
        return fault.code if isinstance(fault.code, int) else OK
    if isinstance(fault, KeyboardInterrupt | click.Abort):
        screen.say(f"\n{NAME}: interrupted")
        return INTERRUPTED
    if isinstance(fault, BrokenPipeError):
        # Whoever read our output had enough; the interpreter must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return PIPE_CLOSED
    if isinstance(fault, click.exceptions.NoArgsIsHelpError):
        click.echo(fault.format_message(), err=True)
        return USAGE
    if isinstance(fault, click.ClickException):
        context = getattr(fault, "ctx", None)
        hint = f"{context.command_path} --help" if context else f"{NAME} --help"
        screen.error("usage", _sentence(fault.format_message()), at=None, hint=hint, exit_code=USAGE)
        return USAGE
    if isinstance(fault, errors.AccreditError):
        code = exit_code(fault)
        screen.error(fault.code, fault.message, at=fault.at, hint=fault.hint, exit_code=code)
        return code
    if isinstance(fault, OSError) and fault.filename is not None:
        words = (fault.strerror or type(fault).__name__).lower()
        screen.error("file", words, at=str(fault.filename), hint=None, exit_code=UNAVAILABLE)
        return UNAVAILABLE
    if isinstance(fault, Exception):
        # Not its words: a foreign exception may quote what it was given, and that may be a seed.
        words = f"a defect of this program: {type(fault).__name__} {_place(fault)}"
        screen.error(
            "defect", words, at=None, hint="ACCREDIT_DEBUG=1 shows more; please report it", exit_code=DEFECT
        )
        return DEFECT
    raise fault


def exit_code(fault: errors.AccreditError) -> int:
    return next(code for kind, code in EXIT_CODES if isinstance(fault, kind))


def _sentence(words: str) -> str:
    words = words.strip().rstrip(".")
    return words[:1].lower() + words[1:] if not words.startswith("-") else words


def _place(fault: BaseException) -> str:
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else ""  # noqa: PTH119


def _similar(text: str, names: Mapping[str, Any]) -> str | None:
    import difflib

    found = difflib.get_close_matches(text, list(names), n=1)
    return found[0] if found else None


if __name__ == "__main__":
    entry()
