from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from broker.enforcement.verdict import Gate, Outcome, Verdict
from broker.explain import Act, Question, explain_tokens
from issuer.claims.account import ExternalAuthorization, WeightedMapping
from issuer.claims.fields import Permission, Permissions, ResponsePermission, TimeRange, with_body
from issuer.cli.main import MALFORMED, NOT_FOUND, OK, REFUSED, USAGE, main
from issuer.errors import PeerError
from issuer.keys.creds import format_creds
from issuer.subjects import Subject
from tests.broker.scenes import REFUSALS, STRANGE_OPERATOR, Refusal, Scene

NOW = 1_700_000_000
# What a question cannot hold: keys that sign a nonce, a server's configuration, an account that was loaded before.
UNASKED = {Gate.PROXY, Gate.PINNED, Gate.SIGNATURE, Gate.ACCOUNT_TIME}


def answer(
    scene: Scene, act: Act = Act.CONNECT, subject: str = "", *, later: float = 0, **asked: Any
) -> Verdict:
    question = Question(act=act, subject=subject, **asked)
    account = scene.account_token() if scene.known else None
    token = scene.connect.get("jwt", scene.user_token()) or ""
    return explain_tokens(scene.operator_token(), account, token, question, scene.now + later)


def refused_at(verdict: Verdict) -> tuple[Gate, str] | None:
    step = verdict.refusal
    return None if step is None else (step.gate, step.words)


def permitted(**body: Any) -> Scene:
    scene = Scene(NOW)
    scene.says(**body)
    return scene


def lists(*allow: str, deny: tuple[str, ...] = ()) -> Permission:
    return Permission(allow=tuple(map(Subject, allow)), deny=tuple(map(Subject, deny)))


@pytest.mark.parametrize(
    "refusal", [each for each in REFUSALS if each.gate not in UNASKED], ids=lambda each: each.name
)
def test_a_refused_connection_is_explained_by_its_gate_and_the_servers_words(refusal: Refusal) -> None:
    verdict = answer(refusal.scene(NOW))
    assert verdict.outcome is Outcome.DENIED
    found = refused_at(verdict)
    assert found is not None
    assert found[0] is refusal.gate
    assert refusal.words in found[1]


def test_the_trace_is_in_the_order_of_the_gates_and_says_where_each_value_is_from() -> None:
    scene = Scene(NOW)
    scene.in_role(src=("127.0.0.0/8",))
    verdict = answer(scene)
    gates = [step.gate for step in verdict.steps]
    assert gates == sorted(gates, key=list(Gate).index)
    assert gates[-1] is Gate.STAY
    network = next(step for step in verdict.steps if step.gate is Gate.NETWORK)
    assert (network.field, network.value, network.source) == (
        "account /nats/signing_keys/0/template/src",
        ("127.0.0.0/8",),
        "role web of account APP",
    )


@pytest.mark.parametrize(
    ("body", "asked", "later", "gate"),
    [
        ({"src": ("10.0.0.0/8",)}, {"address": "10.1.2.3"}, 0, None),
        ({"src": ("10.0.0.0/8",)}, {"address": "11.1.2.3"}, 0, Gate.NETWORK),
        ({"allowed_connection_types": ("WEBSOCKET",)}, {"connection_type": "websocket"}, 0, None),
        ({"allowed_connection_types": ("WEBSOCKET",)}, {"connection_type": "MQTT"}, 0, Gate.CONNECTION_TYPE),
        ({"proxy_required": True}, {"proxied": True}, 0, None),
        ({"times": (TimeRange(start="22:00:00", end="22:30:00"),), "times_location": "UTC"}, {}, 0, None),
        (
            {"times": (TimeRange(start="22:00:00", end="22:30:00"),), "times_location": "UTC"},
            {},
            3600,
            Gate.TIME_WINDOW,
        ),
    ],
)
def test_from_where_how_and_when(
    body: dict[str, Any], asked: dict[str, Any], later: float, gate: Gate | None
) -> None:
    # NOW is 22:13:20 in UTC.
    found = refused_at(answer(permitted(**body), later=later, **asked))
    assert (None if found is None else found[0]) is gate


def test_a_connection_that_would_not_last_is_refused() -> None:
    scene = Scene(NOW)
    scene.user = replace(scene.user, exp=NOW)
    assert refused_at(answer(scene)) == (Gate.STAY, "User Authentication Expired")
    assert refused_at(answer(permitted(subs=0))) == (Gate.STAY, "maximum subscriptions exceeded")
    scene.user = replace(scene.user, exp=NOW + 60)
    assert answer(scene).steps[-1].value == NOW + 60


