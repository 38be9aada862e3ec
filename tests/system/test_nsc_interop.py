"""Stores of the real nsc taken in, and ours worked on by the real nsc."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from issuer.interop.nsc import FoundAccount, FoundOperator, FoundUser, Inventory, read_store
from issuer.interop.nsc_place import default_locations
from issuer.keys.nkeys import Role, Seed
from tests.components import path_of, require
from tests.system.nsc_tool import Nsc

pytestmark = pytest.mark.component("nsc")


class Accredit:
    """The command in a process of its own, on a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        home = self.folder.parent
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(home),
            "ACCREDIT_DATA_DIR": str(self.folder),
        }
        return subprocess.run(
            [sys.executable, "-m", "issuer.cli.main", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def __call__(self, *arguments: str | Path) -> str:
        ran = self.run(*arguments)
        assert ran.returncode == 0, f"accredit {arguments}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What nsc made, to be copied."""
    require("nsc")
    home = tmp_path_factory.mktemp("made") / "nsc"
    grid(Nsc(home))
    return home


@pytest.fixture
def nsc(made: Path, tmp_path: Path) -> Nsc:
    shutil.copytree(made, tmp_path / "nsc")
    return Nsc(tmp_path / "nsc")


@pytest.fixture
def accredit(tmp_path: Path) -> Accredit:
    return Accredit(tmp_path / "accredit" / "data")


def grid(nsc: Nsc) -> None:
    """An operator with a bit of everything nsc can make."""
    nsc("add", "operator", "GRID", "--sys", "--generate-signing-key")
    nsc("edit", "operator", "--service-url", "nats://localhost:4222", "--tag", "prod")
    for name in ("METERS", "BILLING", "Große Halle"):
        nsc("add", "account", name)
    nsc("edit", "account", "METERS", "--conns", "100", "--js-enable", "1", "--description", "all meters",
        "--tag", "site:north", "--sk", "generate", "--deny-pub", "secret.>")  # fmt: skip
    nsc("edit", "signing-key", "-a", "METERS", "--sk", "generate", "--role", "reader",
        "--allow-pub", "m.{{name()}}.>", "--allow-sub", "_INBOX.>", "--bearer")  # fmt: skip
    nsc("add", "user", "-a", "METERS", "plain", "--allow-pub", "a.>", "--source-network", "10.0.0.0/8")
    nsc("add", "user", "-a", "METERS", "scoped", "-K", "reader")
    nsc("add", "user", "-a", "METERS", "brief", "--expiry", "1d")
    nsc("add", "user", "-a", "METERS", "elsewhere", "-k", Seed.generate(Role.USER).public)
    nsc("add", "user", "-a", "BILLING", "plain")
    nsc("add", "user", "-a", "Große Halle", "Jürgen B.")
    nsc("add", "user", "-a", "METERS", "gone")
    nsc("revocations", "add-user", "-a", "METERS", "-n", "gone")
    nsc("add", "mapping", "-a", "METERS", "--from", "in.*", "--to", "out.$1", "--weight", "40")
    nsc("add", "export", "-a", "METERS", "--subject", "readings.>", "--private", "--name", "readings")
    nsc(
        "add",
        "export",
        "-a",
        "METERS",
        "--subject",
        "ask",
        "--service",
        "--latency",
        "lat",
        "--sampling",
        "50",
    )
    billing = describe(nsc, "account", "BILLING")["sub"]
    leave = nsc.home / "leave.jwt"
    nsc("generate", "activation", "-a", "METERS", "--subject", "readings.>", "--target-account", billing,
        "-o", leave)  # fmt: skip
    nsc("add", "import", "-a", "BILLING", "--token", leave, "--local-subject", "m.readings.>")
    auth = describe(nsc, "user", "plain", "-a", "BILLING")["sub"]
    nsc("edit", "authcallout", "-a", "BILLING", "--auth-user", auth, "--curve", "generate",
        "--allowed-account", "*")  # fmt: skip


def describe(nsc: Nsc, kind: str, name: str, *more: str) -> Any:
    return json.loads(nsc.run("describe", kind, name, "--json", *more).stdout)


def tokens(root: Path) -> dict[str, str]:
    """Every token of a stores folder by its path in it."""
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*.jwt"))}


def test_what_nsc_made_is_all_here(nsc: Nsc, accredit: Accredit) -> None:
    before = {path: path.read_bytes() for path in nsc.home.rglob("*") if path.is_file()}
    report = accredit.json("import", "nsc", nsc.home)
    assert report["left_out"] == []
    assert report["unused_keys"] == []
    assert {path: path.read_bytes() for path in nsc.home.rglob("*") if path.is_file()} == before

    # Every token and creds file is compared in `test_out_again_it_is_the_same_store`.
    texts = tokens(nsc.stores)
    hall = "GRID/accounts/Große Halle"
    assert accredit("describe", "operator", "GRID", "--raw").strip() == texts["GRID/GRID.jwt"]
    assert accredit("describe", "account", "Große Halle", "--raw").strip() == texts[f"{hall}/Große Halle.jwt"]
    user = accredit("describe", "user", "-a", "Große Halle", "Jürgen B.", "--raw").strip()
    assert user == texts[f"{hall}/users/Jürgen B..jwt"]
    creds = accredit("generate", "creds", "-a", "METERS", "-n", "scoped")
    assert creds == (nsc.keys / "creds/GRID/METERS/scoped.creds").read_text()
    ran = accredit.run("generate", "creds", "-a", "METERS", "-n", "elsewhere")
    assert ran.returncode == 3
    assert "not stored here" in ran.stderr
    roles = {row["name"]: row["role"] for row in accredit.json("list", "users", "-a", "METERS")}
    assert roles["scoped"] == "reader"
    assert not roles["plain"]
    rows = [row for row in accredit.json("list", "keys") if row["purpose"] != "log"]
    stored = {row["pub"] for row in rows if row["stored"]}
    assert stored == {path.stem for path in nsc.keys.rglob("*.nk")}
    assert not accredit.json("import", "nsc", nsc.home)["changed"]


def test_reading_alone_finds_every_token_and_seed(nsc: Nsc) -> None:
    inventory = read_store(nsc.stores, nsc.keys)
    (operator,) = inventory.operators
    assert inventory == Inventory((operator,))
    assert not operator.managed
    users = [user for account in operator.accounts for user in account.users]
    found: list[FoundOperator | FoundAccount | FoundUser] = [operator, *operator.accounts, *users]
    assert {one.path: one.token for one in found} == {
        str(nsc.stores / path): text for path, text in tokens(nsc.stores).items()
    }
    seeds = [one.seed for one in found]
    seeds += [*operator.signing, *(seed for account in operator.accounts for seed in account.signing)]
    seeds += [account.curve for account in operator.accounts]
    assert {seed.public: seed.reveal() for seed in seeds if seed is not None} == {
        path.stem: path.read_text() for path in nsc.keys.rglob("*.nk")
    }
    assert {path for user in users for path in user.creds} == {
        str(path) for path in nsc.keys.rglob("*.creds")
    }


def test_creds_of_a_deleted_user_are_told(nsc: Nsc) -> None:
    nsc("delete", "user", "-a", "METERS", "plain")
    inventory = read_store(nsc.stores, nsc.keys)
    assert inventory.stray_creds == (str(nsc.keys / "creds/GRID/METERS/plain.creds"),)
    assert len(inventory.unused) == 1


def test_creds_that_nsc_did_not_write_again_are_told(nsc: Nsc) -> None:
    creds = nsc.keys / "creds/GRID/METERS/plain.creds"
    before = creds.read_text()
    time.sleep(1.1)  # tokens tell whole seconds apart
    nsc("edit", "user", "-a", "METERS", "plain", "--tag", "later")
    assert read_store(nsc.stores, nsc.keys).odd_creds == ()
    creds.write_text(before)
    (odd,) = read_store(nsc.stores, nsc.keys).odd_creds
    assert (odd.user, odd.standing) == ("plain", "older")


def test_an_operator_whose_key_is_elsewhere_is_told_apart(nsc: Nsc, tmp_path: Path) -> None:
    managed = Nsc(tmp_path / "managed")
    managed("add", "operator", "-u", nsc.stores / "GRID" / "GRID.jwt")
    managed("add", "account", "SELF")
    (operator,) = read_store(managed.stores, managed.keys).operators
    assert (operator.managed, operator.seed, operator.signing) == (True, None, ())
    (account,) = operator.accounts
    assert account.claims.iss == account.public


@pytest.mark.parametrize(
    ("environment", "there"),
    [
        ({}, []),
        ({"XDG_DATA_HOME": "HOME/data"}, []),
        ({"NKEYS_PATH": "~/my-keys", "NSC_HOME": "HOME/config"}, []),
        ({"XDG_CONFIG_HOME": "HOME/config"}, ["config/nats/nsc/nsc.json"]),
        ({}, [".nsc/nsc.json"]),
        ({}, [".nsc/nsc.json", ".config/nats/nsc/nsc.json"]),
        ({}, [".nsc/nats/", ".nkeys/"]),
        ({}, [".nsc/nats/", ".local/share/nats/nsc/stores/"]),
        ({"XDG_DATA_HOME": "HOME/data"}, [".nsc/nats/", ".nkeys/"]),
    ],
    ids=str,
)
def test_nsc_writes_where_we_would_look(
    tmp_path: Path, environment: dict[str, str], there: list[str]
) -> None:
    environment = {name: text.replace("HOME", str(tmp_path)) for name, text in environment.items()}
    for number, name in enumerate(there):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.write_text(json.dumps({"store_root": str(tmp_path / f"told-{number}")}))
    cwd = tmp_path / "away"
    cwd.mkdir()
    before = default_locations(environment, tmp_path)
    ran = subprocess.run(
        [path_of("nsc"), "add", "operator", "GRID"],
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(tmp_path), **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert before == default_locations(environment, tmp_path)
    (operator,) = read_store(before.stores, before.keys).operators
    assert operator.seed is not None


def test_it_can_be_worked_with(nsc: Nsc, accredit: Accredit) -> None:
    """What was taken in is a hierarchy like any other: every key signs what it may."""
    accredit("import", "nsc", nsc.stores / "GRID")
    accredit("edit", "account", "METERS", "--conns", "200")
    accredit("add", "user", "second", "-a", "METERS", "-K", "reader")
    accredit("revoke", "plain", "-a", "METERS")
    accredit("validate", "-A")
    assert accredit("audit", "verify") is not None


def test_what_nsc_changes_afterwards_comes_in(nsc: Nsc, accredit: Accredit) -> None:
    accredit("import", "nsc", nsc.home)
    nsc("edit", "account", "METERS", "--conns", "7")
    nsc("add", "user", "-a", "METERS", "late")
    report = accredit.json("import", "nsc", nsc.home)
    changed = {(one["kind"], one["name"], one["state"]) for one in report["taken"] if one["state"] != "same"}
    assert changed == {("account", "METERS", "updated"), ("user", "late", "new")}
    assert report["keys"] == 1
    assert accredit.json("describe", "account", "METERS")["nats"]["limits"]["conn"] == 7


def test_out_again_it_is_the_same_store(nsc: Nsc, accredit: Accredit, tmp_path: Path) -> None:
    accredit("import", "nsc", nsc.home)
    back = tmp_path / "back"
    accredit("export", "nsc", back)
    kinds = ("*.jwt", "*.nk", "*.creds", ".nsc")
    for folder in ("stores", "keys"):
        mine, theirs = (
            {
                str(path.relative_to(home / folder)): path.read_bytes()
                for kind in kinds
                for path in (home / folder).rglob(kind)
            }
            for home in (back, nsc.home)
        )
        assert mine == theirs


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hierarchy of our making, to be copied."""
    folder = tmp_path_factory.mktemp("founded") / "data"
    accredit = Accredit(folder)
    accredit("init", "acme", "--account", "ACCT", "--user", "first")
    accredit("edit", "operator", "--sk", "generate")
    accredit("add", "account", "OTHER")
    accredit("edit", "signing-key", "-a", "ACCT", "--role", "svc", "--allow-pub", "svc.{{name()}}.>")
    accredit("add", "user", "worker", "-a", "ACCT", "-K", "svc")
    accredit("add", "export", "-a", "ACCT", "--subject", "pub.>", "--name", "pub")
    accredit("edit", "authcallout", "-a", "OTHER", "--auth-user", Seed.generate(Role.USER).public,
             "-x", "generate")  # fmt: skip
    return folder


@pytest.fixture
def ours(founded: Path, accredit: Accredit, tmp_path: Path) -> Nsc:
    """Our store, handed to nsc."""
    shutil.copytree(founded, accredit.folder)
    target = tmp_path / "exported"
    accredit("export", "nsc", target)
    return Nsc(target)


def test_nsc_reads_what_we_write(ours: Nsc, accredit: Accredit) -> None:
    listed = ours("list", "accounts")
    assert all(name in listed for name in ("ACCT", "OTHER", "SYS"))
    assert "worker" in ours("list", "users", "-a", "ACCT")
    ours("validate", "-A")
    keys = ours("list", "keys", "--all")
    for row in accredit.json("list", "keys"):
        if row["purpose"] == "log":
            continue  # ours alone
        (line,) = [line for line in keys.splitlines() if row["pub"] in line]
        assert row["stored"] == ("*" in line), line
    theirs = describe(ours, "account", "ACCT")
    assert theirs == accredit.json("describe", "account", "ACCT")
    assert describe(ours, "user", "worker", "-a", "ACCT")["nats"]["issuer_account"] == theirs["sub"]
    mode = {path.stat().st_mode & 0o777 for path in ours.home.rglob("*") if path.name != "nsc.json"}
    assert mode == {0o600, 0o700}


def test_nsc_works_on_it_and_we_see_what_it_did(ours: Nsc, accredit: Accredit) -> None:
    ours("edit", "account", "ACCT", "--description", "by nsc")
    ours("edit", "operator", "--tag", "by-nsc")
    ours("add", "user", "-a", "ACCT", "theirs", "-K", "svc")
    ours("add", "account", "NEW")
    ours("revocations", "add-user", "-a", "ACCT", "-n", "first")
    creds = ours.home / "theirs.creds"
    ours("generate", "creds", "-a", "ACCT", "-n", "theirs", "-o", creds)
    ours("validate", "-A")

    report = accredit.json("import", "nsc", ours.home, "--overwrite")
    assert report["left_out"] == []
    told = {(one["kind"], one["name"]): one["state"] for one in report["taken"]}
    assert told["operator", "acme"] == "updated"
    assert told["account", "ACCT"] == "updated"
    assert told["account", "OTHER"] == "same"
    assert told["account", "NEW"] == told["user", "theirs"] == "new"
    claims = accredit.json("describe", "account", "ACCT")
    assert claims["nats"]["description"] == "by nsc"
    assert len(claims["nats"]["revocations"]) == 1
    assert accredit("generate", "creds", "-a", "ACCT", "-n", "theirs") == creds.read_text()
    accredit("validate", "-A")


def test_without_seeds_nsc_shows_and_cannot_sign(ours: Nsc, accredit: Accredit, tmp_path: Path) -> None:
    bare = Nsc(tmp_path / "bare")
    accredit("export", "nsc", bare.home, "--without-seeds")
    assert not [*bare.home.rglob("*.nk"), *bare.home.rglob("*.creds")]
    assert "ACCT" in bare("list", "accounts")
    assert bare.run("edit", "account", "ACCT", "--description", "x").returncode != 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0\xff" * 100),
        lambda path: path.write_text(path.read_text()[:-5]),
        lambda path: (path.unlink(), path.symlink_to("/etc/hostname")),
    ],
    ids=["empty", "binary", "cut short", "link"],
)
def test_one_bad_file_does_not_hide_the_rest(
    nsc: Nsc, accredit: Accredit, damage: Callable[[Path], Any]
) -> None:
    broken = nsc.stores / "GRID/accounts/METERS/users/scoped.jwt"
    damage(broken)
    report = accredit.json("import", "nsc", nsc.home)
    assert [one["path"] for one in report["left_out"]] == [str(broken)]
    assert "scoped" not in {one["name"] for one in report["taken"]}


def test_a_user_whose_key_was_removed_is_told_apart(nsc: Nsc, accredit: Accredit) -> None:
    key = next(
        entry["key"] for entry in describe(nsc, "account", "METERS")["nats"]["signing_keys"]
        if isinstance(entry, dict)
    )  # fmt: skip
    nsc("edit", "account", "METERS", "--rm-sk", key)
    report = accredit.json("import", "nsc", nsc.home)
    (left,) = report["left_out"]
    assert left["path"].endswith("METERS/users/scoped.jwt")
    assert key in left["reason"]
