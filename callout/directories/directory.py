"""What a directory is, and what it is shown (callout spec §3)."""

from __future__ import annotations

from typing import Protocol

import msgspec

from issuer.grants import Identity


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a client showed, taken from a request that was proved to be a server's. Never log one."""

    user: str = ""
    password: str = ""
    token: str = ""
    """`auth_token` of CONNECT, or the user token it showed where that is no sentinel."""
    nkey: str = ""
    signature: str = ""
    """Over `nonce`, by `nkey`; base64url without padding as in CONNECT."""
    nonce: str = ""
    certificates: tuple[str, ...] = ()
    """The chain the server verified, leaf first, as PEM; empty if it verified none."""
    address: str = ""
    connection_type: str = ""
    mqtt_id: str = ""

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r}, address={self.address!r}, …)"


class Directory(Protocol):
    """One source of identities. Safe to be asked by many at once."""

    @property
    def name(self) -> str:
        """As configured; stands in identities, bindings and metrics."""

    async def start(self) -> None:
        """Make ready.

        Raises:
            AccreditError: it cannot work as configured. Others go on; this one is shown as disabled.
        """

    def claims(self, credentials: Credentials) -> bool:
        """Whether these credentials are for this directory, by exact issuer, realm or prefix.

        No I/O, and no look at whether they are right: it is asked of every directory, and exactly
        one must say yes. Nothing is ever tried at one directory after another.
        """

    async def identify(self, credentials: Credentials, *, now: float, deadline: float) -> Identity:
        """Whose they are.

        `now` is the time of day (seconds since 1970); `deadline` is on the clock of the running
        event loop, and the answer or `DirectoryDownError` comes before it, whatever hangs.

        Raises:
            LoginRefusedError: they are nobody's, or not now; the reason says why.
            DirectoryDownError: it could not be found out.
        """

    async def close(self) -> None: ...
