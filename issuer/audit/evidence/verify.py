"""Check a bundle of evidence with this file alone: Python 3.9 or newer, nothing installed, no network.

    python3 verify.py [BUNDLE.zip] [--log-key VKEY] [--operator KEY] [--witness VKEY ...] [--quorum N]
                      [--checkpoint FILE ...] [--json]

Without a name it takes the bundle it lies in, or beside. What it does, in this order:

 1 files        every file of the manifest is there, no other is, and each has its SHA-256
 2 manifest     the log's key signed it
 3 checkpoints  the log's key signed the first and the last of every year, and so did enough witnesses
 4 events       with the hashes beside them they make up exactly the trees that were signed (RFC 6962),
                in their places, each naming the hash of the one before; none of the period is missing
 5 consistency  the last tree begins with the first one, and each year with the root of the year before
 6 tokens       each is signed by the key it names, down from the operator, and is the one an event tells of
 7 replay       the events lead from the first state to the last
 8 people       what is told of people in clear is what the events have commitments of

Exit status: 0 all of it holds, 1 something was tampered with, 2 something is missing, 3 cannot be checked.

The keys are in the bundle. Whoever made it all up would have put keys of his own there: compare them with
those you were given otherwise, or name them (--log-key, --operator, --witness). A checkpoint that you, or a
witness, kept from before (--checkpoint) shows whether this is still the same log.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

ED25519, COSIGNATURE, ML_DSA_44 = 1, 4, 6
EMPTY = hashlib.sha256(b"").digest()
TIME_BACK = 600
"""Seconds a clock may go back between two events without being remarked."""
STATE = re.compile(r"(operator|account|user)\.(?!.*proved)")
LINE_LIMIT = 1 << 26
STRICT = "strict_signing_key_usage"


class Fault(Exception):
    """What is wrong, with the exit status it stands for."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def tampered(words: str) -> Fault:
    return Fault(1, words)


def incomplete(words: str) -> Fault:
    return Fault(2, words)


def unable(words: str) -> Fault:
    return Fault(3, words)


# --- Ed25519 (RFC 8032), verified the same way whoever does it --------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


def _recover(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def _point(raw: bytes) -> Point | None:
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = _recover(y, sign) if y < P else None
    return None if x is None else (x, y, 1, x * y % P)


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _double(p: Point) -> Point:
    a, b = p[0] * p[0] % P, p[1] * p[1] % P
    c, h = 2 * p[2] * p[2] % P, a + b
    e, g = h - (p[0] + p[1]) * (p[0] + p[1]) % P, a - b
    f = c + g
    return e * f % P, g * h % P, f * g % P, e * h % P


NEUTRAL: Point = (0, 1, 1, 0)
_BASE_Y = 4 * pow(5, P - 2, P) % P
_BASE_X = _recover(_BASE_Y, 0) or 0
BASE: Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % P)


def _table(p: Point) -> list[Point]:
    """Its multiples by 0 to 15."""
    row = [NEUTRAL, p]
    for _ in range(14):
        row.append(_add(row[-1], p))
    return row


_BASE_TABLE = _table(BASE)
_TABLES: dict[bytes, list[Point] | None] = {}


def _encoded(p: Point) -> bytes:
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _torsion() -> list[bytes]:
    """The eight points of small order, as they are written."""
    for y in range(2, 1000):
        p, row = _point(y.to_bytes(32, "little")), [NEUTRAL]
        if p is None:
            continue
        q = NEUTRAL
        for bit in f"{L:b}":
            q = _double(q)
            q = _add(q, p) if bit == "1" else q
        while _encoded(row[-1]) != _encoded(NEUTRAL) or len(row) == 1:
            row.append(_add(row[-1], q))
        if len(row) == 9:
            return [_encoded(each) for each in row]
    raise unable("no point of order eight")


SMALL = frozenset(_torsion())


def _key_table(key: bytes) -> list[Point] | None:
    """Multiples of minus a public key; None for a key that cannot be one."""
    if key not in _TABLES:
        p = None if key in SMALL else _point(key)
        _TABLES[key] = None if p is None else _table((P - p[0], p[1], 1, P - p[3]))
    return _TABLES[key]


