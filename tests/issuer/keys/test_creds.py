from __future__ import annotations

import base64
import itertools
import json
import os
import re
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.errors import AccreditError
from issuer.keys import creds
from issuer.keys.creds import (
    CredsError,
    CredsMismatchError,
    CredsMissingError,
    FileLinkError,
    FileTakenError,
    FileWriteError,
    decorate_seed,
    decorate_token,
    format_creds,
    parse_creds,
    parse_decorated_seed,
    parse_decorated_token,
    write_private,
)
from issuer.keys.nkeys import KeyAlphabetError, KeyFormatError, KeyRoleError, Role, Seed

VECTORS_DIR = Path(__file__).parents[2] / "vectors"
VECTORS: dict[str, Any] = json.loads((VECTORS_DIR / "vectors.json").read_text())
SERVER_VECTORS: dict[str, Any] = json.loads((VECTORS_DIR / "vectors-server.json").read_text())
KEYS = {vector["id"]: Seed.parse(vector["seed"]) for vector in VECTORS["keys"]}
TOKENS = {vector["id"]: vector["token"] for vector in VECTORS["jwts"]}
FILE: str = VECTORS["creds"]["text"]
TOKEN: str = TOKENS[VECTORS["creds"]["jwt"]]
USER = KEYS[VECTORS["creds"]["seed_of"]]


def test_the_file_of_the_vectors_is_written_and_read() -> None:
    assert format_creds(TOKEN, USER) == FILE
    assert parse_creds(FILE) == (TOKEN, USER)


def test_the_file_of_the_server_vectors_is_written_and_read() -> None:
    vector = SERVER_VECTORS["creds_file"]
    token, seed = parse_creds(vector["text"])
    assert seed.public == vector["user_public"]
    assert format_creds(token, seed) == vector["text"]


@pytest.mark.parametrize(
    ("kind", "label"),
    [("user", "USER"), ("operator", "OPERATOR"), ("authorization_request", "AUTHORIZATION_REQUEST")],
)
def test_decorated_token(kind: str, label: str) -> None:
    text = decorate_token(kind, TOKEN)
    assert text == f"-----BEGIN NATS {label} JWT-----\n{TOKEN}\n------END NATS {label} JWT------\n\n"
    assert parse_decorated_token(text) == TOKEN


@pytest.mark.parametrize("role", [Role.USER, Role.ACCOUNT, Role.OPERATOR])
def test_decorated_seed(role: Role) -> None:
    seed = Seed.from_raw(role, bytes(32))
    text = decorate_seed(seed)
    assert f"-----BEGIN {role.upper()} NKEY SEED-----\n{seed.reveal()}\n------END" in text
    assert text.endswith("\n\n" + "*" * 61 + "\n")
    assert parse_decorated_seed(text, role) == seed
    with pytest.raises(KeyRoleError):
        parse_decorated_seed(text, Role.CURVE)


@pytest.mark.parametrize("role", [Role.SERVER, Role.CLUSTER, Role.CURVE])
def test_no_reader_knows_other_decorated_seeds(role: Role) -> None:
    seed = Seed.from_raw(role, bytes(32))
    with pytest.raises(KeyRoleError, match="no decorated form"):
        decorate_seed(seed)
    assert parse_decorated_seed(f"# bare\n{seed.reveal()}\n", role) == seed


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c\n-----", "a b.c.d", "é.a.b", USER.reveal()])
def test_only_a_token_is_decorated(text: str) -> None:
    with pytest.raises(CredsError) as caught:
        decorate_token("user", text)
    assert USER.reveal() not in repr(caught.value)


@pytest.mark.parametrize("kind", ["", "user jwt", "user-----\n", "_", "usér"])
def test_a_kind_cannot_break_the_dash_line(kind: str) -> None:
    with pytest.raises(CredsError):
        decorate_token(kind, TOKEN)


def test_halves_that_do_not_fit_make_no_file() -> None:
    with pytest.raises(CredsMismatchError):
        format_creds(TOKEN, KEYS["user2"])
    with pytest.raises(KeyRoleError):
        format_creds(TOKEN, KEYS["acct"])
    with pytest.raises(CredsError, match="'account'"):
        format_creds(TOKENS["account-default"], USER)


def _token(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def test_the_type_of_a_version_one_token_is_found() -> None:
    token = _token({"sub": USER.public, "type": "user", "nats": {"pub": {}}})
    assert parse_creds(format_creds(token, USER)) == (token, USER)


@pytest.mark.parametrize(
    "token", ["a.b.c", "e30.bm90IGpzb24.e30", "e30._w.e30", _token([]), _token({"sub": 1}), _token({})]
)
def test_claims_that_cannot_be_read_make_no_file(token: str) -> None:
    with pytest.raises(CredsError):
        format_creds(token, USER)


SEED_BLOCK = decorate_seed(USER)
TOKEN_BLOCK = decorate_token("user", TOKEN)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(FILE.replace("\n", "\r\n"), id="crlf"),
        pytest.param(FILE.rstrip("\n"), id="no last line end"),
        pytest.param("----x " + FILE, id="text before the dashes"),
        pytest.param(FILE.replace("\n\n", "\n"), id="no empty lines"),
        pytest.param(re.sub("-{5,}", "---", FILE), id="three dashes"),
        pytest.param("\n\n \t\n" + FILE + "\n\nmore text\n", id="text around"),
        pytest.param(re.sub("[A-Z]+ [A-Z]+ (JWT|SEED)", "WHATEVER", FILE), id="other labels"),
        pytest.param(SEED_BLOCK + TOKEN_BLOCK, id="seed first"),
        pytest.param(f"{TOKEN_BLOCK}\n{USER.reveal()}\n", id="bare seed below"),
        pytest.param(f"{TOKEN_BLOCK}\n  {USER.reveal()} \r\n", id="bare seed, indented"),
        pytest.param(f"{TOKEN_BLOCK}SOME prose\nSU too\n{USER.reveal()}\n", id="prose before a bare seed"),
        pytest.param(TOKEN_BLOCK + "---\nx.y\n---\n" + SEED_BLOCK, id="a third block"),
    ],
)
def test_what_readers_take(text: str) -> None:
    assert parse_creds(text) == (TOKEN, USER)


