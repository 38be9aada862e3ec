"""What delivery relies on of servers, asked of the double and of the real ones alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from issuer.delivery import fleet
from issuer.delivery.system_account import SystemAccount
from issuer.keys.nkeys import Role
from tests.issuer.delivery.town import Town, signer


async def present(system: SystemAccount) -> set[str]:
    return {server.id for server in await fleet.roster(system)}


async def a_ping_is_answered_by_all(system: SystemAccount, town: Town, servers: int) -> None:
    found = await fleet.roster(system)
    assert len(found) == servers
    assert len({server.name for server in found}) == servers
    assert all(server.id.startswith("N") for server in found)


async def a_push_is_acknowledged_by_all(system: SystemAccount, town: Town, servers: int) -> None:
    said = await fleet.push(system, town.add("Acked"), await present(system))
    assert [(answer.good, answer.words) for answer in said] == [(True, "jwt updated")] * servers


async def the_older_subject_does_it_too(system: SystemAccount, town: Town, servers: int) -> None:
    token = town.add("Older")
    said = await fleet.push(system, token, await present(system), account=town.public("Older"))
    assert [(answer.good, answer.words) for answer in said] == [(True, "jwt updated")] * servers


async def a_token_that_does_not_decode_is_refused_with_words(
    system: SystemAccount, town: Town, servers: int
) -> None:
    said = await fleet.push(system, "garbage", await present(system))
    assert len(said) == servers
    for answer in said:
        assert not answer.good
        assert answer.words == "jwt update resulted in error - expected 3 chunks"


async def what_is_stored_is_given_out_but_not_loaded(system: SystemAccount, town: Town, servers: int) -> None:
    token = town.add("Stored")
    await fleet.push(system, token, await present(system))
    found = await fleet.lookup(system, town.public("Stored"), expected=servers)
    assert found.stored == (token,) * servers
    effects = await fleet.applied(system, town.public("Stored"), await present(system))
    assert [effect.token for effect in effects] == [None] * servers


async def an_unknown_account_is_an_empty_answer(system: SystemAccount, town: Town, servers: int) -> None:
    found = await fleet.lookup(system, signer(Role.ACCOUNT).public, expected=servers)
    assert found.stored == ("",) * servers


async def a_foreign_token_is_stored_over_the_good_one(
    system: SystemAccount, town: Town, servers: int
) -> None:
    good = town.add("Foreign")
    everybody = await present(system)
    await fleet.push(system, good, everybody)
    bad = town.change("Foreign", by=signer(Role.OPERATOR), description="mine now")
    said = await fleet.push(system, bad, everybody)
    assert {answer.words for answer in said} == {"jwt updated"}
    assert (await fleet.lookup(system, town.public("Foreign"), expected=servers)).stored == (bad,) * servers


async def lists_name_their_server(system: SystemAccount, town: Town, servers: int) -> None:
    everybody = await present(system)
    await fleet.push(system, town.add("Listed"), everybody)
    lists = await fleet.listed(system, everybody)
    assert set(lists) == everybody
    assert all(town.public("Listed") in accounts for accounts in lists.values())


async def the_pack_holds_every_token(system: SystemAccount, town: Town, servers: int) -> None:
    token = town.add("Packed")
    await fleet.push(system, token, await present(system))
    assert (await fleet.fetch_all(system))[town.public("Packed")] == token


async def a_deletion_takes_it_off_every_list(system: SystemAccount, town: Town, servers: int) -> None:
    everybody = await present(system)
    account = signer(Role.ACCOUNT)
    await fleet.push(system, town.add("Doomed", account), everybody)
    request = fleet.deletion_request([account.public], town.operator, now=town.clock())
    said = await fleet.delete(system, request, everybody)
    assert [(answer.good, answer.words) for answer in said] == [(True, "deleted 1 accounts")] * servers
    lists = await fleet.listed(system, everybody)
    assert not any(account.public in accounts for accounts in lists.values())


async def nobody_connected_is_an_empty_list(system: SystemAccount, town: Town, servers: int) -> None:
    account = signer(Role.ACCOUNT).public
    assert await fleet.connections_of(system, account, present=await present(system)) == []


async def a_question_nobody_hears_ends_at_once(system: SystemAccount, town: Town, servers: int) -> None:
    assert await system.request_many("$SYS.REQ.NOBODY.THERE", deadline=30) == []


Rule = Callable[[SystemAccount, Town, int], Awaitable[None]]

RULES: Final[tuple[Rule, ...]] = (
    a_ping_is_answered_by_all,
    a_push_is_acknowledged_by_all,
    the_older_subject_does_it_too,
    a_token_that_does_not_decode_is_refused_with_words,
    what_is_stored_is_given_out_but_not_loaded,
    an_unknown_account_is_an_empty_answer,
    a_foreign_token_is_stored_over_the_good_one,
    lists_name_their_server,
    the_pack_holds_every_token,
    a_deletion_takes_it_off_every_list,
    nobody_connected_is_an_empty_list,
    a_question_nobody_hears_ends_at_once,
)
