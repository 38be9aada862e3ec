"""Who this broker is: its keys are fresh at each start, as a server's are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from issuer import __version__
from issuer.keys.nkeys import PublicKey, Role, Seed

# Clients and tools decide by version what they may ask of a server: this is the one we are measured against.
PROTOCOL_VERSION: Final = "2.15.1"


@dataclass(frozen=True, slots=True)
class Identity:
    """The server key signs requests to a callout, the curve key opens its answers."""

    name: str
    host: str
    seed: Seed = field(default_factory=lambda: Seed.generate(Role.SERVER))
    curve: Seed = field(default_factory=lambda: Seed.generate(Role.CURVE))
    version: str = PROTOCOL_VERSION
    build: str = f"accredit-{__version__}"

    @property
    def id(self) -> PublicKey:
        return self.seed.public

    @property
    def xkey(self) -> PublicKey:
        return self.curve.public

    def info(self) -> dict[str, Any]:
        """The members of INFO that never change."""
        return {
            "server_id": self.id,
            "server_name": self.name,
            "version": self.version,
            "proto": 1,
            "git_commit": self.build,
            "go": "",
        }
