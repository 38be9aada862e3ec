"""What many verbs take: the options of every verb, and the groups that nsc's verbs share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from issuer.cli.flags import GLOBAL_NAMES, global_options
from issuer.cli.output import Screen
from issuer.cli.workspace import Workspace

if TYPE_CHECKING:
    from issuer.authority.changes import LimitChange, PermissionChange, TagChange, Validity

F = TypeVar("F", bound=Callable[..., Any])
Values = Mapping[str, Any]

_TRUE: Final = frozenset({"true", "t", "1"})
_FALSE: Final = frozenset({"false", "f", "0"})
_ON_BY_ITSELF: Final = {"--allow-pub-response": "1", "--max-responses": "1"}
_DEFAULT_RESPONSES: Final = 1


class Verb(click.Command):
    """A verb: takes the global options too, and gets a workspace as its first argument."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        taken = {text for param in self.params for text in (*param.opts, *param.secondary_opts)}
        doubled = {param.name for param in self.params} & set(GLOBAL_NAMES)
        if doubled:
            raise TypeError(f"{self.name}: {doubled} are names of every verb's options")
        for option in global_options():
            option.opts = [text for text in option.opts if text not in taken]
            if option.opts:
                self.params.append(option)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [*self._spelt(args)])

    def invoke(self, ctx: click.Context) -> Any:
        flags = dict(ctx.find_root().params) if ctx.parent else {}
        for name in GLOBAL_NAMES:
            own = ctx.params.pop(name, None)
            if own is not None:
                flags[name] = own
        screen = Screen(as_json=bool(flags.get("as_json")), quiet=bool(flags.get("quiet")))
        if ctx.obj is not None:
            ctx.obj.screen = screen
        workspace = Workspace({name: value for name, value in flags.items() if value is not None}, screen)
        ctx.call_on_close(workspace.close)
        if flags.get("as_json") is None and workspace.settings.output == "json":
            screen.as_json = True
        for name in ("interactive", "keystore_dir", "config_dir"):
            if flags.get(name):
                screen.note(f"--{name.replace('_', '-')} means nothing here and is ignored")
        return ctx.invoke(self.callback, workspace, **ctx.params) if self.callback else None

    def _spelt(self, args: Sequence[str]) -> Iterable[str]:
        """Go's spellings of switches: `--flag=false`, and options that may stand without a value."""
        switches = {
            text: param
            for param in self.params
            if isinstance(param, click.Option) and param.is_flag
            for text in param.opts
        }
        for index, arg in enumerate(args):
            if arg == "--":
                yield from args[index:]
                return
            name, equals, value = arg.partition("=")
            switch = switches.get(name) if equals else None
            if switch is not None and value.lower() in _TRUE:
                yield name
            elif switch is not None and value.lower() in _FALSE:
                yield from switch.secondary_opts[:1]
            elif arg in _ON_BY_ITSELF:
                yield f"{arg}={_ON_BY_ITSELF[arg]}"
            else:
                yield arg


