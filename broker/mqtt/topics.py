"""Topics of MQTT as subjects of NATS, and back.

`/` separates levels as `.` separates tokens. A token may not be empty, so the slash of an empty
level stands as a token of its own or beside one: `/a` is `/.a`, `a/` is `a./`, `a//b` is `a./.b`.
A dot within a level is `//`. Every topic comes back as it was.
"""

from __future__ import annotations

from typing import Final

RESERVED: Final = "$"
OWN_PREFIX: Final = "$MQTT."
"""Subjects of the server's own; no filter may begin with it."""
_UNSUPPORTED: Final = frozenset(" \t\n\r\f\x7f")
_WILD: Final = {"+": "*", "#": ">"}


class TopicFault(Exception):
    """No subject corresponds to this topic."""


def subject_of(topic: str) -> str:
    """The subject of a topic that is published to.

    Raises:
        TopicFault: it holds a blank or a wildcard.
    """
    return _subject(topic, wild=False)


def filter_subject(text: str) -> str:
    """The subject of a filter that is subscribed to.

    Raises:
        TopicFault: it holds a blank.
    """
    return _subject(text, wild=True)


def _subject(topic: str, *, wild: bool) -> str:
    if _UNSUPPORTED.intersection(topic):
        raise TopicFault("character not supported for MQTT topics")
    made: list[str] = []
    last = len(topic) - 1
    after_dot = True
    for at, character in enumerate(topic):
        piece = character
        if character == "/":
            if after_dot:
                piece = "/."
            elif at == last or topic[at + 1] == "/":
                piece = "./"
            else:
                piece = "."
        elif character == ".":
            piece = "//"
        elif character in _WILD:
            if not wild:
                raise TopicFault("wildcards are not allowed in the topic of a message")
            piece = _WILD[character]
        made.append(piece)
        after_dot = piece[-1] == "."
    if topic and after_dot:
        made.append("/")
    return "".join(made)


def topic_of(subject: str) -> str:
    """The topic under which a subject's messages come."""
    if "/" not in subject:
        return subject.replace(".", "/")
    made: list[str] = []
    at, size = 0, len(subject)
    while at < size:
        character = subject[at]
        at += 1
        if character == ".":
            made.append("/")
        elif character != "/":
            made.append(character)
        elif at < size and subject[at] in "./":
            made.append("/" if subject[at] == "." else ".")
            at += 1
    return "".join(made)


def level_up(subject: str) -> str | None:
    """`a` for `a.>`: a filter with all levels below one means that one too."""
    if len(subject) > 2 and subject.endswith(".>"):
        return subject[:-2]
    return None


def begins_wild(subject: str) -> bool:
    """Whether a filter begins with a wildcard: topics that begin with `$` are hidden from it."""
    return subject in {"*", ">"} or subject.startswith("*.")
