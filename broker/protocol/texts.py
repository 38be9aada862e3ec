"""Every word the broker says to a client, and every reason for which a connection ends.

Clients tell errors apart by these texts, so each is the server's own (enforcement spec §1.6).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from issuer.claims.quoting import quoted

AUTHORIZATION_VIOLATION: Final = "Authorization Violation"
AUTHENTICATION_TIMEOUT: Final = "Authentication Timeout"
USER_EXPIRED: Final = "User Authentication Expired"
ACCOUNT_EXPIRED: Final = "Account Authentication Expired"
USER_REVOKED: Final = "User Authentication Revoked"
TOO_MANY_ACCOUNT_CONNECTIONS: Final = "maximum account active connections exceeded"
TOO_MANY_CONNECTIONS: Final = "maximum connections exceeded"
TOO_MANY_SUBSCRIPTIONS: Final = "maximum subscriptions exceeded"
PAYLOAD_VIOLATION: Final = "Maximum Payload Violation"
CONTROL_LINE_EXCEEDED: Final = "maximum control line exceeded"
UNKNOWN_OPERATION: Final = "Unknown Protocol Operation"
INVALID_CLIENT_PROTOCOL: Final = "invalid client protocol"
NO_RESPONDERS_NEEDS_HEADERS: Final = "no responders requires headers support"
STALE_CONNECTION: Final = "Stale Connection"
TLS_REQUIRED: Final = "Secure Connection - TLS Required"
INVALID_SUBJECT: Final = "Invalid Subject"
INVALID_PUBLISH_SUBJECT: Final = "Invalid Publish Subject"


class Closed(StrEnum):
    """Why a connection ended, as CONNZ and the DISCONNECT event name it."""

    CLIENT_CLOSED = "Client Closed"
    READ_ERROR = "Read Error"
    WRITE_ERROR = "Write Error"
    PARSE_ERROR = "Parse Error"
    PROTOCOL_VIOLATION = "Protocol Violation"
    BAD_PROTOCOL_VERSION = "Bad Client Protocol Version"
    AUTHENTICATION_TIMEOUT = "Authentication Timeout"
    AUTHENTICATION_FAILURE = "Authentication Failure"
    AUTHENTICATION_EXPIRED = "Authentication Expired"
    CREDENTIALS_REVOKED = "Credentials Revoked"
    PROXY_NOT_TRUSTED = "Proxy Not Trusted"
    PROXY_REQUIRED = "Proxy Required"
    TLS_HANDSHAKE_ERROR = "TLS Handshake Failure"
    MAX_CONNECTIONS = "Maximum Connections Exceeded"
    MAX_ACCOUNT_CONNECTIONS = "Maximum Account Connections Exceeded"
    MAX_SUBSCRIPTIONS = "Maximum Subscriptions Exceeded"
    MAX_PAYLOAD = "Maximum Message Payload Exceeded"
    MAX_CONTROL_LINE = "Maximum Control Line Exceeded"
    NO_RESPONDERS_NEEDS_HEADERS = "No Responders Requires Headers"
    SLOW_CONSUMER_PENDING = "Slow Consumer (Pending Bytes)"
    SLOW_CONSUMER_DEADLINE = "Slow Consumer (Write Deadline)"
    STALE_CONNECTION = "Stale Connection"
    MISSING_ACCOUNT = "Missing Account"
    DUPLICATE_CLIENT_ID = "Duplicate Client ID"
    KICKED = "Kicked"
    SERVER_SHUTDOWN = "Server Shutdown"


def publish_violation(subject: str) -> str:
    return f"Permissions Violation for Publish to {quoted(subject)}"


def reply_violation(reply: str) -> str:
    """The reply subject is one of those that servers keep to themselves."""
    return f"Permissions Violation for Publish with Reply of {quoted(reply)}"


def subscription_violation(subject: str, queue: str = "", *, sid: str = "") -> str:
    """With `sid`, the subscription existed and is taken away by a change."""
    text = f"Permissions Violation for Subscription to {quoted(subject)}"
    if queue:
        text += f" using queue {quoted(queue)}"
    return f'{text} (sid "{sid}")' if sid else text


def too_many_tokens(subject: str) -> str:
    return f"Permissions Violation for Subscription to {quoted(subject)}, too many tokens"
