"""Which folders are the store and the keystore, whatever was named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from issuer.errors import NotFound
from issuer.interop.nsc_place import default_locations, locate
from tests.issuer.interop.made import Made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return Made().write(tmp_path / "nsc")


@pytest.mark.parametrize("below", ["", "stores"])
def test_from_the_home_and_from_the_stores(home: Path, below: str) -> None:
    place = locate(home / below)
    assert (place.stores, place.keys, place.operator) == (home / "stores", home / "keys", None)


def test_from_one_operator(home: Path) -> None:
    place = locate(home / "stores" / "GRID")
    assert (place.stores, place.keys, place.operator) == (home / "stores", home / "keys", "GRID")


def test_from_the_data_folder_of_the_desktop(home: Path, tmp_path: Path) -> None:
    data = tmp_path / "share"
    shutil.copytree(home, data / "nats" / "nsc")
    for folder in (data, data / "nats", data / "nats" / "nsc"):
        assert locate(folder).stores == data / "nats" / "nsc" / "stores"


def test_all_in_one_folder(home: Path, tmp_path: Path) -> None:
    """As `nsc -H DIR` lays it out."""
    one = tmp_path / "one"
    shutil.copytree(home / "keys", one)
    shutil.copytree(home / "stores" / "GRID", one / "GRID")
    place = locate(one)
    assert (place.stores, place.keys) == (one, one)


def test_as_long_ago(home: Path, tmp_path: Path) -> None:
    (tmp_path / ".nsc").mkdir()
    shutil.copytree(home / "stores", tmp_path / ".nsc" / "nats")
    keys = tmp_path / "home" / ".nkeys"
    shutil.copytree(home / "keys", keys)
    place = locate(tmp_path / ".nsc", environment={"HOME": str(tmp_path / "home")})
    assert (place.stores, place.keys) == (tmp_path / ".nsc" / "nats", keys)


def test_from_the_config_that_names_it(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "nsc.json").write_text(json.dumps({"store_root": str(home / "stores")}))
    assert locate(config).stores == home / "stores"


def test_keys_are_looked_for_beside_then_where_nsc_looks(home: Path, tmp_path: Path) -> None:
    keys = tmp_path / "elsewhere"
    shutil.move(home / "keys", keys)
    assert locate(home).keys is None
    assert locate(home, environment={"NKEYS_PATH": str(keys)}).keys == keys
    assert locate(home, keys=keys).keys == keys
    (tmp_path / "share/nats/nsc").mkdir(parents=True)
    shutil.move(keys, tmp_path / "share/nats/nsc/keys")
    found = locate(home, environment={"XDG_DATA_HOME": str(tmp_path / "share")}).keys
    assert found == tmp_path / "share/nats/nsc/keys"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"store_root": 3}', '{"store_root": "/nowhere"}'])
def test_no_store_is_not_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "nsc.json").write_text(text)
    with pytest.raises(NotFound, match="holds no nsc store"):
        locate(tmp_path)
    with pytest.raises(NotFound, match="no such folder"):
        locate(tmp_path / "none")


def test_a_keystore_that_is_named_must_be_there(home: Path) -> None:
    with pytest.raises(NotFound, match="no such folder"):
        locate(home, keys=home / "none")


@pytest.mark.parametrize("name", ["keys", "stores"])
def test_a_link_in_a_folder_is_not_its_store(home: Path, tmp_path: Path, name: str) -> None:
    (home / "nsc.json").unlink()
    shutil.move(home / name, tmp_path / "outside")
    (home / name).symlink_to(tmp_path / "outside")
    if name == "keys":
        assert locate(home).keys is None
        # Whoever names the link means what it leads to.
        assert locate(home, keys=home / "keys").keys == tmp_path / "outside"
    else:
        with pytest.raises(NotFound, match="holds no nsc store"):
            locate(home)
        assert locate(home / "stores").stores == tmp_path / "outside"


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotFound, match="holds no nsc store"):
        locate(tmp_path / "file")


def test_where_nsc_looks_on_its_own(tmp_path: Path) -> None:
    place = default_locations({}, tmp_path)
    data = tmp_path / ".local/share/nats/nsc"
    assert (place.stores, place.keys) == (data / "stores", data / "keys")


def test_where_nsc_looks_as_it_is_told(tmp_path: Path) -> None:
    environment = {"XDG_DATA_HOME": str(tmp_path / "data"), "NKEYS_PATH": "~/my-keys", "NSC_HOME": ""}
    place = default_locations(environment, tmp_path)
    assert (place.stores, place.keys) == (tmp_path / "data/nats/nsc/stores", tmp_path / "my-keys")


def test_where_nsc_looks_since_long_ago(tmp_path: Path) -> None:
    (tmp_path / ".nsc/nats").mkdir(parents=True)
    (tmp_path / ".nkeys").mkdir()
    place = default_locations({}, tmp_path)
    assert (place.stores, place.keys) == (tmp_path / ".nsc/nats", tmp_path / ".nkeys")
    data = tmp_path / ".local/share/nats/nsc"
    (data / "keys").mkdir(parents=True)
    (data / "stores").mkdir()
    place = default_locations({}, tmp_path)
    assert (place.stores, place.keys) == (data / "stores", data / "keys")


@pytest.mark.parametrize(
    ("environment", "config"),
    [
        ({}, ".config/nats/nsc"),
        ({"XDG_CONFIG_HOME": "~/c"}, "c/nats/nsc"),
        ({"NSC_HOME": "~/h", "XDG_CONFIG_HOME": "~/c"}, "h"),
        ({}, ".nsc"),
    ],
)
def test_where_nsc_was_told_to_look(tmp_path: Path, environment: dict[str, str], config: str) -> None:
    (tmp_path / config).mkdir(parents=True)
    (tmp_path / config / "nsc.json").write_text(json.dumps({"store_root": "/somewhere"}))
    assert default_locations(environment, tmp_path).stores == Path("/somewhere")
    usual = tmp_path / ".local/share/nats/nsc/stores"
    assert default_locations({**environment, "NSC_CWD_ONLY": ""}, tmp_path).stores == usual
