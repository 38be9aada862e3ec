"""Each gate of a callout's answer, in order, with the words the server has for it (enforcement spec §6.3, §6.4)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from broker.enforcement.admission import AccountFacts
from broker.enforcement.limits import Limits
from broker.enforcement.placement import (
    Answered,
    Denied,
    Gate,
    Placement,
    Question,
    earlier,
    place,
    read_answer,
)
from broker.protocol import texts
from broker.protocol.texts import Closed
from issuer.claims.account import AccountClaims, ExternalAuthorization, Scope, new_account
from issuer.claims.exchange import AuthorizationResponseBody, AuthorizationResponseClaims
from issuer.claims.fields import Permission, Permissions, ResponsePermission, TimeRange
from issuer.claims.user import UserClaims, UserTemplate, new_scoped_user, new_user
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.keys.xkeys import seal
from issuer.subjects import Subject
from issuer.tokens.envelope import HEADER, encode
from issuer.tokens.signer import SeedSigner

NOW = 1_700_000_000
UNLIMITED = Limits()
NOON_ONLY = (TimeRange(start="12:00:00", end="12:00:01"),)


@dataclass(frozen=True)
class House:
    """An account's keys."""

    seed: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    signing: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    role: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))

    def claims(self, template: UserTemplate | None = None, **members: Any) -> AccountClaims:
        base = new_account(self.seed.public, "house")
        role = Scope(kind="user_scope", key=self.role.public, role="r", template=template or UserTemplate())
        body = replace(base.nats, signing_keys=(self.signing.public, role), **members)
        return replace(base, nats=body)


CALLOUT, TARGET, OTHER = House(), House(), House()
STRANGER = Seed.generate(Role.ACCOUNT)
SERVER, ELSEWHERE = (Seed.generate(Role.SERVER).public for _ in range(2))
USER, SOMEBODY = (Seed.generate(Role.USER).public for _ in range(2))
SERVER_CURVE, ACCOUNT_CURVE = (Seed.generate(Role.CURVE) for _ in range(2))
PLAIN = Question(CALLOUT.seed.public, SERVER, USER)
SEALED = Question(CALLOUT.seed.public, SERVER, USER, ACCOUNT_CURVE.public)
AT_C = f'on account "{CALLOUT.seed.public}"'


def callout(*allowed: str, users: tuple[str, ...] = (SOMEBODY,)) -> AccountClaims:
    return CALLOUT.claims(
        authorization=ExternalAuthorization(auth_users=users, allowed_accounts=allowed),
    )


def user(by: Seed = TARGET.seed, **members: Any) -> str:
    top = {name: members.pop(name) for name in ("sub", "name", "exp", "nbf") if name in members}
    base = new_user(USER, "")
    claims = replace(base, nats=replace(base.nats, **members), **top)
    return encode(claims, SeedSigner(by), now=NOW).token


def role_user(by: Seed = TARGET.role, account: Seed = TARGET.seed, **members: Any) -> str:
    base = new_scoped_user(USER, "bob", account=account.public)
    return encode(replace(base, nats=replace(base.nats, **members)), SeedSigner(by), now=NOW).token


def response(jwt: str = "", *, by: Seed = CALLOUT.seed, **members: Any) -> bytes:
    top: dict[str, Any] = {"sub": USER, "aud": SERVER}
    top |= {name: members.pop(name) for name in ("sub", "aud", "exp", "nbf") if name in members}
    body = AuthorizationResponseBody(jwt=jwt, **members)
    return encode(AuthorizationResponseClaims(nats=body, **top), SeedSigner(by), now=NOW).token.encode()


def read(
    payload: bytes, question: Question = PLAIN, account: AccountClaims | None = None, *, now: float = NOW
) -> Answered | Denied:
    asked = account or callout(TARGET.seed.public)
    return read_answer(payload, question, asked, curve=SERVER_CURVE, now=now)


def denied(answer: object) -> tuple[Gate, str]:
    assert isinstance(answer, Denied)
    assert not answer
    return answer.gate, answer.words


def settle(
    jwt: str,
    target: AccountClaims | None = None,
    *,
    strict: bool = False,
    connections: int = 0,
    question: Question = PLAIN,
    account: AccountClaims | None = None,
    server: Limits = UNLIMITED,
) -> Placement | Denied:
    answered = read(response(jwt), question, account)
    assert isinstance(answered, Answered), answered
    facts = AccountFacts(claims=target or TARGET.claims(), connections=connections)
    return place(answered, question, facts, strict=strict, server=server, now=NOW)


