"""What a verified token must say to be taken (callout spec §3.3; RFC 7519, RFC 9068, OpenID Connect Core).

Pure: claims, settings and the time go in, a refusal or the kind of token comes out. Every claim is in
exactly one bucket: required and checked, checked if it is there, or knowingly ignored. One that is in
none is reported, for it may be a rule of the issuer that we break.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from callout.directories.oidc.settings import OidcSettings, TokenKind
from callout.directories.oidc.tokens import malformed
from callout.refusals import LoginRefusedError, Reason

Claims = Mapping[str, Any]

PARTIES: Final = ("azp", "cid", "client_id", "appid")
"""Who may bring it: OpenID Connect Core §2, Okta, RFC 9068 §2.2, Entra's first version."""

_REQUIRED: Final = frozenset({"iss", "aud", "exp", "iat"})
_CHECKED: Final = frozenset(PARTIES) | {
    "nbf",
    "nonce",
    "typ",
    "events",
    "cnf",
    "scope",
    "scp",
    "auth_time",
    "amr",
    "acr",
    "idtyp",
    "sub",
    "uid",
    "email_verified",
    "hasgroups",
    "_claim_names",
}
_IGNORED: Final = frozenset(
    {
        # ids of tokens and sessions
        *("jti", "sid", "ver", "idp", "uti", "rh", "aio", "session_state", "origin_jti", "token_use"),
        # hashes that bind a token to an answer we never saw
        *("at_hash", "c_hash", "s_hash"),
        # about the person, where no policy asks for it (OpenID Connect Core §5.1)
        *("name", "given_name", "family_name", "middle_name", "nickname", "preferred_username"),
        *("profile", "picture", "website", "email", "gender", "birthdate", "zoneinfo", "locale"),
        *("phone_number", "phone_number_verified", "address", "updated_at", "upn", "unique_name"),
        # about the tenant, the client and how it authenticated
        *("tid", "oid", "ipaddr", "azpacr", "appidacr", "gty", "act", "may_act", "groups", "roles"),
        *("_claim_sources", "wids", "xms_ftd", "realm_access", "resource_access", "allowed-origins"),
    }
)
_MAX_SECONDS: Final = 1e11
"""In the year 5138; milliseconds instead of seconds, too, are beyond it."""
_ACCESS_MARKS: Final = ("cid", "client_id", "appid", "scope", "scp", "idtyp")
"""Without a `typ`, what an ID token does not have."""
_KIND_BY_TYP: Final = {"at+jwt": TokenKind.ACCESS}
_KIND_BY_CLAIM: Final = {"Bearer": TokenKind.ACCESS, "ID": TokenKind.ID}
"""Keycloak says it in the payload; its refresh, offline and logout tokens are no credentials."""


class Buckets(msgspec.Struct, frozen=True):
    """Where each claim of an issuer belongs; no claim is in two."""

    required: frozenset[str]
    checked: frozenset[str]
    ignored: frozenset[str]

    def unaccounted(self, claims: Claims) -> frozenset[str]:
        """The claims that are in no bucket."""
        return frozenset(claims) - self.required - self.checked - self.ignored


def buckets(settings: OidcSettings) -> Buckets:
    """The buckets of one issuer: what is configured to be read is no longer ignored."""
    required = _REQUIRED | {settings.subject_claim}
    groups = top_name(settings.groups_claim)
    if settings.groups_required and groups:
        required |= {groups}
    read = {settings.name_claim, groups, *settings.attributes} - {""}
    checked = (_CHECKED | read) - required
    return Buckets(required, checked, _IGNORED - required - checked)


def top_name(pointer: str) -> str:
    """The claim that a claim name or a JSON pointer (RFC 6901) begins at."""
    return _steps(pointer)[0] if pointer else ""


def look_up(claims: Claims, pointer: str) -> Any:
    """What stands there, or None."""
    value: Any = claims
    for step in _steps(pointer) if pointer else ():
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value if pointer else None


def _steps(pointer: str) -> list[str]:
    if not pointer.startswith("/"):
        return [pointer]
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


def judge(
    claims: Claims, typ: str, settings: OidcSettings, *, now: float, nonce: str | None = None
) -> TokenKind:
    """Steps 7 to 12 of the proof (see `directory`); `typ` is of the header, `nonce` that of our own login.

    Raises:
        LoginRefusedError: with the reason of the first step that failed.
    """
    if claims.get("iss") != settings.issuer:
        raise malformed("iss is not the issuer the token was chosen for", at="/iss")
    _in_time(claims, settings, now)
    kind = _kind(claims, typ)
    if kind not in settings.kinds:
        raise _wrong_kind(f"an {kind} token, which is not taken from this issuer")
    if kind is TokenKind.ACCESS and "cid" in claims and urlsplit(settings.issuer).path in {"", "/"}:
        raise _wrong_kind(
            "an access token of Okta's org authorization server: it is for Okta itself",
            hint="use an ID token, or a custom authorization server (/oauth2/...)",
        )
    _for_us(claims, settings, kind)
    if "cnf" in claims:
        # RFC 7800 §3: whoever shows it must prove that key, and here nobody is asked to.
        raise _wrong_kind("it is bound to a key whose possession is not proved here", at="/cnf")
    if nonce is not None and (kind is not TokenKind.ID or not _same(claims.get("nonce"), nonce)):
        raise LoginRefusedError(Reason.CREDENTIALS_WRONG, "it does not answer our own login", at="/nonce")
    return kind


