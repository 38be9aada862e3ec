"""Whether an import may be, and why not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from broker.exporting import Exports, Leave, exports_of
from issuer.claims.account import AccountClaims, Export, Import, ShareKind, new_account
from issuer.claims.exchange import new_activation
from issuer.claims.fields import EVERYONE
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner

NOW = 1_800_000_000
EXPORTER, SIGNING, IMPORTER, STRANGER = (Seed.from_raw(Role.ACCOUNT, bytes([n]) * 32) for n in (1, 2, 3, 4))


def claims(*exports: Export) -> AccountClaims:
    base = new_account(EXPORTER.public, "E")
    body = replace(base.nats, exports=exports, signing_keys=(SIGNING.public,))
    return replace(base, nats=body)


def export(subject: str, kind: ShareKind = "stream", **facts: object) -> Export:
    return replace(Export(subject=Subject(subject), type=kind), **facts)


def leave(offered: Exports, subject: str, *, token: str = "", strict: bool = False, now: int = NOW) -> Leave:
    entry = Import(subject=Subject(subject), account=EXPORTER.public, type="stream", token=token)
    return offered.leave(IMPORTER.public, entry, subject, strict=strict, now=now)


def activation(
    by: Seed = EXPORTER,
    *,
    subject: str = "a",
    to: Seed = IMPORTER,
    named: Seed | None = None,
    **facts: object,
) -> str:
    exporter = named.public if named else ""
    made = new_activation(to.public, Subject(subject), "stream", exporter=exporter)
    return encode(replace(made, **facts), SeedSigner(by), now=NOW).token


PRIVATE = Exports(claims(export("a", token_req=True)))
FOREIGN = 'activation token doesn\'t match account for import "a"'
ANOTHER = 'activation token doesn\'t match account it is being included in, "a"'
SUBJECT = 'activation token import subject "b" doesn\'t match import "a"'
STRICT = "activation is signed by the identity key, which strict usage forbids"


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "a needs an activation"),
        ("x.y.z", 'import "a" contains an invalid activation token'),
        (activation(), ""),
        (activation(named=EXPORTER), ""),
        (activation(SIGNING, named=EXPORTER), ""),
        (activation(SIGNING), FOREIGN),
        (activation(STRANGER), FOREIGN),
        (activation(STRANGER, named=EXPORTER), "activation is not signed by a key of the exporter"),
        (activation(EXPORTER, named=STRANGER), "activation comes from another account"),
        (activation(to=STRANGER), ANOTHER),
        (activation(subject="b"), SUBJECT),
        (activation(subject="*"), ""),
        (activation(exp=NOW), "the activation is expired"),
        (activation(exp=NOW + 1), ""),
        (activation(nbf=NOW + 1), "the activation is not yet valid"),
        (activation(nbf=NOW), ""),
    ],
)
def test_an_activation(token: str, why: str) -> None:
    answer = leave(PRIVATE, "a", token=token)
    assert (answer.granted, answer.why) == (not why, why or "the activation fits")


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (activation(named=EXPORTER), STRICT),
        (activation(), "the activation fits"),
        (activation(SIGNING, named=EXPORTER), "the activation fits"),
    ],
)
def test_strict_use_of_signing_keys(token: str, why: str) -> None:
    assert leave(PRIVATE, "a", token=token, strict=True).why == why


@pytest.mark.parametrize(
    ("revocations", "granted"),
    [
        ({IMPORTER.public: NOW}, False),
        ({IMPORTER.public: NOW - 1}, True),
        ({EVERYONE: NOW}, False),
        ({EVERYONE: NOW - 1, STRANGER.public: NOW}, True),
    ],
)
def test_a_revoked_activation(revocations: dict[str, int], granted: bool) -> None:
    offered = Exports(claims(export("a", token_req=True, revocations=revocations)))
    assert leave(offered, "a", token=activation()).granted is granted


@pytest.mark.parametrize(
    ("exported", "position", "subject", "granted"),
    [
        ("a.*.>", 2, "a.KEY.>", True),
        ("a.*.>", 2, "a.KEY.x", True),
        ("a.*.>", 2, "a.other.x", False),
        ("a.*.>", 2, "a.*.>", False),
        ("a.*", 2, "a.*", False),
        ("a.*", 2, "a.KEY", True),
        # Not where the wildcard is: no export at all.
        ("a.*", 1, "a.KEY", False),
        ("a.*", 3, "a.KEY", False),
    ],
)
def test_the_place_of_the_key(exported: str, position: int, subject: str, granted: bool) -> None:
    offered = Exports(claims(export(exported, account_token_position=position)))
    assert leave(offered, subject.replace("KEY", IMPORTER.public)).granted is granted


def test_when_it_ends() -> None:
    exports = (export("a.*.c", token_req=True), export("a.b.*", token_req=True), export("a.>.x"))
    token = activation(subject="a.>", exp=NOW + 9)
    answer = leave(Exports(claims(*exports)), "a.b.c", token=token)
    assert (answer.granted, answer.expires) == (True, NOW + 9)


def test_what_takes_in_what() -> None:
    offered = Exports(claims(export("a"), export("a.*"), export("a.b.>"), export("a", "service")))
    found = {
        s: [e.subject for e in offered.offering("stream", s)]
        for s in ("a", "a.x", "a.*", "a.b", "a.b.c", "a.>")
    }
    assert found == {
        "a": ["a"],
        "a.x": ["a.*"],
        "a.*": ["a.*"],
        "a.b": ["a.*"],
        "a.b.c": ["a.b.>"],
        "a.>": [],
    }
    assert offered.takes_in("service", "a")
    assert not offered.takes_in("service", "a.x")


def test_claims_are_read_once() -> None:
    one, same = claims(export("a")), claims(export("a"))
    assert exports_of(one) is exports_of(one)
    assert exports_of(one) is not exports_of(same)
