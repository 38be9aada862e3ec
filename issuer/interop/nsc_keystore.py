"""The keystore of nsc: a seed a file, wherever it lies, and creds that hold one more copy.

Keys are found by what is in the files, never by their names: stores before 2.x kept them flat and
named them freely, and `export keys` still does. A file may hold the public half alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from issuer.errors import PeerError
from issuer.interop.nsc_files import KEY_BYTES, FileFault, listing, read_file, walk
from issuer.keys.creds import parse_decorated_seed
from issuer.keys.nkeys import PublicKey, Seed, is_public

ENDING: Final = ".nk"
CREDS: Final = "creds"
# keys/A/AB/A….nk is three deep; old stores sorted them by operator and account.
_DEPTH: Final = 8


class Keystore:
    """Every seed of a folder by its public key."""

    __slots__ = ("_seeds", "_used")

    def __init__(self) -> None:
        self._seeds: dict[str, Seed] = {}
        self._used: set[str] = set()

    @classmethod
    def read(cls, folder: Path | None, refuse: Callable[[Path, str], None]) -> Keystore:
        """Read a keystore; a file that holds no key is told to `refuse`, and left."""
        self = cls()
        for path in walk(folder, ENDING, _DEPTH, refuse) if folder is not None else ():
            try:
                text = read_file(path, KEY_BYTES).strip()
                if not is_public(text):
                    seed = parse_decorated_seed(text)
                    self._seeds[seed.public] = seed
            except FileFault as fault:
                refuse(path, fault.message)
            except PeerError as fault:
                refuse(path, f"holds no key: {fault.message}")
        return self

    def add(self, seed: Seed) -> None:
        """One found elsewhere; what the keystore has itself stands."""
        self._seeds.setdefault(seed.public, seed)

    def take(self, public: str) -> Seed | None:
        """The seed of a key the store mentions."""
        seed = self._seeds.get(public)
        if seed is not None:
            self._used.add(public)
        return seed

    def take_all(self, publics: tuple[PublicKey, ...]) -> tuple[Seed, ...]:
        return tuple(seed for public in publics if (seed := self.take(public)) is not None)

    def unused(self) -> tuple[PublicKey, ...]:
        """Keys nothing asked for: another operator's, or of what was deleted."""
        return tuple(PublicKey(public) for public in self._seeds if public not in self._used)

    def __repr__(self) -> str:
        return f"Keystore({len(self._seeds)} seeds, hidden)"


def is_keystore(folder: Path) -> bool:
    """Whether a folder looks like one: its branches, or bare key files. A link is none."""
    try:
        inside = listing(folder)
        branches = {path.name for path in listing(folder / "keys").folders}
        return (
            not branches.isdisjoint({"O", "A", "U", "X"})
            or bool(listing(folder / CREDS).folders)
            or any(place.ending(ENDING) for place in (inside, *map(listing, inside.folders)))
        )
    except FileFault:
        return False
