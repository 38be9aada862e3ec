"""What the reference library says about subjects, its oddities included (claims spec §4.8, §4.6)."""

from __future__ import annotations

import re
from typing import Final

from issuer.claims.quoting import quoted
from issuer.findings.finding import Findings, error

_NUMBER: Final = re.compile(r"[+-]?[0-9]+")


def subject(text: str, at: str) -> Findings:
    if not text:
        yield error("subject.empty", "subject cannot be empty", at)
        return
    if " " in text:
        yield error("subject.space", f"subject {quoted(text)} cannot have spaces", at)
    if text.startswith(".") or text.endswith("."):
        yield error("subject.edge-dot", f"subject {quoted(text)} cannot start or end with a `.`", at)
    if ".." in text:
        yield error("subject.double-dot", f"subject {quoted(text)} cannot contain consecutive `.`", at)


def integer(text: str) -> int | None:
    """A decimal integer as Go's `Atoi` reads one."""
    if not _NUMBER.fullmatch(text):
        return None
    # Longer than any int64, leading zeros aside: no need to compute it.
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > 19:
        return None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


def reference(token: str) -> int | None:
    """The n of a `$n` token."""
    return integer(token[1:]) if token.startswith("$") else None


def without_references(renaming: str) -> str:
    """A renaming subject as the pattern it makes: every `$n` becomes `*`."""
    return ".".join("*" if reference(token) is not None else token for token in renaming.split("."))


def renaming(text: str, source: str, at: str) -> Findings:
    """A local subject against the subject it stands for."""
    yield from subject(text, at)
    if not source:
        yield error("subject.empty", "subject cannot be empty", at)
    if " " in text:
        yield error("subject.space", f"subject {quoted(text)} cannot have spaces", at)
    if _open_ended(text) != _open_ended(source):
        words = "both, renaming subject and subject, need to end or not end in >"
        yield error("import.renaming-end", words, at)
    wildcards = source.split(".").count("*")
    references = 0
    for token in text.split("."):
        number = reference(token)
        if token == "*":  # noqa: S105  a wildcard, not a secret
            references += 1
        elif number is not None and number > wildcards:
            words = f"Reference ${number} in {quoted(text)} reference * in {quoted(source)} that do not exist"
            yield error("import.renaming-reference", words, at)
        elif number is not None:
            references += 1
    if references != wildcards:
        words = "subject does not contain enough * or reference wildcards $[0-9]"
        yield error("import.renaming-count", words, at)


def _open_ended(text: str) -> bool:
    return text == ">" or text.endswith(".>")
