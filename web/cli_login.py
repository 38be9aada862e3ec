"""`accredit login` and `accredit logout`: from a login at the identity provider to creds of NATS.

No refresh token is kept, and no token of the identity provider: what lies on the disk is the creds file,
and that is good for as long as the policy says.
"""

from __future__ import annotations

import os
import time
import webbrowser
from pathlib import Path
from typing import Any, Final

import click

from issuer.cli.files import read_text
from issuer.cli.options import verb
from issuer.cli.workspace import Workspace
from issuer.client import Issued, Source, TokenType, exchange, sources
from issuer.errors import NotFound
from issuer.keys.creds import format_creds
from issuer.keys.nkeys import Role, Seed
from web.login import places

URL_VARIABLE: Final = "ACCREDIT_URL"
_MOST_TOKEN: Final = 128 * 1024
_TYPES: Final = {
    "id": TokenType.ID_TOKEN,
    "access": TokenType.ACCESS_TOKEN,
    "jwt": TokenType.JWT,
    "api-key": TokenType.API_KEY,
}


@verb()
@click.option("--url", metavar="URL", help=f"of Accredit, as https://accredit.example; or {URL_VARIABLE}")
@click.option("--source", metavar="NAME", help="the identity provider, where Accredit offers several")
@click.option("--creds", type=click.Path(path_type=Path), help="file to write, if not the usual one")
@click.option("--context", metavar="NAME", help="write a context for the nats command line too")
@click.option("--no-browser", is_flag=True, help="only show where to log in")
@click.option("--token-file", metavar="FILE", help="exchange the token in there, - for stdin; for services")
@click.option(
    "--token-type", type=click.Choice(list(_TYPES)), default="jwt", show_default=True, help="of --token-file"
)
def login(workspace: Workspace, **values: Any) -> None:
    """Log in at the identity provider, and get creds for NATS.

    The key is made here and never leaves this machine. Run it again when the creds have expired.
    """
    url = values["url"] or os.environ.get(URL_VARIABLE)
    if not url:
        raise click.UsageError(f"where is Accredit? --url https://… or {URL_VARIABLE}")
    ca = workspace.settings.tls_ca
    home = places.configuration_home(os.environ, Path.home())
    creds = (values["creds"] or places.creds_file(home)).expanduser().absolute()
    # Before anybody logs in for nothing.
    context = places.context_file(home, values["context"]) if values["context"] else None
    if values["token_file"]:
        token, kind = read_text(values["token_file"], most=_MOST_TOKEN).strip(), _TYPES[values["token_type"]]
    else:
        token, kind = _logged_in(workspace, url, values["source"], browser=not values["no_browser"], ca=ca)
    seed = Seed.generate(Role.USER)
    issued = exchange(url, token, seed, kind=kind, ca_file=ca)
    places.write(creds, format_creds(issued.token, seed))
    if context is not None:
        words = f"accredit login at {url}, account {issued.account}"
        places.write_context(context, places.context_document(creds, issued.servers, words, ca))
    _say(workspace, issued, seed, creds, context)


@verb()
@click.option("--creds", type=click.Path(path_type=Path), help="file to remove, if not the usual one")
@click.option("--context", metavar="NAME", help="remove this context of the nats command line too")
def logout(workspace: Workspace, **values: Any) -> None:
    """Remove the creds that login wrote.

    Their token stays good until it expires: to end it, accredit revoke.
    """
    home = places.configuration_home(os.environ, Path.home())
    creds = (values["creds"] or places.creds_file(home)).expanduser().absolute()
    context = places.context_file(home, values["context"]) if values["context"] else None
    removed = []
    if context is not None and places.is_of_ours(context, creds):
        context.unlink()
        removed.append(str(context))
    elif context is not None:
        workspace.screen.warn(f"{context} is not of this login, and stays")
    try:
        creds.unlink()
    except FileNotFoundError:
        if not removed:
            raise NotFound("there are no creds", at=str(creds)) from None
    else:
        removed.append(str(creds))
    if workspace.screen.as_json:
        workspace.screen.document({"removed": removed})
        return
    for path in removed:
        workspace.screen.say(f"removed  {path}")


def _logged_in(
    workspace: Workspace, url: str, named: str | None, *, browser: bool, ca: Path | None
) -> tuple[str, TokenType]:
    """A token of the identity provider, once somebody has logged in there."""
    from web.login.issuer_login import begin, discover, wait_for

    source = _chosen(sources(url, ca_file=ca), named)
    endpoints = discover(source.issuer, ca_file=ca)
    flow = begin(source, endpoints, ca_file=ca)
    screen = workspace.screen
    # Whoever asked for silence still has to know where to go.
    click.echo(f"log in at {flow.verification_uri}", err=True)
    click.echo(f"code      {flow.user_code}", err=True)
    if browser and webbrowser.open(flow.complete_uri or flow.verification_uri):
        screen.say("a browser was opened")
    tokens = wait_for(source, endpoints, flow, clock=time.monotonic, sleep=time.sleep, ca_file=ca)
    if tokens.id_token:
        return tokens.id_token, TokenType.ID_TOKEN
    return tokens.access_token, TokenType.ACCESS_TOKEN


def _chosen(offered: tuple[Source, ...], named: str | None) -> Source:
    names = ", ".join(source.name for source in offered)
    if named is None:
        if len(offered) == 1:
            return offered[0]
        raise NotFound(
            "Accredit offers no login by device flow" if not offered else "Accredit offers several logins",
            at="--source",
            hint=f"choose among {names}" if offered else "show a token of your own: --token-file",
        )
    for source in offered:
        if source.name == named:
            return source
    raise NotFound(f"there is no login {named!r}", at="--source", hint=f"known are {names or 'none'}")


def _say(workspace: Workspace, issued: Issued, seed: Seed, creds: Path, context: Path | None) -> None:
    screen = workspace.screen
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(issued.expires_at))
    if screen.as_json:
        screen.document(
            {
                "account": issued.account,
                "public_key": seed.public,
                "expires_at": until,
                "servers": list(issued.servers),
                "creds": str(creds),
                "context": str(context) if context is not None else None,
            }
        )
        return
    screen.say(f"account  {issued.account}")
    screen.say(f"until    {until}")
    screen.say(f"creds    {creds}")
    for server in issued.servers:
        screen.say(f"server   {server}")
    if context is not None:
        screen.hint(f"nats --context {context.stem} sub '>'")
