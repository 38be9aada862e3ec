"""What the real server finds only when it starts: options that do not go together (enforcement spec §2.4)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from broker.configuration.model import Tls
from broker.configuration.options import Options
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.errors import AccreditError, Refused
from issuer.keys.nkeys import Role, is_public
from issuer.tokens.envelope import decode

_ORIGIN_SCHEMES: Final = frozenset({"http", "https"})
_OWN_HEADERS: Final = frozenset({"host", "content-length", "connection", "upgrade", "nats-no-masking"})


class NotStartable(Refused):
    """Options the server would not start with."""

    code = "configuration.refused"


def require_startable(options: Options, *, version: tuple[int, int, int]) -> None:
    """Refuse what the real server refuses at its start, in its order. `version`: the one we stand for.

    Raises:
        NotStartable: with the words the real server has for it.
    """
    _require_limits(options)
    if options.operators:
        _require_trust(options, version)
    elif options.default_sentinel:
        _refuse("default sentinel requires operators and accounts", "default_sentinel")
    _require_user(options, options.no_auth_user, "no_auth_user")
    _require_mqtt(options)
    _require_websocket(options)
    _require_certificate(options.tls, "tls")
    if options.https_port and options.tls is None:
        _refuse("TLS cert and key required for HTTPS", "https_port")
    if options.http_port and options.https_port:
        words = f"can't specify both HTTP ({options.http_port}) and HTTPs ({options.https_port}) ports"
        _refuse(words, "https_port")


def _refuse(words: str, at: str, hint: str | None = None) -> None:
    raise NotStartable(words, at=at, hint=hint)


def _require_limits(options: Options) -> None:
    if options.lame_duck_grace_period >= options.lame_duck_duration:
        _refuse(
            f"lame duck grace period ({options.lame_duck_grace_period:g}s) should be strictly lower than "
            f"lame duck duration ({options.lame_duck_duration:g}s)",
            "lame_duck_grace_period",
        )
    if options.max_payload > options.max_pending:
        _refuse(
            f"max_payload ({options.max_payload}) cannot be higher than max_pending ({options.max_pending})",
            "max_payload",
        )
    if " " in options.server_name:
        _refuse("server name cannot contain spaces", "server_name")


def _require_trust(options: Options, version: tuple[int, int, int]) -> None:
    operators = [decode(token, OperatorClaims).claims for token in options.operators]
    if options.default_sentinel:
        _require_sentinel(options.default_sentinel)
    if options.resolver is None:
        _refuse("operators require an account resolver to be configured", "operator")
    if options.accounts or options.mappings:
        _refuse("operators do not allow Accounts to be configured directly", "accounts")
    if options.users:
        _refuse("operators do not allow users to be configured directly", "authorization")
    if options.trusted_keys:
        _refuse("conflicting options for 'TrustedKeys' and 'TrustedOperators'", "trusted_keys")
    named = {claims.nats.system_account for claims in operators}
    if options.system_account and named != {""} and options.system_account not in named:
        _refuse("system_account in config and operator JWT must be identical", "system_account")
    by_messages = options.resolver is not None and options.resolver.kind in {"full", "cache"}
    if by_messages and not options.system_account and not operators[0].nats.system_account:
        words = "using nats based account resolver - the system account needs to be specified in"
        hint = "accredit edit operator --system-account NAME"
        _refuse(f"{words} configuration or the operator jwt", "system_account", hint)
    for claims in operators:
        _require_version(claims, version)
    for key in sorted(options.resolver_pinned_accounts):
        if not is_public(key, Role.ACCOUNT):
            words = f'pinned account key "{key}" is not a valid public account nkey'
            _refuse(words, "resolver_pinned_accounts")


def _require_sentinel(token: str) -> None:
    try:
        body = decode(token, UserClaims).claims.nats
    except AccreditError as error:
        raise NotStartable("default sentinel JWT not valid", at="default_sentinel", hint=str(error)) from None
    # Whether it is a role's user, and the role is a bearer's, is known when its account is.
    looks_scoped = bool(body.issuer_account) and body.unrestricted_by_itself()
    if not body.bearer_token and not looks_scoped:
        _refuse("default sentinel must be a bearer token", "default_sentinel")


def _require_version(claims: OperatorClaims, version: tuple[int, int, int]) -> None:
    asked = claims.nats.assert_server_version
    if not asked:
        return
    parts = asked.removeprefix("v").split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        _refuse(f"operator {claims.sub} expects version {asked}, which is none", "operator")
    for name, wanted, ours in zip(("major", "minor", "update"), map(int, parts), version, strict=True):
        if wanted > ours:
            words = f"expected {name} version {wanted} > server {name} version {ours}"
            _refuse(f"operator {claims.sub} {words}", "operator")
        if wanted < ours:
            return


def _require_user(options: Options, name: str, at: str) -> None:
    if not name:
        return
    if options.operators:
        _refuse("no_auth_user not compatible with Trusted Operator", at)
    if not options.users:
        _refuse(f'no_auth_user: "{name}" present, but users/nkeys are not defined', at)
    if not any(name in {user.name, user.nkey} for user in options.users):
        words = f'no_auth_user: "{name}" not present as user or nkey in authorization block'
        _refuse(f"{words} or account configuration", at)


def _require_mqtt(options: Options) -> None:
    if not options.mqtt.port:
        return
    _require_user(options, options.mqtt.no_auth_user, "mqtt no_auth_user")
    if options.mqtt.ack_wait < 0:
        _refuse("ack wait must be a positive value", "mqtt ack_wait")
    _require_certificate(options.mqtt.tls, "mqtt tls")


def _require_websocket(options: Options) -> None:
    block = options.websocket
    if not block.port:
        return
    if block.tls is None and not block.no_tls:
        _refuse("websocket requires TLS configuration", "websocket", "a tls block, or no_tls: true")
    for origin in block.allowed_origins:
        _require_origin(origin)
    _require_user(options, block.no_auth_user, "websocket no_auth_user")
    if block.jwt_cookie and not options.operators and not options.trusted_keys:
        words = (
            "trusted operators or trusted keys configuration is required for JWT authentication via cookie"
        )
        _refuse(f'{words} "{block.jwt_cookie}"', "websocket jwt_cookie")
    for name in block.headers:
        if name.lower() in _OWN_HEADERS:
            _refuse(f'websocket: invalid header "{name}" not allowed', "websocket headers")
        if name.lower().startswith("sec-websocket-"):
            words = f'websocket: invalid header "{name}", "Sec-WebSocket-" prefix not allowed'
            _refuse(words, "websocket headers")
    _require_certificate(block.tls, "websocket tls")


def _require_origin(origin: str) -> None:
    at = "websocket allowed_origins"
    try:
        parts = urlsplit(origin)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise NotStartable(f"unable to parse allowed origin: {error}", at=at) from None
    if not parts.scheme and not origin.startswith("/"):
        _refuse(f'unable to parse allowed origin: parse "{origin}": invalid URI for request', at)
    if parts.scheme not in _ORIGIN_SCHEMES:
        words = "allowed origins must be absolute URLs with http or https scheme"
        _refuse(f'unable to parse allowed origin "{origin}": {words}', at)
    if not host:
        _refuse(f'unable to parse allowed origin "{origin}": host is required', at)


def _require_certificate(tls: Tls | None, at: str) -> None:
    # The real server starts without one, and no handshake then succeeds.
    if tls is not None and not tls.cert_file:
        _refuse("a tls block needs cert_file and key_file", at)
