"""Signing what the logs say of themselves, and holding the log to what was signed before.

One key signs for all our logs and signs nothing else. It is an nkey of a server's kind, so that it is
sealed, listed and moved as every other key is; its notes are plain Ed25519 (C2SP signed-note). Each
year's tree is a log of its own name: `<origin>/<log>/<year>`.
"""

from __future__ import annotations

import secrets
from typing import Final

from issuer.audit.catalogue import EventCode
from issuer.audit.checkpoint import Checkpoint, parse_checkpoint
from issuer.audit.log import Detail, Event, append
from issuer.audit.note import Kind, Note, NoteNotSigned, VerifierKey, opened_by, parse_note, sign_note
from issuer.audit.tiles import StoredTree, TreeBroken
from issuer.audit.tree import edge_at, root_of, unpack_edge
from issuer.custody.keyring import Keyring
from issuer.errors import NotFound, PeerError
from issuer.keys.nkeys import Role, Seed, raw_public
from issuer.store import checkpoints, tiles
from issuer.store.checkpoints import LogKey, Sealed
from issuer.store.unit import Log, Unit

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_/")


class NoLogKey(NotFound):
    """Nothing signs checkpoints here yet."""

    code = "audit.no-key"


def create_log_key(unit: Unit, keyring: Keyring, actor: str, now: int, origin: str = "") -> LogKey:
    """The key that signs checkpoints from now on. The logs keep their names when it is not the first.

    Raises:
        PeerError: an origin that cannot name a log.
    """
    there = checkpoints.log_keys(unit)
    name = there[0].origin if there else origin or f"accredit-{secrets.token_hex(8)}"
    if not name or not set(name) <= _PLAIN:
        raise PeerError(
            f"{name!r} cannot name a log",
            at="origin",
            hint="small letters, digits, dots, dashes, slashes: log.example.com/accredit",
        )
    seed = Seed.generate(Role.SERVER)
    key_id = keyring.store(unit, seed, purpose="signing", owner_id=None, now=now)
    checkpoints.add_log_key(unit, key_id, name, now)
    key = LogKey(seed.public, name, now)
    vkey = str(VerifierKey(name, Kind.ED25519, raw_public(seed.public)))
    detail: Detail = {"origin": name, "vkey": vkey}
    append(unit, Event(EventCode.LOG_KEY_CREATED, actor, target=seed.public, detail=detail), now)
    return key


def origin_of(key: LogKey, log: Log, year: int) -> str:
    return f"{key.origin}/{log.value}/{year}"


def verifier(key: LogKey, log: Log, year: int) -> VerifierKey:
    """By what one year's checkpoints of a log are known."""
    return VerifierKey(origin_of(key, log, year), Kind.ED25519, raw_public(key.public))


def seal(
    unit: Unit, keyring: Keyring, now: int, log: Log = Log.ADMIN, *, at_once: bool = False
) -> Sealed | None:
    """Sign where a log stands, if that is new, and if no checkpoint is of this second or it has to be
    `at_once`; what was signed."""
    if not is_due(unit, now, log, at_once=at_once):
        return None
    head = unit.log_head(log)
    size = head.seq + 1 - head.first
    key = checkpoints.log_keys(unit)[0]
    return _sign(unit, keyring, key, log, head.year, size, root_of(unpack_edge(head.edge)), now)


def is_due(unit: Unit, now: int, log: Log, *, at_once: bool = False) -> bool:
    """Whether there is something to sign, a key to sign it with, and no checkpoint of this second."""
    head = unit.log_head(log)
    if not head.year or not checkpoints.log_keys(unit):
        return False
    last = checkpoints.newest(unit, log, head.year)
    if last is None:
        return True
    return last.size < head.seq + 1 - head.first and (last.at < now or at_once)


def seal_closed(unit: Unit, keyring: Keyring, now: int, log: Log = Log.ADMIN) -> list[Sealed]:
    """Sign the last state of trees whose year is over, where that was not done."""
    keys = checkpoints.log_keys(unit)
    if not keys:
        return []
    made = []
    for year in list(tiles.trees(unit, log))[:-1]:
        tree = StoredTree(unit, log, year)
        last = checkpoints.newest(unit, log, year)
        if last is None or last.size < tree.size:
            root = root_of(edge_at(tree.size, tree.node))
            made.append(_sign(unit, keyring, keys[0], log, year, tree.size, root, now))
    return made


def held(unit: Unit, sealed: Sealed) -> Checkpoint:
    """A checkpoint we kept, if one of our keys signed it and the tree as it is now begins with it.

    Raises:
        NoLogKey: we have no key.
        NoteNotSigned: none of our keys signed it.
        TreeBroken: the tree is shorter than it, or another.
    """
    keys = checkpoints.log_keys(unit)
    if not keys:
        raise NoLogKey("no key signs checkpoints here", hint="accredit audit checkpoint makes one")
    note = parse_note(sealed.note)
    told = parse_checkpoint(signed_text(note, [verifier(key, sealed.log, sealed.year) for key in keys]))
    at = f"log {sealed.log.value!r}, year {sealed.year}"
    if (told.origin, told.size) != (origin_of(keys[0], sealed.log, sealed.year), sealed.size):
        raise TreeBroken(f"{at}: the checkpoint of {sealed.size} events is another's")
    tree = StoredTree(unit, sealed.log, sealed.year)
    if told.size > tree.size:
        raise TreeBroken(f"{at}: {told.size} events were signed, and only {tree.size} are there")
    if root_of(edge_at(told.size, tree.node)) != told.root:
        raise TreeBroken(f"{at}: the first {told.size} events are not those that were signed")
    return told


def signed_text(note: Note, keys: list[VerifierKey]) -> str:
    """The text of a note that any of these keys signed.

    Raises:
        NoteNotSigned: none of them did.
    """
    for key in keys:
        if note.by(key):
            return opened_by(note, key)
    raise NoteNotSigned("no key of this log has signed this checkpoint")


def whole_note(unit: Unit, sealed: Sealed) -> str:
    """A checkpoint with what witnesses put under it."""
    return sealed.note + "".join(checkpoints.cosignatures(unit, sealed).values())


def _sign(
    unit: Unit, keyring: Keyring, key: LogKey, log: Log, year: int, size: int, root: bytes, now: int
) -> Sealed:
    name = verifier(key, log, year)
    signer = keyring.signer(unit, key.public)
    note = sign_note(str(Checkpoint(name.name, size, root)), name.name, name.raw, signer.sign)
    sealed = Sealed(log, year, size, str(note), now)
    checkpoints.keep(unit, sealed)
    return sealed
