"""Values that go from an identity into subjects: each is exactly one token, or the login is refused.

The server puts tags and names into a role's subjects as they are (claims spec §3.7), so a value
must not be able to say more than one token says, to be taken for another one, or to feed
another key:

- `*`, `>`, `.` and blanks would widen or lengthen a subject;
- `:` would feed a second key, `{{tag(a:b)}}`; `{` and `}` would be filled in once more;
- `$…` and `_…` at the start are the servers' own subjects, `$SYS`, `$JS`, `_INBOX`;
- upper case would be lost in a tag, and two values become one;
- what is not in its normal form, or cannot be seen, looks like another value.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from callout.policy.criteria import seen
from callout.policy.decision import UNKNOWN, Grant
from callout.policy.model import Passed
from callout.refusals import LoginRefusedError, Reason
from issuer.claims.templates import functions
from issuer.claims.user import UserTemplate
from issuer.grants import Attribute, Identity
from issuer.subjects import safe_token

MAX_BYTES: Final = 128
MAX_VALUES: Final = 64
"""Of one key; the server makes 4,096 entries of a list at the most."""
_MAX_BITS: Final = 400

# Unicode's Default_Ignorable_Code_Point and blanks that count as letters or symbols: none of
# them can be seen, and `isprintable` knows only some.
_INVISIBLE: Final = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x2800, 0x3164, 0xFFA0, 0x13441, 0x13442, 0x1D159}
    | set(range(0x180B, 0x1810))
    | set(range(0xFE00, 0xFE10))
    | set(range(0xE0000, 0xE1000))
)


def unsafe(text: str, *, lower: bool) -> str:
    """What forbids this text as one token of a subject, "" if nothing does; `lower` for tags."""
    # The other checks may cost more the longer it is.
    if not text or len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return f"is longer than {MAX_BYTES} bytes" if text else "is empty"
    mark = next((mark for mark in text if mark in ".*>:{}" or mark.isspace()), None)
    if mark is not None:
        return f"holds {mark!r}"
    if not safe_token(text) or any(ord(letter) in _INVISIBLE for letter in text):
        return "holds a character that cannot be seen"
    if text[0] in "$_":
        return f"begins with {text[0]!r}, as subjects of servers do"
    if unicodedata.normalize("NFKC", text) != text:
        return "is not in its normal form (NFKC), and looks like a text that is"
    if unicodedata.category(text[0]).startswith("M"):
        return "begins with a mark that joins what stands before it"
    if lower and text != text.lower():
        return "holds upper case, which a tag does not keep"
    return ""


def spelt(value: Attribute | None) -> tuple[str, ...]:
    """A value as texts: whole numbers in decimal, `true` and `false`; a list sorted."""
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, int):
        # A longer one would not be taken anyway, and takes time to write out.
        return (str(value) if value.bit_length() <= _MAX_BITS else "9" * (MAX_BYTES + 1),)
    if isinstance(value, str):
        return (value,)
    return tuple(sorted(set(value))) if isinstance(value, tuple) else ()


def value_of(passed: Passed, identity: Identity, *, lower: bool) -> tuple[str, ...]:
    """What one key gets; nothing only where that is allowed.

    Raises:
        LoginRefusedError: there is no value, there are too many, or one is not safe.
    """
    if not passed.source:
        found: tuple[str, ...] = (passed.text,)
    else:
        found = spelt(seen(passed.source, identity, UNKNOWN, 0))
    if not found:
        if passed.optional:
            return ()
        raise LoginRefusedError(
            Reason.MISSING_VALUE,
            f"{passed.source}, which the binding passes on as {passed.key!r}, is absent",
            hint="enter it in the directory, ask for it with exists, or say `optional: true`",
        )
    if len(found) > (MAX_VALUES if passed.several else 1):
        raise LoginRefusedError(
            Reason.UNSAFE_VALUE,
            f"{passed.source}, which the binding passes on as {passed.key!r}, has {len(found)} values",
            hint=f"say `several: true` for up to {MAX_VALUES}",
        )
    if passed.lower_case:
        found = tuple(sorted({text.lower() for text in found}))
    for text in found:
        fault = unsafe(text, lower=lower) if isinstance(text, str) else "is no text"
        if fault:
            raise LoginRefusedError(
                Reason.UNSAFE_VALUE,
                # Its characters may be meant for whoever reads the log.
                f"{text[:40]!a} of {passed.source}, passed on as {passed.key!r}, {fault}",
                hint="a value in a subject is one plain token; `lower-case: true` gives up upper case",
            )
    return found


def values_of(passed: Iterable[Passed], identity: Identity) -> dict[str, tuple[str, ...]]:
    """What all keys of a binding get; those that have nothing are left out.

    Raises:
        LoginRefusedError: as `value_of`.
    """
    found = {each.key: value_of(each, identity, lower=True) for each in passed}
    return {key: texts for key, texts in found.items() if texts}


def wanted_by(template: UserTemplate) -> tuple[frozenset[str], bool]:
    """The keys of tags a role's template asks for, and whether it asks for the user's name."""
    lists = (template.pub.allow, template.pub.deny, template.sub.allow, template.sub.deny)
    called = [name.lower() for entries in lists for entry in entries for name in functions(entry)]
    keys = {name[4:-1] for name in called if name.startswith("tag(") and name.endswith(")")}
    return frozenset(keys), "name()" in called


def token_name(grant: Grant, identity: Identity, templates: Mapping[str, UserTemplate]) -> str:
    """What a token's `name` says: the user name of the grant, else the name people know.

    Raises:
        LoginRefusedError: a role puts the name into subjects, and no binding says which is safe there.
    """
    if grant.user_name:
        return grant.user_name
    for role in grant.roles:
        if role not in templates or wanted_by(templates[role])[1]:
            raise LoginRefusedError(
                Reason.MISSING_VALUE,
                f"role {role!r} puts the user's name into subjects, and the binding gives none",
                at=", ".join(grant.bindings),
                hint="add user-name: to the binding, as `user-name: subject`",
            )
    return identity.name
