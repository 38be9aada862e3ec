"""Who may connect by the configuration itself: `authorization`, `accounts`, their users and permissions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from broker.configuration.model import GLOBAL_ACCOUNT, ConfiguredAccount, ConfiguredUser, is_hashed
from broker.configuration.reading import (
    REAL_SERVER,
    Handler,
    Reading,
    array,
    boolean,
    integer,
    keep,
    nanoseconds_of,
    seconds,
    table,
    text,
    texts,
    wrong,
)
from broker.configuration.sharing import (
    read_exports,
    read_imports,
    read_mappings,
    read_trace,
    require_authorized,
)
from broker.configuration.values import Value
from issuer.claims.account import AccountBody, AccountLimits
from issuer.claims.fields import CONNECTION_TYPES, UNLIMITED, Permission, Permissions, ResponsePermission
from issuer.keys.nkeys import Role, is_public
from issuer.subjects import Subject, is_valid

_RESPONSES: Final = 1
_RESPONSE_TTL: Final = 120 * 10**9
_LONG_TIMEOUT: Final = 60.0
_UNLIMITED: Final = AccountLimits(
    subs=UNLIMITED, data=UNLIMITED, payload=UNLIMITED, imports=UNLIMITED, exports=UNLIMITED, wildcards=True,
    conn=UNLIMITED, leaf=UNLIMITED,
)  # fmt: skip


@dataclass(slots=True)
class Authorization:
    """What an `authorization` block says."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    timeout: float = 0.0
    users: tuple[ConfiguredUser, ...] = ()
    default_permissions: Permissions | None = None
    proxy_required: bool = False


def read_authorization(value: Value, reading: Reading) -> Authorization:
    found = Authorization()

    def timeout(value: Value) -> None:
        found.timeout = seconds(value)
        if found.timeout > _LONG_TIMEOUT:
            words = f"a timeout of {found.timeout:g} seconds is high, consider keeping it under 60"
            reading.notice("deprecated", "timeout", value.place, words, "a duration needs its quotes: '1m'")

    def users(value: Value) -> None:
        found.users = read_users(value, reading)

    def permissions(value: Value) -> None:
        found.default_permissions = read_permissions(value, reading)

    def callout(value: Value) -> None:
        # Ignored, it would let in whom the callout refuses.
        words = "auth_callout is not supported here; it belongs to an account's token"
        wrong(value, words, f"accredit edit account --help; or {REAL_SERVER}")

    def assign(name: str, convert: Callable[[Value], Any]) -> Handler:
        return lambda value: setattr(found, name, convert(value))

    reading.each(
        table(value, "authorization"),
        {
            **dict.fromkeys(("user", "username"), assign("username", text)),
            **dict.fromkeys(("pass", "password"), assign("password", text)),
            "token": assign("token", text),
            "timeout": timeout,
            "users": users,
            **dict.fromkeys(("default_permission", "default_permissions", "permissions"), permissions),
            **dict.fromkeys(("auth_callout", "auth_hook"), callout),
            "proxy_required": assign("proxy_required", boolean),
        },
    )
    found.users = with_defaults(found.users, found.default_permissions)
    if (found.username or found.password) and found.token:
        reading.fault(value.place, "cannot have a user/pass and a token")
    has_users = any(key.lower() == "users" for key in table(value, "authorization"))
    if has_users and found.username:
        reading.fault(value.place, "can not have a single user/pass and a users array")
    if has_users and found.token:
        reading.fault(value.place, "can not have a token and a users array")
    _notice_hashed(found.password, value, reading)
    _notice_hashed(found.token, value, reading)
    return found


def read_accounts(
    value: Value, reading: Reading
) -> tuple[tuple[ConfiguredAccount, ...], tuple[ConfiguredUser, ...]]:
    """The `accounts` block: a map, or just names."""
    if isinstance(value.data, tuple):
        return _account_names(value, reading), ()
    accounts: list[ConfiguredAccount] = []
    users: list[ConfiguredUser] = []

    def handler(name: str) -> Handler:
        return lambda value: _read_account(name, value, reading, accounts, users)

    for name, inner in table(value, "accounts").items():
        if name == GLOBAL_ACCOUNT:
            reading.fault(inner.place, f'"{name}" is a Reserved Account')
        elif not inner.referenced:
            reading.each({name: inner}, {name.lower(): handler(name)})
    require_authorized(accounts, value, reading)
    return tuple(accounts), tuple(users)


