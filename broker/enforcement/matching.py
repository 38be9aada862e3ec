"""Many patterns at once: which of them a subject matches, at a cost that does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

ONE: Final = "*"
REST: Final = ">"
_WILD: Final = frozenset({ONE, REST})
PLAIN: Final = ""
"""The label of a pattern without a queue."""


class _Node:
    __slots__ = ("children", "labels", "one", "plain", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.labels: tuple[str, ...] = ()
        self.plain = False
        """An entry without a queue ends here."""
        self.one: _Node | None = None
        """The child under `*`."""
        self.rest = False
        """An entry without a queue ends in `>` below."""


class Patterns:
    """A tree of patterns, each for a queue or for none. Wildcards in what is looked up are plain tokens."""

    __slots__ = ("_literal", "_plain", "_root", "queued")

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        self._root = _Node()
        self._plain: set[str] = set()
        self._literal = True
        self.queued = False
        """Whether some entry is for a queue."""
        for pattern, queue in entries:
            self._add(pattern, queue)

    def _add(self, pattern: str, queue: str) -> None:
        above = node = self._root
        token = ""
        for token in pattern.split("."):
            if token in _WILD:
                self._literal = False
            child = node.children.get(token)
            if child is None:
                child = node.children[token] = _Node()
                if token == ONE:
                    node.one = child
            above, node = node, child
        if not queue:
            node.plain = True
            above.rest = above.rest or token == REST
        if queue not in node.labels:
            node.labels += (queue,)
        if queue:
            self.queued = True
        else:
            self._plain.add(pattern)

    def matches(self, subject: str) -> bool:
        """Whether some pattern without a queue takes this subject in."""
        if self._literal:
            return subject in self._plain
        tokens = subject.split(".")
        return "" not in tokens and self._walk(tokens)

    def _walk(self, tokens: list[str]) -> bool:
        # As `labels`, but it keeps no list and ends at the first that fits: every message asks.
        last = len(tokens)
        node, place = self._root, 0
        waiting: list[tuple[_Node, int]] = []
        while True:
            if place == last:
                if node.plain:
                    return True
            elif node.rest:
                return True
            else:
                one = node.one
                token = tokens[place]
                child = None if token in _WILD else node.children.get(token)
                if child is not None:
                    place += 1
                    if one is not None:
                        waiting.append((one, place))
                    node = child
                    continue
                if one is not None:
                    node = one
                    place += 1
                    continue
            if not waiting:
                return False
            node, place = waiting.pop()

    def labels(self, subject: str) -> list[str]:
        """The queues of all patterns that take this subject in."""
        tokens = subject.split(".")
        found: list[str] = []
        if "" in tokens:
            return found
        last = len(tokens)
        waiting = [(self._root, 0)]
        while waiting:
            node, place = waiting.pop()
            if place == last:
                found.extend(node.labels)
                continue
            children = node.children
            rest = children.get(REST)
            if rest is not None:
                found.extend(rest.labels)
            one = children.get(ONE)
            if one is not None:
                waiting.append((one, place + 1))
            token = tokens[place]
            # These two stand under the same names as the wildcards, which were looked at already.
            if token not in _WILD:
                child = children.get(token)
                if child is not None:
                    waiting.append((child, place + 1))
        return found

    def collide(self, pattern: str) -> bool:
        """Whether some subject is taken in both by this pattern and by one of ours."""
        tokens = pattern.split(".")
        last = len(tokens)
        waiting = [(self._root, 0)]
        while waiting:
            node, place = waiting.pop()
            if place == last:
                if node.labels:
                    return True
                continue
            children = node.children
            token = tokens[place]
            # Below every node an entry ends, so with the rest of a subject free there is one that fits.
            if REST in children or (token == REST and children):
                return True
            if token == ONE:
                waiting.extend((child, place + 1) for child in children.values())
                continue
            for name in (ONE, token):
                child = children.get(name)
                if child is not None:
                    waiting.append((child, place + 1))
        return False


def queue_fits(queue: str, entries: Iterable[str]) -> bool:
    """Whether one of a permission's queue names stands for this queue (enforcement spec §3.3)."""
    return any(queue == entry or (_wild(entry) and _narrower(queue, entry)) for entry in entries)


def _wild(text: str) -> bool:
    tokens = text.split(".")
    return ONE in tokens or REST in tokens


def _narrower(queue: str, entry: str) -> bool:
    """The server's test of one pattern against another, in which a token that begins with `*` fits any."""
    given, wanted = queue.split("."), entry.split(".")
    for place, want in enumerate(wanted):
        if place >= len(given) or not want:
            return False
        if want == REST:
            return True
        have = given[place]
        if have in {"", REST}:
            return False
        if have == ONE:
            if want != ONE:
                return False
        elif want[0] != ONE and have != want:
            return False
    return len(given) == len(wanted)
