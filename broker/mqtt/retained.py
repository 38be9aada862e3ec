"""The last message of each topic that asked to be kept, for those who subscribe later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retained:
    topic: bytes
    payload: bytes
    qos: int


class _Node:
    __slots__ = ("below", "kept")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.kept: Retained | None = None


class RetainedMessages:
    """By subject, in a tree of tokens: a filter walks only where it matches."""

    __slots__ = ("_root", "count")

    def __init__(self) -> None:
        self._root = _Node()
        self.count = 0

    def get(self, subject: str) -> Retained | None:
        node: _Node | None = self._root
        for token in subject.split("."):
            node = node.below.get(token) if node is not None else None
        return None if node is None else node.kept

    def put(self, subject: str, message: Retained) -> None:
        """Keep this one in place of the one before it."""
        node = self._root
        for token in subject.split("."):
            node = node.below.setdefault(token, _Node())
        self.count += node.kept is None
        node.kept = message

    def remove(self, subject: str) -> None:
        path: list[tuple[_Node, str]] = []
        node = self._root
        for token in subject.split("."):
            path.append((node, token))
            below = node.below.get(token)
            if below is None:
                return
            node = below
        self.count -= node.kept is not None
        node.kept = None
        for parent, token in reversed(path):
            if parent.below[token].below or parent.below[token].kept is not None:
                return
            del parent.below[token]

    def match(self, filter_subject: str) -> list[tuple[str, Retained]]:
        """Those whose subject a filter matches, those of subjects that begin with `$` among them."""
        return list(_match(self._root, filter_subject.split("."), ""))


def _match(node: _Node, tokens: list[str], path: str) -> Iterator[tuple[str, Retained]]:
    # Not by recursion: a topic may have as many levels as it has bytes.
    waiting = [(node, 0, path)]
    while waiting:
        node, depth, path = waiting.pop()
        if depth == len(tokens):
            if node.kept is not None:
                yield path, node.kept
            continue
        level = tokens[depth]
        if level == ">" and depth == len(tokens) - 1:
            yield from _all_below(node, path)
        elif level == "*":
            waiting.extend((each, depth + 1, _joined(path, name)) for name, each in node.below.items())
        elif level in node.below:
            waiting.append((node.below[level], depth + 1, _joined(path, level)))


def _all_below(node: _Node, path: str) -> Iterator[tuple[str, Retained]]:
    waiting = [(each, _joined(path, name)) for name, each in node.below.items()]
    while waiting:
        node, path = waiting.pop()
        if node.kept is not None:
            yield path, node.kept
        waiting.extend((each, _joined(path, name)) for name, each in node.below.items())


def _joined(path: str, token: str) -> str:
    return f"{path}.{token}" if path else token
