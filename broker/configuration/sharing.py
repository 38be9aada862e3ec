"""What accounts of the configuration give each other: exports, imports, mappings, traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from broker.configuration.model import ConfiguredAccount
from broker.configuration.reading import (
    Reading,
    array,
    boolean,
    integer,
    keep,
    nanoseconds_of,
    table,
    text,
    wrong,
)
from broker.configuration.values import Value, kind_of
from issuer.claims.account import Export, Import, ServiceLatency, Trace, WeightedMapping
from issuer.subjects import Subject, covers, is_valid

Private = Mapping[tuple[str, str], tuple[str, ...]]

_RESPONSE_TYPES: Final = {
    "single": "Singleton", "singleton": "Singleton", "stream": "Stream", "chunk": "Chunked",
    "chunked": "Chunked",
}  # fmt: skip
_WHOLE: Final = 100
_SAMPLING: Final = 100


def read_exports(value: Value, reading: Reading) -> tuple[tuple[Export, ...], Private]:
    """The exports, and for those that not everybody may import: who may."""
    exports: list[Export] = []
    private: dict[tuple[str, str], tuple[str, ...]] = {}
    items = array(value, "exports")
    for export, accounts in reading.every(items, lambda item: _read_export(item, reading)):
        exports.append(export)
        if accounts is not None:
            private[export.type, export.subject] = accounts
    return tuple(exports), private


def read_imports(value: Value, reading: Reading) -> tuple[Import, ...]:
    imports: list[Import] = []
    services: set[tuple[str, str]] = set()
    items = array(value, "imports")
    for found in reading.every(items, lambda item: _read_import(item, reading)):
        local = (found.account, found.local_subject or found.subject)
        if found.type == "service" and local in services:
            words = f'duplicate service import subject "{local[1]}" of account "{local[0]}"'
            reading.fault(value.place, words)
        elif found.type == "service":
            services.add(local)
        imports.append(found)
    return tuple(imports)


def require_authorized(accounts: Sequence[ConfiguredAccount], value: Value, reading: Reading) -> None:
    """Every account that is named is there, and every import has its export."""
    by_name = {account.name: account for account in accounts}
    for account in accounts:
        for (kind, _), names in account.private.items():
            for name in names:
                if name not in by_name:
                    reading.fault(value.place, f'"{name}" account not defined for {kind} export')
        for taken in account.body.imports:
            exporter = by_name.get(taken.account)
            if exporter is None:
                reading.fault(value.place, f'"{taken.account}" account not defined for {taken.type} import')
            elif not any(_offers(exporter, export, taken, account.name) for export in exporter.body.exports):
                words = (
                    f'error adding {taken.type} import "{taken.subject}": {taken.type} import not authorized'
                )
                reading.fault(value.place, words)


def _offers(exporter: ConfiguredAccount, export: Export, taken: Import, importer: str) -> bool:
    if export.type != taken.type or not covers(export.subject, taken.subject):
        return False
    position = export.account_token_position
    if position:
        return taken.subject.split(".")[position - 1 : position] == [importer]
    allowed = exporter.private.get((export.type, export.subject))
    return allowed is None or importer in allowed


def read_mappings(value: Value, reading: Reading) -> dict[str, tuple[WeightedMapping, ...]]:
    """Subjects to their destinations: one subject, one weighted entry, or several."""
    mappings: dict[str, tuple[WeightedMapping, ...]] = {}
    for subject, inner in table(value, "mappings").items():
        if not is_valid(subject):
            reading.fault(inner.place, f'subject "{subject}" is not a valid subject')
            continue
        for found in reading.every((inner,), lambda item: _destinations(item, reading)):
            # In a token weight 0 would mean all of them; here it means none.
            weighty = tuple(entry for entry in found if entry.weight)
            if weighty:
                mappings[subject] = weighty
    return mappings


def read_trace(value: Value, reading: Reading) -> Trace:
    """Where traces of messages go: a subject, or a map with `dest` and `sampling`."""
    if isinstance(value.data, str):
        return Trace(dest=_trace_destination(value), sampling=_WHOLE)
    found: dict[str, Any] = {"sampling": _WHOLE}

    def sampling(value: Value) -> int:
        return _percentage(value, "trace destination sampling", least=1)

    handlers = {
        "dest": keep(found, "dest", _trace_destination),
        "sampling": keep(found, "sampling", sampling),
    }
    reading.each(table(value, "msg_trace"), handlers)
    return Trace(**found) if "dest" in found else Trace()


def _read_export(value: Value, reading: Reading) -> tuple[Export, tuple[str, ...] | None]:
    found: dict[str, Any] = {}
    accounts: list[str] | None = None
    only_services: list[str] = []

    def subject(kind: str) -> Callable[[Value], None]:
        def handler(value: Value) -> None:
            if "type" in found:
                wrong(value, f"detected a {kind} but already saw a {found['type']}")
            found["type"], found["subject"] = kind, Subject(text(value))

        return handler

    def response(value: Value) -> None:
        name = text(value)
        if name.lower() not in _RESPONSE_TYPES:
            wrong(value, f'unknown response type: "{name}"', "singleton, stream or chunked")
        found["response_type"] = _RESPONSE_TYPES[name.lower()]
        only_services.append("response")

    def threshold(value: Value) -> None:
        found["response_threshold"] = nanoseconds_of(value)
        only_services.append("response")

    def private(value: Value) -> None:
        nonlocal accounts
        accounts = [text(item) for item in array(value, "accounts")]

    def latency(value: Value) -> None:
        found["service_latency"] = _read_latency(value, reading)
        only_services.append("latency")

    def allow_trace(value: Value) -> None:
        found["allow_trace"] = boolean(value)
        only_services.append("allow_trace")

    reading.each(
        table(value, "an export"),
        {
            "stream": subject("stream"),
            "service": subject("service"),
            **dict.fromkeys(("response", "response_type"), response),
            **dict.fromkeys(
                ("threshold", "response_threshold", "response_max_time", "response_time"), threshold
            ),
            "accounts": private,
            "latency": latency,
            "account_token_position": keep(found, "account_token_position", integer),
            "allow_trace": allow_trace,
        },
    )
    if "type" not in found:
        wrong(value, "an export needs a stream or a service")
    if found["type"] == "stream" and only_services:
        wrong(value, f"detected {only_services[0]} directive on non-service")
    if "service_latency" in found and found.get("response_type", "Singleton") != "Singleton":
        wrong(value, "latency is sampled of services with one response: bad service response type")
    return Export(**found), None if accounts is None else tuple(accounts)


def _read_latency(value: Value, reading: Reading) -> ServiceLatency:
    if isinstance(value.data, str):
        return ServiceLatency(sampling=_SAMPLING, results=_trace_destination(value))
    found: dict[str, Any] = {"sampling": _SAMPLING}

    def sampling(value: Value) -> int | str:
        if isinstance(value.data, str) and value.data.lower() == "headers":
            return "headers"
        return _percentage(value, "sampling", least=1)

    handlers = {
        "sampling": keep(found, "sampling", sampling),
        "subject": keep(found, "results", _trace_destination),
    }
    reading.each(table(value, "latency"), handlers)
    if "results" not in found:
        wrong(value, "latency needs a subject")
    return ServiceLatency(**found)


def _read_import(value: Value, reading: Reading) -> Import:
    found: dict[str, Any] = {}
    names: dict[str, str] = {}

    def source(kind: str) -> Callable[[Value], None]:
        def handler(value: Value) -> None:
            if "type" in found:
                wrong(value, f"detected {kind} but already saw a {found['type']}")
            found["type"] = kind
            found["account"], found["subject"] = _read_source(value, reading)

        return handler

    reading.each(
        table(value, "an import"),
        {
            "stream": source("stream"),
            "service": source("service"),
            "prefix": keep(names, "prefix", text),
            "to": keep(names, "to", text),
            "share": keep(found, "share", boolean),
            "allow_trace": keep(found, "allow_trace", boolean),
        },
    )
    prefix, to = names.get("prefix", ""), names.get("to", "")
    if "type" not in found:
        wrong(value, "an import needs a stream or a service")
    if found["type"] == "stream" and prefix and to:
        wrong(value, "stream import can not have a 'prefix' and a 'to' property")
    if found["type"] == "service" and "allow_trace" in found:
        wrong(value, "detected allow_trace directive on a non-stream")
    if found["type"] == "stream" and prefix:
        to = f"{prefix.rstrip('.')}.{found['subject']}"
    if to:
        found["local_subject"] = Subject(to)
    return Import(**found)


def _read_source(value: Value, reading: Reading) -> tuple[str, Subject]:
    found: dict[str, str] = {}

    def keep(name: str) -> Callable[[Value], None]:
        def handler(value: Value) -> None:
            found[name] = text(value)

        return handler

    reading.each(
        table(value, "a stream or service"), {"account": keep("account"), "subject": keep("subject")}
    )
    if not found.get("account") or not found.get("subject"):
        wrong(value, "expect an account name and a subject")
    return found["account"], Subject(found["subject"])


def _destinations(value: Value, reading: Reading) -> tuple[WeightedMapping, ...]:
    if isinstance(value.data, str):
        return (WeightedMapping(subject=Subject(value.data), weight=_WHOLE),)
    items = value.data if isinstance(value.data, tuple) else (value,)
    found = tuple(_destination(item, reading) for item in items)
    clusters = {entry.cluster for entry in found}
    for cluster in clusters:
        total = sum(entry.weight for entry in found if entry.cluster == cluster)
        if total > _WHOLE:
            wrong(value, f"the weights of a mapping add up to {total}, more than 100")
    return found


def _destination(value: Value, reading: Reading) -> WeightedMapping:
    found: dict[str, Any] = {}

    def weight(value: Value) -> int:
        return _percentage(value, "weight", least=0)

    reading.each(
        table(value, "the destination of a mapping"),
        {
            **dict.fromkeys(("dest", "destination"), keep(found, "subject", text)),
            "weight": keep(found, "weight", weight),
            "cluster": keep(found, "cluster", text),
        },
    )
    if "weight" not in found:
        wrong(value, f'missing weight for mapping destination "{found.get("subject", "")}"')
    return WeightedMapping(**found)


def _percentage(value: Value, what: str, *, least: int) -> int:
    if isinstance(value.data, str):
        number = value.data.removesuffix("%")
        if not number.lstrip("-").isdecimal():
            wrong(value, f'invalid {what} "{value.data}"')
        percent = int(number)
    elif isinstance(value.data, int) and not isinstance(value.data, bool):
        percent = value.data
    else:
        wrong(value, f"expected {what} to be an integer or a percentage, got {kind_of(value.data)}")
    if not least <= percent <= _WHOLE:
        wrong(value, f"invalid {what} {percent}, needs to be {least} to {_WHOLE}")
    return percent


def _trace_destination(value: Value) -> Subject:
    subject = text(value)
    if not is_valid(subject) or "*" in subject.split(".") or ">" in subject.split("."):
        wrong(value, f'destination "{subject}" is not valid')
    return Subject(subject)
