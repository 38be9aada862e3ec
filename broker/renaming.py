"""How the subjects of imports change between importer and exporter (enforcement spec §4.2, §4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, Protocol

from broker.exporting import DEFAULT_THRESHOLD_NS
from broker.transforms import Transform, TransformError, as_pattern, with_references, within
from issuer.errors import Refused
from issuer.keys.nkeys import PublicKey
from issuer.subjects import has_wildcards

_REST: Final = ">"
_ONE: Final = "*"


class RenamingError(Refused):
    """Two subjects that cannot be turned into each other; the words are nats-server's."""

    code = "import.renaming"


class Renaming(Protocol):
    """One subject turned into another."""

    def apply(self, subject: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Whatever matches `source` becomes one and the same subject."""

    source: str
    destination: str

    def apply(self, subject: str) -> str | None:
        fits = subject == self.source or within(subject.split("."), self.source.split("."))
        return self.destination if fits else None


@dataclass(frozen=True, slots=True)
class StreamImport:
    """A stream of another account. `subject` is the exporter's, `local` the pattern seen here."""

    index: int
    exporter: PublicKey
    subject: str
    local: str
    to_local: Renaming
    back: Renaming | None
    """From subjects and patterns below `local` to the exporter's; None where they are the same."""
    allow_trace: bool = False
    expires: int | None = None

    def to_exporter(self, subject: str) -> str:
        """The exporter's subject for one below `local`; a wildcard stays one."""
        return subject if self.back is None else self.back.apply(subject) or self.subject

    def listens_to(self, subscription: str) -> str | None:
        """What a subscription here must listen to in the exporter; None when the two never meet."""
        if subscription == self.local:
            return self.subject
        tokens, local = subscription.split("."), self.local.split(".")
        if within(tokens, local):
            return self.to_exporter(subscription)
        if not has_wildcards(subscription):
            return None
        if within(local, tokens):
            return self.subject
        narrowed = _narrowed(tokens, local)
        return self.to_exporter(".".join(narrowed)) if within(narrowed, local) else None


@dataclass(frozen=True, slots=True)
class ServiceImport:
    """A service of another account: requests to `local` here become requests to `subject` there."""

    index: int
    exporter: PublicKey
    subject: str
    local: str
    to_exporter: Renaming
    export: str
    """The export's own subject: two imports of one export never follow each other."""
    response_type: str = "Singleton"
    threshold_ns: int = DEFAULT_THRESHOLD_NS
    share: bool = False
    allow_trace: bool = False
    expires: int | None = None


def prefixed(prefix: str, subject: str) -> str:
    if not prefix:
        return subject
    if has_wildcards(prefix):
        raise RenamingError("stream import prefix can not contain wildcard tokens")
    return f"{prefix.removesuffix('.')}.{subject}"


def stream_names(subject: str, local: str) -> tuple[Renaming, Renaming | None, str]:
    """How subjects change on the way in and back, and the pattern they are seen under."""
    if not has_wildcards(subject):
        return Fixed(subject, local), Fixed(local, subject), local
    if local == subject:
        return Transform(subject, with_references(subject)), None, local
    transform = _strict_transform("stream", subject, local)
    back = transform.reversed()
    if back is None:
        raise RenamingError(f"there is no way back from {local} to {subject}")
    return transform, back, as_pattern(local)


def service_names(subject: str, local: str) -> tuple[Renaming, str]:
    """How the subject of a request changes, and the pattern that requests are made to."""
    if not has_wildcards(subject):
        return Fixed(local, subject), local
    if local == subject:
        return Transform(subject, with_references(subject)), local
    pattern = as_pattern(local)
    # Without a way back every request goes to the pattern itself, taken as a subject.
    return _strict_transform("service", subject, local).reversed() or Fixed(pattern, subject), pattern


def _strict_transform(kind: str, subject: str, local: str) -> Transform:
    try:
        return Transform(subject, with_references(local), strict=True)
    except TransformError as error:
        start, end = (local, subject) if kind == "service" else (subject, local)
        words = (
            f"failed to create mapping transform for {kind} import subject "
            f'from "{start}" to "{end}": {error.message}'
        )
        raise RenamingError(words) from None


def _narrowed(tokens: Sequence[str], local: Sequence[str]) -> list[str]:
    """A subscription with what the import says in the place of its wildcards."""
    beside = zip_longest(tokens, local[: len(tokens)], fillvalue=_REST)
    made = [theirs if ours == _ONE and theirs != _REST else ours for ours, theirs in beside]
    if made[-1] == _REST and len(local) >= len(made):
        made[-1:] = local[len(made) - 1 :]
    return made


def collide(one: str, other: str) -> bool:
    """Whether two patterns may both match some subject, as nats-server asks it for cycles."""
    if one == other:
        return True
    left, right = one.split("."), other.split(".")
    if not has_wildcards(one):
        return within(left, right)
    if not has_wildcards(other):
        return within(right, left)
    if len(left) != len(right):
        shorter = min(left, right, key=len)
        if _REST not in shorter:
            return False
    return all(
        a == b or a[:1] in (_ONE, _REST) or b[:1] in (_ONE, _REST) for a, b in zip(left, right, strict=False)
    )


def valid(subject: str) -> bool:
    tokens = subject.split(".")
    return "" not in tokens and _REST not in tokens[:-1] and not set("\t\n\f\r ") & set(subject)
