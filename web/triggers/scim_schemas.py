"""What our SCIM service says of itself (RFC 7643 §5 to §7): little is held, and only that is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
PATCH: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
_CONFIG: Final = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_TYPE: Final = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:Schema"

TEXT: Final = "string"
SWITCH: Final = "boolean"

SIMPLE: Final[Mapping[str, str]] = {
    "externalId": TEXT,
    "userName": TEXT,
    "displayName": TEXT,
    "title": TEXT,
    "active": SWITCH,
}
COMPLEX: Final[Mapping[str, Mapping[str, str]]] = {
    "name": {"formatted": TEXT, "familyName": TEXT, "givenName": TEXT},
}
SEVERAL: Final[Mapping[str, Mapping[str, str]]] = {
    "emails": {"value": TEXT, "display": TEXT, "type": TEXT, "primary": SWITCH},
}
NOT_HELD: Final = frozenset(
    {
        "addresses", "entitlements", "groups", "id", "ims", "locale", "meta", "nickName", "password",
        "phoneNumbers", "photos", "preferredLanguage", "profileUrl", "roles", "schemas", "timezone",
        "userType", "x509Certificates",
    }
)  # fmt: skip
"""Attributes of a user (RFC 7643 §4.1) that are passed over; a password never gets anywhere."""

_TITLES: Final = {
    "userName": "What the provider calls the person; unique, in any case",
    "displayName": "For people to read",
    "title": "As an engineer, say",
    "active": "Whether the person is let in",
    "name": "The parts of the name",
    "formatted": "The whole name",
    "familyName": "The family name",
    "givenName": "The given name",
    "emails": "Addresses for mail",
    "value": "The address",
    "display": "For people to read",
    "type": "As work or home",
    "primary": "Whether it is the first choice",
}


def service_provider_config(base: str, page: int) -> dict[str, Any]:
    """RFC 7643 §5. `base` is the address of the service."""
    return {
        "schemas": [_CONFIG],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": page},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": False},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "The token of this client, in the Authorization header",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def resource_types(base: str) -> list[dict[str, Any]]:
    """RFC 7643 §6."""
    return [
        {
            "schemas": [_TYPE],
            "id": "User",
            "name": "User",
            "description": "Somebody who may be let in",
            "endpoint": "/Users",
            "schema": USER,
            "schemaExtensions": [],
            "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/User"},
        }
    ]


def schemas(base: str) -> list[dict[str, Any]]:
    """RFC 7643 §7."""
    attributes = [
        _attribute(name, kind, required=name in {"userName", "active"}, unique=name == "userName")
        for name, kind in SIMPLE.items()
        if name != "externalId"  # common to all resources (§3.1), and so in no schema
    ]
    attributes += [_composed(name, parts, several=False) for name, parts in COMPLEX.items()]
    attributes += [_composed(name, parts, several=True) for name, parts in SEVERAL.items()]
    return [
        {
            "schemas": [_SCHEMA],
            "id": USER,
            "name": "User",
            "description": "Somebody who may be let in",
            "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{USER}"},
        }
    ]


def listed(resources: list[dict[str, Any]], *, total: int | None = None, start: int = 1) -> dict[str, Any]:
    """A list of resources (RFC 7644 §3.4.2)."""
    return {
        "schemas": [LIST],
        "totalResults": len(resources) if total is None else total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": resources,
    }


def _attribute(name: str, kind: str, *, required: bool = False, unique: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "type": kind,
        "multiValued": False,
        "description": _TITLES[name],
        "required": required,
        "mutability": "readWrite",
        "returned": "default",
    }
    if kind == TEXT:
        found |= {"caseExact": False, "uniqueness": "server" if unique else "none"}
    return found


def _composed(name: str, parts: Mapping[str, str], *, several: bool) -> dict[str, Any]:
    return {
        "name": name,
        "type": "complex",
        "multiValued": several,
        "description": _TITLES[name],
        "required": False,
        "mutability": "readWrite",
        "returned": "default",
        "subAttributes": [_attribute(part, kind) for part, kind in parts.items()],
    }
