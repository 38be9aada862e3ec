"""Random ways to tamper with a bundle. `python -m tests.issuer.audit.evidence.mutations 10000` makes that many."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from issuer.keys.nkeys import Role, Seed
from tests.issuer.audit.evidence.conftest import Parts

Mutation = Callable[[random.Random, Parts], None]

# What only the manifest vouches for; whoever may sign one may write reports as he likes.
ONLY_SIGNED = (
    "reports/",
    "README.txt",
    "controls.json",
    "verify.py",
    "keys.json",
    "people.jsonl",
    "manifest.",
)


def pick(rng: random.Random, parts: Parts, *, deep: bool) -> str:
    names = [
        name for name, data in parts.files.items() if data and not (deep and name.startswith(ONLY_SIGNED))
    ]
    return rng.choice(names)


def flip(rng: random.Random, parts: Parts, name: str) -> None:
    data = bytearray(parts.files[name])
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)
    parts.files[name] = bytes(data)


def truncate(rng: random.Random, parts: Parts, name: str) -> None:
    parts.files[name] = parts.files[name][: rng.randrange(len(parts.files[name]))]


def remove_file(_: random.Random, parts: Parts, name: str) -> None:
    del parts.files[name]


def drop(rng: random.Random, parts: Parts, name: str) -> None:
    lines = parts.files[name].splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    parts.files[name] = b"".join(lines)


def duplicate(rng: random.Random, parts: Parts, name: str) -> None:
    lines = parts.files[name].splitlines(keepends=True)
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    parts.files[name] = b"".join(lines)


def swap(rng: random.Random, parts: Parts, name: str) -> None:
    lines = parts.files[name].splitlines(keepends=True)
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    parts.files[name] = b"".join(lines)


def insert(rng: random.Random, parts: Parts, name: str) -> None:
    """A line like another, but for one value."""
    lines = parts.files[name].splitlines(keepends=True)
    line = rng.choice(lines)
    try:
        row = json.loads(line)
        field = rng.choice(sorted(row))
        row[field] = 7 if isinstance(row[field], int) else "x" if isinstance(row[field], str) else 7
        line = json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    except (ValueError, TypeError):
        line = line[::-1].strip() + b"\n"
    lines.insert(rng.randrange(len(lines) + 1), line)
    parts.files[name] = b"".join(lines)


def rewrite(rng: random.Random, parts: Parts, name: str) -> None:
    """A line whose value is another."""
    lines = parts.files[name].splitlines(keepends=True)
    at = rng.randrange(len(lines))
    try:
        row = json.loads(lines[at])
        field = rng.choice(sorted(row))
        row[field] = (
            not row[field] if isinstance(row[field], bool) else 7 if isinstance(row[field], int) else "x"
        )
        lines[at] = json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    except (ValueError, TypeError):
        lines[at] = lines[at][::-1].strip() + b"\n"
    parts.files[name] = b"".join(lines)


LINES = (flip, truncate, drop, duplicate, swap, insert, rewrite, remove_file)


def mutate(rng: random.Random, whole: Parts, owner: Seed | None) -> tuple[str, Parts | None]:
    """What was done, and the bundle it made; None if it made no difference.

    With `owner` the manifest is made to fit again, by who may sign one: only what the checkpoints, the tokens
    and the events say of each other is left to show it.
    """
    parts = whole.copy()
    name = pick(rng, parts, deep=owner is not None)
    mutation = rng.choice(LINES)
    mutation(rng, parts, name)
    told = f"{mutation.__name__} {name}"
    if parts.files == whole.files:
        return told, None
    if owner is not None:
        return f"{told}, signed", parts.signed(owner)
    if rng.random() < 0.3 and not name.startswith(("manifest", "keys")):
        # Another key, and the bundle says it is the log's.
        other = Seed.generate(Role.SERVER)
        return f"{told}, signed by another", parts.signed(other)
    return told, parts
