"""Every event there is, and what may stand in its details: the one table.

A detail field that is not listed cannot be recorded, so a secret has no place to slip into.
A code that goes out of use stays here, commented, and is never given another meaning.
Run as a module, it prints its page of the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class EventCode(StrEnum):
    """Stable names of what happened: thing, then deed."""

    ACCOUNT_ADOPTED = "account.adopted"
    ACCOUNT_CHANGED = "account.changed"
    ACCOUNT_CREATED = "account.created"
    ACCOUNT_DELETED = "account.deleted"
    ACCOUNT_DELETION_PROVED = "account.deletion-proved"
    ACT_FAILED = "act.failed"
    ACT_REFUSED = "act.refused"
    ACTIVATION_ADOPTED = "activation.adopted"
    ACTIVATION_ISSUED = "activation.issued"
    ACTIVATION_RESTORED = "activation.restored"
    ACTIVATION_REVOKED = "activation.revoked"
    AUDIT_EXPORTED = "audit.exported"
    CREDS_GENERATED = "creds.generated"
    CUSTODY_CREATED = "custody.created"
    CUSTODY_REWRAPPED = "custody.rewrapped"
    DELIVERY_ACKNOWLEDGED = "delivery.acknowledged"
    DELIVERY_FOREIGN = "delivery.foreign"
    DELIVERY_LOST = "delivery.lost"
    DELIVERY_PROVED = "delivery.proved"
    DELIVERY_REFUSED = "delivery.refused"
    DELIVERY_SENT = "delivery.sent"
    EVIDENCE_MADE = "evidence.made"
    EXPORT_DONE = "export.done"
    IDENTITY_DENIED = "identity.denied"
    IDENTITY_EVICTED = "identity.evicted"
    IDENTITY_RESTORED = "identity.restored"
    IMPORT_DONE = "import.done"
    KEY_ADDED = "key.added"
    KEY_EXPORTED = "key.exported"
    KEY_REMOVED = "key.removed"
    KEY_RETIRED = "key.retired"
    KEY_REVEALED = "key.revealed"
    LOG_KEY_CREATED = "log.key-created"
    LOG_OPENED = "log.opened"
    LOGIN_GRACE = "login.grace"
    LOGIN_GRANTED = "login.granted"
    LOGIN_REFUSED = "login.refused"
    LOGIN_SHADOWED = "login.shadowed"
    OPERATOR_ADOPTED = "operator.adopted"
    OPERATOR_CHANGED = "operator.changed"
    OPERATOR_CREATED = "operator.created"
    OPERATOR_DELETED = "operator.deleted"
    PERSON_ERASED = "person.erased"
    PLAN_APPLIED = "plan.applied"
    POLICY_CHANGED = "policy.changed"
    PROVISIONED_ADDED = "provisioned.added"
    PROVISIONED_CHANGED = "provisioned.changed"
    PROVISIONED_REMOVED = "provisioned.removed"
    SERVER_CONNECTED = "server.connected"
    SERVER_DISCONNECTED = "server.disconnected"
    SERVER_FORGOTTEN = "server.forgotten"
    SERVER_LOST = "server.lost"
    SERVER_REFUSED = "server.refused"
    SERVER_UNKNOWN_TOKEN = "server.unknown-token"  # noqa: S105
    SERVER_UNREADABLE = "server.unreadable"
    STORE_CREATED = "store.created"
    STORE_MIGRATED = "store.migrated"
    TOKEN_SIGNED = "token.signed"  # noqa: S105
    TRIGGER_HEARD = "trigger.heard"
    USER_ADOPTED = "user.adopted"
    USER_CHANGED = "user.changed"
    USER_DELETED = "user.deleted"
    USER_ISSUED = "user.issued"
    USER_RESTORED = "user.restored"
    USER_REVOKED = "user.revoked"
    USERS_ISSUED = "users.issued"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalogue: what the event says, its possible details, and which are of people."""

    code: EventCode
    title: str
    fields: frozenset[str]
    personal: frozenset[str]


# Who somebody is, or where: written as commitments, as are who acted and why.
_PERSONAL: Final = frozenset({"address", "client_name", "subject", "user_name", "value"})


def _entry(code: EventCode, title: str, fields: str = "") -> tuple[EventCode, Entry]:
    names = frozenset(fields.split())
    of_people = code.partition(".")[0] in {"identity", "login", "provisioned", "server", "trigger"}
    return code, Entry(code, title, names, names & _PERSONAL if of_people else frozenset())