def _verify_here(key: bytes, message: bytes, signature: bytes) -> bool:
    table = _key_table(key)
    if table is None:
        return False
    s = int.from_bytes(signature[32:], "little")
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    h = int.from_bytes(digest, "little") % L
    p = NEUTRAL
    for shift in range(252, -4, -4):
        p = _double(_double(_double(_double(p))))
        p = _add(p, _BASE_TABLE[s >> shift & 15])
        p = _add(p, table[h >> shift & 15])
    return _encoded(p) == signature[:32]


def _verify_nacl(key: bytes, message: bytes, signature: bytes) -> bool:
    from nacl.bindings import crypto_sign_open  # type: ignore[import-not-found,unused-ignore]
    from nacl.exceptions import BadSignatureError  # type: ignore[import-not-found,unused-ignore]

    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True


def _verify_cryptography(key: bytes, message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # type: ignore[import-not-found,unused-ignore]
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # type: ignore[import-not-found,unused-ignore]
        Ed25519PublicKey,
    )

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


VERIFIERS = {"nacl": _verify_nacl, "cryptography": _verify_cryptography, "here": _verify_here}
_CHOSEN: list[str] = []
_KEYS: dict[bytes, bool] = {}


def verifier() -> str:
    """Who verifies: a library that happens to be installed, else this file."""
    if not _CHOSEN:
        for name in ("nacl", "cryptography"):
            try:
                __import__(name)
            except ImportError:
                continue
            _CHOSEN.append(name)
            break
        else:
            _CHOSEN.append("here")
    return _CHOSEN[0]


def ed25519(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is the key's. What libraries do not agree on is refused before they are asked."""
    if len(key) != 32 or len(signature) != 64 or signature[:32] in SMALL:
        return False
    if int.from_bytes(signature[32:], "little") >= L:
        return False
    if key not in _KEYS:
        _KEYS[key] = key not in SMALL and _point(key) is not None
    return _KEYS[key] and VERIFIERS[verifier()](key, message, signature)


# --- notes and trees (C2SP signed-note, tlog-checkpoint, tlog-cosignature; RFC 6962) -----------------


class Note:
    """A signed note: its text, and signatures by name and key id."""

    def __init__(self, raw: bytes, what: str) -> None:
        try:
            body, gap, lines = raw.decode().rpartition("\n\n")
            self.text = body + "\n"
            self.lines = []
            for line in lines[:-1].split("\n"):
                dash, name, code = line.split(" ")
                packed = base64.b64decode(code, validate=True)
                if dash != "\u2014" or not gap or not lines.endswith("\n") or len(packed) < 5:
                    raise ValueError  # noqa: TRY301
                self.lines.append((name, packed[:4], packed[4:]))
            if len({line[:2] for line in self.lines}) != len(self.lines):
                raise ValueError  # noqa: TRY301
        except (ValueError, UnicodeDecodeError):
            raise tampered(f"{what} is not a signed note") from None
        self.what = what

    def signed(self, name: str, kind: int, key: bytes) -> bool | None:
        """Whether a key signed it; None if that cannot be said here.

        A line that bears the key's name and id and is not its signature spoils the note.
        """
        key_id = hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:4]
        for other, other_id, raw in self.lines:
            if (other, other_id) == (name, key_id):
                good = self._good(name, kind, key, raw)
                if good is False:
                    raise tampered(f"{self.what}: what bears the name of {name} is not its signature")
                return good
        return False

    def _good(self, name: str, kind: int, key: bytes, raw: bytes) -> bool | None:
        if kind == ED25519:
            return ed25519(key, self.text.encode(), raw)
        at = int.from_bytes(raw[:8], "big")
        if kind == COSIGNATURE:
            return ed25519(key, f"cosignature/v1\ntime {at}\n{self.text}".encode(), raw[8:])
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.mldsa import (  # type: ignore[import-not-found,unused-ignore]
                MLDSA44PublicKey,
            )
        except ImportError:
            return None
        origin, size, root = self.tree()
        names = [bytes([len(text.encode())]) + text.encode() for text in (name, origin)]
        told = names[0] + raw[:8] + names[1] + bytes(8) + size.to_bytes(8, "big") + root
        try:
            MLDSA44PublicKey.from_public_bytes(key).verify(raw[8:], b"subtree/v1\n\0" + told)
        except (InvalidSignature, ValueError):
            return False
        return True

    def tree(self) -> tuple[str, int, bytes]:
        """Of a checkpoint: name of the log, size and root."""
        try:
            origin, size, root = self.text.split("\n")[:3]
            if not size.isdigit() or str(int(size)) != size:
                raise ValueError  # noqa: TRY301
            return origin, int(size), base64.b64decode(root, validate=True)
        except ValueError:
            raise tampered(f"{self.what} is not a checkpoint") from None


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(stack: list[tuple[int, bytes]]) -> bytes:
    if not stack:
        return EMPTY
    root = stack[-1][1]
    for _, left in reversed(stack[:-1]):
        root = node(left, root)
    return root


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, path: list[bytes]) -> bool:
    """RFC 9162 §2.1.4.2."""
    if old in {0, new}:
        return not path and (old_root == new_root if old else old_root == EMPTY)
    if not path or old > new:
        return False
    steps = ([old_root] if old & (old - 1) == 0 else []) + path
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            first, second = node(step, first), node(step, second)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            second = node(second, step)
        here, last = here >> 1, last >> 1
    return last == 0 and (first, second) == (old_root, new_root)


