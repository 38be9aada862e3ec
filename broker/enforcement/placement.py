"""What a callout's answer means: whether it is one, whom it lets in, and where (enforcement spec §6.3, §6.4).

The gates, in the order in which the server goes through them; the first that fails decides:

1. CONTENT      the answer is not empty
2. SEAL         what does not look like a token opens with the account's curve key
3. RESPONSE     it is a token, its signature fits, and it is an authorization response
4. CLAIMS       the response itself is sound and in time
5. REQUEST      it is about the user key that was asked for
6. SERVER       it is for this server
7. SPEAKER      it does not say that it comes from another account than the callout's    (not if sealed)
8. SIGNER       a key of the callout's account signed it                                 (not if sealed)
9. REFUSAL      the service did not refuse
10. USER        the token in it is a user token, and its signature fits
11. PROXY       the user may come without a proxy
12. SOUND       the user's claims are sound, and in time
13. SUBJECT     the user is the key that was asked for
14. TIMES       now is one of the user's hours
15. TYPES       of the connection types the user names, one at least is known
16. ALLOWED     the account it belongs to is the callout's own, or one that the callout may place into
17. ACCOUNT     that account is known and in force
18. ISSUER      a key of that account signed the user
19. ROLE        if that key is a role's, the user leaves everything to the role, whose template fits
20. ROLE_PROXY  the role may come without a proxy
21. ROOM        the account has room for one more connection

Not asked, as the server does not: revocations, where the connection comes from, its type,
whether the account takes bearers. The user's own limits do not hold, the account's do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NoReturn

from msgspec.structs import replace

from broker.enforcement.admission import (
    AccountFacts,
    Admission,
    Limits,
    account_limits,
    in_window,
    with_role,
)
from broker.enforcement.permissions import permissions_of
from broker.protocol import texts
from broker.protocol.texts import Closed
from issuer.claims.account import AccountClaims
from issuer.claims.exchange import AuthorizationResponseClaims
from issuer.claims.quoting import quoted
from issuer.claims.templates import TemplateError
from issuer.claims.user import UserClaims
from issuer.claims.wire import ClaimSyntaxError
from issuer.errors import AccreditError
from issuer.findings import validate
from issuer.keys.nkeys import PublicKey, Seed
from issuer.keys.xkeys import SealedTooShortError, SealedVersionError, SealError, open_sealed
from issuer.tokens import chain
from issuer.tokens.envelope import TokenError, Verified, decode
