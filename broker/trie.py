"""Subscriptions by subject, and who gets a message (enforcement spec §1.7).

Literal subjects stand in one dictionary, those with wildcards in a tree of their tokens, so a
published subject costs a look-up and a walk over its own tokens, however many subscriptions
there are. Answers are remembered until a subscription changes them.
"""

from __future__ import annotations

from typing import Any, Final

MAX_REMEMBERED: Final = 65_536
ONE: Final = "*"
REST: Final = ">"


class Subscription:
    """One client's (or one of our own services') interest in a subject."""

    __slots__ = (
        "client",
        "closed",
        "delivered",
        "filtered",
        "handler",
        "imported",
        "maximum",
        "queue",
        "shadows",
        "sid",
        "subject",
        "wire_sid",
    )

    def __init__(
        self, subject: str, queue: str = "", sid: str = "", *, client: Any = None, handler: Any = None
    ) -> None:
        self.subject = subject
        self.queue = queue
        self.sid = sid
        self.wire_sid = sid.encode("utf-8", "surrogateescape")
        self.client = client
        self.handler = handler
        """For what is no client's own: called with each message instead."""
        self.delivered = 0
        self.maximum = 0
        self.filtered = False
        """Some subjects it matches may not be delivered: ask the permissions for each."""
        self.imported: Any = None
        """The stream import through which it looks into another account."""
        self.shadows: tuple[tuple[Any, Subscription], ...] = ()
        """Its stand-ins in other accounts' tries."""
        self.closed = False


class Matched:
    """Who gets a message: each plain subscription, and one member of each queue group."""

    __slots__ = ("groups", "plain")

    def __init__(
        self, plain: tuple[Subscription, ...] = (), groups: tuple[tuple[Subscription, ...], ...] = ()
    ) -> None:
        self.plain = plain
        self.groups = groups

    def __bool__(self) -> bool:
        return bool(self.plain or self.groups)


NOBODY: Final = Matched()


class _Leaf:
    """The subscriptions on one subject, oldest first."""

    __slots__ = ("groups", "plain")

    def __init__(self) -> None:
        self.plain: dict[Subscription, None] = {}
        self.groups: dict[str, dict[Subscription, None]] = {}

    def empty(self) -> bool:
        return not self.plain and not self.groups


class _Node:
    """One token deep in the tree; `leaf` holds what ends here, `rest` what ends here with `>`."""

    __slots__ = ("below", "leaf", "one", "rest")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.one: _Node | None = None
        self.leaf: _Leaf | None = None
        self.rest: _Leaf | None = None

    def empty(self) -> bool:
        return not self.below and self.one is None and self.leaf is None and self.rest is None