@pytest.mark.parametrize("around", ["{}", "{}\n", " \n{}\r\n\n"])
def test_bare_files(around: str) -> None:
    assert parse_decorated_token(around.format(TOKEN)) == TOKEN
    assert parse_decorated_seed(around.format(USER.reveal())) == USER


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(SEED_BLOCK, id="seed only"),
        pytest.param(re.sub("-{3,}", "--", TOKEN_BLOCK), id="two dashes"),
        pytest.param(TOKEN_BLOCK.replace("-----\n", "-----\n\n", 1), id="empty line in the block"),
        pytest.param("hello", id="prose"),
        pytest.param(USER.reveal(), id="bare seed"),
    ],
)
def test_no_token(text: str) -> None:
    with pytest.raises(CredsMissingError) as caught:
        parse_decorated_token(text)
    assert USER.reveal() not in repr(caught.value)


@pytest.mark.parametrize("text", ["", TOKEN_BLOCK, TOKEN, "some prose\nSO it goes", USER.public])
def test_no_seed(text: str) -> None:
    with pytest.raises(CredsMissingError):
        parse_decorated_seed(text)


def test_a_mistyped_seed_is_told_from_a_missing_one() -> None:
    for text in (FILE, f"# mine\n{USER.reveal()}"):
        with pytest.raises(KeyAlphabetError) as caught:
            parse_decorated_seed(text.replace(USER.reveal(), USER.reveal()[:20] + "8" + USER.reveal()[21:]))
        assert USER.reveal()[3:20] not in repr(caught.value)
    with pytest.raises(KeyRoleError):
        parse_creds(TOKEN_BLOCK + decorate_seed(KEYS["acct"]))


# The pattern every NATS library reads with, in our spelling: a line between two dash lines.
PATTERN = re.compile(r"-{3,}[^\n]*-{3,}\r?\n([\w.=-]+)\r?\n-{3,}[^\n]*-{3,}(?:\r?\n|\Z)", re.ASCII)
LINES = [
    "",
    "---",
    "------",
    "-----a-----",
    "x---y---",
    "a.b",
    "SU",
    " a",
    "--",
    "--- ---x",
    "a---",
    "----- a",
]


@given(st.lists(st.sampled_from(LINES), max_size=12), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_blocks_are_those_the_libraries_find(lines: list[str], line_end: str, last: bool) -> None:
    text = line_end.join(lines) + (line_end if last else "")
    assert creds._blocks(text) == PATTERN.findall(text)


def test_blocks_of_all_short_files() -> None:
    for lines in itertools.product(LINES, repeat=4):
        text = "\n".join(lines)
        assert creds._blocks(text) == PATTERN.findall(text)


def test_a_hostile_file_costs_no_more_than_its_size() -> None:
    began = time.monotonic()
    for text in ("-" * 1_000_000, "-\n" * 500_000, ("-" * 3000 + "\n") * 300):
        with pytest.raises(CredsMissingError):
            parse_decorated_token(text + "!")
    assert time.monotonic() - began < 5


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_on_purpose(text: str) -> None:
    for read in (parse_decorated_token, parse_decorated_seed):
        for whole in (text, f"---x---\n{text}\n---x---\n"):
            try:
                read(whole)
            except (CredsError, KeyFormatError) as fault:
                assert fault.message


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def open_umask() -> Any:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.usefixtures("open_umask")
def test_written_for_the_owner_only(tmp_path: Path, force: bool) -> None:
    path = tmp_path / "user.creds"
    write_private(path, FILE, force=force)
    assert path.read_bytes() == FILE.encode()
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "user.creds"
    path.write_text("precious")
    with pytest.raises(FileTakenError) as caught:
        write_private(path, FILE)
    assert caught.value.at == str(path)
    assert path.read_text() == "precious"


def test_force_replaces_the_file_and_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "user.creds"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as reader:
        write_private(path, FILE, force=True)
        assert reader.read() == "old"  # whoever had it open sees no half-written file
    assert path.read_text() == FILE
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_is_never_followed(tmp_path: Path, force: bool, dangling: bool) -> None:
    target = tmp_path / "target"
    if not dangling:
        target.write_text("precious")
    path = tmp_path / "user.creds"
    path.symlink_to(target)
    with pytest.raises(FileLinkError if force else FileTakenError):
        write_private(path, FILE, force=force)
    assert path.is_symlink()
    assert target.exists() != dangling
    assert dangling or target.read_text() == "precious"
    assert not [p for p in tmp_path.iterdir() if p not in (path, target)]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool, fault: BaseException
) -> None:
    path = tmp_path / "user.creds"
    if force:
        path.write_text("old")

    def fail(_: int) -> None:
        raise fault

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((FileWriteError, KeyboardInterrupt)) as caught:
        write_private(path, FILE, force=force)
    assert USER.reveal() not in repr(caught.value)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == ([("user.creds", "old")] if force else [])


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.mkdir()
    with pytest.raises(FileWriteError):
        write_private(path, FILE, force=True)
    assert list(tmp_path.iterdir()) == [path]
    assert not list(path.iterdir())


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileWriteError, match="No such file") as caught:
        write_private(tmp_path / "none" / "user.creds", FILE)
    assert isinstance(caught.value, AccreditError)
