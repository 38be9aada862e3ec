"""Transcripts of what comes after issuing: revoking, deleting, keys, checks, servers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from issuer.keys.nkeys import Role, Seed
from tests.issuer.cli.conftest import Run, claims, mode

# revoking, deleting


def test_revoking_in_short_and_in_long(acme: Run) -> None:
    assert acme("revoke", "first").code == 0
    listed = acme("revocations", "list-users", "--json").json
    assert [one["name"] for one in listed] == ["first"]
    assert acme("revoke", "first").code == 0
    assert acme("revoke", "-u", "*").code == 4
    assert acme("revoke", "-u", "*", "-F").code == 0
    assert [one["public_key"] for one in acme("revocations", "list-users", "--json").json] == ["*"]
    gone = Seed.generate(Role.USER).public
    assert acme("revocations", "add-user", "-u", gone, "--at", "2030-01-01").code == 0
    assert acme("revocations", "compact").code == 0
    assert {one["public_key"] for one in acme("revocations", "list-users", "--json").json} == {"*", gone}
    assert acme("revocations", "delete-user", "-u", "*").code == 0
    assert acme("validate", "-A").code == 0


def test_deleting_users_asks_and_revokes(acme: Run, data_dir: Path) -> None:
    acme("add", "user", "bob")
    path = data_dir / "creds" / "acme" / "ACCT" / "bob.creds"
    ran = acme("delete", "user", "bob", "first")
    assert ran.code == 4
    assert path.exists()
    deleted = acme("delete", "user", "bob", "-n", "first", "--yes", "--json")
    assert [one["name"] for one in deleted.json] == ["first", "bob"]
    assert not path.exists()
    assert acme("list", "users", "--json").json == []
    assert len(acme("revocations", "list-users", "--json").json) == 2


def test_deleting_an_account_takes_its_creds_along(acme: Run, data_dir: Path) -> None:
    assert acme("delete", "account", "-n", "ACCT", "--force").code == 0
    assert [one["name"] for one in acme("list", "accounts", "--json").json] == ["SYS"]
    assert not (data_dir / "creds" / "acme" / "ACCT").exists()
    ran = acme("add", "user", "x")
    assert ran.code == 3
    assert "has no account yet" in ran.err


def test_a_renamed_account_stays_selected(acme: Run) -> None:
    assert acme("rename", "account", "ACCT", "TEAM").code == 0
    assert acme("describe", "account", "--json").json["name"] == "TEAM"


# many users


def test_users_from_a_list(acme: Run, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text("u1\n\n# a comment\nu2\n u3 \n")
    folder = tmp_path / "creds"
    ran = acme(
        "add", "user", "--from-file", str(names), "--creds-dir", str(folder), "--expiry", "1d", "--json"
    )
    assert [one["name"] for one in ran.json] == ["u1", "u2", "u3"]
    assert sorted(path.name for path in folder.iterdir()) == ["u1.creds", "u2.creds", "u3.creds"]
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    again = acme("add", "user", "--from-file", "-", stdin="u4\nu1\n")
    assert again.code == 4
    assert len(acme("list", "users", "--json").json) == 4
    assert acme("list", "users", "--json", "--after", "u1", "--limit", "1").json[0]["name"] == "u2"
    assert acme("add", "user", "--from-file", "-", "--allow-pub", "x", stdin="u9").code == 2


# what is selected, and settings


def test_the_newest_account_is_selected_until_told_otherwise(acme: Run) -> None:
    acme("add", "account", "B")
    assert acme("describe", "account", "--json").json["name"] == "B"
    assert acme("select", "account", "ACCT").code == 0
    assert acme("describe", "account", "--json").json["name"] == "ACCT"
    assert acme("select", "account", "none").code == 3
    assert acme("add", "operator", "second", "-s").code == 0
    assert [one["name"] for one in acme("list", "accounts", "--json").json] == ["SYS"]
    assert acme("select", "operator", "acme").code == 0
    shown = {row["name"]: row for row in acme("env", "--json").json}
    assert shown["operator"] == {"name": "operator", "value": "acme", "source": "select"}
    assert shown["data_dir"]["source"] == "ACCREDIT_DATA_DIR"
    assert shown["actor"] == {"name": "actor", "value": "ada", "source": "ACCREDIT_ACTOR"}


def test_a_broken_configuration_is_one_error(acme: Run, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("colour = 1\n")
    ran = acme("list", "accounts", "--config", str(path))
    assert ran.code == 5
    assert f"{path}: colour: colour is not a setting" in ran.err


# keys


def test_keys_are_listed_given_out_and_taken_back(acme: Run, tmp_path: Path, run: Run) -> None:
    acme("edit", "account", "--sk", "generate")
    rows = acme("list", "keys", "--json").json
    assert all(row["stored"] and row["referenced"] for row in rows)
    assert {row["expected_kind"] for row in rows} == {"operator", "account", "user", "server"}
    assert [row["name"][:13] for row in rows if row["purpose"] == "log"] == ["log accredit-"]
    assert [row["expected_kind"] for row in acme("keys", "list", "-o", "--json").json] == ["operator"]
    assert not any("seed" in row for row in rows)
    signing = next(row for row in rows if row["signing"])
    assert (signing["name"], signing["purpose"]) == ("ACCT", "signing")
    folder = tmp_path / "keys"
    assert acme("export", "keys", "-a", "-d", str(folder)).code == 0
    files = sorted(folder.iterdir())
    assert {mode(path) for path in files} == {0o600}
    assert {path.stem for path in files} == {row["pub"] for row in rows if row["expected_kind"] == "account"}
    assert acme("export", "keys", "-a", "-d", str(folder)).code == 4
    taken = acme("import", "keys", "-d", str(folder), "--json").json
    assert {one["known"] for one in taken} == {True}
    new = Seed.generate(Role.ACCOUNT)
    (folder / "new.nk").write_text(new.reveal())
    (folder / "junk.nk").write_text("junk")
    ran = acme("import", "keys", "-d", str(folder))
    assert f"took account key {new.public}" in ran.err
    assert acme("list", "keys", "--not-referenced", "--json").json[0]["pub"] == new.public
    assert acme("import", "keys", str(folder / "junk.nk")).code == 5
    shown = acme("list", "keys", "-o", "-S", "--json").json
    assert Seed.parse(shown[0]["seed"]).public == shown[0]["pub"]
    codes = [event["code"] for event in acme("audit", "list", "--json").json]
    assert codes[0] == "key.revealed"
    assert codes.count("key.exported") == len(files)
    assert "key.added" in codes


def test_new_key_pairs(run: Run) -> None:
    ran = run("generate", "nkey", "-a", "-u", "-x", "-o", "--json")
    assert [one["kind"] for one in ran.json] == ["operator", "account", "user", "curve"]
    assert all(Seed.parse(one["seed"]).public == one["public_key"] for one in ran.json)
    seed, public = run("generate", "nkey", "--user").out.split()
    assert Seed.parse(seed).public == public


def test_a_seed_on_the_command_line_works_with_a_warning(acme: Run) -> None:
    acme("edit", "account", "--sk", "generate")
    key = next(row for row in acme("list", "keys", "-S", "--json").json if row["signing"])
    ran = acme("add", "user", "x", "-K", key["seed"], "--no-creds")
    assert ran.code == 0
    assert "warning: a seed on the command line" in ran.err
    assert key["seed"] not in ran.err
    assert claims(acme, "user", "x")["iss"] == key["pub"]
    ran = acme("add", "user", "y", "-K", Seed.generate(Role.ACCOUNT).reveal())
    assert ran.code == 3


# checks


def test_validate_reads_files(acme: Run, tmp_path: Path) -> None:
    raw = acme("describe", "account", "--raw").out.strip()
    public = claims(acme, "account")["sub"]
    path = tmp_path / "pack"
    path.write_text(f"{public}|{raw}\n{raw}\n")
    assert acme("validate", "-f", str(path)).code == 0
    path.write_text(f"{Seed.generate(Role.ACCOUNT).public}|{raw}\nnonsense\n")
    ran = acme("validate", "-f", str(path), "--json")
    assert ran.code == 7
    assert [one["findings"][0]["code"] for one in ran.json] == ["pack.key", "token.malformed"]


def test_expirations_have_the_shape_of_nsc(acme: Run) -> None:
    acme("add", "user", "soon", "--expiry", "1h")
    acme("add", "user", "late", "--expiry", "2y")
    found = acme("expirations", "--json").json
    assert set(found) == {"expiration_threshold", "report"}
    assert found["report"][0] | {"when": "", "expiry": 0, "expiration_date": "", "id": ""} == {
        "kind": "user", "resource": "acme/ACCT/soon", "id": "", "when": "", "expiry": 0,
        "expiration_date": "",
        "expires_soon": True, "expired": False,
    }  # fmt: skip
    assert [one["resource"] for one in acme("expirations", "--skip", "--json").json["report"]] == [
        "acme/ACCT/soon"
    ]
    assert acme("expirations", "--within", "nonsense").code == 5


def test_the_audit_log_tells_who_did_what_and_why(acme: Run) -> None:
    acme("add", "user", "bob", "--reason", "ticket 7", "--no-creds")
    newest = acme("audit", "list", "--limit", "1", "--json").json[0]
    assert (newest["code"], newest["actor"], newest["reason"]) == ("user.issued", "cli:ada", "ticket 7")
    assert acme("audit", "verify", "--json").json["sound"] is True
    assert "user.issued" in acme("audit", "list", "--code", "user.issued").out
    first = acme("audit", "list", "--after", "0", "--json").json
    assert [event["seq"] for event in first] == list(range(1, len(first) + 1))


def test_doctor_finds_an_open_key_file(acme: Run, data_dir: Path) -> None:
    assert acme("doctor").code == 0
    (data_dir / "master.key").chmod(0o644)
    ran = acme("doctor", "--json")
    assert ran.code == 7
    assert {one["what"] for one in ran.json if one["good"] is False} == {"master key", "store"}
    assert acme("add", "account", "X").code == 4


def test_a_missing_or_wrong_master_key_is_said(
    acme: Run, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCREDIT_MASTER_KEY", "A" * 43 + "=")
    assert acme("add", "account", "X").code == 4
    monkeypatch.delenv("ACCREDIT_MASTER_KEY")
    (data_dir / "master.key").unlink()
    ran = acme("add", "account", "X")
    assert ran.code == 3
    assert "master key" in ran.err
    assert acme("list", "accounts").code == 0


def test_migrate_leaves_a_current_store_alone(acme: Run) -> None:
    assert acme("migrate").code == 0
    assert len(acme("list", "accounts", "--json").json) == 2


# servers


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--nats-resolver"], "type: full"),
        (["--nats-resolver-cache"], "type: cache"),
        (["--mem-resolver"], "resolver: MEMORY"),
        (["--url-resolver", "http://x/jwt/v1/accounts/"], 'resolver: "URL('),
    ],
)
def test_a_server_configuration(acme: Run, tmp_path: Path, flags: list[str], words: str) -> None:
    text = acme("generate", "config", *flags).out
    assert words in text
    assert claims(acme, "operator")["nats"]["system_account"] in text
    path = tmp_path / "server.conf"
    assert acme("generate", "config", *flags, "--config-file", str(path)).code == 0
    assert path.read_text() == text
    assert acme("generate", "config", *flags, "-o", str(path)).code == 4
    assert acme("generate", "config", *flags, "-o", str(path), "-F").code == 0


def test_push_says_where_it_cannot_go(acme: Run) -> None:
    ran = acme("push")
    assert ran.code == 3
    assert "where are the servers" in ran.err
    ran = acme("push", "-u", "nats://127.0.0.1:1", "--json")
    assert ran.code == 6
    assert ran.error["exit_code"] == 6
    assert acme("push", "-u", "http://x").code == 5


def test_no_seed_is_ever_in_words_or_listings(acme: Run, data_dir: Path) -> None:
    master = (data_dir / "master.key").read_text().strip()
    said = ""
    for arguments in (
        ["add", "user", "bob"], ["describe", "user", "bob"], ["describe", "account"],
        ["list", "keys", "--json"],
        ["edit", "account", "--sk", "generate"], ["env"], ["doctor"], ["audit", "list", "--json"], ["push"],
        ["generate", "creds", "bob", "-o", str(data_dir / "x.creds")], ["revoke", "bob"],
    ):  # fmt: skip
        ran = acme(*arguments)
        said += ran.out + ran.err
    assert master not in said
    assert not re.search(r"\bS[OAUX][A-Z2-7]{56}\b", said)


def test_json_documents_are_stable(acme: Run) -> None:
    keys = {
        ("list", "operators"): {"name", "public_key", "accounts", "issued_at", "expires_at"},
        ("list", "accounts"): {"name", "public_key", "users", "system", "issued_at", "expires_at"},
        ("list", "users"): {"name", "public_key", "role", "issued_at", "expires_at"},
        ("audit", "list", "--limit", "1"): None,
    }
    for arguments, wanted in keys.items():
        found = acme(*arguments, "--json").json
        assert isinstance(found, list)
        assert wanted is None or set(found[0]) == wanted
    made = acme("add", "account", "Z", "--json").json
    assert set(made) == {"action", "kind", "name", "public_key", "changed", "notes", "findings"}
    assert json.dumps(made)