def read_users(value: Value, reading: Reading, account: str = GLOBAL_ACCOUNT) -> tuple[ConfiguredUser, ...]:
    items = array(value, "users")
    return tuple(reading.every(items, lambda item: _read_user(item, reading, account)))


def with_defaults(
    users: tuple[ConfiguredUser, ...], permissions: Permissions | None
) -> tuple[ConfiguredUser, ...]:
    """Users without permissions of their own get these."""
    return tuple(
        user if user.permissions is not None else replace(user, permissions=permissions) for user in users
    )


def require_unique(users: tuple[ConfiguredUser, ...], place: Value, reading: Reading) -> None:
    seen: set[str] = set()
    for user in users:
        name = user.nkey or user.name
        if name in seen:
            what = "nkey" if user.nkey else "user"
            reading.fault(place.place, f'duplicate {what} "{name}" detected')
        seen.add(name)


def read_permissions(value: Value, reading: Reading) -> Permissions:
    """What may be published, subscribed and answered; with answers alone, nothing else is published."""
    found: dict[str, Any] = {}

    def responses(value: Value) -> None:
        if not isinstance(value.data, bool):
            found["resp"] = _read_responses(value, reading)
        elif value.data:
            found["resp"] = ResponsePermission(max=_RESPONSES, ttl=_RESPONSE_TTL)

    def publish(value: Value) -> None:
        found["pub"] = _read_subjects(value, reading, queues=False)

    def subscribe(value: Value) -> None:
        found["sub"] = _read_subjects(value, reading, queues=True)

    reading.each(
        table(value, "permissions"),
        {
            **dict.fromkeys(("pub", "publish", "import"), publish),
            **dict.fromkeys(("sub", "subscribe", "export"), subscribe),
            **dict.fromkeys(("publish_allow_responses", "allow_responses"), responses),
        },
    )
    return Permissions(**found)


def _read_responses(value: Value, reading: Reading) -> ResponsePermission:
    found = {"max": _RESPONSES, "ttl": _RESPONSE_TTL}

    def most(value: Value) -> None:
        found["max"] = integer(value) or _RESPONSES

    def expires(value: Value) -> None:
        found["ttl"] = nanoseconds_of(value) or _RESPONSE_TTL

    reading.each(
        table(value, "allow_responses"),
        {
            **dict.fromkeys(("max", "max_msgs", "max_messages", "max_responses"), most),
            **dict.fromkeys(("expires", "expiration", "ttl"), expires),
        },
    )
    return ResponsePermission(max=found["max"], ttl=found["ttl"])


def _read_subjects(value: Value, reading: Reading, *, queues: bool) -> Permission:
    if not isinstance(value.data, dict):
        return Permission(allow=_subjects(value, queues=queues))
    found: dict[str, Any] = {}

    def subjects(value: Value) -> tuple[Subject, ...]:
        return _subjects(value, queues=queues)

    handlers = {"allow": keep(found, "allow", subjects), "deny": keep(found, "deny", subjects)}
    reading.each(value.data, handlers)
    return Permission(**found)


def _subjects(value: Value, *, queues: bool) -> tuple[Subject, ...]:
    subjects = texts(value)
    for subject in subjects:
        parts = subject.split()
        if is_valid(subject) or (queues and len(parts) == 2 and all(map(is_valid, parts))):
            continue
        wrong(value, f'subject "{subject}" is not a valid subject')
    return tuple(map(Subject, subjects))


