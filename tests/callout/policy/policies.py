"""Policies and identities from small alphabets, so that they meet; and the shortest way to write one."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from callout.policy.decision import Connection
from callout.policy.model import Policy
from callout.policy.reading import read_policy
from issuer.grants import Identity, Kind

NOW = 1_795_449_600
"""2026-11-23T16:00:00Z, a Monday."""

DIRECTORIES = ["okta", "corp-ad", "meters"]
GROUPS = ["ops", "ops-eu", "audit", "dev"]
METHODS = ["pwd", "mfa"]
SITES = ["north", "north-1", "south"]
ADDRESSES = ["", "10.1.2.3", "10.9.9.9", "::ffff:10.1.2.3", "192.0.2.1", "2001:db8::1", "nonsense"]


def someone(**members: Any) -> Identity:
    """An identity with everything in it that is not said otherwise."""
    said: dict[str, Any] = {
        "issuer": "https://example.okta.test",
        "subject": "00u1alice",
        "name": "Alice Example",
        "directory": "okta",
        "groups": ("ops",),
        "attributes": {"site": "north"},
    }
    return Identity(**(said | members))


def binding(name: str = "ops", **members: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"name": name, "match": {"groups": "ops"}, "account": "GRID", "role": "operator"}
    if "roles" in members:
        del said["role"]
    return said | {key.replace("_", "-"): value for key, value in members.items()}


def policy_of(*bindings: dict[str, Any], **members: Any) -> Policy:
    said = {key.replace("_", "-"): value for key, value in members.items()}
    return read_policy({"version": 1, "bindings": list(bindings)} | said)


def listed(words: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=3, unique=True)


def conditions(
    operators: dict[str, st.SearchStrategy[Any]], *, negated: bool = True
) -> st.SearchStrategy[Any]:
    """Any of these operators on one field, some of them under `not`."""
    some = st.lists(st.sampled_from(sorted(operators)), min_size=1, max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: operators[name] for name in names})
    )
    if not negated:
        return some
    within_not = {name: value for name, value in operators.items() if name != "exists"}
    refused = conditions(within_not, negated=False).map(lambda inner: {"not": inner})
    both = st.tuples(some, refused).map(lambda pair: pair[0] | pair[1])
    return st.one_of(some, refused, both)


def sets(words: list[str], globs: list[str]) -> st.SearchStrategy[Any]:
    operators = {"all-of": listed(words), "any-of": listed(words), "glob": st.sampled_from(globs)}
    return st.one_of(st.sampled_from(words), conditions({**operators, "exists": st.just(True)}))


moments = st.sampled_from(["2020-01-01", "2026-11-23T16:00:00Z", "2026-11-23T18:30:00+02:00", "2099-12-31"])
attribute = conditions(
    {
        "equals": st.sampled_from(["north", "north-1", 1, 0, True, False, 7]),
        "one-of": st.one_of(listed(SITES), st.just([1, 7]), st.just([True])),
        "any-of": listed(SITES),
        "all-of": listed(SITES),
        "glob": st.sampled_from(["north*", "*", "*1", "n*-*"]),
        "at-least": st.sampled_from([0, 1, 8]),
        "at-most": st.sampled_from([0, 1, 8]),
        "before": moments,
        "within": st.sampled_from(["1h", "30d"]),
        "exists": st.just(True),
    }
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "issuer": conditions({"equals": st.sampled_from(["https://a", "ldap:B"]), "glob": st.just("https://*")}),
    "subject": conditions({"one-of": listed(["s1", "s2"]), "exists": st.just(True)}),
    "directory": st.one_of(st.sampled_from(DIRECTORIES), listed(DIRECTORIES)),
    "kind": st.sampled_from(["person", "device", ["person", "service"]]),
    "groups": sets(GROUPS, ["ops*", "*"]),
    "methods": sets(METHODS, ["m*"]),
    "assurance": st.sampled_from(["low", ["low", "high"]]),
    "authenticated": conditions({"within": st.sampled_from([60, "15m"]), "before": moments}),
    "connection-type": st.sampled_from(["standard", "mqtt", ["standard", "websocket"]]),
    "network": st.one_of(
        st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"]),
        st.just({"not": ["10.1.0.0/16"]}),
        st.just({"one-of": ["10.0.0.0/8", "192.0.2.0/24"], "not": {"one-of": ["10.9.0.0/16"]}}),
    ),
    "time": st.sampled_from(
        [
            {"during": ["mon-fri 08:00-18:00"], "zone": "Europe/Berlin"},
            {"during": "22:00-06:00"},
            {"before": "2099-12-31"},
            {"at-least": "2026-11-23T16:00:00Z"},
        ]
    ),
    "attributes": st.dictionaries(
        st.sampled_from(["site", "a/b~c", "level"]), attribute, min_size=1, max_size=2
    ),
}
matches = st.fixed_dictionaries({}, optional=FIELDS).filter(bool)

sources = st.sampled_from(
    [
        "subject",
        "attributes.site",
        {"from": "attributes.site", "several": True, "optional": True},
        {"from": "attributes.level", "optional": True, "lower-case": True},
        {"from": "groups", "several": True},
        {"text": "north"},
    ]
)


@st.composite
def policies(draw: st.DrawFn, *, most: int = 6, strict: bool = False) -> dict[str, Any]:
    """Plain data of a policy; `strict` leaves out what refuses by itself: values and separations."""
    bindings = []
    for number in range(draw(st.integers(0, most))):
        rest = draw(
            st.fixed_dictionaries(
                {"account": st.sampled_from(["GRID", "METERS"])},
                optional={
                    "max-lifetime": st.sampled_from([5, "90s", "1h30m", "8h", "30d"]),
                    "jitter": st.sampled_from(["0%", "10%", "50%"]),
                    "priority": st.sampled_from(["critical", "high", "normal", "low"]),
                    "grace": st.sampled_from([0, "1h", "3d"]),
                    "single-use": st.booleans(),
                    "shadow": st.booleans(),
                    "union": st.booleans(),
                },
            )
        )
        if rest.get("grace"):
            rest.pop("single-use", None)
        roles = draw(st.lists(st.sampled_from(["r", "w", "x"]), min_size=1, max_size=2, unique=True))
        rest |= {"role": roles[0]} if len(roles) == 1 else {"roles": roles}
        if not strict and draw(st.booleans()):
            rest["values"] = draw(st.dictionaries(st.sampled_from(["site", "unit"]), sources, min_size=1))
            rest["user-name"] = draw(st.sampled_from(["subject", {"from": "attributes.site"}]))
        bindings.append({"name": f"b{number}", "match": draw(matches)} | rest)
    data: dict[str, Any] = {"version": 1, "bindings": bindings}
    data |= draw(st.sampled_from([{}, {"max-lifetime": "12h"}]))
    if not strict:
        data |= draw(st.sampled_from([{}, {"role-lifetimes": {"GRID/r": "1h", "METERS/w": "10m"}}]))
        apart = [
            {"name": "s", "never-both": ["GRID/r", "METERS"]},
            {"name": "t", "never-both": ["GRID/w", "GRID/x"]},
        ]
        data |= draw(st.sampled_from([{}, {"separations": apart}]))
    return data


values: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([*SITES, "", "A", 0, 1, 7, True, False, NOW, ("north",), ("north", "south"), ()]),
)


@st.composite
def identities(draw: st.DrawFn) -> Identity:
    return Identity(
        issuer=draw(st.sampled_from(["https://a", "ldap:B"])),
        subject=draw(st.sampled_from(["s1", "s2", "s3"])),
        name="somebody",
        directory=draw(st.sampled_from(DIRECTORIES)),
        kind=draw(st.sampled_from(list(Kind))),
        groups=tuple(sorted(draw(st.sets(st.sampled_from(GROUPS))))),
        methods=tuple(sorted(draw(st.sets(st.sampled_from(METHODS))))),
        assurance=draw(st.sampled_from(["", "low", "high"])),
        attributes=draw(st.dictionaries(st.sampled_from(["site", "a/b~c", "level"]), values)),
        authenticated_at=draw(st.sampled_from([None, NOW - 30, NOW - 3000, NOW + 3000])),
        expires_at=draw(st.sampled_from([None, NOW + 2, NOW + 300, NOW + 100_000])),
    )


connections = st.builds(
    Connection, address=st.sampled_from(ADDRESSES), type=st.sampled_from(["", "nats", "websocket", "mqtt"])
)
