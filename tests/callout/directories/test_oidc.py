"""Tokens no honest issuer would make, shown to a directory whose issuer is served over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from callout.directories import Credentials
from callout.directories.fetching import FetchSettingsError
from callout.directories.oidc import KeyTimes, OidcDirectory, TokenKind
from callout.directories.oidc.provider import IssuerMismatchError
from callout.directories.opening import HoldsKeys
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.grants import Identity, Kind
from tests.callout.directories.oidc_world import (
    AUDIENCE,
    EC,
    ED,
    NOW,
    OTHER_RSA,
    RSA,
    Issuer,
    identified,
    public,
    settings_for,
    sign,
    sign_with_secret,
    tell,
)


def outcome(make: Any, issuer: Issuer | None = None, **more: Any) -> Identity | Reason:
    """What becomes of the token that `make(issuer)` gives."""
    found: list[Identity | Reason] = []

    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        try:
            found.append(await identified(directory, make(issuer)))
        except LoginRefusedError as refused:
            found.append(refused.reason)

    tell(story, issuer, **more)
    return found[0]


def test_a_good_token_is_an_identity() -> None:
    made: list[str] = []

    def make(issuer: Issuer) -> str:
        made.append(sign(issuer.claims(groups=["b", "a"], amr=["mfa"])))
        return made[0]

    found = outcome(make)
    assert isinstance(found, Identity)
    assert (found.subject, found.kind, found.groups, found.methods) == (
        "alice",
        Kind.PERSON,
        ("a", "b"),
        ("mfa",),
    )
    assert (found.directory, found.expires_at) == ("idp", NOW + 600)
    from hashlib import sha256

    assert found.credential == sha256(made[0].encode()).hexdigest()[:32]


def test_it_tells_how_old_its_keys_are() -> None:
    async def story(_: Issuer, directory: OidcDirectory) -> None:
        assert isinstance(directory, HoldsKeys)
        assert (directory.keys_at, directory.keys_stale(NOW)) == (NOW, False)

    tell(story)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")])
def test_each_algorithm_of_the_defaults(key: Any, algorithm: str) -> None:
    found = outcome(lambda it: sign(it.claims(), key, algorithm=algorithm), Issuer([RSA, EC, ED]))
    assert isinstance(found, Identity)


HOSTILE = {
    "alg none": (lambda it: sign(it.claims(), RSA, header={"alg": "none", "kid": "rsa"}), Reason.ALGORITHM),
    "alg none without a signature": (
        lambda it: sign(it.claims(), RSA, header={"alg": "none"}).rpartition(".")[0] + ".",
        Reason.ALGORITHM,
    ),
    "a public key as a shared secret": (
        lambda it: sign_with_secret(it.claims(), RSA.as_pem(private=False), kid="rsa"),
        Reason.ALGORITHM,
    ),
    "an algorithm that is not configured": (
        lambda it: sign(it.claims(), algorithm="RS512"),
        Reason.ALGORITHM,
    ),
    "an algorithm of another type of key": (
        lambda it: sign(it.claims(), RSA, header={"alg": "ES256", "kid": "rsa"}),
        Reason.ALGORITHM,
    ),
    "an algorithm that is not the one that signed": (
        lambda it: sign(it.claims(), RSA, header={"alg": "PS256", "kid": "rsa"}),
        Reason.CREDENTIALS_WRONG,
    ),
    "another key under the name of a good one": (
        lambda it: sign(it.claims(), OTHER_RSA, header={"alg": "RS256", "kid": "rsa"}),
        Reason.CREDENTIALS_WRONG,
    ),
    "a kid nobody knows": (
        lambda it: sign(it.claims(), RSA, header={"alg": "RS256", "kid": "../../rsa"}),
        Reason.UNKNOWN_KEY,
    ),
    "no kid where there are several keys": (
        lambda it: sign(it.claims(), RSA, header={"alg": "RS256"}),
        Reason.UNKNOWN_KEY,
    ),
    "the attacker's key in the header": (
        lambda it: sign(
            it.claims(),
            OTHER_RSA,
            header={"alg": "RS256", "kid": "rsa", "jwk": OTHER_RSA.as_dict(private=False)},
        ),
        Reason.CREDENTIALS_WRONG,
    ),
    "the attacker's key set in the header": (
        lambda it: sign(
            it.claims(),
            OTHER_RSA,
            header={"alg": "RS256", "kid": "other", "jku": it.url + "/evil", "x5u": it.url},
        ),
        Reason.UNKNOWN_KEY,
    ),
    "crit": (
        lambda it: sign(it.claims(), RSA, header={"alg": "RS256", "kid": "rsa", "crit": ["x"], "x": 1}),
        Reason.CREDENTIALS_MALFORMED,
    ),
    "claims changed after signing": (
        lambda it: sign(it.claims()).replace(
            sign(it.claims()).split(".")[1], sign(it.claims(sub="root")).split(".")[1]
        ),
        Reason.CREDENTIALS_WRONG,
    ),
    "an empty signature": (lambda it: sign(it.claims()).rpartition(".")[0] + ".", Reason.CREDENTIALS_WRONG),
    "a member twice": (
        lambda it: sign(json.dumps(it.claims())[:-1].encode() + b', "groups": ["a"], "groups": ["root"]}'),
        Reason.CREDENTIALS_MALFORMED,
    ),
    "exp missing": (lambda it: sign(it.claims(exp=None)), Reason.CREDENTIALS_MALFORMED),
    "exp as a text": (lambda it: sign(it.claims(exp=str(NOW + 60))), Reason.CREDENTIALS_MALFORMED),
    "exp ten years away": (lambda it: sign(it.claims(exp=NOW + 315e6)), Reason.CREDENTIALS_TOO_LONG_LIVED),
    "expired": (lambda it: sign(it.claims(exp=NOW - 1)), Reason.CREDENTIALS_EXPIRED),
    "not yet": (lambda it: sign(it.claims(nbf=NOW + 61)), Reason.CREDENTIALS_EARLY),
    "issued an hour ahead": (
        lambda it: sign(it.claims(iat=NOW + 3600, exp=NOW + 4000)),
        Reason.CREDENTIALS_EARLY,
    ),
    "for another": (lambda it: sign(it.claims(aud="another")), Reason.AUDIENCE),
    "for others as well": (lambda it: sign(it.claims(aud=[AUDIENCE, "another"])), Reason.PARTY),
    "a logout token": (
        lambda it: sign(it.claims(), RSA, header={"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"}),
        Reason.TOKEN_KIND,
    ),
    "a security event": (
        lambda it: sign(it.claims(), RSA, header={"alg": "RS256", "kid": "rsa", "typ": "secevent+jwt"}),
        Reason.TOKEN_KIND,
    ),
    "another issuer": (lambda it: sign(it.claims(iss="https://evil.test")), Reason.CREDENTIALS_MALFORMED),
    "290 kB of groups": (
        lambda it: sign(it.claims(groups=[f"group-{n}" for n in range(20_000)])),
        Reason.CREDENTIALS_TOO_LARGE,
    ),
    "100 groups": (
        lambda it: sign(it.claims(groups=[f"g{n}" for n in range(100)])),
        Reason.GROUPS_INCOMPLETE,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_token_is_refused(name: str) -> None:
    make, reason = HOSTILE[name]
    issuer = Issuer([RSA, EC])
    assert outcome(make, issuer) is reason
    assert not [path for path in issuer.asked if "evil" in path]


@pytest.mark.parametrize(
    ("key_set", "reason"),
    [
        (public(RSA, use="enc"), Reason.UNKNOWN_KEY),
        (public(RSA, alg="PS256"), Reason.ALGORITHM),
        (b'{"keys": []}', Reason.UNKNOWN_KEY),
    ],
)
def test_a_key_that_is_published_for_something_else(key_set: bytes, reason: Reason) -> None:
    assert outcome(lambda it: sign(it.claims()), Issuer(key_set=key_set)) is reason


def test_no_kid_where_there_is_one_key() -> None:
    assert isinstance(outcome(lambda it: sign(it.claims(), header={"alg": "RS256"})), Identity)


def test_a_header_with_a_certificate_chain() -> None:
    header = {"alg": "RS256", "kid": "rsa", "x5c": ["M" * 2000] * 3}
    assert isinstance(outcome(lambda it: sign(it.claims(), header=header)), Identity)


def test_each_issuer_has_its_own_keys() -> None:
    """One issuer cannot sign for another, not even with a key of the same name."""

    async def run() -> None:
        async with Issuer([RSA]).served() as one, Issuer([OTHER_RSA]).served() as two:
            directories = [
                OidcDirectory(settings_for(it, name=it.url), clock=lambda: NOW) for it in (one, two)
            ]
            for directory in directories:
                await directory.start()
            forged = sign(one.claims(), OTHER_RSA)
            of_one = Credentials(token=sign(one.claims()))
            assert [directory.claims(of_one) for directory in directories] == [True, False]
            assert [directory.claims(Credentials(token=forged)) for directory in directories] == [True, False]
            with pytest.raises(LoginRefusedError) as refused:
                await identified(directories[0], forged)
            assert refused.value.reason is Reason.UNKNOWN_KEY
            with pytest.raises(LoginRefusedError) as refused:
                await identified(directories[1], forged)
            assert refused.value.reason is Reason.CREDENTIALS_MALFORMED
            for directory in directories:
                await directory.close()

    asyncio.run(run())


def test_claims_is_a_look_at_the_issuer_alone() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        asked = len(issuer.asked)
        token = sign(issuer.claims(), header={"alg": "none", "kid": "x"})
        for credentials, expected in (
            (Credentials(token=token), True),
            (Credentials(password=token), True),
            (Credentials(token=json.dumps({"id_token": token})), True),
            (Credentials(user=token), False),
            (Credentials(token=sign(issuer.claims(iss=issuer.url + "/"))), False),
            (Credentials(token=sign(issuer.claims(x="x" * 64_000))), False),
            (Credentials(), False),
            (Credentials(user="alice", password="secret"), False),
        ):
            assert directory.claims(credentials) is expected
        assert len(issuer.asked) == asked

    tell(story)


def test_a_token_endpoints_answer_is_taken_and_its_doubles_are_not() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        token = sign(issuer.claims())
        end = asyncio.get_running_loop().time() + 5
        whole = Credentials(password=json.dumps({"id_token": token, "token_type": "Bearer"}))
        assert (await directory.identify(whole, now=NOW, deadline=end)).subject == "alice"
        twice = Credentials(token=f'{{"id_token": "{token}", "id_token": "{token}"}}')
        with pytest.raises(LoginRefusedError):
            await directory.identify(twice, now=NOW, deadline=end)
        with pytest.raises(LoginRefusedError):
            await directory.identify(Credentials(), now=NOW, deadline=end)

    tell(story)


def test_a_nonce_of_our_own_login() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        token = sign(issuer.claims(nonce="ours"))
        assert (await identified(directory, token)).subject == "alice"
        assert (await identified(directory, token, nonce="ours")).subject == "alice"
        with pytest.raises(LoginRefusedError):
            await identified(directory, token, nonce="theirs")

    tell(story)


# What is remembered


def test_a_token_that_was_verified_is_judged_again_but_not_verified_again() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        token = sign(issuer.claims(groups=["a"]))
        first = await identified(directory, token)
        assert len(directory._verified) == 1
        assert await identified(directory, token) == first
        with pytest.raises(LoginRefusedError) as refused:
            await identified(directory, token, now=NOW + 600)
        assert refused.value.reason is Reason.CREDENTIALS_EXPIRED
        assert len(directory._verified) == 0

    tell(story)


def test_a_token_that_was_refused_is_not_remembered() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        for claims in (issuer.claims(exp="never"), issuer.claims(aud="x"), issuer.claims(groups=["g"] * 100)):
            with pytest.raises(LoginRefusedError):
                await identified(directory, sign(claims))
        assert len(directory._verified) == 0

    tell(story)


def test_a_remembered_token_does_not_outlive_its_key() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        token = sign(issuer.claims())
        await identified(directory, token)
        await identified(directory, token)
        issuer.keys = [OTHER_RSA]
        await identified(directory, token, now=NOW + 59)  # within the freshness of the keys
        with pytest.raises(LoginRefusedError) as refused:
            await identified(directory, token, now=NOW + 61)
        assert refused.value.reason is Reason.UNKNOWN_KEY

    tell(story, keys=KeyTimes(fresh=60, least_fresh=60))


def test_a_remembered_token_does_not_outlive_the_longest_use_of_stale_keys() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        token = sign(issuer.claims(exp=NOW + 3600))
        await identified(directory, token)
        issuer.answers["/.well-known/openid-configuration"] = issuer.answers["/keys"] = b""
        assert (await identified(directory, token, now=NOW + 199)).subject == "alice"
        with pytest.raises(DirectoryDownError):
            await identified(directory, token, now=NOW + 201)

    tell(story, keys=KeyTimes(fresh=60, least_fresh=60, most_fresh=60, stale=200))


def test_the_memory_is_bounded_and_can_be_off() -> None:
    for most in (0, 3):

        async def story(issuer: Issuer, directory: OidcDirectory, most: int = most) -> None:
            for number in range(5):
                await identified(directory, sign(issuer.claims(jti=str(number))))
            await identified(directory, sign(issuer.claims(x="x" * 9000)))
            assert len(directory._verified) == most

        tell(story, remembered=most)


# Its issuer


def test_an_issuer_that_is_down_at_the_start_is_asked_again() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        assert directory.fault is not None
        token = sign(issuer.claims())
        with pytest.raises(DirectoryDownError):
            await identified(directory, token, now=NOW + 1)
        issuer.answers.clear()
        assert (await identified(directory, token, now=NOW + 6)).subject == "alice"
        assert directory.fault is None

    tell(story, Issuer(answers={"/.well-known/openid-configuration": b"HTTP/1.1 503 Busy\r\n\r\n"}))


def test_a_hung_issuer_costs_a_login_its_patience_and_no_more() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        loop = asyncio.get_running_loop()
        token = sign(issuer.claims(exp=NOW + 3600))
        issuer.hang = True
        begun = loop.time()
        # Stale keys would do: it goes on with them.
        assert (await identified(directory, token, now=NOW + 901)).subject == "alice"
        assert 0.05 < loop.time() - begun < 2
        # A key nobody knows would not: the answer comes before the deadline.
        unknown = sign(issuer.claims(), header={"alg": "RS256", "kid": "x"})
        deadline = loop.time() + 0.3
        with pytest.raises(DirectoryDownError):
            await directory.verify(unknown, now=NOW, deadline=deadline)
        assert loop.time() < deadline + 1  # it does not hang; a loaded machine may be late

    tell(story, keys=KeyTimes(patience=0.1))


def test_an_issuer_that_names_another_is_not_started() -> None:
    async def run() -> None:
        async with Issuer(discovery={"issuer": "https://evil.test"}).served() as issuer:
            directory = OidcDirectory(settings_for(issuer), clock=lambda: NOW)
            with pytest.raises(IssuerMismatchError):
                await directory.start()
            with pytest.raises(DirectoryDownError):
                await identified(directory, sign(issuer.claims()))

    asyncio.run(run())


def test_a_ca_file_that_is_none_is_a_fault_of_the_configuration() -> None:
    from callout.directories.fetching import FetchSettings

    async def run() -> None:
        settings = settings_for(
            Issuer(url="https://idp.test"), fetch=FetchSettings(ca_file="/nowhere/ca.pem")
        )
        with pytest.raises(FetchSettingsError):
            await OidcDirectory(settings).start()

    asyncio.run(run())


def test_claims_nobody_has_thought_of_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        await identified(directory, sign(issuer.claims(sid="s", risk_level="high")))
        assert directory.unaccounted == {"risk_level"}

    with caplog.at_level("INFO"):
        tell(story)
    assert "risk_level" in caplog.text
    assert "high" not in caplog.text


def test_no_token_is_in_a_log_or_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="accredit"):
        for make, _ in HOSTILE.values():

            async def story(issuer: Issuer, directory: OidcDirectory, make: Any = make) -> None:
                token = make(issuer)
                with pytest.raises(LoginRefusedError) as refused:
                    await identified(directory, token)
                for part in token.split("."):
                    assert len(part) < 40 or part not in str(refused.value)
                    assert len(part) < 40 or part not in caplog.text

            tell(story, Issuer([RSA, EC]))


def test_many_at_once_are_each_answered() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        tokens = [sign(issuer.claims(sub=f"user-{number}")) for number in range(50)]
        found = await asyncio.gather(
            *(identified(directory, token, now=NOW + 1000 - 500) for token in tokens)
        )
        assert [identity.subject for identity in found] == [f"user-{number}" for number in range(50)]
        assert len(issuer.asked) == 2

    tell(story)


def test_only_the_kinds_that_are_taken() -> None:
    def access(issuer: Issuer) -> str:
        return sign(issuer.claims(), header={"alg": "RS256", "kid": "rsa", "typ": "at+jwt"})

    assert isinstance(outcome(access), Identity)
    assert outcome(access, kinds=(TokenKind.ID,)) is Reason.TOKEN_KIND
    assert outcome(lambda it: sign(it.claims()), kinds=(TokenKind.ACCESS,)) is Reason.TOKEN_KIND
