"""An nsc store out and in again, single tokens, and what does not fit."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from issuer.keys.nkeys import Role, Seed
from tests.issuer.cli.conftest import Run


def filled(acme: Run) -> dict[str, str]:
    """A store with a bit of everything; the raw tokens of its things."""
    acme("edit", "operator", "--sk", "generate")
    acme("edit", "signing-key", "--role", "svc", "--allow-pub", "svc.>")
    acme("add", "user", "s1", "-K", "svc")
    acme("edit", "authcallout", "--auth-user", "first", "-x", "generate")
    return tokens(acme)


def tokens(run: Run) -> dict[str, str]:
    found = {"operator": run("describe", "operator", "--raw").out}
    for account in run("list", "accounts", "--json").json:
        name = account["name"]
        found[name] = run("describe", "account", name, "--raw").out
        for user in run("list", "users", "-a", name, "--json").json:
            found[f"{name}/{user['name']}"] = run("describe", "user", "-a", name, user["name"], "--raw").out
    return found


def test_a_store_goes_out_and_comes_back_the_same(acme: Run, data_dir: Path, tmp_path: Path) -> None:
    before = filled(acme)
    target = tmp_path / "nsc"
    ran = acme("export", "nsc", str(target), "--json")
    assert ran.code == 0, ran.err
    assert ran.json["accounts"] == 2
    assert "not sealed" in ran.err
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in target.rglob("*"))
    assert acme("export", "nsc", str(target)).code == 4
    shutil.rmtree(data_dir)
    ran = acme("import", "nsc", str(target))
    assert ran.code == 0, ran.err
    assert "took in 1 operators, 2 accounts" in ran.err
    assert tokens(acme) == before
    assert acme("validate", "-A").code == 0
    assert all(row["stored"] for row in acme("list", "keys", "--json").json)
    again = acme("import", "nsc", str(target), "--json").json
    assert again["changed"] is False
    assert acme("add", "user", "s2", "-a", "ACCT", "-K", "svc").code == 0


def test_without_seeds_nothing_secret_leaves(acme: Run, data_dir: Path, tmp_path: Path) -> None:
    filled(acme)
    target = tmp_path / "nsc"
    assert acme("export", "nsc", str(target), "--without-seeds").code == 0
    assert not list(target.rglob("*.nk"))
    assert not list(target.rglob("*.creds"))
    shutil.rmtree(data_dir)
    assert acme("import", "nsc", str(target)).code == 0
    ran = acme("add", "account", "X")
    assert ran.code == 3
    assert "no key that may sign" in ran.err


def test_a_folder_without_a_store_is_not_found(run: Run, tmp_path: Path, data_dir: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "none"):
        ran = run("import", "nsc", str(tmp_path / name))
        assert ran.code == 3
        assert str(tmp_path / name) in ran.err
    assert not data_dir.exists()


def test_a_user_comes_in_with_its_creds(acme: Run, data_dir: Path, tmp_path: Path) -> None:
    acme("edit", "account", "--sk", "generate")
    acme("add", "user", "bob")
    creds = tmp_path / "bob.creds"
    shutil.copy(data_dir / "creds" / "acme" / "ACCT" / "bob.creds", creds)
    account = acme("describe", "account", "--raw").out
    operator = acme("describe", "operator", "--raw").out
    (tmp_path / "op.jwt").write_text(operator)
    (tmp_path / "acct.jwt").write_text(account)
    shutil.rmtree(data_dir)
    assert acme("add", "operator", "-u", str(tmp_path / "op.jwt")).code == 0
    ran = acme("import", "account", "-j", str(tmp_path / "acct.jwt"))
    assert ran.code == 0, ran.err
    assert acme("import", "user", "-f", str(creds)).code == 0
    assert acme("describe", "account", "--raw").out == account
    assert acme("generate", "creds", "bob").out == creds.read_text()
    assert "nothing changed" in acme("import", "user", str(creds)).err


def test_a_token_nobody_here_signed_is_refused(acme: Run, tmp_path: Path, data_dir: Path) -> None:
    account = acme("describe", "account", "--raw").out
    creds = (data_dir / "creds" / "acme" / "ACCT" / "first.creds").read_text()
    shutil.rmtree(data_dir)
    assert acme("init", "other").code == 0
    ran = acme("import", "account", "-j", "-", stdin=account)
    assert ran.code == 4
    assert "not by operator 'other'" in ran.err
    assert acme("import", "user", "-", stdin=creds).code == 3
    assert acme("import", "account", "-j", "-", "--force", stdin=account).code == 0
    assert acme("import", "user", "-", stdin=creds).code == 0
    assert acme("validate", "-A").code == 0
    assert acme("import", "user", "-", stdin=Seed.generate(Role.USER).reveal()).code == 5