# --- the bundle ---------------------------------------------------------------------------------------


class Bundle:
    """The files of a bundle, each hashed as it is read."""

    def __init__(self, path: str) -> None:
        try:
            self.zip = zipfile.ZipFile(path)
        except OSError as fault:
            raise unable(f"{path}: {fault.strerror}") from None
        except zipfile.BadZipFile:
            raise incomplete(f"{path} is not a whole zip file") from None
        infos = self.zip.infolist()
        self.sizes = {info.filename: info.file_size for info in infos}
        if len(self.sizes) != len(infos):
            raise tampered("two files have one name")
        for name in ("manifest.json", "manifest.note"):
            if name not in self.sizes:
                raise incomplete(f"{name} is missing")
        if self.sizes["manifest.json"] > LINE_LIMIT or self.sizes["manifest.note"] > LINE_LIMIT:
            raise tampered("the manifest is too large")
        self.raw_manifest = self.zip.read("manifest.json")
        self.manifest = document(self.raw_manifest, "manifest.json")
        self.files: dict[str, Any] = self.manifest.get("files", {})
        self.unread = set(self.files)

    def check_names(self) -> None:
        there = set(self.sizes) - {"manifest.json", "manifest.note"}
        for name in sorted(set(self.files) - there):
            raise incomplete(f"{name} is missing")
        for name in sorted(there - set(self.files)):
            raise tampered(f"{name} is not in the manifest")
        for name, (size, _) in self.files.items():
            if self.sizes[name] != size:
                raise tampered(f"{name} has {self.sizes[name]} bytes, and should have {size}")

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file without their ends; once all are read, its hash is checked."""
        if name not in self.files:
            raise incomplete(f"{name} is missing")
        digest = hashlib.sha256()
        try:
            with self.zip.open(name) as file:
                while True:
                    lines = file.readlines(1 << 20)
                    if not lines:
                        break
                    digest.update(b"".join(lines))
                    for line in lines:
                        if not line.endswith(b"\n"):
                            raise tampered(f"{name} ends within a line")  # noqa: TRY301
                        yield line[:-1]
        except (zipfile.BadZipFile, EOFError, OSError, ValueError) as fault:
            raise tampered(f"{name} cannot be read: {type(fault).__name__}") from None
        except Exception as fault:
            if isinstance(fault, Fault) or type(fault).__module__ != "zlib":
                raise
            raise tampered(f"{name} cannot be unpacked") from None
        if digest.hexdigest() != self.files[name][1]:
            raise tampered(f"{name} is not what the manifest says")
        self.unread.discard(name)

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        for line in self.lines(name):
            yield document(line, name)

    def text(self, name: str) -> bytes:
        return b"".join(line + b"\n" for line in self.lines(name))

    def read_rest(self) -> None:
        """Whatever was not read so far is hashed, too."""
        for name in sorted(self.unread):
            for _ in self.lines(name):
                pass


def document(raw: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise tampered(f"{what}: not JSON")
    return found


class State:
    """What the tokens in force are, as events tell it: by public key its token's hash, account and event."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.heads: dict[str, tuple[str, str, int]] = {}
        before = (0, 0)
        for row in rows:
            place = ("OAU".index(row["key"][0]), row["seq"])
            if row["key"] in self.heads or place < before:
                raise tampered("a state is not in order")
            self.heads[row["key"]] = (row["sha256"], row["account"], row["seq"])
            before = place

    def follow(self, body: dict[str, Any]) -> None:
        """What an event changes."""
        code, target = body["code"], body.get("target", "")
        if not target or not STATE.match(code):
            return
        if code.endswith(".deleted"):
            self.heads.pop(target, None)
            if target.startswith("A"):
                self.heads = {key: head for key, head in self.heads.items() if head[1] != target}
        elif body.get("after"):
            self.heads[target] = head_of(body)


