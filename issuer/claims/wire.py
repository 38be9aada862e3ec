"""How a claim becomes JSON, byte for byte as the Go library writes it, and back without loss.

Writing: fields in declared order, empty ones left out, maps sorted by key, five characters
escaped inside strings (claims spec §2.2). Reading takes the short way when the bytes are what
we would write ourselves, which proves in one comparison that nothing is unknown, doubled or
misspelt; everything else takes the careful way, which refuses doubled members and case
variants of known ones, and keeps unknown members in `extra`.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, TypeVar

import msgspec

from issuer.errors import PeerError

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
UInt8 = Annotated[int, msgspec.Meta(ge=0, le=255)]
UInt64 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # the upper half is nobody's number

# A member name no document may use, so that a claim's unknown members have a place of their own.
EXTRA: Final = "\x7fextra"


class ClaimSyntaxError(PeerError):
    """The JSON of a claim is not what its type allows."""

    code = "claims.syntax"


class AmbiguousMemberError(ClaimSyntaxError):
    """A member in another spelling than its own: servers read it, we do not."""

    code = "claims.ambiguous"


class Claim(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Base of every JSON object in a token."""

    # Whether it holds members of any shape, whose numbers must then be written Go's way.
    __wire_free__: ClassVar[bool] = False

    extra: dict[str, Any] = msgspec.field(default_factory=dict, name=EXTRA)


C = TypeVar("C", bound=Claim)


def always(kind: type[Any]) -> Any:
    """A field that is written even when it is empty, as Go writes fields without `omitempty`."""
    # msgspec leaves out a field that *is* its default; a value made by a factory never is.
    return msgspec.field(default_factory=kind)


_encoder = msgspec.json.Encoder(order="deterministic")
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}
_EXTRA_MARK: Final = b'"\x7fextra":'
_DELETE: Final = 0x7F


def escape(data: bytes) -> bytes:
    """Go's HTML-safe form: `<` `>` `&` and the two line separators as escapes."""
    # Outside strings JSON has none of these, so replacing bytes is exact.
    data = data.replace(b">", b"\\u003e").replace(b"<", b"\\u003c").replace(b"&", b"\\u0026")
    if data.isascii():
        return data
    return data.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")


def to_json(claim: Claim) -> bytes:
    """The canonical bytes of a claim, `extra` members after the known ones of their object.

    Raises:
        ClaimSyntaxError: a text in it is not Unicode, which no token can carry.
    """
    try:
        data = _encoder.encode(claim)
        if claim.__wire_free__:
            data = msgspec.json.encode(_go_numbers(to_plain(claim)))
        elif _DELETE in data and _marked(data):
            # Members Go does not know keep their own spelling of numbers.
            data = msgspec.json.encode(to_plain(claim))
    except UnicodeEncodeError:
        raise ClaimSyntaxError("a text holds half a surrogate pair") from None
    return escape(data)


def _marked(data: bytes) -> bool:
    # Callers ask for the one rare byte first, which is many times faster than asking for the name.
    return _EXTRA_MARK in data


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


def _go_numbers(value: Any) -> Any:
    """The same values, floats in the spelling of Go's `encoding/json` (claims spec §2.2)."""
    if isinstance(value, dict):
        return {name: _go_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_go_numbers(inner) for inner in value]
    return msgspec.Raw(go_float(value).encode()) if isinstance(value, float) else value


def go_float(value: float) -> str:
    """The shortest digits; an exponent only below 1e-6 and from 1e21 on."""
    if value and not 1e-6 <= abs(value) < 1e21:
        return repr(value).replace("e-0", "e-")
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def from_json(data: bytes, kind: type[C]) -> C:
    """Read a claim of a known type.

    Raises:
        ClaimSyntaxError: not JSON, a doubled member, a member in the wrong case or of the
            wrong type; `at` is a JSON pointer where one is known.
    """
    claim = from_canonical(data, kind)
    return from_plain(strict_object(data), kind) if claim is None else claim


def from_canonical(data: bytes, kind: type[C]) -> C | None:
    """Read a claim from exactly the bytes we would write; None for any others, good or bad."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        claim: C = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # Equal bytes hold no doubled, unknown or misspelt member; and a document that names the
    # private slot itself would not have been written so.
    if (_DELETE in data and _marked(data)) or escape(_encoder.encode(claim)) != data:
        return None
    return claim


def from_plain(plain: dict[str, Any], kind: type[C]) -> C:
    """Build a claim from plain JSON values, keeping members it does not know in `extra`.

    Raises:
        ClaimSyntaxError: a member of the wrong type or in the wrong case.
    """
    try:
        return msgspec.convert(_shape(plain, kind, ""), kind)
    except msgspec.ValidationError as error:
        message, pointer = _place(str(error))
        raise ClaimSyntaxError(message, at=pointer) from None
    except RecursionError:
        raise ClaimSyntaxError("is nested too deeply") from None


def strict_object(data: bytes) -> dict[str, Any]:
    """Parse one JSON object, refusing doubled members and anything after it.

    Raises:
        ClaimSyntaxError: that, and every text or number that readers might take differently.
    """
    try:
        plain = json.loads(
            data.decode(), object_pairs_hook=_members, parse_constant=_no_number, parse_float=_finite
        )
        # An escape may hide half a surrogate pair, which some readers replace and some refuse.
        if b"\\ud" in data.lower():
            json.dumps(plain, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise ClaimSyntaxError("is not UTF-8") from None
    except UnicodeEncodeError:
        raise ClaimSyntaxError("a text holds half a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise ClaimSyntaxError(f"is not JSON: {error.msg} at character {error.pos}") from None
    except ValueError:
        raise ClaimSyntaxError("a number has too many digits") from None
    except RecursionError:
        raise ClaimSyntaxError("is nested too deeply") from None
    if not isinstance(plain, dict):
        raise ClaimSyntaxError("is not a JSON object")
    return plain


def _members(items: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(items)
    if len(made) != len(items):
        names = [name for name, _ in items]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ClaimSyntaxError(f"member {doubled!r} appears twice")
    return made


def _no_number(text: str) -> Any:
    raise ClaimSyntaxError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ClaimSyntaxError(f"the number {text[:40]} is too large")
    return value


def _shape(value: Any, kind: Any, at: str) -> Any:
    """Bring plain JSON to the shape msgspec expects: nulls dropped, unknown members set aside."""
    if isinstance(value, dict):
        if EXTRA in value:
            raise ClaimSyntaxError(f"no member may be named {EXTRA!r}", at=at or "/")
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
    known, folded = _members_of(struct)
    shaped: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    reform = getattr(struct, "__wire_reform__", None)
    for name, item in value.items():
        if name in known:
            # Go reads null as absent.
            if item is not None:
                item = reform(name, item) if reform else item
                shaped[name] = _shape(item, known[name], f"{at}/{name}")
        elif name.casefold() in folded:
            raise AmbiguousMemberError(
                f"member {name!r} is a known member in other letter case", at=f"{at}/{name}"
            )
        else:
            extra[name] = _shape(item, Any, f"{at}/{name}")
    if extra:
        shaped[EXTRA] = extra
    return shaped


@lru_cache(maxsize=64)
def _members_of(struct: type[Claim]) -> tuple[dict[str, Any], frozenset[str]]:
    known = {
        field.encode_name: field.type
        for field in msgspec.structs.fields(struct)
        if field.encode_name != EXTRA
    }
    return known, frozenset(name.casefold() for name in known)


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
    import types
    import typing

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
