"""Single files and folders of a store, as strangers may have made them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.interop.nsc_files import FileFault, folded, listing, name_fault, read_file, shown, walk

OPEN = Path("/proc/self/fd")
needs_rights = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def test_a_file_of_the_size_allowed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("tëxt")
    assert read_file(path, 5) == "tëxt"
    with pytest.raises(FileFault, match="is larger than 4 bytes"):
        read_file(path, 4)
    path.write_bytes(b"\xef\xbb\xbftext")
    assert read_file(path, 100) == "text"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    link, dangling, pipe, folder = (tmp_path / name for name in ("link", "dangling", "pipe", "folder"))
    link.symlink_to(file)
    dangling.symlink_to(tmp_path / "gone")
    os.mkfifo(pipe)
    folder.mkdir()
    for path, reason in (
        (link, "is a symbolic link"),
        (dangling, "is a symbolic link"),
        (pipe, "is not a plain file"),
        (folder, "is not a plain file"),
        (tmp_path / "none", "no such file or directory"),
        (file / "below", "is not a folder"),
    ):
        with pytest.raises(FileFault) as caught:
            read_file(path, 100)
        assert caught.value.message == reason


@pytest.mark.skipif(not OPEN.is_dir(), reason="this system does not list open files")
def test_reading_leaves_no_file_open(tmp_path: Path) -> None:
    before = len(list(OPEN.iterdir()))
    for _ in range(3):
        with pytest.raises(FileFault):
            read_file(tmp_path, 100)
        listing(tmp_path)
    assert len(list(OPEN.iterdir())) == before


def test_a_folder_tells_its_kinds_apart(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "b.jwt").write_text("")
    (tmp_path / "a.jwt").write_text("")
    (tmp_path / "c.txt").write_text("")
    (tmp_path / "to-file.jwt").symlink_to("a.jwt")
    (tmp_path / "to-folder").symlink_to("folder")
    (tmp_path / "to-nowhere").symlink_to("nowhere")
    (tmp_path / "to-itself").symlink_to("to-itself")
    found = listing(tmp_path)
    assert [path.name for path in found.folders] == ["folder"]
    assert [path.name for path in found.ending(".jwt")] == ["a.jwt", "b.jwt", "to-file.jwt"]
    assert [path.name for path in found.links] == ["to-folder", "to-itself", "to-nowhere"]


def test_a_folder_that_is_not_one(tmp_path: Path) -> None:
    assert listing(tmp_path / "none").folders == ()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for name, reason in (("file", "is not a folder"), ("link", "is a symbolic link")):
        with pytest.raises(FileFault, match=reason):
            listing(tmp_path / name)


@needs_rights
def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with pytest.raises(FileFault, match="permission denied"):
        listing(closed)
    closed.chmod(stat.S_IRWXU)


def test_a_walk_goes_so_deep_and_into_no_link(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    for folder in ("", "a", "a/b", "a/b/c"):
        (tmp_path / folder / "x.nk").write_text("")
    (tmp_path / "a/back").symlink_to(tmp_path)
    refused: list[tuple[Path, str]] = []
    found = list(walk(tmp_path, ".nk", 2, lambda path, reason: refused.append((path, reason))))
    assert [str(path.relative_to(tmp_path)) for path in found] == ["x.nk", "a/x.nk", "a/b/x.nk"]
    assert refused == [(tmp_path / "a/back", "is a symbolic link")]


def test_a_path_that_is_no_text_can_be_shown() -> None:
    path = Path(os.fsdecode(b"/a/\xff\xc3\xa4.jwt"))
    assert shown(path) == "/a/\\xffä.jwt"
    shown(path).encode()


@pytest.mark.parametrize(
    "name", ["", "  ", ".", "..", " .. ", "a/b", "/", "a\\b", "\0", "a\n", "\u202e", "n" * 257, "ü" * 125]
)
def test_names_that_no_file_may_have(name: str) -> None:
    assert name_fault(name)


@pytest.mark.parametrize(
    "name", ["a", "...", ".a", "a.b", "Große Halle", "名前", "n" * 249, "-rf", "~", "CON"]
)
def test_names_that_a_file_may_have(name: str) -> None:
    assert name_fault(name) is None


@given(st.text(max_size=300))
def test_a_name_without_fault_stays_in_its_folder(name: str) -> None:
    if name_fault(name) is None:
        path = Path("/store") / f"{name.strip()}.creds"
        assert Path(os.path.normpath(path)).parent == Path("/store")
        assert len(os.fsencode(path.name)) <= 255


@given(st.text(max_size=20))
def test_letter_case_does_not_tell_names_apart(name: str) -> None:
    assert folded(name.strip()) == folded(name)
    assert folded(folded(name)) == folded(name)
