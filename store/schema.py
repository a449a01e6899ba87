"""Bringing a database up to date: every command does it first, under one lock."""

from pathlib import Path

from sqlalchemy import Connection

from bot.errors import SchemaError
from store.database import Database

CURRENT = "0006"
"""The newest migration; a test holds it equal to the migrations' own head."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def bring_up_to_date(database: Database) -> None:
    """Make the tables of an empty database, or change those of an older one.

    Raises SchemaError for a database of a newer Baton, ConfigurationError where there can be
    no database at that place, DatabaseUnavailableError where it does not answer.
    """
    database.bring_to(CURRENT)


def is_current(database: Database) -> bool:
    """Whether the tables are those of this Baton. Raises DatabaseUnavailableError."""
    return database.version() == CURRENT


def migrate(connection: Connection, at: str | None) -> None:
    """Change the tables, which are at this migration, in the transaction that is open.

    Raises SchemaError for tables of a newer Baton.
    """
    # Imported here because it is slow to import and almost no command needs it.
    from alembic.command import upgrade  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if at is not None and at not in known:
        raise SchemaError(at)
    config.attributes["connection"] = connection
    upgrade(config, "head")
