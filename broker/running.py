"""The broker as a process: flags and file, log, signals (enforcement spec §1.8)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from broker.configuration import flags
from broker.configuration.options import Options
from broker.server import Broker
from issuer.errors import AccreditError

log = logging.getLogger("accredit.broker")


def main(argv: Sequence[str]) -> int:
    """Run a broker until a signal ends it; the exit code."""
    try:
        asked = flags.parse(argv)
        if asked.text is not None:
            sys.stdout.write(asked.text)
            return 0
        options = options_of(asked)
    except AccreditError as error:
        sys.stderr.write(f"accredit broker: {error}\n")
        if error.hint:
            sys.stderr.write(f"  {error.hint}\n")
        return 1
    for notice in options.warnings:
        sys.stderr.write(f"accredit broker: {notice}\n")
    if asked.test_only:
        sys.stdout.write(f"accredit broker: configuration file {options.config_file} is valid\n")
        return 0
    set_up_log(options)
    try:
        run(serve(options, asked))
    except AccreditError as error:
        log.critical("%s", error)
        sys.stderr.write(f"accredit broker: {error}\n")
        return 1
    return 0


def options_of(asked: flags.Flags) -> Options:
    """What file and flags say together.

    Raises:
        AccreditError: the file cannot be read, or says what cannot be.
    """
    if asked.config:
        options = Options.read(asked.config, environment=os.environ, read=_text)
    else:
        options = Options.defaults()
    return flags.merge(asked, options)


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def run(service: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(service)
    else:
        uvloop.run(service)


async def serve(options: Options, asked: flags.Flags) -> None:
    """Until TERM or INT; HUP reads the configuration again, USR2 is lame duck mode."""
    broker = Broker(options)
    broker.reread = lambda: options_of(asked)
    await broker.start()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: broker.spawn(broker.stop()))
    loop.add_signal_handler(signal.SIGHUP, broker.reload)
    loop.add_signal_handler(signal.SIGUSR2, lambda: broker.spawn(broker.lame_duck()))
    log.info("Listening for client connections on %s", broker.url)
    try:
        await broker.stopped.wait()
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await broker.stop()


def set_up_log(options: Options) -> None:
    """Where the log goes and how much of it, as the real server's options say."""
    handler: logging.Handler
    handler = logging.FileHandler(options.log_file) if options.log_file else logging.StreamHandler()
    stamp = "%(asctime)s.%(msecs)06d " if options.logtime else ""
    handler.setFormatter(
        logging.Formatter(f"[%(process)d] {stamp}[%(levelname).3s] %(message)s", "%Y/%m/%d %H:%M:%S")
    )
    root = logging.getLogger("accredit")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if options.debug else logging.INFO)
