"""Account tokens pushed, listed, looked up and deleted (enforcement spec §5).

A full or cache resolver stores what it is given and then tries to put it in force; that the
second may fail while the answer says 200 is the server's way, and so it is ours.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from broker.account import Account
from broker.core import Core
from broker.routing import Message
from broker.services.envelope import Envelope
from broker.sources import FolderResolver, StoreFullError
from broker.transforms import Mappings
from issuer.claims.account import AccountClaims
from issuer.claims.exchange import GenericClaims
from issuer.claims.quoting import quoted
from issuer.errors import AccreditError
from issuer.findings import validate
from issuer.findings.finding import Level
from issuer.keys.nkeys import Role, is_public
from issuer.tokens.envelope import Token, TokenKindError, TokenRoleError, decode, plain_claims

log = logging.getLogger("accredit.broker")

UPDATED: Final = "jwt updated"
SKIPPED: Final = "jwt update skipped"
FAILED: Final = "jwt update resulted in error"
NO_SUBJECT: Final = "subject is not set"
STRICT: Final = "operator requires issuer to be a signing key"


def _unknown_share(token: str) -> str | None:
    """A share whose kind is there and empty, which Go's decoder refuses where an absent one passes."""
    body = plain_claims(Token(token)).get("nats") or {}
    for name in ("export", "import"):
        shares = body.get(f"{name}s") or []
        if any(isinstance(each, dict) and each.get("type") == "" for each in shares):
            return "unknown export type"
    return None


def _mapping_fault(claims: AccountClaims) -> str | None:
    """The first mapping that cannot be put in force, in the server's words."""
    for source, words in Mappings.of(claims.nats.mappings).invalid.items():
        destinations = claims.nats.mappings[source]
        alone = (each for each in destinations if Mappings.of({source: (each,)}).invalid)
        shown = next(alone, destinations[0]).subject if destinations else ""
        return f"jwt validation failed - mapping {quoted(source)} -> {quoted(shown)}: {words}"
    return None


