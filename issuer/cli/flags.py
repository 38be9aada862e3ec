"""The options every verb takes. Apart from the others, because `--help` needs them and nothing else."""

from __future__ import annotations

from typing import Final

import click


def global_options() -> list[click.Option]:
    """Options every verb takes, before its name or after."""
    return [
        click.Option(["-J", "--json", "as_json"], is_flag=True, default=None, help="data as JSON"),
        click.Option(["-q", "--quiet"], is_flag=True, default=None, help="no words but errors"),
        click.Option(["--operator", "operator"], metavar="NAME", help="operator, if not the selected one"),
        click.Option(["--reason"], metavar="TEXT", help="why, for the audit log"),
        click.Option(
            ["-K", "--private-key", "signer"], metavar="KEY", help="sign with this key, seed file or role"
        ),
        click.Option(["-H", "--data-dir", "--all-dirs", "data_dir"], metavar="DIR", help="data folder"),
        click.Option(["--database"], metavar="URL", help="database, if not in the data folder"),
        click.Option(["--config", "config_file"], metavar="FILE", help="configuration file"),
        click.Option(["-i", "--interactive"], is_flag=True, default=None, hidden=True),
        click.Option(["--keystore-dir"], hidden=True),
        click.Option(["--config-dir"], hidden=True),
    ]


def print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001
    if value:
        from issuer import __version__

        click.echo(f"accredit {__version__}")
        ctx.exit()


GLOBAL_NAMES: Final = tuple(str(option.name) for option in global_options())
