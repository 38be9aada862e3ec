"""Each event, whatever it says, is a document of the released schema."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from issuer.audit.catalogue import CATALOGUE, EventCode
from issuer.audit.formats.ocsf import CLASSES, VERSION
from issuer.audit.formats.record import Record
from issuer.audit.formats.table import FORMATS
from issuer.audit.log import Body, _clean
from tests.issuer.audit.formats.test_formats import NASTY, record

SCHEMA = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=VERSION))


@cache
def validator(class_uid: int) -> Any:
    name = SCHEMA.lookup_class_name_from_uid(class_uid=class_uid)
    return jsonschema.Draft202012Validator(SCHEMA.get_class_schema(class_name=name, profiles=[]))


def checked(data: bytes) -> dict[str, Any]:
    assert data.count(b"\n") == 1
    document: dict[str, Any] = json.loads(data)
    validator(document["class_uid"]).validate(document)
    assert document["type_uid"] == document["class_uid"] * 100 + document["activity_id"]
    return document


def test_every_event_has_a_class() -> None:
    assert set(CLASSES) == set(EventCode)


@pytest.mark.parametrize("outcome", ["done", "refused", "failed"])
@pytest.mark.parametrize("code", sorted(EventCode))
def test_every_event_is_of_the_schema(code: EventCode, outcome: str) -> None:
    full = {
        name: 5 if name in {"count", "until", "expires"} else f"{name} of it"
        for name in CATALOGUE[code].fields
    }
    for detail, target in (({}, ""), (full, "U" + "A" * 55)):
        body = Body(
            actor="cli:ada",
            at=1_700_000_000,
            code=code.value,
            detail=detail,
            outcome=outcome,
            previous="0" * 64,
            seq=7,
            target=target,
            targets=(target,) if target else (),
            correlation="c" if target else "",
            reason="because" if target else "",
        )
        document = checked(FORMATS["ocsf"].render(Record(7, "log/admin/2026", "ab" * 32, "{}", body)))
        assert document["status_id"] == (1 if outcome == "done" else 2)
        assert document["metadata"]["sequence"] == 7


def nasty(function: Any) -> Any:
    for text in NASTY:
        function = example(text)(function)
    return given(st.text(max_size=100))(function)


@nasty
def test_whatever_it_says(text: str) -> None:
    document = checked(FORMATS["ocsf"].render(record(text)))
    assert document["unmapped"]["detail.subject"] == _clean(text)


def test_the_validator_does_refuse() -> None:
    document = json.loads(FORMATS["ocsf"].render(record("x")))
    for wrong in ({"class_uid": "3002"}, {"surprise": 1}, {"severity_id": 77}):
        with pytest.raises(jsonschema.ValidationError):
            validator(3002).validate({**document, **wrong})
