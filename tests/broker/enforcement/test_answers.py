"""Each gate of a callout's answer, in order, with the server's words (enforcement spec §6.3, §6.4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.enforcement.placement import (
    Answered,
    Denied,
    Gate,
)
from issuer.claims.fields import Permission, TimeRange
from issuer.keys.nkeys import Role, Seed
from issuer.keys.xkeys import seal
from issuer.subjects import Subject
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.broker.enforcement.callout_answers import (
    ACCOUNT_CURVE,
    AT_C,
    CALLOUT,
    ELSEWHERE,
    NOON_ONLY,
    NOW,
    OTHER,
    PLAIN,
    SEALED,
    SERVER_CURVE,
    SOMEBODY,
    STRANGER,
    TARGET,
    USER,
    House,
    callout,
    denied,
    read,
    response,
    user,
)

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


def flipped(raw: bytes) -> bytes:
    """With another last byte, whatever it is."""
    return raw[:-1] + bytes([raw[-1] ^ 1])


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (lambda: b"garbage", BROKEN + "encrypted input is not valid"),
        (lambda: b"xkv1", BROKEN + "encrypted input is not valid"),
        (lambda: flipped(sealed(response(user()))), BROKEN + "could not decrypt input"),
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


@pytest.mark.parametrize(
    "named", ["", CALLOUT.seed.public, TARGET.seed.public], ids=["nobody", "callout", "target"]
)
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
    assert denied(read(sealed(response(user()))))[0] is Gate.RESPONSE
