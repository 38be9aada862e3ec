"""The verb `explain`: may this user do that, and why. From token files, or from the store.

Here, and not with the broker: it needs the broker's decisions and the authority's store.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import click

from broker.enforcement.permissions import ResponseRule
from broker.enforcement.verdict import Gate, Outcome, Step, Verdict
from broker.explain import Act, Question, explain_tokens
from issuer.authority.finding import the_account, the_operator, the_user
from issuer.claims.fields import CONNECTION_TYPES, TimeRange
from issuer.cli.files import read_text
from issuer.cli.options import account_option, verb
from issuer.cli.output import Screen
from issuer.cli.quantities import size, stamp
from issuer.cli.workspace import Workspace
from issuer.keys.creds import parse_decorated_token
from issuer.store import hierarchy
from issuer.store.unit import Unit

OK: Final = 0
REFUSED: Final = 4
_TIMES: Final = frozenset({"exp", "nbf", "iat", "until"})
_INLINE: Final = "eyJ"


@verb()
@click.argument("act", type=click.Choice([each.value for each in Act]))
@click.argument("subject_argument", metavar="[SUBJECT]", required=False)
@click.option("--subject", metavar="SUBJECT", help="what would be published or subscribed to")
@click.option("--queue", metavar="NAME", default="", help="subscribe as a member of this group")
@click.option("--reply", metavar="SUBJECT", default="", help="publish with this reply subject")
@click.option("--size", "payload", metavar="SIZE", default="0", help="publish so many bytes")
@click.option("-u", "--user", "user_name", metavar="NAME", help="a user of the store, with -a")
@account_option
@click.option("--creds", metavar="FILE", help="the user's creds file")
@click.option("--user-token", metavar="FILE", help="the user's token, in place of creds")
@click.option("--account-token", metavar="FILE", help="the account's token")
@click.option(
    "--operator-token", metavar="FILE", help="the operator's token; without it, the account is believed"
)
@click.option("--address", metavar="IP", default="127.0.0.1", show_default=True, help="where it comes from")
@click.option(
    "--type",
    "connection_type",
    metavar="TYPE",
    default="STANDARD",
    show_default=True,
    help=" ".join(CONNECTION_TYPES[1:]),
)
@click.option(
    "--at", "moment", metavar="TIME", help="when, if not now: 2026-12-31T08:00:00Z, -1h, unix seconds"
)
@click.option("--proxied", is_flag=True, help="it comes by a trusted proxy")
def explain(workspace: Workspace, **values: Any) -> int:
    """Say whether a user may connect, publish or subscribe, gate by gate, as a server decides it.

    Where a server refuses, the last gate has the words of its log. Exits with 4 on a refusal.
    """
    question = question_of(values)
    moment = values["moment"]
    now = workspace.now if moment is None else stamp(moment, workspace.now, at="--at")
    tokens: tuple[str | None, str | None, str]
    if values["user_name"]:
        names = (workspace.settings.operator, values["account"], values["user_name"])
        tokens = workspace.ask(stored_tokens, names)
    else:
        tokens = tokens_of(values)
    verdict = explain_tokens(*tokens, question, now)
    show(workspace.screen, question, verdict)
    return OK if verdict.allowed else REFUSED


def stored_tokens(unit: Unit, names: tuple[str | None, str | None, str]) -> tuple[str, str, str]:
    """The newest tokens of an operator, an account and a user.

    Raises:
        NotFound: one of them is not in the store.
    """
    operator_name, account_name, user_name = names
    if not account_name:
        raise click.UsageError("of which account? -a NAME")
    operator = the_operator(unit, operator_name)
    account = the_account(unit, operator, account_name)
    user = the_user(unit, account, user_name)
    return (
        hierarchy.head_token(unit, "operator", operator.id).token,
        hierarchy.head_token(unit, "account", account.id).token,
        hierarchy.head_token(unit, "user", user.id).token,
    )


def question_of(values: dict[str, Any]) -> Question:
    """What the options ask."""
    act = Act(values["act"])
    placed, flagged = values["subject_argument"], values["subject"]
    if placed and flagged and placed != flagged:
        raise click.UsageError(f"two subjects: {placed!r} and {flagged!r}")
    subject = placed or flagged or ""
    if act is Act.CONNECT and subject:
        raise click.UsageError("a connection has no subject")
    if act is not Act.CONNECT and not subject:
        raise click.UsageError(f"{act} what? give a subject")
    if values["queue"] and act is not Act.SUBSCRIBE:
        raise click.UsageError("--queue goes with subscribe")
    if values["reply"] and act is not Act.PUBLISH:
        raise click.UsageError("--reply goes with publish")
    kind = values["connection_type"].upper()
    if kind not in CONNECTION_TYPES:
        raise click.UsageError(f"no connection type {kind!r}: {' '.join(CONNECTION_TYPES)}")
    return Question(
        act=act,
        subject=subject,
        queue=values["queue"],
        reply=values["reply"],
        size=size(values["payload"], at="--size"),
        address=values["address"],
        connection_type=kind,
        proxied=values["proxied"],
    )


def tokens_of(values: dict[str, Any]) -> tuple[str | None, str | None, str]:
    """The operator's, the account's and the user's token that the options name."""
    if values["creds"] and values["user_token"]:
        raise click.UsageError("--creds and --user-token exclude each other")
    user = values["creds"] or values["user_token"]
    if not user:
        raise click.UsageError("whose? -u NAME, --creds FILE or --user-token FILE")
    if not values["account_token"]:
        raise click.UsageError("of which account? --account-token FILE")
    operator = values["operator_token"]
    return None if operator is None else _token(operator), _token(values["account_token"]), _token(user)


