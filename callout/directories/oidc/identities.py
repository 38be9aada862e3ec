"""From the claims of a token that was taken to the identity it proves. Pure.

Nothing is made up: a claim of the wrong shape refuses the login, for a rule that looks at it would
otherwise see nothing and might let through what it is there to stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from callout.directories.oidc.claims import Claims, look_up, parties, seconds, texts, top_name
from callout.directories.oidc.settings import OidcSettings, TokenKind
from callout.directories.oidc.tokens import malformed
from callout.refusals import LoginRefusedError, Reason
from issuer.grants import Attribute, Identity, Kind

MAX_SUBJECT: Final = 255
"""Characters (OpenID Connect Core §2, sub)."""
MAX_NAME: Final = 256
_SCOPES: Final = frozenset({"scope", "scp"})
"""Lists, although one is written as words between spaces (RFC 8693 §4.2)."""
_OF_PERSONS: Final = ("uid", "auth_time", "amr", "nonce", "email", "upn", "unique_name")
"""What a client that speaks for itself does not have."""


def groups_of(claims: Claims, settings: OidcSettings) -> tuple[str, ...] | None:
    """The groups the token tells of, sorted; None when it tells only of some (callout spec §3.1).

    Raises:
        LoginRefusedError: the claim is no list of texts, or is missing where it must be.
    """
    if not settings.groups_claim:
        return ()
    if _elsewhere(claims, settings):
        return None
    found = look_up(claims, settings.groups_claim)
    at = "/" + settings.groups_claim.removeprefix("/")
    if found is None:
        if settings.groups_required:
            raise malformed("the token tells of no groups", at=at)
        return ()
    groups = tuple(texts(found, at))
    if settings.groups_cut_at and len(groups) >= settings.groups_cut_at:
        return None
    return tuple(sorted(set(groups)))


def incomplete(settings: OidcSettings) -> LoginRefusedError:
    """The refusal of somebody whose groups the token does not tell in full."""
    return LoginRefusedError(
        Reason.GROUPS_INCOMPLETE,
        f"the token does not tell all groups: {settings.groups_cut_at} or more, or kept elsewhere",
        at="/" + settings.groups_claim.removeprefix("/"),
        hint="let the issuer filter the groups it tells, or ask its groups API for the others",
    )


def identity_of(
    claims: Claims,
    kind: TokenKind,
    settings: OidcSettings,
    *,
    groups: tuple[str, ...],
    now: float,
    credential: str,
) -> Identity:
    """Steps 13 and 14 of the proof; `groups` are complete.

    Raises:
        LoginRefusedError: a claim that is read has the wrong shape.
    """
    subject = claims.get(settings.subject_claim)
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise malformed("is no subject", at=f"/{settings.subject_claim}")
    authenticated = seconds(claims, "auth_time")
    if authenticated is not None and authenticated > now + settings.leeway:
        raise malformed("is in the future", at="/auth_time")
    assurance = claims.get("acr", "")
    if not isinstance(assurance, str):
        raise malformed("is no text", at="/acr")
    expires = seconds(claims, "exp")
    return Identity(
        issuer=settings.issuer,
        subject=subject,
        name=_name(claims, settings) or subject,
        directory=settings.name,
        kind=Kind.SERVICE if kind is TokenKind.ACCESS and _speaks_for_itself(claims) else Kind.PERSON,
        groups=groups,
        attributes=_attributes(claims, settings),
        methods=tuple(dict.fromkeys(texts(claims["amr"], "/amr"))) if "amr" in claims else (),
        assurance=assurance,
        authenticated_at=None if authenticated is None else int(authenticated),
        expires_at=None if expires is None else int(expires),
        credential=credential,
    )


def _elsewhere(claims: Claims, settings: OidcSettings) -> bool:
    """Whether the groups are kept elsewhere: Entra's overage, or a distributed claim (Core §5.6.2)."""
    if claims.get("hasgroups", False) is not False:
        return True
    if "_claim_names" not in claims:
        return False
    named = claims["_claim_names"]
    if not isinstance(named, Mapping):
        raise malformed("is no object", at="/_claim_names")
    return "groups" in named or top_name(settings.groups_claim) in named


def _speaks_for_itself(claims: Claims) -> bool:
    """Whether it is a client's own token, got without any person (RFC 6749 §4.4, RFC 9068 §2.2)."""
    if claims.get("idtyp") == "app":
        return True
    return claims.get("sub") in parties(claims) and not any(name in claims for name in _OF_PERSONS)


def _name(claims: Claims, settings: OidcSettings) -> str:
    name = claims.get(settings.name_claim)
    if not isinstance(name, str) or not name.isprintable() or len(name) > MAX_NAME:
        return ""
    return name if settings.name_claim != "email" or _proved_mail(claims) else ""


def _attributes(claims: Claims, settings: OidcSettings) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for name in settings.attributes:
        value = claims.get(name)
        if value is None or (name == "email" and not _proved_mail(claims)):
            continue
        found[name] = _attribute(name, value)
    return found


def _attribute(name: str, value: Any) -> Attribute:
    if name in _SCOPES and isinstance(value, str):
        value = value.split()
    if isinstance(value, list):
        return tuple(sorted(set(texts(value, f"/{name}"))))
    if isinstance(value, str | bool | int):
        return value
    raise malformed("is neither text, number, truth value nor list of texts", at=f"/{name}")


def _proved_mail(claims: Claims) -> bool:
    """An address its owner could set to anybody's is none; an issuer that says nothing is believed."""
    said = claims.get("email_verified", True)
    return said is True or said == "true"
