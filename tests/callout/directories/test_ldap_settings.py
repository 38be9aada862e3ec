"""Nothing unsafe can be set by oversight, and no secret shows."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import pytest

from callout.directories.ldap.settings import LdapSettings, LdapSettingsError, Server, ServiceAccount
from callout.directories.secrets import Secret

GOOD: dict[str, Any] = {
    "name": "corp",
    "realm": "CORP",
    "servers": ("ldaps://ldap.example.test",),
    "service": ServiceAccount("cn=svc,dc=example,dc=test", Secret("hunter2")),
    "user_base": "ou=people,dc=example,dc=test",
}


def settings(**changes: Any) -> LdapSettings:
    return LdapSettings(**{**GOOD, **changes})


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("ldaps://a.test", Server("a.test", 636, tls=True, starttls=False)),
        ("ldaps://a.test:1636", Server("a.test", 1636, tls=True, starttls=False)),
        ("ldap://a.test", Server("a.test", 389, tls=False, starttls=True)),
        ("ldap://[::1]:3389/", Server("::1", 3389, tls=False, starttls=True)),
    ],
)
def test_every_address_means_tls_in_one_way_or_the_other(url: str, server: Server) -> None:
    assert settings(servers=(url,)).addresses == (server,)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "127.9.9.9"])
def test_plain_text_is_for_this_machine_and_only_when_asked_for(host: str) -> None:
    url = f"ldap://{host}:389"
    assert settings(servers=(url,)).addresses[0].starttls
    assert not settings(servers=(url,), plain_on_loopback=True).addresses[0].starttls


@pytest.mark.parametrize(
    "host", ["ldap.example.test", "10.0.0.1", "128.0.0.1", "localhost.example.test", "[fe80::1]"]
)
def test_plain_text_to_another_machine_is_refused(host: str) -> None:
    with pytest.raises(LdapSettingsError, match="in the clear") as refused:
        settings(servers=(f"ldap://{host}",), plain_on_loopback=True)
    assert refused.value.at == "plain_on_loopback"


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"name": "a b"}, "name"),
        ({"realm": ""}, "realm"),
        ({"realm": "A\\B"}, "realm"),
        ({"servers": ()}, "servers"),
        ({"servers": ("http://a.test",)}, "servers"),
        ({"servers": ("a.test",)}, "servers"),
        ({"servers": ("ldaps://a.test:99999",)}, "servers"),
        ({"servers": ("ldaps://cn=admin:pw@a.test",)}, "servers"),
        ({"servers": ("ldaps://a.test/dc=example?uid",)}, "servers"),
        ({"servers": ("ldaps://a.test", "ldaps://a.test:636")}, "servers"),
        ({"service": None}, "service"),
        ({"service": ServiceAccount("cn=svc", Secret(""))}, "service"),
        ({"service": ServiceAccount("cn=svc", Secret("  "))}, "service"),
        ({"service": ServiceAccount(" ", Secret("pw"))}, "service"),
        ({"user_base": ""}, "user_base"),
        ({"user_filter": "uid={user}"}, "user_filter"),
        ({"user_filter": "(objectClass=person)"}, "user_filter"),
        ({"user_filter": "(uid={name})"}, "user_filter"),
        ({"user_filter": "(uid={user}))(uid=x"}, "user_filter"),
        ({"user_filter": "(uid={user})(uid=x)"}, "user_filter"),
        ({"direct": "uid=all,dc=example"}, "direct"),
        ({"direct": "uid={user},ou={shown}"}, "direct"),
        ({"group_filter": "(member={user})"}, "group_filter"),
        ({"group_name": "cn)(x"}, "group_name"),
        ({"group_member": "member)(x"}, "attributes"),
        ({"attributes": ("mail", "a b")}, "attributes"),
        ({"suffixes": ("@example.test",)}, "suffixes"),
        ({"suffixes": ("",)}, "suffixes"),
        ({"prefix": "corp"}, "prefix"),
        ({"client_certificate": "/x"}, "client_certificate"),
        ({"lockout_threshold": 1}, "lockout_threshold"),
        ({"lockout_threshold": -1}, "lockout_threshold"),
        ({"lockout_window": 0}, "lockout_window"),
        ({"group_depth": 0}, "group_depth"),
        ({"threads": 0}, "threads"),
        ({"waiting": -1}, "waiting"),
        ({"retry_after": float("nan")}, "retry_after"),
    ],
)
def test_what_cannot_stand_is_named(changes: dict[str, Any], at: str) -> None:
    with pytest.raises(LdapSettingsError) as refused:
        settings(**changes)
    assert refused.value.at == at


def test_who_binds_at_once_needs_no_service_account() -> None:
    made = settings(service=None, direct="uid={user},ou=people,dc=example,dc=test")
    assert made.direct_is_dn
    assert not settings(direct="{user}@ad.example.test").direct_is_dn


def test_a_password_of_ours_shows_itself_nowhere() -> None:
    made = settings()
    assert made.service is not None
    assert made.service.password.reveal() == "hunter2"
    for text in (repr(made), str(made), repr(made.service), f"{made.service.password}"):
        assert "hunter2" not in text
    with pytest.raises(TypeError):
        pickle.dumps(made.service.password)
    with pytest.raises(TypeError):
        copy.copy(made.service.password)
    with pytest.raises(TypeError):
        msgspec.json.encode(made)
