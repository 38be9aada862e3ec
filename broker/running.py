"""The broker as a process: flags and file, log, signals (enforcement spec §1.8)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from broker.configuration import flags
from broker.configuration.options import Options
from broker.configuration.startup import require_startable
from broker.identity import PROTOCOL_VERSION
from broker.server import VERSION, Broker
from issuer import __version__
from issuer.errors import AccreditError

GC_THRESHOLDS: Final = (20_000, 50, 100)

log = logging.getLogger("accredit.broker")


def main(argv: Sequence[str]) -> int:
    """Run a broker until a signal ends it; the exit code."""
    try:
        asked = flags.parse(argv)
        if asked.show:
            sys.stdout.write(_shown(asked.show))
            return 0
        if asked.signal is not None:
            number, process = flags.signalled(asked.signal, read=_text)
            os.kill(process, number)
            return 0
        options = options_of(asked)
        require_startable(options, version=VERSION)
    except AccreditError as error:
        return _failed(error)
    for notice in options.warnings:
        sys.stderr.write(f"accredit broker: {notice}\n")
    if asked.check:
        words = f"configuration file {options.config_file} is valid ({options.config_digest})"
        sys.stderr.write(f"accredit broker: {words}\n")
        return int(any(notice.kind == "deprecated" for notice in options.warnings))
    set_up_log(options)
    try:
        run(serve(options, asked))
    except AccreditError as error:
        log.critical("%s", error)
        return _failed(error)
    return 0


def _failed(error: AccreditError) -> int:
    sys.stderr.write(f"accredit broker: {error}\n")
    if error.hint:
        sys.stderr.write(f"  {error.hint}\n")
    return 1


def _shown(what: str) -> str:
    if what == "version":
        return f"accredit broker: v{__version__}, as nats-server v{PROTOCOL_VERSION}\n"
    return flags.usage() + "\n"


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
    # Connections are many and live long: looking through all of them often finds nothing.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
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
