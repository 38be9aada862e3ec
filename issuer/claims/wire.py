"""How a claim becomes JSON, byte for byte as the Go library writes it, and back without loss.

Writing: fields in declared order, empty ones left out, maps sorted by key, five characters
escaped inside strings (claims spec §2.2). Reading takes the short way when the bytes are what
we would write ourselves, which proves in one comparison that nothing is unknown, doubled or
misspelt; everything else takes the careful way, which refuses doubled members and case
variants of known ones, and keeps unknown members in `extra`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, TypeVar

import msgspec

from issuer.errors import PeerError

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

# A member name no document may use, so that a claim's unknown members have a place of their own.
EXTRA: Final = "\x00extra"


class ClaimSyntaxError(PeerError):
    """The JSON of a claim is not what its type allows."""

    code = "claims.syntax"


class Claim(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Base of every JSON object in a token."""

    extra: dict[str, Any] = msgspec.field(default_factory=dict, name=EXTRA)


C = TypeVar("C", bound=Claim)


def always(kind: type[Any]) -> Any:
    """A field that is written even when it is empty, as Go writes fields without `omitempty`."""
    # msgspec leaves out a field that *is* its default; a value made by a factory never is.
    return msgspec.field(default_factory=kind)


_encoder = msgspec.json.Encoder(order="deterministic")
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}
_EXTRA_MARK: Final = b"\\u0000extra"


def escape(data: bytes) -> bytes:
    """Go's HTML-safe form: `<` `>` `&` and the two line separators as \\u escapes."""
    # Outside strings JSON has none of these, so replacing bytes is exact.
    if b">" in data:
        data = data.replace(b">", b"\\u003e")
    if b"<" in data:
        data = data.replace(b"<", b"\\u003c")
    if b"&" in data:
        data = data.replace(b"&", b"\\u0026")
    if b"\xe2\x80" in data:
        data = data.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return data


def to_json(claim: Claim) -> bytes:
    """The canonical bytes of a claim, `extra` members after the known ones of their object."""
    data = _encoder.encode(claim)
    if _EXTRA_MARK in data:
        data = msgspec.json.encode(_spread(msgspec.to_builtins(claim, order="deterministic")))
    return escape(data)


def to_plain(claim: Claim) -> dict[str, Any]:
    """The claim as plain dicts and lists, in wire order: what `--json` shows."""
    plain: dict[str, Any] = _spread(msgspec.to_builtins(claim, order="deterministic"))
    return plain


def _spread(value: Any) -> Any:
    if isinstance(value, dict):
        extra = value.pop(EXTRA, {})
        value = {name: _spread(inner) for name, inner in value.items()}
        return {**value, **extra}
    if isinstance(value, list | tuple):
        return [_spread(inner) for inner in value]
    return value


def from_json(data: bytes, kind: type[C]) -> C:
    """Read a claim of a known type.

    Raises:
        ClaimSyntaxError: not JSON, a doubled member, a member in the wrong case or of the
            wrong type; `at` is a JSON pointer where one is known.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        claim: C = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return from_plain(strict_object(data), kind)
    # Bytes equal to our own writing hold no doubled, unknown or misspelt member. A document
    # that names the private slot itself is never taken this way.
    if _EXTRA_MARK not in data and escape(_encoder.encode(claim)) == data:
        return claim
    return from_plain(strict_object(data), kind)


def from_plain(plain: dict[str, Any], kind: type[C]) -> C:
    """Build a claim from plain JSON values, keeping members it does not know in `extra`."""
    shaped = _shape(plain, kind, "")
    try:
        return msgspec.convert(shaped, kind)
    except msgspec.ValidationError as error:
        message, pointer = _place(str(error))
        raise ClaimSyntaxError(message, at=pointer) from None


def strict_object(data: bytes) -> dict[str, Any]:
    """Parse one JSON object, refusing doubled members and anything after it."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) != len(items):
            names = [name for name, _ in items]
            doubled = next(name for name in names if names.count(name) > 1)
            raise ClaimSyntaxError(f"member {doubled!r} appears twice")
        return made

    def refuse(text: str) -> Any:
        raise ClaimSyntaxError(f"{text} is not a JSON number")

    try:
        plain = json.loads(data.decode(), object_pairs_hook=pairs, parse_constant=refuse)
    except UnicodeDecodeError:
        raise ClaimSyntaxError("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ClaimSyntaxError(f"is not JSON: {error.msg} at byte {error.pos}") from None
    except RecursionError:
        raise ClaimSyntaxError("is nested too deeply") from None
    if not isinstance(plain, dict):
        raise ClaimSyntaxError("is not a JSON object")
    return plain


def _shape(value: Any, kind: Any, at: str) -> Any:
    """Bring plain JSON to the shape msgspec expects: nulls dropped, unknown members set aside."""
    if isinstance(value, dict):
        struct = _struct_of(kind)
        if struct is not None:
            return _shape_object(value, struct, at)
        inner = _item_of(kind)
        return {name: _shape(item, inner, f"{at}/{name}") for name, item in value.items()}
    if isinstance(value, list):
        inner = _item_of(kind)
        return [_shape(item, inner, f"{at}/{index}") for index, item in enumerate(value)]
    return value


def _shape_object(value: dict[str, Any], struct: type[Claim], at: str) -> dict[str, Any]:
    known = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    lowered = {name.lower() for name in known}
    shaped: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    reform = getattr(struct, "__wire_reform__", None)
    for name, item in value.items():
        if name == EXTRA:
            raise ClaimSyntaxError("a member name may not start with a NUL character", at=at or "/")
        if name in known:
            # Go reads null as absent.
            if item is not None:
                item = reform(name, item) if reform else item
                shaped[name] = _shape(item, known[name], f"{at}/{name}")
        elif name.lower() in lowered:
            raise ClaimSyntaxError(
                f"member {name!r} is a known member in other letter case", at=f"{at}/{name}"
            )
        else:
            extra[name] = item
    if extra:
        shaped[EXTRA] = extra
    return shaped


def _struct_of(kind: Any) -> type[Claim] | None:
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, Claim):
            return option
    return None


def _item_of(kind: Any) -> Any:
    """The element type of the list or map that `kind` may be."""
    for option in _options(kind):
        inner = getattr(option, "__args__", None)
        if inner:
            origin = getattr(option, "__origin__", None)
            return inner[1] if origin is dict else inner[0]
    return None


def _options(kind: Any) -> tuple[Any, ...]:
    import types  # noqa: PLC0415  only the careful way needs these two
    import typing  # noqa: PLC0415

    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return typing.get_args(kind)
    return (kind,)


def _place(text: str) -> tuple[str, str | None]:
    """Split msgspec's "Expected `int`, got `str` - at `$.nats.subs`" into words and a pointer."""
    message, separator, path = text.partition(" - at `")
    if not separator:
        return _lower(message), None
    path = path.rstrip("`").removeprefix("$").replace("[...]", "/*")
    pointer = path.replace(".", "/").replace("[", "/").replace("]", "")
    return _lower(message), pointer or "/"


def _lower(message: str) -> str:
    return (message[:1].lower() + message[1:]).replace("`", "")
