"""One SCIM client's people: what it asks for, done (RFC 7644 §3.3 to §3.6)."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from issuer.authority.desk import Actor, Authority
from issuer.authority.provisioning import (
    AddPerson,
    Changed,
    ChangePerson,
    PeopleQuestion,
    Provider,
    Record,
    RemovePerson,
    add_person,
    change_person,
    people,
    person,
    remove_person,
)
from issuer.errors import NotFound
from issuer.store.provisioned import Provisioned, Whom
from web.triggers import scim_schemas as own
from web.triggers.bodies import plain_text
from web.triggers.scim_documents import Document, patched, read_user
from web.triggers.scim_paths import ScimError, comparison
from web.triggers.settings import ScimClient, ScimSubject

_MOST_START: Final = 1_000_000_000

Answer = tuple[HTTPStatus, dict[str, Any] | None]


class Service:
    """One provider's people; what it asks for, done."""

    def __init__(
        self,
        client: ScimClient,
        issuer: str,
        authority: Authority,
        *,
        operator: tuple[int, str],
        wake: Callable[[Sequence[str]], None],
    ) -> None:
        self.client = client
        self._authority = authority
        self._operator_id, name = operator
        self._by_user_name = client.subject is ScimSubject.USER_NAME
        self._provider = Provider(
            source=client.source, issuer=issuer, by_user_name=self._by_user_name, operator=name
        )
        self._actor = Actor(client.name, "scim")
        self._wake = wake

    async def find(self, base: str, number: str) -> Answer:
        return HTTPStatus.OK, _resource(await self._found(number), base)

    async def search(self, base: str, asked: Mapping[str, str]) -> Answer:
        start = max(_number(asked.get("startindex"), 1), 1)
        count = max(min(_number(asked.get("count"), self.client.page), self.client.page), 0)
        whom, number = _whom(asked.get("filter"))
        if number is not None:
            one = await asyncio.to_thread(self._ask_one, number)
            rows = [one] if one is not None and start == 1 and count else []
            total = 0 if one is None else 1
        else:
            question = PeopleQuestion(
                operator_id=self._operator_id,
                source=self.client.source,
                whom=whom,
                skip=min(start - 1, _MOST_START),
                limit=count,
            )
            found = await asyncio.to_thread(self._authority.ask, people, question)
            rows, total = [*found.rows], found.total
        resources = [_resource(row, base) for row in rows]
        return HTTPStatus.OK, own.listed(resources, total=total, start=start)

    async def add(self, base: str, plain: dict[str, Any]) -> Answer:
        document = read_user(plain, self.client.subject)
        act = AddPerson(self._provider, _record(document), self._subject(document))
        changed = await self._do(add_person, act)
        return HTTPStatus.CREATED, _resource(changed.row, base)

    async def replace(self, base: str, number: str, plain: dict[str, Any]) -> Answer:
        document = read_user(plain, self.client.subject)
        if not any(str(member).lower() == "active" for member in plain):
            # RFC 7644 §3.5.1 leaves it to us; to let somebody in takes more than to say nothing.
            return await self._change(base, number, lambda was: {**document, "active": was["active"]})
        return await self._change(base, number, lambda _: document)

    async def patch(self, base: str, number: str, plain: dict[str, Any]) -> Answer:
        return await self._change(base, number, lambda was: patched(was, plain, self.client.subject))

    async def remove(self, number: str) -> Answer:
        act = RemovePerson(self._provider, _id(number), lambda was: self._subject(_document(was)))
        await self._do(remove_person, act)
        return HTTPStatus.NO_CONTENT, None

    async def _change(self, base: str, number: str, edit: Callable[[Document], Document]) -> Answer:
        def edited(was: Provisioned) -> tuple[Record, str, str]:
            before = _document(was)
            after = edit(before)
            return _record(after), self._subject(after), self._subject(before)

        changed = await self._do(change_person, ChangePerson(self._provider, _id(number), edited))
        return HTTPStatus.OK, _resource(changed.row, base)

    async def _do(self, act: Callable[..., Changed], with_: Any) -> Changed:
        changed = await asyncio.to_thread(self._authority.perform, act, with_, self._actor)
        self._wake(changed.errands)
        return changed

    async def _found(self, number: str) -> Provisioned:
        found = await asyncio.to_thread(self._ask_one, _id(number))
        if found is None:
            raise NotFound("there is nobody of that id")
        return found

    def _ask_one(self, number: str) -> Provisioned | None:
        return self._authority.ask(person, (self._operator_id, self.client.source, number))

    def _subject(self, document: Document) -> str:
        subject: str = document[self.client.subject.value]
        return subject


def _whom(text: str | None) -> tuple[Whom, str | None]:
    """Who a filter is about, or the id it asks for."""
    if text is None:
        return Whom(), None
    name, value = comparison(text)
    match name.lower(), value:
        case "username", str():
            return Whom(user_name=_storable(value.casefold())), None
        case "externalid", str():
            return Whom(external_id=_storable(value)), None
        case "active", bool():
            return Whom(active=value), None
        case "id", str():
            return Whom(), _id(value)
    raise ScimError("invalidFilter", "userName, externalId, id and active can be asked for")


def _storable(text: str) -> str:
    # What no user can have finds none, and a database need not see it.
    return text if plain_text(text) is not None else ""


def _id(number: str) -> str:
    return number if plain_text(number, 64) is not None else "-"


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    try:
        found = int(text) if len(text) < 12 else None
    except ValueError:
        found = None
    if found is None:
        raise ScimError("invalidValue", "startIndex and count are whole numbers")
    return found


def _record(document: Document) -> Record:
    return Record(
        user_name=document["userName"].casefold(),
        external_id=document.get("externalId", ""),
        active=document["active"],
        document=msgspec.json.encode(document, order="sorted").decode(),
    )


def _document(row: Provisioned) -> Document:
    document: Document = msgspec.json.decode(row.document)
    return document


def _resource(row: Provisioned, base: str) -> dict[str, Any]:
    return {
        "schemas": [own.USER],
        "id": row.id,
        **_document(row),
        "meta": {
            "resourceType": "User",
            "created": _stamp(row.created_at),
            "lastModified": _stamp(row.changed_at),
            "location": f"{base}/Users/{row.id}",
        },
    }


def _stamp(when: int) -> str:
    return dt.datetime.fromtimestamp(when, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