def _token(named: str) -> str:
    """A token, itself or by the name of its file; of creds only the token is read."""
    return named.strip() if named.startswith(_INLINE) else parse_decorated_token(read_text(named))


def show(screen: Screen, question: Question, verdict: Verdict) -> None:
    """The trace, and what it comes to."""
    if screen.as_json:
        screen.document(plain(question, verdict))
        return
    rows = [
        (
            step.gate.number or "",
            "" if step.passed else "!",
            step.gate.value,
            step.field,
            _shown(step),
            step.source,
        )
        for step in verdict.steps
    ]
    screen.table(("#", "", "Gate", "Field", "Value", "From"), rows)
    screen.text(sentence(question, verdict))


def sentence(question: Question, verdict: Verdict) -> str:
    """The answer in one line."""
    what = question.act.value if question.act is Act.CONNECT else f"{question.act.value} {question.subject}"
    refusal = verdict.refusal
    if refusal is not None:
        number = f" {refusal.gate.number}" if refusal.gate.number else ""
        return f"{what}: {verdict.outcome.value} at gate{number} {refusal.gate.value}: {refusal.words}"
    if verdict.outcome is Outcome.FILTERED:
        held = [_shown(step) for step in verdict.steps if step.gate is Gate.FILTER]
        return f"{what}: {verdict.outcome.value}: {', '.join(held)}"
    if verdict.outcome is Outcome.DELEGATED:
        return f"{what}: {verdict.outcome.value}: the account's auth callout decides"
    return f"{what}: {verdict.outcome.value}"


def plain(question: Question, verdict: Verdict) -> dict[str, Any]:
    """The answer for machines."""
    refusal = verdict.refusal
    return {
        "act": question.act.value,
        "subject": question.subject,
        "queue": question.queue,
        "outcome": verdict.outcome.value,
        "allowed": verdict.allowed,
        "gate": None if refusal is None else refusal.gate.value,
        "words": "" if refusal is None else refusal.words,
        "steps": [_plain(step) for step in verdict.steps],
    }


def _plain(step: Step) -> dict[str, Any]:
    return {
        "number": step.gate.number,
        "gate": step.gate.value,
        "passed": step.passed,
        "field": step.field,
        "value": _plain_value(step.value),
        "source": step.source,
        "words": step.words,
    }


def _plain_value(value: object) -> Any:
    if isinstance(value, tuple):
        return [_plain_value(each) for each in value]
    if isinstance(value, TimeRange):
        return {"start": value.start, "end": value.end}
    if isinstance(value, ResponseRule):
        return {"max": value.max, "ttl": value.ttl_ns}
    return value


def _shown(step: Step) -> str:
    value = step.value
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        name = step.field.rsplit("/", 1)[-1]
        if name in _TIMES:
            return datetime.fromtimestamp(value, UTC).isoformat() if value > 0 else "never"
        return "unlimited" if value == -1 else str(value)
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_text(each) for each in _cut(value))
    if isinstance(value, TimeRange):
        return f"{value.start}-{value.end}"
    if isinstance(value, ResponseRule):
        often = "any number" if value.max < 0 else str(value.max)
        return f"{often} within {'any time' if value.ttl_ns < 0 else f'{value.ttl_ns / 1e9:g} s'}"
    return str(value)


def _cut(values: tuple[object, ...], most: int = 8) -> Iterable[object]:
    return values if len(values) <= most else (*values[:most], f"… {len(values) - most} more")