def verb(**settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a verb."""
    context: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    context["token_normalize_func"] = _dashed

    def made(function: Callable[..., Any]) -> click.Command:
        return click.command(cls=Verb, context_settings=context, **settings)(function)

    return made


def _dashed(text: str) -> str:
    return text.replace("_", "-") if text[:1].isalpha() or text.startswith("--") else text


def name_argument(what: str, *, required: bool = True) -> Callable[[F], F]:
    """The name as nsc takes it: after `-n`, or alone. The function gets `name`."""

    def decorate(function: F) -> F:
        from functools import wraps

        @wraps(function)
        def called(workspace: Workspace, **values: Any) -> Any:
            flagged, placed = values.pop("name_option"), values.pop("name_argument")
            if flagged and placed and flagged != placed:
                raise click.UsageError(f"two names: {flagged!r} and {placed!r}")
            name = flagged or placed
            if required and not name:
                raise click.UsageError(f"which {what}? give its name")
            return function(workspace, name=name, **values)

        option = click.option(
            "-n", "--name", "name_option", metavar="NAME", help=f"{what} name or public key"
        )
        argument = click.argument("name_argument", metavar="NAME", required=False)
        return option(argument(called))  # type: ignore[return-value]

    return decorate


def account_option(function: F) -> F:
    help_text = "account name or public key, if not the selected one"
    return click.option("-a", "--account", metavar="NAME", help=help_text, shell_complete=_accounts)(function)


def force_option(function: F) -> F:
    return click.option("-F", "--force", "--yes", "force", is_flag=True, help="do not ask")(function)


def permission_options(*, removing: bool = True) -> Callable[[F], F]:
    """nsc's permission flags."""
    options = [
        click.option(f"--{deed}-{what}", f"{deed}_{what}", multiple=True, metavar="SUBJECTS",
                     help=f"{deed} {words}")
        for deed in ("allow", "deny")
        for what, words in (
            ("pub", "publishing"), ("sub", 'subscribing ("subject queue" for a queue)'),
            ("pubsub", "both"),
        )
    ]  # fmt: skip
    options += [
        click.option("--allow-pub-response", "responses", metavar="[=N]", help="allow N answers to requests"),
        click.option("--max-responses", "max_responses", hidden=True),
        click.option("--response-ttl", metavar="SPAN", help="for how long a request may be answered"),
    ]
    if removing:
        options += [
            click.option("--rm", "remove", multiple=True, metavar="SUBJECTS", help="take permissions away"),
            click.option(
                "--rm-response-perms", "remove_responses", is_flag=True, help="no answering any more"
            ),
        ]
    return _all(options)


def permission_change(values: Values) -> PermissionChange:
    """What the permission flags ask for."""
    from issuer.authority.changes import PermissionChange
    from issuer.claims.fields import ResponsePermission
    from issuer.cli.quantities import count, nanoseconds

    both_allowed, both_denied = split(values["allow_pubsub"]), split(values["deny_pubsub"])
    responses = None
    number = values["responses"] or values["max_responses"]
    if number is not None or values["response_ttl"] is not None:
        ttl = nanoseconds(values["response_ttl"] or "0", at="--response-ttl")
        most = count(number, at="--allow-pub-response") if number is not None else _DEFAULT_RESPONSES
        responses = ResponsePermission(max=most, ttl=ttl)
    return PermissionChange(
        allow_pub=(*split(values["allow_pub"]), *both_allowed),
        allow_sub=(*split(values["allow_sub"]), *both_allowed),
        deny_pub=(*split(values["deny_pub"]), *both_denied),
        deny_sub=(*split(values["deny_sub"]), *both_denied),
        remove=split(values.get("remove", ())),
        responses=responses,
        remove_responses=bool(values.get("remove_responses")),
    )


def limit_options(*, removing: bool = True) -> Callable[[F], F]:
    """nsc's flags for the limits of a user or role."""
    options = [
        click.option("--subs", metavar="N", help="most subscriptions, -1 for any number"),
        click.option("--data", metavar="SIZE", help="most bytes, -1 for any number"),
        click.option("--payload", metavar="SIZE", help="largest message, -1 for any size"),
        click.option("--bearer/--no-bearer", default=None, help="the token alone is enough, no signature"),
        click.option("--proxy-required/--no-proxy-required", default=None, help="only through a proxy"),
        click.option("--source-network", multiple=True, metavar="CIDRS", help="connect from there only"),
        click.option(
            "--conn-type", multiple=True, metavar="TYPES", help="STANDARD WEBSOCKET LEAFNODE MQTT …"
        ),
        click.option(
            "--time", "times", multiple=True, metavar="FROM-TO", help="connect then only: 08:00:00-17:00:00"
        ),
        click.option("--locale", metavar="ZONE", help="the time zone of --time"),
    ]
    if removing:
        options += [
            click.option("--rm-source-network", multiple=True, metavar="CIDRS", help="take networks away"),
            click.option("--rm-conn-type", multiple=True, metavar="TYPES", help="take connection types away"),
            click.option("--rm-time", "rm_times", multiple=True, metavar="FROM", help="take times away"),
        ]
    return _all(options)


def limit_change(values: Values) -> LimitChange:
    """What the limit flags ask for."""
    from issuer.authority.changes import LimitChange, time_range
    from issuer.cli.quantities import count, size

    def number(name: str, read: Callable[..., int]) -> int | None:
        return None if values[name] is None else read(values[name], at=f"--{name}")

    return LimitChange(
        subs=number("subs", count),
        data=number("data", size),
        payload=number("payload", size),
        bearer=values["bearer"],
        proxy_required=values["proxy_required"],
        add_networks=split(values["source_network"]),
        remove_networks=split(values.get("rm_source_network", ())),
        add_times=tuple(time_range(text) for text in split(values["times"])),
        remove_times=split(values.get("rm_times", ())),
        locale=values["locale"],
        add_connection_types=split(values["conn_type"]),
        remove_connection_types=split(values.get("rm_conn_type", ())),
    )


def time_options(function: F) -> F:
    """`--start` and `--expiry`."""
    words = "0 for always, 2026-12-31, or 10m 4h 3d 2w 1M 1y from now"
    return _all([
        click.option("--start", metavar="TIME", help=f"valid from: {words}"),
        click.option("--expiry", metavar="TIME", help=f"valid until: {words}"),
    ])(function)  # fmt: skip


def validity(values: Values, now: int) -> Validity:
    """What `--start` and `--expiry` ask for."""
    from issuer.authority.changes import Validity
    from issuer.cli.quantities import moment

    start, expiry = values["start"], values["expiry"]
    return Validity(
        starts=None if start is None else moment(start, now, at="--start"),
        expires=None if expiry is None else moment(expiry, now, at="--expiry"),
    )


def tag_options(*, removing: bool = True) -> Callable[[F], F]:
    options = [click.option("--tag", "tags", multiple=True, metavar="TAGS", help="add tags")]
    if removing:
        options.append(
            click.option("--rm-tag", "rm_tags", multiple=True, metavar="TAGS", help="take tags away")
        )
    return _all(options)


def tag_change(values: Values) -> TagChange:
    from issuer.authority.changes import TagChange

    return TagChange(split(values["tags"]), split(values["rm_tags"]))


def split(texts: Iterable[str]) -> tuple[str, ...]:
    """Lists as nsc takes them: comma separated, the option repeated, or both."""
    return tuple(part for text in texts for piece in text.split(",") if (part := piece.strip()))


def _all(options: Sequence[Callable[[Any], Any]]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _accounts(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from issuer.cli.completion import account_names

    return account_names(ctx, incomplete)
