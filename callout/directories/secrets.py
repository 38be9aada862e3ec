"""Secrets of our own that a directory needs: settings name where one is, never the secret itself.

`file:/run/secrets/okta` or `env:OKTA_TOKEN`. A settings file is read by many, kept in repositories and
shown in consoles; so whatever else stands in the place of a secret is refused, and never repeated.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from issuer.errors import PeerError

MAX_BYTES: Final = 64 * 1024
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HINT: Final = "write file:/path/of/the/secret or env:NAME"


class SecretError(PeerError):
    """A secret that is not where the settings say, or lies where others can read it."""

    code = "settings.secret"


class Secret:
    """A secret of ours: it has to be asked for by `reveal`, and shows itself nowhere."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value.strip())

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


def read_secret(reference: str, *, environment: Mapping[str, str] | None = None) -> Secret:
    """The secret that a setting refers to; a line end behind it is none of it.

    Raises:
        SecretError: the setting is no reference, or there is no secret of one line or more where it points,
            or everybody on this machine could read it.
    """
    form, _, place = reference.partition(":")
    if form == "file":
        text = _from_file(place)
    elif form == "env":
        text = _from_environment(place, os.environ if environment is None else environment)
    else:
        # Perhaps it is the secret itself: not a letter of it is repeated.
        raise SecretError("is no reference to a secret", hint=_HINT)
    if not text.strip():
        raise SecretError(f"is empty: {reference}")
    return Secret(text)


def _from_environment(name: str, environment: Mapping[str, str]) -> str:
    if not _VARIABLE.fullmatch(name):
        raise SecretError("names no environment variable", hint=_HINT)
    if name not in environment:
        raise SecretError(f"the environment variable {name} is not set")
    return environment[name]


def _from_file(name: str) -> str:
    if not Path(name).is_absolute():
        raise SecretError("names no absolute path", hint=_HINT)
    try:
        # Without waiting: a pipe put there instead of a file would hold us for ever.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else "no path"
        raise SecretError(f"{name} cannot be opened: {why}") from None
    try:
        # Asked of what was opened, not of the name: that could be another file by now.
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SecretError(f"{name} is no file")
        if found.st_mode & stat.S_IRWXO:
            raise SecretError(
                f"{name} is open to everybody on this machine",
                hint=f"chmod o= {name}; in Kubernetes set defaultMode: 0440",
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as fault:
        raise SecretError(f"{name} cannot be read: {fault.strerror}") from None
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise SecretError(f"{name} has more than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SecretError(f"{name} is no text") from None
