"""The file's words for the fields of claims: one table for reading, showing and exporting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Quantity = Literal["count", "size", "flag"]


@dataclass(frozen=True, slots=True)
class LimitWord:
    """A limit: how the file calls it, and the member of the claim."""

    word: str
    member: str
    kind: Quantity


ACCOUNT_LIMITS: Final = (
    LimitWord("conns", "conn", "count"),
    LimitWord("leaf-conns", "leaf", "count"),
    LimitWord("subscriptions", "subs", "count"),
    LimitWord("payload", "payload", "size"),
    LimitWord("data", "data", "size"),
    LimitWord("imports", "imports", "count"),
    LimitWord("exports", "exports", "count"),
    LimitWord("wildcard-exports", "wildcards", "flag"),
    LimitWord("disallow-bearer", "disallow_bearer", "flag"),
)

JETSTREAM_LIMITS: Final = (
    LimitWord("mem-storage", "mem_storage", "size"),
    LimitWord("disk-storage", "disk_storage", "size"),
    LimitWord("streams", "streams", "count"),
    LimitWord("consumers", "consumer", "count"),
    LimitWord("max-ack-pending", "max_ack_pending", "count"),
    LimitWord("max-mem-stream", "mem_max_stream_bytes", "size"),
    LimitWord("max-disk-stream", "disk_max_stream_bytes", "size"),
    LimitWord("max-bytes-required", "max_bytes_required", "flag"),
)

USER_LIMITS: Final = (
    LimitWord("subscriptions", "subs", "count"),
    LimitWord("payload", "payload", "size"),
    LimitWord("data", "data", "size"),
)

PERMISSIONS: Final = (
    ("allow-pub", "pub", "allow"),
    ("deny-pub", "pub", "deny"),
    ("allow-sub", "sub", "allow"),
    ("deny-sub", "sub", "deny"),
)

RESPONSE_TYPES: Final = ("Singleton", "Stream", "Chunked")
CLUSTER_TRAFFIC: Final = ("system", "owner")
HEADERS: Final = "headers"
