"""Answers servers that ask who an account is: `$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP`.

Cache resolvers ask so, and full ones that lack an account. We answer as a full server does: the
token as it is, or an empty message (enforcement spec §5.3), to everybody, in no queue group.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from issuer.delivery.system_account import INBOX, Reply, SystemAccount
from issuer.errors import AccreditError
from issuer.keys.nkeys import Role, is_public

SUBJECT: Final = "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP"
log = logging.getLogger(__name__)

# The token in force of an account by its public key, None for one we do not know. May block.
Find = Callable[[str], str | None]


async def answer_lookups(system: SystemAccount, find: Find, *, who: str = "accredit") -> None:
    """Answer from now on, for as long as the connection lasts."""

    async def answer(question: Reply) -> None:
        account = question.subject.split(".")[3]
        if not question.reply or not is_public(account, Role.ACCOUNT):
            return
        try:
            token = await asyncio.to_thread(find, account)
        except AccreditError as error:
            # Silence lets another answer; an empty message would say that there is none.
            log.warning("a lookup of account %s was not answered: %s", account, error)
            return
        # A pusher that compares what servers store must be able to leave our answers out; a server
        # must get the bare text: it reads headers as part of the token.
        headers = {"Accredit-Who": who} if question.reply.startswith(f"{INBOX}.") else None
        await system.publish(question.reply, (token or "").encode(), headers=headers)

    await system.subscribe(SUBJECT, answer)
