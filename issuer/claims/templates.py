"""Template functions in the subjects of a role, as the server fills them in (claims spec §3.7).

Values go in as they are: a user called `*` widens its own subjects. Names and tags are made
safe where users are issued (`issuer.subjects.safe_token`), not here, because this must show
exactly what the server will do.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from issuer.claims.account import AccountClaims
from issuer.claims.fields import Permission
from issuer.claims.quoting import quoted
from issuer.claims.user import UserClaims, UserTemplate
from issuer.errors import Refused
from issuer.subjects import Subject

MAX_EXPANDED: Final = 4096  # per list; the server refuses the connection beyond it
EVERYTHING: Final = Subject(">")

PLAIN_FUNCTIONS: Final = ("name()", "subject()", "account-name()", "account-subject()")
TAG_FUNCTIONS: Final = ("tag(", "account-tag(")

_FUNCTION: Final = re.compile(r"\{\{([^}]+)\}\}")
# The server's own idea of a subject, narrower than ours only in what counts as blank.
_BLANK: Final = re.compile(r"[ \t\n\r\f]")
# Stands for a tag that is not there: it makes the subject invalid, so an allow entry falls away.
_MISSING: Final = (" ",)


class TemplateError(Refused):
    """A list the server cannot fill in; it refuses the connection."""

    code = "template.refused"


def has_template(entry: str) -> bool:
    return _FUNCTION.search(entry) is not None


def functions(entry: str) -> list[str]:
    """The functions an entry calls, trimmed, as written."""
    return [name.strip() for name in _FUNCTION.findall(entry)]


def is_function(name: str) -> bool:
    """Whether the server knows it; tag functions it recognises in any letter case."""
    lowered = name.lower()
    return lowered in PLAIN_FUNCTIONS or (lowered.startswith(TAG_FUNCTIONS) and lowered.endswith(")"))


def expand(
    entries: Sequence[Subject], user: UserClaims, account: AccountClaims, *, denying: bool = False
) -> tuple[Subject, ...]:
    """One list of a role's template with this user's and its account's values filled in.

    Entries that come out invalid fall away from an allow list, and are fatal in a deny list.

    Raises:
        TemplateError: an unknown function, too many results, or an invalid one while `denying`.
    """
    if not any(map(has_template, entries)):
        # Only then does a queue entry survive: with a template in the list all are judged.
        return tuple(entries)
    filled: list[Subject] = []
    tried = 0
    for entry in entries:
        results = _fill(entry, user, account, denying=denying, room=MAX_EXPANDED - tried)
        for text in results:
            tried += 1
            if _is_subject(text):
                filled.append(Subject(text))
            elif denying:
                raise TemplateError("generated invalid subject", at=entry)
    return tuple(filled)


def expand_template(template: UserTemplate, user: UserClaims, account: AccountClaims) -> UserTemplate:
    """A role's template as it holds for this user.

    Raises:
        TemplateError: the server would refuse the connection.
    """
    return msgspec.structs.replace(
        template,
        # In this order, which decides about which fault the server speaks.
        sub=_permission(template.sub, user, account),
        pub=_permission(template.pub, user, account),
    )


def _permission(permission: Permission, user: UserClaims, account: AccountClaims) -> Permission:
    allow = expand(permission.allow, user, account)
    deny = expand(permission.deny, user, account, denying=True)
    if permission.allow and not allow and EVERYTHING not in deny:
        # An empty allow list would allow everything.
        deny = (*deny, EVERYTHING)
    return msgspec.structs.replace(permission, allow=allow, deny=deny)


def _fill(entry: str, user: UserClaims, account: AccountClaims, *, denying: bool, room: int) -> Iterable[str]:
    places = [(found.group(), found.group(1).strip()) for found in _FUNCTION.finditer(entry)]
    values = [_values(entry, name, user, account, denying=denying) for _, name in places]
    tagged = any(name.lower().startswith(TAG_FUNCTIONS) for _, name in places)
    if tagged and math.prod(map(len, values)) > room:
        raise TemplateError(f"template expansion exceeds limit: {MAX_EXPANDED}", at=entry)
    for chosen in itertools.product(*values):
        text = entry
        for (place, _), value in zip(places, chosen, strict=True):
            # Every occurrence at once, so that a function called twice gets its first value.
            text = text.replace(place, value)
        yield text


def _values(
    entry: str, name: str, user: UserClaims, account: AccountClaims, *, denying: bool
) -> Sequence[str]:
    lowered = name.lower()
    plain = {
        "name()": user.name,
        "subject()": user.sub,
        "account-name()": account.name,
        "account-subject()": user.nats.issuer_account,
    }
    if lowered in plain:
        return (plain[lowered],)
    if not is_function(name):
        raise TemplateError(f"template operation in {quoted(entry)}: {quoted(name)} is not defined", at=entry)
    of_account = lowered.startswith("account-")
    # Recognised in any letter case, but cut off in lower case only.
    key = name.removeprefix("account-tag(" if of_account else "tag(").removesuffix(")")
    prefix = key.lower() + ":"
    tags = account.nats.tags if of_account else user.nats.tags
    found = tuple(tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix))
    if not found and denying:
        words = f"generated invalid subject {quoted(entry)}: {quoted(key)} is not defined"
        raise TemplateError(words, at=entry)
    return found or _MISSING


def _is_subject(text: str) -> bool:
    tokens = text.split(".")
    return "" not in tokens and ">" not in tokens[:-1] and not _BLANK.search(text)
