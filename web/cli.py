"""The verbs that need several packages: `up` and `serve`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click

from issuer.authority.finding import the_operator
from issuer.cli.options import verb
from issuer.cli.workspace import Workspace
from issuer.errors import NotFound
from web.ready import Ready
from web.wiring import Wiring, service_urls


@verb()
@click.option("--http-port", type=click.IntRange(0, 65535), default=8520, show_default=True)
@click.option("--nats-port", type=click.IntRange(0, 65535), default=4222, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on")
@click.option("--ready-file", type=click.Path(path_type=Path), help="written as JSON when all is ready")
@click.option(
    "--nats-server", type=click.Path(path_type=Path), help="run this nats-server instead of the broker inside"
)
def up(workspace: Workspace, **values: Any) -> None:
    """Run everything in one process: an operator, an example account, a broker, the service."""
    from web.embedded import Shape, alone, found_example, run_embedded

    shape = Shape(**values)
    settings = workspace.settings
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(settings.data_dir):
        workspace.create()
        found_example(workspace.authority)
        operator = workspace.ask(the_operator, settings.operator)
        wiring = Wiring(settings, workspace.authority, operator)
        run_service(run_embedded(wiring, shape, lambda ready: _say_up(workspace, ready)))


@verb()
@click.option("--http-port", type=click.IntRange(0, 65535), default=8520, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on")
@click.option("--nats", "urls", multiple=True, metavar="URL", help="servers, if not those the operator names")
@click.option("--ready-file", type=click.Path(path_type=Path), help="written as JSON when all is ready")
def serve(workspace: Workspace, **values: Any) -> None:
    """Deliver what is signed, answer lookups and the URL resolver, beside NATS servers of your own."""
    from web.serving import serve as run

    settings = workspace.settings
    operator = workspace.ask(the_operator, settings.operator)
    urls = values["urls"] or settings.nats_urls or workspace.ask(service_urls, operator)
    if not urls:
        raise NotFound(
            "nobody said where the servers are",
            at="--nats",
            hint="accredit edit operator --service-url nats://host:4222",
        )
    wiring = Wiring(settings, workspace.authority, operator)
    run_service(
        run(
            wiring,
            urls,
            host=values["host"],
            http_port=values["http_port"],
            ready_file=values["ready_file"],
            said=lambda ready: _say_serve(workspace, ready),
        )
    )


def run_service(service: Any) -> None:
    """Run a coroutine on the fastest loop there is."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(service)
    else:
        uvloop.run(service)


def _say_up(workspace: Workspace, ready: Ready) -> None:
    screen = workspace.screen
    if screen.as_json:
        screen.document(ready.plain())
        return
    screen.say(f"nats     {ready.nats}")
    screen.say(f"http     {ready.http}")
    screen.say(f"data     {ready.data_dir}")
    for user, path in ready.creds.items():
        screen.say(f"creds    {user}: {path}")
    screen.say(f"process  {os.getpid()}; stop with Ctrl-C or SIGTERM")
    screen.hint("in another shell: accredit list users -a APP")


def _say_serve(workspace: Workspace, ready: Ready) -> None:
    screen = workspace.screen
    if screen.as_json:
        screen.document(ready.plain())
        return
    screen.say(f"delivering to {ready.nats}")
    screen.say(f"http {ready.http}, URL resolver at {ready.http}/jwt/v1/accounts/")