def placed(jwt: str, target: AccountClaims | None = None, **options: Any) -> Placement:
    found = settle(jwt, target, **options)
    assert isinstance(found, Placement), found
    return found


# --- the answer ------------------------------------------------------------------------------------

INVALID = "Authorization response had validation errors"
UNKNOWN = "Auth callout signing key is unknown"


def not_the_callout(account: House) -> str:
    return f'Auth callout response issuer account "{account.seed.public}" is not the callout account'


ANSWERS: dict[str, tuple[Callable[[], bytes], Gate, str]] = {
    "empty": (lambda: b"", Gate.CONTENT, f'Auth callout violation: "no reason supplied" {AT_C}'),
    "no token": (lambda: b"garbage", Gate.RESPONSE, "Expected 3 chunks"),
    "a user's token": (lambda: user().encode(), Gate.RESPONSE, "Not an authorization request claim"),
    "altered": (
        lambda: response(user())[:-4] + b"AAAA",
        Gate.RESPONSE,
        "Claim failed V2 signature verification",
    ),
    "altered, of another kind": (
        lambda: user()[:-4].encode() + b"AAAA",
        Gate.RESPONSE,
        "Claim failed V2 signature verification",
    ),
    "audience no key": (
        lambda: response(user(), aud="xx"),
        Gate.CLAIMS,
        f"{INVALID}: Audience must be a server public key",
    ),
    "audience missing": (
        lambda: response(user(), aud=""),
        Gate.CLAIMS,
        f"{INVALID}: Audience must be a server public key",
    ),
    "subject no user": (
        lambda: response(user(), sub=TARGET.seed.public),
        Gate.CLAIMS,
        f"{INVALID}: Subject must be a user public key",
    ),
    "both": (lambda: response(user(), error="x"), Gate.CLAIMS, f"{INVALID}: Only Error or Jwt can be set"),
    "neither": (response, Gate.CLAIMS, f"{INVALID}: Error or Jwt is required"),
    "speaks for no account": (
        lambda: response(user(), issuer_account="zz"),
        Gate.CLAIMS,
        f"{INVALID}: issuer_account is not an account public key",
    ),
    "too late": (lambda: response(user(), exp=NOW - 1), Gate.CLAIMS, f"{INVALID}: claim is expired"),
    "too early": (
        lambda: response(user(), nbf=NOW + 9),
        Gate.CLAIMS,
        f"{INVALID}: claim is not yet valid",
    ),
    "late and for nobody": (
        lambda: response(user(), exp=NOW - 1, aud=""),
        Gate.CLAIMS,
        f"{INVALID}: Audience must be a server public key",
    ),
    "another user, another server": (
        lambda: response(user(), sub=SOMEBODY, aud=ELSEWHERE),
        Gate.REQUEST,
        "Auth callout violation: auth callout response is not for expected user",
    ),
    "another server, for another account": (
        lambda: response(user(), aud=ELSEWHERE, issuer_account=TARGET.seed.public),
        Gate.SERVER,
        "Auth callout violation: auth callout response is not for server",
    ),
    "for another account": (
        lambda: response(user(), by=STRANGER, issuer_account=TARGET.seed.public),
        Gate.SPEAKER,
        not_the_callout(TARGET),
    ),
    "for another account, by the callout": (
        lambda: response(user(), issuer_account=OTHER.seed.public),
        Gate.SPEAKER,
        not_the_callout(OTHER),
    ),
    "for another account, refusing": (
        lambda: response(error="no", issuer_account=OTHER.seed.public),
        Gate.SPEAKER,
        not_the_callout(OTHER),
    ),
    "by a stranger": (lambda: response(user(), by=STRANGER), Gate.SIGNER, UNKNOWN),
    "by the target": (lambda: response(user(), by=TARGET.seed), Gate.SIGNER, UNKNOWN),
    "by a stranger for the callout": (
        lambda: response(user(), by=STRANGER, issuer_account=CALLOUT.seed.public),
        Gate.SIGNER,
        UNKNOWN,
    ),
    "by a stranger, refusing": (lambda: response(error="no", by=STRANGER), Gate.SIGNER, UNKNOWN),
    "refused": (
        lambda: response(error="nope"),
        Gate.REFUSAL,
        "Auth callout service returned an error: nope",
    ),
    "no user token": (lambda: response("garbage"), Gate.USER, "Expected 3 chunks"),
    "an account for a user": (
        lambda: response(encode(TARGET.claims(), SeedSigner(STRANGER), now=NOW).token),
        Gate.USER,
        "Not user claim",
    ),
    "user altered": (
        lambda: response(user()[:-4] + "AAAA"),
        Gate.USER,
        "Claim failed V2 signature verification",
    ),
    "wants a proxy": (
        lambda: response(user(proxy_required=True, exp=NOW - 1)),
        Gate.PROXY,
        "Proxy connection required",
    ),
    "user expired": (
        lambda: response(user(exp=NOW - 1, sub=SOMEBODY)),
        Gate.SOUND,
        "Error validating user JWT: claim is expired",
    ),
    "user too early": (
        lambda: response(user(nbf=NOW + 1)),
        Gate.SOUND,
        "Error validating user JWT: claim is not yet valid",
    ),
    "no network": (
        lambda: response(user(src=("nonsense",))),
        Gate.SOUND,
        'Error validating user JWT: invalid cidr "nonsense" in user src limits',
    ),
    "queue to publish to": (
        lambda: response(user(pub=Permission(allow=(Subject("a b"),)))),
        Gate.SOUND,
        'Error validating user JWT: Permission Subject "a b" is not allowed to contain queue',
    ),
    "no time": (
        lambda: response(user(times=(TimeRange(start="x", end="y"),))),
        Gate.SOUND,
        'Error validating user JWT: start in time range is invalid "x"',
    ),
    "in no account": (
        lambda: response(user(issuer_account=USER)),
        Gate.SOUND,
        "Error validating user JWT: account_id is not an account public key",
    ),
    "another user's token": (
        lambda: response(user(sub=SOMEBODY, times=NOON_ONLY, times_location="UTC")),
        Gate.SUBJECT,
        f'Expected authorized user of "{USER}" but got "{SOMEBODY}" {AT_C}',
    ),
    "outside its hours": (
        lambda: response(user(times=NOON_ONLY, times_location="UTC", allowed_connection_types=("FOO",))),
        Gate.TIMES,
        f"Authorized user {AT_C} outside of valid connect times",
    ),
    "no known type": (
        lambda: response(user(by=STRANGER, allowed_connection_types=("FOO",))),
        Gate.TYPES,
        f"Authorized user {AT_C} using invalid connection type",
    ),
    "another account": (
        lambda: response(user(by=OTHER.seed)),
        Gate.ALLOWED,
        f'Account "{OTHER.seed.public}" not permitted as valid account option for auth callout '
        f'for account "{CALLOUT.seed.public}"',
    ),
    "signing key that names no account": (
        lambda: response(user(by=TARGET.signing)),
        Gate.ALLOWED,
        f'Account "{TARGET.signing.public}" not permitted as valid account option for auth callout '
        f'for account "{CALLOUT.seed.public}"',
    ),
    # The account is the one that was named; the words name the signer.
    "another account by the target": (
        lambda: response(user(by=TARGET.seed, issuer_account=OTHER.seed.public)),
        Gate.ALLOWED,
        f'Account "{TARGET.seed.public}" not permitted as valid account option for auth callout '
        f'for account "{CALLOUT.seed.public}"',
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_lets_nobody_in(name: str) -> None:
    payload, gate, words = ANSWERS[name]
    assert denied(read(payload())) == (gate, words)


def test_every_gate_has_a_refusal() -> None:
    """So that a gate that is added is not forgotten here."""
    gates = {gate for _, gate, _ in ANSWERS.values()} | {Gate.SEAL}
    gates |= {Gate.ACCOUNT, Gate.ISSUER, Gate.ROLE, Gate.ROLE_PROXY, Gate.ROOM}
    assert gates == set(Gate)


@pytest.mark.parametrize("by", [CALLOUT.seed, CALLOUT.signing, CALLOUT.role], ids=["own", "signing", "role"])
@pytest.mark.parametrize("named", [True, False])
def test_any_key_of_the_callout_may_speak(by: Seed, named: bool) -> None:
    members = {"issuer_account": CALLOUT.seed.public} if named else {}
    answered = read(response(user(), by=by, **members))
    assert isinstance(answered, Answered)
    assert answered.account == TARGET.seed.public


@pytest.mark.parametrize(
    ("allowed", "account", "fits"),
    [
        ((), CALLOUT, True),
        ((), TARGET, False),
        (("*",), OTHER, True),
        (("*", TARGET.seed.public), OTHER, False),
        (("*", TARGET.seed.public), TARGET, True),
        ((OTHER.seed.public, TARGET.seed.public), TARGET, True),
    ],
)
def test_accounts_the_callout_may_place_into(allowed: tuple[str, ...], account: House, fits: bool) -> None:
    answered = read(response(user(by=account.seed)), account=callout(*allowed))
    if fits:
        assert isinstance(answered, Answered)
        assert answered.account == account.seed.public
    else:
        assert denied(answered)[0] is Gate.ALLOWED


def test_a_callout_switched_off_meanwhile_may_place_nowhere_else() -> None:
    off = callout("*", users=())
    assert denied(read(response(user()), account=off))[0] is Gate.ALLOWED
    assert isinstance(read(response(user(by=CALLOUT.seed)), account=off), Answered)


@given(st.binary())
def test_whatever_bytes_come_nobody_is_in(payload: bytes) -> None:
    """Anything that no key signed is refused with words, for either kind of question."""
    for question in (PLAIN, SEALED):
        gate, words = denied(read(payload, question))
        assert gate in {Gate.CONTENT, Gate.SEAL, Gate.RESPONSE}
        assert words


GOOD = response(user())


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_byte_changed_lets_nobody_in(place: int, byte: int) -> None:
    changed = GOOD[:place] + bytes([byte]) + GOOD[place + 1 :]
    answered = read(changed)
    # The last letter of a signature has bits that mean nothing.
    assert isinstance(answered, Denied) or changed == GOOD or place == len(GOOD) - 1


# --- sealed ----------------------------------------------------------------------------------------


def sealed(payload: bytes, *, by: Seed = ACCOUNT_CURVE) -> bytes:
    return seal(payload, sender=by, recipient=SERVER_CURVE.public)


BROKEN = f"Error decrypting auth callout response {AT_C}: nkeys: "


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (lambda: b"garbage", BROKEN + "encrypted input is not valid"),
        (lambda: b"xkv1", BROKEN + "encrypted input is not valid"),
        (lambda: sealed(response(user()))[:-1] + b"x", BROKEN + "could not decrypt input"),
        (lambda: b"xkv2" + sealed(response(user()))[4:], BROKEN + "encrypted input wrong version"),
        (lambda: b" " + response(user()), BROKEN + "encrypted input wrong version"),
        (
            lambda: sealed(response(user()), by=Seed.generate(Role.CURVE)),
            BROKEN + "could not decrypt input",
        ),
    ],
    ids=["short", "only the version", "altered", "another version", "a blank before a token", "another key"],
)
def test_what_does_not_open(payload: Callable[[], bytes], words: str) -> None:
    assert denied(read(payload(), SEALED)) == (Gate.SEAL, words)


