"""Transcripts: command, data, words, exit code, files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from issuer.claims.user import UserClaims
from issuer.keys.creds import parse_creds
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import decode
from tests.issuer.cli.conftest import KEY, Run, claims, mode

# init


def test_init_founds_a_hierarchy_somebody_can_connect_with(run: Run, data_dir: Path) -> None:
    ran = run("init", "-n", "grid", "-u", "nats://one:4222,tls://two:4222", "--json")
    assert ran.code == 0
    made = ran.json
    assert made["operator"]["name"] == made["account"]["name"] == made["user"]["name"] == "grid"
    token, seed = parse_creds(Path(made["creds"]["user"]).read_text())
    assert decode(token).claims.sub == seed.public == made["user"]["public_key"]
    operator = claims(run, "operator")
    assert operator["nats"]["operator_service_urls"] == ["nats://one:4222", "tls://two:4222"]
    assert operator["nats"]["system_account"].startswith("A")
    for folder in (data_dir, data_dir / "creds", data_dir / "creds" / "grid" / "SYS"):
        assert mode(folder) == 0o700
    for name in ("master.key", "accredit.db", "creds/grid/grid/grid.creds", "creds/grid/SYS/sys.creds"):
        assert mode(data_dir / name) == 0o600


def test_init_twice_changes_nothing(acme: Run, data_dir: Path) -> None:
    before = sorted(data_dir.rglob("*.creds"))
    ran = acme("init", "acme")
    assert ran.code == 4
    assert "operator 'acme' exists already" in ran.err
    assert sorted(data_dir.rglob("*.creds")) == before
    assert [row["name"] for row in acme("list", "operators", "--json").json] == ["acme"]


def test_init_makes_all_or_nothing(run: Run) -> None:
    assert run("init", "grid", "--user", "a/b").code == 5
    assert run("list", "operators", "--json").json == []


def test_init_can_make_an_empty_store(run: Run) -> None:
    assert run("init", "--empty").code == 0
    assert run("list", "operators", "--json").json == []
    assert run("audit", "verify").code == 0


# add and describe


def test_a_user_gets_its_creds(acme: Run, data_dir: Path) -> None:
    ran = acme("add", "user", "bob", "--expiry", "2w", "--tag", "Blue,Red", "--tag", "x")
    assert (ran.code, ran.out) == (0, "")
    path = data_dir / "creds" / "acme" / "ACCT" / "bob.creds"
    assert re.fullmatch(rf"added user bob {KEY}\ncreds {re.escape(str(path))}\n", ran.err)
    assert mode(path) == 0o600
    token, seed = parse_creds(path.read_text())
    found = decode(token, UserClaims).claims
    assert (found.name, found.sub) == ("bob", seed.public)
    assert found.exp == found.iat + 14 * 86400
    assert list(found.nats.tags) == ["blue", "red", "x"]


def test_permissions_as_nsc_takes_them(acme: Run) -> None:
    ran = acme(
        "add", "user", "bob",
        "--allow-pub", "orders.>,foo", "--allow-sub", "q workers", "--allow-pubsub", "both",
        "--deny-pub", "secret", "--deny-pubsub", "no", "--allow-pub-response", "--response-ttl", "5s",
        "--source-network", "10.0.0.0/8", "--bearer", "--no-creds",
        "--subs", "7", "--data", "1k", "--payload", "1kib",
        "--conn-type", "mqtt,websocket", "--time", "08:00:00-17:00:00", "--locale", "Europe/Berlin",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    body = claims(acme, "user", "bob")["nats"]
    assert body["pub"] == {"allow": ["orders.>", "foo", "both"], "deny": ["secret", "no"]}
    assert body["sub"] == {"allow": ["q workers", "both"], "deny": ["no"]}
    assert body["resp"] == {"max": 1, "ttl": 5_000_000_000}
    assert (body["subs"], body["data"], body["payload"]) == (7, 1000, 1024)
    assert body["src"] == ["10.0.0.0/8"]
    assert body["bearer_token"] is True
    assert body["allowed_connection_types"] == ["MQTT", "WEBSOCKET"]
    assert body["times"] == [{"start": "08:00:00", "end": "17:00:00"}]
    assert acme("edit", "user", "bob", "--rm", "foo,both", "--rm-response-perms", "--bearer=false",
                "--rm-conn-type", "mqtt", "--rm-time", "08:00:00").code == 0  # fmt: skip
    body = claims(acme, "user", "bob")["nats"]
    assert body["pub"]["allow"] == ["orders.>"]
    assert body["sub"]["allow"] == ["q workers"]
    assert "resp" not in body
    assert "bearer_token" not in body
    assert "times" not in body
    assert body["allowed_connection_types"] == ["WEBSOCKET"]


def test_a_response_count_needs_its_sign(acme: Run) -> None:
    assert acme("add", "user", "--allow-pub-response=3", "--no-creds", "bob").code == 0
    assert claims(acme, "user", "bob")["nats"]["resp"]["max"] == 3
    assert acme("add", "user", "--allow-pub-response", "carol", "--no-creds").code == 0
    assert claims(acme, "user", "carol")["nats"]["resp"]["max"] == 1


def test_a_user_whose_key_is_elsewhere_has_no_creds(acme: Run, data_dir: Path, tmp_path: Path) -> None:
    seed = Seed.generate(Role.USER)
    assert acme("add", "user", "far", "-k", seed.public).code == 0
    assert not (data_dir / "creds" / "acme" / "ACCT" / "far.creds").exists()
    ran = acme("generate", "creds", "far")
    assert ran.code == 3
    assert "seed of user 'far' is not stored here" in ran.err
    own = tmp_path / "own.nk"
    other = Seed.generate(Role.USER)
    own.write_text(other.reveal())
    assert acme("add", "user", "near", "-k", str(own)).code == 0
    assert parse_creds((data_dir / "creds/acme/ACCT/near.creds").read_text())[1] == other


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("..x", "%2e.x.creds"),
        (".hidden", "%2ehidden.creds"),
        ("a b é", "a b é.creds"),
        ("50%:*", "50%25%3a%2a.creds"),
        ("n" * 250, None),
    ],
)
def test_no_name_leads_out_of_the_folder(acme: Run, data_dir: Path, name: str, file: str | None) -> None:
    assert acme("add", "user", name).code == 0
    made = {path.name for path in (data_dir / "creds" / "acme" / "ACCT").iterdir()} - {"first.creds"}
    assert len(made) == 1
    assert file is None or made == {file}
    assert len(made.pop().encode()) <= 255


@pytest.mark.parametrize("name", ["a/b", "..", "", " ", "a\\b", "tab\tx", "x\x1b[0m"])
def test_a_hostile_name_is_refused(acme: Run, name: str) -> None:
    ran = acme("add", "account", "-n", name)
    assert ran.code in {2, 5}
    assert "\x1b" not in ran.err
    assert len(acme("list", "accounts", "--json").json) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add", "user", "first"], 4, "account 'ACCT' has a user 'first' already"),
        (["add", "account", "ACCT"], 4, "account 'ACCT' exists already"),
        (["add", "user", "x", "--expiry", "soon"], 5, "--expiry: 'soon' is not a time"),
        (["add", "user", "x", "--data", "much"], 5, "--data: 'much' is not a size"),
        (["add", "user", "x", "--source-network", "10.0.0/8"], 4, "/nats/src"),
        (["add", "user", "x", "--allow-pub", "a b c"], 4, "/nats/pub/allow"),
        (["add", "user", "x", "--conn-type", "PIGEON"], 5, "'PIGEON' is not a connection type"),
        (["add", "user", "x", "-k", "UAAA"], 5, "public key"),
        (["add", "user", "x", "-k", "SUAXXX"], 5, "public key"),
        (["add", "user", "x", "-a", "NONE"], 3, "operator 'acme' has no account 'NONE'"),
        (["add", "user", "x", "--role", "none"], 3, "account 'ACCT' has no role 'none'"),
        (["add", "user", "x", "-K", "nope"], 4, "nope is not a key of account 'ACCT'"),
        (["add", "user", "x", "--operator", "none"], 3, "no operator 'none'"),
        (["edit", "account", "--conns", "many"], 5, "--conns: 'many' is not a size"),
        (["edit", "operator", "--service-url", "ftp://x"], 4, "service"),
        (["edit", "operator", "--system-account", "none"], 3, "has no account 'none'"),
        (["edit", "operator", "--require-signing-keys"], 4, "requiring signing keys needs at least one"),
        (["edit", "user", "none"], 3, "has no user 'none'"),
        (["edit", "signing-key", "--role", "r", "--subs", "0"], 4, "would mean unlimited"),
        (["describe", "jwt", "/nonexistent"], 3, "/nonexistent: there is no such file"),
        (["describe", "user", "first", "-F", "nats.nope"], 3, "the claims have no 'nats.nope'"),
        (["generate", "activation", "-s", "x", "-t", "SYS"], 3, "exports no stream that covers 'x'"),
        (["revocations", "delete-user", "first"], 3, "is not on the revocation list"),
        (["add", "mapping", "-f", "a..b", "-t", "c"], 4, "mappings"),
        (["add", "export", "-s", "a..b"], 4, "exports"),
        (["delete", "export", "nope", "-F"], 3, "does not export 'nope'"),
        (["add", "import", "-u", "/nonexistent"], 3, "no such file"),
        (["rename", "account", "ACCT", "SYS"], 4, "'SYS' exists already"),
        (["delete", "account", "SYS", "-F"], 4, "is the system account"),
    ],
)
def test_bad_input_is_one_error_and_changes_nothing(
    acme: Run, arguments: list[str], code: int, words: str
) -> None:
    before = acme("describe", "account", "--raw").out, acme("list", "users", "--json").out
    ran = acme(*arguments)
    assert ran.out == ""
    assert words in ran.err
    assert ran.code == code, ran.err
    assert ran.err.count("accredit: error: ") == 1
    assert (acme("describe", "account", "--raw").out, acme("list", "users", "--json").out) == before


def test_describe_shows_the_token_in_every_form(acme: Run, tmp_path: Path) -> None:
    raw = acme("describe", "account", "--raw").out.strip()
    assert decode(raw).claims.name == "ACCT"
    assert acme("describe", "account", "ACCT", "-F", "nats.limits.conn").out == "-1\n"
    assert acme("describe", "account", "ACCT", "-F", "name").out == "ACCT\n"
    path = tmp_path / "out.jwt"
    assert acme("describe", "account", "--raw", "-o", str(path)).code == 0
    assert "BEGIN NATS ACCOUNT JWT" in path.read_text()
    assert mode(path) == 0o600
    again = acme("describe", "account", "--raw", "-o", str(path))
    assert again.code == 4
    assert acme("describe", "jwt", str(path), "--json").json["name"] == "ACCT"
    assert acme("describe", "jwt", "-f", "-", "--raw", stdin=raw).out.strip() == raw
    assert "Max connections" in acme("describe", "account").out


@pytest.mark.parametrize(
    "text", ["", "not a token", "a.b.c", "eyJ0eXAiOiJKV1QifQ.e30.AA", "\x00" * 100, "{}"]
)
def test_what_is_no_token_is_malformed(acme: Run, text: str) -> None:
    ran = acme("describe", "jwt", "-", stdin=text)
    assert (ran.code, ran.out) == (5, "")


def test_a_token_that_was_tampered_with_is_malformed(acme: Run) -> None:
    raw = acme("describe", "account", "--raw").out.strip()
    head, body, signature = raw.split(".")
    ran = acme(
        "describe",
        "jwt",
        "-",
        stdin=f"{head}.{body[:-2]}{'A' if body[-2] != 'A' else 'B'}{body[-1]}.{signature}",
    )
    assert ran.code == 5


# accounts, roles, sharing


def test_limits_of_an_account(acme: Run) -> None:
    assert acme("edit", "account", "--conns", "5", "--data", "2g", "--js-enable", "0",
                "--js-disk-storage", "1gib", "--wildcard-exports=false", "--disallow-bearer",
                "--description", "what for").code == 0  # fmt: skip
    limits = claims(acme, "account")["nats"]["limits"]
    assert (limits["conn"], limits["data"], limits["disk_storage"]) == (5, 2_000_000_000, 1024**3)
    assert limits["mem_storage"] == limits["streams"] == -1
    assert "wildcards" not in limits
    assert limits["disallow_bearer"] is True
    assert acme("edit", "account", "ACCT", "--js-disable").code == 0
    assert "disk_storage" not in claims(acme, "account")["nats"]["limits"]
    assert acme("edit", "account", "--js-tier", "3", "--js-streams", "4", "--js-mem-storage", "1m").code == 0
    assert claims(acme, "account")["nats"]["limits"]["tiered_limits"]["R3"]["streams"] == 4
    assert acme("edit", "account", "--rm-js-tier", "3").code == 0
    unchanged = acme("edit", "account", "--conns", "5")
    assert "nothing changed" in unchanged.err
    assert acme("edit", "account", "--conns", "5", "--json").json["changed"] is False


def test_a_role_and_its_users(acme: Run) -> None:
    assert (
        acme(
            "edit", "signing-key", "--role", "svc", "--allow-pub", "svc.{{name()}}.>", "--description", "d"
        ).code
        == 0
    )
    assert acme("add", "user", "s1", "-K", "svc").code == 0
    assert acme("add", "user", "s2", "--role", "svc", "--allow-pub", "x").code == 4
    roles = acme("list", "roles", "--json").json
    assert [(one["role"], one["users"], one["stored"]) for one in roles] == [("svc", 1, True)]
    assert "svc.{{name()}}.>" in acme("describe", "user", "s1").out
    assert acme("edit", "user", "s1", "--allow-pub", "y").code == 4
    assert acme("delete", "signing-key", "svc").code == 4
    assert acme("delete", "signing-key", "svc", "--force").code == 0
    assert acme("list", "roles", "--json").json == []


def test_sharing_from_export_to_import(acme: Run, tmp_path: Path) -> None:
    assert acme("add", "account", "B").code == 0
    assert acme("add", "export", "-a", "ACCT", "-s", "p.>", "--private", "-n", "prices").code == 0
    assert acme("add", "export", "-a", "ACCT", "-s", "q", "-r", "--latency", "lat", "--sampling", "header",
                "--response-type", "stream", "--response-threshold", "2s").code == 0  # fmt: skip
    exports = claims(acme, "account", "ACCT")["nats"]["exports"]
    assert [(one["name"], one["type"]) for one in exports] == [("prices", "stream"), ("q", "service")]
    assert exports[1]["response_type"] == "Stream"
    assert exports[1]["service_latency"] == {"sampling": "headers", "results": "lat"}
    token = tmp_path / "act.jwt"
    assert (
        acme(
            "generate", "activation", "-a", "ACCT", "-s", "p.x", "-t", "B", "-o", str(token), "--expiry", "1d"
        ).code
        == 0
    )
    assert mode(token) == 0o600
    assert acme("add", "import", "-u", str(token), "-s", "here.x").code == 0
    assert (
        acme("add", "import", "--src-account", "ACCT", "--remote-subject", "q", "--service", "--share").code
        == 0
    )
    assert acme("validate", "-A").code == 0
    assert acme("add", "import", "--src-account", "ACCT", "--remote-subject", "nope").code == 0
    found = acme("validate", "-a", "B", "--json")
    assert found.code == 7
    assert [one["code"] for one in found.json[1]["findings"]] == ["import.no-export"]
    assert acme("delete", "import", "-a", "B", "nope", "-F").code == 0
    assert acme("revocations", "add-activation", "-a", "ACCT", "-s", "p.>", "-t", "B").code == 0
    assert acme("validate", "-a", "B").code == 7
    listed = acme("revocations", "list-activations", "-a", "ACCT", "--json").json
    assert [(one["subject"], one["name"]) for one in listed] == [("p.>", "B")]
    assert acme("revocations", "delete_activation", "-a", "ACCT", "-s", "p.>", "-t", "B").code == 0
    soon = acme("expirations", "--skip", "--within", "2d", "--json").json["report"]
    assert [(one["kind"], one["resource"], one["expires_soon"]) for one in soon] == [
        ("activation", "acme/B/import p.x", True)
    ]
    assert acme("edit", "export", "-a", "ACCT", "-s", "p.>", "--private=false").code == 0
    assert "token_req" not in claims(acme, "account", "ACCT")["nats"]["exports"][0]
    assert acme("delete", "export", "-a", "ACCT", "-s", "p.>", "-F").code == 0


def test_mappings(acme: Run) -> None:
    ran = acme("add", "mapping", "-f", "a", "-t", "b", "--weight", "30")
    assert ran.code == 0
    assert "weights stay under 100" in ran.err
    assert claims(acme, "account")["nats"]["mappings"] == {"a": [{"subject": "b", "weight": 30}]}
    assert acme("delete", "mapping", "-f", "a", "-t", "b", "-F").code == 0
    assert "mappings" not in claims(acme, "account")["nats"]


def test_auth_callout(acme: Run) -> None:
    assert (
        acme("edit", "authcallout", "--auth-user", "first", "--allowed-account", "*", "-x", "generate").code
        == 0
    )
    found = claims(acme, "account")["nats"]["authorization"]
    assert found["allowed_accounts"] == ["*"]
    assert found["xkey"].startswith("X")
    assert acme("edit", "authcallout", "--disable").code == 0
    assert not claims(acme, "account")["nats"].get("authorization", {}).get("auth_users")


def test_an_operator_is_changed(acme: Run) -> None:
    assert (
        acme(
            "edit",
            "operator",
            "-n",
            "nats://h:4222",
            "-u",
            "https://a/jwt/v1",
            "--sk",
            "generate",
            "--tag",
            "T",
        ).code
        == 0
    )
    assert acme("edit", "operator", "acme", "--require-signing-keys").code == 0
    body = claims(acme, "operator")["nats"]
    assert body["strict_signing_key_usage"] is True
    assert body["account_server_url"] == "https://a/jwt/v1"
    assert acme("edit", "operator", "--require-signing-keys=false", "--rm-account-jwt-server-url").code == 0
    assert "account_server_url" not in claims(acme, "operator")["nats"]
