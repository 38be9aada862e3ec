"""The same configuration means the same to both servers: the real one's own check is the judge."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from broker.configuration.flags import FlagError, signalled
from broker.configuration.flags import parse as parse_flags
from broker.configuration.options import Options
from broker.configuration.startup import NotStartable, require_startable
from broker.configuration.syntax import parse
from broker.configuration.values import digest
from issuer.claims.account import new_account
from issuer.claims.fields import with_body
from issuer.claims.operator import OperatorClaims, new_operator
from issuer.claims.user import UserBody, UserClaims
from issuer.errors import AccreditError
from issuer.interop.nats_server import version
from issuer.interop.server_config import Options as Rendered
from issuer.interop.server_config import Resolver, ServerConfig, render
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.servers import NatsServer

NOW = 1_700_000_000
OPERATOR, ACCOUNT, USER = (
    Seed.from_raw(role, bytes(32)) for role in (Role.OPERATOR, Role.ACCOUNT, Role.USER)
)
SIGNER = SeedSigner(OPERATOR)
ENVIRONMENT = {
    "NUM": "5k",
    "QUOTED": '"a b"',
    "LOOP": "$LOOP",
    "TWO": "$NUM",
    "BROKEN": "[",
    "LIST": "[a, b]",
    "PATH": os.environ["PATH"],
}

VALUES = [
    # numbers
    "1", "-1", "007", "1k", "1kb", "1KiB", "1Kib", "1kI", "2MiB", "3g", "4t", "5P", "-5m", "9E", "1 k",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1.5", "-1.5", "1.50", "0.0",
    "100000000000000000000000.0", "0.0000001", ".5", "-x", "+5", "0x10", "1_000", "-", "1.", "1.x",
    # what begins like a number
    "1e3", "1.5e3", "1k5", "1.5k", "2s", "1m30s", "1.5s", "500ms", "10x", "5]", "5i", "5b", "10.0.0.1", "10.0.0.1:4222", "1.2.3",
    "123-4", "1234-", "2026-12-31", "2026-12-31T23:59:59Z", "2026-13-31T23:59:59Z", "2026-12-31T23:59:59+01:00",
    # booleans
    "true", "True", "yes", "ON", "off", "no", "nope", '"yes"', "'on'",
    # texts
    "abc", "a#b", "a//b", "a=b", "a:b", "foo{", "*", ">", "é", "it's", 'a"b', "http://a.b/c?d=e", "<&>é\u2028", "a\\tb",
    "\\x41bc", "a\\qb", "a b", "'single \\n'", "'two\nlines'", '"two\nlines"', '"a\\tb\\x41\\"\\\\"', '"\\xc3\\xa9"', '"\\xff"',
    '"\\q"', '"\\xzz"', '"open', "'open", '""', "''", '"a" b', "(a\n)\n", "(\nabc\n def\n)", "(abc)", "( \n x )\n)",
    "(\nopen",
    # arrays and maps
    "[]", "[1]", "[1k]", "[1,2]", "[1, 2 ]", "[a,b]", '["a","b"]', "[\n1\n2\n]", "[a, , b]", "[,a]", "[a b]",
    "[a\nb # c\n // d\n c,]", "[[1 ],[2 ]]", "[[a],[b]]", "[{a: 1}, {b: 2}]", "[/a]", "[open", "{}", "{a}", "{a: }",
    "{a:\n1}", "{a\n1}", "{a: 1, b 2\n c = 3; d {e: f}}", "{\"a b\": 1, 'c': 2}", "{a \"b\" c 'd'}", "{a: 1 b: 2}", "{=1}", "{]}",
    "{a:1,,b:2}", "{a: /x}", "{a: 1}//c", "{a: b;c: d}", "{a: 1, a: 2}", "{a: 1} b", "{a: {b: {c: [{d: e}]}}}", "{a: 1",
    # variables
    "$2a$10$abcdefg", "$NUM'", "true'", '"$NUM"', "$NOPE", "$NUM", "$QUOTED", "$LOOP", "$TWO", "$BROKEN", "$LIST", "[$NUM ]", "{a: $NUM}",
    "{NUM: 1, b: $NUM}", "{a: {NUM: 1}, b: $NUM}", "{b: $c, c: 1}",
]  # fmt: skip

DOCUMENTS = [
    "port: 4222", "port 4222", "port=4222", "port\n4222", "port:\n4222", "port\t:\t4222", "PORT: 4222", '"port": 4222',
    "'port' 4222", "port: 4222, debug: true", "port: 4222; debug: true", "port: 4222 debug: true", "port: 4222 # x",
    "port: 4222 // x", "# x\n// y\nport: 4222", "\tport: 4222\r\ndebug: true\r\n", "port: 4222\rdebug: true", "\x0bport: 4222",
    "{port: 4222}", "{port:4222", "{\nport:4222\n", "{port:4222}\ndebug: true", "{{port: 4222}}", "{{port: 4222}", "{port: 4222}}",
    "{port:4222},", '{ "port": 4222, "debug": true }', '{ "port": 4222, }', "{port: 4222; debug: true # x\n}",
    "{port: 4222 // x\n}", "port: 4222\n{debug: true}", "port: 4222 }", "port: 4222\n}", "port: 4222\n}\n",
    "/ port", 'server_name: "a', "server_name: ", "server_name:", "server_name", "server_name: \\", "= 5", ": 5", "\0",
    "debug: $X", "X: true\ndebug: $X", "debug: true\nlogtime: $debug",
    'include "inc.conf"', "include inc.conf", "include ./inc.conf", "include 'inc.conf'", "INCLUDE inc.conf",
    "include nope.conf", "include\ninc.conf", "include [", "include 5", "include broken.conf", "include folder/outer.conf",
    "include /inc.conf", "include inc.conf; port: 1", "resolver { type: MEM\n include inc.conf\n}",
    "resolver {include inc.conf\ntype: MEM}", "X: true\ninclude variable.conf", "include values.conf\nport: $P\n",
]  # fmt: skip

FILES = {
    "inc.conf": "logtime: true\n",
    "broken.conf": "a: [",
    "variable.conf": "debug: $X",
    "values.conf": "P: 4333",
    "folder/outer.conf": "include inner.conf",
    "folder/inner.conf": "debug: true",
}


def token(claims: OperatorClaims | None = None) -> str:
    return encode(claims or operator(), SIGNER, now=NOW).token


def operator(**body: object) -> OperatorClaims:
    return with_body(new_operator(OPERATOR.public, "GRID"), **body)


def user(**body: object) -> str:
    claims = UserClaims(sub=USER.public, nats=UserBody(type="user", version=2, **body))  # type: ignore[arg-type]
    return encode(claims, SeedSigner(ACCOUNT), now=NOW).token


ACCOUNT_TOKEN = encode(new_account(ACCOUNT.public, "APP"), SIGNER, now=NOW).token
USERS = "authorization { users: [{user: a, password: b}] }"
CERTIFIED = "cert_file: cert.pem, key_file: key.pem"

# Both take it.
TAKEN = [
    "port: 0", "port: -1", "listen: 4222", "listen: localhost:-1", 'listen: "[::1]:4222"', "listen: 0.0.0.0:4222", "net: localhost",
    "server_name: one", "client_advertise: a:1", "http: 8222", "http: localhost:8222", "http_port: 8222", "monitor_port: -1",
    "https: localhost:8223", "http_base_path: /nats", "max_connections: 10", "max_conn: 0", "max_control_line: 8KB",
    "max_payload: 8MB", "max_pending: 64Mb", "max_subs: 5", "max_subscriptions: -1", "max_sub_tokens: 255", 'ping_interval: "30s"',
    "ping_interval: 30s", "ping_max: 5", "write_deadline: 2s", 'lame_duck_duration: "30s"', 'lame_duck_grace_period: "5s"',
    "pid_file: x", "pidfile: x", 'ports_file_dir: "."', "log_file: x", "logfile: x", "log_size_limit: 1MB", "debug: true",
    "trace: yes", "trace_verbose: on", "logtime_utc: true", "server_tags: a", 'server_tags: ["A:b", c]', "server_metadata {a: b}",
    "no_header_support: true", "connect_error_reports: 3", "max_closed_clients: 5", "max_traced_msg_len: 5", "prof_port: 0",
    "write_timeout: close", "feature_flags {a: true}", "store_dir: x", "jetstream: true", "jetstream {max_mem: 1G}",
    "cluster {name: c, port: -1}", "gateway {name: g, port: -1}", "leafnodes {port: -1}", "disable_sublist_cache: true",
    USERS, "authorization { user: a, password: b }", "authorization { token: t, timeout: 5 }", "authorization {timeout: 1.5}",
    'authorization {timeout: "2s"}', "authorization { users: [{user: a}] }", "authorization {users: []}",
    f"authorization {{ users: [{{nkey: {USER.public}}}] }}", "authorization {users: [{user: a, password: $2a$04$abc}]}",
    "authorization { users: [{user: a, permissions: {publish: x}}] }", "authorization { users: [{user: a, permissions: {}}] }",
    'authorization { users: [{user: a, permissions: {sub: ["x.>", "y q"], pub: {allow: [x, y], deny: z}}}] }',
    "authorization { users: [{user: a, permissions: {sub: {}, allow_responses: true}}] }",
    'authorization { users: [{user: a, permissions: {allow_responses: {max: 5, expires: "1m"}}}] }',
    'authorization { users: [{user: a, permissions: {allow_responses: {max: -1, ttl: "-1s"}}}] }',
    "authorization { default_permissions: {pub: x}, users: [{user: a}] }", "authorization { X: {pub: x}\n permissions: $X }",
    "authorization { users: [{user: a, connection_types: [standard, WEBSOCKET]}] }",
    "authorization { users: [{user: a, proxy_required: true}] }", "accounts {A: {}}", "accounts: [A, B]", "accounts {A: {users: [{user: a}]}}",
    "accounts {A {limits {max_connections: 5, max_subs: 4, max_payload: 3, max_leafnodes: 2}}}",
    "accounts {A {mappings {a: b}}}", "accounts {A {mappings {a: {dest: b, weight: 50%}}}}",
    "accounts {A {mappings {a: [{dest: b, weight: 50}, {dest: c, weight: 50, cluster: x}]}}}", "mappings {a: b}",
    "accounts {A {exports [{stream: a.>}]}, B {imports [{stream: {account: A, subject: a.>}, prefix: p}]}}",
    "accounts {A {exports [{service: a, accounts: [B]}]}, B {imports [{service: {account: A, subject: a}, to: q}]}}",
    'accounts {A {exports [{service: a, response: stream, threshold: "1s"}, {service: b, latency: {sampling: 50%, subject: x}}]}}',
    "accounts {A {exports [{service: a.*, account_token_position: 2, allow_trace: true}]}}",
    "accounts {A {exports [{service: a, latency: x}]}}", "accounts {A {msg_trace: t}}", "accounts {A {msg_trace {dest: t, sampling: 5}}}",
    f"accounts {{A {{nkey: {ACCOUNT.public}}}}}", "accounts {A {default_permissions {pub: x}, users [{user: a}]}}",
    "accounts {A {jetstream: enabled}}", "no_auth_user: a", f"operator: {token()}", "operator: operator.jwt", "operators: [operator.jwt]",
    "trusted_keys: " + OPERATOR.public, f"trusted: [{OPERATOR.public}]", "system_account: x", "no_system_account: true",
    "resolver: MEM", "resolver: memory", "resolver: URL(http://localhost:1/x)", 'resolver: URL("http://localhost:1/x/")',
    'resolver {type: full, dir: "."}', 'resolver {type: FULL, dir: ".", allow_delete: true, hard_delete: true, limit: 5, interval: "1m"}',
    'resolver {type: cache, dir: ".", ttl: "1h", limit: 5, timeout: "2s"}', "resolver {type: mem}", "resolver {type: MEM, what: ever}",
    f"resolver_preload {{ {ACCOUNT.public}: {ACCOUNT_TOKEN} }}", "resolver_preload {}", f"resolver_pinned_accounts: {ACCOUNT.public}",
    "resolver_pinned_accounts: [x]", "default_sentinel: x", f"proxies {{trusted [{{key: {USER.public}}}]}}", "proxies {}",
    f"tls {{{CERTIFIED}}}", f"tls {{{CERTIFIED}, ca_file: cert.pem, verify: true, timeout: 1.5, handshake_first: auto}}",
    f'tls {{{CERTIFIED}, timeout: "2s", first: "100ms", min_version: "1.3"}}', f"tls {{{CERTIFIED}, verify_and_map: true}}",
    f"tls {{{CERTIFIED}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], curve_preferences: [CurveP256 ]}}",
    f"websocket {{port: -1, tls {{{CERTIFIED}}}}}", "websocket {listen: localhost:8080, no_tls: true, same_origin: true, compression: true}",
    'ws {port: 0, allowed_origins: ["http://a.b"], handshake_timeout: "2s", jwt_cookie: c, headers {a: b}, ping_interval: "1s"}',
    "websocket {origin: x, handshake_timeout: 3, user_cookie: u, no_auth_user: a, advertise: a:1}",
    'mqtt {port: -1, ack_wait: "30s", max_ack_pending: 65535, reject_qos2_publish: true, js_domain: d, no_auth_user: a}',
    f"mqtt {{host: localhost, port: 1883, tls {{{CERTIFIED}}}, max_inflight: 5, stream_replicas: 1}}",
]  # fmt: skip

# Both refuse it.
REFUSED = [
    "foo: 1", "websocket {foo: 1}", "mqtt {foo: 1}", "tls {foo: 1}", "authorization {foo: 1}", "proxies {foo: 1}", "accounts {A {foo: 1}}",
    "authorization {users [{user: a, foo: 1}]}", "authorization {users [{user: a, permissions {foo: 1}}]}",
    "authorization {users [{user: a, permissions {pub {foo: 1}}}]}", "accounts {A {limits {foo: 1}}}", "accounts {A {exports [{foo: 1}]}}",
    "port: foo", "port: 1.5", "port: true", 'port: "4222"', "listen: localhost", "listen: a:b:c", "listen: localhost:x", "listen: true",
    "server_name: 5", 'server_name: "a b"', "host: 5", 'debug: "true"', "debug: 1", "max_payload: 5G", "max_payload: 1e6",
    "max_control_line: 3G", "max_sub_tokens: 0", "max_sub_tokens: 256", "ping_interval: x", 'ping_interval: "5"', "ping_interval: 1.5",
    "lame_duck_duration: 30", 'lame_duck_duration: "10s"', 'lame_duck_grace_period: "-1s"', "write_timeout: x", "write_deadline: 1d",
    "http: foo", "https_port: x", "server_tags: 5", "server_tags: [5, x]", "server_metadata: x", "server_metadata {a: 5}",
    "authorization: x", "authorization {user: 5}", "authorization {user: a, token: b}", "authorization {timeout: x}",
    "authorization {timeout: true}", "authorization {user: a, users: []}", "authorization {token: a, users: []}",
    "authorization {users: x}", "authorization {users: [x]}", "authorization {users: [{password: a}]}", "authorization {users: [{nkey: x}]}",
    f"authorization {{users: [{{nkey: {USER.public}, user: a}}]}}", f"authorization {{users: [{{nkey: {ACCOUNT.public}}}]}}",
    "authorization {users: [{user: a}, {user: a}]}", "authorization {users: [{user: a, permissions: x}]}",
    'authorization {users: [{user: a, permissions: {pub: "a b"}}]}', "authorization {users: [{user: a, permissions: {pub: a..b}}]}",
    'authorization {users: [{user: a, permissions: {sub: "a b c"}}]}', "authorization {users: [{user: a, permissions: {pub: [5, x]}}]}",
    "authorization {users: [{user: a, permissions: {allow_responses: x}}]}",
    "authorization {users: [{user: a, permissions: {allow_responses: {max: x}}}]}",
    "authorization {users: [{user: a, permissions: {allow_responses: {ttl: 5}}}]}", "authorization {users: [{user: a, connection_types: [x]}]}",
    "authorization {users: [{user: a, proxy_required: 1}]}", "accounts {A: x}", "accounts {$G: {}}", "accounts: [A, A]",
    "accounts {A {users [{user: a}]}, B {users [{user: a}]}}", "accounts {A {users [{user: a}]}}\nauthorization {users [{user: a}]}",
    "accounts {A {users [{user: a}]}}\nauthorization {user: b}", "accounts {A {nkey: x}}", "accounts {A {exports: x}}",
    "accounts {A {exports [{stream: 5}]}}", "accounts {A {exports [{stream: a, service: b}]}}", "accounts {A {exports [{stream: a, response: stream}]}}",
    "accounts {A {exports [{service: a, response: x}]}}", "accounts {A {exports [{service: a, threshold: 5}]}}",
    "accounts {A {exports [{service: a, accounts: [C]}]}}", "accounts {A {imports [{stream: {account: C, subject: a}}]}}",
    "accounts {A {imports [{stream: x}]}}", "accounts {A {imports [{stream: {account: A}}]}}", "accounts {A {mappings {a..b: c}}}",
    "accounts {A {mappings {a: {dest: b}}}}", "accounts {A {mappings {a: {dest: b, weight: 101}}}}", "accounts {A {mappings {a: {dest: b, weight: x}}}}",
    "accounts {A {mappings {a: [{dest: b, weight: 60}, {dest: c, weight: 60}]}}}", "accounts {A {msg_trace: a.>}}",
    "accounts {A {msg_trace {dest: a, sampling: 101}}}", "accounts {A {limits {max_subs: x}}}",
    "accounts {A {}, B {imports [{stream: {account: A, subject: a}}]}}", "accounts {A {exports [{stream: a, accounts: [C]}]}, C {}, B {imports [{stream: {account: A, subject: a}}]}}",
    "accounts {A {exports [{service: x}]}, B {imports [{service: {account: A, subject: a}}]}}",
    "accounts {A {exports [{service: a, response: stream, latency: x}]}}",
    "operator: nope.jwt", "operator: 5", f"operator: {ACCOUNT_TOKEN}", "operator: eyJ", "trusted_keys: x", "trusted_keys: 5",
    f"trusted_keys: {ACCOUNT.public}", "system_account: 5", "resolver: x", "resolver: 5", "resolver {type: full}", "resolver {type: x, dir: y}",
    'resolver {type: full, dir: ".", ttl: "1h"}', 'resolver {type: full, dir: ".", hard_delete: true}', 'resolver {type: full, dir: ".", interval: 5}',
    'resolver {type: full, dir: ".", interval: "5"}', 'resolver {type: cache, dir: ".", interval: "5m"}', 'resolver {type: cache, dir: ".", allow_delete: true}',
    'resolver {type: cache, dir: ".", hard_delete: false}', "resolver {dir: x}", "resolver {type: full, dir: inc.conf}", "resolver_preload: x",
    f"resolver_preload {{ {ACCOUNT.public}: x }}", f"resolver_preload {{ {ACCOUNT.public}: {token()} }}", "resolver_preload {a: 5}",
    "resolver_pinned_accounts: 5", "default_sentinel: 5", "proxies {trusted: x}", "proxies {trusted: [x]}", "proxies {trusted: [{key: x}]}",
    "tls: x", "tls {cert_file: cert.pem}", "tls {key_file: key.pem}", "tls {cert_file: no.pem, key_file: key.pem}", "tls {cert_file: inc.conf, key_file: key.pem}",
    f"tls {{{CERTIFIED}, ca_file: no.pem}}", f"tls {{{CERTIFIED}, ca_file: inc.conf}}", f"tls {{{CERTIFIED}, verify: x}}", f"tls {{{CERTIFIED}, timeout: x}}",
    f"tls {{{CERTIFIED}, handshake_first: x}}", f'tls {{{CERTIFIED}, min_version: "1.1"}}', f"tls {{{CERTIFIED}, min_version: 1.3}}", f"tls {{{CERTIFIED}, pinned_certs: x}}",
    "websocket: x", "websocket {port: x}", "websocket {handshake_timeout: 1.5}", "websocket {origins: 5}", "websocket {headers: x}", "websocket {headers {a: 5}}",
    "mqtt: x", "mqtt {max_ack_pending: 65536}", "mqtt {max_ack_pending: -1}", "mqtt {ack_wait: x}",
    # the real one only warns, but its check refuses that too
    "", "# nothing", "ping_interval: 5", "write_deadline: 5", "authorization {timeout: 61}", "mqtt {ack_wait: 5}", "websocket {ping_interval: 5}",
]  # fmt: skip

# Ours refuses what it would have to ignore to the user's harm, or what only fails later in the real one.
OURS_REFUSES = [
    f"tls {{{CERTIFIED}, pinned_certs: []}}",
    f"tls {{{CERTIFIED}, ocsp_peer: true}}",
    "websocket {authorization {user: a}}",
    "mqtt {authorization {user: a}}",
    f"authorization {{ auth_callout {{issuer: {ACCOUNT.public}, auth_users: [a]}}, users [{{user: a}}]}}",
    "port: 65536",
    "resolver: URL",
    "x: 1kbb\nport: 4222",
    "resolver {type: MEM, x {/a: 1}}",
    "port: 4222 /",
    "port: 4222\0",
]


def certify(folder: Path) -> None:
    """A key and a certificate that it signed itself, as `key.pem` and `cert.pem`."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .sign(key, None)
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, nats_server_binary: Path) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("configuration")
    for name, content in FILES.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(content, encoding="utf-8")
    (path / "operator.jwt").write_text(
        f"-----BEGIN OPERATOR JWT-----\n{token()}\n------END OPERATOR JWT------\n", encoding="utf-8"
    )
    certify(path)
    before = Path.cwd()
    os.chdir(path)
    yield path
    os.chdir(before)


