"""A SCIM user as we hold it, and the changes a provider asks for (RFC 7643 §4.1, RFC 7644 §3.5). Pure.

Providers differ from the RFCs and from each other: Entra sends `"False"` for false, `Replace` for replace,
and paths as names of members; Okta sends `active` with a path and without one. All of that is understood,
since what is misread lets somebody in who has left. What is not held is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from web.triggers.bodies import plain_text
from web.triggers.scim_paths import Path, ScimError, attribute_name, parse_path
from web.triggers.scim_schemas import COMPLEX, PATCH, SEVERAL, SIMPLE, SWITCH
from web.triggers.settings import ScimSubject

Document = dict[str, Any]
MAX_TEXT: Final = 1024
MAX_VALUES: Final = 50
MAX_OPERATIONS: Final = 200
_SWITCHES: Final = {"true": True, "false": False}
_NAMING: Final = ("userName", "externalId")
_NEVER_REMOVED: Final = ("userName", "active")


def read_user(plain: Mapping[str, Any], subject: ScimSubject) -> Document:
    """A user from what a provider sent as a whole.

    Raises:
        ScimError: something in it cannot be, or there is nothing to tell who it is.
    """
    document: Document = {}
    for member, value in plain.items():
        try:
            name = attribute_name(member)
        except ScimError:
            continue  # RFC 7644 §3.3: what a server does not know it may pass over
        if name is None or value is None:
            continue
        if name in document:
            raise ScimError("invalidSyntax", f"{name} is there twice")
        document[name] = _whole(name, value)
    document.setdefault("active", True)
    check_user(document, subject)
    return document


def check_user(document: Document, subject: ScimSubject) -> None:
    """That it says who it is.

    Raises:
        ScimError: it does not, and could not be kept out.
    """
    if not document.get("userName"):
        raise ScimError("invalidValue", "a user needs a userName")
    if not document.get(subject.value):
        raise ScimError(
            "invalidValue", f"a user needs {subject.value}: it says whose logins these are; map it"
        )


def patched(document: Document, plain: Mapping[str, Any], subject: ScimSubject) -> Document:
    """The user after a PATCH: all of its operations, or none (RFC 7644 §3.5.2).

    Raises:
        ScimError: one of them cannot be done.
    """
    members = {name.lower(): value for name, value in plain.items()}
    asked = members.get("schemas")
    if not isinstance(asked, list) or PATCH.lower() not in [
        each.lower() for each in asked if isinstance(each, str)
    ]:
        raise ScimError("invalidSyntax", "it is not said to be a PatchOp")
    operations = members.get("operations")
    if not isinstance(operations, list) or not 0 < len(operations) <= MAX_OPERATIONS:
        raise ScimError("invalidSyntax", "it has no operations, or too many")
    changed = {name: _copied(value) for name, value in document.items()}
    for operation in operations:
        if not isinstance(operation, Mapping):
            raise ScimError("invalidSyntax", "an operation is no object")
        _operate(changed, {str(name).lower(): value for name, value in operation.items()})
    check_user(changed, subject)
    return changed


def _operate(document: Document, operation: Mapping[str, Any]) -> None:
    verb, path = operation.get("op"), operation.get("path")
    verb = verb.lower() if isinstance(verb, str) else ""
    if verb not in {"add", "replace", "remove"}:
        raise ScimError("invalidSyntax", "an operation is none of add, replace, remove")
    if path is not None and not isinstance(path, str):
        raise ScimError("invalidPath", "a path is no text")
    if verb == "remove":
        if not path:
            raise ScimError("noTarget", "remove what?")
        found = parse_path(path)
        if found is not None:
            _remove(document, found)
        return
    if "value" not in operation:
        raise ScimError("invalidValue", f"{verb} what?")
    value = operation["value"]
    if path:
        _put(document, parse_path(path), value, adding=verb == "add")
        return
    if not isinstance(value, Mapping):
        raise ScimError("invalidValue", "without a path the value is an object")
    for member, inner in value.items():
        _put(document, parse_path(str(member)), inner, adding=verb == "add")


def _put(document: Document, path: Path | None, value: Any, *, adding: bool) -> None:
    if path is None:
        return
    name = path.name
    if name in SIMPLE:
        if path.part:
            raise ScimError("invalidPath", f"{name} has no parts")
        document[name] = _simple(name, SIMPLE[name], value)
    elif name in COMPLEX:
        held = document.setdefault(name, {})
        if path.part:
            held[path.part] = _simple(path.part, COMPLEX[name][path.part], value)
        else:
            held.update(_parts(name, COMPLEX[name], value))
    elif path.which is None and not path.part:
        new = _values(name, value)
        old = document.get(name, []) if adding else []
        document[name] = _one_primary(old, [each for each in new if each not in old])
    else:
        _put_into(document, path, value)
    if document.get(name) in ({}, []):
        del document[name]


def _put_into(document: Document, path: Path, value: Any) -> None:
    """Into those of several values that are chosen."""
    name, which = path.name, path.which
    values: list[Document] = document.setdefault(name, [])
    chosen = [each for each in values if _is_chosen(each, path)]
    if not chosen and which is not None:
        # As Entra means it; RFC 7644 §3.5.2.3 would have it refused.
        chosen = [{which.name: _simple(which.name, SEVERAL[name][which.name], which.value)}]
        if len(values) >= MAX_VALUES:
            raise ScimError("invalidValue", f"{name} has too many values")
        values += chosen
    parts = (
        {path.part: _simple(path.part, SEVERAL[name][path.part], value)}
        if path.part
        else _parts(name, SEVERAL[name], value)
    )
    for each in chosen:
        each.update(parts)
    if parts.get("primary") is True and chosen:
        document[name] = _one_primary([each for each in values if each is not chosen[0]], [chosen[0]])


def _remove(document: Document, path: Path) -> None:
    name = path.name
    if name in _NEVER_REMOVED:
        raise ScimError("mutability", f"{name} cannot be taken away")
    if name not in document:
        return
    if name in SEVERAL and (path.which is not None or path.part):
        values: list[Document] = document[name]
        if path.part:
            for each in values:
                if _is_chosen(each, path):
                    each.pop(path.part, None)
            document[name] = [each for each in values if each]
        else:
            document[name] = [each for each in values if not _is_chosen(each, path)]
    elif path.part and name in COMPLEX:
        document[name].pop(path.part, None)
    elif path.part:
        raise ScimError("invalidPath", f"{name} has no parts")
    else:
        del document[name]
    if document.get(name) in ({}, []):
        del document[name]


def _is_chosen(value: Mapping[str, Any], path: Path) -> bool:
    if path.which is None:
        return True
    held, wanted = value.get(path.which.name), path.which.value
    if isinstance(held, str) and isinstance(wanted, str):
        return held.casefold() == wanted.casefold()
    return held is wanted or (held is None and wanted is False)


def _whole(name: str, value: Any) -> Any:
    if name in SIMPLE:
        return _simple(name, SIMPLE[name], value)
    if name in COMPLEX:
        return _parts(name, COMPLEX[name], value)
    return _one_primary([], _values(name, value))


def _simple(name: str, kind: str, value: Any) -> str | bool:
    if kind == SWITCH:
        found = _SWITCHES.get(value.strip().lower()) if isinstance(value, str) else value
        if not isinstance(found, bool):
            # Whoever asks to shut somebody out must not be told yes and be misread.
            raise ScimError("invalidValue", f"{name} is neither true nor false")
        return found
    if name in _NAMING:
        text = plain_text(value)
        if text is None or text != text.strip():
            raise ScimError("invalidValue", f"{name} is no text that could be somebody's")
        return text
    if not isinstance(value, str) or len(value) > MAX_TEXT or any(ord(each) < 32 for each in value):
        raise ScimError("invalidValue", f"{name} is no text, or too long")
    return value


def _parts(name: str, parts: Mapping[str, str], value: Any) -> Document:
    if not isinstance(value, Mapping):
        raise ScimError("invalidValue", f"{name} is no object")
    known = {part.lower(): part for part in parts}
    found: Document = {}
    for member, inner in value.items():
        part = known.get(str(member).lower())
        if part is not None and inner is not None:
            found[part] = _simple(part, parts[part], inner)
    return found


def _values(name: str, value: Any) -> list[Document]:
    given = value if isinstance(value, list) else [value]
    if len(given) > MAX_VALUES:
        raise ScimError("invalidValue", f"{name} has too many values")
    found = [_parts(name, SEVERAL[name], each) for each in given]
    return [each for each in found if each]


def _one_primary(old: list[Document], new: list[Document]) -> list[Document]:
    """Both; of several the newest that says so is the primary one (RFC 7644 §3.5.2)."""
    if len(old) + len(new) > MAX_VALUES:
        raise ScimError("invalidValue", "has too many values")
    values = [*old, *new]
    first = next((each for each in reversed(values) if each.get("primary") is True), None)
    return [
        {**each, "primary": False} if each.get("primary") is True and each is not first else each
        for each in values
    ]


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(value)
    return [dict(each) for each in value] if isinstance(value, list) else value