@pytest.mark.parametrize("named", ["", CALLOUT.seed.public, TARGET.seed.public])
def test_who_signed_a_sealed_answer_is_not_asked(named: str) -> None:
    answer = sealed(response(user(), by=STRANGER, issuer_account=named))
    assert isinstance(read(answer, SEALED), Answered)


def test_a_plain_answer_to_a_sealed_question_is_taken_but_its_signer_asked() -> None:
    assert isinstance(read(response(user()), SEALED), Answered)
    assert isinstance(read(response(user()) + b"\n", SEALED), Answered)
    assert denied(read(response(user(), by=STRANGER), SEALED)) == (Gate.SIGNER, UNKNOWN)


def test_a_sealed_answer_must_be_sound_all_the_same() -> None:
    assert denied(read(sealed(b""), SEALED)) == (Gate.RESPONSE, "Expected 3 chunks")
    assert denied(read(b"", SEALED))[0] is Gate.CONTENT
    assert denied(read(sealed(response(error="no", by=STRANGER)), SEALED))[0] is Gate.REFUSAL
    assert denied(read(sealed(response(user(), aud=ELSEWHERE)), SEALED))[0] is Gate.SERVER
    assert denied(read(sealed(response(user(by=OTHER.seed))), SEALED))[0] is Gate.ALLOWED
    assert denied(read(sealed(response(user(), issuer_account="x")), SEALED))[0] is Gate.CLAIMS


