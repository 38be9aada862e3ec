"""What one connection may publish, subscribe and be sent, ready to be asked (enforcement spec §3.1-3.4)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from broker.enforcement.matching import PLAIN, Patterns, queue_fits
from issuer.claims import fields
from issuer.claims.account import AccountClaims, Scope, signing_key
from issuer.claims.user import UserClaims
from issuer.subjects import Subject
from issuer.tokens.envelope import Verified, plain_claims, written_by_us

DEFAULT_RESPONSES: Final = 1
DEFAULT_RESPONSE_TTL_NS: Final = 120_000_000_000
USER_TOKEN: Final = "user token"  # noqa: S105  the name of a source
_BLANK: Final = frozenset(" \t\n\r\f")


class Spoken(Protocol):
    """Permissions as claims say them: of a user, a template, an account's defaults."""

    @property
    def pub(self) -> fields.Permission: ...
    @property
    def sub(self) -> fields.Permission: ...
    @property
    def resp(self) -> fields.ResponsePermission | None: ...


class ResponseRule(msgspec.Struct, frozen=True):
    """How often and for how many nanoseconds a request may be answered; negative is without end."""

    max: int
    ttl_ns: int


class Permissions:
    """What claims say about subjects. Values: equal claims give one and the same object."""

    __slots__ = (
        "_publish_allow",
        "_publish_deny",
        "_subscribe_allow",
        "_subscribe_deny",
        "field",
        "pub",
        "response",
        "restricts_publish",
        "restricts_subscribe",
        "source",
        "sub",
    )

    def __init__(
        self,
        pub: fields.Permission,
        sub: fields.Permission,
        response: ResponseRule | None,
        *,
        source: str,
        field: str,
    ) -> None:
        self.pub = pub
        self.sub = sub
        self.response = response
        """With the defaults filled in."""
        self.source = source
        """Where they come from, in words."""
        self.field = field
        """Where they stand: the token, and the pointer to the object that holds `pub` and `sub`."""
        self.restricts_publish = bool(pub.allow or pub.deny) or response is not None
        self.restricts_subscribe = bool(sub.allow or sub.deny)
        # The trees are made when first asked: most connections use a part of what they may.
        self._publish_allow: Patterns | None = None
        self._publish_deny: Patterns | None = None
        self._subscribe_allow: Patterns | None = None
        self._subscribe_deny: Patterns | None = None

    def __repr__(self) -> str:
        return f"Permissions({self.source}, pub={self.pub}, sub={self.sub}, response={self.response})"

    @classmethod
    def of(cls, spoken: Spoken, *, source: str, field: str = "") -> Permissions:
        resp = spoken.resp
        rule = None if resp is None else (resp.max or DEFAULT_RESPONSES, resp.ttl or DEFAULT_RESPONSE_TTL_NS)
        pub, sub = spoken.pub, spoken.sub
        return _compiled(pub.allow, pub.deny, sub.allow, sub.deny, rule, source, field)

    def denying(self, *subjects: str) -> Permissions:
        """The same, but for publishing to these subjects."""
        more = tuple(Subject(subject) for subject in subjects if subject not in self.pub.deny)
        rule = None if self.response is None else (self.response.max, self.response.ttl_ns)
        deny = (*self.pub.deny, *more)
        return _compiled(self.pub.allow, deny, self.sub.allow, self.sub.deny, rule, self.source, self.field)

    def plain(self) -> fields.Permissions:
        """As claims would say them, defaults filled in."""
        rule = self.response
        resp = None if rule is None else fields.ResponsePermission(max=rule.max, ttl=rule.ttl_ns)
        return fields.Permissions(pub=self.pub, sub=self.sub, resp=resp)

    def empty(self) -> bool:
        """Whether they restrict nothing."""
        return not (self.restricts_publish or self.restricts_subscribe)

    # --- publishing --------------------------------------------------------------------------------

    def can_publish(self, subject: str) -> bool:
        """Whether the lists let it through; a remembered reply may override a no (spec §3.2, §3.4)."""
        return self.publish_allowed(subject) and not self.publish_denied(subject)

    def publish_allowed(self, subject: str) -> bool:
        """The allow list's answer. An empty one allows everything; beside a response permission, nothing."""
        if not self.pub.allow:
            return self.response is None
        if self._publish_allow is None:
            self._publish_allow = Patterns(_publish_entries(self.pub.allow))
        return self._publish_allow.matches(subject)

    def publish_denied(self, subject: str) -> bool:
        if not self.pub.deny:
            return False
        if self._publish_deny is None:
            self._publish_deny = Patterns(_publish_denials(self.pub.deny))
        return self._publish_deny.matches(subject)

    # --- subscribing -------------------------------------------------------------------------------

    def can_subscribe(self, subject: str, queue: str = "") -> bool:
        """Whether it may subscribe; wildcards in `subject` are plain tokens here (spec §3.3)."""
        return self.subscribe_allowed(subject, queue) and not self.subscribe_denied(subject, queue)

    def subscribe_allowed(self, subject: str, queue: str = "") -> bool:
        if not self.sub.allow:
            return True
        if self._subscribe_allow is None:
            self._subscribe_allow = Patterns(_subscribe_entries(self.sub.allow))
        labels = self._subscribe_allow.labels(subject)
        queues = [label for label in labels if label]
        if queue and queues:
            return queue_fits(queue, queues)
        return PLAIN in labels

    def subscribe_denied(self, subject: str, queue: str = "") -> bool:
        """The deny list's answer for a subscription, and for a message about to be delivered to one."""
        if not self.sub.deny:
            return False
        labels = self._denials().labels(subject)
        if not labels:
            return False
        return PLAIN in labels or (bool(queue) and queue_fits(queue, labels))

    def filters(self, subject: str, queue: str = "") -> bool:
        """Whether messages for an accepted subscription must each be asked about."""
        if not self.sub.deny or not (queue or _wildcards(subject)):
            return False
        return self._denials().collide(subject)

    def may_deliver(self, subject: str, queue: str = "") -> bool:
        """Whether a message may go to a subscription that `filters`; the allow list is not asked again."""
        return not self.subscribe_denied(subject, queue)

    def _denials(self) -> Patterns:
        if self._subscribe_deny is None:
            self._subscribe_deny = Patterns(_subscribe_entries(self.sub.deny))
        return self._subscribe_deny


