"""Configurations for tests: files that are only in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from broker.configuration.options import Options

FILE = "server.conf"


def reader(files: Mapping[str, str]) -> Callable[[str], str]:
    def read(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return files[path]

    return read


def options_of(text: str, files: Mapping[str, str] | None = None, **environment: str) -> Options:
    return Options.read(FILE, environment=environment, read=reader({FILE: text, **(files or {})}))