def head_of(body: dict[str, Any]) -> tuple[str, str, int]:
    """Of an event that gives a token: its hash, the account if it is a user's, and the event's number."""
    account = body.get("detail", {}).get("account", "") if body["target"].startswith("U") else ""
    return body["after"], account, body["seq"]


class Check:
    """One bundle being checked."""

    def __init__(self, bundle: Bundle, options: argparse.Namespace) -> None:
        self.bundle, self.options, self.manifest = bundle, options, bundle.manifest
        self.notes: list[str] = []
        self.keys: dict[str, Any] = {}
        self.log_keys: list[bytes] = []
        self.state = State(())
        self.proving: dict[str, list[str]] = {}
        """Tokens of the first state: by hash, the keys they are of."""

    # 1, 2

    def check_files(self) -> str:
        self.bundle.check_names()
        if self.manifest.get("format") != "accredit-evidence/1":
            raise unable("this is not a format that is known here")
        return f"{len(self.bundle.files)} files"

    def check_manifest(self) -> str:
        self.keys = document(self.bundle.text("keys.json"), "keys.json")
        self.log_keys = [base64.b64decode(key) for key in self.keys["log_keys"]]
        if self.options.log_key:
            pinned = base64.b64decode(self.options.log_key.split("+", 2)[-1])[-32:]
            if pinned not in self.log_keys:
                raise tampered("the log's key is not the one you named")
        else:
            pinned = self.log_keys[0]
            self.notes.append(
                "the log's key is the bundle's own: compare it with one you were given otherwise"
            )
        note = Note(self.bundle.zip.read("manifest.note"), "manifest.note")
        self.by_log(note, self.keys["origin"], [pinned])
        digest = hashlib.sha256(self.bundle.raw_manifest).hexdigest()
        if note.text != f"accredit-evidence/1\n{digest}\n":
            raise tampered("manifest.json is not what was signed")
        return f"signed by {self.keys['origin']}"

    def by_log(self, note: Note, name: str, keys: Iterable[bytes]) -> None:
        if not any(note.signed(name, ED25519, key) for key in keys):
            raise tampered(f"{note.what} is not signed by the log")

    # 3

    def trees(self) -> Iterator[tuple[str, int, int]]:
        """Log, year and the sequence number of leaf 0, oldest first."""
        for log, about in sorted(self.manifest["logs"].items()):
            for year, (first, _) in sorted(about["years"].items()):
                yield log, int(year), first

    def checkpoint(self, log: str, year: int, which: str) -> Note | None:
        name, origin = f"log/{log}/{year}/checkpoint.{which}", f"{self.keys['origin']}/{log}/{year}"
        told = self.manifest["logs"][log]["years"][str(year)][1]
        if which == "first" and not told:
            return None
        note = Note(self.bundle.text(name), name)
        self.by_log(note, origin, self.log_keys)
        if note.tree()[0] != origin or (which == "first" and note.tree()[1] != told):
            raise tampered(f"{name} is of another log, or another tree")
        return note

    def check_checkpoints(self) -> str:
        witnesses = self.options.witness or self.keys["witnesses"]
        quorum = self.keys["quorum"] if self.options.quorum is None else self.options.quorum
        count = 0
        for log, year, _ in self.trees():
            self.checkpoint(log, year, "first")
            note = self.checkpoint(log, year, "last")
            said = []
            for vkey in witnesses:
                name, _, rest = vkey.partition("+")
                raw = base64.b64decode(rest.partition("+")[2])
                said.append(note.signed(name, raw[0], raw[1:]) if note else False)
            if said.count(True) + said.count(None) < quorum:
                raise incomplete(f"{log} {year}: {said.count(True)} of {quorum} witnesses have signed")
            if said.count(True) < quorum:
                raise unable(
                    f"{log} {year}: a witness signs by ML-DSA-44, for which `cryptography` is needed"
                )
            count += 1
        return (
            f"{count} trees, {quorum} witnesses each" if quorum else f"{count} trees; no witness is asked for"
        )

    # 4, 5

    def check_events(self) -> str:
        rows = list(self.bundle.rows("state.first.jsonl"))
        self.state = State(rows)
        for key, (sha256, _, _) in self.state.heads.items():
            self.proving.setdefault(sha256, []).append(key)
        count = 0
        for log in sorted(self.manifest["logs"]):
            walk = Walk(self, log)
            for other, year, first in self.trees():
                if other == log:
                    walk.year(year, first)
            walk.end()
            count += walk.count
        if self.proving:
            raise incomplete(f"no event tells of {len(self.proving)} tokens of the first state")
        return f"{count} events, each in its place"

    # 6

    def check_tokens(self) -> str:
        final = State(self.bundle.rows("state.last.jsonl"))
        above: dict[str, dict[str, Any]] = {}
        heads, withheld, spent = iter(final.heads.items()), 0, 0
        for row in self.bundle.rows("tokens.jsonl"):
            key, head = next(heads, ("", ("", "", 0)))
            if row["key"] != key:
                raise tampered(f"a token of {row['key']} is not one of the last state, or not in its place")
            token = row["token"]
            digest = row["sha256"] if token is None else hashlib.sha256(token.encode()).hexdigest()
            if not digest == row["sha256"] == head[0]:
                raise tampered(f"the token of {key} is not the one its event tells of")
            if token is None:
                if row["counts"] is not None:
                    raise tampered(f"the token of {key} is not here, and cannot be said to count")
                withheld += 1
                continue
            claims = self.token(key, token)
            if key[0] in "OA":
                above[key] = claims
            counts = self.descends(claims, above)
            if counts != row["counts"]:
                raise tampered(f"the token of {key}: who signed it may {'' if counts else 'not '}do so")
            spent += not counts
        left = next(heads, None)
        if left is not None:
            raise incomplete(f"the token of {left[0]} is missing")
        operators = [key for key in above if key[0] == "O"]
        if self.options.operator and operators != [self.options.operator]:
            raise tampered("the operator is not the one you named")
        if not self.options.operator:
            self.notes.append("the operator's key is the bundle's own, too")
        if withheld:
            self.notes.append(f"{withheld} bearer tokens are left out: they would let their finder in")
        if spent:
            self.notes.append(f"{spent} tokens count no longer: the key that signed them was taken away")
        return f"{len(final.heads)} tokens, verified by {verifier()}"

    def token(self, key: str, text: str) -> dict[str, Any]:
        """The claims of a token whose signature is that of the key it names."""
        message, _, signature = text.rpartition(".")
        signed = message
        try:
            header = document(base64.urlsafe_b64decode(message.partition(".")[0] + "=="), "its header")
            if str(header.get("alg")).lower() == "ed25519":
                signed = message.partition(".")[2]  # the first format of tokens
            payload = base64.urlsafe_b64decode(message.partition(".")[2] + "==")
            claims = document(payload, f"the token of {key}")
            raw = base64.urlsafe_b64decode(signature + "==")
            issuer = base64.b32decode(str(claims.get("iss")))[1:33]
        except ValueError:
            raise tampered(f"the token of {key} cannot be read") from None
        if claims.get("sub") != key or not ed25519(issuer, signed.encode(), raw):
            raise tampered(f"the token of {key} is not signed by {claims.get('iss')}")
        return claims

    def descends(self, claims: dict[str, Any], above: dict[str, dict[str, Any]]) -> bool:
        """Whether what is above it lets the key sign it."""
        key, issuer, nats = claims["sub"], claims["iss"], claims["nats"]
        if key[0] == "O":
            return bool(issuer == key)
        operators = [each for each in above.values() if each["sub"][0] == "O"]
        if key[0] == "A":
            return any(signs(each, issuer, bool(each["nats"].get(STRICT))) for each in operators)
        owner = above.get(nats.get("issuer_account") or claims.get("issuer_account") or issuer)
        if owner is None:
            return False
        strict = any(each["nats"].get(STRICT) and signs(each, owner["iss"], False) for each in operators)
        return signs(owner, issuer, strict)

    # 7, 8

    def check_replay(self) -> str:
        final = State(self.bundle.rows("state.last.jsonl"))
        if self.state.heads != final.heads:
            keys = sorted(set(self.state.heads.items()) ^ set(final.heads.items()))
            raise tampered(f"the events do not lead to the last state: see {keys[0][0]}")
        return f"{len(final.heads)} operators, accounts and users as the events leave them"

    def check_people(self) -> str:
        count = 0
        for row in self.bundle.rows("people.jsonl"):
            salted = base64.b64decode(row["salt"]) + row["value"].encode()
            digest = base64.urlsafe_b64encode(hashlib.sha256(salted).digest()).decode().rstrip("=")
            if row["commitment"] != "~" + digest:
                raise tampered(f"{row['commitment']} is not of what is told of it")
            count += 1
        self.bundle.read_rest()
        return f"{count} people told in clear"


