from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.enforcement.permissions import (
    DEFAULT_RESPONSE_TTL_NS,
    EVERYTHING,
    Permissions,
    ResponseRule,
    permissions_of,
)
from issuer.claims import fields
from issuer.claims.account import Scope, new_account
from issuer.claims.fields import Permission, ResponsePermission, with_body
from issuer.claims.user import new_template, new_user
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject, is_valid, matches, overlaps

ACCOUNT = Seed.from_raw(Role.ACCOUNT, bytes([3]) * 32)
USER = Seed.from_raw(Role.USER, bytes([6]) * 32)


def lists(allow: str = "", deny: str = "") -> Permission:
    """Entries apart by commas: those of `sub` may hold a blank."""
    read = [tuple(Subject(entry) for entry in text.split(",") if entry) for text in (allow, deny)]
    return Permission(allow=read[0], deny=read[1])


def of(
    pub: Permission | None = None, sub: Permission | None = None, resp: ResponsePermission | None = None
) -> Permissions:
    said = fields.Permissions(pub=pub or Permission(), sub=sub or Permission(), resp=resp)
    return Permissions.of(said, source="test")


@pytest.mark.parametrize(
    ("allow", "deny", "allowed", "refused"),
    [
        ("", "", ["a", "$SYS.x", "a.*"], []),
        ("a.*", "", ["a.b", "a.>", "a.*"], ["a", "a.b.c", "b"]),
        ("a.>", "a.den", ["a.b", "a.b.c"], ["a.den", "a", "b"]),
        ("", "a.>", ["a", "b"], ["a.b", "a.>"]),
        ("a,b", "b", ["a"], ["b", "c"]),
        # An entry with a queue means nothing in an allow list, and its subject in a deny list.
        ("a q", "", [], ["a", "a q"]),
        ("", "d q", ["a"], ["d"]),
        ("a..b", "", [], ["a..b", "a"]),
    ],
)
def test_what_may_be_published(allow: str, deny: str, allowed: list[str], refused: list[str]) -> None:
    permissions = of(pub=lists(allow, deny))
    assert [subject for subject in allowed + refused if permissions.can_publish(subject)] == allowed


def test_beside_a_response_permission_an_absent_list_allows_nothing() -> None:
    answering = ResponsePermission(max=1, ttl=0)
    assert not of(resp=answering).can_publish("a")
    assert of(resp=answering).restricts_publish
    assert of(pub=lists("a"), resp=answering).can_publish("a")
    assert not of(pub=lists(deny="x"), resp=answering).can_publish("a")


@pytest.mark.parametrize(
    ("resp", "rule"),
    [
        (None, None),
        (ResponsePermission(max=0, ttl=0), ResponseRule(1, DEFAULT_RESPONSE_TTL_NS)),
        (ResponsePermission(max=5, ttl=7), ResponseRule(5, 7)),
        (ResponsePermission(max=-1, ttl=-1), ResponseRule(-1, -1)),
    ],
)
def test_zero_stands_for_the_defaults_of_responses(
    resp: ResponsePermission | None, rule: ResponseRule | None
) -> None:
    assert of(resp=resp).response == rule


