"""Encoding and decoding one user token beside bare libsodium, and beside the Go library."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import nacl.bindings

from issuer.authority.changes import PermissionChange, with_permissions
from issuer.claims.user import UserClaims, new_user
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import decode, encode
from issuer.tokens.signer import SeedSigner
from tests.bench.measure import Row, at_least, skipped, speed_ratio
from tests.peers import PeerMissing, go_bench

NOW = 1_700_000_000


def rows() -> Iterator[Row]:
    account = Seed.from_raw(Role.ACCOUNT, bytes([3]) * 32)
    user = Seed.from_raw(Role.USER, bytes([6]) * 32)
    signer = SeedSigner(account)
    claims = new_user(user.public, "meter-000001")
    token = encode(claims, signer, now=NOW).token
    message = token.rpartition(".")[0].encode()
    public, secret = nacl.bindings.crypto_sign_seed_keypair(account.raw)
    signed = nacl.bindings.crypto_sign(message, secret)

    ratio, bare, encode_us = speed_ratio(
        lambda: nacl.bindings.crypto_sign(message, secret), lambda: encode(claims, signer, now=NOW)
    )
    yield at_least(
        "encode + sign a user / bare crypto_sign", ratio, 0.70, f"{encode_us:.1f} µs beside {bare:.1f} µs"
    )
    ratio, bare, decode_us = speed_ratio(
        lambda: nacl.bindings.crypto_sign_open(signed, public), lambda: decode(token, UserClaims), loops=1000
    )
    yield at_least(
        "decode + verify a user / bare crypto_sign_open",
        ratio,
        0.80,
        f"{decode_us:.1f} µs beside {bare:.1f} µs",
    )
    # Beside Go the user is the one that its bench makes: with subjects allowed.
    allowed = PermissionChange(allow_pub=("orders.>", "metrics.*.in"), allow_sub=("_INBOX.>",))
    full = msgspec.structs.replace(claims, nats=with_permissions(claims.nats, allowed))
    full_token = encode(full, signer, now=NOW).token
    _, _, encode_us = speed_ratio(
        lambda: nacl.bindings.crypto_sign(message, secret), lambda: encode(full, signer, now=NOW)
    )
    _, _, decode_us = speed_ratio(
        lambda: nacl.bindings.crypto_sign_open(signed, public),
        lambda: decode(full_token, UserClaims),
        loops=1000,
    )
    names = ("encode a user / Go Encode", "decode a user / Go DecodeUserClaims")
    try:
        go = go_bench(20_000)
    except PeerMissing as missing:
        yield skipped(names[0], ">= 1.8", str(missing))
        yield skipped(names[1], ">= 0.9", str(missing))
        return
    for name, peer, ours, target in (
        (names[0], go["encode_ns"] / 1000, encode_us, 1.8),
        (names[1], go["decode_ns"] / 1000, decode_us, 0.9),
    ):
        yield at_least(name, peer / ours, target, f"{ours:.1f} µs beside Go's {peer:.1f} µs")
