"""`audit sessions` and `audit ingest enable`, as a person runs them."""

from __future__ import annotations

from tests.issuer.cli.conftest import Run, claims


def test_enabling_gives_an_account_what_servers_tell_and_nobody_else(acme: Run) -> None:
    assert acme("audit", "ingest", "enable").code == 0
    again = acme("audit", "ingest", "enable", "--json")
    assert (again.code, again.json["changed"]) == (0, False)
    system = claims(acme, "account", "-n", "SYS")["nats"]
    subjects = {each["subject"] for each in system["exports"] if each["type"] == "stream"}
    assert {
        "$SYS.ACCOUNT.*.CONNECT",
        "$SYS.ACCOUNT.*.DISCONNECT",
        "$SYS.SERVER.*.CLIENT.AUTH.ERR",
    } <= subjects
    ours = [each for each in system["exports"] if each["name"].startswith("accredit ")]
    assert [each.get("token_req") for each in ours] == [True] * 3
    audit = claims(acme, "account", "-n", "AUDIT")["nats"]
    assert sorted(each["local_subject"] for each in audit["imports"]) == [
        "accredit.servers.connected.$1", "accredit.servers.disconnected.$1", "accredit.servers.refused.$1",
    ]  # fmt: skip
    assert all(each["token"] for each in audit["imports"])


def test_before_anything_is_heard_there_is_no_session(acme: Run) -> None:
    assert acme("audit", "sessions", "--json").json == []
    assert acme("audit", "sessions", "--user", "nobody", "--open", "--since", "2020-01-01").code == 0
    assert acme("audit", "sessions", "-a", "NOWHERE").code == 3