def test_a_sealed_answer_to_a_plain_question_is_no_token() -> None:
    assert denied(read(sealed(response(user())))) == (Gate.RESPONSE, "Expected 3 chunks")


# --- the user's place ------------------------------------------------------------------------------


def test_a_good_user_is_in_with_what_the_account_allows() -> None:
    defaults = Permissions(pub=Permission(deny=(Subject("no.>"),)))
    base = TARGET.claims(default_permissions=defaults)
    target = replace(base, nats=replace(base.nats, limits=replace(base.nats.limits, payload=5, subs=7)))
    found = placed(user(name="bob"), target, server=Limits(subscriptions=3, payload=1024))
    assert found.issued.name == "bob"
    assert found.limits == Limits(subscriptions=3, payload=5)
    assert not found.permissions.can_publish("no.way")
    assert found.permissions.can_publish("$SYS.REQ.USER.AUTH")
    assert found.expires_at is None


def test_its_own_limits_and_ways_do_not_hold() -> None:
    found = placed(
        user(
            subs=1,
            payload=4,
            data=1,
            src=("10.0.0.0/8",),
            allowed_connection_types=("foo", "WebSocket"),
            bearer_token=True,
            pub=Permission(allow=(Subject("ok.>"),)),
        )
    )
    assert found.limits == Limits()
    assert (found.user.nats.subs, found.user.nats.payload, found.user.nats.data) == (-1, -1, -1)
    assert not found.user.nats.bearer_token
    assert found.permissions.can_publish("ok.x")
    assert not found.permissions.can_publish("x")


