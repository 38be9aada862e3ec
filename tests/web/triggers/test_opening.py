"""The `triggers` member: what is asked for is there, and what could not be meant is refused with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callout.directories.opening import read_directories
from issuer.errors import AccreditError
from tests.web.triggers.office import OKTA, Caller, Office
from web.triggers.opening import Triggers, open_triggers

DIRECTORIES = [
    {"name": "okta", "kind": "oidc", "issuer": OKTA, "audiences": ["nats"]},
    {
        "name": "corp", "kind": "ldap", "realm": "CORP", "servers": ["ldaps://ldap.example.test"],
        "service": {"name": "cn=x", "password": "env:LDAP"}, "user_base": "dc=example",
    },
    {"name": "keys", "kind": "keys", "entries": []},
]  # fmt: skip


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONG", "a-secret-of-some-length")
    monkeypatch.setenv("SHORT", "secret")
    monkeypatch.setenv("LDAP", "x")


def opened(office: Office, document: Any) -> Triggers:
    return open_triggers(
        document,
        read_directories(DIRECTORIES),
        authority=office.authority,
        operator=office.operator,
        rules=office,
        cutter=office,
        now=lambda: office.now,
    )


OKTA_HOOK = {"name": "corp", "directory": "okta", "secret": "env:LONG"}
SCIM = {"name": "entra", "directory": "okta", "token": "env:LONG"}


def test_without_the_member_there_is_nothing(office: Office) -> None:
    assert opened(office, None) == Triggers()


def test_everything_at_once(office: Office) -> None:
    found = opened(
        office,
        {
            "okta": [OKTA_HOOK | {"applications": ["0oa1"], "after_groups": "reconnect"}],
            "scim": [SCIM | {"subject": "userName"}],
            "ldap": [{"directory": "corp", "every": 2, "look_again": 60, "keep": ["identity.locked"]}],
            "reevaluate_on_policy_change": True,
        },
    )
    assert (len(found.parts), len(found.routes)) == (3, 2)
    call = Caller(*found.routes)
    for path in ("/api/v1/hooks/okta/corp", "/scim/v2/entra/Users"):
        assert call("GET", path).status_code == 401


@pytest.mark.parametrize(
    ("document", "at"),
    [
        ({"oktta": []}, "/triggers/oktta"),
        ({"okta": [OKTA_HOOK | {"secret": "a-secret-of-some-length"}]}, "/triggers/okta/0/secret"),
        ({"okta": [OKTA_HOOK | {"secret": "env:SHORT"}]}, "/triggers/okta/0/secret"),
        ({"okta": [OKTA_HOOK | {"name": "a b"}]}, "/triggers/okta/0/name"),
        ({"okta": [OKTA_HOOK | {"directory": "other"}]}, "/triggers/okta/0/directory"),
        ({"okta": [OKTA_HOOK | {"directory": "corp"}]}, "/triggers/okta/0/directory"),
        ({"okta": [OKTA_HOOK | {"header": "a: b"}]}, "/triggers/okta/0/header"),
        ({"okta": [OKTA_HOOK | {"subjects": []}]}, "/triggers/okta/0/subjects"),
        ({"okta": [OKTA_HOOK, OKTA_HOOK]}, "/triggers/okta"),
        ({"scim": [SCIM | {"directory": "keys"}]}, "/triggers/scim/0/directory"),
        ({"scim": [SCIM | {"token": "env:SHORT"}]}, "/triggers/scim/0/token"),
        ({"scim": [SCIM | {"subject": "email"}]}, "/triggers/scim/0/subject"),
        ({"ldap": [{"directory": "okta"}]}, "/triggers/ldap/0/directory"),
        ({"ldap": [{"directory": "corp", "every": 0}]}, "/triggers/ldap/0/every"),
        ({"ldap": [{"directory": "corp", "keep": ["policy.none"]}]}, "/triggers/ldap/0/keep"),
    ],
)
def test_what_could_not_be_meant_is_refused_with_its_place(office: Office, document: Any, at: str) -> None:
    with pytest.raises(AccreditError) as refused:
        opened(office, document)
    assert refused.value.at == at
    assert "a-secret" not in str(refused.value)


def test_a_secret_is_read_from_its_file(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("a-secret-of-some-length\n")
    path.chmod(0o600)
    assert len(opened(office, {"okta": [OKTA_HOOK | {"secret": f"file:{path}"}]}).routes) == 1
