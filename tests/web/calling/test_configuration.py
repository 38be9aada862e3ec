"""What `callout.yaml` may hold, and what is said of what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callout.admission_settings import AdmissionSettingsError
from callout.directories.reading import DirectorySettingsError
from web.calling.configuration import configuration_of, read_configuration

KEYS = {"name": "services", "kind": "keys", "entries": []}


def test_the_least_there_is() -> None:
    found = configuration_of({"directories": [KEYS]})
    assert found.settings.account == "CALLOUT"
    assert [(each.name, each.kind) for each in found.directories] == [("services", "keys")]


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "callout.yaml"
    path.write_text("account: DOOR\ntiming:\n  patience: 1.5\ndirectories:\n- {name: a, kind: nkeys}\n")
    found = read_configuration(path)
    assert (found.settings.account, found.settings.timing.patience) == ("DOOR", 1.5)
    assert found.directories[0].name == "a"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "is no mapping"),
        ({}, "directories"),
        ({"directories": [KEYS], "acount": "X"}, "/acount: is not known here"),
        ({"directories": [KEYS], "timing": {"patiense": 1}}, "/timing/patiense"),
        (
            {"directories": [KEYS], "timing": {"shadow": True}, "exchange": {}},
            "/exchange: a service in the shadow",
        ),
        (
            {"directories": [KEYS], "timing": {"shadow": True}, "triggers": {}},
            "/triggers: a service in the shadow",
        ),
        ({"directories": [KEYS, KEYS]}, "the name of two"),
        ({"directories": [{"name": "x", "kind": "kerberos"}]}, "no kind of directory"),
        ({"directories": {"name": "x"}}, "directories"),
        ({"directories": [KEYS], "admission": {"at_one": 5}}, "/admission/at_one: is not known here"),
        (
            {"directories": [KEYS], "admission": {"priorities": {"servces": "high"}}},
            "/admission/priorities/servces: is no",
        ),
        (
            {"directories": [KEYS], "admission": {"priorities": {"services": "top"}}},
            "/admission/priorities",
        ),
    ],
)
def test_what_cannot_be_meant(document: Any, words: str) -> None:
    with pytest.raises(DirectorySettingsError, match=words):
        configuration_of(document)


@pytest.mark.parametrize(
    ("members", "at"),
    [
        ({"at_once": 0}, "/admission/at_once"),
        ({"address": {"per_second": 0, "burst": 1}}, "/admission/address/per_second"),
    ],
)
def test_an_admission_that_would_let_nobody_in(members: Any, at: str) -> None:
    with pytest.raises(AdmissionSettingsError) as refused:
        configuration_of({"directories": [KEYS], "admission": members})
    assert refused.value.at == at


def test_who_goes_first_is_said_by_directory() -> None:
    found = configuration_of({"directories": [KEYS], "admission": {"priorities": {"services": "critical"}}})
    assert found.settings.admission.priorities == {"services": "critical"}
