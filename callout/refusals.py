"""Why a login is not let in: stable codes for the log, the audit and the operator.

The client sees one constant text whatever the reason is.
"""

from __future__ import annotations

from enum import StrEnum

from issuer.errors import Refused, Unavailable


class Reason(StrEnum):
    """The values are stable: alarms and audit queries name them."""

    # the request of the server
    REQUEST_MALFORMED = "request.malformed"
    REQUEST_UNSIGNED = "request.unsigned"
    REQUEST_STRANGER = "request.unknown-server"
    """Signed by a server that was never seen in the system account."""
    REQUEST_FOREIGN = "request.foreign"
    REQUEST_EXPIRED = "request.expired"
    REQUEST_REPLAYED = "request.replayed"
    REQUEST_UNSEALED = "request.unsealed"
    # who answers for it
    NO_CREDENTIALS = "credentials.none"
    NO_DIRECTORY = "directory.none"
    SEVERAL_DIRECTORIES = "directory.several"
    DIRECTORY_DOWN = "directory.down"
    OVERLOADED = "overloaded"
    TOO_LATE = "too-late"
    LEDGER_DOWN = "ledger.down"
    """The login could not be written down, and so did not happen."""
    FAULT = "fault"
    """Our own; the log has it."""
    # the credential
    CREDENTIALS_WRONG = "credentials.wrong"
    CREDENTIALS_USED = "credentials.used"
    CREDENTIALS_EXPIRED = "credentials.expired"
    CREDENTIALS_EARLY = "credentials.early"
    CREDENTIALS_MALFORMED = "credentials.malformed"
    CREDENTIALS_TOO_LONG_LIVED = "credentials.too-long-lived"
    CREDENTIALS_TOO_LARGE = "credentials.too-large"
    AUDIENCE = "credentials.audience"
    PARTY = "credentials.party"
    TOKEN_KIND = "credentials.kind"  # noqa: S105  a kind of token
    UNKNOWN_KEY = "credentials.key"
    NETWORK = "credentials.network"
    """Good, but not from where it was shown."""
    WITHDRAWN = "credentials.withdrawn"
    ALGORITHM = "credentials.algorithm"
    POSSESSION = "credentials.possession"
    """Whoever asks for a token did not show that its key is theirs."""
    # the account behind it
    LOCKED = "identity.locked"
    GUARDED = "identity.guarded"
    """Stopped by our own count, before the directory locks it."""
    DISABLED = "identity.disabled"
    EXPIRED = "identity.expired"
    PASSWORD_EXPIRED = "identity.password-expired"  # noqa: S105
    NOT_PERMITTED = "identity.not-permitted"
    """Good, but its directory does not let it in at this time or from here."""
    AMBIGUOUS = "identity.ambiguous"
    GROUPS_INCOMPLETE = "identity.groups-incomplete"
    GONE = "identity.gone"
    """Was known, and is not in its directory any more."""
    DENIED = "identity.denied"
    """On the list of those who were cut off."""
    # the policy
    NO_BINDING = "policy.no-binding"
    CONFLICT = "policy.conflict"
    UNSAFE_VALUE = "policy.unsafe-value"
    MISSING_VALUE = "policy.missing-value"
    NO_ROLE = "policy.no-role"
    SEPARATION = "policy.separation"
    """Holds what nobody may hold together."""
    TOO_SHORT = "policy.too-short"
    """Nothing worth having would be left of the token's life."""
    NO_POLICY = "policy.none"
    NOT_OFFERED = "policy.not-offered"
    """Tokens of that account are not given out to be carried about."""


class LoginRefusedError(Refused):
    """A login that is not let in. `message` is for the operator; it holds no secret."""

    code = "login.refused"

    def __init__(
        self, reason: Reason, message: str, *, at: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, at=at, hint=hint)
        self.reason = reason


class DirectoryDownError(Unavailable):
    """A directory gave no answer, or none in time: nothing is known of who asked."""

    code = "directory.down"

    reason = Reason.DIRECTORY_DOWN
