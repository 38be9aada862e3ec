"""Decorated tokens and seeds, and the creds file that holds one of each.

The text written is byte for byte the one all NATS clients read; reading takes at least
what the reference library takes, and also blocks in either order.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from pathlib import Path
from typing import Final

import msgspec

from issuer.errors import AlreadyExists, PeerError, Refused, Unavailable
from issuer.keys.nkeys import KeyRoleError, Role, Seed

_TOKEN: Final = re.compile(r"[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-=]+")
_BLOCK_LINE: Final = re.compile(r"[A-Za-z0-9_\-.=]+")
_BARE_SEED: Final = re.compile(r"S[OAUNCX][A-Z2-7]{56}")
_KIND: Final = re.compile(r"[A-Za-z]+(_[A-Za-z]+)*")
_DECORATED: Final = (Role.USER, Role.ACCOUNT, Role.OPERATOR)

_SEED_WARNING: Final = (
    "************************* IMPORTANT *************************\n"
    "NKEY Seed printed below can be used to sign and prove identity.\n"
    "NKEYs are sensitive and should be treated as secrets.\n"
)
_SEED_CLOSE: Final = "*" * 61 + "\n"


class CredsError(PeerError):
    """A decorated file, or a part meant for one, is malformed."""

    code = "creds.malformed"


class CredsMissingError(CredsError):
    """The file holds no token, or no seed."""

    code = "creds.missing"


class CredsMismatchError(CredsError):
    """This seed is not the key the token speaks of."""

    code = "creds.mismatch"


class FileTakenError(AlreadyExists):
    """A secret is never written over a file by accident."""

    code = "file.exists"


class FileLinkError(Refused):
    """A secret is never written through a symbolic link."""

    code = "file.link"


class FileWriteError(Unavailable):
    """The file system said no."""

    code = "file.unwritable"


class _Kind(msgspec.Struct):
    type: str = ""


class _Peek(msgspec.Struct):
    sub: str = ""
    type: str = ""  # where version 1 tokens have it
    nats: _Kind = msgspec.field(default_factory=_Kind)


_PEEK: Final = msgspec.json.Decoder(_Peek)


def decorate_token(kind: str, token: str) -> str:
    """A token between its dashes; `kind` is the claim type."""
    if not _KIND.fullmatch(kind):
        raise CredsError("the kind of a token is letters and underscores")
    _require_token(token)
    label = f"NATS {kind.upper()} JWT"
    # Five dashes before, six after: the originals differ and readers count.
    return f"-----BEGIN {label}-----\n{token}\n------END {label}------\n\n"


def decorate_seed(seed: Seed) -> str:
    """A seed between its dashes, under the usual warning."""
    if seed.role not in _DECORATED:
        raise KeyRoleError(
            f"a seed of role {seed.role} has no decorated form",
            hint="only user, account and operator seeds have one; write the bare seed",
        )
    label = f"{seed.role.upper()} NKEY SEED"
    block = f"-----BEGIN {label}-----\n{seed.reveal()}\n------END {label}------\n"
    return f"{_SEED_WARNING}\n{block}\n{_SEED_CLOSE}"


def format_creds(token: str, seed: Seed) -> str:
    """The creds file of a user, refused when token and seed do not belong together."""
    claims = _peek(token)
    kind = claims.nats.type or claims.type
    if kind != "user":
        raise CredsError(
            f"a token of type {kind[:40]!r} cannot go into a creds file", hint="user tokens only"
        )
    if seed.role is not Role.USER:
        raise KeyRoleError(f"a creds file holds a user seed, not one of role {seed.role}")
    if claims.sub != seed.public:
        raise CredsMismatchError("the seed is not the key of the token's subject")
    return decorate_token("user", token) + decorate_seed(seed)


def parse_decorated_token(text: str) -> str:
    """The token of a decorated or bare token file; nothing about it is verified."""
    # A seed never has a dot, so a file with its blocks exchanged cannot pass one off as a token.
    for block in _blocks(text):
        if "." in block:
            return block
    bare = text.strip()
    if _TOKEN.fullmatch(bare):
        return bare
    raise CredsMissingError("no token found", hint="a token stands alone or between lines of dashes")


def parse_decorated_seed(text: str, *roles: Role) -> Seed:
    """The seed of a decorated file, of a creds file, or of a bare seed file."""
    blocks = _blocks(text)
    # The second block is the seed whatever its label says: so reads every client.
    for block in (*blocks[1:2], *blocks):
        if "." not in block and block.startswith("S"):
            return Seed.parse(block, *roles)
    lines = [line.strip() for line in text.split("\n")]
    bare = next((line for line in lines if _BARE_SEED.fullmatch(line)), None) or next(
        (line for line in lines if line.startswith(("SO", "SA", "SU", "SN", "SC", "SX")) and " " not in line),
        None,
    )
    if bare is None:
        raise CredsMissingError("no seed found", hint="a seed stands on its own line and starts with S")
    return Seed.parse(bare, *roles)


def parse_creds(text: str) -> tuple[str, Seed]:
    """Token and user seed of a creds file; whether they match is for the reader to ask."""
    return parse_decorated_token(text), parse_decorated_seed(text, Role.USER)


def write_private(path: Path, text: str, *, force: bool = False) -> None:
    """Write a file only its owner may read: whole or not at all, never through a link."""
    try:
        if force:
            _replace(path, text)
        else:
            _write_new(path, text)
    except FileExistsError:
        raise FileTakenError(
            "the file exists already", at=str(path), hint="choose another name, or force"
        ) from None
    except OSError as fault:
        raise FileWriteError(f"cannot write: {fault.strerror}", at=str(path)) from None


def _write_new(path: Path, text: str) -> None:
    # With O_EXCL the last component is never followed, dangling links included.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def _replace(path: Path, text: str) -> None:
    if path.is_symlink():
        raise FileLinkError("the file is a symbolic link", at=str(path), hint="name the file it points to")
    whole = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}")
    _write_new(whole, text)
    try:
        whole.replace(path)
    except BaseException:
        whole.unlink()
        raise


def _blocks(text: str) -> list[str]:
    """Lines standing alone between two dash lines, in order.

    The known reader is a regular expression; on a backtracking engine it takes cubic time
    on a long dash line, and this text may come from a stranger.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    found = []
    at = 0
    while at + 2 < len(lines):
        opening, content, closing = lines[at : at + 3]
        opens = opening.endswith("---") and 0 <= opening.find("---") <= len(opening) - 6
        closes = closing.startswith("---") and closing.endswith("---") and len(closing) >= 6
        if opens and closes and _BLOCK_LINE.fullmatch(content):
            found.append(content)
            at += 3
        else:
            at += 1
    return found


def _require_token(token: str) -> None:
    if not _TOKEN.fullmatch(token):
        raise CredsError("not the text of a token")


def _peek(token: str) -> _Peek:
    # Not a decision of trust: it only keeps two halves that do not fit out of one file.
    _require_token(token)
    body = token.split(".")[1]
    try:
        return _PEEK.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        raise CredsError("the claims of the token cannot be read") from None