def test_its_time_and_hours_hold() -> None:
    assert placed(user(exp=NOW + 50)).expires_at == NOW + 50
    # 22:13:20 UTC
    hours = (TimeRange(start="22:00:00", end="22:14:00"),)
    assert placed(user(times=hours, times_location="UTC")).expires_at == NOW + 40
    assert placed(user(times=hours, times_location="UTC", exp=NOW + 30)).expires_at == NOW + 30
    assert placed(user(exp=NOW)).expires_at == NOW


def test_revocations_are_not_asked() -> None:
    target = replace(TARGET.claims(), nats=replace(TARGET.claims().nats, revocations={"*": NOW + 100}))
    assert placed(user(), target).issued.sub == USER


def test_bearers_are_not_asked() -> None:
    base = TARGET.claims()
    target = replace(base, nats=replace(base.nats, limits=replace(base.nats.limits, disallow_bearer=True)))
    assert placed(user(bearer_token=True), target).issued.sub == USER


@pytest.mark.parametrize(
    ("by", "named", "strict", "fits"),
    [
        (TARGET.seed, False, False, True),
        (TARGET.seed, True, False, True),
        (TARGET.signing, True, False, True),
        (TARGET.signing, True, True, True),
        (TARGET.seed, False, True, False),
        (TARGET.seed, True, True, False),
        (OTHER.seed, True, False, False),
        (STRANGER, True, False, False),
        (CALLOUT.seed, True, False, False),
    ],
)
def test_who_may_sign_the_user(by: Seed, named: bool, strict: bool, fits: bool) -> None:
    members = {"issuer_account": TARGET.seed.public} if named else {}
    found = settle(user(by=by, **members), strict=strict)
    if fits:
        assert isinstance(found, Placement)
    else:
        assert denied(found) == (Gate.ISSUER, f'User JWT issuer "{by.public}" is not known')


def test_an_account_unknown_or_over() -> None:
    answered = read(response(user()))
    assert isinstance(answered, Answered)
    over = AccountFacts(claims=TARGET.claims(), expired=True)
    words = f'No valid account "{TARGET.seed.public}" for auth callout response {AT_C}: '
    for facts, fault in ((None, "account missing"), (over, "account validation failed")):
        found = place(answered, PLAIN, facts, strict=False, server=Limits(), now=NOW)
        assert denied(found) == (Gate.ACCOUNT, words + fault)


def test_no_room() -> None:
    base = TARGET.claims()
    target = replace(base, nats=replace(base.nats, limits=replace(base.nats.limits, conn=2)))
    assert placed(user(), target, connections=1)
    found = settle(user(), target, connections=2)
    assert found == Denied(
        Gate.ROOM,
        "Could not register auth callout user: maximum account active connections exceeded",
        Closed.MAX_ACCOUNT_CONNECTIONS,
        texts.TOO_MANY_ACCOUNT_CONNECTIONS,
    )


