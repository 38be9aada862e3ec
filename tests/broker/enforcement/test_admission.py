from __future__ import annotations

import json
from datetime import UTC
from typing import Any

import pytest
from msgspec.structs import replace

from broker.enforcement.admission import AccountFacts, Admission, Attempt, Trust, admit, identify
from broker.enforcement.limits import Limits
from broker.enforcement.permissions import EVERYTHING
from broker.enforcement.verdict import Gate, Outcome
from broker.protocol import texts
from broker.protocol.texts import Closed
from issuer.claims.account import AccountClaims, ExternalAuthorization, Scope
from issuer.claims.fields import Permission, Permissions, TimeRange, with_body
from issuer.claims.user import UserClaims, new_template
from issuer.claims.wire import AmbiguousMemberError
from issuer.errors import PeerError
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import TokenError, TokenRoleError, Verified, decode
from tests.broker.scenes import REFUSALS, STRANGER, Refusal, Scene, url64

NOW = 1_700_000_000
OTHER = Seed.generate(Role.USER)


def decided(scene: Scene, *, later: float = 0, facts: dict[str, Any] | None = None) -> Admission:
    """The broker's way: identify, look the account up, admit."""
    now = scene.now + later
    trust, attempt = scene.trust(), scene.attempt()
    identified = identify(attempt, trust, now=now, read=lambda text: decode(text, UserClaims))
    account = _lookup(scene) if identified.account == scene.key.public and scene.known else None
    found = None if account is None else AccountFacts(claims=account, **(facts or {}))
    return admit(identified, attempt, trust, found, now=now, local=UTC)


def _lookup(scene: Scene) -> AccountClaims | None:
    try:
        claims = decode(scene.account_token(), AccountClaims, now=scene.now).claims
    except TokenError:
        return None
    return claims if claims.iss in scene.trust().keys else None


def gates(admission: Admission) -> list[Gate]:
    return [step.gate for step in admission.verdict.steps]


def refused_at(admission: Admission) -> Gate | None:
    refusal = admission.verdict.refusal
    return None if refusal is None else refusal.gate


def test_a_plain_user_comes_in() -> None:
    scene = Scene(NOW)
    admission = decided(scene)
    assert admission.verdict.outcome is Outcome.ALLOWED
    assert admission.issued.sub == admission.user.sub == scene.person.public
    assert admission.permissions is EVERYTHING
    assert admission.limits == Limits()
    assert admission.expires_at is None
    assert not admission.delegated
    assert gates(admission) == sorted(gates(admission), key=list(Gate).index)


@pytest.mark.parametrize(
    "refusal", [each for each in REFUSALS if each.gate is not Gate.STAY], ids=lambda each: each.name
)
def test_each_reason_to_be_refused_is_found_at_its_gate(refusal: Refusal) -> None:
    scene = refusal.scene(NOW)
    admission = decided(scene, later=scene.aged, facts={"expired": bool(scene.aged)} if scene.known else None)
    if refusal.gate is Gate.CONNECTIONS:
        assert admission.text == texts.TOO_MANY_ACCOUNT_CONNECTIONS
        assert admission.closed is Closed.MAX_ACCOUNT_CONNECTIONS
    else:
        assert admission.text == texts.AUTHORIZATION_VIOLATION
    step = admission.verdict.refusal
    assert step is not None
    assert step.gate is refusal.gate
    assert (refusal.words in step.words) or refusal.words.startswith(step.words)
    # It ended there: nothing after the first no.
    assert step is admission.verdict.steps[-1]
    assert admission.verdict.outcome is Outcome.DENIED
    assert not admission.verdict


@pytest.mark.parametrize(
    ("name", "closed"),
    [
        ("a proxy that is not trusted", Closed.PROXY_NOT_TRUSTED),
        ("no proxy", Closed.PROXY_REQUIRED),
        ("expired", Closed.AUTHENTICATION_FAILURE),
        ("no signature", Closed.AUTHENTICATION_FAILURE),
    ],
)
def test_the_reason_for_the_end_tells_proxies_apart(name: str, closed: Closed) -> None:
    refusal = next(each for each in REFUSALS if each.name == name)
    assert decided(refusal.scene(NOW)).closed is closed


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("another connection type", "no signature"),
        ("no signature", "a revoked user"),
        ("a revoked user", "another network"),
        ("another network", "another hour"),
        ("another hour", "no room in the account"),
        ("expired", "an unknown account"),
        ("no proxy", "expired"),
        ("a bearer token where none is allowed", "another connection type"),
    ],
)
def test_of_two_reasons_the_servers_first_is_given(earlier: str, later: str) -> None:
    first, second = (next(each for each in REFUSALS if each.name == name) for name in (earlier, later))
    scene = second.scene(NOW)
    first.change(scene)
    assert refused_at(decided(scene)) is first.gate


