"""The real server's flags, as Go reads them: one dash or two, `-p 4222`, `-p=4222`. They win over a file."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal

from broker.configuration.model import Notice, Tls
from broker.configuration.options import DEFAULT_PORT, Options
from broker.configuration.reading import REAL_SERVER
from broker.configuration.values import UNREADABLE, unreadable
from issuer.errors import NotFound, PeerError

Kind = Literal["text", "number", "switch"]


class FlagError(PeerError):
    """A flag that is none, or whose value is not what it takes."""

    code = "configuration.flag"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag with all its names; `field` is where its value goes in `Flags`."""

    names: tuple[str, ...]
    field: str
    kind: Kind
    metavar: str
    words: str
    unsupported: str = ""


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says; None where it says nothing."""

    config: str | None = None
    check: bool = False
    show: Literal["", "version", "help", "tls"] = ""
    signal: str | None = None

    host: str | None = None
    port: int | None = None
    server_name: str | None = None
    client_advertise: str | None = None
    pid_file: str | None = None
    ports_file_dir: str | None = None
    http_port: int | None = None
    https_port: int | None = None

    log_file: str | None = None
    log_size_limit: int | None = None
    logtime: bool | None = None
    logtime_utc: bool | None = None
    debug: bool | None = None
    trace: bool | None = None
    max_traced_msg_len: int | None = None

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    tls: bool | None = None
    tls_verify: bool | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_ca: str | None = None

    warnings: tuple[Notice, ...] = ()


_CLUSTER: Final = "this is one server by itself"
_JETSTREAM: Final = "there is no JetStream"
_LOG: Final = "the log goes to standard error or to --log"

FLAGS: Final = (
    Flag(("a", "addr", "net"), "host", "text", "HOST", "address to listen on (default: all)"),
    Flag(("p", "port"), "port", "number", "PORT", "port for clients (default: 4222; -1: any free one)"),
    Flag(("n", "name", "server_name"), "server_name", "text", "NAME", "name of the server"),
    Flag(("P", "pid"), "pid_file", "text", "FILE", "write the process id there"),
    Flag(("m", "http_port"), "http_port", "number", "PORT", "monitoring by HTTP (-1: any free port)"),
    Flag(("ms", "https_port"), "https_port", "number", "PORT", "monitoring by HTTPS"),
    Flag(("c", "config"), "config", "text", "FILE", "configuration"),
    Flag(("t",), "check", "switch", "", "check the configuration and exit"),
    Flag(("sl", "signal"), "signal", "text", "WHAT=PID",
         "tell a running server: ldm, stop, quit, term, reopen, reload; PID may be a pid file"),
    Flag(("client_advertise",), "client_advertise", "text", "ADDRESS", "address clients are told"),
    Flag(("ports_file_dir",), "ports_file_dir", "text", "DIR", "write accredit_PID.ports there"),
    Flag(("l", "log"), "log_file", "text", "FILE", "log there instead of to standard error"),
    Flag(("T", "logtime"), "logtime", "switch", "", "log with time (default; -T=false: without)"),
    Flag(("logtime_utc",), "logtime_utc", "switch", "", "log times in UTC"),
    Flag(("log_size_limit",), "log_size_limit", "number", "BYTES", "start a new log file at this size"),
    Flag(("D", "debug"), "debug", "switch", "", "log debugging output"),
    Flag(("V", "trace"), "trace", "switch", "", "log the protocol"),
    Flag(("VV",), "trace", "switch", "", "as -V"),
    Flag(("DV",), "debug trace", "switch", "", "-D and -V"),
    Flag(("DVV",), "debug trace", "switch", "", "as -DV"),
    Flag(("max_traced_msg_len",), "max_traced_msg_len", "number", "BYTES", "cut logged messages there"),
    Flag(("user",), "username", "text", "NAME", "user that clients must give"),
    Flag(("pass",), "password", "text", "PASSWORD", "and its password"),
    Flag(("auth",), "token", "text", "TOKEN", "token that clients must give"),
    Flag(("tls",), "tls", "switch", "", "use TLS (-tls=false: do not, whatever the file says)"),
    Flag(("tlscert",), "tls_cert", "text", "FILE", "certificate of the server"),
    Flag(("tlskey",), "tls_key", "text", "FILE", "its private key"),
    Flag(("tlsverify",), "tls_verify", "switch", "", "clients must show a certificate"),
    Flag(("tlscacert",), "tls_ca", "text", "FILE", "authority of client certificates"),
    Flag(("v", "version"), "show version", "switch", "", "show the version"),
    Flag(("h", "help"), "show help", "switch", "", "show this"),
    Flag(("help_tls",), "show tls", "switch", "", "say what TLS is used"),
    Flag(("s", "syslog"), "", "switch", "", "log to syslog", _LOG),
    Flag(("r", "remote_syslog"), "", "text", "ADDRESS", "log to a syslog elsewhere", _LOG),
    Flag(("profile",), "", "number", "PORT", "profile", "there is nothing of Go to profile"),
    Flag(("js", "jetstream"), "", "switch", "", "JetStream", _JETSTREAM),
    Flag(("sd", "store_dir"), "", "text", "DIR", "folder of JetStream", _JETSTREAM),
    Flag(("routes",), "", "text", "URLS", "servers to make a cluster with", _CLUSTER),
    Flag(("cluster", "cluster_listen"), "", "text", "URL", "listen for other servers", _CLUSTER),
    Flag(("cluster_name",), "", "text", "NAME", "name of the cluster", _CLUSTER),
    Flag(("cluster_advertise",), "", "text", "URL", "address other servers are told", _CLUSTER),
    Flag(("no_advertise",), "", "switch", "", "tell clients nothing of the cluster", _CLUSTER),
    Flag(("connect_retries",), "", "number", "N", "how often to try other servers", _CLUSTER),
)  # fmt: skip

_BY_NAME: Final = {name: flag for flag in FLAGS for name in flag.names}
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SIGNALS: Final = {
    "ldm": signal.SIGUSR2,
    "stop": signal.SIGKILL,
    "quit": signal.SIGINT,
    "term": signal.SIGTERM,
    "reopen": signal.SIGUSR1,
    "reload": signal.SIGHUP,
}


def parse(argv: Sequence[str]) -> Flags:
    """The flags of a command line, without the program's name.

    Raises:
        FlagError: an unknown flag, a value missing or of the wrong kind, or a word that is no flag.
    """
    found: dict[str, Any] = {}
    warnings: list[Notice] = []
    for given, flag, value in _given(list(argv)):
        if flag.unsupported:
            words = f'"{given}" does nothing here: {flag.unsupported}'
            warnings.append(Notice("unsupported", given, given, words, REAL_SERVER))
        elif flag.field.startswith("show "):
            # Of several the first counts.
            if value:
                found.setdefault("show", flag.field.removeprefix("show "))
        else:
            found.update(dict.fromkeys(flag.field.split(), value))
    return Flags(**found, warnings=tuple(warnings))


def merge(flags: Flags, options: Options) -> Options:
    """The options with what the command line says instead.

    Raises:
        FlagError: TLS without certificate or key.
    """
    same = {field.name for field in fields(Options)} & {field.name for field in fields(Flags)}
    given = {name: getattr(flags, name) for name in sorted(same - {"warnings", "tls"})}
    given = {name: value for name, value in given.items() if value is not None}
    if "port" in given:
        given["port"] = given["port"] or DEFAULT_PORT
    if "host" in given:
        given["host"] = given["host"] or Options().host
    merged = replace(options, **given, warnings=(*options.warnings, *flags.warnings))
    return replace(merged, tls=_merged_tls(flags, options.tls))


def usage(program: str = "accredit broker") -> str:
    """What `-h` shows."""
    rows = [(_spelt(flag), flag.words) for flag in FLAGS if not flag.unsupported]
    width = max(len(names) for names, _ in rows) + 2
    lines = [f"  {names:{width}}{words}" for names, words in rows]
    return "\n".join([f"Usage: {program} [flags]", "", *lines])


def signalled(text: str, *, read: Callable[[str], str]) -> tuple[signal.Signals, int]:
    """The signal and the process that `--signal` names; the process by number or by its pid file.

    Raises:
        FlagError: no such signal, or no process.
        NotFound: neither a number nor a file that can be read.
    """
    command, equals, target = text.partition("=")
    if command not in _SIGNALS:
        raise FlagError(f'unknown signal "{command}"', at="--signal", hint=", ".join(_SIGNALS))
    if not equals or not target:
        hint = f"--signal {command}=PID, or the name of its pid file"
        raise FlagError("which process is not said", at="--signal", hint=hint)
    if not target.isdecimal():
        try:
            target = read(target).strip()
        except UNREADABLE as error:
            raise NotFound(f"{target!r}: {unreadable(error)}", at="--signal") from None
    if not (target.isascii() and target.isdecimal()) or int(target) <= 1:
        raise FlagError(f"invalid pid: {target}", at="--signal")
    return _SIGNALS[command], int(target)


def _given(rest: list[str]) -> Iterator[tuple[str, Flag, str | int | bool]]:
    while rest:
        word = rest.pop(0)
        if word == "--" or not word.startswith("-") or word == "-":
            rest = [word, *rest] if word != "--" else rest
            break
        name, equals, text = word[2 if word.startswith("--") else 1 :].partition("=")
        if not name or name.startswith("-"):
            raise FlagError(f"bad flag syntax: {word}", at=word)
        flag = _BY_NAME.get(name)
        at = word.partition("=")[0]
        if flag is None:
            raise FlagError(f"flag provided but not defined: -{name}", at=at, hint="-h lists all there are")
        if flag.kind == "switch":
            yield at, flag, _switch(text, at) if equals else True
            continue
        if not equals:
            if not rest:
                raise FlagError(f"flag needs an argument: -{name}", at=at)
            text = rest.pop(0)
        yield at, flag, _number(text, at) if flag.kind == "number" else text
    yield from _words(rest)


def _words(rest: list[str]) -> Iterator[tuple[str, Flag, bool]]:
    """Behind the flags the real server knows two words."""
    for word in rest:
        if word.lower() not in {"version", "help"}:
            raise FlagError(f'unrecognized command: "{word}"', at=word)
        yield word, _BY_NAME[word.lower()], True


def _switch(text: str, at: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise FlagError(f'invalid boolean value "{text}"', at=at, hint=f"{at}=true or {at}=false")


def _number(text: str, at: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        raise FlagError(f'invalid value "{text}", not a number', at=at) from None
    if at.lstrip("-") in {"p", "port", "m", "http_port", "ms", "https_port"} and not -1 <= number <= 65535:
        raise FlagError(f"{number} is no port", at=at)
    return number


def _merged_tls(flags: Flags, configured: Tls | None) -> Tls | None:
    if flags.tls is False:
        return None
    files = (flags.tls_cert, flags.tls_key, flags.tls_ca)
    if flags.tls is None and flags.tls_verify is None and all(file is None for file in files):
        return configured
    # As the real server: flags replace the block of the file, they do not complete it.
    if not flags.tls_cert:
        raise FlagError("TLS Server certificate must be present and valid", at="--tlscert")
    if not flags.tls_key:
        raise FlagError("TLS Server private key must be present and valid", at="--tlskey")
    return Tls(
        cert_file=flags.tls_cert,
        key_file=flags.tls_key,
        ca_file=flags.tls_ca or "",
        verify=bool(flags.tls_verify),
        timeout=configured.timeout if configured else Tls().timeout,
    )


def _spelt(flag: Flag) -> str:
    names = ", ".join(f"-{name}" if len(name) <= 2 or name.isupper() else f"--{name}" for name in flag.names)
    return f"{names} {flag.metavar}".rstrip()
