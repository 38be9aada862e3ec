"""`accredit callout policy|lint|explain|what-if`."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import click
import msgspec
from ruamel.yaml import YAML

from callout.policy.decision import Connection, Granted
from callout.policy.finding import Level
from callout.policy.lint import lint as linted
from callout.policy.model import Policy
from callout.policy.spans import parse_moment, parse_span, show_moment
from callout.policy.what_if import Login
from callout.policy.writing import plain
from issuer.authority.policies import policy_history, set_policy
from issuer.cli.facts import body_facts
from issuer.cli.main import FINDINGS, OK
from issuer.cli.options import verb
from issuer.cli.workspace import Workspace
from issuer.grants import Attribute, Identity, Kind
from issuer.store.unit import Unit
from web.calling.configuration import read_configuration
from web.policies import (
    Explained,
    as_act,
    known_world,
    plain_explanation,
    policy_file,
    recorded_identity,
    remembered_identity,
    session_identity,
    stored_policy,
)
from web.policies import (
    explain as explained,
)
from web.policies import (
    what_if as compared,
)

FILE = click.Path(path_type=Path)


@verb()
@click.option("--version", "version", type=click.IntRange(1), help="not the one in force, but this one")
def show(workspace: Workspace, *, version: int | None) -> None:
    """The policy in force, as a file that `set` takes."""
    found, policy = workspace.ask(_stored, (workspace.operator, version))
    if workspace.screen.as_json:
        workspace.screen.document({"version": found, "policy": plain(policy)})
        return
    workspace.screen.text(_yaml(policy))


@verb()
@click.argument("file", type=FILE)
@click.option("--dry-run", is_flag=True, help="say what would be, and do nothing")
@click.option("--expect", type=click.IntRange(0), metavar="VERSION", help="only if this version is in force")
def set_(workspace: Workspace, *, file: Path, dry_run: bool, expect: int | None) -> None:
    """Put a policy in force, for all logins from the next half second on."""
    policy = policy_file(file)
    _warn(workspace, policy)
    if dry_run:
        workspace.screen.say(f"{file}: {len(policy.bindings)} bindings; nothing was changed")
        workspace.finish({"changed": False, "bindings": len(policy.bindings)})
        return
    made = workspace.perform(set_policy, as_act(policy, workspace.operator, expected_version=expect))
    _set(workspace, made.version.version, made.version.sha256, changed=made.changed)


@verb()
@click.argument("version", type=click.IntRange(1))
def rollback(workspace: Workspace, *, version: int) -> None:
    """Put an earlier version in force again, as a new one."""
    _, policy = workspace.ask(_stored, (workspace.operator, version))
    made = workspace.perform(set_policy, as_act(policy, workspace.operator, restores=version))
    _set(workspace, made.version.version, made.version.sha256, changed=made.changed)


@verb()
def history(workspace: Workspace) -> None:
    """Every version there was, newest first."""
    found = workspace.ask(policy_history, workspace.operator)
    rows = [{"version": each.version, "at": each.created_at, "sha256": each.sha256} for each in found]
    if workspace.screen.as_json:
        workspace.screen.document(rows)
        return
    workspace.screen.table(
        ("Version", "Since", "SHA-256"),
        [(str(each.version), show_moment(each.created_at), each.sha256[:16]) for each in found],
    )


@verb()
@click.argument("file", type=FILE, required=False)
@click.option("--callout", type=FILE, metavar="CALLOUT.YAML", help="to know the directories, too")
def lint(workspace: Workspace, *, file: Path | None, callout: Path | None) -> int:
    """What is shadowed, too wide, impossible, or names what is not there.

    Without a file: the policy in force. Exits with 7 if anything is wrong.
    """
    policy = policy_file(file) if file else workspace.ask(_stored, (workspace.operator, None))[1]
    directories = read_configuration(callout).directories if callout else None
    with workspace.database.reading() as unit:
        world = known_world(unit, workspace.operator, directories)
    found = linted(policy, world=world, now=workspace.now)
    if workspace.screen.as_json:
        workspace.screen.document([msgspec.to_builtins(each) for each in found])
    else:
        for each in found:
            workspace.screen.say(f"{each.level.value:7} {each.pointer}: {each.message} ({each.code.value})")
            workspace.screen.hint(each.hint)
        if not found:
            workspace.screen.say("nothing found")
    return FINDINGS if any(each.level is Level.ERROR for each in found) else OK


@verb()
@click.argument("issuer", required=False)
@click.argument("subject", required=False)
@click.option("--session", type=click.IntRange(1), metavar="ID", help="whoever this session was given to")
@click.option("--identity", metavar="DIGEST", help="an identity as it is remembered")
@click.option("--policy", "file", type=FILE, help="by this policy, not the one in force")
@click.option("--directory", metavar="NAME", help="not whom was recorded: this directory vouches")
@click.option("-g", "--group", "groups", multiple=True, help="with --directory: a group")
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="NAME=VALUE",
    help='with --directory; 3 and true are no texts, "3" is; twice the same name is a list',
)
@click.option("--method", "methods", multiple=True, help="with --directory: how it was proved (amr)")
@click.option("--assurance", default="", help="with --directory: how strongly (acr)")
@click.option(
    "--kind", type=click.Choice([each.value for each in Kind]), help="with --directory [default: person]"
)
@click.option("--authenticated", metavar="SPAN", help="when it was proved: so long ago")
@click.option("--address", default="", help="where the connection comes from")
@click.option("--connection-type", default="", help="standard, websocket, mqtt or exchange")
def explain(workspace: Workspace, **values: Any) -> int:
    """Would they be let in, as what, until when, and which rule says so.

    Of somebody who was let in before the issuer and subject are enough: he is as he was the last time.
    Of anybody else say what is known.
    """
    with workspace.database.reading() as unit:
        login = _somebody(unit, workspace, values)
        policy = policy_file(values["file"]) if values["file"] else None
        found = explained(
            unit,
            workspace.operator,
            login.identity,
            now=workspace.now,
            connection=login.connection,
            policy=policy,
        )
    if workspace.screen.as_json:
        workspace.screen.document(plain_explanation(found))
    else:
        _tell(workspace, found)
    return OK if found.let_in else FINDINGS


@verb()
@click.argument("file", type=FILE)
@click.option("--since", default="7d", show_default=True, metavar="SPAN|TIME", help="logins from then on")
def what_if(workspace: Workspace, *, file: Path, since: str) -> int:
    """Decide the logins that were by another policy, and show whose would differ.

    Exits with 7 if any would.
    """
    policy = policy_file(file)
    with workspace.database.reading() as unit:
        found = compared(unit, workspace.operator, policy, since=_since(workspace, since))
    if workspace.screen.as_json:
        workspace.screen.document(msgspec.to_builtins(found, str_keys=True))
    else:
        screen = workspace.screen
        screen.say(f"{found.logins} logins, {found.same} decided the same")
        rows = [
            (change.value, str(changed.count), sample.name, sample.before, sample.after)
            for change, changed in found.changes.items()
            for sample in changed.samples
        ]
        if rows:
            screen.table(("What", "Logins", "Whose", "Before", "After"), rows)
    return FINDINGS if found.changes else OK


def _somebody(unit: Unit, workspace: Workspace, values: dict[str, Any]) -> Login:
    login = _login(unit, workspace, values)
    identity, seen = login.identity, login.connection
    ago = values["authenticated"]
    if ago is not None:
        span = parse_span(ago)
        if span is None:
            raise click.UsageError(f"--authenticated {ago}: write a span, as 5m")
        identity = msgspec.structs.replace(identity, authenticated_at=workspace.now - span)
    connection = Connection(
        address=values["address"] or seen.address, type=values["connection_type"] or seen.type
    )
    return Login(identity, workspace.now, connection)


def _login(unit: Unit, workspace: Workspace, values: dict[str, Any]) -> Login:
    """Who is asked about, in just one of the four ways to say it."""
    issuer, subject, operator = values["issuer"], values["subject"], workspace.operator
    ways = [values["session"] is not None, values["identity"] is not None, issuer is not None]
    if sum(ways) != 1 or (issuer is not None and subject is None):
        raise click.UsageError("who? say ISSUER and SUBJECT, or --session ID, or --identity DIGEST")
    described = [name for name in ("groups", "attributes", "methods", "assurance", "kind") if values[name]]
    if described and not values["directory"]:
        raise click.UsageError("who is described is described whole: say --directory, too")
    if values["directory"] and issuer is None:
        raise click.UsageError("--directory goes with ISSUER and SUBJECT")
    if values["session"] is not None:
        return session_identity(unit, operator, values["session"])
    if values["identity"] is not None:
        return Login(remembered_identity(unit, operator, values["identity"]), workspace.now)
    if not values["directory"]:
        return recorded_identity(unit, operator, issuer, subject)
    identity = Identity(
        issuer=issuer,
        subject=subject,
        name=subject,
        directory=values["directory"],
        kind=Kind(values["kind"] or Kind.PERSON),
        groups=tuple(sorted(values["groups"])),
        attributes=_attributes(values["attributes"]),
        methods=values["methods"],
        assurance=values["assurance"],
    )
    return Login(identity, workspace.now)


def _attributes(said: tuple[str, ...]) -> dict[str, Attribute]:
    """As a directory has them: texts, numbers and switches are three things; several texts are a set."""
    found: dict[str, Attribute] = {}
    for each in said:
        name, equals, text = each.partition("=")
        if not name or not equals:
            raise click.UsageError(f"--attribute {each}: write NAME=VALUE")
        value = _value(text)
        before = found.get(name)
        if before is None:
            found[name] = value
            continue
        texts = before if isinstance(before, tuple) else (before,)
        if not all(isinstance(one, str) for one in (*texts, value)):
            raise click.UsageError(f'--attribute {name}: a list is of texts, as {name}="one"')
        found[name] = tuple(sorted({*map(str, texts), str(value)}))
    return found


def _value(text: str) -> str | int | bool:
    if text in {"true", "false"}:
        return text == "true"
    if re.fullmatch(r"-?(?:0|[1-9][0-9]{0,17})", text):
        return int(text)
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else text


def _tell(workspace: Workspace, found: Explained) -> None:
    screen, decision = workspace.screen, found.decision
    rows = [
        ("yes" if step.passed else "no", step.part.value, step.binding, step.criterion, step.why)
        for step in decision.steps
    ]
    screen.table(("", "Step", "Binding", "Of", "Why"), rows)
    if isinstance(decision, Granted):
        grant = decision.grant
        roles, bindings = "+".join(grant.roles), ", ".join(grant.bindings)
        screen.say(f"granted: {grant.account} {roles} by {bindings}, until {show_moment(grant.expires_at)}")
        if found.permissions is not None:
            screen.facts(list(body_facts(found.permissions)), title="What the token allows")
    else:
        screen.say(f"refused: {decision.message} ({decision.reason.value})")
    if found.obstacle is not None:
        screen.warn(f"there would be no token all the same: {found.obstacle} ({found.obstacle.reason.value})")
    for denial in found.denials:
        what = f"denial {denial.id}, {denial.target.value} {denial.value}".rstrip()
        screen.warn(f"kept out all the same by {what}: {denial.reason or 'no reason given'}")


def _warn(workspace: Workspace, policy: Policy) -> None:
    with workspace.database.reading() as unit:
        world = known_world(unit, workspace.operator)
    for each in linted(policy, world=world, now=workspace.now):
        if each.level is not Level.NOTE:
            workspace.screen.warn(f"{each.pointer}: {each.message}")


def _set(workspace: Workspace, version: int, sha256: str, *, changed: bool) -> None:
    words = "is in force" if changed else "is in force already: nothing changed"
    workspace.screen.say(f"policy version {version} {words}")
    workspace.finish({"version": version, "sha256": sha256, "changed": changed})


def _stored(unit: Unit, asked: tuple[str | None, int | None]) -> tuple[int, Policy]:
    return stored_policy(unit, *asked)


def _since(workspace: Workspace, text: str) -> int:
    span = parse_span(text)
    if span is not None:
        return workspace.now - span
    moment = parse_moment(text)
    if moment is None:
        raise click.UsageError(f"--since {text}: write a span, as 7d, or a time, as 2027-01-31T12:00:00Z")
    return moment


def _yaml(policy: Policy) -> str:
    out = io.StringIO()
    writer = YAML()
    writer.dump(plain(policy), out)
    return out.getvalue()
