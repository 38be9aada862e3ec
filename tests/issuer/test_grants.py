"""Whom a denial keeps out."""

from __future__ import annotations

import pytest

from issuer.grants import Denial, Identity, Target, groups_hash

ANN = Identity(
    issuer="https://id.example",
    subject="ann",
    name="Ann",
    directory="okta",
    groups=("grid", "night"),
    authenticated_at=1000,
)


@pytest.mark.parametrize(
    ("denial", "denied"),
    [
        (Denial(target=Target.IDENTITY, value="ann"), True),
        (Denial(target=Target.IDENTITY, value="ann", issuer="https://id.example"), True),
        (Denial(target=Target.IDENTITY, value="ann", issuer="https://other.example"), False),
        (Denial(target=Target.IDENTITY, value="bob"), False),
        (Denial(target=Target.GROUP, value="night"), True),
        (Denial(target=Target.GROUP, value="nigh"), False),
        (Denial(target=Target.DIRECTORY, value="okta"), True),
        (Denial(target=Target.DIRECTORY, value="ldap"), False),
        (Denial(target=Target.BINDING, value="operators"), True),
        (Denial(target=Target.BINDING, value="meters"), False),
        (Denial(target=Target.EVERYBODY), True),
        (Denial(target=Target.EVERYBODY, before=1000), False),
        (Denial(target=Target.EVERYBODY, before=1001), True),
    ],
)
def test_a_denial(denial: Denial, denied: bool) -> None:
    assert denial.denies(ANN, ("operators",)) is denied


def test_who_cannot_say_when_it_was_proved_is_denied() -> None:
    unaged = Identity(issuer="keys:meters", subject="m1", name="m1", directory="meters")
    assert Denial(target=Target.EVERYBODY, before=1).denies(unaged)


def test_groups_are_told_apart_in_any_order_and_not_shown() -> None:
    assert groups_hash(("a", "b")) == groups_hash(("b", "a")) != groups_hash(("a b",))
    assert "grid" not in groups_hash(("grid",))
