"""Opening the service on a store: database, master key, keyring. Who composes a process starts here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from issuer import __version__
from issuer.audit.catalogue import EventCode
from issuer.audit.checkpoints import create_log_key
from issuer.audit.log import Detail, Event, append
from issuer.authority.desk import Actor, Authority, Clock
from issuer.custody.keyring import Keyring, open_keyring
from issuer.custody.master import (
    MasterKey,
    create_master_key_file,
    derive_master_key,
    load_master_key,
    new_salt,
)
from issuer.settings import MASTER_KEY_VARIABLE, Settings
from issuer.store import keys
from issuer.store.unit import HEAD_REVISION, Database

Ask = Callable[[], str]

_FROM_ENVIRONMENT: Final = "environment"
_FROM_FILE: Final = "file"
_ASKED: Final = "asked"


def open_authority(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    clock: Clock,
    database: Database,
    ask: Ask | None = None,
) -> Authority:
    """The service on a store that exists; `ask` is how a passphrase is asked for, None for never.

    Raises:
        MasterKeyMissing: nothing holds a master key.
        WrongMasterKey: it is not this store's.
    """
    return Authority(
        database,
        unlock(settings, environment, database=database, now=clock(), ask=ask),
        clock=clock,
    )


def unlock(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    database: Database,
    now: int,
    ask: Ask | None = None,
) -> Keyring:
    """The keyring of a store, with the master key the settings lead to."""
    with database.reading() as unit:
        record = keys.custody_record(unit)
        if record is not None:
            master = load_master_key(
                file=settings.master_key_file,
                environment=environment.get(MASTER_KEY_VARIABLE),
                ask=ask,
                record=record,
            )
            return open_keyring(unit, master, now=now)
    # A store that was made, but whose maker ended before its master key was noted.
    return _found_custody(settings, environment, database, Actor(settings.actor), now, None)


def create_store(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    actor: Actor,
    now: int,
    choose: Ask | None = None,
) -> Database:
    """A store that is there and has its master key, made as far as it was missing.

    `choose` asks for a new passphrase; without it a new key goes into the master key file.
    """
    database = Database.open(settings.database, create=True)
    try:
        with database.reading() as unit:
            founded = keys.custody_record(unit) is not None
        if not founded:
            _found_custody(settings, environment, database, actor, now, choose)
    except BaseException:
        database.close()
        raise
    return database


def _found_custody(
    settings: Settings,
    environment: Mapping[str, str],
    database: Database,
    actor: Actor,
    now: int,
    choose: Ask | None,
) -> Keyring:
    salt = new_salt()
    master, source = _new_master_key(settings, environment, choose, salt)
    with database.writing() as unit:
        keyring = open_keyring(unit, master, now=now, salt=salt)
        created: Detail = {"version": __version__, "revision": HEAD_REVISION}
        append(unit, Event(code=EventCode.STORE_CREATED, actor=str(actor), detail=created), now)
        held: Detail = {"source": source, "key_id": master.key_id}
        append(unit, Event(code=EventCode.CUSTODY_CREATED, actor=str(actor), detail=held), now)
        create_log_key(unit, keyring, str(actor), now, settings.log_origin)
    return keyring


def _new_master_key(
    settings: Settings, environment: Mapping[str, str], choose: Ask | None, salt: bytes
) -> tuple[MasterKey, str]:
    if environment.get(MASTER_KEY_VARIABLE):
        return load_master_key(environment=environment[MASTER_KEY_VARIABLE]), _FROM_ENVIRONMENT
    if choose is not None:
        return derive_master_key(choose(), salt), _ASKED
    if settings.master_key_file.exists():
        return load_master_key(file=settings.master_key_file), _FROM_FILE
    return create_master_key_file(settings.master_key_file), _FROM_FILE
