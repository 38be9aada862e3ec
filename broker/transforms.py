"""Subjects turned into other subjects: transforms, and the weighted mappings of an account.

Enforcement spec §4.2-4.4. A transform has a source pattern and a destination whose tokens are
taken as they stand or computed from the source's wildcards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Self

from broker.placeholders import (
    OUT_OF_RANGE,
    Chance,
    Function,
    Placeholder,
    TransformError,
    compute,
    is_wildcard_call,
    looks_like_function,
    parse,
    refused,
)
from issuer.claims.account import WeightedMapping

__all__ = ["Chance", "Mappings", "Transform", "TransformError", "as_pattern", "with_references", "within"]

_ONE: Final = "*"
_REST: Final = ">"
_WHOLE: Final = 100
_BLANKS: Final = frozenset("\t\n\f\r ")
# What may stand for a source without wildcards.
_WITHOUT_WILDCARDS: Final = frozenset({Function.RANDOM, Function.PARTITION})

Piece = str | tuple[Placeholder, tuple[int, ...]]


class Transform:
    """From subjects that match `source` to `destination`.

    With `strict` it serves an import: only wildcards may be placed, and all must be used.
    """

    __slots__ = ("_identity", "_literal", "_pieces", "_rest", "_source", "destination", "source")

    def __init__(self, source: str, destination: str, *, strict: bool = False) -> None:
        self.source = source
        self.destination = destination
        self._source = source.split(".")
        target = destination.split(".")
        if not _sound(self._source) or not _sound(target) or _ONE in target:
            raise TransformError("invalid subject", at=f"{source} to {destination}")
        open_ended = target[-1] == _REST
        if (self._source[-1] == _REST) is not open_ended:
            raise TransformError("invalid subject", at=f"{source} to {destination}")
        self._pieces = self._compile(target[:-1] if open_ended else target, strict=strict)
        self._rest = len(self._source) - 1 if open_ended else None
        fixed = all(isinstance(piece, str) for piece in self._pieces)
        self._literal = destination if fixed and not open_ended else None
        self._identity = with_references(source) == destination

    def _compile(self, target: list[str], *, strict: bool) -> tuple[Piece, ...]:
        stars = [place for place, token in enumerate(self._source) if token == _ONE]
        wild = bool(stars) or self._source[-1] == _REST
        pieces: list[Piece] = []
        used = 0
        for token in target:
            placeholder = parse(token)
            if placeholder is None:
                pieces.append(token)
                continue
            if not wild:
                if placeholder.function not in _WITHOUT_WILDCARDS:
                    raise refused(OUT_OF_RANGE, token)
                pieces.append((placeholder, ()))
                continue
            if strict and placeholder.function is not Function.WILDCARD:
                words = "the only mapping function allowed for import transforms is {{Wildcard()}}"
                raise refused(words, token)
            for number in placeholder.wildcards:
                if number > len(stars):
                    raise refused(OUT_OF_RANGE, f"{token}: [{number}]")
            # Zero and below are let pass, and then stand for the first token of all.
            places = tuple(stars[n - 1] if n > 0 else 0 for n in placeholder.wildcards)
            used += len(places)
            pieces.append((placeholder, places))
        if strict and used < len(stars):
            raise refused("not using all of the token wildcard(s)", self.destination)
        return tuple(pieces)

    def __repr__(self) -> str:
        return f"Transform({self.source!r}, {self.destination!r})"

    def apply(self, subject: str, chance: Chance | None = None) -> str | None:
        """What the subject becomes; None when the source does not match it."""
        if self._literal is not None and subject == self.source:
            return self._literal
        tokens = subject.split(".")
        if not within(tokens, self._source):
            return None
        return subject if self._identity else self.render(tokens, chance)

    def render(self, tokens: Sequence[str], chance: Chance | None = None) -> str:
        """The destination for a subject of these tokens, which the caller knows to match."""
        if self._literal is not None:
            return self._literal
        made = [
            piece if isinstance(piece, str) else compute(*piece, tokens, chance) for piece in self._pieces
        ]
        if self._rest is not None:
            made += tokens[self._rest :]
        return ".".join(made)

    def show(self, subject: str) -> str:
        """The destination for a matching subject, with what chance decides left as it is written."""
        tokens = subject.split(".")
        made = []
        for piece, written in zip(self._pieces, self.destination.split("."), strict=False):
            random = not isinstance(piece, str) and piece[0].function is Function.RANDOM
            made.append(
                piece if isinstance(piece, str) else written if random else compute(*piece, tokens, None)
            )
        return ".".join(made + tokens[self._rest :] if self._rest is not None else made)

    def reversed(self) -> Transform | None:
        """The way back as nats-server makes it; None where it makes none.

        It puts the placeholders of the destination in the order of the source's wildcards,
        which is the true way back only while wildcards stay or change places in pairs.
        """
        pattern, places = _untokenized(self.destination)
        back = []
        for token in self._source:
            if token != _ONE:
                back.append(token)
            elif places:
                back.append(places.pop(0))
            else:
                return None
        try:
            return Transform(pattern, ".".join(back), strict=True)
        except TransformError:
            return None


class _Route:
    """One source, and where its messages go: (number below which chance must fall, transform)."""

    __slots__ = ("shares", "source", "tokens")

    def __init__(self, source: str, shares: tuple[tuple[int, Transform], ...]) -> None:
        self.source = source
        self.tokens = source.split(".")
        self.shares = shares


class Mappings:
    """The mappings of an account: what a published subject is taken for.

    nats-server tries sources in an order that changes with every start where several match. Here
    the narrowest always wins: literal tokens before `*` before `>`, from the left.
    """

    __slots__ = ("_literal", "_wild", "empty", "invalid")

    def __init__(self, routes: Sequence[_Route], invalid: Mapping[str, str]) -> None:
        self._literal = {each.source: each for each in routes if not _wild(each.tokens)}
        self._wild = sorted((each for each in routes if any(_breadth(each))), key=_breadth)
        self.empty = not routes
        self.invalid = invalid
        """Sources whose mapping is not in force, each with the reason."""

    @classmethod
    def of(cls, mappings: Mapping[str, Sequence[WeightedMapping]], cluster: str = "") -> Self:
        """What claims say, for a server of that cluster. An invalid mapping is left out whole."""
        routes, invalid = [], {}
        for source, destinations in mappings.items():
            try:
                routes.append(_Route(str(source), _shares(str(source), destinations, cluster)))
            except TransformError as error:
                invalid[str(source)] = error.message
        return cls(routes, invalid)

    def choose(self, subject: str, chance: Chance) -> str | None:
        """What the subject becomes: itself when nothing maps it, None when the message is lost."""
        if self.empty:
            return subject
        tokens = subject.split(".")
        route = self._find(subject, tokens)
        if route is None:
            return subject
        shares = route.shares
        if len(shares) == 1 and shares[0][0] == _WHOLE:
            return shares[0][1].render(self._seen(route, tokens), chance)
        drawn = int(chance() * _WHOLE)
        for below, transform in shares:
            if drawn < below:
                return transform.render(self._seen(route, tokens), chance)
        return None

    def static(self, subject: str) -> bool:
        """Whether no mapping touches the subject, ever."""
        return self.empty or self._find(subject, subject.split(".")) is None

    def source(self, subject: str) -> str | None:
        """The source of the mapping that a subject falls under."""
        route = None if self.empty else self._find(subject, subject.split("."))
        return None if route is None else route.source

    def destinations(self, subject: str) -> tuple[tuple[str | None, int], ...]:
        """Every subject that this one may become, with its percentage; None stands for loss."""
        route = None if self.empty else self._find(subject, subject.split("."))
        if route is None:
            return ((subject, _WHOLE),)
        made: list[tuple[str | None, int]] = []
        floor = 0
        for below, transform in route.shares:
            if below > floor:
                made.append((transform.show(subject), below - floor))
            floor = max(floor, below)
        return tuple(made) if floor >= _WHOLE else (*made, (None, _WHOLE - floor))

    def _find(self, subject: str, tokens: list[str]) -> _Route | None:
        exact = self._literal.get(subject)
        if exact is not None:
            return exact
        return next((each for each in self._wild if within(tokens, each.tokens)), None)

    def _seen(self, route: _Route, tokens: list[str]) -> list[str]:
        # A subject found whole is not taken apart, so that a partition of it all is one of nothing.
        return [] if route.source in self._literal else tokens


def _shares(
    source: str, destinations: Sequence[WeightedMapping], cluster: str
) -> tuple[tuple[int, Transform], ...]:
    if not _valid_subject(source):
        raise TransformError("invalid subject", at=source)
    seen: set[str] = set()
    totals: dict[str, int] = {}
    groups: dict[str, list[tuple[int, Transform]]] = {"": []}
    for each in destinations:
        text = str(each.subject)
        if text in seen:
            raise TransformError(f'duplicate entry for "{text}"', at=source)
        seen.add(text)
        weight = each.weight or _WHOLE
        totals[each.cluster] = totals.get(each.cluster, 0) + weight
        if weight > _WHOLE:
            raise TransformError("individual weights need to be <= 100", at=source)
        if totals[each.cluster] > _WHOLE:
            raise TransformError("total weight needs to be <= 100", at=source)
        _require_mappable(text)
        groups.setdefault(each.cluster, []).append((weight, Transform(source, text)))
    group = groups.get(cluster) or groups[""]
    total = sum(weight for weight, _ in group)
    if total != _WHOLE and source not in seen:
        group = [*group, (_WHOLE - total, Transform(source, with_references(source)))]
    # The lightest first, as the server draws; the listed order decides between equals.
    shares, below = [], 0
    for weight, transform in sorted(group, key=lambda share: share[0]):
        below += weight
        shares.append((below, transform))
    return tuple(shares)


def _require_mappable(destination: str) -> None:
    ended = False
    for token in destination.split("."):
        if ended or not token:
            raise refused("invalid transform", token)
        ended = token == _REST
        if not looks_like_function(token) and not _BLANKS.isdisjoint(token):
            raise refused("invalid transform")


def within(tokens: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a subject or pattern, as tokens, is one of those that the pattern takes in.

    As nats-server asks it for mappings and exports: a pattern's token that merely begins with
    `*` takes in any token.
    """
    for place, want in enumerate(pattern):
        if place >= len(tokens) or not want:
            return False
        if want == _REST:
            return True
        have = tokens[place]
        if not have or have == _REST or (have == _ONE and want != _ONE):
            return False
        if want[0] != _ONE and have != want:
            return False
    return len(tokens) == len(pattern)


