"""Whatever a document says: applied, it is so; exported, it says the same again, also elsewhere."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from issuer.authority.plan import ApplyDocument, AskPlan, apply_document, export_document, plan, read_document
from tests.issuer.authority.conftest import House

LETTERS = st.characters(categories=["L", "N"], include_characters="-_. :#'\"{[&*!%@,~")
GOOD_NAMES = st.text(LETTERS, min_size=1, max_size=8).filter(
    lambda name: name == name.strip() and name not in {".", "..", "<<"}
)
TOKENS = st.sampled_from(["a", "b", "$SYS", "{{name()}}", "é", "0", "null", "on"])
SUBJECTS = st.lists(TOKENS, min_size=1, max_size=3).map(".".join)
PLAIN_SUBJECTS = SUBJECTS.filter(lambda subject: "{" not in subject)
TEXTS = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12)
COUNTS = st.sampled_from([-1, 0, 1, 100])
SIZES = st.sampled_from(["unlimited", "4KiB", "10m", 1000])
FLAGS = st.booleans()
TAGS = st.lists(st.sampled_from(["env:prod", "a", "b"]), unique=True)
WHEN = st.sampled_from(["never", "2030-01-01", "90d"])


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with any of the members."""
    words = {name.replace("_", "-"): value for name, value in members.items()}
    return st.fixed_dictionaries({}, optional=words)


PERMISSIONS: dict[str, st.SearchStrategy[Any]] = {
    "allow_pub": st.lists(SUBJECTS, max_size=3),
    "deny_sub": st.lists(SUBJECTS, max_size=2),
    "allow_responses": st.sampled_from([True, False, 3, {"max": 2, "ttl": "5s"}]),
}
LIMITS: dict[str, st.SearchStrategy[Any]] = {
    "bearer": FLAGS,
    "subscriptions": st.sampled_from([-1, 5]),
    "payload": st.sampled_from(["1MiB", -1]),
    "networks": st.lists(st.sampled_from(["10.0.0.0/8", "fd00::/8"]), unique=True),
    "times": st.lists(st.sampled_from(["08:00:00-17:00:00", "20:00:00-06:00:00"]), unique=True),
    "connection_types": st.lists(st.sampled_from(["STANDARD", "MQTT"]), unique=True),
}
JETSTREAM = st.one_of(
    st.just(False),
    some(mem_storage=SIZES, streams=COUNTS, max_bytes_required=FLAGS),
    some(tiers=st.dictionaries(st.sampled_from(["R1", "R3"]), some(disk_storage=SIZES))),
)
MAPPING = st.one_of(
    PLAIN_SUBJECTS, st.just([{"to": "x.one", "weight": 30}, {"to": "x.two", "weight": 20, "cluster": "east"}])
)


@st.composite
def account(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = draw(
        some(
            description=TEXTS,
            tags=TAGS,
            expires=WHEN,
            limits=some(conns=COUNTS, payload=SIZES, imports=st.just(-1), wildcard_exports=st.just(True)),
            jetstream=JETSTREAM,
            signing_keys=st.integers(0, 2),
            default_permissions=some(deny_sub=st.lists(PLAIN_SUBJECTS)),
            trace=st.sampled_from([False, {"subject": "trace.to", "sampling": 10}]),
            cluster_traffic=st.sampled_from(["system", "owner", ""]),
            mappings=st.dictionaries(st.sampled_from(["m.1", "m.2", "m.3.*"]), MAPPING),
        )
    )
    roles = draw(st.dictionaries(GOOD_NAMES, some(description=TEXTS, **PERMISSIONS, **LIMITS), max_size=2))
    plain = some(tags=TAGS, expires=WHEN, **{**PERMISSIONS, "allow_pub": st.lists(PLAIN_SUBJECTS),
                                             "deny_sub": st.lists(PLAIN_SUBJECTS)}, **LIMITS)  # fmt: skip
    scoped = st.fixed_dictionaries({"role": st.sampled_from(sorted(roles))}) if roles else plain
    user = st.one_of(plain, scoped)
    names = GOOD_NAMES.filter(lambda name: not set(name) & set(" .*>"))
    made |= {"roles": roles, "users": draw(st.dictionaries(names, user, max_size=3))}
    return made


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    first, second = draw(account()), draw(account())
    private = draw(FLAGS)
    first["exports"] = [
        {"stream": "shared.>", "private": private, **draw(some(name=TEXTS, advertise=FLAGS))},
        {"service": "ask", **draw(some(response_type=st.sampled_from(["Stream", "Singleton"]),
                                       response_threshold=st.just("1500ms"),
                                       latency=st.just({"subject": "lat", "sampling": "headers"})))},
    ]  # fmt: skip
    second["imports"] = [
        {"stream": "shared.x", "from": "T0", **draw(some(local_subject=st.just("here.x")))},
        {"service": "ask", "from": "T0", **draw(some(share=FLAGS))},
    ]
    callout = {"users": ["cb"], "accounts": ["T0"], "encrypt": True}
    second["auth-callout"] = draw(st.sampled_from([False, callout]))
    second["users"]["cb"] = {}
    return {
        "operator": draw(some(signing_keys=st.integers(1, 2), tags=TAGS, expires=WHEN)),
        "accounts": {"T0": first, "T1": second},
    }


@pytest.fixture(scope="module")
def numbers() -> count[int]:
    return count()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
# Shrinking would apply hundreds of documents; an example is small enough to read.
@settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(made=documents())
def test_what_was_applied_is_so_and_can_be_exported(
    house: House, numbers: count[int], made: dict[str, Any]
) -> None:
    number = next(numbers)
    here, there = f"O{number}", f"COPY{number}"
    document = read_document(json.dumps(made))

    def ask(text_or_document: Any, operator: str) -> Any:
        found = read_document(text_or_document) if isinstance(text_or_document, str) else text_or_document
        return house.authority.ask(plan, AskPlan(found, house.clock[0], operator=operator))

    seen = ask(document, here)
    applied = house.do(apply_document, ApplyDocument(document, operator=here, expected=seen.digest))
    assert [change.path for change in applied.changes] == [change.path for change in seen.changes]
    house.wait(3)
    assert ask(document, here).changes == ()
    again = house.do(apply_document, ApplyDocument(document, operator=here))
    assert (again.changes, again.outcomes) == ((), ())

    exported = house.authority.ask(export_document, here)
    assert ask(exported, here).changes == ()
    # Complete, it leaves nothing for pruning to find.
    everything = read_document(exported + "prune: true\n")
    assert ask(everything, here).changes == ()
    # The same settings for another operator, with keys of its own.
    house.do(apply_document, ApplyDocument(read_document(exported), operator=there))
    copied = house.authority.ask(export_document, there)
    assert copied.replace(there, here) == exported
