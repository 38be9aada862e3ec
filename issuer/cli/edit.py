"""`accredit edit operator|account|authcallout`, `accredit rename account`."""

from __future__ import annotations

from typing import Any, Final

import click

from issuer.authority.accounts import EditAccount, RenameAccount, edit_account
from issuer.authority.accounts import rename_account as rename
from issuer.authority.callouts import EditCallout, edit_callout
from issuer.authority.operators import EditOperator, edit_operator
from issuer.cli.options import (
    account_option,
    name_argument,
    permission_change,
    permission_options,
    split,
    tag_change,
    tag_options,
    time_options,
    validity,
    verb,
)
from issuer.cli.quantities import count, size
from issuer.cli.workspace import Workspace

# Flag, the claim's field, how it is read.
_LIMITS: Final = (
    ("conns", "conn", count),
    ("leaf-conns", "leaf", count),
    ("data", "data", size),
    ("exports", "exports", count),
    ("imports", "imports", count),
    ("payload", "payload", size),
    ("subscriptions", "subs", count),
    ("js-mem-storage", "mem_storage", size),
    ("js-disk-storage", "disk_storage", size),
    ("js-streams", "streams", count),
    ("js-consumer", "consumer", count),
    ("js-max-mem-stream", "mem_max_stream_bytes", size),
    ("js-max-disk-stream", "disk_max_stream_bytes", size),
    ("js-max-ack-pending", "max_ack_pending", count),
)
_OLD_NAMES: Final = {"js-mem-storage": "mem-storage", "js-disk-storage": "disk-storage",
                     "js-streams": "streams", "js-consumer": "consumer"}  # fmt: skip
_ALL: Final = -1


@verb()
@click.argument("name", metavar="NAME", required=False)
@click.option(
    "-u", "--account-jwt-server-url", "account_server", metavar="URL", help="where servers look accounts up"
)
@click.option("--rm-account-jwt-server-url", "rm_account_server", is_flag=True, help="nowhere any more")
@click.option(
    "-n", "--service-url", "service_urls", multiple=True, metavar="URLS", help="add nats://… of the servers"
)
@click.option("--rm-service-url", "rm_service_urls", multiple=True, metavar="URLS", help="take URLs away")
@click.option("--system-account", metavar="NAME", help="the account servers are managed through; '' for none")
@click.option(
    "--sk", "signing_keys", multiple=True, metavar="KEYS", help="add signing keys: public keys, or generate"
)
@click.option("--rm-sk", "rm_signing_keys", multiple=True, metavar="KEYS", help="take signing keys away")
@click.option(
    "--require-signing-keys/--no-require-signing-keys", default=None, help="never sign with identities"
)
@click.option("--assert-server-version", metavar="VERSION", help="servers must be at least that; '' for any")
@tag_options()
@time_options
def operator(workspace: Workspace, *, name: str | None, **values: Any) -> None:
    """Change an operator: where its servers are, its system account, its signing keys."""
    act = EditOperator(
        name or workspace.operator,
        account_server_url="" if values["rm_account_server"] else values["account_server"],
        add_service_urls=split(values["service_urls"]),
        remove_service_urls=split(values["rm_service_urls"]),
        system_account=values["system_account"],
        add_signing_keys=split(values["signing_keys"]),
        remove_signing_keys=split(values["rm_signing_keys"]),
        require_signing_keys=values["require_signing_keys"],
        assert_server_version=values["assert_server_version"],
        tags=tag_change(values),
        validity=validity(values, workspace.now),
    )
    workspace.show("changed", "operator", workspace.perform(edit_operator, act))


def _limit_options(function: Any) -> Any:
    for flag, field, read in reversed(_LIMITS):
        names = [f"--{flag}"]
        metavar = "SIZE" if read is size else "N"
        function = click.option(
            *names, field, metavar=metavar, help=f"most {flag.removeprefix('js-')}, -1 for any"
        )(function)
        if flag in _OLD_NAMES:
            function = click.option(f"--{_OLD_NAMES[flag]}", f"old_{field}", hidden=True)(function)
    return function