def with_references(pattern: str) -> str:
    """A pattern as a destination: its `*` become `$1`, `$2` and so on."""
    made, number = [], 0
    for token in pattern.split("."):
        if token == _ONE:
            number += 1
            made.append(f"${number}")
        else:
            made.append(token)
    return ".".join(made)


def as_pattern(destination: str) -> str:
    """A destination as a pattern: its references become `*`."""
    return _untokenized(destination)[0]


def _untokenized(destination: str) -> tuple[str, list[str]]:
    made, references = [], []
    for token in destination.split("."):
        if (token[:1] == "$" and token[1:2] in set("123456789")) or is_wildcard_call(token):
            references.append(token)
            made.append(_ONE)
        else:
            made.append(token)
    return ".".join(made), references


def _sound(tokens: Sequence[str]) -> bool:
    return "" not in tokens and _REST not in tokens[:-1]


def _valid_subject(subject: str) -> bool:
    return _sound(subject.split(".")) and _BLANKS.isdisjoint(subject)


def _wild(tokens: Sequence[str]) -> bool:
    return _ONE in tokens or tokens[-1] == _REST


def _breadth(route: _Route) -> tuple[int, ...]:
    # As `within` has it, whatever begins with a star takes in any token.
    return tuple(2 if token == _REST else 1 if token[0] == _ONE else 0 for token in route.tokens)
