"""The settings of one run: flags over environment over selection over file over defaults.

Every value knows where it came from; `accredit env` shows it. Nothing here reads the clock or the
database, and the master key itself is never a setting: only where it is kept.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from issuer.errors import PeerError, Unavailable

MASTER_KEY_VARIABLE: Final = "ACCREDIT_MASTER_KEY"
CONFIG_VARIABLE: Final = "ACCREDIT_CONFIG"
DEFAULT_TIMEOUT: Final = 5.0
OUTPUTS: Final = ("table", "json")
INGESTS: Final = ("auto", "stream", "plain", "off")


class SettingsError(PeerError):
    """A setting that cannot be read; `at` names it and its source."""

    code = "settings.malformed"


class ContextWriteError(Unavailable):
    """The selection could not be kept."""

    code = "settings.unwritable"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run works with. `sources` says of every name where its value came from."""

    data_dir: Path
    database: str = field(repr=False)
    master_key_file: Path
    operator: str | None = None
    account: str | None = None
    nats_urls: tuple[str, ...] = ()
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    output: str = "table"
    timeout: float = DEFAULT_TIMEOUT
    ingest: str = "auto"
    actor: str = ""
    log_origin: str = ""
    config_file: Path | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def context_file(self) -> Path:
        return self.data_dir / "context.json"

    @property
    def creds_dir(self) -> Path:
        return self.data_dir / "creds"

    def source(self, name: str) -> str:
        return self.sources.get(name, "default")

    def shown(self) -> list[tuple[str, str, str]]:
        """Name, value and source of every setting, secrets hidden."""
        rows = []
        for entry in fields(self):
            if entry.name == "sources":
                continue
            value = getattr(self, entry.name)
            if entry.name == "database":
                value = without_password(value)
            elif isinstance(value, tuple):
                value = ", ".join(value)
            rows.append((entry.name, "" if value is None else str(value), self.source(entry.name)))
        return rows


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("is not a text")
    return value


def _path(value: Any) -> Path:
    return Path(_text(value)).expanduser()


def _urls(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(url, str) for url in value):
        raise ValueError("is not a list of URLs")
    for url in value:
        scheme, found, host = url.partition("://")
        if not found or scheme not in {"nats", "tls", "ws", "wss"} or not host:
            raise ValueError(f"{url!r} is not a nats, tls, ws or wss URL")
    return tuple(value)


def _output(value: Any) -> str:
    if value not in OUTPUTS:
        raise ValueError(f"is not one of {', '.join(OUTPUTS)}")
    return str(value)


def _ingest(value: Any) -> str:
    if value not in INGESTS:
        raise ValueError(f"is not one of {', '.join(INGESTS)}")
    return str(value)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is not a number of seconds")  # noqa: TRY004  one kind of fault for all readers
    try:
        seconds = float(value)
    except ValueError:
        raise ValueError("is not a number of seconds") from None
    if not 0 < seconds <= 600:
        raise ValueError("is not between 0 and 600 seconds")
    return seconds


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "data_dir": _path,
    "database": _text,
    "master_key_file": _path,
    "operator": _text,
    "account": _text,
    "nats_urls": _urls,
    "tls_ca": _path,
    "tls_cert": _path,
    "tls_key": _path,
    "output": _output,
    "timeout": _seconds,
    "ingest": _ingest,
    "actor": _text,
    "log_origin": _text,
}
NAMES: Final = tuple(_READERS)


