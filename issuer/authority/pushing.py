"""What pushing needs: its user of the system account, and the key that asks for deletions.

That user is short-lived and allowed the few subjects it needs (nsc's own has the right idea and too
short a list). It cannot reload, drain or kick servers, nor see other accounts' messages.
"""

from __future__ import annotations

from typing import Final

from issuer.authority.signing import first_held, head, operator_keys
from issuer.authority.system_users import Task
from issuer.claims.fields import ResponsePermission
from issuer.claims.operator import OperatorClaims
from issuer.custody.keyring import Keyring
from issuer.store.hierarchy import Operator
from issuer.store.unit import Unit
from issuer.tokens.signer import Signer

NAME: Final = "accredit-pusher"

_ASKS: Final = (
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.SERVER.PING.CONNZ",
    "$SYS.REQ.SERVER.*.ACCOUNTZ",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SYS.REQ.CLAIMS.DELETE",
    "$SYS.REQ.CLAIMS.LIST",
    "$SYS.REQ.CLAIMS.PACK",
    "$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE",
    "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP",
    "$SYS.REQ.ACCOUNT.*.INFO",
)
_HEARS: Final = (
    "_INBOX_accredit.>",
    "$SYS.SERVER.*.STATSZ",
    "$SYS.SERVER.*.SHUTDOWN",
    "$SYS.ACCOUNT.*.SERVER.CONNS",
)
# A service also answers servers that look accounts up.
_ANSWERS: Final = ("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP",)
_ANSWER_NANOSECONDS: Final = 5 * 10**9

PUSHER: Final = Task(NAME, _ASKS, _HEARS, 120)
"""For one command's push."""
SERVING_PUSHER: Final = Task(
    NAME, _ASKS, (*_HEARS, *_ANSWERS), 3600, ResponsePermission(max=1, ttl=_ANSWER_NANOSECONDS)
)
"""For a service's connection, which is made anew when its user ends."""


def deletion_signer(unit: Unit, keyring: Keyring, operator: Operator) -> Signer:
    """An operator key: what servers believe a deletion from (enforcement spec §5.5).

    Raises:
        NotFound: none that may sign is stored here.
    """
    claims: OperatorClaims = head(unit, "operator", operator.id).claims
    return first_held(unit, keyring, operator_keys(claims), f"operator {claims.name!r}")
