"""An nsc store, read: what it holds, and what in it cannot be used.

One bad file never hides the rest: it is put under quarantine with its reason. Tokens are kept
byte for byte, because whoever re-encodes one changes its identity. What a token says counts, not
the folder it lies in: an account or user has the name of its token, and a user belongs to the
account whose key signed it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from issuer.claims.account import AccountClaims
from issuer.claims.fields import Envelope
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.errors import NotFound, PeerError
from issuer.interop.nsc_files import (
    CREDS_BYTES,
    LINK,
    NOTE_BYTES,
    TOKEN_BYTES,
    FileFault,
    FileMissing,
    Listing,
    folded,
    listing,
    name_fault,
    read_file,
    shown,
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
Standing = Literal["older", "newer", "other"]
Creds = dict[str, list[tuple[Path, str]]]  # by public key: files and the tokens in them


@dataclass(frozen=True, slots=True)
class OddCreds:
    """A creds file that holds another token of the user than the store: which is the one in use?

    nsc writes both, but nothing keeps them together (nsc spec §2.3, 8). `other`: signed in the same second.
    """

    path: str
    user: str
    public: PublicKey
    standing: Standing


@dataclass(frozen=True, slots=True)
class FoundUser:
    """A user. `seed` is None when it is kept elsewhere; `creds` are the paths of its creds files."""

    path: str
    token: Token
    claims: UserClaims
    seed: Seed | None = None
    creds: tuple[str, ...] = ()

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
    """A whole store. `unused` are keys of the keystore that nothing in it mentions.

    `odd_creds` are creds files with another token than the store's, `stray_creds` those of users that
    the store does not hold: deleted ones as a rule, whose creds servers may still let in.
    """

    operators: tuple[FoundOperator, ...] = ()
    orphans: tuple[FoundUser, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    clashes: tuple[Clash, ...] = ()
    unused: tuple[PublicKey, ...] = ()
    odd_creds: tuple[OddCreds, ...] = ()
    stray_creds: tuple[str, ...] = ()


def named(claims: Envelope) -> str:
    """What nsc calls it: the name in the token, or for want of one its key."""
    return claims.name.strip() or claims.sub


def read_store(stores: Path, keys: Path | None, *, operator: str | None = None) -> Inventory:
    """Everything below a stores folder, or of one operator by its folder's name, name or key.

    Raises:
        NotFound: no operator there, or none of that name.
    """
    # The two folders themselves may be links: whoever names them means what they lead to.
    stores, keys = stores.resolve(), keys.resolve() if keys is not None else None
    reading = _Reading()
    reading.keystore = Keystore.read(keys, reading.refuse)
    found = []
    for folder in reading.inside(stores).folders:
        if is_operator_folder(folder):
            read = reading.operator(folder, keys, operator)
            found += [read] if read is not None else []
        elif not os.access(folder, os.R_OK | os.X_OK):
            reading.refuse(folder, "permission denied")
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
        quarantined=tuple(Quarantined(shown(path), reason) for path, reason in reading.quarantined.items()),
        clashes=tuple(reading.clashes),
        unused=reading.keystore.unused(),
        odd_creds=tuple(reading.odd_creds),
        stray_creds=tuple(reading.stray_creds),
    )


@dataclass(slots=True)
class _Reading:
    """One reading of one store: what is put aside on the way."""

    keystore: Keystore = field(default_factory=Keystore)
    orphans: list[FoundUser] = field(default_factory=list)
    quarantined: dict[Path, str] = field(default_factory=dict)
    clashes: list[Clash] = field(default_factory=list)
    odd_creds: list[OddCreds] = field(default_factory=list)
    stray_creds: list[str] = field(default_factory=list)

    def refuse(self, path: Path, reason: str) -> None:
        # A Mac leaves such a file beside every file on a foreign disk; users of such names are taken.
        if not path.name.startswith("._"):
            self.quarantined.setdefault(path, reason)

    def inside(self, folder: Path) -> Listing:
        """What is in a folder of the store; what leads out of it is put aside."""
        try:
            found = listing(folder)
        except FileFault as fault:
            self.refuse(folder, fault.message)
            return Listing()
        for link in found.links:
            self.refuse(link, LINK)
        return found

    def operator(self, folder: Path, keys: Path | None, wanted: str | None) -> FoundOperator | None:
        path = self._own_token(folder)
        # Whose store it would be, without a token only the folder says.
        ours = wanted in {None, folder.name}
        if path is None:
            if ours:
                self.refuse(folder, "holds no operator token")
            return None
        try:
            read = _read(path, OperatorClaims)
        except FileFault as fault:
            if ours:
                self.refuse(path, fault.message)
            return None
        claims = read.claims
        if not ours and wanted not in {named(claims), claims.sub}:
            return None
        places = self.inside(folder / ACCOUNTS).folders
        accounts = list(self._accounts(places))
        self.note_clashes("account", [(one.name, one.path) for one in accounts])
        creds = self._creds(places, keys, {folder.name, named(claims)})
        found = FoundOperator(
            path=shown(path),
            token=read.token,
            claims=claims,
            managed=self._managed(folder / NOTE),
            seed=self.keystore.take(claims.sub),
            signing=self.keystore.take_all(claims.nats.signing_keys),
            accounts=tuple(self._with_users(places, accounts, creds)),
        )
        self.stray_creds += [shown(path) for files in creds.values() for path, _ in files]
        return found

    def _accounts(self, places: Iterable[Path]) -> Iterator[FoundAccount]:
        known: dict[str, str] = {}
        for place in places:
            path = self._own_token(place)
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
            known[claims.sub] = shown(path)
            curve = claims.nats.authorization.xkey
            yield FoundAccount(
                path=shown(path),
                token=read.token,
                claims=claims,
                seed=self.keystore.take(claims.sub),
                signing=self.keystore.take_all(claims.signing_keys()),
                curve=self.keystore.take(curve) if curve else None,
            )

    def _with_users(
        self, places: Iterable[Path], accounts: list[FoundAccount], creds: Creds
    ) -> Iterator[FoundAccount]:
        """Users go to the account that signed them, wherever they lie."""
        signer = {key: one.public for one in accounts for key in (one.public, *one.claims.signing_keys())}
        by_public = {one.public: one for one in accounts}
        users: dict[str, list[FoundUser]] = {one.public: [] for one in accounts}
        known: dict[str, str] = {}
        for path, read in self._users(places):
            claims = read.claims
            if claims.sub in known:
                self.refuse(path, f"is about the same user as {known[claims.sub]}")
                continue
            known[claims.sub] = shown(path)
            user = FoundUser(
                path=known[claims.sub],
                token=read.token,
                claims=claims,
                seed=self.keystore.take(claims.sub),
                creds=self._compare(read, creds.pop(claims.sub, [])),
            )
            owner = by_public.get(signer.get(claims.iss, PublicKey("")))
            if owner is not None and owner.signed(claims):
                users[owner.public].append(user)
            else:
                self.orphans.append(user)
        for account in accounts:
            mine = users[account.public]
            self.note_clashes("user", [(one.name, one.path) for one in mine])
            yield replace(account, users=tuple(mine))

    def _users(self, places: Iterable[Path]) -> Iterator[tuple[Path, Verified[UserClaims]]]:
        for place in places:
            for path in self.inside(place / USERS).ending(JWT):
                read = self._token(path, UserClaims)
                if read is not None:
                    yield path, read

    def _creds(self, places: Iterable[Path], keys: Path | None, names: set[str]) -> Creds:
        """Creds files by their user. A seed may be in one alone; the store's token is what counts."""
        # Long ago they lay in the store.
        folders = [place / USERS for place in places]
        if keys is not None:
            for place in self.inside(keys / CREDS).folders:
                if place.name in names:
                    folders += self.inside(place).folders
        found: Creds = {}
        for folder in folders:
            for path in self.inside(folder).ending(".creds"):
                try:
                    token, seed = parse_creds(read_file(path, CREDS_BYTES))
                except FileFault as fault:
                    self.refuse(path, fault.message)
                except PeerError as fault:
                    self.refuse(path, f"holds no creds: {fault.message}")
                else:
                    self.keystore.add(seed)
                    found.setdefault(seed.public, []).append((path, token))
        return found

    def _compare(self, user: Verified[UserClaims], creds: list[tuple[Path, str]]) -> tuple[str, ...]:
        """Paths of the creds files of a user; those with another token than the store's are noted."""
        claims = user.claims
        for path, token in creds:
            if token == user.token:
                continue
            try:
                theirs = decode(token, UserClaims).claims
            except PeerError as fault:
                self.refuse(path, f"holds no user token: {fault.message}")
                continue
            if theirs.sub != claims.sub:
                self.refuse(path, "holds a token and the seed of another user")
                continue
            order = theirs.iat - claims.iat
            standing: Standing = "older" if order < 0 else "newer" if order else "other"
            self.odd_creds.append(OddCreds(shown(path), named(claims), claims.sub, standing))
        return tuple(shown(path) for path, _ in creds)

    def _token(self, path: Path, kind: type[C]) -> Verified[C] | None:
        try:
            return _read(path, kind)
        except FileFault as fault:
            self.refuse(path, fault.message)
            return None

    def _own_token(self, folder: Path) -> Path | None:
        """The token of an operator's or account's folder: of the same name, else the only one."""
        tokens = self.inside(folder).ending(JWT)
        path = folder / f"{folder.name}{JWT}"
        if path not in tokens and not os.path.lexists(path):
            if len(tokens) != 1:
                return None
            path = tokens[0]
        for other in tokens:
            if other != path:
                # An account that nsc was made to call `..`, for one, lies beside its operator.
                self.refuse(other, f"is beside {path.name}, whose folder this is")
        return path

    def _managed(self, path: Path) -> bool:
        try:
            note: Any = json.loads(read_file(path, NOTE_BYTES))
        except FileMissing:
            return False  # the oldest stores have none
        except FileFault as fault:
            self.refuse(path, fault.message)
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


def _read(path: Path, kind: type[C]) -> Verified[C]:
    """The token of a file, if it can be one of a store.

    Raises:
        FileFault: it cannot, and why.
    """
    what: Any = kind
    text = read_file(path, TOKEN_BYTES)
    try:
        read = decode(parse_decorated_token(text), kind)
    except PeerError as fault:
        where = f"{fault.at} " if fault.at else ""
        raise FileFault(f"holds no {what.kind} token: {where}{fault.message}", at=str(path)) from None
    fault_of_name = name_fault(named(read.claims))
    if fault_of_name is not None:
        raise FileFault(fault_of_name, at=str(path))
    return read
