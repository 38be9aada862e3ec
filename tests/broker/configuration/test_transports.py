from __future__ import annotations

import pytest

from broker.configuration.model import Mqtt, Tls, Websocket
from broker.configuration.options import Options
from broker.configuration.reading import ConfigurationError
from tests.broker.configuration.reading_files import options_of

PEM = "-----BEGIN SOMETHING-----\n"
FILES = {"cert.pem": PEM, "key.pem": PEM, "ca.pem": PEM, "empty.pem": ""}


def read(text: str) -> Options:
    return options_of(text, FILES)


def tls(text: str) -> Tls | None:
    return read(f"tls {{cert_file: cert.pem, key_file: key.pem, {text}}}").tls


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Tls("cert.pem", "key.pem")),
        ("ca_file: ca.pem, verify: true", Tls("cert.pem", "key.pem", "ca.pem", verify=True)),
        ("timeout: 0.5", Tls("cert.pem", "key.pem", timeout=0.5)),
        ('timeout: "5s"', Tls("cert.pem", "key.pem", timeout=5)),
        ("handshake_first: true", Tls("cert.pem", "key.pem", handshake_first=True)),
        ("first: auto", Tls("cert.pem", "key.pem", handshake_first=True, handshake_first_fallback=0.05)),
        (
            'immediate: "100ms"',
            Tls("cert.pem", "key.pem", handshake_first=True, handshake_first_fallback=0.1),
        ),
        ('min_version: "1.3"', Tls("cert.pem", "key.pem", min_version="1.3")),
    ],
)
def test_tls(text: str, expected: Tls) -> None:
    assert tls(text) == expected


def test_a_certificate_names_no_user_but_must_be_shown() -> None:
    options = read("tls {cert_file: cert.pem, key_file: key.pem, verify_and_map: true}")
    assert options.tls == Tls("cert.pem", "key.pem", verify=True)
    assert [notice.key for notice in options.warnings] == ["verify_and_map"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cert_file: cert.pem", "missing 'key_file'"),
        ("key_file: key.pem", "missing 'cert_file'"),
        ("cert_file: none.pem, key_file: key.pem", "cert_file 'none.pem' cannot be read: No such file"),
        ("cert_file: cert.pem, key_file: empty.pem", "key_file 'empty.pem' holds no PEM"),
        ("foo: 1", "unknown field 'foo'"),
        ("verify: 1", "expected a boolean"),
        ("handshake_first: perhaps", "is invalid"),
        ('min_version: "1.1"', "unsupported TLS version"),
        ("min_version: 1.3", "expected a string"),
        ("pinned_certs: []", '"pinned_certs" is not supported'),
        ("ocsp_peer: true", '"ocsp_peer" is not supported'),
    ],
)
def test_tls_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(f"tls {{{text}}}")
    assert words in str(refused.value)


def test_websocket() -> None:
    text = """websocket {
        listen: "localhost:8080", tls {cert_file: cert.pem, key_file: key.pem}, same_origin: true
        allowed_origins: ["https://a.b"], handshake_timeout: 3, jwt_cookie: jwt, headers {X-A: b}
        ping_interval: "30s", advertise: "a:1", no_auth_user: u, compression: true
    }"""
    options = read(text)
    assert options.websocket == Websocket(
        "localhost", 8080, "a:1", tls=Tls("cert.pem", "key.pem"), same_origin=True,
        allowed_origins=("https://a.b",), handshake_timeout=3, jwt_cookie="jwt", no_auth_user="u",
        headers={"X-A": "b"}, ping_interval=30,
    )  # fmt: skip
    assert [notice.key for notice in options.warnings] == ["compression"]
    assert read("ws {port: -1, no_tls: true}").websocket == Websocket(port=-1, no_tls=True)


def test_mqtt() -> None:
    text = """mqtt {
        host: localhost, port: 1883, ack_wait: "5s", max_inflight: 10, no_auth_user: u, js_domain: d
        reject_qos2_publish: true, downgrade_qos2_subscribe: true
    }"""
    options = read(text)
    assert options.mqtt == Mqtt(
        "localhost", 1883, no_auth_user="u", ack_wait=5, max_ack_pending=10, reject_qos2_publish=True,
        downgrade_qos2_subscribe=True,
    )  # fmt: skip
    assert [notice.key for notice in options.warnings] == ["js_domain"]
    assert read("mqtt {port: 1883, max_ack_pending: 0}").mqtt.max_ack_pending == 1024


@pytest.mark.parametrize("block", ["websocket", "mqtt"])
def test_credentials_of_one_transport_are_refused(block: str) -> None:
    # Passed over, everybody could come in there.
    with pytest.raises(ConfigurationError, match="not supported"):
        read(f"{block} {{port: -1, authorization {{user: a, password: b}}}}")
