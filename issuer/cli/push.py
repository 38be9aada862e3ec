"""`accredit push`: deliver and prove, server by server."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from issuer.authority.finding import the_account, the_operator
from issuer.authority.pushing import deletion_signer
from issuer.cli.main import FINDINGS, OK
from issuer.cli.options import account_option, verb
from issuer.cli.servers import connector, operator_and_urls, server_options, take_server_flags
from issuer.cli.workspace import Workspace
from issuer.delivery.ledger import DeliveryReport
from issuer.delivery.progress import Standing, State
from issuer.delivery.pusher import Pusher, this_process
from issuer.store.outbox import DELETE
from issuer.store.unit import Unit
from issuer.tokens.signer import Signer


@verb()
@click.argument("name", metavar="ACCOUNT", required=False)
@account_option
@click.option("-A", "--all", "everything", is_flag=True, help="every account, and what is being deleted")
@click.option("-P", "--prune", is_flag=True, help="also delete what was deleted here, wherever it still is")
@click.option("-D", "--diff", is_flag=True, help="only compare, as accredit pull does")
@click.option("-R", "--account-removal", "removal", metavar="KEY", hidden=True)
@click.option("-F", "--force", is_flag=True, hidden=True)
@server_options
def push(workspace: Workspace, *, name: str | None, account: str | None, **values: Any) -> int:
    """Send what is signed to every server and prove that it is in force there.

    Without -a or -A: whatever waits to be delivered. Exits with 7 unless all of it is in force on
    every server.
    """
    named = name or account
    if named and values["everything"]:
        raise click.UsageError("-a and -A exclude each other")
    if values["removal"]:
        raise click.UsageError("an account is removed by: accredit delete account NAME, then accredit push")
    if values["diff"]:
        from issuer.cli.pull import compare

        return compare(workspace, values)
    if values["force"]:
        workspace.screen.note("what servers would refuse is not sent, with --force or without")
    take_server_flags(workspace, values)
    operator, urls = operator_and_urls(workspace)
    chosen = None
    if named:
        chosen = [workspace.ask(_account_key, (operator.name, named))]
    everything = values["everything"] or values["prune"]
    pusher = Pusher.over(
        workspace.database,
        connector(workspace, operator.name, urls),
        operator=operator.public,
        clock=lambda: workspace.now,
        who=this_process(),
        deletion_signer=lambda: _operator_signer(workspace, operator.name),
    )
    try:
        reports = asyncio.run(
            pusher.push_once(chosen, everything=everything, deadline=workspace.settings.timeout)
        )
    finally:
        pusher.close()
    _show(workspace, reports)
    return OK if all(report.settled for report in reports) else FINDINGS


def _show(workspace: Workspace, reports: list[DeliveryReport]) -> None:
    screen = workspace.screen
    if screen.as_json:
        screen.document([_plain(report) for report in reports])
        return
    if not reports:
        screen.say("nothing waits to be delivered; -A looks at every account")
        return
    screen.table(
        ("Account", "Version", "Server", "State", "Its words"),
        [
            (report.head.name, report.head.version, server, _state(report, standing), standing.words)
            for report in reports
            for server, standing in sorted(report.servers.items())
        ],
    )
    for report in reports:
        if not report.settled:
            screen.warn(f"{report.head.name}: {report.words or 'not in force everywhere'}")
        for connection in report.connected:
            screen.warn(f"{report.head.name}: a revoked user is still connected to {connection.server}")
    settled = sum(1 for report in reports if report.settled)
    screen.say(f"{settled} of {len(reports)} in force on every server")


def _state(report: DeliveryReport, standing: Standing) -> str:
    """For a deletion, in force means that the server has let go of the account."""
    gone = report.head.action == DELETE and standing.state is State.IN_FORCE
    return "gone" if gone else str(standing.state)


def _plain(report: DeliveryReport) -> dict[str, Any]:
    head = report.head
    return {
        "account": head.name,
        "public_key": head.account,
        "action": head.action,
        "version": head.version,
        "jti": head.jti,
        "settled": report.settled,
        "words": report.words,
        "servers": [
            {"name": name, "id": standing.server_id, "state": str(standing.state), "words": standing.words}
            for name, standing in sorted(report.servers.items())
        ],
        "still_connected": [connection.server for connection in report.connected],
    }


def _account_key(unit: Unit, asked: tuple[str, str]) -> str:
    operator, account = asked
    return the_account(unit, the_operator(unit, operator), account).public


def _operator_signer(workspace: Workspace, operator: str) -> Signer:
    """The key that asks servers to delete accounts: one they trust, the operator's or a signing key of it."""
    authority = workspace.authority
    with authority.database.reading() as unit:
        return deletion_signer(unit, authority.keyring, the_operator(unit, operator))