def variable(name: str) -> str:
    return "ACCREDIT_" + name.upper()


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def load(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Put the settings of this run together.

    Raises:
        SettingsError: a value of the wrong kind or an unknown key; it names the key and where it stands.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def take(name: str, raw: Any, source: str, at: str) -> None:
        try:
            values[name] = _READERS[name](raw)
        except ValueError as fault:
            raise SettingsError(f"{name} {fault}", at=at) from None
        sources[name] = source

    config, named = config_path(environment)
    if "config_file" in flags:
        config, named = Path(flags["config_file"]).expanduser(), True
    config_file = config if named or config.is_file() else None
    if config_file is not None:
        for name, raw in _read_file(config_file).items():
            take(name, raw, str(config_file), f"{config_file}: {name}")
    for name in NAMES:
        if environment.get(variable(name)):
            take(name, environment[variable(name)], variable(name), variable(name))
        if flags.get(name) is not None:
            take(name, flags[name], flag(name), flag(name))
    data_dir = values.setdefault("data_dir", _default_data_dir(environment))
    _add_selection(values, sources, data_dir)
    values.setdefault("database", f"sqlite:///{data_dir / 'accredit.db'}")
    values.setdefault("master_key_file", data_dir / "master.key")
    values.setdefault("actor", _login(environment))
    return Settings(**values, config_file=config_file, sources=sources)


def config_path(environment: Mapping[str, str]) -> tuple[Path, bool]:
    """Where the configuration file is, and whether somebody named it."""
    if environment.get(CONFIG_VARIABLE):
        return Path(environment[CONFIG_VARIABLE]).expanduser(), True
    root = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(root).expanduser() / "accredit" / "accredit.toml", False


def without_password(address: str) -> str:
    """A database URL as it may be shown."""
    scheme, found, rest = address.partition("://")
    user, at, host = rest.rpartition("@")
    if not found or not at or ":" not in user:
        return address
    return f"{scheme}://{user.partition(':')[0]}:***@{host}"


# The selection: what `select` and the newest `add` left as the default operator and account


def read_selection(path: Path) -> dict[str, str]:
    """The selected operator and account.

    Raises:
        SettingsError: the file is not what we write.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as fault:
        raise SettingsError(f"cannot be read: {fault}", at=str(path)) from None
    import json

    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise SettingsError(
            "is not a selection of ours", at=str(path), hint="remove it, then: accredit select"
        )
    return {name: found[name] for name in ("operator", "account") if found.get(name)}


def write_selection(path: Path, *, operator: str, account: str | None) -> None:
    """Keep the default operator and account; the file is replaced whole or not at all."""
    import json
    import secrets

    selection = {"operator": operator} | ({"account": account} if account else {})
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.write_text(json.dumps(selection, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as fault:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ContextWriteError(f"cannot write: {fault.strerror}", at=str(path)) from None


def _add_selection(values: dict[str, Any], sources: dict[str, str], data_dir: Path) -> None:
    path = data_dir / "context.json"
    above_file = ("ACCREDIT_", "--")
    if sources.get("operator", "").startswith(above_file) and sources.get("account", "").startswith(
        above_file
    ):
        return
    selection = read_selection(path)
    operator_named = sources.get("operator", "").startswith(above_file)
    if operator_named and selection.get("operator") != values["operator"]:
        # The selected account is an account of the selected operator, of no other.
        selection.pop("account", None)
    for name, value in selection.items():
        if not sources.get(name, "").startswith(above_file):
            values[name], sources[name] = value, "select"


def _read_file(path: Path) -> dict[str, Any]:
    # Parsing TOML costs start-up time; most runs have no file.
    import tomllib

    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except FileNotFoundError:
        raise SettingsError("there is no such configuration file", at=str(path)) from None
    except OSError as fault:
        raise SettingsError(f"cannot be read: {fault.strerror}", at=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise SettingsError(f"is not TOML: {str(fault)[:1].lower()}{str(fault)[1:]}", at=str(path)) from None
    for name in found:
        if name not in _READERS:
            hint = "keys: " + ", ".join(NAMES)
            if name in {"master_key", "password"}:
                hint = f"a secret does not belong here: use master_key_file, or ${MASTER_KEY_VARIABLE}"
            raise SettingsError(f"{name} is not a setting", at=f"{path}: {name}", hint=hint)
    return found


def _default_data_dir(environment: Mapping[str, str]) -> Path:
    root = environment.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(root).expanduser() / "accredit"


def _login(environment: Mapping[str, str]) -> str:
    for name in ("SUDO_USER", "LOGNAME", "USER"):
        if environment.get(name):
            return environment[name]
    return f"uid-{os.getuid()}"
