"""Users by the thousand look as if they had been made one by one."""

# ruff: noqa: PT012  (a unit of work is several statements, and fails at its end)

from __future__ import annotations

import pytest

from issuer.audit.log import verify_chain
from issuer.errors import AlreadyExists
from issuer.keys.nkeys import Role
from issuer.store import bulk, hierarchy, keys
from issuer.store.rows import copy_text
from issuer.store.unit import Database, Unit
from tests.issuer.store.founding import NOW, Founded, new_user, public_key, told

ODD_NAMES = ["tab\tname", "back\\slash", "line\nbreak", "\\N", "quote'\"", "smörgås 🐟", "", "\\.", "a\rb"]


def issue(unit: Unit, founded: Founded, names: list[str]) -> list[bulk.NewUser]:
    ids = hierarchy.allocate_ids(unit, len(names))
    rows = [
        bulk.NewUser(
            row_id, public_key(Role.USER), name, b"\x00\\seal\n\xff", f"jti {name}", "hash", f"t {name}"
        )
        for row_id, name in zip(ids, names, strict=True)
    ]
    common = bulk.Common(
        account_id=founded.account.id, role="clerk", issuer="A", issued_at=NOW, expires_at=NOW + 9, now=NOW
    )
    bulk.insert_users(unit, common, rows)
    return rows


@pytest.mark.parametrize("count", [1, 3, 700])
def test_a_batch_of_any_size(database: Database, founded: Founded, count: int) -> None:
    names = (ODD_NAMES + [f"user {number}" for number in range(count)])[:count]
    with database.writing() as unit:
        rows = issue(unit, founded, names)
        told(unit)
    with database.reading() as unit:
        assert sorted(user.name for user in hierarchy.users(unit, founded.account.id, after="")) == sorted(
            name for name in names if name
        )
        for row in rows[:10]:
            user = hierarchy.user_by_public(unit, row.public)
            assert user is not None
            assert (user.name, user.head, user.role, user.expires_at) == (row.name, 1, "clerk", NOW + 9)
            token = hierarchy.head_token(unit, "user", row.id)
            assert (token.token, token.jti, token.version) == (row.token, row.jti, 1)
            assert keys.sealed_seed(unit, row.public) == (row.id, "identity", row.sealed)
        assert verify_chain(unit) is None


def test_a_taken_name_takes_the_whole_batch_back(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        new_user(unit, founded.account, "user 7")
        told(unit)
    with pytest.raises(AlreadyExists), database.writing() as unit:
        issue(unit, founded, [f"user {number}" for number in range(20)])
        told(unit)
    with database.reading() as unit:
        assert hierarchy.count_users(unit, founded.account.id) == 1


def test_a_new_user_shows_neither_seed_nor_token() -> None:
    row = bulk.NewUser(1, "U", "ada", b"sealed seed", "jti", "hash", "the token")
    assert repr(row) == "NewUser('ada', U)"


def test_copy_text_escapes_what_would_end_a_value() -> None:
    assert copy_text([("a\tb", None, 5, b"\x01\\"), ("\\N", True, "", b"")]) == (
        "a\\tb\t\\N\t5\t\\\\x015c\n\\\\N\tTrue\t\t\\\\x\n"
    )