def test_the_second_of_expiry_is_still_good_and_over_at_once() -> None:
    scene = Scene(NOW)
    scene.user = replace(scene.user, exp=NOW)
    admission = decided(scene, later=0.75)
    assert admission.verdict
    assert admission.expires_at == NOW + 0.75
    assert refused_at(decided(scene, later=1)) is Gate.CLAIMS


@pytest.mark.parametrize(
    ("exp", "window", "later", "ends"),
    [
        (0, None, 0.5, None),
        (NOW + 10, None, 0.5, 10.5),  # whole seconds from when it came in
        (-5, None, 0.5, 0.5),
        (0, 60, 0.5, 60),
        (NOW + 10, 60, 0.5, 10.5),
        (NOW + 100, 60, 0.5, 60),
    ],
)
def test_a_connection_ends_with_its_token_or_its_window(
    exp: int, window: int | None, later: float, ends: float | None
) -> None:
    scene = Scene(NOW)
    scene.user = replace(scene.user, exp=exp)
    if window is not None:
        clock = NOW % 86_400 + window
        end = f"{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}"
        scene.says(times=(TimeRange(start="00:00:00", end=end),))
    admission = decided(scene, later=later)
    assert admission.expires_at == (None if ends is None else NOW + ends)


def test_a_default_token_stands_in_for_none_and_for_what_is_none() -> None:
    scene = Scene(NOW)
    scene.says(bearer_token=True)
    scene.sentinel = scene.user_token()
    for jwt in (None, "garbage"):
        scene.connect = {"jwt": jwt, "sig": None}
        admission = decided(scene)
        assert admission.verdict.outcome is Outcome.ALLOWED
        assert admission.issued.sub == scene.person.public
        assert [gate for gate in gates(admission) if gate in {Gate.TOKEN, Gate.SENTINEL}] == [
            Gate.TOKEN,
            Gate.SENTINEL,
        ]
    # A token that can be read is never replaced.
    scene.user = replace(scene.user, exp=NOW - 1)
    scene.connect = {}
    assert refused_at(decided(scene)) is Gate.CLAIMS


@pytest.mark.parametrize(
    "fault",
    [TokenRoleError("subject is not set", at="/sub"), AmbiguousMemberError("NAME")],
    ids=["sub", "name"],
)
def test_a_token_that_only_we_cannot_read_is_no_guest(fault: PeerError) -> None:
    scene = Scene(NOW)
    scene.says(bearer_token=True)
    trust = Trust.of([scene.operator_token()], default_sentinel=scene.user_token())

    def read(text: str) -> Verified[UserClaims]:
        raise fault

    identified = identify(Attempt(token="some"), trust, now=NOW, read=read)
    assert identified.refusal is not None
    assert identified.refusal.gate is Gate.TOKEN


def test_a_trusted_proxy_vouches_for_users_and_roles_that_want_one() -> None:
    proxy = Seed.generate(Role.USER)
    for in_role in (False, True):
        scene = Scene(NOW, proxies=(STRANGER.public, proxy.public))
        scene.connect["proxy_sig"] = lambda nonce: url64(proxy.sign(nonce.encode()))
        if in_role:
            scene.in_role(proxy_required=True)
        else:
            scene.says(proxy_required=True)
        assert decided(scene).verdict
        del scene.connect["proxy_sig"]
        admission = decided(scene)
        assert refused_at(admission) is Gate.PROXY_REQUIRED
        assert admission.closed is Closed.PROXY_REQUIRED
        assert (Gate.ROLE in gates(admission)) is in_role


def test_signatures_of_proxies_count_for_nothing_where_none_is_configured() -> None:
    scene = Scene(NOW)
    scene.connect["proxy_sig"] = "garbage"
    assert decided(scene).verdict


def test_a_bearer_needs_no_signature() -> None:
    scene = Scene(NOW)
    scene.says(bearer_token=True)
    scene.connect["sig"] = None
    assert decided(scene).verdict


def test_a_known_type_among_unknown_ones_counts_in_any_case() -> None:
    scene = Scene(NOW)
    scene.says(allowed_connection_types=("pigeon", "Standard"))
    assert decided(scene).verdict


