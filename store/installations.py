"""What slack_sdk's installation store needs of the database: an engine, and one look-up more.

Its tables are made by our migrations; the store itself is joined in bot.bootstrap.
"""

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from store.database import Database, begin, prepare_connection

_ENTERPRISE_OF = text(
    "SELECT enterprise_id FROM slack_bots WHERE client_id = :client_id AND team_id = :team"
    " ORDER BY installed_at DESC LIMIT 1"
)


def open_engine(database: Database) -> AsyncEngine:
    """An engine of its own; each of its transactions takes the write lock at once."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{database.file}")
    event.listen(engine.sync_engine, "connect", prepare_connection)
    event.listen(engine.sync_engine, "begin", begin)
    return engine


async def enterprise_of(engine: AsyncEngine, client_id: str, team: str) -> str | None:
    """The organisation that a workspace belongs to; None where it stands alone."""
    async with engine.connect() as connection:
        found = await connection.execute(_ENTERPRISE_OF, {"client_id": client_id, "team": team})
        return found.scalar()
