"""Questions about connections servers told of: whose, by which credential, approved by which event."""

from __future__ import annotations

from dataclasses import dataclass

from issuer.audit.log import Entry, read
from issuer.authority.finding import the_account, the_operator
from issuer.keys.nkeys import Role, is_public
from issuer.store import hierarchy, issued
from issuer.store.connections import Connection, WantedConnections, find_connections
from issuer.store.issued import LetIn
from issuer.store.unit import Log, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionQuestion:
    """What connections. `user` is a name or key of a user, or the subject of an identity."""

    operator: str | None = None
    user: str | None = None
    account: str | None = None
    since: int | None = None
    only_open: bool = False
    limit: int = 100


@dataclass(frozen=True, slots=True)
class SeenConnection:
    """One, with what the log says of it: the server's words, and who approved the credential."""

    connection: Connection
    account: str
    told: Entry | None
    """The event that told of it; its personal values in clear as long as they are not erased."""
    approval: Entry | None
    session: LetIn | None

    def said(self, name: str) -> str:
        """A detail of what the server told, or ''."""
        return str(self.told.body.detail.get(name, "")) if self.told is not None else ""

    @property
    def identity(self) -> str:
        """Whose it is, in words: of the callout's who they are, of others the user's name."""
        if self.session is not None:
            return self.session.subject
        return self.said("name")


def seen_connections(unit: Unit, question: ConnectionQuestion) -> list[SeenConnection]:
    """Newest first.

    Raises:
        NotFound: there is no such account.
    """
    operator = the_operator(unit, question.operator)
    account = the_account(unit, operator, question.account).public if question.account else None
    wanted = WantedConnections(
        whose=_whose(unit, operator.id, account, question.user) if question.user else None,
        account=account,
        since=question.since,
        only_open=question.only_open,
    )
    rows = find_connections(unit, wanted, limit=question.limit)
    let_in = issued.who_let_in(unit, {row.session_id for row in rows if row.session_id})
    names: dict[str, str] = {}
    for key in {row.account for row in rows}:
        found = hierarchy.account_by_public(unit, key)
        names[key] = found.name if found is not None else ""
    return [
        SeenConnection(
            row,
            names[row.account],
            _event(unit, Log.SERVERS, row.opened_seq or row.closed_seq),
            _event(unit, Log.ADMIN, row.approval),
            let_in.get(row.session_id),
        )
        for row in rows
    ]


def _whose(unit: Unit, operator_id: int, account: str | None, user: str) -> tuple[list[str], list[int]]:
    if is_public(user, Role.USER):
        return [user], []
    keys = [
        str(found.public)
        for row in hierarchy.accounts(unit, operator_id)
        if account in {None, row.public} and (found := hierarchy.find_user(unit, row.id, user))
    ]
    return keys, issued.session_ids_of(unit, user)


def _event(unit: Unit, log: Log, seq: int) -> Entry | None:
    return next(read(unit, log, after_seq=seq - 1, limit=1), None) if seq else None