_ACCOUNT: Final = "name old_name what count kind subject role importer tags expires"
_PROVISIONED: Final = "source id issuer subject active followed denial"
_CONNECTION: Final = (
    "event told server server_id cluster client address account account_name user_name client_name language "
    "kind type started credential sha256 jti issuer name role approval session subject"
)
_DELIVERY: Final = "server server_id cluster version action attempts words name"

CATALOGUE: Final[dict[EventCode, Entry]] = dict(
    (
        _entry(EventCode.ACCOUNT_ADOPTED, "an account made elsewhere was taken in", "name source"),
        _entry(EventCode.ACCOUNT_CHANGED, "an account was signed anew with other claims", _ACCOUNT),
        _entry(EventCode.ACCOUNT_CREATED, "an account was made", "name what tags expires"),
        _entry(EventCode.ACCOUNT_DELETED, "an account and its users were deleted", "name count"),
        _entry(EventCode.ACCOUNT_DELETION_PROVED, "no server has the account any more", "name servers"),
        _entry(EventCode.ACT_FAILED, "an act came to nothing through a fault", "act code fault message at"),
        _entry(EventCode.ACT_REFUSED, "an act was refused", "act code fault message at"),
        _entry(
            EventCode.ACTIVATION_ADOPTED, "an activation made elsewhere was taken in", "subject kind importer"
        ),
        _entry(
            EventCode.ACTIVATION_ISSUED,
            "an importer was given a token for an export",
            "subject kind importer expires",
        ),
        _entry(
            EventCode.ACTIVATION_RESTORED,
            "an importer's activations count again",
            "name subject kind importer",
        ),
        _entry(
            EventCode.ACTIVATION_REVOKED,
            "an importer's activations were cut off",
            "name subject kind importer until",
        ),
        _entry(
            EventCode.AUDIT_EXPORTED,
            "events were taken out of a log, from one on and up to another",
            "format log path first last filters proofs",
        ),
        _entry(EventCode.CREDS_GENERATED, "a user's creds were given out", "name path"),
        _entry(EventCode.CUSTODY_CREATED, "a master key was set", "source key_id"),
        _entry(
            EventCode.CUSTODY_REWRAPPED, "the sealed seeds were put under another master key", "key_id count"
        ),
        _entry(EventCode.DELIVERY_ACKNOWLEDGED, "a server has stored an account's token", _DELIVERY),
        _entry(EventCode.DELIVERY_FOREIGN, "a server holds a token we never issued", _DELIVERY),
        _entry(EventCode.DELIVERY_LOST, "a server no longer holds what it had", _DELIVERY),
        _entry(EventCode.DELIVERY_PROVED, "a server applies an account's token", _DELIVERY),
        _entry(EventCode.DELIVERY_REFUSED, "a server refused an account's token", _DELIVERY),
        _entry(EventCode.DELIVERY_SENT, "an account's token was sent to the servers", f"{_DELIVERY} count"),
        _entry(
            EventCode.EVIDENCE_MADE,
            "a bundle of evidence was asked for",
            "path scope since until framework people",
        ),
        _entry(
            EventCode.EXPORT_DONE,
            "a store was written for another tool",
            "kind path operators accounts users keys",
        ),
        _entry(
            EventCode.IDENTITY_DENIED,
            "somebody is not let in any more, whatever the policy says",
            "denial kind issuer value before",
        ),
        _entry(
            EventCode.IDENTITY_EVICTED,
            "sessions were ended on their servers, and looked for until they were gone",
            "denial kind issuer value before sessions servers left came_back portable unproved "
            "first_kick_ms last_gone_ms",
        ),
        _entry(
            EventCode.IDENTITY_RESTORED,
            "a denial was lifted: the policy decides again",
            "denial kind issuer value before",
        ),
        _entry(
            EventCode.IMPORT_DONE,
            "another tool's store was taken in",
            "kind path operators accounts users keys",
        ),
        _entry(EventCode.KEY_ADDED, "a key was taken into custody", "purpose role owner source"),
        _entry(EventCode.KEY_EXPORTED, "a seed was written to another tool's keystore", "purpose role path"),
        _entry(EventCode.KEY_REMOVED, "a seed was dropped from custody", "purpose role"),
        _entry(EventCode.KEY_RETIRED, "a key is no longer used", "purpose role"),
        _entry(EventCode.KEY_REVEALED, "a seed was shown", "purpose role path"),
        _entry(EventCode.LOG_KEY_CREATED, "a key was made that signs checkpoints of the logs", "origin vkey"),
        _entry(
            EventCode.LOG_OPENED,
            "a year is over: its tree is closed, and the next one begins with its root",
            "log year closed_year closed_size closed_root",
        ),
        _entry(
            EventCode.LOGIN_GRACE,
            "a directory gives no answer, and for the first time somebody it knew lately was let in",
            "directory proved",
        ),
        _entry(
            EventCode.LOGIN_GRANTED,
            "the callout let somebody in; `grace` is when he was last proved, if his directory was down",
            "issuer subject directory bindings policy role server client expires grace",
        ),
        _entry(
            EventCode.LOGIN_REFUSED,
            "the callout turned somebody away",
            "issuer subject directory code message server client address",
        ),
        _entry(
            EventCode.LOGIN_SHADOWED,
            "a callout in the shadow decided a login that another one answers",
            "issuer subject directory would code message bindings policy role account server client address",
        ),
        _entry(EventCode.OPERATOR_ADOPTED, "an operator made elsewhere was taken in", "name source"),
        _entry(
            EventCode.OPERATOR_CHANGED, "an operator was signed anew with other claims", "name old_name what"
        ),
        _entry(EventCode.OPERATOR_CREATED, "an operator was made", "name what"),
        _entry(EventCode.OPERATOR_DELETED, "an operator was deleted", "name count"),
        _entry(EventCode.PERSON_ERASED, "nobody can tell any more of whom this was said", "commitment rows"),
        _entry(EventCode.PLAN_APPLIED, "a declared organisation was made so", "path changes sha256 operator"),
        _entry(
            EventCode.POLICY_CHANGED,
            "another policy of the callout is in force",
            "version sha256 bindings restores",
        ),
        _entry(EventCode.PROVISIONED_ADDED, "a provider of identities told us of somebody", _PROVISIONED),
        _entry(EventCode.PROVISIONED_CHANGED, "a provider changed what it told of somebody", _PROVISIONED),
        _entry(EventCode.PROVISIONED_REMOVED, "a provider took somebody away", _PROVISIONED),
        _entry(
            EventCode.SERVER_CONNECTED,
            "a server let somebody in; `approval` is the event that issued the credential",
            _CONNECTION,
        ),
        _entry(
            EventCode.SERVER_DISCONNECTED,
            "a connection to a server is over, with the server's reason",
            f"{_CONNECTION} stopped reason sent received connected",
        ),
        _entry(EventCode.SERVER_FORGOTTEN, "a server will not come back", "server"),
        _entry(EventCode.SERVER_LOST, "there were more events of servers than could be taken in", "count"),
        _entry(EventCode.SERVER_REFUSED, "a server turned somebody away", f"{_CONNECTION} reason"),
        _entry(
            EventCode.SERVER_UNKNOWN_TOKEN,
            "a server was shown a credential signed with a key of ours that we never issued",
            f"{_CONNECTION} outcome",
        ),
        _entry(EventCode.SERVER_UNREADABLE, "messages that should tell of servers do not", "count reason"),
        _entry(EventCode.STORE_CREATED, "the store was made", "version revision"),
        _entry(
            EventCode.STORE_MIGRATED, "the store was brought to another revision", "from_revision to_revision"
        ),
        _entry(EventCode.TOKEN_SIGNED, "a token of another kind was signed", "kind name expires"),
        _entry(
            EventCode.TRIGGER_HEARD,
            "something outside was told or found out, and what followed",
            "source notice what issuer subject followed denial sessions ended",
        ),
        _entry(EventCode.USER_ADOPTED, "a user made elsewhere was taken in", "name account source role"),
        _entry(EventCode.USER_CHANGED, "a user was signed anew", "name old_name what account role expires"),
        _entry(EventCode.USER_DELETED, "a user was deleted", "name account revoked"),
        _entry(EventCode.USER_ISSUED, "a user was made", "name account role expires"),
        _entry(EventCode.USER_RESTORED, "a user's tokens count again", "name user user_name"),
        _entry(EventCode.USER_REVOKED, "a user's tokens were cut off", "name user user_name until"),
        _entry(EventCode.USERS_ISSUED, "many users were made at once", "account role count expires"),
    )
)


def rows() -> list[Entry]:
    """The catalogue in order of its codes."""
    return [CATALOGUE[code] for code in sorted(CATALOGUE)]


def page() -> str:
    """The catalogue as a page of the reference."""
    lines = [
        "# Events",
        "",
        "<!-- made by `python -m issuer.audit.catalogue`; do not edit -->",
        "",
        "Details in *italics* are of people: the log has commitments of them, of who acted and why.",
        "",
        "| code | what happened | details it may hold |",
        "|---|---|---|",
    ]
    for entry in rows():
        fields = ", ".join(
            f"*`{name}`*" if name in entry.personal else f"`{name}`" for name in sorted(entry.fields)
        )
        lines.append(f"| `{entry.code}` | {entry.title} | {fields or 'none'} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
