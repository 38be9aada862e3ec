"""The number of each event, for tools that want one: `ACC` and four digits, and how it ended.

A number is never given to another event. A new event gets the next one of its group; a new group the next
hundred.
"""

from __future__ import annotations

from typing import Final

from issuer.audit.catalogue import EventCode

NUMBERS: Final[dict[EventCode, int]] = {
    EventCode.ACCOUNT_ADOPTED: 1001,
    EventCode.ACCOUNT_CHANGED: 1002,
    EventCode.ACCOUNT_CREATED: 1003,
    EventCode.ACCOUNT_DELETED: 1004,
    EventCode.ACCOUNT_DELETION_PROVED: 1005,
    EventCode.ACT_FAILED: 1101,
    EventCode.ACT_REFUSED: 1102,
    EventCode.ACTIVATION_ADOPTED: 1201,
    EventCode.ACTIVATION_ISSUED: 1202,
    EventCode.ACTIVATION_RESTORED: 1203,
    EventCode.ACTIVATION_REVOKED: 1204,
    EventCode.AUDIT_EXPORTED: 4001,
    EventCode.CREDS_GENERATED: 1301,
    EventCode.CUSTODY_CREATED: 1401,
    EventCode.CUSTODY_REWRAPPED: 1402,
    EventCode.DELIVERY_ACKNOWLEDGED: 1501,
    EventCode.DELIVERY_FOREIGN: 1502,
    EventCode.DELIVERY_LOST: 1503,
    EventCode.DELIVERY_PROVED: 1504,
    EventCode.DELIVERY_REFUSED: 1505,
    EventCode.DELIVERY_SENT: 1506,
    EventCode.EVIDENCE_MADE: 1601,
    EventCode.EXPORT_DONE: 1701,
    EventCode.IDENTITY_DENIED: 1801,
    EventCode.IDENTITY_EVICTED: 1802,
    EventCode.IDENTITY_RESTORED: 1803,
    EventCode.IMPORT_DONE: 1901,
    EventCode.KEY_ADDED: 2001,
    EventCode.KEY_EXPORTED: 2002,
    EventCode.KEY_REMOVED: 2003,
    EventCode.KEY_RETIRED: 2004,
    EventCode.KEY_REVEALED: 2005,
    EventCode.LOG_KEY_CREATED: 2101,
    EventCode.LOG_OPENED: 2102,
    EventCode.LOGIN_GRACE: 2201,
    EventCode.LOGIN_GRANTED: 2202,
    EventCode.LOGIN_REFUSED: 2203,
    EventCode.LOGIN_SHADOWED: 2204,
    EventCode.OPERATOR_ADOPTED: 2301,
    EventCode.OPERATOR_CHANGED: 2302,
    EventCode.OPERATOR_CREATED: 2303,
    EventCode.OPERATOR_DELETED: 2304,
    EventCode.PERSON_ERASED: 2401,
    EventCode.PLAN_APPLIED: 2501,
    EventCode.POLICY_CHANGED: 2601,
    EventCode.PROVISIONED_ADDED: 2701,
    EventCode.PROVISIONED_CHANGED: 2702,
    EventCode.PROVISIONED_REMOVED: 2703,
    EventCode.SERVER_CONNECTED: 2801,
    EventCode.SERVER_DISCONNECTED: 2802,
    EventCode.SERVER_FORGOTTEN: 2803,
    EventCode.SERVER_LOST: 2804,
    EventCode.SERVER_REFUSED: 2805,
    EventCode.SERVER_UNKNOWN_TOKEN: 2806,
    EventCode.SERVER_UNREADABLE: 2807,
    EventCode.STORE_CREATED: 2901,
    EventCode.STORE_MIGRATED: 2902,
    EventCode.TOKEN_SIGNED: 3001,
    EventCode.TRIGGER_HEARD: 3101,
    EventCode.USER_ADOPTED: 3201,
    EventCode.USER_CHANGED: 3202,
    EventCode.USER_DELETED: 3203,
    EventCode.USER_ISSUED: 3204,
    EventCode.USER_RESTORED: 3205,
    EventCode.USER_REVOKED: 3206,
    EventCode.USERS_ISSUED: 3301,
}
_BY_NAME: Final = {code.value: number for code, number in NUMBERS.items()}
_LETTERS: Final = {"done": "I", "refused": "W", "failed": "E"}


def class_id(code: str, outcome: str) -> str:
    """`ACC1003I`: information, W for what was refused, E for what failed."""
    return f"ACC{_BY_NAME[code]}{_LETTERS.get(outcome, 'E')}"


def severity(code: str, outcome: str) -> int:
    """From 0 to 10, as CEF counts: what was refused is worth a look, an alarm a person's."""
    if code in ALARMS:
        return 8
    return {"done": 3, "refused": 5}.get(outcome, 7)


ALARMS: Final = frozenset(
    {
        EventCode.DELIVERY_FOREIGN.value,
        EventCode.DELIVERY_LOST.value,
        EventCode.LOGIN_GRACE.value,
        EventCode.SERVER_UNKNOWN_TOKEN.value,
    }
)
"""Events somebody should be told of."""
