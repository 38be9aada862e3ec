"""Bringing a store to a revision. Alembic is imported here and nowhere else outside `migrations`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy.engine import URL

from issuer.errors import Defect
from issuer.store.engine import connect_engine, parse_address
from issuer.store.faults import translated


def scripts() -> Path:
    """The migrations: inside the package when installed, beside it in a working tree."""
    package = Path(__file__).resolve().parent.parent
    for place in (package / "migrations", package.parent / "migrations"):
        if (place / "env.py").is_file():
            return place
    raise Defect("the migrations are missing from this installation")


def upgrade(address: str | URL, revision: str = "head") -> None:
    """Up to a revision; whoever comes second waits and finds it done."""
    _run(address, revision, up=True)


def downgrade(address: str | URL, revision: str) -> None:
    """Down to a revision, `base` for an empty database."""
    _run(address, revision, up=False)


def configuration(address: str | URL) -> Config:
    """Alembic's configuration without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["address"] = parse_address(address) if isinstance(address, str) else address
    return config


def _run(address: str | URL, revision: str, *, up: bool) -> None:
    config = configuration(address)
    engine = connect_engine(config.attributes["address"], create=True)
    try:
        with translated(), engine.connect() as connection:
            config.attributes["connection"] = connection
            (command.upgrade if up else command.downgrade)(config, revision)
    except CommandError as fault:
        raise Defect(f"the store cannot be migrated: {fault}") from None
    finally:
        engine.dispose()