def signs(claims: dict[str, Any], key: str, strict: bool) -> bool:  # noqa: FBT001
    """Whether a key signs for an operator or an account; where usage is strict its identity does not."""
    told = claims["nats"].get("signing_keys") or []
    return (
        not strict if key == claims["sub"] else key in [e["key"] if isinstance(e, dict) else e for e in told]
    )


class Walk:
    """Going through the events of one log, tree by tree."""

    def __init__(self, check: Check, log: str) -> None:
        self.check, self.log, self.about = check, log, check.manifest["logs"][log]
        self.low, self.high = self.about["first_seq"], self.about["last_seq"]
        self.count = 0
        self.due = self.low if self.about["complete"] else None
        """The next event of the period, if all of them are to be here."""
        self.last: tuple[int, str, int] = (0, "", 0)
        """Sequence number, hash and time of the event before."""
        self.closed: tuple[int, int, bytes] | None = None
        """Year, size and root of the tree before."""

    def year(self, year: int, first: int) -> None:
        folder = f"log/{self.log}/{year}/"
        opening, closing = (
            self.check.checkpoint(self.log, year, "first"),
            self.check.checkpoint(self.log, year, "last"),
        )
        assert closing is not None  # noqa: S101
        origin, size, root = closing.tree()
        _, old, old_root = opening.tree() if opening else ("", 0, EMPTY)
        held = {kept[1]: kept[2] for kept in self.check.options.kept if kept[0] == origin}
        held.update({old: old_root, size: root})
        passed = {0: EMPTY}
        stack: list[tuple[int, bytes]] = []
        place = 0
        for at, level, value, body in self.pieces(folder, first):
            if at != place:
                raise incomplete(f"{folder}: entry {place} is not accounted for")
            if body is not None:
                self.event(body, year, place)
            place += 1 << level
            while stack and stack[-1][0] == level:
                value = hashlib.sha256(b"\x01" + stack.pop()[1] + value).digest()
                level += 1
            stack.append((level, value))
            if place in held:
                passed[place] = root_of(stack)
        if place != size:
            raise incomplete(f"{folder}: {place} of {size} entries are accounted for")
        for at, expected in held.items():
            if at not in passed:
                raise (tampered if at > size else unable)(f"{folder}: there is no tree of {at} entries here")
            if passed[at] != expected:
                raise tampered(f"{folder}: the first {at} events are not those that were signed")
        name = folder + "consistency.txt"
        path = [base64.b64decode(line) for line in self.check.bundle.lines(name)] if old else []
        if not consistent(old, old_root, size, root, path):
            raise tampered(f"{folder}: the last tree is not proved to begin with the first")
        self.closed = (year, size, root)

    def pieces(self, folder: str, first: int) -> Iterator[tuple[int, int, bytes, dict[str, Any] | None]]:
        """Events, and hashes of those that are not here, in order: place, level, hash, event."""
        hashes = self.hashes(folder + "proof.txt")
        gap = next(hashes, None)
        for line in self.check.bundle.lines(folder + "events.jsonl"):
            body = document(line, folder + "events.jsonl")
            place = int(body["seq"]) - first
            while gap is not None and gap[0] < place:
                yield (*gap, None)
                gap = next(hashes, None)
            self.link(body, line)
            yield place, 0, hashlib.sha256(b"\x00" + line).digest(), body
        while gap is not None:
            yield (*gap, None)
            gap = next(hashes, None)

    def hashes(self, name: str) -> Iterator[tuple[int, int, bytes]]:
        for line in self.check.bundle.lines(name):
            index, level, value = line.decode("ascii").split(" ")
            raw = base64.b64decode(value, validate=True)
            if len(raw) != 32 or not 0 <= int(level) < 64:
                raise tampered(f"{name}: not a hash of a tree")
            yield int(index) << int(level), int(level), raw

    def link(self, body: dict[str, Any], line: bytes) -> None:
        """The chain: what an event says of the one before."""
        seq, previous = body["seq"], body["previous"]
        before, digest, at = self.last
        if seq == before + 1 and before and previous != digest:
            raise tampered(f"event {seq} does not follow event {before}")
        if before and body["at"] < at - TIME_BACK:
            self.check.notes.append(f"the clock went back by {at - body['at']} s before event {seq}")
        self.last = (seq, hashlib.sha256(bytes.fromhex(previous) + line).hexdigest(), body["at"])
        self.count += 1

    def event(self, body: dict[str, Any], year: int, place: int) -> None:
        seq = body["seq"]
        if place == 0 and self.closed is not None:
            told = body.get("detail", {})
            closed = (told.get("closed_year"), told.get("closed_size"), told.get("closed_root"))
            if body["code"] != "log.opened" or closed != (*self.closed[:2], self.closed[2].hex()):
                raise tampered(f"the tree of {year} does not begin with the root of {self.closed[0]}")
        if self.due is not None and self.low <= seq <= self.high:
            if seq != self.due:
                raise incomplete(f"event {self.due} of the period is missing")
            self.due += 1
        if self.log != "admin":
            return
        if seq < self.low:
            if place == 0 and body["code"] == "log.opened":
                return
            told_of = self.check.proving.pop(body.get("after", ""), [])
            if not told_of or any(
                (key, self.check.state.heads[key]) != (body["target"], head_of(body)) for key in told_of
            ):
                raise tampered(f"event {seq} is not where the first state has a token from")
        elif seq <= self.high:
            self.check.state.follow(body)

    def end(self) -> None:
        if self.due is not None and self.due != self.high + 1:
            raise incomplete(f"event {self.due} of the period is missing")


