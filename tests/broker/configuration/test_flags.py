from __future__ import annotations

import signal

import pytest

from broker.configuration.flags import FLAGS, FlagError, Flags, merge, parse, signalled, usage
from broker.configuration.model import Tls
from broker.configuration.options import Options
from issuer.errors import NotFound
from tests.broker.configuration.reading_files import options_of, reader


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("-p 4333", Flags(port=4333)),
        ("--p=4333", Flags(port=4333)),
        ("-port=-1", Flags(port=-1)),
        ("--port -1", Flags(port=-1)),
        ("-p 0x10", Flags(port=16)),
        ("-p 1 -p 2", Flags(port=2)),
        ("-a h", Flags(host="h")),
        ("--addr h", Flags(host="h")),
        ("-net h", Flags(host="h")),
        ("-n one --client_advertise a:1", Flags(server_name="one", client_advertise="a:1")),
        ("-c f -t", Flags(config="f", check=True)),
        ("-D -V", Flags(debug=True, trace=True)),
        ("-DV", Flags(debug=True, trace=True)),
        ("-DVV=false", Flags(debug=False, trace=False)),
        ("-T=false", Flags(logtime=False)),
        ("-T", Flags(logtime=True)),
        ("-m 8222 -ms 8223", Flags(http_port=8222, https_port=8223)),
        ("-P pid -l log --ports_file_dir d", Flags(pid_file="pid", log_file="log", ports_file_dir="d")),
        ("--user a --pass b --auth c", Flags(username="a", password="b", token="c")),
        ("--tls --tlscert c --tlskey k --tlscacert a --tlsverify", Flags(tls=True, tls_cert="c", tls_key="k", tls_ca="a", tls_verify=True)),
        ("-sl ldm=5", Flags(signal="ldm=5")),
        ("-v", Flags(show="version")),
        ("version", Flags(show="version")),
        ("-D HELP", Flags(debug=True, show="help")),
        ("--help_tls", Flags(show="tls")),
        ("-h -v", Flags(show="help")),
        ("", Flags()),
    ],
)  # fmt: skip
def test_as_go_reads_them(argv: str, expected: Flags) -> None:
    assert parse(argv.split()) == expected


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("-what", "flag provided but not defined: -what"),
        ("-p", "flag needs an argument: -p"),
        ("-p x", 'invalid value "x"'),
        ("-p 65536", "65536 is no port"),
        ("-D=perhaps", "invalid boolean"),
        ("---p 1", "bad flag syntax"),
        ("-=1", "bad flag syntax"),
        ("serve", 'unrecognized command: "serve"'),
        ("-D serve -p 1", "unrecognized command"),
        ("-- -p", "unrecognized command"),
    ],
)
def test_faults(argv: str, words: str) -> None:
    with pytest.raises(FlagError) as refused:
        parse(argv.split())
    assert words in refused.value.message


def test_what_the_real_server_knows_besides_is_a_warning() -> None:
    flags = parse(
        [
            "--cluster",
            "nats://x:1",
            "--routes",
            "y",
            "-js",
            "-sd",
            "d",
            "-s",
            "-r",
            "z",
            "--profile",
            "1",
            "--cluster_name",
            "c",
            "-p",
            "1",
        ]
    )
    assert flags.port == 1
    assert len(flags.warnings) == 8
    assert all("nats-server" in notice.hint for notice in flags.warnings)
    assert [notice.at for notice in merge(flags, Options()).warnings][:2] == ["--cluster", "--routes"]


def test_flags_win_over_the_file() -> None:
    options = options_of("port: 1, host: file, debug: true, logtime: true, server_name: file, http_port: 5")
    merged = merge(parse(["-p", "-1", "-a", "flag", "-D=false", "-T=false"]), options)
    assert (merged.port, merged.host, merged.debug, merged.logtime) == (-1, "flag", False, False)
    assert (merged.server_name, merged.http_port) == ("file", 5)
    assert merge(Flags(), options) == options


def test_a_port_of_zero_is_the_usual_one() -> None:
    assert merge(parse(["-p", "0"]), options_of("port: 5")).port == 4222


def test_tls_by_flags_replaces_that_of_the_file() -> None:
    pem = {"c": "-----BEGIN X-----", "k": "-----BEGIN X-----"}
    options = options_of("tls {cert_file: c, key_file: k, verify: true, timeout: 5}", pem)
    assert merge(parse(["--tlscert", "a", "--tlskey", "b"]), options).tls == Tls("a", "b", timeout=5)
    assert merge(parse(["--tls=false", "--tlscert", "a"]), options).tls is None
    assert merge(Flags(), options).tls == options.tls
    with pytest.raises(FlagError, match="certificate must be present"):
        merge(parse(["--tls"]), options)
    with pytest.raises(FlagError, match="private key must be present"):
        merge(parse(["--tlscert", "a"]), options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ldm=55", (signal.SIGUSR2, 55)),
        ("reload=server.pid", (signal.SIGHUP, 77)),
        ("quit=55", (signal.SIGINT, 55)),
        ("stop=55", (signal.SIGKILL, 55)),
        ("term=55", (signal.SIGTERM, 55)),
        ("reopen=55", (signal.SIGUSR1, 55)),
    ],
)
def test_signals(text: str, expected: tuple[signal.Signals, int]) -> None:
    assert signalled(text, read=reader({"server.pid": "77\n"})) == expected


@pytest.mark.parametrize("text", ["what=5", "ldm", "ldm=", "ldm=0", "ldm=-5", "ldm=1", "ldm=words.pid"])
def test_no_signals(text: str) -> None:
    with pytest.raises((FlagError, NotFound)):
        signalled(text, read=reader({"words.pid": "none"}))


def test_usage_names_every_flag_that_does_something() -> None:
    shown = usage()
    for flag in FLAGS:
        for name in flag.names:
            assert (f"-{name}" in shown) == (not flag.unsupported) or flag.unsupported


def test_secrets_stay_out_of_sight() -> None:
    flags = parse(["--user", "a", "--pass", "hush", "--auth", "hush"])
    assert "hush" not in repr(flags)
    assert "hush" not in repr(merge(flags, Options()))