def _read_user(value: Value, reading: Reading, account: str) -> ConfiguredUser:
    found: dict[str, Any] = {}
    reading.each(
        table(value, "a user"),
        {
            "nkey": keep(found, "nkey", text),
            **dict.fromkeys(("user", "username"), keep(found, "name", text)),
            **dict.fromkeys(("pass", "password"), keep(found, "password", text)),
            **dict.fromkeys(
                ("permission", "permissions", "authorization"),
                keep(found, "permissions", lambda value: read_permissions(value, reading)),
            ),
            **dict.fromkeys(
                ("allowed_connection_types", "connection_types", "clients"),
                keep(found, "connection_types", _connection_types),
            ),
            "proxy_required": keep(found, "proxy_required", boolean),
        },
    )
    user = ConfiguredUser(**found, account=account)
    if not user.nkey and not user.name:
        wrong(value, "user entry requires a user")
    if user.nkey and not is_public(user.nkey, Role.USER):
        wrong(value, "not a valid public nkey for a user")
    if user.nkey and (user.name or user.password):
        wrong(value, "nkey users do not take usernames or passwords")
    _notice_hashed(user.password, value, reading)
    return user


def _connection_types(value: Value) -> tuple[str, ...]:
    types = tuple(dict.fromkeys(name.upper() for name in texts(value)))
    unknown = [name for name in types if name not in CONNECTION_TYPES]
    if unknown:
        wrong(value, f"invalid connection types {unknown}", " ".join(CONNECTION_TYPES))
    return types


def _notice_hashed(secret: str, value: Value, reading: Reading) -> None:
    if is_hashed(secret):
        reading.unsupported("password", value, "it is hashed with bcrypt, and nobody can log in with it")


def _account_names(value: Value, reading: Reading) -> tuple[ConfiguredAccount, ...]:
    accounts: dict[str, ConfiguredAccount] = {}
    for item in array(value, "accounts"):
        name = text(item)
        if name == GLOBAL_ACCOUNT:
            reading.fault(item.place, f'"{name}" is a Reserved Account')
        elif name in accounts:
            reading.fault(item.place, f"duplicate account entry: {name}")
        accounts[name] = ConfiguredAccount(name, body=AccountBody(limits=_UNLIMITED))
    return tuple(accounts.values())


def _read_account(
    name: str,
    value: Value,
    reading: Reading,
    accounts: list[ConfiguredAccount],
    users: list[ConfiguredUser],
) -> None:
    body: dict[str, Any] = {"limits": _UNLIMITED}
    found: dict[str, Any] = {}
    own: list[ConfiguredUser] = []

    def nkey(value: Value) -> None:
        found["nkey"] = text(value)
        if not is_public(found["nkey"], Role.ACCOUNT):
            wrong(value, f'not a valid public nkey for an account: "{found["nkey"]}"')

    def exports(value: Value) -> None:
        body["exports"], found["private"] = read_exports(value, reading)

    def member(key: str, convert: Callable[[Value, Reading], Any]) -> Handler:
        return keep(body, key, lambda value: convert(value, reading))

    reading.each(
        table(value, "an account"),
        {
            "nkey": nkey,
            "imports": member("imports", read_imports),
            "exports": exports,
            "jetstream": lambda value: reading.unsupported("jetstream", value, "there is no JetStream"),
            "users": lambda value: own.extend(read_users(value, reading, name)),
            "default_permissions": member("default_permissions", read_permissions),
            **dict.fromkeys(("mappings", "maps"), member("mappings", read_mappings)),
            "limits": member("limits", _read_limits),
            **dict.fromkeys(("msg_trace", "trace_dest"), member("trace", read_trace)),
        },
    )
    accounts.append(ConfiguredAccount(name, body=AccountBody(**body), **found))
    users.extend(with_defaults(tuple(own), body.get("default_permissions")))


def _read_limits(value: Value, reading: Reading) -> AccountLimits:
    found: dict[str, Any] = {}
    reading.each(
        table(value, "limits"),
        {
            **dict.fromkeys(("max_connections", "max_conn"), keep(found, "conn", integer)),
            **dict.fromkeys(("max_subscriptions", "max_subs"), keep(found, "subs", integer)),
            **dict.fromkeys(("max_payload", "max_pay"), keep(found, "payload", integer)),
            **dict.fromkeys(("max_leafnodes", "max_leafs"), keep(found, "leaf", integer)),
        },
    )
    return AccountLimits(**{**{name: getattr(_UNLIMITED, name) for name in _LIMIT_NAMES}, **found})


_LIMIT_NAMES: Final = ("subs", "data", "payload", "imports", "exports", "wildcards", "conn", "leaf")
