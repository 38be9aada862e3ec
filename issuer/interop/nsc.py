"""An nsc store, read: what it holds, and what in it cannot be used.

One bad file never hides the rest: it is put under quarantine with its reason. Tokens are kept
byte for byte, because whoever re-encodes one changes its identity. What a token says counts, not
the folder it lies in: an account or user has the name of its token, and a user belongs to the
account whose key signed it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from issuer.claims.account import AccountClaims
from issuer.claims.fields import Envelope
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.errors import NotFound, PeerError
from issuer.interop.nsc_files import (
    CREDS_BYTES,
    NOTE_BYTES,
    TOKEN_BYTES,
    FileFault,
    files,
    folded,
    folders,
    links,
    name_fault,
    read_file,
)
from issuer.interop.nsc_keystore import CREDS, Keystore
from issuer.interop.nsc_place import ACCOUNTS, is_operator_folder
from issuer.keys.creds import parse_creds, parse_decorated_token
from issuer.keys.nkeys import PublicKey, Seed
from issuer.tokens.envelope import Token, Verified, decode

C = TypeVar("C", bound=Envelope)
JWT: Final = ".jwt"
NOTE: Final = ".nsc"
USERS: Final = "users"


@dataclass(frozen=True, slots=True)
class FoundUser:
    """A user. `seed` is None when it is kept elsewhere."""

    path: str
    token: Token
    claims: UserClaims
    seed: Seed | None = None

    @property
    def name(self) -> str:
        return named(self.claims)

    @property
    def public(self) -> PublicKey:
        return self.claims.sub


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """An account, its seeds as far as they are there, and the users its keys have signed."""

    path: str
    token: Token
    claims: AccountClaims
    seed: Seed | None = None
    signing: tuple[Seed, ...] = ()
    curve: Seed | None = None
    users: tuple[FoundUser, ...] = ()

    @property
    def name(self) -> str:
        return named(self.claims)

    @property
    def public(self) -> PublicKey:
        return self.claims.sub

    def signed(self, user: UserClaims) -> bool:
        """Whether a user is this account's: signed by a key of it, and not for another."""
        keys = (self.public, *self.claims.signing_keys())
        return user.iss in keys and user.account == self.public


