"""Open Cybersecurity Schema Framework 1.8.0, a JSON document a line.

Each event has a class and an activity of the schema; what has no place there is under `unmapped`.
"""

from __future__ import annotations

from typing import Any, Final

from issuer import __version__
from issuer.audit.catalogue import CATALOGUE, EventCode
from issuer.audit.formats.numbers import class_id, severity
from issuer.audit.formats.record import Record, person_of
from issuer.audit.log import Body

VERSION: Final = "1.8.0"
_ACCOUNT_CHANGE, _AUTHENTICATION, _ENTITY, _APPLICATION, _API = 3001, 3002, 3004, 6002, 6003
_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99
_LOGON, _LOGOFF = 1, 2
_ENABLE, _DISABLE, _REMOVE = 2, 5, 6
_INSTALL, _UPGRADE = 1, 8

E = EventCode
CLASSES: Final[dict[EventCode, tuple[int, int]]] = {
    E.ACCOUNT_ADOPTED: (_ENTITY, _CREATE),
    E.ACCOUNT_CHANGED: (_ENTITY, _UPDATE),
    E.ACCOUNT_CREATED: (_ENTITY, _CREATE),
    E.ACCOUNT_DELETED: (_ENTITY, _DELETE),
    E.ACCOUNT_DELETION_PROVED: (_ENTITY, _DELETE),
    E.ACT_FAILED: (_API, _OTHER),
    E.ACT_REFUSED: (_API, _OTHER),
    E.ACTIVATION_ADOPTED: (_ENTITY, _CREATE),
    E.ACTIVATION_ISSUED: (_ENTITY, _CREATE),
    E.ACTIVATION_RESTORED: (_ENTITY, _UPDATE),
    E.ACTIVATION_REVOKED: (_ENTITY, _DELETE),
    E.AUDIT_EXPORTED: (_API, _READ),
    E.CREDS_GENERATED: (_API, _READ),
    E.CUSTODY_CREATED: (_ENTITY, _CREATE),
    E.CUSTODY_REWRAPPED: (_ENTITY, _UPDATE),
    E.DELIVERY_ACKNOWLEDGED: (_API, _UPDATE),
    E.DELIVERY_FOREIGN: (_API, _READ),
    E.DELIVERY_LOST: (_API, _READ),
    E.DELIVERY_PROVED: (_API, _READ),
    E.DELIVERY_REFUSED: (_API, _UPDATE),
    E.DELIVERY_SENT: (_API, _UPDATE),
    E.EVIDENCE_MADE: (_API, _READ),
    E.EXPORT_DONE: (_API, _READ),
    E.IDENTITY_DENIED: (_ACCOUNT_CHANGE, _DISABLE),
    E.IDENTITY_EVICTED: (_AUTHENTICATION, _LOGOFF),
    E.IDENTITY_RESTORED: (_ACCOUNT_CHANGE, _ENABLE),
    E.IMPORT_DONE: (_API, _CREATE),
    E.KEY_ADDED: (_ENTITY, _CREATE),
    E.KEY_EXPORTED: (_API, _READ),
    E.KEY_REMOVED: (_ENTITY, _DELETE),
    E.KEY_RETIRED: (_ENTITY, _UPDATE),
    E.KEY_REVEALED: (_API, _READ),
    E.LOG_KEY_CREATED: (_ENTITY, _CREATE),
    E.LOG_OPENED: (_ENTITY, _CREATE),
    E.LOGIN_GRACE: (_AUTHENTICATION, _LOGON),
    E.LOGIN_GRANTED: (_AUTHENTICATION, _LOGON),
    E.LOGIN_REFUSED: (_AUTHENTICATION, _LOGON),
    E.LOGIN_SHADOWED: (_AUTHENTICATION, _OTHER),
    E.OPERATOR_ADOPTED: (_ENTITY, _CREATE),
    E.OPERATOR_CHANGED: (_ENTITY, _UPDATE),
    E.OPERATOR_CREATED: (_ENTITY, _CREATE),
    E.OPERATOR_DELETED: (_ENTITY, _DELETE),
    E.PERSON_ERASED: (_API, _DELETE),
    E.PLAN_APPLIED: (_API, _UPDATE),
    E.POLICY_CHANGED: (_ENTITY, _UPDATE),
    E.PROVISIONED_ADDED: (_ACCOUNT_CHANGE, _CREATE),
    E.PROVISIONED_CHANGED: (_ACCOUNT_CHANGE, _OTHER),
    E.PROVISIONED_REMOVED: (_ACCOUNT_CHANGE, _REMOVE),
    E.SERVER_CONNECTED: (_AUTHENTICATION, _LOGON),
    E.SERVER_DISCONNECTED: (_AUTHENTICATION, _LOGOFF),
    E.SERVER_FORGOTTEN: (_ENTITY, _DELETE),
    E.SERVER_LOST: (_API, _OTHER),
    E.SERVER_REFUSED: (_AUTHENTICATION, _LOGON),
    E.SERVER_UNKNOWN_TOKEN: (_AUTHENTICATION, _OTHER),
    E.SERVER_UNREADABLE: (_API, _OTHER),
    E.STORE_CREATED: (_APPLICATION, _INSTALL),
    E.STORE_MIGRATED: (_APPLICATION, _UPGRADE),
    E.TOKEN_SIGNED: (_ENTITY, _CREATE),
    E.TRIGGER_HEARD: (_API, _OTHER),
    E.USER_ADOPTED: (_ACCOUNT_CHANGE, _CREATE),
    E.USER_CHANGED: (_ACCOUNT_CHANGE, _OTHER),
    E.USER_DELETED: (_ACCOUNT_CHANGE, _REMOVE),
    E.USER_ISSUED: (_ACCOUNT_CHANGE, _CREATE),
    E.USER_RESTORED: (_ACCOUNT_CHANGE, _ENABLE),
    E.USER_REVOKED: (_ACCOUNT_CHANGE, _DISABLE),
    E.USERS_ISSUED: (_ACCOUNT_CHANGE, _CREATE),
}
_BY_NAME: Final = {
    code.value: (*CLASSES[code], code.value.partition(".")[0], entry.title)
    for code, entry in CATALOGUE.items()
}
# From our 0 to 10 to the schema's: informational, low, medium, high.
_SEVERITIES: Final = {3: 1, 5: 2, 7: 3, 8: 4}
_PRODUCT: Final = {"name": "accredit", "vendor_name": "Accredit", "version": __version__}
_APP: Final = {"name": "accredit", "vendor_name": "Accredit", "version": __version__}


