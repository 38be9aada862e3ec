"""What a login leaves behind is its owner's alone, and nothing of anybody else's is touched."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from issuer.errors import AccreditError
from web.login import places


def test_where_files_go(tmp_path: Path) -> None:
    assert places.configuration_home({}, tmp_path) == tmp_path / ".config"
    assert places.configuration_home({"XDG_CONFIG_HOME": "/x"}, tmp_path) == Path("/x")
    assert places.configuration_home({"XDG_CONFIG_HOME": "relative"}, tmp_path) == tmp_path / ".config"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a..b", "a\x00b", "x" * 101, "-x", "a\nb"])
def test_a_context_is_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(places.ContextNameError):
        places.context_file(tmp_path, name)


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "login.creds"
    places.write(path, "secret")
    places.write(path, "secret of today")
    assert path.read_text() == "secret of today"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["login.creds"]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(AccreditError):
        places.write(tmp_path / "link", "ours")
    assert (tmp_path / "target").read_text() == "theirs"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AccreditError):
        places.write(tmp_path / "file" / "login.creds", "x")


def test_a_context_as_the_nats_command_line_has_it(tmp_path: Path) -> None:
    creds = tmp_path / "login.creds"
    path = places.context_file(tmp_path, "grid")
    assert path == tmp_path / "nats" / "context" / "grid.json"
    places.write_context(
        path, places.context_document(creds, ["nats://a", "nats://b"], "words", Path("/ca.pem"))
    )
    found = json.loads(path.read_text())
    assert found["url"] == "nats://a,nats://b"
    assert (found["creds"], found["ca"], found["description"]) == (str(creds), "/ca.pem", "words")
    assert found["password"] == ""
    assert places.is_of_ours(path, creds)
    assert not places.is_of_ours(path, tmp_path / "other.creds")


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "[" * 100_000, '"x"'])
def test_a_context_that_cannot_be_read_is_not_ours(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    assert not places.is_of_ours(tmp_path / "x.json", tmp_path / "login.creds")