@pytest.mark.parametrize(
    ("revoked", "iat", "is_in"), [(NOW - 1, NOW, True), (NOW, NOW, False), (NOW, NOW + 1, True)]
)
@pytest.mark.parametrize("everybody", [False, True])
def test_a_revocation_reaches_tokens_of_its_own_second(
    revoked: int, iat: int, *, is_in: bool, everybody: bool
) -> None:
    scene = Scene(iat)
    key = "*" if everybody else scene.person.public
    scene.account = with_body(scene.account, revocations={key: revoked})
    assert bool(decided(scene).verdict) is is_in


@pytest.mark.parametrize(
    ("conn", "inside", "room"),
    [(-1, 10**6, True), (1, 0, True), (1, 1, False), (0, 0, False), (-5, 0, False)],
)
def test_room_in_an_account(conn: int, inside: int, *, room: bool) -> None:
    scene = Scene(NOW)
    scene.limits(conn=conn)
    assert bool(decided(scene, facts={"connections": inside}).verdict) is room


def test_pinned_accounts_come_in() -> None:
    scene = Scene(NOW)
    scene.pinned = (scene.key.public,)
    assert decided(scene).verdict


def test_under_strict_usage_signing_keys_do() -> None:
    scene = Scene(NOW, strict=True)
    scene.account_signer = scene.operator_key
    scene.account = with_body(scene.account, signing_keys=(scene.signing.public,))
    scene.signer = scene.signing
    scene.says(issuer_account=scene.key.public)
    assert decided(scene).verdict


# --- roles -----------------------------------------------------------------------------------------


def test_a_role_decides_everything_for_its_users() -> None:
    scene = Scene(NOW)
    scene.in_role(
        pub=Permission(
            allow=(Subject("x.{{name()}}.>"), Subject("t.{{tag(team)}}"), Subject("y.{{tag(none)}}"))
        ),
        payload=64,
        subs=2,
        bearer_token=True,
        src=("127.0.0.0/8",),
        allowed_connection_types=("STANDARD",),
    )
    scene.says(tags=("team:red", "team:blue"))
    scene.connect["sig"] = None
    admission = decided(scene)
    assert admission.verdict
    assert admission.scope is not None
    assert admission.user.nats.pub.allow == ("x.ann.>", "t.red", "t.blue")
    assert admission.issued.nats.pub.empty()
    assert admission.permissions.source == "role web of account APP"
    assert admission.limits == Limits(subscriptions=2, payload=64)
    network = next(step for step in admission.verdict.steps if step.gate is Gate.NETWORK)
    assert network.field == "account /nats/signing_keys/0/template/src"
    assert network.source == "role web of account APP"


def test_absent_limits_in_a_template_are_none() -> None:
    scene = Scene(NOW)
    scene.in_role()
    scope = Scope(key=scene.role.public, role="web")
    scene.account = with_body(scene.account, signing_keys=(scope,))
    admission = decided(scene)
    assert admission.verdict
    assert admission.limits == Limits()
    assert admission.user.nats.data == -1


def test_a_role_whose_allowances_all_fall_away_allows_nothing() -> None:
    scene = Scene(NOW)
    scene.in_role(pub=Permission(allow=(Subject("t.{{tag(team)}}"),)))
    admission = decided(scene)
    assert admission.verdict
    assert admission.user.nats.pub == Permission(deny=(Subject(">"),))


def test_the_identity_key_is_no_role_even_if_listed_as_one() -> None:
    scene = Scene(NOW)
    scope = Scope(key=scene.key.public, role="self", template=new_template(allow_pub=(Subject("only"),)))
    scene.account = with_body(scene.account, signing_keys=(scope,))
    admission = decided(scene)
    assert admission.verdict
    assert admission.permissions.can_publish("anything")


# --- terms -----------------------------------------------------------------------------------------


def test_an_absent_limit_lets_in_with_none() -> None:
    scene = Scene(NOW)
    scene.says(subs=0, payload=0)
    admission = decided(scene)
    assert admission.verdict
    assert admission.limits == Limits(subscriptions=0, payload=0)


def test_default_permissions_are_named_as_such() -> None:
    scene = Scene(NOW)
    defaults = Permissions(pub=Permission(allow=(Subject("d.>"),)))
    scene.account = with_body(scene.account, default_permissions=defaults)
    assert decided(scene).permissions.source == "default permissions of account APP"


