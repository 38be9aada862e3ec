"""Settings of a directory, from plain data as TOML or YAML has it; strictly.

A member nobody knows is an error that names its place and the nearest known name: a misspelt limit that
is passed over is no limit.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from callout.directories.secrets import Secret, SecretError, read_secret
from issuer.errors import AccreditError, PeerError

T = TypeVar("T")
_PATH: Final = re.compile(r"^(?P<words>.*?)(?: - at (?:key in )?`\$(?P<path>.*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>[^\]]*)\]")


class DirectorySettingsError(PeerError):
    """Settings of a directory that cannot be used; `at` is a JSON pointer (RFC 6901)."""

    code = "settings.directory"


def read_settings(
    document: object,
    shape: type[T],
    *,
    at: str = "",
    environment: Mapping[str, str] | None = None,
) -> T:
    """A settings struct from plain data; `Secret` members are read from where they refer to.

    `at` is the pointer to the document itself, put before the place of every fault.

    Raises:
        DirectorySettingsError: a member unknown, missing or of the wrong kind; a secret that is not there.
        AccreditError: whatever the struct itself refuses, with its place in the document.
    """
    hook = _Hook(os.environ if environment is None else environment)
    root = msgspec.inspect.type_info(shape)
    structs = list(_structs(document, root, at))
    for struct in structs:
        for name in struct.value:
            if name not in struct.known:
                place = child(struct.at, name)
                raise DirectorySettingsError(
                    "is not known here", at=place, hint=nearest(str(name), struct.known)
                )
    if isinstance(root, msgspec.inspect.StructType) and not isinstance(document, Mapping):
        raise DirectorySettingsError("is no mapping", at=at or "/", hint="write members by name")
    try:
        return _converted(document, shape, at, hook)
    except AccreditError as fault:
        if isinstance(fault, DirectorySettingsError) and (fault.at or "").startswith("/"):
            raise
        # A struct that checks itself names its member alone: it is the innermost that is at fault.
        for struct in reversed(structs):
            try:
                _converted(struct.value, struct.shape, struct.at, hook)
            except AccreditError as inner:
                place = inner.at or ""
                if not place.startswith("/"):
                    inner.at = f"{struct.at}/{place}" if place else struct.at or "/"
                raise inner from None
        raise


def _converted(document: object, shape: type[T], at: str, hook: _Hook) -> T:
    hook.fault = None
    try:
        return msgspec.convert(document, shape, dec_hook=hook)
    except msgspec.ValidationError as fault:
        found = _PATH.match(str(fault))
        words, path = (found["words"], found["path"] or "") if found else (str(fault), "")
        hint = hook.fault.hint if hook.fault is not None else None
        raise DirectorySettingsError(_ours(words), at=at + _pointer(path) or "/", hint=hint) from None


class _Hook:
    """Makes what plain data has no form for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.fault: SecretError | None = None

    def __call__(self, shape: type, value: Any) -> Any:
        if not isinstance(value, str):
            # Never the value: it may be a secret in the wrong form.
            raise TypeError("Expected `str`")
        if shape is Path:
            return Path(value)
        if shape is Secret:
            try:
                return read_secret(value, environment=self._environment)
            except SecretError as fault:
                self.fault = fault
                raise ValueError(fault.message) from None
        # How msgspec wants to hear that a type is none of this hook's.
        raise NotImplementedError(shape)


class _Struct(NamedTuple):
    """A mapping of the document that a struct is made from."""

    value: Mapping[Any, Any]
    shape: type
    known: Mapping[str, msgspec.inspect.Type]
    at: str


def _structs(value: object, shape: msgspec.inspect.Type, at: str) -> Iterator[_Struct]:
    """Those in the document, outer ones before inner ones."""
    inspect = msgspec.inspect
    match shape:
        case inspect.StructType(fields=fields) if isinstance(value, Mapping):
            known = {field.encode_name: field.type for field in fields}
            yield _Struct(value, shape.cls, known, at)
            for name, member in value.items():
                if name in known:
                    yield from _structs(member, known[name], child(at, name))
        case inspect.DictType(value_type=inner) if isinstance(value, Mapping):
            for name, member in value.items():
                yield from _structs(member, inner, child(at, name))
        case inspect.VarTupleType(item_type=inner) | inspect.ListType(item_type=inner):
            if isinstance(value, list | tuple):
                for number, member in enumerate(value):
                    yield from _structs(member, inner, child(at, number))
        case inspect.UnionType(types=types):
            for each in types:
                yield from _structs(value, each, at)


def child(at: str, name: object) -> str:
    """The pointer to a member or element of what `at` points to."""
    return at + "/" + str(name).replace("~", "~0").replace("/", "~1")


def nearest(name: str, known: Mapping[str, object]) -> str:
    """What somebody who wrote `name` may have meant."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else "known are " + ", ".join(sorted(known))


def _pointer(path: str) -> str:
    return "".join("/" + (step["name"] or step["index"] or "") for step in _STEP.finditer(path))


def _ours(words: str) -> str:
    missing = re.fullmatch(r"Object missing required field `(\w+)`", words)
    if missing:
        return f"lacks {missing[1]}"
    return words[:1].lower() + words[1:].replace("`", "")