@lru_cache(maxsize=4096)
def _compiled(
    pub_allow: tuple[Subject, ...],
    pub_deny: tuple[Subject, ...],
    sub_allow: tuple[Subject, ...],
    sub_deny: tuple[Subject, ...],
    rule: tuple[int, int] | None,
    source: str,
    field: str,
) -> Permissions:
    # Thousands of connections say the same: they share one object and its trees.
    return Permissions(
        fields.Permission(allow=pub_allow, deny=pub_deny),
        fields.Permission(allow=sub_allow, deny=sub_deny),
        None if rule is None else ResponseRule(*rule),
        source=source,
        field=field,
    )


EVERYTHING: Final = Permissions.of(fields.Permissions(), source="no permissions set")


def permissions_of(user: UserClaims, account: AccountClaims, *, scope: Scope | None = None) -> Permissions:
    """What holds for a user, its role's template applied already: its own, or the defaults (spec §3.1)."""
    body = user.nats
    if body.resp is None and body.pub.empty() and body.sub.empty():
        return defaults_of(account)
    if scope is None:
        return Permissions.of(body, source=USER_TOKEN, field="user /nats")
    return Permissions.of(body, source=role_source(account, scope), field=role_field(account, scope))


def silenced(user: Verified[UserClaims]) -> bool:
    """Whether a token allows publishing by a list with nothing in it: to the server that is nothing."""
    pub = user.claims.nats.pub
    if pub.allow or not pub.deny or written_by_us(user):
        return False
    said = (plain_claims(user.token).get("nats") or {}).get("pub") or {}
    return isinstance(said.get("allow"), list)


def role_source(account: AccountClaims, scope: Scope) -> str:
    return f"role {scope.role} of account {account.name}"


def role_field(account: AccountClaims, scope: Scope) -> str:
    """Where a role's template stands: of entries for one key the last counts."""
    entries = account.nats.signing_keys
    place = max(index for index, entry in enumerate(entries) if signing_key(entry) == scope.key)
    return f"account /nats/signing_keys/{place}/template"


def defaults_of(account: AccountClaims) -> Permissions:
    """What users without permissions of their own may do."""
    spoken = account.nats.default_permissions
    if spoken.empty():
        return EVERYTHING
    source = f"default permissions of account {account.name}"
    return Permissions.of(spoken, source=source, field="account /nats/default_permissions")


def server_subject(text: str) -> bool:
    """Whether the server takes an entry as a pattern."""
    tokens = text.split(".")
    return "" not in tokens and ">" not in tokens[:-1] and _BLANK.isdisjoint(text)


def _publish_entries(entries: Iterable[str]) -> Iterable[tuple[str, str]]:
    return ((entry, PLAIN) for entry in entries if server_subject(entry))


def _publish_denials(entries: Iterable[str]) -> Iterable[tuple[str, str]]:
    # An entry with a queue, which means nothing here, still denies its subject.
    for entry in entries:
        if server_subject(entry):
            yield entry, PLAIN
        else:
            yield from ((pattern, PLAIN) for pattern, _ in _subscribe_entries((entry,)))


def _subscribe_entries(entries: Iterable[str]) -> Iterable[tuple[str, str]]:
    for entry in entries:
        parts = entry.split()
        if 1 <= len(parts) <= 2 and all(map(server_subject, parts)):
            yield parts[0], parts[1] if len(parts) == 2 else PLAIN


def _wildcards(subject: str) -> bool:
    if "*" not in subject and ">" not in subject:
        return False
    tokens = subject.split(".")
    return "*" in tokens or ">" in tokens
