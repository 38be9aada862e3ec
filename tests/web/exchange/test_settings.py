"""What is not meant is not read as something else, and its place is named."""

from __future__ import annotations

from typing import Any

import pytest

from callout.directories.opening import read_directories
from callout.directories.reading import DirectorySettingsError
from issuer.errors import PeerError
from tests.web.exchange.booth import Booth
from web.exchange.service import Exchange, open_exchange

OKTA = {"name": "okta", "kind": "oidc", "issuer": "https://id.example", "audiences": ["nats"]}
KEYS = {"name": "keys", "kind": "keys", "entries": []}


def opened(document: Any) -> Exchange | None:
    booth = Booth()
    return open_exchange(
        document,
        read_directories([OKTA, KEYS]),
        directories=booth,
        rules=booth,
        ledger=booth,
        signer=lambda: booth.signer,
        servers=lambda: (),
        now=lambda: booth.now,
    )


def test_without_it_nothing_is_exchanged() -> None:
    assert opened(None) is None
    assert opened({"enabled": False}) is None
    assert opened({}) is not None


def test_the_issuer_of_a_device_flow_is_its_directorys() -> None:
    found = opened(
        {"device_flow": [{"directory": "okta", "client_id": "cli", "scopes": ["openid", "groups"]}]}
    )
    assert found is not None
    (source,) = found.sources
    assert (source.name, source.issuer, source.client_id) == ("okta", "https://id.example", "cli")
    assert source.scopes == ("openid", "groups")


def flow(**members: Any) -> dict[str, Any]:
    return {"device_flow": [{"directory": "okta", "client_id": "cli"} | members]}


@pytest.mark.parametrize(
    ("document", "at"),
    [
        ({"accounts": []}, "/exchange/accounts"),
        ({"accounts": [""]}, "/exchange/accounts"),
        ({"max_lifetime": 0}, "/exchange/max_lifetime"),
        ({"max-lifetime": 60}, "/exchange/max-lifetime"),
        ({"challenge": 3600}, "/exchange/challenge"),
        ({"token_rate": 0}, "/exchange/token_rate"),
        ({"max_lifetime": "1h"}, "/exchange/max_lifetime"),
        ([], "/exchange"),
        (flow(directory="oktta"), "/exchange/device_flow/0/directory"),
        (flow(directory="keys"), "/exchange/device_flow/0/directory"),
        (flow(scopes=[]), "/exchange/device_flow/0/scopes"),
        (flow(scopes=["openid groups"]), "/exchange/device_flow/0/scopes"),
        (flow(client_id=""), "/exchange/device_flow/0/client_id"),
        (flow(client_secret="x"), "/exchange/device_flow/0/client_secret"),
        ({"device_flow": flow()["device_flow"] * 2}, "/exchange/device_flow"),
    ],
)
def test_a_fault_names_its_place(document: Any, at: str) -> None:
    with pytest.raises(PeerError) as refused:
        opened(document)
    assert refused.value.at == at


def test_a_misspelt_member_is_told_with_the_nearest_one() -> None:
    with pytest.raises(DirectorySettingsError) as refused:
        opened({"max_lifetim": 60})
    assert refused.value.hint == "did you mean max_lifetime?"
