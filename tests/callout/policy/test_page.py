"""The page on the policy: its examples are read, and nothing is missing from its tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from callout.policy.decision import Connection, Granted
from callout.policy.finding import Code, Level
from callout.policy.lint import lint
from callout.policy.match import decide
from callout.policy.model import NOT, Field, Operator, Policy
from callout.policy.reading import read_policy
from callout.policy.reading_match import operators_of
from callout.policy.writing import plain
from callout.refusals import Reason
from issuer.grants import Identity, Kind
from tests.callout.policy.policies import NOW, someone

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/callout/policy.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def read(text: str) -> Policy:
    data: Any = YAML(typ="safe", pure=True).load(text)
    return read_policy(data)


def example(first: str) -> Policy:
    """The example whose first binding has this name."""
    (found,) = (policy for policy in map(read, EXAMPLES) if policy.bindings[0].name == first)
    return found


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_is_read_and_has_no_error(text: str) -> None:
    policy = read(text)
    assert policy.bindings
    assert read_policy(plain(policy)) == policy
    assert [each for each in lint(policy, now=NOW) if each.level is not Level.NOTE] == []


def rows(heading: str) -> dict[str, str]:
    section = PAGE.partition(heading)[2]
    table = section[section.index("\n|") :].partition("\n\n")[0]
    cells = [line.split("|")[1:-1] for line in table.strip().splitlines()[2:]]
    return {name: " | ".join(rest) for first, *rest in cells for name in re.findall(r"`([^`]+)`", first)}


def test_every_field_is_told_with_its_operators() -> None:
    told = rows("## Criteria")
    assert set(told) == {*Field, "attributes"}
    for field in Field:
        assert set(re.findall(r"`([a-z-]+)`", told[field].rpartition("|")[2])) - {"zone"} == set(
            operators_of(field)
        )


def test_every_operator_is_told() -> None:
    section = PAGE.partition("| operator | holds when")[2].partition("\n\n")[0]
    told = {name.partition(":")[0] for name in re.findall(r"`([a-z-]+:[^`]*)`", section)}
    assert told >= {*Operator, NOT}


def test_every_reason_and_every_code_of_the_linter_is_told() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "callout/policy").glob("*.py")]
    given = {Reason[name] for text in sources for name in re.findall(r"\bReason\.([A-Z_]+)", text)}
    assert set(rows("## Why a login is refused")) == given
    assert set(rows("## Before it goes live")) == set(Code)


# What the examples promise


def test_control_needs_the_second_factor_and_the_control_room() -> None:
    policy = example("control-room")
    operator = someone(
        issuer="https://example.okta.test/oauth2/grid",
        groups=("grid-operators",),
        methods=("mfa", "pwd"),
        authenticated_at=NOW - 60,
    )
    room, home = Connection(address="10.20.1.2"), Connection(address="198.51.100.7")
    for connection, roles in ((room, ("reader", "switcher")), (home, ("reader",))):
        decision = decide(operator, policy, now=NOW, connection=connection)
        assert isinstance(decision, Granted)
        assert decision.grant.roles == roles


def test_a_meter_writes_to_its_own_subject() -> None:
    meter = Identity(
        issuer="certificates:field",
        subject="m-0042",
        name="m-0042",
        directory="field-certificates",
        kind=Kind.DEVICE,
        attributes={"site": "north", "model": "m100", "firmware": 42, "zones": ("z1", "z2")},
    )
    decision = decide(meter, example("meters"), now=NOW, connection=Connection(type="mqtt"))
    assert isinstance(decision, Granted)
    assert decision.grant.tags == ("site:north", "zones:z1", "zones:z2", "plant:north")
    assert decision.grant.user_name == "m-0042"


def test_a_contractor_loses_access_with_the_contract() -> None:
    policy = example("field-staff")
    pump = someone(
        directory="corp-ad",
        groups=("contractors",),
        attributes={"company": "Pumps Ltd", "clearance": 3},
    )
    last = 1_801_436_400  # 2027-02-01T00:00:00+01:00
    nats = Connection(type="nats")
    for now, granted in ((NOW, False), (last - 3600, True), (last, False)):
        decision = decide(pump, policy, now=now, connection=nats)
        assert bool(decision) is granted
        if isinstance(decision, Granted):
            assert decision.grant.expires_at == last
