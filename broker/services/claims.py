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
from broker.services.lookups import Lookups
from broker.sources import FolderResolver, StoreFullError
from broker.transforms import Mappings
from issuer.claims.account import AccountClaims
from issuer.claims.fields import Envelope as Claims
from issuer.claims.quoting import quoted
from issuer.errors import AccreditError
from issuer.findings import validate
from issuer.findings.finding import Level
from issuer.keys.nkeys import Role, is_public
from issuer.tokens.envelope import (
    Token,
    TokenKindError,
    TokenRoleError,
    TokenSignatureError,
    decode,
    plain_claims,
)

log = logging.getLogger("accredit.broker")

UPDATED: Final = "jwt updated"
SKIPPED: Final = "jwt update skipped"
FAILED: Final = "jwt update resulted in error"
FAILED_CACHE: Final = "jwt update cache resulted in error"
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
        return f"mapping {quoted(source)} -> {quoted(shown)}: {words}"
    return None


def _invalid(claims: AccountClaims, now: int) -> str | None:
    """What makes the claims themselves unfit, in the server's words."""
    errors = [finding.message for finding in validate(claims, now=now) if finding.level is Level.ERROR]
    return f"validation errors: [{' '.join(errors)}]" if errors else _mapping_fault(claims)


class ClaimsService:
    """The claims subjects of the system account."""

    def __init__(self, core: Core, envelope: Envelope) -> None:
        self._core = core
        self._envelope = envelope
        self._lookups = Lookups(core)

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
        folder.elsewhere = self._lookups.ask
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
        folder = self._folder
        if folder is None and not body and named is not None:
            self._refuse(message, named, "jwt update error - request body is empty")
            return
        # A full store does not say whose token it could not read; the others say whom it was sent to.
        nobody = "n/a" if named is None or (folder is not None and folder.full) else named
        try:
            verified = decode(body.decode("utf-8", "replace"))
            claims = verified.claims
            if not isinstance(claims, AccountClaims):
                raise TokenKindError("not account claim")
        except AccreditError as error:
            self._unreadable(message, body, nobody, error)
            return
        unknown = _unknown_share(verified.token)
        if unknown is not None:
            self._refuse(message, nobody, f"{self._failed} - {unknown}")
            return
        if folder is None:
            self._apply_only(message, claims, named, verified.token)
        elif folder.full:
            self._keep(message, claims, named, verified.token, folder)
        else:
            self._keep_known(message, claims, named, verified.token, folder)

    def _keep(
        self, message: Message, claims: AccountClaims, named: str | None, token: str, folder: FolderResolver
    ) -> None:
        invalid = _invalid(claims, int(self._core.now()))
        mismatch = self._mismatch(claims, named)
        # Where it was sent to one account, servers look at what it says first.
        if invalid is not None and (named is not None or mismatch is None):
            self._refuse(message, claims.sub, f"jwt validation failed - {invalid}")
        elif mismatch is not None:
            self._refuse(message, named or claims.sub, f"{FAILED} - {mismatch}")
        else:
            self._store(message, claims.sub, token, folder, UPDATED)

    def _keep_known(
        self, message: Message, claims: AccountClaims, named: str | None, token: str, folder: FolderResolver
    ) -> None:
        """A cache keeps what it uses: tokens of accounts that are loaded."""
        mismatch = self._mismatch(claims, named)
        if mismatch is not None:
            self._refuse(message, named or claims.sub, f"{FAILED_CACHE} - {mismatch}")
        elif self._core.account(claims.sub) is None:
            self._accept(message, claims.sub, "jwt update cache skipped")
        elif (invalid := _invalid(claims, int(self._core.now()))) is not None:
            self._refuse(message, claims.sub, f"jwt update cache validation failed - {invalid}")
        else:
            self._store(message, claims.sub, token, folder, "jwt updated cache")

    def _store(self, message: Message, public: str, token: str, folder: FolderResolver, words: str) -> None:
        try:
            folder.store(public, token)
        except StoreFullError as error:
            self._refuse(message, public, f"{self._failed} - {error.message}")
            return
        if self._core.account(public) is not None:
            try:
                self._core.update_account(token)
            except AccreditError as error:
                log.error("Update for account %s resulted in error %s", public, error)  # noqa: TRY400
        self._accept(message, public, words)

    def _apply_only(self, message: Message, claims: AccountClaims, named: str | None, token: str) -> None:
        mismatch = self._mismatch(claims, named)
        if mismatch is not None:
            self._refuse(message, named or claims.sub, f"{FAILED} - {mismatch}")
            return
        if self._core.account(claims.sub) is None:
            self._accept(message, claims.sub, SKIPPED)
            return
        try:
            self._core.update_account(token)
        except AccreditError:
            self._refuse(message, claims.sub, f"{FAILED} - account validation failed")
        else:
            self._accept(message, claims.sub, UPDATED)

    def _unreadable(self, message: Message, body: bytes, nobody: str, error: AccreditError) -> None:
        """The server's words for what it cannot read; it looks for a subject later than we do."""
        words = error.message
        if words.startswith("header ") and "JSON" in words:
            words = "unexpected end of JSON input"
        elif isinstance(error, TokenRoleError) and error.at == "/sub" and words != NO_SUBJECT:
            words = "not account claim"
        elif isinstance(error, TokenSignatureError):
            # What it says is read before who signed it is looked at.
            words = _unknown_share(body.decode("ascii", "replace").strip()) or words
        if words != NO_SUBJECT:
            self._refuse(message, nobody, f"{self._failed} - {words}")
            return
        text = body.decode("ascii", "replace").strip()
        issuer = plain_claims(Token(text)).get("iss")
        words = STRICT if self._strict_about(issuer) else "invalid public key"
        self._envelope.answer(message, error={"code": 500, "description": f"{self._failed} - {words}"})

    @property
    def _failed(self) -> str:
        folder = self._folder
        return FAILED if folder is None or folder.full else FAILED_CACHE

    def _strict_about(self, issuer: object) -> bool:
        trust = self._core.trust
        return trust is not None and any(
            each.nats.strict_signing_key_usage and issuer == each.sub for each in trust.operators
        )

    def _mismatch(self, claims: AccountClaims, named: str | None) -> str | None:
        """What a server looks at beside the claims themselves; not who signed it, nor its time."""
        if named is not None and claims.sub != named:
            return "subject does not match jwt content"
        return STRICT if self._strict_about(claims.iss) else None

    # --- the others --------------------------------------------------------------------------------

    def _look_up(self, message: Message) -> None:
        folder = self._folder
        public = message.subject.split(".")[3]
        # A server does not say of what is no key that it has no token of it.
        wanted = message.reply and not self._lookups.ours(message.reply)
        if folder is not None and wanted and is_public(public, Role.ACCOUNT):
            token = folder.token_of(public) or ""
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
            verified = decode(message.payload.decode("utf-8", "replace"))
        except AccreditError as error:
            self._not_deleted(message, "", error.message)
            return
        claims = verified.claims
        # Of any kind: what counts is who signed it, and the list.
        accounts = (plain_claims(verified.token).get("nats") or {}).get("accounts")
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

    def _delete_fault(self, claims: Claims, accounts: object, folder: FolderResolver) -> str | None:
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
        if not isinstance(accounts, list):
            return "malformed request"
        for each in accounts:
            # They become names of files: nothing but a key may.
            if not isinstance(each, str) or not is_public(each, Role.ACCOUNT):
                return "malformed request"
            if trust is not None and each == trust.system_account:
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
