"""The verb `broker`: the broker alone, with the real server's flags and configuration files."""

from __future__ import annotations

import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def broker(arguments: tuple[str, ...]) -> None:
    """Run the reference broker: -c FILE, -p PORT and the other flags of nats-server; -h lists them."""
    # No common option of the other verbs: every flag is the real server's.
    from broker.running import main

    sys.exit(main(arguments))
