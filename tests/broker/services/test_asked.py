"""Options are looked at before anything is done."""

from __future__ import annotations

import pytest

from broker.services.asked import AskedWrongError, read_options


def test_nothing_asks_for_nothing_in_particular() -> None:
    assert read_options(b"") == {}
    assert read_options(b"null") == {}
    assert read_options(b"{}") == {}


def test_names_come_in_any_spelling_and_null_is_not_there() -> None:
    assert read_options(b'{"Limit": 3, "ACC": null, "auth": true, "tags": ["a"]}') == {
        "limit": 3,
        "auth": True,
        "tags": ["a"],
    }


def test_what_is_unknown_is_left_out() -> None:
    assert read_options(b'{"colour": "red"}') == {}


@pytest.mark.parametrize(
    "body",
    [b"{nope", b'"x"', b"[1]", b"7", b"  ", b'{"cid": "1"}', b'{"cid": -1}', b'{"cid": 1.5}', b'{"auth": "yes"}',
     b'{"sort": 1}', b'{"state": "open"}', b'{"accounts": [1]}', b"\xff"],
)  # fmt: skip
def test_what_is_of_another_kind_is_refused(body: bytes) -> None:
    with pytest.raises(AskedWrongError):
        read_options(body)


def test_some_must_say_whom_they_mean() -> None:
    with pytest.raises(AskedWrongError):
        read_options(b"", empty=False)