def seconds(claims: Claims, name: str) -> float | None:
    """A NumericDate (RFC 7519 §2), or None where there is none.

    Raises:
        LoginRefusedError: anything else, a number written as a text among them.
    """
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise malformed("is no number of seconds", at=f"/{name}")
    if not -_MAX_SECONDS < value < _MAX_SECONDS:
        raise malformed("is no time of this world", at=f"/{name}")
    return value


def parties(claims: Claims) -> tuple[str, ...]:
    """Everybody the token names as its bearer.

    Raises:
        LoginRefusedError: one that is no text, or empty.
    """
    named = tuple(claims[name] for name in PARTIES if name in claims)
    if not all(isinstance(party, str) and party for party in named):
        raise malformed("a party that is no text")
    return named


def _in_time(claims: Claims, settings: OidcSettings, now: float) -> None:
    exp, iat, nbf = (seconds(claims, name) for name in ("exp", "iat", "nbf"))
    if exp is None or iat is None:
        raise malformed("has no exp or no iat", at="/exp" if exp is None else "/iat")
    # No leeway here: what is minted from it would have expired as well.
    if exp <= now:
        raise LoginRefusedError(Reason.CREDENTIALS_EXPIRED, f"its time was over {now - exp:.0f} s ago")
    begin = max(iat, nbf if nbf is not None else iat)
    if begin > now + settings.leeway:
        raise LoginRefusedError(
            Reason.CREDENTIALS_EARLY,
            f"its time begins in {begin - now:.0f} s",
            hint="set the clocks by one source",
        )
    most = settings.max_lifetime
    if exp - iat > most or exp - now > most + settings.leeway:
        raise LoginRefusedError(
            Reason.CREDENTIALS_TOO_LONG_LIVED,
            f"it lives for {exp - min(iat, now):.0f} s; {most} s are the most",
            at="/exp",
        )


def _kind(claims: Claims, typ: str) -> TokenKind:
    """What kind it is: by its `typ` where that says it, else by what it holds."""
    if typ not in {"", "jwt"}:
        if typ not in _KIND_BY_TYP:
            raise _wrong_kind(f"a token of type {typ[:40]!r}")
        return _KIND_BY_TYP[typ]
    if "events" in claims:
        # A logout token or security event (RFC 8417) without its type.
        raise _wrong_kind("it tells of events, and proves nobody's identity")
    if "typ" in claims:
        kind = _KIND_BY_CLAIM.get(claims["typ"]) if isinstance(claims["typ"], str) else None
        if kind is None:
            raise _wrong_kind(f"a token of type {str(claims['typ'])[:40]!r}", at="/typ")
        return kind
    return TokenKind.ACCESS if any(mark in claims for mark in _ACCESS_MARKS) else TokenKind.ID


def _for_us(claims: Claims, settings: OidcSettings, kind: TokenKind) -> None:
    audience = claims.get("aud")
    entries = [audience] if isinstance(audience, str) else audience
    if not isinstance(entries, list) or not all(isinstance(entry, str) and entry for entry in entries):
        raise malformed("is no audience", at="/aud")
    if not any(entry in settings.audiences for entry in entries):
        raise LoginRefusedError(Reason.AUDIENCE, f"it is for {_listed(entries)}", at="/aud")
    named = parties(claims)
    others = [entry for entry in entries if entry not in settings.audiences]
    if not named and kind is TokenKind.ID and len(set(entries)) == 1:
        # An ID token for one client names it nowhere else (OpenID Connect Core §2, azp).
        named = (entries[0],)
    if settings.clients or others:
        strange = [party for party in named if party not in settings.clients]
        if strange or not named:
            words = f"brought by {_listed(strange)}" if strange else "brought by nobody named"
            if others:
                words = f"it is for {_listed(others)} as well, and " + words
            raise LoginRefusedError(
                Reason.PARTY, words, at="/azp", hint="name the client in `clients` if it may bring tokens"
            )


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name[:80]) for name in names[:5]) or "nobody"


def _same(found: Any, wanted: str) -> bool:
    return isinstance(found, str) and hmac.compare_digest(found.encode("utf-8", "replace"), wanted.encode())


def _wrong_kind(words: str, *, at: str | None = None, hint: str | None = None) -> LoginRefusedError:
    return LoginRefusedError(Reason.TOKEN_KIND, words, at=at, hint=hint)


def texts(value: Any, at: str) -> Iterator[str]:
    """The entries of a list of texts; a single text is a list of one, as ADFS writes it.

    Raises:
        LoginRefusedError: anything else.
    """
    for entry in [value] if isinstance(value, str) else value if isinstance(value, list) else [None]:
        if not isinstance(entry, str) or not entry:
            raise malformed("is no list of texts", at=at)
        yield entry