def test_a_proxy_is_enough_where_one_is_wanted() -> None:
    proxied = Question(CALLOUT.seed.public, SERVER, USER, proxied=True)
    assert placed(user(proxy_required=True), question=proxied)
    template = UserTemplate(proxy_required=True)
    assert placed(role_user(), TARGET.claims(template), question=proxied)


# --- roles -----------------------------------------------------------------------------------------


def test_a_role_gives_permissions_and_nothing_else() -> None:
    template = UserTemplate(
        pub=Permission(allow=(Subject("u.{{name()}}.>"),)),
        resp=ResponsePermission(max=1, ttl=0),
        subs=1,
        payload=4,
        src=("10.0.0.0/8",),
        times=NOON_ONLY,
        times_location="UTC",
        allowed_connection_types=("FOO",),
        bearer_token=True,
    )
    found = placed(role_user(), TARGET.claims(template))
    assert found.scope is not None
    assert found.permissions.can_publish("u.bob.x")
    assert not found.permissions.can_publish("u.eve.x")
    assert found.permissions.response is not None
    assert found.limits == Limits()
    assert found.expires_at is None
    assert "role r" in found.permissions.source


@pytest.mark.parametrize(
    ("jwt", "template", "gate", "words"),
    [
        (
            lambda: user(by=TARGET.role, issuer_account=TARGET.seed.public),
            UserTemplate(),
            Gate.ROLE,
            "User JWT is not valid: scoped users require no permissions or limits set",
        ),
        (
            role_user,
            UserTemplate(proxy_required=True, pub=Permission(allow=(Subject("u.{{nope()}}.x"),))),
            Gate.ROLE,
            'User JWT generated invalid permissions: template operation in "u.{{nope()}}.x": '
            '"nope()" is not defined',
        ),
        (role_user, UserTemplate(proxy_required=True), Gate.ROLE_PROXY, "Proxy connection required"),
    ],
    ids=["with permissions of its own", "template that cannot be filled in", "through a proxy only"],
)
def test_a_role_that_does_not_fit(
    jwt: Callable[[], str], template: UserTemplate, gate: Gate, words: str
) -> None:
    found = settle(jwt(), TARGET.claims(template))
    assert denied(found) == (gate, words)
    assert isinstance(found, Denied)
    assert (found.closed is Closed.PROXY_REQUIRED) == (gate is Gate.ROLE_PROXY)


@pytest.mark.parametrize(
    ("pub", "allowed"),
    [
        ({"allow": [], "deny": ["x"]}, False),
        ({"allow": []}, True),
        ({"allow": None, "deny": ["x"]}, True),
        ({"deny": ["x"]}, True),
    ],
    ids=str,
)
def test_an_allow_list_with_nothing_in_it(pub: dict[str, Any], allowed: bool) -> None:
    """The server takes it for one that allows nothing, if there is a deny list beside it."""
    nats = {"pub": pub, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2}
    payload = json.dumps({"iat": NOW, "iss": TARGET.seed.public, "sub": USER, "nats": nats}).encode()
    message = HEADER + b"." + base64.urlsafe_b64encode(payload).rstrip(b"=")
    signature = base64.urlsafe_b64encode(TARGET.seed.sign(message)).rstrip(b"=")
    found = placed((message + b"." + signature).decode())
    assert found.permissions.can_publish("y") == allowed


# --- in the callout's own account ------------------------------------------------------------------


def test_who_is_placed_in_the_callout_account_may_not_pretend_to_be_the_server() -> None:
    found = placed(user(by=CALLOUT.seed), callout(), account=callout())
    assert not found.permissions.can_publish("$SYS.REQ.USER.AUTH")
    assert found.permissions.can_publish("$SYS.REQ.USER.INFO")
    assert found.permissions.can_subscribe("$SYS.REQ.USER.AUTH")


def test_the_earlier_of_two_times_that_may_be_missing() -> None:
    assert earlier(None, None) is None
    assert earlier(1.0, None) == earlier(None, 1.0) == earlier(1.0, 2.0) == earlier(2.0, 1.0) == 1.0


def test_a_claims_object_is_what_holds_not_what_was_issued() -> None:
    found = placed(user(subs=1))
    assert isinstance(found.issued, UserClaims)
    assert found.issued.nats.subs == 1
    assert PublicKey(found.issued.iss) == TARGET.seed.public
