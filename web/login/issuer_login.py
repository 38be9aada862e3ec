"""A login at an OpenID Connect issuer by device flow: the network's part of it. It blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from issuer import https
from issuer.client import Source
from issuer.errors import Unavailable
from web.login.device_flow import (
    GRANT,
    Begun,
    DeviceFlowError,
    Tokens,
    Waiting,
    begun,
    waiting,
)

WELL_KNOWN: Final = "/.well-known/openid-configuration"


class Endpoints(NamedTuple):
    """Where an issuer takes device logins."""

    device: str
    token: str


def discover(issuer: str, *, ca_file: Path | None = None) -> Endpoints:
    """Its endpoints (OpenID Connect Discovery §4, RFC 8628 §4).

    Raises:
        DeviceFlowError: another issuer answers, or it knows no device flow.
        AccreditError: as `https.get`.
    """
    answer = https.get(issuer.removesuffix("/") + WELL_KNOWN, ca_file=ca_file)
    if not answer.ok:
        raise Unavailable(f"{issuer}: discovery answers {answer.status}")
    found = answer.json()
    if found.get("issuer") != issuer:
        # §4.3; else one issuer could have us log in at another.
        raise DeviceFlowError(f"asked for {issuer}, and another issuer answers")
    device, token = found.get("device_authorization_endpoint"), found.get("token_endpoint")
    if not isinstance(device, str) or not isinstance(token, str):
        raise DeviceFlowError(f"{issuer} offers no device flow", hint="enable it for this client there")
    return Endpoints(https.checked(device), https.checked(token))


def begin(source: Source, endpoints: Endpoints, *, ca_file: Path | None = None) -> Begun:
    """Ask for a code to show.

    Raises:
        DeviceFlowError: it is refused.
        AccreditError: as `https.post`.
    """
    fields = {"client_id": source.client_id, "scope": " ".join(source.scopes)}
    answer = https.post(endpoints.device, fields, ca_file=ca_file)
    document = answer.json()
    if not answer.ok:
        error = document.get("error")
        raise DeviceFlowError(f"{source.issuer} refuses a device login: {str(error)[:80]}")
    return begun(document)


def wait_for(
    source: Source,
    endpoints: Endpoints,
    flow: Begun,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    ca_file: Path | None = None,
) -> Tokens:
    """Ask until somebody has logged in there. `clock` only goes forward.

    Raises:
        NotLoggedIn: nobody did, or it was refused.
        DeviceFlowError: the issuer answers nonsense.
    """
    state = waiting(flow, now=clock())
    fields = {"grant_type": GRANT, "device_code": flow.device_code, "client_id": source.client_id}
    while True:
        at = state.next_at(clock())
        sleep(max(at - clock(), 0.0))
        try:
            answer = https.post(endpoints.token, fields, ca_file=ca_file)
        except Unavailable:
            state = state.unanswered()
            continue
        if answer.status >= 500:
            state = state.unanswered()
            continue
        found = state.answered(answer.ok, answer.json())
        if isinstance(found, Tokens):
            return found
        state = found


__all__ = ["Begun", "Endpoints", "Waiting", "begin", "discover", "wait_for"]