STEPS = ("files", "manifest", "checkpoints", "events", "tokens", "replay", "people")


def verify(path: str, options: argparse.Namespace) -> dict[str, Any]:
    """What each step came to; `status` is the exit status."""
    steps: list[dict[str, str]] = []
    report: dict[str, Any] = {"bundle": path, "status": 0, "fault": "", "steps": steps, "notes": []}
    name = "files"
    try:
        check = Check(Bundle(path), options)
        report["notes"] = check.notes
        for name in STEPS:
            steps.append({"step": name, "found": getattr(check, f"check_{name}")()})
    except Fault as fault:
        report.update(status=fault.status, fault=f"{name}: {fault}")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError) as fault:
        # What is not as it is written here was not written by who wrote this.
        report.update(status=1, fault=f"{name}: not of the form it should have ({type(fault).__name__})")
    return report


def kept_checkpoint(path: str) -> tuple[str, int, bytes]:
    with open(path, "rb") as file:  # noqa: PTH123
        return Note(file.read(), path).tree()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check a bundle of evidence.")
    parser.add_argument("bundle", nargs="?", default=sys.argv[0], metavar="BUNDLE.zip")
    parser.add_argument("--log-key", metavar="VKEY", help="the key of the log, as you were given it")
    parser.add_argument("--operator", metavar="KEY", help="the operator's public key (O...)")
    parser.add_argument(
        "--witness", metavar="VKEY", action="append", help="a witness you trust; instead of the bundle's"
    )
    parser.add_argument("--quorum", metavar="N", type=int, help="how many of them must have signed")
    parser.add_argument(
        "--checkpoint", metavar="FILE", action="append", default=[], help="a checkpoint kept from before"
    )
    parser.add_argument("--json", action="store_true", help="tell it to a program")
    options = parser.parse_args(arguments)
    try:
        options.kept = [kept_checkpoint(each) for each in options.checkpoint]
        report = verify(options.bundle, options)
    except (OSError, Fault) as fault:
        report = {"bundle": options.bundle, "status": 3, "fault": str(fault), "steps": [], "notes": []}
    if options.json:
        print(json.dumps(report, indent=1))  # noqa: T201
        return int(report["status"])
    for step in report["steps"]:
        print(f"ok    {step['step']:<12} {step['found']}")  # noqa: T201
    for note in report["notes"]:
        print(f"note  {note}")  # noqa: T201
    words = {0: "all of it holds", 1: "TAMPERED", 2: "INCOMPLETE", 3: "CANNOT BE CHECKED"}[report["status"]]
    print(f"{words}{': ' if report['fault'] else ''}{report['fault']}")  # noqa: T201
    return int(report["status"])


if __name__ == "__main__":
    sys.exit(main())
