"""Lists of the runs in one status, newest first, however many runs there are."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_runs_status_created", "runs", ["status", "created_at", "id"])
