"""The Merkle tree over a log: RFC 6962 §2.1, the same in RFC 9162 §2.1. Pure.

A leaf is the hash of a zero byte and an entry, a node the hash of a one byte and its two halves. The
*edge* of a tree is what has to be kept to go on with it: the hashes of its complete subtrees, the
largest first, one for each bit that is set in its size.

Proofs ask for `node(level, index)`: the hash over the leaves from `index << level` on, `1 << level` of
them, all of them in the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

from issuer.errors import Refused

HASH: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
Node = Callable[[int, int], bytes]


class NotProved(Refused):
    """A proof that does not show what it should."""

    code = "audit.proof"


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def grow(edge: list[bytes], size: int, leaf: bytes) -> None:
    """Add a leaf to the edge of a tree of `size` leaves, in place."""
    while size & 1:
        leaf = sha256(b"\x01" + edge.pop() + leaf).digest()
        size >>= 1
    edge.append(leaf)


def root_of(edge: Sequence[bytes]) -> bytes:
    """The root of a tree from its edge."""
    if not edge:
        return EMPTY_ROOT
    *rest, root = edge
    for left in reversed(rest):
        root = node_hash(left, root)
    return root


def edge_at(size: int, node: Node) -> list[bytes]:
    """The edge of a tree of `size` leaves."""
    return [node(level, index) for level, index in _complete(0, size)]


def unpack_edge(packed: bytes) -> list[bytes]:
    return [packed[at : at + HASH] for at in range(0, len(packed), HASH)]


def inclusion_path(index: int, size: int, node: Node) -> list[bytes]:
    """What shows that a leaf is in a tree of `size` leaves, from the bottom up (RFC 9162 §2.1.3.1)."""
    if not 0 <= index < size:
        raise NotProved(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_span(middle, end, node))
            end = middle
        else:
            path.append(_span(begin, middle, node))
            begin = middle
    path.reverse()
    return path


def consistency_path(old: int, new: int, node: Node) -> list[bytes]:
    """What shows that a tree of `old` leaves is the beginning of one of `new` (RFC 9162 §2.1.4.1)."""
    if not 0 < old <= new:
        raise NotProved(f"a tree of {old} is not the beginning of one of {new}")
    path: list[bytes] = []
    begin, end, whole = 0, new, True
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(_span(middle, end, node))
            end = middle
        else:
            path.append(_span(begin, middle, node))
            begin, whole = middle, False
    if not whole:
        path.append(_span(begin, end, node))
    path.reverse()
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, path: Iterable[bytes], root: bytes) -> None:
    """RFC 9162 §2.1.3.2.

    Raises:
        NotProved: the path does not lead from the leaf to the root.
    """
    if not 0 <= index < size:
        raise NotProved(f"leaf {index} is not in a tree of {size}")
    here, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise NotProved("the inclusion proof is too long")
        if here & 1 or here == last:
            found = node_hash(step, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node_hash(found, step)
        here, last = here >> 1, last >> 1
    if last or found != root:
        raise NotProved(f"leaf {index} is not proved to be in this tree of {size}")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """RFC 9162 §2.1.4.2.

    Raises:
        NotProved: the new tree does not begin with the old one.
    """
    fault = NotProved(f"the tree of {new} is not proved to begin with the one of {old}")
    if not 0 <= old <= new:
        raise fault
    if old in {0, new}:
        if path or (old == new and old_root != new_root) or (old == 0 and old_root != EMPTY_ROOT):
            raise fault
        return
    if not path:
        raise fault
    steps = list(path)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise fault
        if here & 1 or here == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            second = node_hash(second, step)
        here, last = here >> 1, last >> 1
    if last or first != old_root or second != new_root:
        raise fault


def _split(size: int) -> int:
    """The largest power of two below a size over one."""
    return 1 << ((size - 1).bit_length() - 1)


def _span(begin: int, end: int, node: Node) -> bytes:
    """The hash over some leaves; `begin` is where a subtree of that size may begin."""
    return root_of([node(level, index) for level, index in _complete(begin, end)])


def _complete(begin: int, end: int) -> Iterable[tuple[int, int]]:
    """The complete subtrees that leaves from an aligned `begin` fall into, the largest first."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level
