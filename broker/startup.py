"""From options to what the core starts with: whom it trusts, which accounts are there from the start."""

from __future__ import annotations

from typing import Final

import msgspec

from broker.account import Account
from broker.configuration.model import GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, ConfiguredAccount
from broker.configuration.options import Options
from broker.enforcement.admission import Trust
from issuer.claims.account import AccountBody, AccountClaims, AccountLimits, Import
from issuer.keys.nkeys import PublicKey

_UNLIMITED: Final = AccountLimits(
    subs=-1, data=-1, payload=-1, imports=-1, exports=-1, wildcards=True, conn=-1, leaf=-1
)


def trust_of(options: Options) -> Trust | None:
    """Whom to believe; None without operators: then the configuration alone decides.

    Raises:
        Refused: the options contradict each other (enforcement spec §2.4).
    """
    if not options.operators and not options.trusted_keys:
        return None
    return Trust.of(
        options.operators,
        trusted_keys=options.trusted_keys,
        pinned=frozenset(map(PublicKey, options.resolver_pinned_accounts)),
        system_account=PublicKey(options.system_account) if options.system_account else None,
        default_sentinel=options.default_sentinel,
        proxies=options.proxies.trusted,
    )


def configured_accounts(options: Options) -> list[Account]:
    """The accounts of a configuration without operators, the global and the system account among them."""
    if options.operators or options.trusted_keys:
        return []
    known = {account.name: account for account in options.accounts}
    known.setdefault(
        GLOBAL_ACCOUNT, ConfiguredAccount(GLOBAL_ACCOUNT, body=AccountBody(mappings=dict(options.mappings)))
    )
    system = options.system_account or ("" if options.no_system_account else SYSTEM_ACCOUNT)
    if system:
        known.setdefault(system, ConfiguredAccount(system))
    made = []
    for configured in known.values():
        body = configured.body
        imports = tuple(each for each in body.imports if _granted(each, configured.name, known))
        account = Account(configured.name)
        account.claims = AccountClaims(
            sub=PublicKey(configured.name),
            name=configured.name,
            nats=msgspec.structs.replace(body, imports=imports, limits=_UNLIMITED),
        )
        account.system = configured.name == system
        made.append(account)
    return made


def _granted(wanted: Import, importer: str, known: dict[str, ConfiguredAccount]) -> bool:
    exporter = known.get(wanted.account)
    if exporter is None:
        return False
    allowed = exporter.private.get((wanted.type, wanted.subject))
    return allowed is None or importer in allowed