def theirs(binary: Path, folder: Path, text: str, *flags: str) -> subprocess.CompletedProcess[str]:
    (folder / "server.conf").write_bytes(text.encode())
    return subprocess.run(
        [binary, *flags, "-c", "server.conf"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=folder,
        timeout=30,
        check=False,
    )


def ours(text: str) -> Options:
    def read(path: str) -> str:
        return text if path == "server.conf" else Path(path).read_text(encoding="utf-8")

    return Options.read("server.conf", environment=ENVIRONMENT, read=read)


def meaning(text: str) -> str:
    """The fingerprint of the values, empty if the text cannot be read."""
    try:
        return digest(
            parse(
                text,
                file="server.conf",
                environment=ENVIRONMENT,
                read=lambda path: Path(path).read_text(encoding="utf-8"),
            )
        )
    except AccreditError:
        return ""


@pytest.mark.parametrize(
    "text", [*(f"x: {value}\nresolver {{type: MEM, y: $x}}\n" for value in VALUES), *DOCUMENTS]
)
def test_a_text_has_the_same_values(nats_server_binary: Path, folder: Path, text: str) -> None:
    ran = theirs(nats_server_binary, folder, text, "-t")
    expected = ran.stderr.rpartition("(")[2].rstrip(")\n") if ran.returncode == 0 else ""
    assert meaning(text) == expected, ran.stderr


@pytest.mark.parametrize("text", TAKEN)
def test_both_take_it(nats_server_binary: Path, folder: Path, text: str) -> None:
    ran = theirs(nats_server_binary, folder, text, "-t")
    assert ran.returncode == 0, ran.stderr
    options = ours(text)
    assert not [notice for notice in options.warnings if notice.kind == "deprecated"]
    assert options.config_digest in ran.stderr


@pytest.mark.parametrize("text", REFUSED)
def test_both_refuse_it(nats_server_binary: Path, folder: Path, text: str) -> None:
    ran = theirs(nats_server_binary, folder, text, "-t")
    assert ran.returncode == 1, ran.stderr
    try:
        options = ours(text)
    except AccreditError:
        return
    assert [notice for notice in options.warnings if notice.kind == "deprecated"]


@pytest.mark.parametrize("text", OURS_REFUSES)
def test_ours_is_stricter(nats_server_binary: Path, folder: Path, text: str) -> None:
    ran = theirs(nats_server_binary, folder, text, "-t")
    assert ran.returncode == 0, ran.stderr
    with pytest.raises(AccreditError):
        ours(text)


def at_start() -> Iterator[tuple[str, str]]:
    """Configurations that only fail at the start, each with a name."""
    trusted, memory = f"operator: {token()}\n", "resolver: MEM\n"
    system = operator(system_account=ACCOUNT.public)
    other = Seed.generate(Role.ACCOUNT).public
    yield "payload above pending", "max_payload: 2MB, max_pending: 1MB"
    yield "lame duck without grace", 'lame_duck_duration: "30s", lame_duck_grace_period: "30s"'
    yield "accounts", f"{trusted}{memory}accounts {{A: {{}}}}"
    yield "mappings", f"{trusted}{memory}mappings {{a: b}}"
    yield "users", f"{trusted}{memory}{USERS}"
    yield "trusted keys", f"{trusted}{memory}trusted_keys: {OPERATOR.public}"
    yield "nobody's user", f"{trusted}{memory}no_auth_user: a"
    yield "other system account", f"operator: {token(system)}\n{memory}system_account: {other}"
    yield "full without system account", f'{trusted}resolver {{type: full, dir: "./jwt"}}'
    yield "cache without system account", f'{trusted}resolver {{type: cache, dir: "./jwt"}}'
    yield "newer version", f"operator: {token(operator(assert_server_version='3.0.0'))}\n{memory}"
    yield "newer minor", f"operator: {token(operator(assert_server_version='2.99.0'))}\n{memory}"
    yield "pinned what is no account", f"{trusted}{memory}resolver_pinned_accounts: [x]"
    yield "sentinel without operator", f"default_sentinel: {user(bearer_token=True)}"
    yield "sentinel without bearer", f"{trusted}{memory}default_sentinel: {user(subs=1)}"
    yield "sentinel that is none", f"{trusted}{memory}default_sentinel: x"
    yield "user nobody knows", f"{USERS}\nno_auth_user: b"
    yield "user without users", "no_auth_user: b"
    yield "websocket without tls", "websocket {port: -1}"
    yield "origin without scheme", 'websocket {port: -1, no_tls: true, origins: ["a.b"]}'
    yield "origin of another scheme", 'websocket {port: -1, no_tls: true, origins: ["ftp://a.b"]}'
    yield "origin without host", 'websocket {port: -1, no_tls: true, origins: ["http://"]}'
    yield "cookie without trust", "websocket {port: -1, no_tls: true, jwt_cookie: c}"
    yield "websocket user nobody knows", "websocket {port: -1, no_tls: true, no_auth_user: b}"
    yield "header of its own", "websocket {port: -1, no_tls: true, headers {Upgrade: x}}"
    yield "header of the protocol", "websocket {port: -1, no_tls: true, headers {Sec-WebSocket-X: x}}"
    yield "https without tls", "https_port: -1"
    yield "both monitors", f"http_port: -1, https_port: -1\ntls {{{CERTIFIED}}}"


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in at_start()])
def test_both_refuse_to_start(nats_server_binary: Path, folder: Path, text: str) -> None:
    ran = theirs(nats_server_binary, folder, text, "-p", "-1", "-a", "127.0.0.1")
    assert ran.returncode == 1
    with pytest.raises(NotStartable) as refused:
        require_startable(ours(text), version=version(nats_server_binary))
    assert refused.value.message in ran.stderr


