"""Our SCIM service before a checker that is not ours (scim2-tester)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.triggers.office import OKTA, SECRET, Caller, Office
from web.triggers.scim import scim_router
from web.triggers.scim_service import Service
from web.triggers.settings import ScimClient, ScimSubject

pytest.importorskip("scim2_tester", reason="scim2-tester is not installed")

from scim2_client.client import BaseSyncSCIMClient
from scim2_tester import Status, check_server


class _Client(BaseSyncSCIMClient):
    """Calls the routes without a socket."""

    def __init__(self, call: Caller) -> None:
        super().__init__()
        self._call = call

    def _stays_under_base_url(self, endpoint: str) -> bool:
        return not endpoint.startswith(("http:", "https:")) or endpoint.startswith(
            "http://accredit/scim/v2/corp"
        )

    def _parse_json(self, response: Any) -> Any:
        return response.json()

    def request(self, method: str, url: str, **members: Any) -> Any:
        path = url.removeprefix("http://accredit/scim/v2/corp")
        return self._call(method, f"/scim/v2/corp/{path.lstrip('/')}", **members)


@pytest.mark.filterwarnings("default")
def test_a_checker_of_the_rfcs_finds_no_fault(office: Office) -> None:
    # It has no way to know that we need an externalId: no schema speaks of it (RFC 7643 §3.1).
    settings = ScimClient(name="corp", directory="okta", token=SECRET, subject=ScimSubject.USER_NAME)
    service = Service(settings, OKTA, office.authority, operator=office.operator, wake=lambda _: None)
    call = Caller(scim_router([service]), headers={"Authorization": f"Bearer {SECRET.reveal()}"})
    results = check_server(_Client(call))
    bad = {Status.ERROR, Status.CRITICAL, Status.DEVIATION}
    faults = [f"{each.status} {each.title}: {each.reason}" for each in results if each.status in bad]
    assert faults == []
    assert sum(each.status is Status.SUCCESS for each in results) > 20
