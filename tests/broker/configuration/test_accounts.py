from __future__ import annotations

import pytest

from broker.configuration.model import ConfiguredUser
from broker.configuration.reading import ConfigurationError
from issuer.claims.account import WeightedMapping
from issuer.claims.fields import Permission, Permissions, ResponsePermission
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject
from tests.broker.configuration.reading_files import options_of

MINUTES = 60 * 10**9
USER = Seed.from_raw(Role.USER, bytes(32)).public


def subjects(allow: str = "", deny: str = "") -> Permission:
    """Entries between commas."""

    def split(text: str) -> tuple[Subject, ...]:
        return tuple(Subject(part) for part in text.split(",") if part)

    return Permission(allow=split(allow), deny=split(deny))


def permissions(text: str) -> Permissions | None:
    return options_of(f"authorization {{users: [{{user: a, permissions {text}}}]}}").users[0].permissions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", Permissions()),
        ("{publish: a}", Permissions(pub=subjects("a"))),
        ("{pub: [a, b]}", Permissions(pub=subjects("a,b"))),
        ("{pub: {allow: a, deny: [b, c]}}", Permissions(pub=subjects("a", "b,c"))),
        (
            '{subscribe: {allow: "a q", deny: "b.> *"}}',
            Permissions(sub=subjects("a q", "b.> *")),
        ),
        ("{allow_responses: true}", Permissions(resp=ResponsePermission(max=1, ttl=2 * MINUTES))),
        ("{allow_responses: false}", Permissions()),
        (
            '{allow_responses: {max: 5, expires: "1m"}}',
            Permissions(resp=ResponsePermission(max=5, ttl=MINUTES)),
        ),
        (
            '{allow_responses: {max: 0, ttl: "0"}}',
            Permissions(resp=ResponsePermission(max=1, ttl=2 * MINUTES)),
        ),
        (
            '{allow_responses: {max: -1, ttl: "-1s"}}',
            Permissions(resp=ResponsePermission(max=-1, ttl=-(10**9))),
        ),
    ],
)
def test_permissions(text: str, expected: Permissions) -> None:
    assert permissions(text) == expected


def test_one_without_permissions_has_none_and_may_do_all() -> None:
    assert options_of("authorization {users: [{user: a}]}").users == (ConfiguredUser("a"),)


def test_default_permissions_are_for_those_without() -> None:
    text = "authorization {users: [{user: a}, {user: b, permissions {pub: y}}], default_permissions {pub: x}}"
    own = [user.permissions.pub.allow for user in options_of(text).users if user.permissions]
    assert own == [("x",), ("y",)]


def test_users_of_both_places_with_their_accounts() -> None:
    text = f"""
        authorization {{users: [{{nkey: {USER}, connection_types: [standard, mqtt]}}]}}
        accounts {{A {{default_permissions {{sub: x}}, users: [{{user: b, pass: c, proxy_required: true}}]}}}}
    """
    first, second = options_of(text).users
    assert first == ConfiguredUser(nkey=USER, connection_types=("STANDARD", "MQTT"))
    assert (second.name, second.password, second.account, second.proxy_required) == ("b", "c", "A", True)
    assert second.permissions == Permissions(sub=subjects("x"))


def test_an_account_as_claims() -> None:
    text = """accounts {
        A {
            exports [
                {stream: "public.>"}
                {service: help, accounts: [B], response: stream, threshold: "1s"}
                {service: "own.*", account_token_position: 2, allow_trace: true}
                {service: slow, latency: {sampling: 25%, subject: results}}
            ]
            limits {max_connections: 5, max_payload: 1k}
            mappings {
                one: two
                many: [{dest: x, weight: 40%}, {dest: y, weight: 60}, {dest: never, weight: 0}]
            }
            msg_trace {dest: traces, sampling: 50%}
        }
        B {imports [
            {stream {account: A, subject: public.x}, prefix: from_a}
            {stream {account: A, subject: "public.*.y"}, to: "mine.*"}
            {service {account: A, subject: help}, to: ask, share: true}
            {service {account: A, subject: own.B}}
        ]}
    }"""
    a, b = options_of(text).accounts
    stream, helping, own, slow = a.body.exports
    assert (stream.type, stream.subject) == ("stream", "public.>")
    assert (helping.type, helping.response_type, helping.response_threshold) == ("service", "Stream", 10**9)
    assert a.private == {("service", "help"): ("B",)}
    assert (own.account_token_position, own.allow_trace) == (2, True)
    assert slow.service_latency is not None
    assert (slow.service_latency.sampling, slow.service_latency.results) == (25, "results")
    assert (a.body.limits.conn, a.body.limits.payload, a.body.limits.subs, a.body.limits.leaf) == (
        5,
        1000,
        -1,
        -1,
    )
    assert a.body.mappings == {
        "one": (WeightedMapping(subject=Subject("two"), weight=100),),
        "many": (
            WeightedMapping(subject=Subject("x"), weight=40),
            WeightedMapping(subject=Subject("y"), weight=60),
        ),
    }
    assert a.body.trace is not None
    assert (a.body.trace.dest, a.body.trace.sampling) == ("traces", 50)
    shown = [
        (each.type, each.account, each.subject, each.local_subject, each.share) for each in b.body.imports
    ]
    assert shown == [
        ("stream", "A", "public.x", "from_a.public.x", False),
        ("stream", "A", "public.*.y", "mine.*", False),
        ("service", "A", "help", "ask", True),
        ("service", "A", "own.B", "", False),
    ]


def test_just_names_of_accounts() -> None:
    assert [account.name for account in options_of("accounts: [A, B]").accounts] == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("authorization {user: a, token: b}", "cannot have a user/pass and a token"),
        ("authorization {users: [{user: a}, {user: a}]}", 'duplicate user "a"'),
        ("authorization {users: [{password: a}]}", "requires a user"),
        (f"authorization {{users: [{{nkey: {USER}, user: a}}]}}", "do not take usernames"),
        ("authorization {users: [{nkey: UA}]}", "not a valid public nkey"),
        (
            'authorization {users: [{user: a, permissions {pub: "a b"}}]}',
            'subject "a b" is not a valid subject',
        ),
        ("authorization {users: [{user: a, connection_types: [carrier-pigeon]}]}", "CARRIER-PIGEON"),
        ("accounts {A {users [{user: a}]}}\nauthorization {user: b}", "single user/pass and accounts"),
        ("accounts {$G {}}", "Reserved Account"),
        ("accounts {A {exports [{service: a, accounts: [C]}]}}", '"C" account not defined'),
        ("accounts {A {}, B {imports [{stream {account: A, subject: x}}]}}", "not authorized"),
        (
            "accounts {A {exports [{service: q.*, account_token_position: 2}]}, B {imports [{service {account: A, subject: q.C}}]}}",
            "not authorized",
        ),
        ("accounts {A {mappings {x: {dest: y}}}}", "missing weight"),
        ("accounts {A {mappings {x: [{dest: y, weight: 60}, {dest: z, weight: 60}]}}}", "more than 100"),
    ],
)
def test_faults(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        options_of(text)
    assert words in str(refused.value)


def test_what_would_let_strangers_in_if_ignored_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="auth_callout is not supported"):
        options_of("authorization {users: [{user: a}], auth_callout {issuer: x}}")


def test_a_hashed_password_is_a_warning() -> None:
    (notice,) = options_of("authorization {users: [{user: a, password: $2a$11$abc}]}").warnings
    assert "bcrypt" in notice.words
    assert "$2a" not in str(notice)
