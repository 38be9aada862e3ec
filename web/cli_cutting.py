"""`accredit sessions`, `accredit revoke identity`, `accredit denials`, `accredit lift denial`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from issuer.authority.cutting import LiftDenial, lift
from issuer.authority.cutting import denials as standing
from issuer.authority.finding import the_operator
from issuer.authority.sessions import SessionPage, SessionQuestion, session_page
from issuer.cli.main import FINDINGS, OK
from issuer.cli.options import account_option, force_option, verb
from issuer.cli.quantities import iso, stamp
from issuer.cli.servers import operator_and_urls, server_options, take_server_flags
from issuer.cli.workspace import Workspace
from issuer.grants import Denial, Session, Target
from issuer.store.sessions import Wanted

if TYPE_CHECKING:
    from web.cutting import Cut

_PAGE: Final = 500


@verb()
@click.option("--issuer", metavar="ISSUER", help="of this issuer's identities")
@click.option("--subject", metavar="SUBJECT", help="of this subject")
@click.option("--group", metavar="GROUP", help="of the members of a group, as they were at their login")
@click.option("--directory", metavar="NAME", help="vouched for by this directory")
@click.option("--binding", metavar="NAME", help="let in by this binding of the policy")
@account_option
@click.option("--server", metavar="NAME", help="connected to this server: its name or id")
@click.option("--ended", is_flag=True, help="those that are over, and why, instead of those that are open")
@click.option("--since", metavar="TIME", help="begun, or with --ended ended, at this time or later")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="so many at most")
def sessions(workspace: Workspace, **values: Any) -> None:
    """List who is connected as whom: from where, by which binding and policy version, until when."""
    operator = workspace.ask(the_operator, workspace.operator)
    since = values["since"]
    wanted = Wanted(
        **{name: values[name] for name in ("issuer", "subject", "directory", "binding", "account", "server")},
        ended=values["ended"],
        since=None if since is None else stamp(since, workspace.now, at="--since"),
    )
    rows = _rows(workspace, operator.id, wanted, values["group"], values["limit"])
    if workspace.screen.as_json:
        workspace.screen.stream(_plain(each, account) for each, account in rows)
        return
    last = "Ended" if values["ended"] else "Until"
    workspace.screen.table(
        ("Name", "Issuer", "Subject", "Account", "Role", "Binding", "Policy", "Server", "From", "Since",
         last),
        [
            (
                each.name, each.issuer, each.subject, account or each.account, each.role,
                ", ".join(each.bindings), each.policy_version,
                "(portable)" if each.portable else f"{each.server or each.server_id} {each.client_id}",
                each.address, iso(each.started_at),
                f"{iso(each.ended_at)} {each.reason}" if each.ended_at else iso(each.expires_at),
            )
            for each, account in rows
        ],
    )  # fmt: skip


@verb()
@click.argument("issuer_argument", metavar="ISSUER", required=False)
@click.argument("subject", metavar="SUBJECT", required=False)
@click.option("--group", metavar="GROUP", help="every member of a group")
@click.option("--issuer", metavar="ISSUER", help="with --group: of this issuer's group only")
@click.option("--source", metavar="DIRECTORY", help="everybody a directory vouches for")
@click.option("--binding", metavar="NAME", help="everybody a binding of the policy lets in")
@click.option("--everybody", is_flag=True, help="everybody a callout lets in")
@click.option(
    "--before", metavar="TIME", help="only what was proved before: unix seconds, RFC 3339, 0 for now"
)
@click.option("--dry-run", is_flag=True, help="count what would be ended, and do nothing")
@force_option
@server_options
def identity(workspace: Workspace, **values: Any) -> int:
    """Keep somebody out and end all his connections, on every server, until none is left.

    Who is meant is an issuer and a subject, as accredit sessions shows them, or one of the options.
    The denial holds until: accredit lift denial. Exits with 7 unless all of them are gone for certain.
    """
    from web.cutting import Cutter
    from web.wiring import Wiring

    take_server_flags(workspace, values)
    denial = _denial(workspace, values)
    operator = workspace.ask(the_operator, workspace.operator)
    wiring = Wiring(workspace.settings, workspace.authority, operator)
    if values["dry_run"]:
        cutter = Cutter(wiring, (), actor=workspace.actor)
        return _show(workspace, asyncio.run(cutter.cut(denial, dry_run=True)))
    _, urls = operator_and_urls(workspace)
    workspace.screen.confirm(f"keep out {_words(denial)}, and end their connections?", forced=values["force"])
    cutter = Cutter(wiring, urls, actor=workspace.actor, seconds=workspace.settings.timeout)
    return _show(workspace, asyncio.run(cutter.cut(denial)))


@verb()
def denials(workspace: Workspace) -> None:
    """List who is kept out, whatever the policy says."""
    operator = workspace.ask(the_operator, workspace.operator)
    rows = workspace.ask(standing, operator.id)
    if workspace.screen.as_json:
        workspace.screen.document([_denial_plain(each) for each in rows])
        return
    workspace.screen.table(
        ("Number", "Who", "Proved before", "Since", "Reason"),
        [
            (each.id, _words(each), "" if each.before is None else iso(each.before), iso(each.created_at),
             each.reason)
            for each in rows
        ],
    )  # fmt: skip


@verb()
@click.argument("number", metavar="NUMBER", type=int)
def lift_denial(workspace: Workspace, *, number: int) -> None:
    """Let the policy decide again whom a denial kept out; its number is shown by accredit denials."""
    denial = workspace.perform(lift, LiftDenial(number, workspace.operator))
    if workspace.screen.as_json:
        workspace.screen.document({"action": "lifted", "denial": _denial_plain(denial)})
    workspace.screen.say(f"lifted denial {denial.id}: {_words(denial)}")
    workspace.screen.note("portable tokens that were revoked meanwhile stay revoked")


def _denial(workspace: Workspace, values: dict[str, Any]) -> Denial:
    named = [
        (Target.IDENTITY, values["subject"]),
        (Target.GROUP, values["group"]),
        (Target.DIRECTORY, values["source"]),
        (Target.BINDING, values["binding"]),
        (Target.EVERYBODY, "everybody" if values["everybody"] else None),
    ]
    chosen = [(target, value) for target, value in named if value]
    if values["issuer_argument"] and not values["subject"]:
        raise click.UsageError("which subject of that issuer?")
    if len(chosen) != 1:
        raise click.UsageError(
            "who? ISSUER SUBJECT, or one of --group, --source, --binding, --everybody"
            if not chosen
            else "ISSUER SUBJECT, --group, --source, --binding and --everybody exclude each other"
        )
    target, value = chosen[0]
    if values["issuer"] and target is not Target.GROUP:
        raise click.UsageError("--issuer goes with --group")
    before = values["before"]
    return Denial(
        target=target,
        issuer=values["issuer_argument"] or values["issuer"] or "",
        value="" if target is Target.EVERYBODY else value,
        before=None if before is None else stamp(before, workspace.now, at="--before"),
        reason=workspace.reason,
    )


def _show(workspace: Workspace, cut: Cut) -> int:
    screen, kicked = workspace.screen, cut.kicked
    if screen.as_json:
        screen.document({
            "dry_run": cut.dry_run,
            "denial": _denial_plain(cut.denial),
            "sessions": kicked.sessions,
            "servers": dict(kicked.servers),
            "portable": kicked.portable,
            "ended": kicked.ended,
            "came_back": kicked.came_back,
            "left": [_plain(each, "") for each in kicked.left],
            "unproved": list(kicked.unproved),
            "trouble": kicked.trouble,
            "first_kick": kicked.first_kick,
            "last_gone": kicked.last_gone,
        })  # fmt: skip
    count = f"{kicked.sessions} sessions on {len(kicked.servers)} servers"
    portable = f", {kicked.portable} of them portable tokens" if kicked.portable else ""
    if cut.dry_run:
        screen.say(f"would keep out {_words(cut.denial)} and end {count}{portable}; nothing was done")
        return OK
    screen.say(f"denial {cut.denial.id}: {_words(cut.denial)} kept out")
    took = f" within {kicked.last_gone:.2f} s" if kicked.last_gone is not None else ""
    screen.say(f"ended {kicked.ended} of {count}{portable}{took}")
    for name, number in sorted(kicked.servers.items()):
        screen.say(f"  {name}: {number}")
    if kicked.came_back:
        screen.note(f"{kicked.came_back} came in once more before every callout knew, and were ended too")
    if cut.clean:
        return OK
    if kicked.trouble:
        screen.warn(f"NOT PROVED: {kicked.trouble}")
    for each in kicked.left:
        screen.warn(f"STILL CONNECTED or not known: {each.name} on {each.server or each.server_id}, "
                    f"client {each.client_id}")  # fmt: skip
    for account in kicked.unproved:
        screen.warn(
            f"the revocation of portable tokens is not in force everywhere: accredit push -a {account}"
        )
    screen.hint("nobody of them is let in again; run the same command once more to end what is left")
    return FINDINGS


def _rows(
    workspace: Workspace, operator_id: int, wanted: Wanted, group: str | None, limit: int | None
) -> Iterator[tuple[Session, str]]:
    after: int | None = 0
    left = limit
    while after is not None and (left is None or left > 0):
        question = SessionQuestion(
            operator_id=operator_id, wanted=wanted, group=group, after=after, limit=_PAGE
        )
        page: SessionPage = workspace.ask(session_page, question)
        for each in page.sessions[:left]:
            yield each, page.accounts.get(each.account, "")
        left = None if left is None else left - len(page.sessions)
        after = page.after


def _plain(session: Session, account: str) -> dict[str, Any]:
    return {
        "id": session.id,
        "name": session.name,
        "issuer": session.issuer,
        "subject": session.subject,
        "kind": session.kind.value,
        "directory": session.directory,
        "bindings": list(session.bindings),
        "policy_version": session.policy_version,
        "account": session.account,
        "account_name": account or None,
        "role": session.role,
        "user_key": session.user_key,
        "server_id": session.server_id or None,
        "server": session.server or None,
        "client_id": None if session.portable else session.client_id,
        "address": session.address,
        "connection_type": session.connection_type,
        "proved_at": session.proved_at,
        "started_at": session.started_at,
        "expires_at": session.expires_at,
        "ended_at": session.ended_at,
        "reason": session.reason,
    }


def _denial_plain(denial: Denial) -> dict[str, Any]:
    return {
        "id": denial.id or None,
        "kind": denial.target.value,
        "issuer": denial.issuer,
        "value": denial.value,
        "before": denial.before,
        "reason": denial.reason,
        "created_at": denial.created_at or None,
    }


def _words(denial: Denial) -> str:
    of = f" of {denial.issuer}" if denial.issuer else ""
    match denial.target:
        case Target.IDENTITY:
            words = f"{denial.value}{of}"
        case Target.GROUP:
            words = f"group {denial.value}{of}"
        case Target.EVERYBODY:
            words = "everybody"
        case _:
            words = f"{denial.target.value} {denial.value}"
    return words if denial.before is None else f"{words}, proved before {iso(denial.before)}"
