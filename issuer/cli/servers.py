"""Reaching the servers for one command: URLs, TLS, a short-lived user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from issuer.authority.inspecting import Description, Named, describe_operator
from issuer.authority.pushing import PUSHER
from issuer.authority.system_users import IssueSystemUser, issue_system_user
from issuer.cli.options import split
from issuer.cli.workspace import Workspace
from issuer.errors import NotFound
from issuer.settings import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from issuer.delivery.system_account import SystemAccount
    from issuer.tokens.envelope import Token
    from issuer.tokens.signer import Signer

Connect = Callable[[], Awaitable["SystemAccount"]]
_LONGEST: Final = 600


def server_options(function: Any) -> Any:
    for option in (
        click.option("--tls-first", is_flag=True, hidden=True),
        click.option("--client-key", "tls_key", metavar="FILE", help="the client certificate's key"),
        click.option("--client-cert", "tls_cert", metavar="FILE", help="client certificate for the servers"),
        click.option("--ca-cert", "tls_ca", metavar="FILE", help="trust servers by this certificate"),
        click.option("--timeout", type=click.FloatRange(0, _LONGEST, min_open=True), metavar="SECONDS",
                     help=f"how long to wait for servers ({DEFAULT_TIMEOUT:g})"),
        click.option("--system-user", hidden=True),
        click.option("--system-account", hidden=True),
        click.option("-u", "--url", "--account-jwt-server-url", "urls", multiple=True, metavar="URLS",
                     help="servers, if not the operator's service URLs"),
    ):  # fmt: skip
        function = option(function)
    return function


def take_server_flags(workspace: Workspace, values: dict[str, Any]) -> None:
    """Let the flags of this verb count as settings."""
    names = {"nats_urls": split(values["urls"]) or None, "timeout": values["timeout"]}
    names |= {name: values[name] for name in ("tls_ca", "tls_cert", "tls_key")}
    workspace.use(**{name: value for name, value in names.items() if value is not None})


def operator_and_urls(workspace: Workspace) -> tuple[Description, Sequence[str]]:
    """The operator, and where its servers are.

    Raises:
        NotFound: nobody said where.
    """
    operator = workspace.ask(describe_operator, Named(workspace.operator))
    urls = workspace.settings.nats_urls or operator.claims.nats.operator_service_urls
    if not urls:
        raise NotFound(
            "where are the servers",
            at="--url",
            hint=f"accredit edit operator {operator.name} --service-url nats://host:4222",
        )
    return operator, urls


def connector(workspace: Workspace, operator: str, urls: Sequence[str]) -> Connect:
    """How to connect; the user is made when it is needed, and for that moment."""
    from issuer.delivery.system_account import Tls, connect_system_account
    from issuer.tokens.signer import SeedSigner

    tls = Tls.of(workspace.settings)

    def credentials() -> tuple[Token, Signer]:
        user = workspace.authority.perform(
            issue_system_user, IssueSystemUser(PUSHER, operator), workspace.actor
        )
        return user.token, SeedSigner(user.seed)

    async def connect() -> SystemAccount:
        return await connect_system_account(list(urls), credentials, tls=tls)

    return connect
