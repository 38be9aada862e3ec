"""What a client saw, in words that two servers must agree on.

Left out is what no client can rely on: ids, nonces, addresses and times; which member of a queue
group got a message; the order between different subscriptions of one message; and, where chance
has a part in a mapping, how often.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from tests.conformance.keys import SHARED, Keys, plain_token
from tests.conformance.wire import ASKED, CLOSED, Info, Item, Link, Msg, Word

_REFUSED: Final = "$SYS.ACCOUNT.CLIENT.AUTH.ERR"
MANY: Final = 32  # so often sent, a message has been at every member of a queue group
_VOLATILE: Final = {
    "server_id", "server_name", "version", "git_commit", "go", "host", "port", "client_id", "client_ip",
    "nonce", "xkey", "api_lvl", "ip",
}  # fmt: skip
_REPLACED: Final = (
    (re.compile(r"\$SYS\._INBOX\.\w+\.\w+"), "$SYS._INBOX"),
    (re.compile(r"_R_\.\w+\.\w+"), "_R_"),
    (re.compile(r'"(rtt|id|start|stop|svc_lat)":("[^"]*"|\d+)'), r'"\1":0'),
    (re.compile(r'"server":"[^"]*"'), '"server":""'),
)
_TOO_MANY: Final = "maximum subscriptions exceeded"
_NOBODY: Final = "NATS/1.0 503"
_INVALID: Final = "Invalid Publish Subject"
_EXPIRED: Final = "Authentication Expired"
_CONNECTED: Final = '"connect_info"'
_MOMENTARY: Final = {
    # What an account imports and exports is in its token; the real server adds its own (differences.md).
    "imports", "exports", "mappings",
    "server", "server_id", "now", "update_time", "decoded_jwt", "subscriptions", "num_subscriptions", "sublist_stats", "sent", "received", "slow_consumers",
}  # fmt: skip
_SIDES: Final = ("publish", "subscribe")
_REMOVED_LIVE: Final = '(sid "'

# The real server forgets what it counted in the read that broke the protocol, so the figure depends on
# how the bytes were cut on their way; ours counts it (docs/broker/differences.md).
_CUT_SHORT: Final = frozenset({
    "Maximum Control Line Exceeded",
    "Maximum Message Payload Exceeded",
    "Parse Error",
    "Protocol Violation",
})  # fmt: skip


class Section(NamedTuple):
    """One step of a case and all that followed from it; each line begins with whom it came to."""

    title: str
    lines: tuple[str, ...]

    def folded(self) -> list[str]:
        """The lines to be read: repeated ones once."""
        counted = ((line, len(list(run))) for line, run in groupby(self.lines))
        return [line if count == 1 else f"{line}  × {count}" for line, count in counted]

    def agrees(self, other: Section, *, alike: bool) -> bool:
        """Whether the other server did the same.

        Of what the real server says right before it hangs up, the last words may get lost: it
        closes the connection while another of its threads writes. `alike`: both are real servers.
        """
        if self.lines == other.lines:
            return True
        left, right = _by_client(self.lines), _by_client(other.lines)
        return left.keys() == right.keys() and all(
            _cut_short(said, right[client]) or (alike and _cut_short(right[client], said))
            for client, said in left.items()
        )


def _by_client(lines: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        client, _, said = line.partition(": ")
        found.setdefault(client, []).append(said)
    return found


def _cut_short(said: list[str], whole: list[str]) -> bool:
    if said == whole:
        return True
    closed = CLOSED.text
    return said[-1] == whole[-1] == closed and said[:-1] == whole[: len(said) - 1]


class Counting(NamedTuple):
    """Whether the counts of a connection are the same each time."""

    messages: bool
    bytes: bool  # not where a header with a time in it, of more or fewer digits, was sent


class Canon:
    """Puts what came on one host in words."""

    def __init__(self, keys: Keys, *, weighted: bool, counting: Counting) -> None:
        self._keys = keys
        self._weighted = weighted
        self._counting = counting
        self.heard: list[str] = []  # what clients were told of others' failure
        self.evicting = False  # whether a key or role was changed or taken away in this step

    def section(
        self, title: str, came: dict[str, tuple[Link, list[Item]]], more: Iterable[str] = ()
    ) -> Section:
        lines = list(more)
        groups: dict[tuple[str, str], _Group] = {}
        for client, (link, items) in sorted(came.items()):
            own: list[Item] = []
            for item in items:
                if isinstance(item, Msg) and item.subject == _REFUSED:
                    # Told by another thread of the server, in its own time.
                    self.heard.append(f"{client} heard: {self.event('ERR', json.loads(item.payload))}")
                    continue
                queue = link.sids.get(item.sid, "") if isinstance(item, Msg) else ""
                if isinstance(item, Msg) and queue:
                    group = groups.setdefault((link.account, queue), _Group())
                    group.add(client, self._text(item._replace(sid="")))
                else:
                    own.append(item)
            if CLOSED in own and (self.evicting or any(_told_to_go(item) for item in own)):
                # Hung up on for another reason, and told before that it has too many subscriptions, or not any more.
                own = [item for item in own if not (isinstance(item, Word) and _TOO_MANY in item.text)]
            lines += (f"{client}: {line}" for line in self._client(own))
        for (account, queue), group in sorted(groups.items()):
            lines += (f"queue {queue} of {account}: {line}" for line in group.lines(exact=not self._weighted))
        self.evicting = False
        return Section(title, tuple(lines))

    def _client(self, items: Sequence[Item]) -> Iterator[str]:
        if self._weighted:
            yield from sorted({self._text(item) for item in items})
            return
        ordered: list[str] = []
        for kind, run in groupby(_straightened(items), _kind):
            members = list(run)
            if kind == "message":
                # To one subscription messages come in the order they were published in.
                members.sort(key=lambda item: item.sid if isinstance(item, Msg) else "")
            texts = [self._text(item) for item in members]
            ordered += sorted(texts) if kind == "removed" else texts
        if _INVALID in " ".join(ordered):
            # A message whose line and body it reads apart, the real server looks at twice, and says so twice.
            ordered = [
                text
                for number, text in enumerate(ordered)
                if _INVALID not in text or ordered[number - 1 : number] != [text]
            ]
        if _EXPIRED in " ".join(ordered) and ordered[-1] == CLOSED.text:
            # Let in during its last second, a client gets the second INFO or the end first.
            ordered = [text for text in ordered if _CONNECTED not in text]
        yield from ordered

    def _text(self, item: Item) -> str:
        if isinstance(item, Info):
            shown = {name: value for name, value in sorted(item.members.items()) if name not in _VOLATILE}
            return self.words(f"INFO {json.dumps(shown)}")
        if isinstance(item, Word):
            return self.words(item.text)
        if item.payload.startswith('{"server":{"name"'):
            item = item._replace(payload=self.answer(item.payload))
        if item.subject == ASKED and item.payload.startswith("ey"):
            item = item._replace(payload=_question(item.payload))
        if item.headers and item.headers.startswith(_NOBODY):
            # Of several subscriptions to the reply, which one gets this hangs on the order of a cache.
            item = item._replace(sid="one")
        words = [f"MSG {item.subject} to {item.sid}" if item.sid else f"MSG {item.subject}"]
        if item.reply:
            words.append(f"reply {item.reply}")
        if item.headers is not None:
            words.append(f"headers {item.headers!r}")
        return self.words(f"{' '.join(words)} {item.payload!r}")

    def words(self, text: str) -> str:
        """Without what differs from play to play."""
        text = self._keys.labelled(text)
        if not text.isprintable():
            text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
        for pattern, instead in _REPLACED:
            text = pattern.sub(instead, text)
        return text

    def event(self, kind: str, event: dict[str, Any]) -> str:
        client = event["client"]
        shown: dict[str, Any] = {
            name: client.get(name)
            for name in (
                "acc",
                "user",
                "name",
                "lang",
                "ver",
                "issuer_key",
                "name_tag",
                "tags",
                "kind",
                "client_type",
            )
        }
        shown["jwt"] = bool(client.get("jwt"))
        shown["type"] = event["type"].rpartition(".")[2]
        if kind != "CONNECT":
            shown["reason"] = event.get("reason")
            counted = self._counting.messages and event.get("reason") not in _CUT_SHORT
            for direction in ("sent", "received") if counted else ():
                counts = event.get(direction) or {}
                shown[direction] = counts.get("msgs", 0)
                # Events that a client of the account hears name their server, each in its own length.
                if self._counting.bytes and not self.heard:
                    shown[direction] = f"{shown[direction]}/{counts.get('bytes', 0)}"
        told = " ".join(f"{name}={value}" for name, value in shown.items() if value)
        return self.words(f"{kind} {told}")

    def answer(self, text: str) -> str:
        """What the server tells of itself or of the one who asks; or a token."""
        if text.startswith("ey"):
            text = json.dumps(plain_token(text)["nats"], sort_keys=True)
        try:
            said = json.loads(text)
        except ValueError:
            return self.words(f"answer {text!r}")
        imports = (said.get("data") or {}).get("imports") if isinstance(said, dict) else None
        if imports:
            # Those every account has of the system are the server's own business.
            said["data"]["imports"] = [one for one in imports if one["account"] != SHARED["SYS"].public]
        return self.words(f"answer {json.dumps(_steady(said), sort_keys=True)}")

    def reply(self, text: str) -> str:
        """A resolver's answer."""
        try:
            answer = json.loads(text)
        except ValueError:
            return self.words(f"answer {text!r}")
        said = answer.get("data") or answer.get("error") or {}
        if "description" in said:
            # Several faults come in any order.
            said["description"] = " ".join(sorted(re.findall(r"[\w.*>]+", said["description"])))
        return self.words(f"answer {json.dumps(said, sort_keys=True)}")


