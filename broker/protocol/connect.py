"""What a client says of itself in CONNECT (enforcement spec §1.3)."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec


class ConnectSyntaxError(Exception):
    """Not the JSON a CONNECT must be; the connection ends without a word.

    `partial` is what could be read all the same: servers show it when they tell of the end.
    """

    def __init__(self, message: str, partial: ConnectOptions | None = None) -> None:
        super().__init__(message)
        self.partial = partial


class ConnectOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of one CONNECT. Holds secrets: never log or show one."""

    verbose: bool = True
    pedantic: bool = True
    echo: bool = True
    headers: bool = False
    no_responders: bool = False
    tls_required: bool = False
    protocol: int = 0
    jwt: str = ""
    sig: str = ""
    nkey: str = ""
    auth_token: str = ""
    user: str = ""
    password: str = msgspec.field(default="", name="pass")
    name: str = ""
    lang: str = ""
    version: str = ""
    account: str = ""
    new_account: bool = False
    proxy_sig: str = ""

    def __repr__(self) -> str:
        return f"ConnectOptions(name={self.name!r}, lang={self.lang!r}, version={self.version!r}, …)"


_DECODER: Final = msgspec.json.Decoder(ConnectOptions)
_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
_NAMES: Final = {field.encode_name: field for field in msgspec.structs.fields(ConnectOptions)}


def read_connect(arguments: bytes, before: ConnectOptions | None = None) -> ConnectOptions:
    """The options; a second CONNECT keeps what it does not say again (`before`).

    Raises:
        ConnectSyntaxError: no JSON object, or a member of another type.
    """
    if before is None:
        # A member nobody knows may be a known one in other letters: that is read the long way.
        try:
            options = _DECODER.decode(arguments)
            if _fits(options.protocol):
                return options
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
    return _as_go_reads(arguments, before or ConnectOptions())


def _whole(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape["lone"] else escape[0]


def _fits(number: Any) -> bool:
    return not isinstance(number, bool) and -(2**63) <= number < 2**63


def _as_go_reads(arguments: bytes, options: ConnectOptions) -> ConnectOptions:
    """Names in any letter case, nulls as if absent, the last of a repeated member."""
    try:
        # Lone surrogates and other bytes that are no UTF-8 are replaced, not refused.
        text = _ESCAPE.sub(_whole, arguments.decode("utf-8", "replace"))
        members = msgspec.json.decode(text)
        # Every member counts, a repeated one too: its first value may be of a wrong type.
        pairs = json.loads(text, object_pairs_hook=tuple) if isinstance(members, dict) else ()
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConnectSyntaxError(str(error)) from None
    if members is None:
        return options
    if not isinstance(members, dict):
        raise ConnectSyntaxError("not an object")
    found: dict[str, Any] = {}
    fault = ""
    for key, value in pairs:
        field = _NAMES.get(key) or _NAMES.get(key.lower())
        if field is None or value is None:
            continue
        if not isinstance(value, field.type) or (field.type is int and not _fits(value)):
            fault = f"{field.encode_name} is no {field.type.__name__}"
        else:
            found[field.name] = value
    read = msgspec.structs.replace(options, **found)
    if fault:
        raise ConnectSyntaxError(fault, read)
    return read
