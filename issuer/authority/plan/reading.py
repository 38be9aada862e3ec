"""From the places of a file to a document: every key known, every value of its kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeVar

from issuer.authority.names import checked_name
from issuer.authority.plan import quantities, reading_sharing
from issuer.authority.plan.document import (
    SECTIONS,
    AccountPart,
    CalloutPart,
    Document,
    JetStreamPart,
    LimitsPart,
    OperatorPart,
    PermissionsPart,
    RolePart,
    TracePart,
    Until,
    UserPart,
)
from issuer.authority.plan.policy import POLICY, POLICY_FILE, PolicyDoor, read_policy_part
from issuer.authority.plan.source import BadDocument, Place, open_source
from issuer.authority.plan.subject_text import subject, subjects
from issuer.authority.plan.words import (
    ACCOUNT_LIMITS,
    CLUSTER_TRAFFIC,
    JETSTREAM_LIMITS,
    PERMISSIONS,
    USER_LIMITS,
    LimitWord,
)
from issuer.claims.fields import CONNECTION_TYPES, ResponsePermission, TimeRange, clean_tags
from issuer.errors import PeerError
from issuer.keys.nkeys import PublicKey, Role, parse_public

T = TypeVar("T")

FORMAT: Final = 1
MAX_SIGNING_KEYS: Final = 16
MAX_RESPONSES: Final = 2**31 - 1
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")

_PERMISSION_WORDS: Final = (*(word for word, _, _ in PERMISSIONS), "allow-responses")
_LIMIT_WORDS: Final = (
    *(limit.word for limit in USER_LIMITS),
    "bearer",
    "proxy-required",
    "networks",
    "times",
    "locale",
    "connection-types",
)


def read_document(
    text: str | bytes, name: str = "org.yaml", *, policies: PolicyDoor | None = None
) -> Document:
    """Read a declarative file; without `policies` one that holds a policy is refused.

    Raises:
        BadDocument: with file, line and column, the path of the value, and what is wrong with it.
    """
    try:
        return _document(open_source(text, name), policies)
    except RecursionError:
        raise BadDocument("a template merges itself", at=name) from None


def _document(top: Place, policies: PolicyDoor | None) -> Document:
    known = ("version", "operator", "accounts", "prune", POLICY, POLICY_FILE)
    # `x-…` members are the file's own: a place for templates to alias.
    members = {word: place for word, place in top.entries().items() if not word.startswith("x-")}
    if any(word not in known for word in members):
        top.members((*known, *(word for word in top.entries() if word.startswith("x-"))))
    if "version" in members and members["version"].count() != FORMAT:
        raise members["version"].fault(f"must be {FORMAT}: this program knows no other format")
    return Document(
        name=top.source.name,
        digest=top.source.digest,
        operator=_maybe(members, "operator", _operator) or OperatorPart(),
        accounts=_named(members, "accounts", _account, "account"),
        prune=_maybe(members, "prune", _prune) or frozenset(),
        policy=read_policy_part(members, policies),
    )


def _operator(place: Place) -> OperatorPart:
    if not place.is_mapping and not place.is_nothing:
        return OperatorPart(name=_name(place, "operator"), where=place.where)
    members = place.members((
        "name", "account-server-url", "service-urls", "system-account", "signing-keys",
        "require-signing-keys", "server-version", "tags", "starts", "expires",
    ))  # fmt: skip
    return OperatorPart(
        name=_maybe(members, "name", lambda value: _name(value, "operator")),
        account_server_url=_maybe(members, "account-server-url", Place.text),
        service_urls=_maybe(members, "service-urls", _texts),
        system_account=_maybe(members, "system-account", Place.text),
        signing_keys=_maybe(members, "signing-keys", lambda value: value.between(0, MAX_SIGNING_KEYS)),
        require_signing_keys=_maybe(members, "require-signing-keys", Place.flag),
        server_version=_maybe(members, "server-version", _server_version),
        tags=_maybe(members, "tags", _tags),
        starts=_maybe(members, "starts", Place.moment),
        expires=_maybe(members, "expires", until),
        where=place.where,
    )


def _account(place: Place, name: str) -> AccountPart:
    members = place.members((
        "public-key", "description", "info-url", "tags", "starts", "expires", "limits", "jetstream",
        "signing-keys", "default-permissions", "trace", "cluster-traffic", "auth-callout", "roles",
        "exports", "imports", "mappings", "users",
    ))  # fmt: skip
    return AccountPart(
        name=name,
        public_key=_maybe(members, "public-key", lambda value: _key(value, Role.ACCOUNT)),
        description=_maybe(members, "description", Place.text),
        info_url=_maybe(members, "info-url", Place.text),
        tags=_maybe(members, "tags", _tags),
        starts=_maybe(members, "starts", Place.moment),
        expires=_maybe(members, "expires", until),
        limits=_maybe(members, "limits", lambda value: _limits(value, ACCOUNT_LIMITS)) or {},
        jetstream=_maybe(members, "jetstream", _jetstream),
        signing_keys=_maybe(members, "signing-keys", lambda value: value.between(0, MAX_SIGNING_KEYS)),
        default_permissions=_maybe(members, "default-permissions", _default_permissions) or PermissionsPart(),
        trace=_maybe(members, "trace", _trace),
        cluster_traffic=_maybe(members, "cluster-traffic", _cluster_traffic),
        callout=_maybe(members, "auth-callout", _callout),
        roles=_named(members, "roles", _role, "role"),
        exports=_maybe(members, "exports", reading_sharing.exports),
        imports=_maybe(members, "imports", reading_sharing.imports),
        mappings=_maybe(members, "mappings", reading_sharing.mappings),
        users=_named(members, "users", _user, "user"),
        where=place.where,
    )


def _role(place: Place, name: str) -> RolePart:
    members = place.members(("public-key", "description", *_PERMISSION_WORDS, *_LIMIT_WORDS))
    for limit in USER_LIMITS:
        if limit.word in members and members[limit.word].size() == 0:
            raise members[limit.word].fault(
                "0 in a role would mean unlimited", hint="forbid by denying subjects instead"
            )
    return RolePart(
        name=name,
        public_key=_maybe(members, "public-key", lambda value: _key(value, Role.ACCOUNT)),
        description=_maybe(members, "description", Place.text),
        permissions=_permissions(members),
        limits=_user_limits(members),
        where=place.where,
    )


def _user(place: Place, name: str) -> UserPart:
    own = (*_PERMISSION_WORDS, *_LIMIT_WORDS)
    members = place.members(("role", "public-key", "tags", "starts", "expires", *own))
    role = _maybe(members, "role", Place.text)
    for word in own:
        if role and word in members:
            raise members[word].fault(
                f"a user of a role has no permissions or limits of its own; role {role!r} has them"
            )
    return UserPart(
        name=name,
        role=role,
        public_key=_maybe(members, "public-key", lambda value: _key(value, Role.USER)),
        permissions=_permissions(members),
        limits=_user_limits(members),
        tags=_maybe(members, "tags", _tags),
        starts=_maybe(members, "starts", Place.moment),
        expires=_maybe(members, "expires", until),
        where=place.where,
    )


def _default_permissions(place: Place) -> PermissionsPart:
    return _permissions(place.members(_PERMISSION_WORDS))


def _permissions(members: dict[str, Place]) -> PermissionsPart:
    return PermissionsPart(
        allow_pub=_maybe(members, "allow-pub", subjects),
        deny_pub=_maybe(members, "deny-pub", subjects),
        allow_sub=_maybe(members, "allow-sub", lambda place: subjects(place, queues=True)),
        deny_sub=_maybe(members, "deny-sub", lambda place: subjects(place, queues=True)),
        responses=_maybe(members, "allow-responses", _responses),
    )


def _responses(place: Place) -> ResponsePermission | Literal[False]:
    """`true` is once within two minutes, as the server reads zeros (claims spec §3.5)."""
    if place.is_flag:
        return ResponsePermission(max=1, ttl=0) if place.flag() else False
    if not place.is_mapping:
        return ResponsePermission(max=place.between(-1, MAX_RESPONSES), ttl=0)
    members = place.members(("max", "ttl"))
    return ResponsePermission(
        max=members["max"].between(-1, MAX_RESPONSES) if "max" in members else 1,
        ttl=_ttl(members["ttl"]) if "ttl" in members else 0,
    )


def _ttl(place: Place) -> int:
    # Negative is the server's "for ever".
    return -1 if place.text() in {"-1", quantities.WORD_UNLIMITED} else place.span()


def _user_limits(members: dict[str, Place]) -> LimitsPart:
    return LimitsPart(
        subs=_maybe(members, "subscriptions", Place.count),
        data=_maybe(members, "data", Place.size),
        payload=_maybe(members, "payload", Place.size),
        bearer=_maybe(members, "bearer", Place.flag),
        proxy_required=_maybe(members, "proxy-required", Place.flag),
        networks=_maybe(members, "networks", _networks),
        times=_maybe(members, "times", _windows),
        locale=_maybe(members, "locale", Place.text),
        connection_types=_maybe(
            members,
            "connection-types",
            lambda place: _each(place, lambda item: item.one_of(CONNECTION_TYPES)),
        ),
    )


def _networks(place: Place) -> tuple[str, ...]:
    import ipaddress

    def network(item: Place) -> str:
        text = item.text().strip()
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise item.fault(f"{text[:60]!r} is not a network", hint="as 10.0.0.0/8 or fd00::/8") from None
        if "/" not in text:
            raise item.fault(f"{text!r} lacks its prefix length", hint=f"as {text}/32")
        return text.lower()

    return _each(place, network)


def _windows(place: Place) -> tuple[TimeRange, ...]:
    windows = [_window(item) for item in place.texts()]
    return tuple({f"{window.start}-{window.end}": window for window in windows}.values())


def _window(place: Place) -> TimeRange:
    start, _, end = (part.strip() for part in place.text().partition("-"))
    if not _CLOCK.fullmatch(start) or not _CLOCK.fullmatch(end):
        raise place.fault("is not a time window", hint="as 08:00:00-17:00:00")
    return TimeRange(start=start, end=end)


def _limits(place: Place, table: Iterable[LimitWord]) -> dict[str, int | bool]:
    words = {limit.word: limit for limit in table}
    return {words[word].member: _limit(value, words[word]) for word, value in place.members(words).items()}


def _limit(place: Place, limit: LimitWord) -> int | bool:
    if limit.kind == "flag":
        return place.flag()
    return place.size() if limit.kind == "size" else place.count()


def _jetstream(place: Place) -> JetStreamPart:
    if place.is_flag:
        if not place.flag():
            return JetStreamPart(off=True)
        # Both storages and both counters: what tools read as "no limits" (claims spec §3.2).
        return JetStreamPart(flat={"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1})
    words = tuple(limit.word for limit in JETSTREAM_LIMITS)
    members = place.members((*words, "tiers"))
    if "tiers" not in members:
        return JetStreamPart(flat=_limits(place, JETSTREAM_LIMITS))
    for word, value in members.items():
        if word != "tiers":
            raise value.fault("limits for all tiers do not go with tiers", hint="put it into each tier")
    tiers = {
        _checked(value, name, "tier"): _limits(value, JETSTREAM_LIMITS)
        for name, value in members["tiers"].entries().items()
    }
    return JetStreamPart(tiers=tiers)


def _trace(place: Place) -> TracePart | Literal[False]:
    if place.is_flag and not place.flag():
        return False
    members = place.members(("subject", "sampling"))
    if "subject" not in members:
        raise place.fault("needs a subject", hint="or write trace: false")
    sampling = members["sampling"].between(1, 100) if "sampling" in members else 100
    return TracePart(subject(members["subject"]), sampling)


def _cluster_traffic(place: Place) -> str:
    return place.one_of(CLUSTER_TRAFFIC) if place.text() else ""


def _callout(place: Place) -> CalloutPart | Literal[False]:
    if place.is_flag and not place.flag():
        return False
    members = place.members(("users", "accounts", "encrypt"))
    encrypt: str | bool | None = None
    if "encrypt" in members:
        value = members["encrypt"]
        encrypt = value.flag() if value.is_flag else _key(value, Role.CURVE)
    return CalloutPart(
        users=_maybe(members, "users", _texts),
        accounts=_maybe(members, "accounts", _texts),
        xkey=encrypt,
        where=place.where,
    )


def _prune(place: Place) -> frozenset[str]:
    if place.is_flag:
        return frozenset(SECTIONS) if place.flag() else frozenset()
    return frozenset(item.one_of(SECTIONS) for item in place.texts())


def until(place: Place) -> Until:
    """A time, `never`, or how long a token lasts from its signing."""
    text = place.text().strip()
    lasting = quantities.parse_lasting(text)
    if lasting is not None:
        return Until(lasting=lasting)
    second = quantities.parse_moment(text)
    if second is None:
        raise place.fault(
            f"{text[:60]!r} is not an expiry", hint="a time as 2027-01-31, a span as 12h or 90d, or never"
        )
    return Until(second=second)


def _server_version(place: Place) -> str:
    text = place.text()
    if text and not _VERSION.fullmatch(text):
        raise place.fault("is not a version", hint="as 2.10.0")
    return text


def _tags(place: Place) -> tuple[str, ...]:
    return clean_tags(item.text() for item in place.texts())


def _texts(place: Place) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.text() for item in place.texts()))


def _each(place: Place, read: Callable[[Place], str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(read(item) for item in place.texts()))


def _key(place: Place, role: Role) -> PublicKey:
    text = place.text()
    try:
        return parse_public(text, role)
    except PeerError as error:
        # The key's own error never repeats the text: it might be a seed.
        raise place.fault(error.message, hint=error.hint) from None


def _name(place: Place, what: str) -> str:
    return _checked(place, place.text(), what)


def _checked(place: Place, text: str, what: str) -> str:
    try:
        name = checked_name(text, what)
    except PeerError as error:
        raise place.fault(error.message, hint=error.hint) from None
    if name != text:
        raise place.fault(f"the {what}'s name has blanks around it")
    return name


def _maybe(members: dict[str, Place], word: str, read: Callable[[Place], T]) -> T | None:
    return read(members[word]) if word in members else None


def _named(
    members: dict[str, Place], word: str, read: Callable[[Place, str], Any], what: str
) -> tuple[Any, ...] | None:
    """A section of things by name."""
    if word not in members:
        return None
    return tuple(read(place, _checked(place, name, what)) for name, place in members[word].entries().items())
