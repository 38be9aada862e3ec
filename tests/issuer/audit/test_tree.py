"""The tree of RFC 6962: public vectors, a slow twin after its text, and proofs that must not pass."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.audit.tree import (
    EMPTY_ROOT,
    NotProved,
    consistency_path,
    edge_at,
    grow,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_of,
    unpack_edge,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves and the roots over the first of them, as Certificate Transparency's test data have them.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def slow_root(entries: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return sha256(b"\x01" + slow_root(entries[:k]) + slow_root(entries[k:])).digest()


def slow_path(m: int, entries: list[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1, word for word."""
    if len(entries) == 1:
        return []
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m < k:
        return [*slow_path(m, entries[:k]), slow_root(entries[k:])]
    return [*slow_path(m - k, entries[k:]), slow_root(entries[:k])]


def slow_proof(m: int, entries: list[bytes], whole: bool = True) -> list[bytes]:
    """RFC 6962 §2.1.2, word for word."""
    if m == len(entries):
        return [] if whole else [slow_root(entries)]
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m <= k:
        return [*slow_proof(m, entries[:k], whole), slow_root(entries[k:])]
    return [*slow_proof(m - k, entries[k:], whole=False), slow_root(entries[:k])]


def nodes(entries: list[bytes]):
    return lambda level, index: slow_root(entries[index << level : (index + 1) << level])


def grown(entries: list[bytes]) -> list[bytes]:
    edge: list[bytes] = []
    for size, entry in enumerate(entries):
        grow(edge, size, leaf_hash(entry))
    return edge


@pytest.mark.parametrize("size", range(1, 9))
def test_public_roots(size: int) -> None:
    assert root_of(grown(LEAVES[:size])).hex() == ROOTS[size - 1]


def test_public_paths() -> None:
    # The paths of the same data (certificate-transparency, merkletree tests).
    path = inclusion_path(5, 8, nodes(LEAVES))
    assert [step.hex() for step in path] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    proof = consistency_path(6, 8, nodes(LEAVES))
    assert [step.hex() for step in proof] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_an_empty_tree() -> None:
    assert root_of([]) == EMPTY_ROOT == slow_root([])


@pytest.mark.parametrize("size", range(1, 40))
def test_every_proof_of_every_small_tree(size: int) -> None:
    entries = [bytes([number]) for number in range(size)]
    root, node = slow_root(entries), nodes(entries)
    assert root_of(grown(entries)) == root
    assert edge_at(size, node) == grown(entries) == unpack_edge(b"".join(grown(entries)))
    for index in range(size):
        path = inclusion_path(index, size, node)
        assert path == slow_path(index, entries)
        verify_inclusion(leaf_hash(entries[index]), index, size, path, root)
    for old in range(1, size + 1):
        proof = consistency_path(old, size, node)
        assert proof == slow_proof(old, entries)
        verify_consistency(old, slow_root(entries[:old]), size, root, proof)


def altered(path: list[bytes], data: st.DataObject) -> list[bytes]:
    """A path that is not the same: a step flipped, dropped, doubled, or two changed for each other."""
    changed = list(path)
    kind = data.draw(st.sampled_from(["flip", "drop", "double", "extend"]))
    at = data.draw(st.integers(0, max(len(path) - 1, 0)))
    if kind == "extend" or not path:
        changed.append(sha256(b"more").digest())
    elif kind == "flip":
        bit = data.draw(st.integers(0, 255))
        changed[at] = bytes(
            byte ^ (1 << bit % 8 if number == bit // 8 else 0) for number, byte in enumerate(changed[at])
        )
    elif kind == "drop":
        del changed[at]
    else:
        changed.insert(at, changed[at])
    return changed


@given(st.data())
def test_no_altered_inclusion_proof_passes(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    entries = [bytes([number]) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(index, size, nodes(entries))
    leaf, root = leaf_hash(entries[index]), slow_root(entries)
    with pytest.raises(NotProved):
        verify_inclusion(leaf, index, size, altered(path, data), root)
    other = data.draw(st.integers(-1, size).filter(lambda number: number != index))
    with pytest.raises(NotProved):
        verify_inclusion(leaf, other, size, path, root)
    with pytest.raises(NotProved):
        verify_inclusion(leaf_hash(b"another"), index, size, path, root)


@given(st.data())
def test_no_altered_consistency_proof_passes(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 70))
    old = data.draw(st.integers(1, size))
    entries = [bytes([number]) for number in range(size)]
    proof = consistency_path(old, size, nodes(entries))
    first, last = slow_root(entries[:old]), slow_root(entries)
    with pytest.raises(NotProved):
        verify_consistency(old, first, size, last, altered(proof, data))
    other = entries[:old]
    other[data.draw(st.integers(0, old - 1))] = b"another"
    with pytest.raises(NotProved):
        verify_consistency(old, slow_root(other), size, last, proof)
    with pytest.raises(NotProved):
        verify_consistency(old, first, size, node_hash(last, last), proof)


def test_what_cannot_be_proved() -> None:
    node = nodes(LEAVES)
    for index, size in ((8, 8), (-1, 8), (0, 0)):
        with pytest.raises(NotProved):
            inclusion_path(index, size, node)
        with pytest.raises(NotProved):
            verify_inclusion(b"", index, size, [], b"")
    for old, new in ((0, 8), (9, 8)):
        with pytest.raises(NotProved):
            consistency_path(old, new, node)
    with pytest.raises(NotProved):
        verify_consistency(9, b"", 8, b"", [])
    with pytest.raises(NotProved):
        verify_consistency(0, b"not empty", 8, b"", [])
    verify_consistency(0, EMPTY_ROOT, 8, bytes.fromhex(ROOTS[7]), [])
