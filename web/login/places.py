"""Where a login leaves what it got: a creds file, and a context of the `nats` command line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from issuer.errors import PeerError, Unavailable
from issuer.keys.creds import write_private

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}")
# All members the nats command line writes: one it does not find is empty to it, but people edit these.
_EMPTY: Final = (
    "description", "url", "socks_proxy", "token", "user", "password", "creds", "nkey", "cert", "key", "ca",
    "nsc", "jetstream_domain", "jetstream_api_prefix", "jetstream_event_prefix", "inbox_prefix", "user_jwt",
    "color_scheme",
)  # fmt: skip


class ContextNameError(PeerError):
    """Not the name of a context."""

    code = "login.context"


def configuration_home(environment: Mapping[str, str], home: Path) -> Path:
    """XDG Base Directory: a relative path there counts as none."""
    named = environment.get("XDG_CONFIG_HOME", "")
    return Path(named) if named.startswith("/") else home / ".config"


def creds_file(configuration: Path) -> Path:
    """Where creds go if nobody says otherwise."""
    return configuration / "accredit" / "login.creds"


def context_file(configuration: Path, name: str) -> Path:
    """The file of a context of the nats command line.

    Raises:
        ContextNameError: the name could be a path.
    """
    if not NAME.fullmatch(name) or ".." in name:
        raise ContextNameError("is no name of a context", at="--context", hint="letters, digits, - _ .")
    return configuration / "nats" / "context" / f"{name}.json"


def context_document(
    creds: Path, servers: Sequence[str], description: str, ca: Path | None
) -> dict[str, Any]:
    """A context, as the nats command line writes it."""
    found: dict[str, Any] = dict.fromkeys(_EMPTY, "")
    found |= {"description": description, "url": ",".join(servers), "creds": str(creds)}
    if ca is not None:
        found["ca"] = str(ca)
    return found | {"tls_first": False}


def write(path: Path, text: str) -> None:
    """For its owner alone, whole or not at all; what was there is replaced.

    Raises:
        Unavailable: the folder cannot be made or written.
        FileLinkError: it is a symbolic link.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise Unavailable(f"cannot be made: {(fault.strerror or '').lower()}", at=str(path.parent)) from None
    write_private(path, text, force=True)


def write_context(path: Path, document: Mapping[str, Any]) -> None:
    """As `write`."""
    write(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def is_of_ours(path: Path, creds: Path) -> bool:
    """Whether a context names these creds; false of whatever cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("creds") == str(creds)
