"""One hierarchy of errors for the product, split by whose fault it is.

Every error carries a stable `code` (shared by CLI and API, never reused), the place it
concerns (`at`: a JSON pointer, a flag, a file and line) and the way out (`hint`).
Exit codes and HTTP statuses are tables at the rim, never here. Messages never hold a secret.
"""

from __future__ import annotations

from typing import ClassVar


class AccreditError(Exception):
    """Base of everything this product raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, at: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.at}: {self.message}" if self.at else self.message


class PeerError(AccreditError):
    """What we were given is malformed: a key, a token, a file, an answer on the wire."""

    code = "malformed"


class Refused(AccreditError):
    """The request was understood and the answer is no."""

    code = "refused"


class NotFound(Refused):
    """The thing named does not exist here."""

    code = "not-found"


class AlreadyExists(Refused):
    """The name or key is taken."""

    code = "exists"


class Conflict(Refused):
    """Somebody else changed the same thing first; read again and retry."""

    code = "conflict"


class InvalidClaims(Refused):
    """The claims that would be signed do not validate."""

    code = "claims.invalid"


class Unavailable(AccreditError):
    """A third party did not answer: the database, a server, a key custodian."""

    code = "unavailable"


class Defect(AccreditError):
    """Our own fault: an invariant that did not hold."""

    code = "defect"
