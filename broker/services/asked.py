"""What a request asks for: options as JSON, looked at before anything is done (enforcement spec §7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

import msgspec

from issuer.errors import Refused

Count = Annotated[int, msgspec.Meta(ge=0)]


class AskedWrongError(Refused):
    """A request that cannot be understood, or asks for what makes no sense together."""

    code = "request.malformed"


class Options(TypedDict, total=False):
    """Every option of every page; who does not know one ignores it, as servers do."""

    server_name: str
    host: str
    cluster: str
    domain: str
    tags: list[str]
    exact_match: bool
    sort: str
    auth: bool
    subscriptions: bool
    subscriptions_detail: bool
    offset: int
    limit: int
    cid: Count
    mqtt_client: str
    state: int
    user: str
    acc: str
    filter_subject: str
    account: str
    accounts: list[str]
    include_unused: bool
    test: str


def read_options(payload: bytes, *, empty: bool = True) -> Mapping[str, Any]:
    """The options of a request; `empty` allows one without a body.

    Raises:
        AskedWrongError: it is no JSON object, or an option is of another kind.
    """
    if not payload and empty:
        return {}
    try:
        said = msgspec.json.decode(payload)
        if said is None:
            return {}
        if isinstance(said, dict):
            # Servers read names in any spelling, and take null for what is not there.
            said = {name.lower(): value for name, value in said.items() if value is not None}
        found: Options = msgspec.convert(said, Options)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise AskedWrongError(str(error)) from None
    return found
