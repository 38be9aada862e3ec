"""The device authorization grant (RFC 8628), as answers come and seconds pass: no clock, no network.

awaiting --authorization_pending--> awaiting
awaiting --slow_down--------------> awaiting, 5 s slower for good
awaiting --no answer--------------> awaiting, twice as slow
awaiting --tokens-----------------> done
awaiting --anything else, or time--> failed
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from issuer.errors import PeerError, Refused

GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
DEFAULT_INTERVAL: Final = 5
"""RFC 8628 §3.2"""
SLOWER: Final = 5
"""RFC 8628 §3.5"""
MOST_INTERVAL: Final = 60
MOST_SECONDS: Final = 3600
"""However long the issuer says a code lives."""


class DeviceFlowError(PeerError):
    """The issuer answers what the protocol does not know."""

    code = "login.protocol"


class NotLoggedIn(Refused):
    """Nobody logged in: it was refused, or took too long."""

    code = "login.refused"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A flow that has begun: what to show, and what to ask with."""

    device_code: str
    user_code: str
    verification_uri: str
    complete_uri: str = ""
    """With the code in it, for a browser that we open."""
    interval: int
    lasts: int
    """Seconds."""

    def __repr__(self) -> str:
        return f"Begun({self.verification_uri})"


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What the issuer gave."""

    id_token: str
    access_token: str

    def __repr__(self) -> str:
        return "Tokens(…)"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Ask again after `pause` seconds, and never after `until` (of a clock that only goes forward)."""

    pause: float
    until: float

    def next_at(self, now: float) -> float:
        """When to ask.

        Raises:
            NotLoggedIn: the code would be over by then.
        """
        at = now + self.pause
        if at >= self.until:
            raise _over()
        return at

    def answered(self, ok: bool, document: Mapping[str, Any]) -> Waiting | Tokens:  # noqa: FBT001
        """What follows from an answer of the token endpoint.

        Raises:
            NotLoggedIn: it is over.
            DeviceFlowError: it is no answer.
        """
        if ok:
            return _tokens(document)
        match document.get("error"):
            case "authorization_pending":
                return self
            case "slow_down":
                return msgspec.structs.replace(self, pause=self.pause + SLOWER)
            case "expired_token":
                raise _over()
            case "access_denied":
                raise NotLoggedIn("the login was refused at the identity provider")
            case "invalid_grant":
                raise NotLoggedIn(
                    "the identity provider does not know the code any more", hint="log in again"
                )
            case error:
                words = error if isinstance(error, str) else "no error code"
                raise DeviceFlowError(f"the identity provider answers {words[:80]!r}")

    def unanswered(self) -> Waiting:
        """Nothing came back; ask, but less often (RFC 8628 §3.5)."""
        return msgspec.structs.replace(self, pause=min(self.pause * 2, max(MOST_INTERVAL, self.pause)))


def begun(document: Mapping[str, Any]) -> Begun:
    """The answer of the device authorization endpoint (RFC 8628 §3.2).

    Raises:
        DeviceFlowError: it lacks something.
    """
    uri = _text(document, "verification_uri")
    complete = document.get("verification_uri_complete", "")
    for each in (uri, complete):
        # It is opened in a browser, and shown to somebody who trusts us.
        if not isinstance(each, str) or (each and not each.startswith(("https://", "http://"))):
            raise DeviceFlowError("the identity provider sends to a place that is no web page")
    return Begun(
        device_code=_text(document, "device_code"),
        user_code=_text(document, "user_code"),
        verification_uri=uri,
        complete_uri=complete,
        interval=min(_number(document, "interval", DEFAULT_INTERVAL), MOST_INTERVAL),
        lasts=min(_number(document, "expires_in", None), MOST_SECONDS),
    )


def waiting(begun: Begun, *, now: float) -> Waiting:
    """The state right after the beginning."""
    return Waiting(pause=begun.interval, until=now + begun.lasts)


def _over() -> NotLoggedIn:
    return NotLoggedIn("nobody logged in in time", hint="log in again")


def _tokens(document: Mapping[str, Any]) -> Tokens:
    id_token, access_token = document.get("id_token", ""), document.get("access_token", "")
    if not isinstance(id_token, str) or not isinstance(access_token, str) or not (id_token or access_token):
        raise DeviceFlowError("the identity provider answers without a token")
    return Tokens(id_token=id_token, access_token=access_token)


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise DeviceFlowError(f"the identity provider's answer lacks {name}")
    return value


def _number(document: Mapping[str, Any], name: str, default: int | None) -> int:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DeviceFlowError(f"the identity provider's answer lacks {name}")
    return value