def test_room_in_the_account() -> None:
    scene = Scene(NOW)
    scene.limits(conn=2)
    assert answer(scene, connections=1)
    assert refused_at(answer(scene, connections=2)) == (
        Gate.CONNECTIONS,
        "maximum account active connections exceeded",
    )


@pytest.mark.parametrize(
    ("body", "act", "subject", "outcome"),
    [
        ({}, Act.PUBLISH, "a", Outcome.ALLOWED),
        ({"pub": lists("a.*")}, Act.PUBLISH, "a.b", Outcome.ALLOWED),
        ({"pub": lists("a.*")}, Act.PUBLISH, "b", Outcome.DENIED),
        ({"resp": ResponsePermission(max=1, ttl=0)}, Act.PUBLISH, "_INBOX.x", Outcome.REPLY_ONLY),
        ({"pub": lists("a"), "resp": ResponsePermission(max=1, ttl=0)}, Act.PUBLISH, "a", Outcome.ALLOWED),
        ({"sub": lists("foo.*")}, Act.SUBSCRIBE, "foo.>", Outcome.ALLOWED),
        ({"sub": lists("foo")}, Act.SUBSCRIBE, ">", Outcome.DENIED),
        ({"sub": lists(deny=("foo.>",))}, Act.SUBSCRIBE, ">", Outcome.FILTERED),
    ],
)
def test_the_four_verdicts(body: dict[str, Any], act: Act, subject: str, outcome: Outcome) -> None:
    assert answer(permitted(**body), act, subject).outcome is outcome


def test_who_may_not_connect_may_do_nothing() -> None:
    verdict = answer(permitted(src=("10.0.0.0/8",)), Act.PUBLISH, "a")
    assert verdict.outcome is Outcome.DENIED
    assert verdict.steps[-1].gate is Gate.NETWORK


def test_defaults_of_the_account_are_named() -> None:
    scene = Scene(NOW)
    scene.account = with_body(scene.account, default_permissions=Permissions(pub=lists("d.>")))
    step = answer(scene, Act.PUBLISH, "x").refusal
    assert step is not None
    assert step.source == "default permissions of account APP"
    assert step.field == "account /nats/default_permissions/pub/allow"


@pytest.mark.parametrize(
    ("weights", "outcome", "filtered"),
    [
        ({"m.a": 100}, Outcome.ALLOWED, []),
        ({"m.b": 100}, Outcome.DENIED, []),
        ({"m.a": 50, "m.b": 50}, Outcome.FILTERED, [("m.b",)]),
        ({"m.a": 60, "m.in": 30}, Outcome.FILTERED, [("m.in",), "10 % lost"]),
    ],
)
def test_mappings_come_before_permissions(
    weights: dict[str, int], outcome: Outcome, filtered: list[Any]
) -> None:
    scene = permitted(pub=lists("m.a"))
    shares = tuple(WeightedMapping(subject=Subject(name), weight=weight) for name, weight in weights.items())
    scene.account = with_body(scene.account, mappings={"m.in": shares})
    verdict = answer(scene, Act.PUBLISH, "m.in")
    assert verdict.outcome is outcome
    assert [step.value for step in verdict.steps if step.gate is Gate.FILTER] == filtered


def test_a_callout_decides_for_itself() -> None:
    scene = Scene(NOW)
    stranger = Scene(NOW).person.public
    scene.account = with_body(scene.account, authorization=ExternalAuthorization(auth_users=(stranger,)))
    verdict = answer(scene, Act.PUBLISH, "a")
    assert verdict.outcome is Outcome.DELEGATED
    assert verdict.steps[-1].gate is Gate.DELEGATION


def test_limits_hold_as_well() -> None:
    scene = permitted(payload=10, subs=2)
    assert answer(scene, Act.PUBLISH, "a", size=10)
    assert refused_at(answer(scene, Act.PUBLISH, "a", size=11)) == (Gate.PAYLOAD, "Maximum Payload Violation")
    assert answer(scene, Act.SUBSCRIBE, "a", subscriptions=1)
    assert refused_at(answer(scene, Act.SUBSCRIBE, "a", subscriptions=2)) == (
        Gate.SUBSCRIPTIONS,
        "maximum subscriptions exceeded",
    )