class Trie:
    """The subscriptions of one account. `generation` rises with every change."""

    __slots__ = ("_literal", "_remembered", "_root", "count", "generation")

    def __init__(self) -> None:
        self._literal: dict[str, _Leaf] = {}
        self._root = _Node()
        self._remembered: dict[str, Matched] = {}
        self.count = 0
        self.generation = 0

    def __len__(self) -> int:
        return self.count

    def insert(self, subscription: Subscription) -> bool:
        """Add one; False if its subject is none."""
        subject = subscription.subject
        tokens = subject.split(".")
        if "" in tokens or REST in tokens[:-1]:
            return False
        leaf = self._leaf(subject)
        if subscription.queue:
            leaf.groups.setdefault(subscription.queue, {})[subscription] = None
        else:
            leaf.plain[subscription] = None
        self.count += 1
        self._changed(subject)
        return True

    def remove(self, subscription: Subscription) -> bool:
        """Take one out; False if it was not there."""
        subject = subscription.subject
        path = self._path(subject)
        if path is None:
            return False
        leaf = path[-1][2]
        members = leaf.groups.get(subscription.queue) if subscription.queue else leaf.plain
        if members is None or subscription not in members:
            return False
        del members[subscription]
        if subscription.queue and not members:
            del leaf.groups[subscription.queue]
        self.count -= 1
        if leaf.empty():
            self._prune(subject, path)
        self._changed(subject)
        return True

    def match(self, subject: str) -> Matched:
        """Who gets what is published on `subject`, whose own wildcards are plain tokens."""
        found = self._remembered.get(subject)
        if found is None:
            found = self._search(subject)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[subject] = found
        return found

    def _changed(self, subject: str) -> None:
        self.generation += 1
        if ONE in subject or REST in subject:
            self._remembered.clear()
        else:
            self._remembered.pop(subject, None)

    def _leaf(self, subject: str) -> _Leaf:
        if not _wild(subject):
            leaf = self._literal.get(subject)
            if leaf is None:
                leaf = self._literal[subject] = _Leaf()
            return leaf
        node = self._root
        for token in subject.split("."):
            if token == REST:  # valid subjects have it last only
                if node.rest is None:
                    node.rest = _Leaf()
                return node.rest
            if token == ONE:
                if node.one is None:
                    node.one = _Node()
                node = node.one
            else:
                below = node.below.get(token)
                if below is None:
                    below = node.below[token] = _Node()
                node = below
        if node.leaf is None:
            node.leaf = _Leaf()
        return node.leaf

    def _path(self, subject: str) -> list[tuple[_Node, str, _Leaf]] | None:
        """The way to a subject's leaf as (parent, token, leaf at the end); None if there is none."""
        if not _wild(subject):
            leaf = self._literal.get(subject)
            return None if leaf is None else [(self._root, subject, leaf)]
        node: _Node | None = self._root
        steps: list[tuple[_Node, str]] = []
        for token in subject.split("."):
            if node is None:
                return None
            steps.append((node, token))
            if token == REST:
                return None if node.rest is None else [(*step, node.rest) for step in steps]
            node = node.one if token == ONE else node.below.get(token)
        leaf = None if node is None else node.leaf
        return None if leaf is None else [(*step, leaf) for step in steps]

    def _prune(self, subject: str, path: list[tuple[_Node, str, _Leaf]]) -> None:
        if not _wild(subject):
            del self._literal[subject]
            return
        parent, token, _ = path.pop()
        if token == REST:
            parent.rest = None
        else:
            child = parent.one if token == ONE else parent.below[token]
            if child is not None:
                child.leaf = None
            path.append((parent, token, _))
        for parent, token, _ in reversed(path):
            child = parent.one if token == ONE else parent.below.get(token)
            if child is None or not child.empty():
                return
            if token == ONE:
                parent.one = None
            else:
                del parent.below[token]

    def _search(self, subject: str) -> Matched:
        tokens = subject.split(".")
        if "" in tokens:
            return NOBODY
        leaves: list[_Leaf] = []
        exact = self._literal.get(subject)
        if exact is not None:
            leaves.append(exact)
        level = [self._root]
        for token in tokens:
            below: list[_Node] = []
            for node in level:
                if node.rest is not None:
                    leaves.append(node.rest)
                child = node.below.get(token)
                if child is not None:
                    below.append(child)
                if node.one is not None:
                    below.append(node.one)
            if not below:
                return _joined(leaves)
            level = below
        leaves.extend(node.leaf for node in level if node.leaf is not None)
        return _joined(leaves)


def _wild(subject: str) -> bool:
    if ONE not in subject and REST not in subject:
        return False
    tokens = subject.split(".")
    return ONE in tokens or tokens[-1] == REST


def _joined(leaves: list[_Leaf]) -> Matched:
    if not leaves:
        return NOBODY
    if len(leaves) == 1:
        leaf = leaves[0]
        return Matched(tuple(leaf.plain), tuple(map(tuple, leaf.groups.values())))
    plain: list[Subscription] = []
    groups: dict[str, list[Subscription]] = {}
    for leaf in leaves:
        plain.extend(leaf.plain)
        for queue, members in leaf.groups.items():
            groups.setdefault(queue, []).extend(members)
    return Matched(tuple(plain), tuple(map(tuple, groups.values())))