def test_tokens_of_the_first_format_have_no_limits() -> None:
    scene = Scene(NOW)
    claims = {
        "iss": scene.key.public, "sub": scene.person.public, "iat": NOW, "jti": "x", "name": "ann",
        "type": "user", "nats": {},
    }  # fmt: skip
    header, payload = (
        url64(json.dumps(each).encode()) for each in ({"typ": "jwt", "alg": "ed25519"}, claims)
    )
    signature = url64(scene.key.sign(payload.encode()))
    scene.connect["jwt"] = f"{header}.{payload}.{signature}"
    admission = decided(scene)
    assert admission.verdict
    assert admission.limits == Limits()


def test_a_list_with_nothing_in_it_beside_denials_allows_nothing() -> None:
    # No library writes such a token; the server reads it so.
    scene = Scene(NOW)
    scene.says(pub=Permission(deny=(Subject("x"),)))
    header, payload, _ = scene.user_token().split(".")
    assert decided(scene).permissions.can_publish("a")
    said = json.loads(_decoded(payload))
    said["nats"]["pub"]["allow"] = []
    message = f"{header}.{url64(json.dumps(said).encode())}"
    scene.connect["jwt"] = f"{message}.{url64(scene.key.sign(message.encode()))}"
    admission = decided(scene)
    assert admission.verdict
    assert not admission.permissions.can_publish("a")


def _decoded(text: str) -> bytes:
    import base64

    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# --- callout ---------------------------------------------------------------------------------------


def callout(*answering: Seed) -> Scene:
    scene = Scene(NOW)
    users = tuple(seed.public for seed in answering) or (OTHER.public,)
    scene.account = with_body(scene.account, authorization=ExternalAuthorization(auth_users=users))
    return scene


def test_an_account_with_a_callout_delegates_who_does_not_answer_it() -> None:
    admission = decided(callout())
    assert admission.verdict.outcome is Outcome.DELEGATED
    assert admission.verdict.allowed
    assert admission.delegated


def test_who_answers_a_callout_comes_in_and_may_not_pose_as_the_server() -> None:
    scene = Scene(NOW)
    scene.account = with_body(
        scene.account, authorization=ExternalAuthorization(auth_users=(scene.person.public,))
    )
    admission = decided(scene)
    assert admission.verdict.outcome is Outcome.ALLOWED
    assert not admission.permissions.can_publish("$SYS.REQ.USER.AUTH")
    assert admission.permissions.can_publish("anything")
    # Under whatever name it comes: its token counts, and nobody else's name does.
    scene.connect["user"] = "bob"
    assert decided(scene).verdict.outcome is Outcome.ALLOWED
    stranger = callout()
    stranger.connect["user"] = OTHER.public
    assert decided(stranger).verdict.outcome is Outcome.DELEGATED


def test_what_fails_here_is_not_delegated() -> None:
    scene = callout()
    scene.connect["sig"] = None
    assert refused_at(decided(scene)) is Gate.SIGNATURE


# --- MQTT ------------------------------------------------------------------------------------------


def mqtt(scene: Scene) -> Admission:
    attempt = replace(
        scene.attempt(),
        token="",
        signature="",
        user="any",
        password=scene.user_token(),
        connection_type="MQTT",
    )
    trust = scene.trust()
    identified = identify(attempt, trust, now=NOW, read=lambda text: decode(text, UserClaims))
    facts = AccountFacts(claims=decode(scene.account_token(), AccountClaims).claims)
    return admit(identified, attempt, trust, facts, now=NOW)


def test_the_password_of_mqtt_may_be_a_bearer_token() -> None:
    scene = Scene(NOW)
    assert refused_at(mqtt(scene)) is Gate.SIGNATURE
    scene.says(bearer_token=True, subs=0, payload=4)
    scene.limits(payload=100)
    admission = mqtt(scene)
    assert admission.verdict
    # Only the account's limits hold: the server learns too late whose password it was.
    assert admission.limits == Limits(subscriptions=-1, payload=100)


def test_a_password_that_is_no_token_is_none() -> None:
    scene = Scene(NOW)
    scene.connect["jwt"] = "garbage"
    attempt = replace(scene.attempt(), token="", password="secret", connection_type="MQTT")
    identified = identify(attempt, scene.trust(), now=NOW, read=_never)
    assert identified.refusal is not None
    assert identified.refusal.gate is Gate.TOKEN
    # Elsewhere a password is none of our business.
    scene.says(bearer_token=True)
    plain = replace(attempt, password=scene.user_token(), connection_type="STANDARD")
    identified = identify(plain, scene.trust(), now=NOW, read=lambda text: decode(text, UserClaims))
    assert identified.refusal is not None


def _never(text: str) -> Verified[UserClaims]:
    raise TokenError(f"{len(text)} letters are no token")