def test_no_resolver(nats_server_binary: Path, folder: Path) -> None:
    # The real one takes the empty URL of the operator for one, and stumbles over it.
    text = f"operator: {token()}"
    assert theirs(nats_server_binary, folder, text, "-p", "-1", "-a", "127.0.0.1").returncode == 1
    with pytest.raises(NotStartable, match="require an account resolver"):
        require_startable(ours(text), version=version(nats_server_binary))


@pytest.mark.parametrize("kind", ["memory", "full", "cache"])
def test_both_start(start_nats: Callable[..., NatsServer], folder: Path, kind: Resolver) -> None:
    accounts: dict[str, tuple[str, str]] = {ACCOUNT.public: ("SYS", ACCOUNT_TOKEN)}
    config = ServerConfig(kind, "GRID", token(), ACCOUNT.public, accounts)
    text = render(
        config, Rendered(server_name="one", jetstream_dir="js", leafnode_port=-1, max_control_line=65536)
    )
    assert start_nats(text, folder).running()
    options = ours(text)
    require_startable(options, version=(2, 15, 1))
    assert options.resolver is not None
    assert options.resolver.kind == kind
    assert options.resolver_preload == {ACCOUNT.public: ACCOUNT_TOKEN}
    assert (options.system_account, options.max_control_line) == (ACCOUNT.public, 65536)
    assert {notice.key for notice in options.warnings} == {"jetstream", "leafnodes"}


@pytest.mark.parametrize(
    "arguments",
    [
        "-p 5", "--p=5", "-port -1", "-p 0x10", "-p x", "-p", "-D", "-D=false", "-D=perhaps", "-DV --trace", "-what", "--what=5",
        "-n one --addr h -m 5 -ms 6", "---p 5", "-=5", "serve", "-D serve -what", "--user a --pass b", "-T=0", "-js -sd x",
        "--cluster_name c --no_advertise", "-max_payload 5", "-tls", "-sl what=99999999",
    ],
)  # fmt: skip
def test_flags(nats_server_binary: Path, folder: Path, arguments: str) -> None:
    ran = theirs(nats_server_binary, folder, "debug: true", "-t", *arguments.split())
    try:
        given = parse_flags(["-t", *arguments.split(), "-c", "server.conf"])
        if given.signal is not None:
            signalled(given.signal, read=str)
        accepted = True
    except FlagError as error:
        accepted = False
        assert error.message in ran.stderr or "invalid" in error.message
    # On a bad flag the real one shows its usage, and exits with 0.
    assert accepted == ("is valid" in ran.stderr), ran.stderr
