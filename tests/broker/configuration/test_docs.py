"""The page of the configuration knows every key and flag there is, and no other."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from broker.configuration.accounts import read_authorization, read_permissions, read_users
from broker.configuration.flags import FLAGS
from broker.configuration.options import Options, handlers
from broker.configuration.reading import ConfigurationError, Handler, Reading
from broker.configuration.sharing import read_exports, read_imports, read_mappings, read_trace
from broker.configuration.transports import read_mqtt, read_tls, read_websocket
from broker.configuration.trust import RESOLVER_KEYS, read_proxies
from broker.configuration.unsupported import IGNORED, UNSUPPORTED
from broker.configuration.values import Data, Place, Table, Value
from tests.broker.configuration.reading_files import options_of, reader

PAGE = (Path(__file__).parents[3] / "docs/broker/configuration.md").read_text(encoding="utf-8")
NAMED = frozenset(re.findall(r"`([a-z_0-9]+)[:`]", PAGE)) | frozenset(re.findall(r"[{ ]([a-z_]+): ", PAGE))


def value(data: Data) -> Value:
    return Value(data, Place("", 1, 1))


class Watching(Reading):
    """Remembers every key that anybody would take."""

    def __init__(self) -> None:
        super().__init__(reader({}))
        self.keys: set[str] = set()

    def each(self, table: Table, handlers: Mapping[str, Handler]) -> None:
        self.keys |= set(handlers)
        super().each(table, handlers)


def keys_of(read: Callable[[Value, Reading], Any], data: Data) -> set[str]:
    watching = Watching()
    with contextlib.suppress(ConfigurationError):
        read(value(data), watching)
    return watching.keys


EMPTY: Table = {}
ITEM = (value(EMPTY),)
ACCOUNT: Table = {"A": value({"limits": value(EMPTY)})}
BLOCKS: dict[str, set[str]] = {
    "top": set(handlers({}, Reading(reader({})))),
    "resolver": set(RESOLVER_KEYS),
    "tls": keys_of(read_tls, EMPTY),
    "websocket": keys_of(read_websocket, EMPTY),
    "mqtt": keys_of(read_mqtt, EMPTY),
    "authorization": keys_of(read_authorization, EMPTY),
    "user": keys_of(read_users, ITEM),
    "permissions": keys_of(read_permissions, {"allow_responses": value(EMPTY), "pub": value(EMPTY)}),
    "proxies": keys_of(read_proxies, {"trusted": value(ITEM)}),
    "account": keys_of(lambda block, reading: handlers({}, reading)["accounts"](block), ACCOUNT),
    "export": keys_of(read_exports, (value({"latency": value(EMPTY)}),)),
    "import": keys_of(read_imports, (value({"stream": value(EMPTY)}),)),
    "mapping": keys_of(read_mappings, {"a": value(EMPTY)}),
    "trace": keys_of(read_trace, EMPTY),
}


@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_every_key_is_on_the_page(block: str) -> None:
    assert BLOCKS[block]
    assert BLOCKS[block] - {"a"} <= NAMED


def test_every_option_is_on_the_page() -> None:
    about_the_file = {"config_file", "config_digest", "warnings"}
    of_blocks = {"authorization_timeout": "timeout", "http_host": "http"}
    names = {of_blocks.get(field.name, field.name) for field in fields(Options)} - about_the_file
    assert names <= NAMED


def test_what_is_not_here_stands_there() -> None:
    behind = PAGE.partition("\n## Not here\n")[2]
    for key in (*UNSUPPORTED, *IGNORED):
        assert f"`{key}`" in behind


def test_every_flag_is_on_the_page() -> None:
    flags = PAGE.partition("\n## Flags\n")[2].partition("\n## ")[0]
    found = set(re.findall(r"`--?([A-Za-z_]+)`", flags))
    assert found == {name for flag in FLAGS if not flag.unsupported for name in flag.names}


def test_the_example_is_read() -> None:
    text = PAGE.partition("## The language\n\n```\n")[2].partition("```")[0]
    options = options_of(text, {"limits.conf": "max_connections: 5"}, PASSWORD="'one'")
    assert (options.max_payload, options.max_connections, options.users[0].password) == (8388608, 5, "one")


def test_every_key_on_the_page_is_one() -> None:
    keys = {key for found in BLOCKS.values() for key in found}
    tables = re.findall(
        r"^\| (.+?) \|", PAGE.partition("\n## Keys\n")[2].partition("\n## Flags\n")[0], re.MULTILINE
    )
    for first in tables:
        for name in re.findall(r"`([a-z_0-9]+)`", first):
            assert name in keys, first