def test_without_an_operator_the_account_is_believed() -> None:
    scene = Scene(NOW)
    scene.account_signer = STRANGE_OPERATOR
    verdict = explain_tokens(None, scene.account_token(), scene.user_token(), Question(), NOW)
    assert verdict.allowed
    step = next(step for step in verdict.steps if step.gate is Gate.OPERATOR)
    assert step.source.startswith("believed")


def test_an_account_of_somebody_else_is_an_unknown_one() -> None:
    scene = Scene(NOW)
    verdict = explain_tokens(None, Scene(NOW).account_token(), scene.user_token(), Question(), NOW)
    assert refused_at(verdict) == (Gate.ACCOUNT, "Account JWT lookup error")


def test_an_account_token_that_is_none_is_an_error_of_who_asks() -> None:
    with pytest.raises(PeerError):
        explain_tokens(None, "garbage", Scene(NOW).user_token(), Question(), NOW)


# --- the verb --------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    scene = Scene(NOW)
    scene.says(sub=lists(">", deny=("secret.>",)), resp=ResponsePermission(max=1, ttl=0), src=("10.0.0.0/8",))
    texts = {
        "operator": scene.operator_token(),
        "account": scene.account_token(),
        "user": scene.user_token(),
        "creds": format_creds(scene.user_token(), scene.person),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in texts}


def run(files: dict[str, str], *arguments: str) -> int:
    tokens = ["--creds", files["creds"], "--account-token", files["account"], "--address", "10.0.0.1"]
    return main(["explain", *tokens, *arguments])


def test_the_verb_prints_the_gates_and_the_answer(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, "subscribe", ">", "--operator-token", files["operator"]) == OK
    out = capsys.readouterr().out
    assert "user /nats/sub/deny" in out
    assert out.splitlines()[-1] == "subscribe >: allowed with some messages filtered: secret.>"
    assert run(files, "publish", "--subject", "x") == OK
    assert capsys.readouterr().out.splitlines()[-1] == "publish x: allowed only as a reply"
    assert run(files, "connect", "--at", str(NOW)) == OK
    assert capsys.readouterr().out.splitlines()[-1] == "connect: allowed"


def test_a_refusal_has_the_servers_words_and_an_exit_code(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, "connect", "--address", "11.0.0.1") == REFUSED
    assert (
        capsys.readouterr().out.splitlines()[-1] == "connect: denied at gate 17 network: Bad src Ip 11.0.0.1"
    )
    assert run(files, "subscribe", "secret.x") == REFUSED
    last = 'subscribe secret.x: denied at gate subscribe-deny: Permissions Violation for Subscription to "secret.x"'
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_machines_get_every_step(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "connect", "--address", "11.0.0.1", "--json") == REFUSED
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], found["allowed"], found["gate"]) == ("denied", False, "network")
    assert found["steps"][-1] == {
        "number": 17,
        "gate": "network",
        "passed": False,
        "field": "user /nats/src",
        "value": ["10.0.0.0/8"],
        "source": "user token",
        "words": "Bad src Ip 11.0.0.1",
    }


def test_no_seed_and_no_token_is_printed(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for way in ((), ("--json",)):
        run(files, "publish", "x", *way)
        said = capsys.readouterr()
        assert "eyJ" not in said.out + said.err
        assert "\nSU" not in said.out + said.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("connect", "a.b"), USAGE),
        (("publish",), USAGE),
        (("publish", "a", "--subject", "b"), USAGE),
        (("publish", "a", "--queue", "q"), USAGE),
        (("subscribe", "a", "--reply", "r"), USAGE),
        (("connect", "--type", "PIGEON"), USAGE),
        (("connect", "--user-token", "x"), USAGE),
        (("connect", "--operator-token", "missing.jwt"), NOT_FOUND),
        (("connect", "--operator-token", "eyJ.x.y"), MALFORMED),
        (("connect", "--at", "yesterday"), MALFORMED),
    ],
)
def test_questions_that_make_no_sense(files: dict[str, str], arguments: tuple[str, ...], code: int) -> None:
    assert run(files, *arguments) == code


@pytest.mark.parametrize("missing", [("connect", "--creds", "x"), ("connect", "--account-token", "x")])
def test_user_and_account_must_be_given(missing: tuple[str, ...]) -> None:
    assert main(["explain", *missing]) == USAGE
