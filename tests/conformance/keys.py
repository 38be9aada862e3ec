"""Keys and tokens of a case: from its labels, one salt and one beginning, always the same.

Tokens are put together here and not by `issuer.tokens`: most of a case's tokens are such as ours
would refuse to write.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from typing import Any, Final

from issuer.keys.nkeys import PublicKey, Role, Seed
from tests.conformance.model import Token

_LABEL: Final = re.compile(r"(?<!\{)\{([A-Za-z][A-Za-z0-9.]*)\}(?!\})")
_HEADERS: Final = {
    "lower-header": {"typ": "jwt", "alg": "ED25519-NKEY"},
    "first": {"typ": "jwt", "alg": "ed25519"},
    "old-algorithm": {"typ": "JWT", "alg": "ed25519"},
    "unsigned": {"typ": "JWT", "alg": "none"},
}
_SOUND: Final = {"typ": "JWT", "alg": "ed25519-nkey"}
_KINDS: Final = {Role.OPERATOR: "operator", Role.ACCOUNT: "account", Role.USER: "user"}
# The same for all cases, because the servers are.
_SHARED: Final = ("O", "OS", "SYS", "SYS.k", "sys", "HOST", "guest")
_SIGNERS: Final = {"O", "OS"}


def role_of_label(label: str) -> Role:
    if label.startswith("O"):
        return Role.OPERATOR
    return Role.USER if label[0].islower() else Role.ACCOUNT


def encode64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def plain_token(text: str) -> dict[str, Any]:
    """What a token says, good or bad."""
    payload = text.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def _derived(label: str, salt: str) -> Seed:
    return Seed.from_raw(role_of_label(label), hashlib.sha256(f"{salt}|{label}".encode()).digest())


SHARED: Final = {label: _derived(label, "shared") for label in _SHARED}


class Keys:
    """The keys of one play; `begun` is the second its times count from."""

    def __init__(self, salt: str, begun: int) -> None:
        self.begun = begun
        self._salt = salt
        self._seeds: dict[str, Seed] = dict(SHARED)
        self._names = {seed.public: f"{{{label}}}" for label, seed in SHARED.items()}
        self._learnt: dict[str, PublicKey] = {}

    def seed(self, label: str) -> Seed:
        seed = self._seeds.get(label)
        if seed is None:
            seed = self._seeds[label] = _derived(label, self._salt)
            self._names[seed.public] = f"{{{label}}}"
        return seed

    def public(self, label: str) -> PublicKey:
        return self._learnt.get(label) or self.seed(label).public

    def learn(self, label: str, public: PublicKey) -> None:
        """A key that somebody else made."""
        self._learnt[label] = public
        self._names[public] = f"{{{label}}}"

    def text(self, text: str) -> str:
        """With the keys its labels stand for."""
        if "{" not in text:
            return text
        return _LABEL.sub(lambda match: self.public(match[1]), text)

    def labelled(self, text: str) -> str:
        """With labels for its keys."""
        for public, label in self._names.items():
            if public in text:
                text = text.replace(public, label)
        return text

    def token(self, token: Token) -> str:
        """The text of a token."""
        if token.form == "garbage":
            return "eyJ0eXAi.notatoken.x"
        signer = self.seed(token.signer)
        claims = self._claims(token, signer)
        header = encode64(_compact(_HEADERS.get(token.form, _SOUND)))
        payload = encode64(_compact(claims))
        message = payload if token.form == "first" else f"{header}.{payload}"
        signing = self.seed(token.signer + "x") if token.form == "foreign-signature" else signer
        signature = signing.sign(message.encode())
        if token.form == "broken-signature":
            signature = bytes([signature[0] ^ 1]) + signature[1:]
        end = {"two-chunks": "", "padded": f".{encode64(signature)}=="}.get(
            token.form, f".{encode64(signature)}"
        )
        return f"{header}.{payload}{end}"

    def _claims(self, token: Token, signer: Seed) -> dict[str, Any]:
        kind = _KINDS.get(role_of_label(token.sub), "user")
        body = {"type": kind, "version": 2, **self.resolved(token.nats)}
        claims: dict[str, Any] = {"jti": "J", "iss": signer.public, "sub": self.public(token.sub)}
        if token.name:
            claims["name"] = token.name
        for name in ("iat", "exp", "nbf"):
            offset = getattr(token, name)
            if offset is not None:
                claims[name] = self.begun + offset
        claims["nats"] = body
        if token.form == "first":
            claims["type"] = body.pop("type")
            body.pop("version")
        claims |= self.resolved(token.members)
        # Servers compare ids to see whether a claim is new.
        claims["jti"] = hashlib.sha256(_compact(claims)).hexdigest()[:26].upper()
        return {name: value for name, value in claims.items() if value is not None}

    def resolved(self, value: Any) -> Any:
        """Plain JSON of what a case says."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.resolved(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        if "$time" in value:
            return self.begun + value["$time"]
        if "$clock" in value:
            return time.strftime("%H:%M:%S", time.gmtime(self.begun + value["$clock"]))
        if "$token" in value:
            return self.token(Token(**value["$token"]))
        return {self.text(name): self.resolved(inner) for name, inner in value.items()}

    def deletion(self, accounts: list[str], signer: str) -> str:
        """A request to forget accounts, as the resolver wants it."""
        nats = {"accounts": [f"{{{label}}}" for label in accounts], "type": "generic"}
        return self.token(Token(signer=signer, sub=signer, nats=nats))


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