# The table of enforcement spec §3.3: subscription as "subject queue", then whether it may be.
@pytest.mark.parametrize(
    ("allow", "deny", "asked", "allowed"),
    [
        ("foo.*", "", "foo.>", True),
        ("foo", "", "*", False),
        ("foo", "", ">", False),
        ("foo,foo v1", "", "foo v1", True),
        ("foo,foo v1", "", "foo v2", False),
        ("foo,foo v1", "", "foo", True),
        ("q.a grp", "", "q.a", False),
        ("q.a grp", "", "q.a grp", True),
        ("q.a grp", "", "q.a other", False),
        ("foo v1.*,foo *.dev", "", "foo v1.a", True),
        ("foo v1.*,foo *.dev", "", "foo x.dev", True),
        ("foo v1.*,foo *.dev", "", "foo v2.a", False),
        ("foo v1.*,foo *.dev", "", "foo", False),
        ("w.* g*.x", "", "w.1 g1.x", False),
        ("", "foo.>", "foo.*", False),
        ("", "foo.>", "*.a", True),
        ("", "foo.>", ">", True),
        ("", "foo.*", "foo.>", False),
        ("", "foo.*", "*.>", True),
        ("", "foo v1", "foo", True),
        ("", "foo v1", "foo v1", False),
        ("", "foo v1", "* v1", True),
        ("foo", "", "foo any", True),
    ],
)
def test_what_may_be_subscribed(allow: str, deny: str, asked: str, *, allowed: bool) -> None:
    subject, _, queue = asked.partition(" ")
    assert of(sub=lists(allow, deny)).can_subscribe(subject, queue) is allowed


@pytest.mark.parametrize(
    ("deny", "asked", "delivered", "withheld"),
    [
        ("foo.>", "*.a", ["b.a"], ["foo.a"]),
        ("foo.>", ">", ["foo", "b.a"], ["foo.a"]),
        ("foo.*", "*.>", ["foo.a.b"], ["foo.a"]),
        ("foo v1", "* v1", ["bar"], ["foo"]),
        ("foo v1", "* v2", ["bar", "foo"], []),
        ("foo.den,foo.secret.*", "foo.>", ["foo.ok", "foo.secret"], ["foo.den", "foo.secret.z"]),
    ],
)
def test_what_an_accepted_subscription_is_not_sent(
    deny: str, asked: str, delivered: list[str], withheld: list[str]
) -> None:
    subject, _, queue = asked.partition(" ")
    permissions = of(sub=lists("", deny))
    assert permissions.can_subscribe(subject, queue)
    assert permissions.filters(subject, queue)
    assert [each for each in delivered + withheld if permissions.may_deliver(each, queue)] == delivered


@pytest.mark.parametrize(
    ("deny", "subject", "queue"), [("foo", "foo", ""), ("foo.>", "bar.*", ""), ("", ">", "q")]
)
def test_nothing_is_filtered_where_nothing_denied_can_come(deny: str, subject: str, queue: str) -> None:
    assert not of(sub=lists("", deny)).filters(subject, queue)


token = st.sampled_from(["a", "b", "*", ">", "c*"])
asked = st.lists(st.one_of(token, st.just("")), min_size=1, max_size=4).map(".".join)
pattern = st.lists(token, min_size=1, max_size=4).map(".".join).filter(is_valid).map(Subject)
queue_name = st.sampled_from(["q", "v1.a", "v1.*", "*.a", "v1"])
entry = st.one_of(pattern, st.tuples(pattern, queue_name).map(" ".join).map(Subject))
listed = st.lists(pattern, max_size=4).map(tuple)
queue_listed = st.lists(entry, max_size=5).map(tuple)


@given(listed, listed, asked)
def test_publishing_agrees_with_the_lists_read_plainly(
    allow: tuple[Subject, ...], deny: tuple[Subject, ...], subject: str
) -> None:
    plain = (not allow or any(matches(each, subject) for each in allow)) and not any(
        matches(each, subject) for each in deny
    )
    assert of(pub=Permission(allow=allow, deny=deny)).can_publish(subject) is plain


def _fits(queue: str, name: str) -> bool:
    if queue == name:
        return True
    wanted, given_ = name.split("."), queue.split(".")
    if "*" not in wanted or len(wanted) != len(given_):
        return False
    return all(want in {"*", have} for want, have in zip(wanted, given_, strict=True))


def _reading(entries: tuple[Subject, ...], subject: str, queue: str) -> tuple[bool, list[bool]]:
    """Whether an entry without queue matches, and for those with one that match whether they fit."""
    hits = [each.split() for each in entries if matches(each.split()[0], subject)]
    return any(len(hit) == 1 for hit in hits), [_fits(queue, hit[1]) for hit in hits if len(hit) == 2]


