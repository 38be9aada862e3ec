"""Whether an account may import a subject: exports and activations (enforcement spec §4.1).

Pure: the clock comes in as `now`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from broker.transforms import within
from issuer.claims.account import AccountClaims, Export, Import, ShareKind, cut_off
from issuer.claims.exchange import ActivationClaims
from issuer.errors import AccreditError
from issuer.findings import sharing as sharing_rules
from issuer.findings.finding import blocking
from issuer.keys.nkeys import PublicKey
from issuer.tokens.chain import activation_trusted
from issuer.tokens.envelope import Token, Verified, decode

Decode = Callable[[str], Verified[ActivationClaims]]

DEFAULT_THRESHOLD_NS: Final = 120_000_000_000
"""How long an answer is waited for where the export does not say."""

_MOST_READ: Final = 1024
# By identity, as claims cannot be hashed; each holds on to its claims, so none is taken for another.
_READ: Final[dict[int, Exports]] = {}


def decode_activation(text: str) -> Verified[ActivationClaims]:
    return decode(text, ActivationClaims)


@dataclass(frozen=True, slots=True)
class Leave:
    """Whether an import may be, why, and the second from which it may no longer."""

    granted: bool
    why: str
    export: Export | None = None
    expires: int | None = None


class Exports:
    """What one account offers, as it stands in its claims."""

    __slots__ = ("_by_subject", "_wide", "claims")

    def __init__(self, claims: AccountClaims) -> None:
        self.claims = claims
        self._by_subject: dict[ShareKind, dict[str, Export]] = {"stream": {}, "service": {}}
        for export in claims.nats.exports:
            if export.type and _position_holds(export):
                # Of two with one subject, which no valid claims have, the first counts.
                self._by_subject[export.type].setdefault(str(export.subject), export)
        self._wide = {
            kind: tuple((text.split("."), export) for text, export in offered.items() if _takes_others(text))
            for kind, offered in self._by_subject.items()
        }

    def offering(self, kind: ShareKind, subject: str) -> tuple[Export, ...]:
        """The exports that take in a subject: the one with that very subject, else all that are wider."""
        if not kind:
            return ()
        exact = self._by_subject[kind].get(subject)
        if exact is not None:
            return (exact,)
        tokens = subject.split(".")
        return tuple(export for pattern, export in self._wide[kind] if within(tokens, pattern))

    def takes_in(self, kind: ShareKind, subject: str) -> bool:
        return bool(self.offering(kind, subject))

    def leave(
        self,
        importer: PublicKey,
        entry: Import,
        subject: str,
        *,
        strict: bool,
        now: int,
        read: Decode = decode_activation,
    ) -> Leave:
        """Whether `importer` may import `subject` of this account."""
        offering = self.offering(entry.type, subject)
        if not offering:
            return Leave(granted=False, why=f"no {entry.type or 'such'} export takes in {subject}")
        expires: int | None = None
        # Where several fit, nats-server goes by one that changes from start to start. Only what
        # it grants whichever it takes is granted here.
        for export in offering:
            leave = self._by(export, importer, entry, subject, strict=strict, now=now, read=read)
            if not leave.granted:
                return leave
            if leave.expires is not None:
                expires = min(leave.expires, expires or leave.expires)
        return Leave(granted=True, why=leave.why, export=offering[0], expires=expires)

    def _by(
        self,
        export: Export,
        importer: PublicKey,
        entry: Import,
        subject: str,
        *,
        strict: bool,
        now: int,
        read: Decode,
    ) -> Leave:
        position = export.account_token_position
        if position:
            tokens = subject.split(".")
            # An import of the export's own wildcards names nobody, and is refused like a stranger's.
            named = tokens[position - 1] if subject != export.subject else ""
            if named == importer:
                return Leave(granted=True, why=f"token {position} is the importer's key", export=export)
            why = f"token {position} of {subject} is not the importer's key"
            return Leave(granted=False, why=why, export=export)
        if not export.token_req:
            return Leave(granted=True, why=f"{export.subject} is exported to everybody", export=export)
        if not entry.token:
            return Leave(granted=False, why=f"{export.subject} needs an activation", export=export)
        return self._activated(export, importer, entry, strict=strict, now=now, read=read)

    def _activated(
        self, export: Export, importer: PublicKey, entry: Import, *, strict: bool, now: int, read: Decode
    ) -> Leave:
        def refused(why: str) -> Leave:
            return Leave(granted=False, why=why, export=export)

        findings = tuple(sharing_rules.imports((entry,), importer, ""))
        if blocking(findings, include_time=True):
            return refused(next(each.message for each in findings if blocking((each,), include_time=True)))
        try:
            activation = read(entry.token)
        except AccreditError as error:
            return refused(f"the activation cannot be read: {error.message}")
        exporter = Verified(Token(""), self.claims)  # the claims in force: read and believed before
        proof = activation_trusted(exporter, activation, strict=strict)
        if proof.refusal is not None:
            return refused(proof.refusal.words)
        claims = activation.claims
        if claims.exp and claims.exp <= now:
            return refused("the activation is expired")
        if claims.nbf and claims.nbf > now:
            return refused("the activation is not yet valid")
        if cut_off(export.revocations, claims.sub, claims.iat):
            return refused("the activation is revoked")
        return Leave(granted=True, why="the activation fits", export=export, expires=claims.exp or None)


def exports_of(claims: AccountClaims) -> Exports:
    """The exports of these claims, read once however many accounts import from them."""
    known = _READ.get(id(claims))
    if known is None or known.claims is not claims:
        if len(_READ) >= _MOST_READ:
            del _READ[next(iter(_READ))]
        known = _READ[id(claims)] = Exports(claims)
    return known


def _takes_others(pattern: str) -> bool:
    return any(token[:1] in ("*", ">") for token in pattern.split("."))


def _position_holds(export: Export) -> bool:
    position = export.account_token_position
    tokens = export.subject.split(".")
    return not position or (position <= len(tokens) and tokens[position - 1] == "*")