def _kind(item: Item) -> str:
    if isinstance(item, Msg):
        return "message"
    if isinstance(item, Word) and _REMOVED_LIVE in item.text:
        return "removed"
    return "word"


def _told_to_go(item: Item) -> bool:
    return isinstance(item, Word) and item.text.startswith(
        ("-ERR 'User ", "-ERR 'Account ", "-ERR 'maximum account")
    )


def _straightened(items: Sequence[Item]) -> list[Item]:
    """Told at once that it has too many subscriptions, a client hears so before or after the INFO."""
    found = list(items)
    for place, item in enumerate(found[:-1]):
        if isinstance(item, Word) and _TOO_MANY in item.text and isinstance(found[place + 1], Info):
            found[place : place + 2] = [found[place + 1], item]
    return found


def _steady(value: Any) -> Any:
    """An answer of the server without what is of the moment; lists in an order of our own."""
    if isinstance(value, list):
        return sorted((_steady(inner) for inner in value), key=json.dumps)
    if not isinstance(value, dict):
        return value
    found = {name: _steady(inner) for name, inner in value.items() if name not in _MOMENTARY}
    # A side of the permissions with nothing in it is there or not as the token spelt it.
    found = {name: inner for name, inner in found.items() if inner != {} or name not in _SIDES}
    if "expires" in found:
        found["expires"] = "some"
    found = {name: inner for name, inner in found.items() if name != "imports" or inner}
    if "jwt" in found:
        found["jwt"] = plain_token(found["jwt"]).get("nats")
    return found


def _question(token: str) -> str:
    """What a server asks an auth callout, without what is fresh each time."""
    claims = plain_token(token)
    for name in ("iat", "jti"):
        claims.pop(name, None)
    if "exp" in claims:
        claims["exp"] = "some"
    nats = claims["nats"]
    for part, names in (
        ("server_id", ("name", "id", "host", "xkey", "version")),
        ("client_info", ("id", "nonce")),
        ("connect_opts", ("sig", "jwt")),
    ):
        for name in names:
            if name in nats.get(part, {}):
                nats[part][name] = "some"
    nats["user_nkey"] = claims["iss"] = "some"
    return json.dumps(claims, sort_keys=True)


class _Group:
    """What the members of a queue group got in one step, together."""

    def __init__(self) -> None:
        self.messages: Counter[str] = Counter()
        self.members: Counter[str] = Counter()

    def add(self, client: str, message: str) -> None:
        self.messages[message] += 1
        self.members[client] += 1

    def lines(self, *, exact: bool) -> Iterator[str]:
        for message, count in sorted(self.messages.items()):
            yield f"{message}  × {count}" if exact else message
        if self.messages.total() >= MANY:
            yield f"reached {' '.join(sorted(self.members))}"