def document(record: Record) -> dict[str, Any]:
    """The event as the schema has it."""
    body = record.body
    class_uid, activity, thing, title = _BY_NAME[body.code]
    detail = body.detail
    found: dict[str, Any] = {
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "time": body.at * 1000,
        "severity_id": _SEVERITIES[severity(body.code, body.outcome)],
        "status_id": 1 if body.outcome == "done" else 2,
        "status": "Success" if body.outcome == "done" else "Failure",
        "message": title,
        "metadata": {
            "version": VERSION,
            "product": _PRODUCT,
            "uid": f"{record.origin}#{record.seq}",
            "sequence": record.seq,
            "event_code": class_id(body.code, body.outcome),
            "log_name": record.origin,
        },
        "unmapped": {
            "code": body.code,
            "actor": body.actor,
            "leaf": record.leaf,
            "target": body.target,
            "targets": body.targets,
            "artefacts": body.artefacts,
            **{f"detail.{name}": value for name, value in detail.items()},
        },
    }
    if body.correlation:
        found["metadata"]["correlation_uid"] = body.correlation
    if class_uid != _APPLICATION:
        found["actor"] = {"user": {"name": person_of(body.actor) or "?"}, "app_name": "accredit"}
    if body.reason:
        found["status_detail"] = body.reason
    _CLASS_OF_ITS_OWN[class_uid](found, body, thing)
    return found


def _of_user(found: dict[str, Any], body: Body, _: str) -> None:
    found["user"] = _user(body)


def _of_authentication(found: dict[str, Any], body: Body, _: str) -> None:
    found["user"] = _user(body)
    found["service"] = {"name": "nats"}
    address = str(body.detail.get("address", ""))
    if address:
        found["src_endpoint"] = {"name": address}


def _of_entity(found: dict[str, Any], body: Body, thing: str) -> None:
    entity = {"type": thing, "name": str(body.detail.get("name") or thing)}
    if body.target:
        entity["uid"] = body.target
    found["entity"] = entity


def _of_application(found: dict[str, Any], _: Body, __: str) -> None:
    found["app"] = _APP


def _of_api(found: dict[str, Any], body: Body, _: str) -> None:
    found["api"] = {"operation": str(body.detail.get("act") or body.code)}
    found["src_endpoint"] = {"name": body.actor.partition(":")[0] or "accredit"}


_CLASS_OF_ITS_OWN: Final = {
    _ACCOUNT_CHANGE: _of_user,
    _AUTHENTICATION: _of_authentication,
    _ENTITY: _of_entity,
    _APPLICATION: _of_application,
    _API: _of_api,
}


def _user(body: Body) -> dict[str, str]:
    detail = body.detail
    name = detail.get("subject") or detail.get("user_name") or detail.get("name") or detail.get("value")
    user = {"name": str(name)} if name else {}
    if body.target:
        user["uid"] = body.target
    return user or {"name": "?"}