@dataclass(frozen=True, slots=True)
class FoundOperator:
    """An operator. `managed`: nsc was told that its key is not here, and accounts sign themselves."""

    path: str
    token: Token
    claims: OperatorClaims
    managed: bool = False
    seed: Seed | None = None
    signing: tuple[Seed, ...] = ()
    accounts: tuple[FoundAccount, ...] = ()

    @property
    def name(self) -> str:
        return named(self.claims)

    @property
    def public(self) -> PublicKey:
        return self.claims.sub


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that is left where it is, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Clash:
    """Two things of one name, or of names that one disk holds apart and another does not."""

    kind: str
    name: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """A whole store. `unused` are keys of the keystore that nothing in it mentions."""

    operators: tuple[FoundOperator, ...] = ()
    orphans: tuple[FoundUser, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    clashes: tuple[Clash, ...] = ()
    unused: tuple[PublicKey, ...] = ()


def named(claims: Envelope) -> str:
    """What nsc calls it: the name in the token, or for want of one its key."""
    return claims.name.strip() or claims.sub


def read_store(stores: Path, keys: Path | None, *, operator: str | None = None) -> Inventory:
    """Everything below a stores folder, or of one operator by its folder's name, name or key.

    Raises:
        NotFound: no operator there, or none of that name.
    """
    reading = _Reading()
    reading.keystore = Keystore.read(keys, reading.refuse)
    found = [
        read
        for folder in _operator_folders(stores, reading)
        if (read := reading.operator(folder, keys, operator)) is not None
    ]
    if operator is not None and not found:
        raise NotFound(f"the store holds no operator {operator!r}", at=str(stores))
    if not found and not reading.quarantined:
        raise NotFound(
            "is not an nsc store",
            at=str(stores),
            hint="name the folder with the operators in it, nats/nsc/stores as a rule",
        )
    reading.note_clashes("operator", [(one.name, one.path) for one in found])
    return Inventory(
        operators=tuple(found),
        orphans=tuple(reading.orphans),
        quarantined=tuple(reading.quarantined),
        clashes=tuple(reading.clashes),
        unused=reading.keystore.unused(),
    )


def _operator_folders(stores: Path, reading: _Reading) -> Iterator[Path]:
    for link in links(stores):
        reading.refuse(link, "is a symbolic link")
    for folder in folders(stores):
        if is_operator_folder(folder):
            yield folder


@dataclass(slots=True)
class _Reading:
    """One reading of one store: what is put aside on the way."""

    keystore: Keystore = field(default_factory=Keystore)
    orphans: list[FoundUser] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)

    def refuse(self, path: Path, reason: str) -> None:
        self.quarantined.append(Quarantined(str(path), reason))

    def operator(self, folder: Path, keys: Path | None, wanted: str | None) -> FoundOperator | None:
        path = _own_token(folder)
        if path is None:
            if wanted in {None, folder.name}:
                self.refuse(folder, "holds no operator token")
            return None
        # Whose store a broken token would be, only the folder says.
        aside = len(self.quarantined)
        read = self._token(path, OperatorClaims)
        if read is None:
            if wanted not in {None, folder.name}:
                del self.quarantined[aside:]
            return None
        claims = read.claims
        if wanted is not None and wanted not in {folder.name, named(claims), claims.sub}:
            return None
        accounts = list(self._accounts(folder / ACCOUNTS))
        self.note_clashes("account", [(one.name, one.path) for one in accounts])
        self._creds(folder, keys)
        return FoundOperator(
            path=str(path),
            token=read.token,
            claims=claims,
            managed=self._managed(folder / NOTE),
            seed=self.keystore.take(claims.sub),
            signing=self.keystore.take_all(claims.nats.signing_keys),
            accounts=tuple(self._with_users(folder / ACCOUNTS, accounts)),
        )

    def _accounts(self, folder: Path) -> Iterator[FoundAccount]:
        for link in links(folder):
            self.refuse(link, "is a symbolic link")
        known: dict[str, str] = {}
        for place in folders(folder):
            path = _own_token(place)
            if path is None:
                self.refuse(place, "holds no account token")
                continue
            read = self._token(path, AccountClaims)
            if read is None:
                continue
            claims = read.claims
            if claims.sub in known:
                self.refuse(path, f"is about the same account as {known[claims.sub]}")
                continue
            known[claims.sub] = str(path)
            curve = claims.nats.authorization.xkey
            yield FoundAccount(
                path=str(path),
                token=read.token,
                claims=claims,
                seed=self.keystore.take(claims.sub),
                signing=self.keystore.take_all(claims.signing_keys()),
                curve=self.keystore.take(curve) if curve else None,
            )

    def _with_users(self, folder: Path, accounts: list[FoundAccount]) -> Iterator[FoundAccount]:
        """Users go to the account that signed them, wherever they lie."""
        signer = {key: one.public for one in accounts for key in (one.public, *one.claims.signing_keys())}
        by_public = {one.public: one for one in accounts}
        users: dict[str, list[FoundUser]] = {one.public: [] for one in accounts}
        known: dict[str, str] = {}
        for user in self._users(folder):
            if user.public in known:
                self.refuse(Path(user.path), f"is about the same user as {known[user.public]}")
                continue
            known[user.public] = user.path
            owner = by_public.get(signer.get(user.claims.iss, PublicKey("")))
            if owner is not None and owner.signed(user.claims):
                users[owner.public].append(user)
            else:
                self.orphans.append(user)
        for account in accounts:
            mine = users[account.public]
            self.note_clashes("user", [(one.name, one.path) for one in mine])
            yield replace(account, users=tuple(mine))

    def _users(self, folder: Path) -> Iterator[FoundUser]:
        for place in folders(folder):
            for link in links(place):
                self.refuse(link, "is a symbolic link")
            for path in files(place / USERS, JWT):
                read = self._token(path, UserClaims)
                if read is not None:
                    seed = self.keystore.take(read.claims.sub)
                    yield FoundUser(str(path), read.token, read.claims, seed)

    def _creds(self, folder: Path, keys: Path | None) -> None:
        """Seeds that are in creds files alone; their tokens may be old and do not count."""
        places = [place / USERS for place in folders(folder / ACCOUNTS)]
        if keys is not None:
            places += folders(keys / CREDS / folder.name)
        for place in places:
            for path in files(place, ".creds"):
                try:
                    self.keystore.add(parse_creds(read_file(path, CREDS_BYTES))[1])
                except FileFault as fault:
                    self.refuse(path, fault.message)
                except PeerError as fault:
                    self.refuse(path, f"holds no creds: {fault.message}")

    def _token(self, path: Path, kind: type[C]) -> Verified[C] | None:
        what: Any = kind
        try:
            read = decode(parse_decorated_token(read_file(path, TOKEN_BYTES)), kind)
        except FileFault as fault:
            self.refuse(path, fault.message)
        except PeerError as fault:
            where = f"{fault.at} " if fault.at else ""
            self.refuse(path, f"holds no {what.kind} token: {where}{fault.message}")
        else:
            fault_of_name = name_fault(named(read.claims))
            if fault_of_name is None:
                return read
            self.refuse(path, fault_of_name)
        return None

    def _managed(self, path: Path) -> bool:
        try:
            note: Any = json.loads(read_file(path, NOTE_BYTES))
        except FileFault:
            # The oldest stores have none.
            return False
        except (ValueError, RecursionError):
            self.refuse(path, "is not JSON")
            return False
        return isinstance(note, dict) and note.get("managed") is True

    def note_clashes(self, kind: str, named_paths: list[tuple[str, str]]) -> None:
        together: dict[str, list[tuple[str, str]]] = {}
        for name, path in named_paths:
            together.setdefault(folded(name), []).append((name, path))
        for group in together.values():
            if len(group) > 1:
                self.clashes.append(Clash(kind, group[0][0], tuple(path for _, path in group)))


def _own_token(folder: Path) -> Path | None:
    """The token of an operator's or account's folder: of the same name, else the only one."""
    path = folder / f"{folder.name}{JWT}"
    if path.is_symlink() or path.exists():
        return path
    others = files(folder, JWT)
    return others[0] if len(others) == 1 else None
