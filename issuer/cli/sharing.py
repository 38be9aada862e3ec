"""What accounts share: `accredit add|edit|delete export|import|mapping`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import click

from issuer.authority import mappings, sharing
from issuer.authority.desk import Outcome
from issuer.cli.files import read_text
from issuer.cli.options import account_option, force_option, verb
from issuer.cli.quantities import nanoseconds
from issuer.cli.workspace import Workspace
from issuer.errors import PeerError
from issuer.keys.creds import parse_decorated_token

F = TypeVar("F", bound=Callable[..., Any])
_HEADERS = ("header", "headers")


def _service(*, edit: bool = False) -> Callable[[F], F]:
    words = "a service" if not edit else "the service of that subject, where there is a stream too"
    return click.option("-r", "--service/--stream", "service", default=None, help=f"{words}; else a stream")


def _export_options(function: F) -> F:
    for option in (
        click.option("--info-url", metavar="URL", help="where more is told"),
        click.option("--description", metavar="TEXT", help="what it is for"),
        click.option("--advertise/--no-advertise", default=None, hidden=True),
        click.option("--allow-trace/--no-allow-trace", default=None, help="message traces may cross"),
        click.option(
            "--account-token-position", type=int, metavar="N", help="the token that must be the importer"
        ),
        click.option("--response-threshold", metavar="SPAN", help="how long an answer may take (services)"),
        click.option("--response-type", metavar="TYPE", help="Singleton, Stream or Chunked (services)"),
        click.option("--sampling", metavar="PERCENT", help="of the requests measured, or header (services)"),
        click.option("--latency", metavar="SUBJECT", help="where latency is reported (services)"),
        click.option("-p", "--private/--public", default=None, help="importers need an activation"),
        click.option("-n", "--name", metavar="NAME", help="name of the export"),
    ):
        function = option(function)
    return function


def _export_values(values: dict[str, Any]) -> dict[str, Any]:
    threshold, sampling = values["response_threshold"], values["sampling"]
    named = ("name", "latency", "account_token_position", "description", "info_url")
    fields = {name: values[name] for name in named}
    kind = values["response_type"]
    return fields | {
        "response_type": kind.capitalize() if kind else None,
        "response_threshold": None
        if threshold is None
        else nanoseconds(threshold, at="--response-threshold"),
        "sampling": None if sampling is None else _sampling(sampling),
    }


def _sampling(text: str) -> int:
    if text.lower() in _HEADERS:
        return 0
    if not text.removesuffix("%").isdecimal():
        raise PeerError(f"{text!r} is neither a percentage nor header", at="--sampling")
    return int(text.removesuffix("%"))


@verb()
@account_option
@click.option("-s", "--subject", metavar="SUBJECT", required=True, help="what is offered")
@_service()
@_export_options
def add_export(workspace: Workspace, *, account: str | None, subject: str, **values: Any) -> None:
    """Offer a stream, or with -r a service, to other accounts."""
    act = sharing.AddExport(
        workspace.account(account),
        subject,
        _kind(values["service"]) or "stream",
        operator=workspace.operator,
        private=bool(values["private"]),
        advertise=bool(values["advertise"]),
        allow_trace=bool(values["allow_trace"]),
        **_export_values(values),
    )
    _done(workspace, "added export", subject, workspace.perform(sharing.add_export, act))


@verb()
@account_option
@click.option("-s", "--subject", metavar="SUBJECT", required=True, help="of which export")
@_service(edit=True)
@_export_options
@click.option("--rm-latency-sampling", "rm_latency", is_flag=True, help="no latency reports any more")
def edit_export(workspace: Workspace, *, account: str | None, subject: str, **values: Any) -> None:
    """Change an export."""
    act = sharing.EditExport(
        workspace.account(account),
        subject,
        _kind(values["service"]),
        operator=workspace.operator,
        private=values["private"],
        advertise=values["advertise"],
        allow_trace=values["allow_trace"],
        remove_latency=values["rm_latency"],
        **_export_values(values),
    )
    _done(workspace, "changed export", subject, workspace.perform(sharing.edit_export, act))


@verb()
@account_option
@click.argument("subject_argument", metavar="SUBJECT", required=False)
@click.option("-s", "--subject", metavar="SUBJECT", help="of which export")
@_service(edit=True)
@force_option
def delete_export(workspace: Workspace, *, account: str | None, **values: Any) -> None:
    """Take an export away; what was imported from it falls silent."""
    subject, owner = _subject(values), workspace.account(account)
    workspace.screen.confirm(f"delete export {subject} of account {owner}?", forced=values["force"])
    act = sharing.RemoveExport(owner, subject, _kind(values["service"]), operator=workspace.operator)
    _done(workspace, "deleted export", subject, workspace.perform(sharing.remove_export, act))


@verb()
@account_option
@click.option("-n", "--name", metavar="NAME", help="name of the import")
@click.option("-u", "--token", metavar="FILE", help="an activation for a private export")
@click.option("--src-account", "source", metavar="NAME", help="the account that exports it")
@click.option("--remote-subject", "remote", metavar="SUBJECT", help="its subject there")
@click.option("-s", "--local-subject", "local", metavar="SUBJECT", help="its subject here, if another")
@click.option("-r", "--service/--stream", "service", default=None, help="a service; else a stream")
@click.option("--share", is_flag=True, help="let the exporter see who asks (services)")
@click.option("--allow-trace", is_flag=True, help="message traces may cross (streams)")
def add_import(workspace: Workspace, *, account: str | None, **values: Any) -> None:
    """Take a stream, or with --service a service, from another account."""
    token = values["token"]
    act = sharing.AddImport(
        workspace.account(account),
        _kind(values["service"]) or "stream",
        operator=workspace.operator,
        source=values["source"],
        subject=values["remote"],
        local_subject=values["local"],
        name=values["name"],
        token=parse_decorated_token(read_text(token)) if token else None,
        share=values["share"],
        allow_trace=values["allow_trace"],
    )
    what = values["remote"] or values["name"] or ""
    _done(workspace, "added import", what, workspace.perform(sharing.add_import, act))


@verb()
@account_option
@click.argument("subject_argument", metavar="SUBJECT", required=False)
@click.option("-s", "--subject", metavar="SUBJECT", help="of which import, local or remote")
@click.option("--src-account", "source", metavar="NAME", help="from which account, where several fit")
@force_option
def delete_import(workspace: Workspace, *, account: str | None, **values: Any) -> None:
    """Take an import away."""
    subject, owner = _subject(values), workspace.account(account)
    workspace.screen.confirm(f"delete import {subject} of account {owner}?", forced=values["force"])
    act = sharing.RemoveImport(owner, subject, values["source"], operator=workspace.operator)
    _done(workspace, "deleted import", subject, workspace.perform(sharing.remove_import, act))


@verb()
@account_option
@click.option("-f", "--from", "source", metavar="SUBJECT", required=True, help="what is published")
@click.option("-t", "--to", "destination", metavar="SUBJECT", required=True, help="where it arrives")
@click.option("--weight", type=click.IntRange(1, 100), default=100, metavar="PERCENT", help="of the messages")
@click.option("--cluster", default="", metavar="NAME", help="in this cluster only")
def add_mapping(workspace: Workspace, *, account: str | None, source: str, **values: Any) -> None:
    """Send what is published on one subject to another, or a share of it."""
    owner = workspace.account(account)
    act = mappings.AddMapping(owner, source, operator=workspace.operator, **values)
    _done(workspace, "added mapping", source, workspace.perform(mappings.add_mapping, act))


@verb()
@account_option
@click.option("-f", "--from", "source", metavar="SUBJECT", required=True, help="what is published")
@click.option("-t", "--to", "destination", metavar="SUBJECT", help="this destination only")
@click.option("--cluster", metavar="NAME", help="of this cluster only")
@force_option
def delete_mapping(
    workspace: Workspace, *, account: str | None, source: str, force: bool, **values: Any
) -> None:
    """Take a mapping away."""
    owner = workspace.account(account)
    workspace.screen.confirm(f"delete the mapping of {source} in account {owner}?", forced=force)
    act = mappings.RemoveMapping(owner, source, operator=workspace.operator, **values)
    _done(workspace, "deleted mapping", source, workspace.perform(mappings.remove_mapping, act))


def _kind(service: bool | None) -> Literal["stream", "service"] | None:  # noqa: FBT001
    return None if service is None else "service" if service else "stream"


def _subject(values: dict[str, Any]) -> str:
    subject = values["subject"] or values["subject_argument"]
    if not subject:
        raise click.UsageError("which one? give its subject")
    return str(subject)


def _done(workspace: Workspace, action: str, what: str, outcome: Outcome) -> None:
    words = f"{action} {what} of account {outcome.name}".replace("  ", " ")
    workspace.show(action, "account", outcome, words=words, subject=what)
    if outcome.changed:
        workspace.remind_of_push(outcome.name)