@verb()
@name_argument("account", required=False)
@account_option
@_limit_options
@click.option(
    "--wildcard-exports/--no-wildcard-exports", "wildcards", default=None, help="exports may hold wildcards"
)
@click.option(
    "--disallow-bearer/--no-disallow-bearer", "disallow_bearer", default=None, help="no bearer tokens"
)
@click.option(
    "--js-enable", "js_enable", type=int, metavar="TIER", help="JetStream without limits; TIER 0 for all"
)
@click.option("--js-disable", is_flag=True, help="no JetStream any more")
@click.option(
    "--js-tier", type=int, default=0, metavar="TIER", help="the limits are of this replication tier"
)
@click.option("--rm-js-tier", type=int, metavar="TIER", help="take a tier's limits away")
@click.option(
    "--js-max-bytes-required/--no-js-max-bytes-required",
    "max_bytes_required",
    default=None,
    help="streams must say how large they may get",
)
@click.option(
    "--host-cluster-traffic/--no-host-cluster-traffic",
    "own_traffic",
    default=None,
    help="JetStream cluster traffic in this account",
)
@click.option(
    "--sk", "signing_keys", multiple=True, metavar="KEYS", help="add signing keys: public keys, or generate"
)
@click.option("--rm-sk", "rm_signing_keys", multiple=True, metavar="KEYS", help="take signing keys away")
@click.option("--description", metavar="TEXT", help="what it is for")
@click.option("--info-url", metavar="URL", help="where more is told")
@click.option(
    "--trace-context-subject", "trace_destination", metavar="SUBJECT", help="where traces go; '' for nowhere"
)
@click.option(
    "--trace-context-sampling", "trace_sampling", type=int, metavar="PERCENT", help="how many are traced"
)
@permission_options()
@tag_options()
@time_options
def account(workspace: Workspace, *, name: str | None, **values: Any) -> None:
    """Change an account: limits, JetStream, signing keys, default permissions."""
    traffic = values["own_traffic"]
    tier = values["rm_js_tier"]
    act = EditAccount(
        name or workspace.account(values["account"]),
        operator=workspace.operator,
        limits=_limits(values),
        tier=_tier(values["js_enable"] or values["js_tier"]),
        remove_tier=_tier(tier) if tier else None,
        disable_jetstream=values["js_disable"] or tier == 0,
        add_signing_keys=split(values["signing_keys"]),
        remove_signing_keys=split(values["rm_signing_keys"]),
        permissions=permission_change(values),
        description=values["description"],
        info_url=values["info_url"],
        trace_destination=values["trace_destination"],
        trace_sampling=values["trace_sampling"],
        cluster_traffic=None if traffic is None else ("owner" if traffic else "system"),
        tags=tag_change(values),
        validity=validity(values, workspace.now),
    )
    outcome = workspace.perform(edit_account, act)
    workspace.show("changed", "account", outcome)
    if outcome.changed:
        workspace.remind_of_push(outcome.name)


def _limits(values: dict[str, Any]) -> dict[str, int | bool]:
    limits: dict[str, int | bool] = {}
    if values["js_enable"] is not None:
        limits |= {"mem_storage": _ALL, "disk_storage": _ALL, "streams": _ALL, "consumer": _ALL}
    for flag, field, read in _LIMITS:
        text = values[field] if values[field] is not None else values.get(f"old_{field}")
        if text is not None:
            limits[field] = read(text, at=f"--{flag}")
    for field in ("wildcards", "disallow_bearer", "max_bytes_required"):
        if values[field] is not None:
            limits[field] = values[field]
    return limits


def _tier(number: int | None) -> str | None:
    """Tiers go by the number of replicas: R1, R3."""
    return f"R{number}" if number else None


@verb()
@click.argument("source", metavar="FROM")
@click.argument("name", metavar="TO")
@click.option("--OK", is_flag=True, hidden=True)
def rename_account(workspace: Workspace, *, source: str, name: str, **_ignored: bool) -> None:
    """Give an account another name; its key, users and subjects stay."""
    outcome = workspace.perform(rename, RenameAccount(source, name, workspace.operator))
    if workspace.settings.account == source and workspace.settings.source("account") == "select":
        workspace.select(account=outcome.name)
    workspace.show("renamed", "account", outcome)
    workspace.remind_of_push(outcome.name)


@verb()
@account_option
@click.option(
    "--auth-user", "users", multiple=True, metavar="NAMES", help="users who answer logins, past the callout"
)
@click.option("--rm-auth-user", "rm_users", multiple=True, metavar="NAMES", help="take such users away")
@click.option(
    "--allowed-account",
    "accounts",
    multiple=True,
    metavar="NAMES",
    help="accounts it may place users in, or *",
)
@click.option(
    "--rm-allowed-account", "rm_accounts", multiple=True, metavar="NAMES", help="take such accounts away"
)
@click.option("-x", "--curve", metavar="KEY", help="seal requests for this X key, or generate one")
@click.option("--rm-curve", is_flag=True, help="send requests unsealed")
@click.option("--disable", is_flag=True, help="no callout any more")
def authcallout(workspace: Workspace, *, account: str | None, **values: Any) -> None:
    """Say who answers the logins of an account."""
    act = EditCallout(
        workspace.account(account),
        operator=workspace.operator,
        add_users=split(values["users"]),
        remove_users=split(values["rm_users"]),
        add_accounts=split(values["accounts"]),
        remove_accounts=split(values["rm_accounts"]),
        xkey="" if values["rm_curve"] else values["curve"],
        disable=values["disable"],
    )
    outcome = workspace.perform(edit_callout, act)
    workspace.show("changed", "account", outcome)
    if outcome.changed:
        workspace.remind_of_push(outcome.name)
