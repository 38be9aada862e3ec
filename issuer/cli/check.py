"""`accredit validate`, `accredit expirations`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from issuer.authority.expirations import Expiring
from issuer.authority.expirations import expirations as find_expirations
from issuer.authority.validation import Checked, Question, validate_tree
from issuer.cli.files import read_text
from issuer.cli.main import FINDINGS, OK
from issuer.cli.options import account_option, verb
from issuer.cli.output import Screen, findings_plain
from issuer.cli.quantities import distance, iso, moment
from issuer.cli.workspace import Workspace
from issuer.errors import PeerError
from issuer.findings import Finding, Level
from issuer.findings import validate as validate_claims
from issuer.keys.creds import parse_decorated_token
from issuer.tokens.envelope import decode


@verb()
@account_option
@click.option("-A", "--all-accounts", is_flag=True, help="every account")
@click.option(
    "-f", "--file", metavar="FILE", help="the tokens in a file, one a line, or PUBLIC|TOKEN; - for stdin"
)
def validate(workspace: Workspace, *, account: str | None, all_accounts: bool, file: str | None) -> int:
    """Check an account with its users, or everything. Exits with 7 when something would be refused."""
    if sum(map(bool, (account, all_accounts, file))) > 1:
        raise click.UsageError("-a, -A and -f exclude each other")
    if file:
        found = _file(file, workspace.now)
    else:
        named = None if all_accounts else workspace.account(account)
        found = workspace.ask(validate_tree, Question(workspace.now, workspace.operator, named))
    _show(workspace.screen, found, summary=bool(file))
    return OK if all(one.sound for one in found) else FINDINGS


def _file(name: str, now: int) -> list[Checked]:
    """The tokens of a file, each by itself."""
    text = read_text(name)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "-----BEGIN" in text:
        lines = [parse_decorated_token(text)]
    found = []
    for number, line in enumerate(lines, 1):
        public, _, token = line.rpartition("|")
        try:
            claims = decode(token).claims
        except PeerError as fault:
            fault_found = Finding(Level.ERROR, fault.code, fault.message, fault.at or "")
            found.append(Checked("token", f"line {number}", public, (fault_found,)))
            continue
        findings = validate_claims(claims, now=now)
        if public and public != claims.sub:
            wrong = f"stands under {public} but is of {claims.sub}"
            findings = (*findings, Finding(Level.ERROR, "pack.key", wrong, "/sub"))
        kind = type(claims).kind
        found.append(Checked(kind, claims.name, claims.sub, findings))
    return found


def _show(screen: Screen, found: list[Checked], *, summary: bool) -> None:
    if screen.as_json:
        screen.document([
            {"kind": one.kind, "name": one.name, "public_key": one.public, "sound": one.sound,
             "findings": findings_plain(one.findings)}
            for one in found
        ])  # fmt: skip
        return
    for one in found:
        title = f'{one.kind.capitalize()} "{one.name}"'
        if not one.findings:
            screen.table((), [("no issues found",)], title=title)
            continue
        rows = [
            (number, "" if each.level is Level.WARNING else "!", each.message, each.pointer)
            for number, each in enumerate(one.findings, 1)
        ]
        screen.table(("#", "", "Description", "Where"), rows, title=title)
    if summary:
        counted = Counter(each.message for one in found for each in one.findings)
        screen.say(
            f"{len(found)} tokens, {sum(1 for one in found if not one.sound)} of them would be refused"
        )
        for message, count in counted.most_common():
            screen.say(f"{count} × {message}")


@verb()
@click.option(
    "-e", "--within", default="1M", metavar="TIME", help="what ends within: 10m 4h 3d 2w 1M 1y, or a date"
)
@click.option("--skip", is_flag=True, help="leave out what does not end within that time")
def expirations(workspace: Workspace, **values: Any) -> None:
    """Show what has expired or soon will, the activations of imports included."""
    now = workspace.now
    until = moment(values["within"], now, at="--within")
    asked = Expiring(now, until, workspace.operator, everything=not values["skip"])
    found = workspace.ask(find_expirations, asked)
    if workspace.screen.as_json:
        report = [
            {
                "kind": one.kind,
                "resource": one.resource,
                "id": one.public,
                "when": distance(one.at, now) if one.at else "never",
                "expiry": one.at,
                "expiration_date": iso(one.at) if one.at else "",
                "expires_soon": one.soon,
                "expired": one.expired,
            }
            for one in found
        ]
        workspace.screen.document({"expiration_threshold": iso(until) if until else "", "report": report})
        return
    workspace.screen.table(
        ("Expired", "Kind", "Resource", "Expires"),
        [
            ("yes" if one.expired else "soon" if one.soon else "no", one.kind, one.resource,
             f"{iso(one.at)} ({distance(one.at, now)})" if one.at else "never")
            for one in found
        ],
    )  # fmt: skip