class ClaimsService:
    """The claims subjects of the system account."""

    def __init__(self, core: Core, envelope: Envelope) -> None:
        self._core = core
        self._envelope = envelope

    @property
    def _folder(self) -> FolderResolver | None:
        resolver = self._core.resolver
        return resolver if isinstance(resolver, FolderResolver) else None

    def listen(self, system: Account) -> None:
        core = self._core
        for subject in ("$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", "$SYS.ACCOUNT.*.CLAIMS.UPDATE"):
            core.subscribe(system, subject, self._update_one)
        folder = self._folder
        if folder is None:
            return
        core.subscribe(system, "$SYS.REQ.CLAIMS.UPDATE", self._update)
        core.subscribe(system, "$SYS.REQ.CLAIMS.LIST", self._list)
        core.subscribe(system, "$SYS.REQ.CLAIMS.DELETE", self._delete)
        if folder.full:
            core.subscribe(system, "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", self._look_up)
            core.subscribe(system, "$SYS.REQ.CLAIMS.PACK", self._pack, queue="responder")

    # --- update ------------------------------------------------------------------------------------

    def _update_one(self, message: Message) -> None:
        public = message.subject.split(".")[-3]
        # Headers are not looked for in this older form: they are taken for a part of the token.
        self._take(message, message.headers + message.payload, public)

    def _update(self, message: Message) -> None:
        self._take(message, message.payload, None)

    def _take(self, message: Message, body: bytes, named: str | None) -> None:
        if not body and named is not None:
            self._refuse(message, named, "jwt update error - request body is empty")
            return
        try:
            verified = decode(body.decode("utf-8", "replace"))
            claims = verified.claims
            if not isinstance(claims, AccountClaims):
                raise TokenKindError("not account claim")
        except AccreditError as error:
            self._unreadable(message, body, named, error)
            return
        unknown = _unknown_share(verified.token)
        if unknown is not None:
            self._refuse(message, named or "n/a", f"{FAILED} - {unknown}")
            return
        fault = self._fault(claims, named)
        if fault is not None:
            self._refuse(message, claims.sub, fault)
            return
        folder = self._folder
        if folder is None:
            self._apply_only(message, claims.sub, verified.token)
            return
        loaded = self._core.account(claims.sub) is not None
        if not folder.full and not loaded and folder.token_of(claims.sub) is None:
            self._accept(message, claims.sub, "jwt update cache skipped")
            return
        try:
            folder.store(claims.sub, verified.token)
        except StoreFullError as error:
            self._refuse(message, claims.sub, f"{FAILED} - {error.message}")
            return
        if loaded:
            try:
                self._core.update_account(verified.token)
            except AccreditError as error:
                log.error("Update for account %s resulted in error %s", claims.sub, error)  # noqa: TRY400
        self._accept(message, claims.sub, UPDATED if folder.full else "jwt updated cache")

    def _apply_only(self, message: Message, public: str, token: str) -> None:
        if self._core.account(public) is None:
            self._accept(message, public, SKIPPED)
            return
        try:
            self._core.update_account(token)
        except AccreditError:
            self._refuse(message, public, f"{FAILED} - account validation failed")
        else:
            self._accept(message, public, UPDATED)

    def _unreadable(self, message: Message, body: bytes, named: str | None, error: AccreditError) -> None:
        """The server's words for what it cannot read; it looks for a subject later than we do."""
        words = error.message
        if words.startswith("header ") and "JSON" in words:
            words = "unexpected end of JSON input"
        elif isinstance(error, TokenRoleError) and error.at == "/sub" and words != NO_SUBJECT:
            words = "not account claim"
        if words != NO_SUBJECT:
            self._refuse(message, named or "n/a", f"{FAILED} - {words}")
            return
        text = body.decode("ascii", "replace").strip()
        issuer = plain_claims(Token(text)).get("iss")
        trust = self._core.trust
        strict = trust is not None and any(
            each.nats.strict_signing_key_usage and issuer == each.sub for each in trust.operators
        )
        words = STRICT if strict else "invalid public key"
        self._envelope.answer(message, error={"code": 500, "description": f"{FAILED} - {words}"})

    def _fault(self, claims: AccountClaims, named: str | None) -> str | None:
        """What a server looks at before it stores; not who signed it, nor its time."""
        if named is not None and claims.sub != named:
            return f"{FAILED} - subject does not match jwt content"
        trust = self._core.trust
        if trust is not None and any(
            operator.nats.strict_signing_key_usage and claims.iss == operator.sub
            for operator in trust.operators
        ):
            return f"{FAILED} - {STRICT}"
        errors = [
            finding.message
            for finding in validate(claims, now=int(self._core.now()))
            if finding.level is Level.ERROR
        ]
        if not errors:
            return _mapping_fault(claims)
        return f"jwt validation failed - validation errors: [{' '.join(errors)}]"

    # --- the others --------------------------------------------------------------------------------

    def _look_up(self, message: Message) -> None:
        folder = self._folder
        if folder is not None and message.reply:
            token = folder.token_of(message.subject.split(".")[3]) or ""
            self._core.publish(message.account, message.reply, token.encode())

    def _list(self, message: Message) -> None:
        folder = self._folder
        if folder is not None and message.reply:
            body = {"data": folder.names(), "server": self._envelope.server()}
            self._core.publish(message.account, message.reply, msgspec.json.encode(body))

    def _pack(self, message: Message) -> None:
        folder = self._folder
        if folder is None or not message.reply:
            return
        if message.payload != folder.digest():
            for public in folder.names():
                line = f"{public}|{folder.token_of(public) or ''}".encode()
                self._core.publish(message.account, message.reply, line)
        self._core.publish(message.account, message.reply, b"")

    def _delete(self, message: Message) -> None:
        folder = self._folder
        if folder is None:
            return
        try:
            claims: GenericClaims = decode(message.payload.decode("utf-8", "replace"), GenericClaims).claims
        except AccreditError as error:
            self._not_deleted(message, "", error.message)
            return
        accounts = claims.nats.get("accounts")
        fault = self._delete_fault(claims, accounts, folder)
        if fault is not None:
            self._not_deleted(message, claims.sub, fault)
            return
        passed: list[str] = []
        for public in accounts if isinstance(accounts, list) else []:
            folder.delete(public)
            self._core.delete_account(public)
            passed.append(public)
        self._envelope.answer(message, data={"code": 200, "message": f"deleted {len(passed)} accounts"})

    def _delete_fault(self, claims: GenericClaims, accounts: object, folder: FolderResolver) -> str | None:
        trust = self._core.trust
        operator = trust.operators[0] if trust is not None and trust.operators else None
        keys = set() if operator is None else {*operator.nats.signing_keys}
        if operator is not None and not operator.nats.strict_signing_key_usage:
            keys.add(operator.sub)
        if not folder.allow_delete:
            return "delete must be enabled in server config"
        if claims.sub != claims.iss:
            return "not self signed"
        if claims.iss not in keys:
            return "not trusted"
        # They become names of files: nothing but a key may.
        if not isinstance(accounts, list) or not all(
            isinstance(each, str) and is_public(each, Role.ACCOUNT) for each in accounts
        ):
            return "malformed request"
        if trust is not None and trust.system_account in accounts:
            return "not allowed to delete system account"
        return None

    def _not_deleted(self, message: Message, subject: str, why: str) -> None:
        words = f"delete accounts request by {subject} failed - {why}"
        self._envelope.answer(message, error={"code": 500, "description": words})

    # --- answers -----------------------------------------------------------------------------------

    def _accept(self, message: Message, public: str, words: str) -> None:
        self._envelope.answer(message, data={"account": public, "code": 200, "message": words})

    def _refuse(self, message: Message, public: str, words: str) -> None:
        log.error("account update of %s refused: %s", public, words)
        said: dict[str, Any] = {"account": public, "code": 500, "description": words}
        self._envelope.answer(message, error=said)
