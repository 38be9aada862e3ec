"""Settings: what wins, where a value came from, and one clear error for each fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from issuer.settings import (
    NAMES,
    SettingsError,
    load,
    read_selection,
    variable,
    without_password,
    write_selection,
)


def settings_file(folder: Path, text: str) -> dict[str, str]:
    path = folder / "accredit.toml"
    path.write_text(text)
    return {"ACCREDIT_CONFIG": str(path), "HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}


def test_without_anything_everything_is_a_default(tmp_path: Path) -> None:
    settings = load({}, {"XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "USER": "ada"})
    assert settings.data_dir == tmp_path / "accredit"
    assert settings.database == f"sqlite:///{tmp_path}/accredit/accredit.db"
    assert settings.master_key_file == tmp_path / "accredit" / "master.key"
    assert settings.actor == "ada"
    assert settings.config_file is None
    assert {settings.source(name) for name in NAMES} == {"default"}


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    environment = settings_file(tmp_path, 'timeout = 1\noperator = "file"\nactor = "file"\n')
    environment |= {"ACCREDIT_OPERATOR": "environment", "ACCREDIT_ACTOR": "environment"}
    settings = load({"actor": "flag"}, environment)
    assert (settings.timeout, settings.source("timeout")) == (1.0, environment["ACCREDIT_CONFIG"])
    assert (settings.operator, settings.source("operator")) == ("environment", "ACCREDIT_OPERATOR")
    assert (settings.actor, settings.source("actor")) == ("flag", "--actor")


def test_a_selection_stands_between_the_environment_and_the_file(tmp_path: Path) -> None:
    environment = settings_file(tmp_path, 'operator = "file"\naccount = "file"\n')
    write_selection(tmp_path / "data" / "accredit" / "context.json", operator="chosen", account="one")
    settings = load({}, environment)
    assert (settings.operator, settings.account, settings.source("account")) == ("chosen", "one", "select")
    assert load({}, environment | {"ACCREDIT_ACCOUNT": "other"}).account == "other"


def test_another_operator_does_not_get_the_account_selected_for_this_one(tmp_path: Path) -> None:
    write_selection(tmp_path / "context.json", operator="A", account="of A")
    assert load({"data_dir": tmp_path, "operator": "B"} | {"data_dir": str(tmp_path)}, {}).account is None
    assert load({"data_dir": str(tmp_path), "operator": "A"}, {}).account == "of A"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 'red'\n", "colour is not a setting"),
        ("timeout = 'soon'\n", "timeout is not a number of seconds"),
        ("ingest = 'sometimes'\n", "ingest is not one of auto, stream, plain, off"),
        ("timeout = true\n", "timeout is not a number of seconds"),
        ("timeout = 0\n", "timeout is not between 0 and 600 seconds"),
        ("data_dir = 7\n", "data_dir is not a text"),
        ("output = 'xml'\n", "output is not one of table, json"),
        ("nats_urls = ['http://x']\n", "nats_urls 'http://x' is not a nats, tls, ws or wss URL"),
        ("nats_urls = 'x'\n", "nats_urls 'x' is not a nats, tls, ws or wss URL"),
        ("nats_urls = {a = 1}\n", "nats_urls is not a list of URLs"),
        ("operator = \n", "is not TOML: invalid value (at line 1, column 12)"),
        ("[master_key]\nx = 1\n", "master_key is not a setting"),
    ],
)
def test_a_fault_in_the_file_names_the_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, settings_file(tmp_path, text))
    assert caught.value.message == words
    assert str(tmp_path / "accredit.toml") in str(caught.value.at)


def test_a_secret_in_the_file_is_told_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, settings_file(tmp_path, 'master_key = "abc"\n'))
    assert "ACCREDIT_MASTER_KEY" in str(caught.value.hint)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("name", ["timeout", "output", "nats_urls"])
def test_a_fault_in_the_environment_names_the_variable(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, {variable(name): "nonsense"})
    assert caught.value.at == variable(name)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such configuration file"):
        load({}, {"ACCREDIT_CONFIG": str(tmp_path / "none.toml")})
    assert load({}, {"XDG_CONFIG_HOME": str(tmp_path)}).config_file is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"operator": 7}', "\x00", '"A"'])
def test_a_broken_selection_is_one_error_with_a_way_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "context.json"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_selection(path)
    assert caught.value.at == str(path)


def test_a_selection_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "context.json"
    write_selection(path, operator="A", account="B")
    write_selection(path, operator="C", account=None)
    assert json.loads(path.read_text()) == {"operator": "C"}
    assert [entry.name for entry in path.parent.iterdir()] == ["context.json"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://ada:s3cret@db/x", "postgresql://ada:***@db/x"),
        ("postgresql://ada@db/x", "postgresql://ada@db/x"),
        ("postgresql://ada:p@ss:w@db/x", "postgresql://ada:***@db/x"),
        ("sqlite:///a/b", "sqlite:///a/b"),
    ],
)
def test_a_password_is_never_shown(address: str, shown: str) -> None:
    assert without_password(address) == shown
    settings = load({"database": address}, {})
    assert shown in {value for _, value, _ in settings.shown()}
    assert "s3cret" not in repr(settings)


def test_every_setting_can_be_given_in_every_way(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "data_dir": "/d", "database": "sqlite:///x", "master_key_file": "/k", "operator": "o", "account": "a",
        "nats_urls": "nats://h:1,tls://i", "tls_ca": "/ca", "tls_cert": "/c", "tls_key": "/tk",
        "output": "json", "timeout": "3", "actor": "me", "log_origin": "log.example",
        "ingest": "plain",
    }  # fmt: skip
    assert set(values) == set(NAMES)
    by_flag = load(values, {})
    by_environment = load({}, {variable(name): value for name, value in values.items()})
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    by_file = load({}, settings_file(tmp_path, text))
    for name in NAMES:
        assert getattr(by_flag, name) == getattr(by_environment, name) == getattr(by_file, name)