@given(queue_listed, queue_listed, asked, st.one_of(st.just(""), queue_name))
def test_subscribing_agrees_with_the_lists_read_plainly(
    allow: tuple[Subject, ...], deny: tuple[Subject, ...], subject: str, queue: str
) -> None:
    plain, queues = _reading(allow, subject, queue)
    allowed = not allow or (any(queues) if queue and queues else plain)
    if allowed:
        plain, queues = _reading(deny, subject, queue)
        allowed = not plain and not (queue and any(queues))
    assert of(sub=Permission(allow=allow, deny=deny)).can_subscribe(subject, queue) is allowed


@given(queue_listed, pattern, pattern, st.one_of(st.just(""), queue_name))
def test_whatever_may_be_withheld_from_a_subscription_makes_it_filter(
    deny: tuple[Subject, ...], subject: str, delivered: str, queue: str
) -> None:
    permissions = of(sub=Permission(deny=deny))
    if (
        permissions.can_subscribe(subject, queue)
        and matches(subject, delivered)
        and not permissions.may_deliver(delivered, queue)
    ):
        assert permissions.filters(subject, queue)


@given(queue_listed, pattern)
def test_filtering_asks_whether_a_denial_overlaps(deny: tuple[Subject, ...], subject: str) -> None:
    wild = {"*", ">"} & set(subject.split("."))
    overlapping = any(overlaps(each.split()[0], subject) for each in deny)
    assert of(sub=Permission(deny=deny)).filters(subject) is (bool(wild) and overlapping)


def test_equal_claims_share_one_object() -> None:
    assert of(pub=lists("a")) is of(pub=lists("a"))
    assert of(pub=lists("a")) is not of(pub=lists("b"))


def test_a_denial_can_be_added() -> None:
    permissions = of(pub=lists("a"), sub=lists("s"), resp=ResponsePermission(max=2, ttl=3)).denying("a")
    assert not permissions.can_publish("a")
    assert permissions.can_subscribe("s")
    assert permissions.response == ResponseRule(2, 3)
    assert permissions.denying("a") is permissions


def test_plain_permissions_have_their_defaults_filled_in() -> None:
    spoken = of(pub=lists("a"), resp=ResponsePermission(max=0, ttl=0)).plain()
    assert spoken.pub == lists("a")
    assert spoken.resp == ResponsePermission(max=1, ttl=DEFAULT_RESPONSE_TTL_NS)
    assert EVERYTHING.plain().empty()
    assert EVERYTHING.empty()


def test_defaults_hold_for_users_without_permissions_of_their_own_and_are_never_mixed_in() -> None:
    account = with_body(
        new_account(ACCOUNT.public, "APP"), default_permissions=fields.Permissions(pub=lists("d.>"))
    )
    bare = new_user(USER.public, "ann")
    assert permissions_of(bare, account).can_publish("d.1")
    assert not permissions_of(bare, account).can_publish("a")
    assert permissions_of(bare, account).field == "account /nats/default_permissions"
    # Permissions to subscribe are permissions of its own: publishing is free then.
    own = permissions_of(with_body(bare, sub=lists("x")), account)
    assert own.can_publish("a")
    assert own.source == "user token"
    assert permissions_of(bare, new_account(ACCOUNT.public, "APP")) is EVERYTHING


def test_permissions_of_a_role_name_the_role_and_where_it_stands() -> None:
    scope = Scope(key=ACCOUNT.public, role="web", template=new_template(allow_pub=(Subject("a"),)))
    account = with_body(new_account(ACCOUNT.public, "APP"), signing_keys=(USER.public, scope))
    user = with_body(new_user(USER.public, "ann"), pub=scope.template.pub)
    permissions = permissions_of(user, account, scope=scope)
    assert permissions.source == "role web of account APP"
    assert permissions.field == "account /nats/signing_keys/1/template"
