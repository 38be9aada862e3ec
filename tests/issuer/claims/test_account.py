from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.claims.account import (
    AccountBody,
    AccountClaims,
    AccountLimits,
    JetStreamLimits,
    Scope,
    compacted,
    cut_off,
    with_revocation,
)
from issuer.keys.nkeys import Role, Seed

ONE, OTHER = (Seed.from_raw(Role.ACCOUNT, bytes([n]) * 32).public for n in (3, 4))
REVOCATIONS = st.dictionaries(st.sampled_from("*AB"), st.integers(-2, 5))


def account(*keys: str | Scope) -> AccountClaims:
    return AccountClaims(nats=AccountBody(signing_keys=keys))


def test_of_a_key_listed_twice_the_last_entry_counts() -> None:
    """As for the server, which reads the list into a map: else one would see a role the other does not."""
    role, second = Scope(key=ONE, role="r"), Scope(key=ONE, role="s")
    assert account(role, ONE).scope(ONE) is None
    assert account(ONE, role).scope(ONE) == role
    assert account(role, second).scope(ONE) == second
    assert account(role, OTHER).scope(OTHER) is None
    assert account(role).scope("x") is None
    assert account(role, OTHER).signing_keys() == (ONE, OTHER)
    # Sorting for the wire keeps the order of equal keys, and so who wins.
    assert AccountBody(signing_keys=(role, ONE)).sorted().signing_keys == (role, ONE)


@pytest.mark.parametrize(
    ("revocations", "issued_at", "revoked"),
    [
        ({}, 5, False),
        ({"U": 5}, 5, True),  # the same second counts
        ({"U": 5}, 6, False),
        ({"*": 5}, 5, True),
        ({"*": 5, "U": 1}, 5, True),
        ({"*": 1, "U": 5}, 5, True),
        ({"other": 9}, 5, False),
        ({"U": 1}, 0, True),  # no time of issue
    ],
)
def test_cut_off(revocations: dict[str, int], issued_at: int, *, revoked: bool) -> None:
    assert cut_off(revocations, "U", issued_at) is revoked


@given(REVOCATIONS, st.sampled_from("*AB"), st.integers(-2, 5))
def test_revoking_never_lets_anyone_in_again(before: dict[str, int], key: str, at: int) -> None:
    after = with_revocation(before, key, at)
    for name in "AB":
        for issued_at in range(-3, 7):
            assert cut_off(after, name, issued_at) >= cut_off(before, name, issued_at)
    assert cut_off(after, "A" if key == "*" else key, at)


@given(REVOCATIONS)
def test_compacting_changes_nothing_for_anyone(before: dict[str, int]) -> None:
    after = compacted(before)
    assert len(after) <= len(before)
    for name in "ABC":
        for issued_at in range(-3, 7):
            assert cut_off(after, name, issued_at) is cut_off(before, name, issued_at)


@pytest.mark.parametrize(
    ("limits", "enabled"),
    [
        (AccountLimits(), False),
        (AccountLimits(streams=-1), False),
        (AccountLimits(disk_storage=-1), True),
        (AccountLimits(tiered_limits={"R1": JetStreamLimits()}), False),
        (AccountLimits(tiered_limits={"R1": JetStreamLimits(mem_storage=1)}), True),
        (AccountLimits(mem_storage=1, tiered_limits={"R1": JetStreamLimits()}), False),
    ],
)
def test_when_jetstream_is_enabled(limits: AccountLimits, *, enabled: bool) -> None:
    assert limits.jetstream_enabled() is enabled
