"""The form of a name alone says whose it is, and never do two directories want the same."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.ldap.names import (
    belongs,
    is_account_name,
    is_blank,
    is_sound,
    likeness,
    taken_apart,
)
from callout.directories.ldap.settings import LdapSettings, ServiceAccount
from callout.directories.secrets import Secret

SERVICE = ServiceAccount("cn=svc", Secret("pw"))


def realm(
    name: str, *, suffixes: tuple[str, ...] = (), prefix: str = "", default_realm: bool = False
) -> LdapSettings:
    return LdapSettings(
        name=name.lower(),
        realm=name,
        servers=("ldaps://a.test",),
        service=SERVICE,
        user_base="dc=test",
        suffixes=suffixes,
        prefix=prefix,
        default_realm=default_realm,
    )


CORP = realm("CORP", suffixes=("corp.test",), prefix="corp:")
PLANT = realm("PLANT", suffixes=("plant.test",), prefix="plant:")
ANY = realm("ANY", default_realm=True)


@pytest.mark.parametrize(
    ("name", "whose", "user"),
    [
        ("CORP\\ann", CORP, "ann"),
        ("corp\\ann", CORP, "ann"),
        ("ann@corp.test", CORP, "ann"),
        ("ann@CORP.test", CORP, "ann"),
        ("corp:ann", CORP, "ann"),
        ("corp:ann@plant.test", CORP, "ann@plant.test"),
        ("CORP\\ann@plant.test", CORP, "ann@plant.test"),
        ("PLANT\\corp:ann", PLANT, "corp:ann"),
        ("ann@x@plant.test", PLANT, "ann@x"),
        ("ann", ANY, "ann"),
        ("CORPX\\ann", None, "ann"),
        ("Corp:ann", None, "ann"),
        ("ann@test", None, "ann"),
        ("ann@other.corp.test", None, "ann"),
        ("other:ann", None, "ann"),
        ("", None, ""),
    ],
)
def test_whose_a_name_is(name: str, whose: LdapSettings | None, user: str) -> None:
    assert [each for each in (CORP, PLANT, ANY) if belongs(name, each)] == ([whose] if whose else [])
    assert taken_apart(name).user == user


@given(st.text(st.sampled_from("corplant.test\\:@ ABC"), max_size=14) | st.text(max_size=12))
def test_no_name_is_wanted_by_two(name: str) -> None:
    assert not any(
        belongs(name, one) and belongs(name, other) for one, other in combinations((CORP, PLANT, ANY), 2)
    )


@pytest.mark.parametrize("user", ["", " ann", "ann ", "a\0b", "a\nb", "a\u200bb", "a" * 257, "\u202eann"])
def test_names_nobody_can_have(user: str) -> None:
    assert not is_sound(user)


@pytest.mark.parametrize("user", ["ann", "Ann Müller", "a*b)(c", "ann@corp.test"])
def test_names_somebody_can_have(user: str) -> None:
    assert is_sound(user)


@pytest.mark.parametrize("user", ["ann@other.test", "OTHER\\ann", "ann/x", "a,b", "", "a*"])
def test_a_name_that_leads_to_another_domain_is_no_account_name(user: str) -> None:
    assert not is_account_name(user)


@pytest.mark.parametrize("other", ["ANN  SMITH", "ann smith", "Ánn Smith", "ann\u00a0smith", "ａnn smith"])
def test_spellings_that_a_directory_takes_for_the_same_are_counted_as_one(other: str) -> None:
    assert likeness(other) == likeness("Ann Smith")


@given(st.text(max_size=20))
def test_a_likeness_is_like_itself(name: str) -> None:
    assert likeness(likeness(name)) == likeness(name)


@pytest.mark.parametrize("password", ["", " ", "\t\r\n", "\u3000", "\u00a0 ", "\u200b", "\u00ad\u200d", "\0"])
def test_a_password_that_is_nothing_once_prepared_is_blank(password: str) -> None:
    assert is_blank(password)


@pytest.mark.parametrize("password", ["x", " x", "\u200bx", "ü"])
def test_other_passwords_are_not_blank(password: str) -> None:
    assert not is_blank(password)
