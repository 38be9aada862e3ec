"""`accredit audit sessions` and `accredit audit ingest enable`: what servers tell of connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from issuer.authority.connections import ConnectionQuestion, SeenConnection, seen_connections
from issuer.authority.ingesting import DISK, EnableIngest, enable_ingest
from issuer.cli.options import account_option, verb
from issuer.cli.quantities import iso, size, stamp
from issuer.cli.workspace import Workspace


@verb()
@click.option("-u", "--user", metavar="NAME", help="of this user, by name or key, or of this identity")
@account_option
@click.option("--since", metavar="TIME", help="not over before this time")
@click.option("--open", "only_open", is_flag=True, help="only those that have not ended, as far as we heard")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, metavar="N")
def sessions(workspace: Workspace, **values: Any) -> None:
    """Who was on which server, newest first: by which credential, and which event had approved it."""
    screen = workspace.screen
    since = values["since"]
    question = ConnectionQuestion(
        operator=workspace.operator,
        user=values["user"],
        account=values["account"],
        since=None if since is None else stamp(since, workspace.now, at="--since"),
        only_open=values["only_open"],
        limit=values["limit"],
    )
    found = workspace.ask(seen_connections, question)
    if screen.as_json:
        screen.stream(map(_plain, found))
        return
    screen.table(
        ("Began", "Ended", "Server", "Account", "Who", "Credential", "Approved by", "Role", "From", "Why"),
        _rows(found),
    )


def _rows(found: Sequence[SeenConnection]) -> Iterator[tuple[Any, ...]]:
    for each in found:
        row = each.connection
        yield (
            iso(row.started_at),
            iso(row.ended_at) if row.ended_at is not None else "",
            f"{row.server}:{row.client_id}",
            each.account or row.account,
            each.identity or row.user_key,
            row.credential,
            _approved(each),
            each.said("role"),
            each.said("address"),
            row.reason,
        )


def _approved(each: SeenConnection) -> str:
    if each.approval is None:
        return ""
    body = each.approval.body
    return f"{body.code} {each.approval.seq} {body.actor}"


def _plain(each: SeenConnection) -> dict[str, Any]:
    row, approval = each.connection, each.approval
    return {
        "server": row.server,
        "server_id": row.server_id,
        "client": row.client_id,
        "account": row.account,
        "account_name": each.account,
        "user": row.user_key,
        "identity": each.identity,
        "issuer": each.session.issuer if each.session is not None else "",
        "role": each.said("role"),
        "client_name": each.said("client_name"),
        "address": each.said("address"),
        "credential": row.credential,
        "token_sha256": row.sha256,
        "jti": each.said("jti"),
        "approval": None
        if approval is None
        else {
            "seq": approval.seq,
            "code": approval.body.code,
            "actor": approval.body.actor,
            "at": approval.body.at,
            "reason": approval.body.reason,
        },
        "session": row.session_id or None,
        "started": row.started_at,
        "ended": row.ended_at,
        "reason": row.reason,
        "opened_seq": row.opened_seq or None,
        "closed_seq": row.closed_seq or None,
    }


@verb()
@click.option(
    "-a", "--account", default="AUDIT", show_default=True, metavar="NAME", help="made if it is not there"
)
@click.option("--disk", default=f"{DISK // 2**30}G", show_default=True, metavar="SIZE", help="of its streams")
def enable(workspace: Workspace, **values: Any) -> None:
    """Let a stream of an account keep what servers tell of connections, until it is in the log."""
    act = EnableIngest(values["account"], operator=workspace.operator, disk=size(values["disk"], at="--disk"))
    outcome = workspace.perform(enable_ingest, act)
    workspace.show(
        "enabled",
        "ingest",
        outcome,
        words=f"account {act.account} keeps what servers tell, once it and the system account are pushed",
    )
    workspace.screen.hint("servers get both by: accredit push -A; then start accredit serve again")
