"""The verbs that set the callout up and run it."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import click

from issuer.authority.enabling import SENTINEL, SERVICE, EnableCallout, enable_callout
from issuer.authority.finding import the_operator
from issuer.cli.main import FINDINGS, OK
from issuer.cli.options import verb
from issuer.cli.servers import connector, operator_and_urls, server_options, take_server_flags
from issuer.cli.user_creds import keep_creds
from issuer.cli.workspace import Workspace
from web.calling.configuration import DEFAULT_ACCOUNT, read_configuration


@verb()
@click.option("-a", "--account", default=DEFAULT_ACCOUNT, show_default=True, help="made if it is not there")
@click.option(
    "--into",
    "accounts",
    multiple=True,
    required=True,
    metavar="ACCOUNT",
    help="an account that logins may be placed in; repeat for several",
)
@click.option("--plain", is_flag=True, help="do not seal questions and answers")
@click.option("--no-test", is_flag=True, help="do not push, and do not try a login")
@server_options
def enable(workspace: Workspace, **values: Any) -> int:
    """Let a callout decide logins: the account, the service's user, the sentinel and the key, in one step.

    Then the account is pushed, and a login is tried from end to end. Run it again to add accounts.
    """
    take_server_flags(workspace, values)
    act = EnableCallout(values["account"], values["accounts"], workspace.operator, sealed=not values["plain"])
    outcome = workspace.perform(enable_callout, act)
    creds = {
        user: str(keep_creds(workspace, workspace.operator, outcome.name, user))
        for user in (SERVICE, SENTINEL)
    }
    found: list[dict[str, Any]] = []
    if not values["no_test"]:
        found = _tested(workspace, outcome.name)
    workspace.show("enabled", "callout at account", outcome, creds=creds, test=found)
    screen = workspace.screen
    for user, path in creds.items():
        screen.say(f"creds    {user}: {path}")
    for each in found:
        screen.say(f"{'ok' if each['good'] else 'FAILED':8} {each['what']} {each['words']}".rstrip())
    good = all(each["good"] for each in found)
    if values["no_test"]:
        workspace.remind_of_push(outcome.name)
    elif good:
        screen.hint("next: accredit callout policy set policy.yaml; accredit callout serve callout.yaml")
    return OK if good else FINDINGS


@verb()
@click.argument("file", type=click.Path(path_type=Path), metavar="CALLOUT.YAML")
@click.option("--http-port", type=click.IntRange(0, 65535), default=8521, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on")
@click.option("--ready-file", type=click.Path(path_type=Path), help="written as JSON when all is ready")
@click.option("--verbose", is_flag=True, help="say more in the log")
@server_options
def serve(workspace: Workspace, **values: Any) -> None:
    """Answer servers that ask about logins. Any number of these may run; they share the work."""
    from web.calling.service import serve_callout
    from web.cli import run_service
    from web.logging_aside import log_aside
    from web.wiring import Wiring

    take_server_flags(workspace, values)
    log_aside(sys.stderr, logging.DEBUG if values["verbose"] else logging.INFO)
    configuration = read_configuration(values["file"])
    _, urls = operator_and_urls(workspace)
    wiring = Wiring(
        workspace.settings, workspace.authority, workspace.ask(the_operator, workspace.settings.operator)
    )
    run_service(
        serve_callout(
            wiring,
            configuration,
            urls,
            host=values["host"],
            http_port=values["http_port"],
            ready_file=values["ready_file"],
            said=lambda ready, calling: _say(workspace, ready, calling),
        )
    )


def _say(workspace: Workspace, ready: Any, calling: Any) -> None:
    screen = workspace.screen
    if screen.as_json:
        screen.document(ready.plain())
        return
    screen.say(f"answering logins of {calling.account.now.voice.account} at {ready.nats}")
    screen.say(f"http {ready.http}")
    for each in calling.directories.state():
        words = "ready" if each.ready else f"disabled: {each.reason}"
        screen.say(f"directory {each.name} ({each.kind}): {words}")


def _tested(workspace: Workspace, account: str) -> list[dict[str, Any]]:
    """Push the account, then try a login."""
    from callout.request import Rules
    from callout.self_test import Finding, self_test
    from issuer.delivery.pusher import Pusher, this_process
    from issuer.delivery.system_account import Tls
    from web.calling.account import callout_account

    operator, urls = operator_and_urls(workspace)
    pusher = Pusher.over(
        workspace.database,
        connector(workspace, operator.name, urls),
        operator=operator.public,
        clock=lambda: workspace.now,
        who=this_process(),
    )
    try:
        reports = asyncio.run(pusher.push_once(None, deadline=workspace.settings.timeout))
    finally:
        pusher.close()
    late = [report.head.name for report in reports if not report.settled]
    found = [Finding("what was signed is in force on every server", not late, ", ".join(late))]
    if not late:
        with workspace.database.reading() as unit:
            kept = callout_account(
                unit, workspace.authority.keyring, the_operator(unit, operator.name), account
            )
        assert kept.sentinel is not None  # noqa: S101  made just now
        found += asyncio.run(
            self_test(
                urls,
                voice=kept.voice,
                rules=Rules(account=kept.public, curve=kept.voice.curve),
                service=kept.service,
                sentinel=kept.sentinel,
                tls=Tls.of(workspace.settings).context(),
                seconds=workspace.settings.timeout,
            )
        )
    return [{"what": each.what, "good": each.good, "words": each.words} for each in found]
