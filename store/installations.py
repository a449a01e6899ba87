"""What slack_sdk's installation store needs of the database beside an engine: one look-up more.

Its tables are made by our migrations; the store itself is joined in bot.bootstrap.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_ENTERPRISE_OF = text(
    "SELECT enterprise_id FROM slack_bots WHERE client_id = :client_id AND team_id = :team"
    " ORDER BY installed_at DESC LIMIT 1"
)


async def enterprise_of(engine: AsyncEngine, client_id: str, team: str) -> str | None:
    """The organisation that a workspace belongs to; None where it stands alone."""
    async with engine.connect() as connection:
        found = await connection.execute(_ENTERPRISE_OF, {"client_id": client_id, "team": team})
        return found.scalar()
