"""`accredit generate config`: what a nats-server needs to believe an operator."""

from __future__ import annotations

from typing import Any, Final

import click

from issuer.authority.finding import the_account, the_operator
from issuer.authority.signing import head
from issuer.claims.operator import OperatorClaims
from issuer.cli.generate import output_option, put
from issuer.cli.options import verb
from issuer.cli.workspace import Workspace
from issuer.interop.server_config import Options, Resolver, ServerConfig, render
from issuer.store import hierarchy
from issuer.store.unit import Unit

# nsc's flags, and the kinds of resolver they mean.
_KINDS: Final[dict[str, Resolver]] = {
    "mem_resolver": "memory",
    "nats_resolver": "full",
    "nats_resolver_cache": "cache",
    "url_resolver": "url",
}


@verb()
@click.option("--mem-resolver", is_flag=True, help="every account in the file (a fixed set of accounts)")
@click.option("--nats-resolver", is_flag=True, help="servers keep accounts and take pushed ones (the usual)")
@click.option("--nats-resolver-cache", is_flag=True, help="servers keep some, and ask the others")
@click.option("--url-resolver", metavar="URL", help="servers ask this URL: accredit serve answers")
@click.option("--sys-account", metavar="NAME", help="the system account, if the operator names none")
@click.option("--config-file", "target", metavar="FILE", help="as -o")
@click.option("--server-name", default="", metavar="NAME", help="name of the server")
@click.option("--listen", "port", type=click.IntRange(-1, 65535), metavar="PORT", help="client port")
@click.option("--host", default="", metavar="ADDRESS", help="address to listen on")
@click.option("--monitor-port", type=click.IntRange(-1, 65535), metavar="PORT", help="monitoring port")
@click.option("--resolver-dir", default="./jwt", metavar="DIR", help="where the server keeps accounts")
@click.option(
    "--allow-delete/--no-allow-delete", default=True, help="accounts may be deleted by push (the default)"
)
@click.option("--jetstream-dir", default="", metavar="DIR", help="enable JetStream, with its files there")
@click.option("--cluster-name", default="", metavar="NAME", help="the cluster the server belongs to")
@click.option("--cluster-port", type=click.IntRange(-1, 65535), metavar="PORT", help="port for routes")
@click.option("--route", "routes", multiple=True, metavar="URL", help="another server of the cluster")
@output_option
def config(workspace: Workspace, **values: Any) -> None:
    """A configuration that nats-server starts with, for one kind of resolver."""
    chosen = [kind for flag, kind in _KINDS.items() if values[flag]]
    if len(chosen) != 1:
        raise click.UsageError(
            "which resolver? --nats-resolver, --mem-resolver, --nats-resolver-cache or --url-resolver URL"
        )
    asked = (workspace.operator, values["sys_account"], chosen[0], values["url_resolver"] or "")
    options = Options(
        allow_delete=values["allow_delete"],
        **{
            name: values[name]
            for name in ("server_name", "host", "port", "monitor_port", "resolver_dir", "jetstream_dir",
                         "cluster_name", "cluster_port", "routes")
        },
    )  # fmt: skip
    text = render(workspace.ask(_content, asked), options)
    path = put(workspace, text, values["output_file"] or values["target"], force=values["force"])
    workspace.finish({"path": path, "config": text})


def _content(unit: Unit, asked: tuple[str | None, str | None, Resolver, str]) -> ServerConfig:
    named, system_named, resolver, url = asked
    operator = the_operator(unit, named)
    version = hierarchy.head_token(unit, "operator", operator.id)
    claims: OperatorClaims = head(unit, "operator", operator.id).claims
    system = claims.nats.system_account
    if system_named:
        system = the_account(unit, operator, system_named).public
    # Servers that are pushed to need the system account to begin with, others every account or none.
    accounts: dict[str, tuple[str, str]] = {
        row.public: (row.name, hierarchy.head_token(unit, "account", row.id).token)
        for row in hierarchy.accounts(unit, operator.id)
        if resolver == "memory" or row.public == system
    }
    return ServerConfig(resolver, operator.name, version.token, system, accounts, url)
