"""Hosts beside this one, what was pushed for them, and what PostgreSQL needs of its own."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_OF_SLACK = "slack_%"


def upgrade() -> None:
    """Add the hosts; a run may move to another one by its branch."""
    op.create_table(
        "hosts",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("repositories", sa.Text(), nullable=False),
    )
    op.create_table(
        "outputs",
        sa.Column("run_id", sa.String(8), primary_key=True),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
    )
    op.add_column(
        "workers", sa.Column("slots", sa.Integer(), nullable=False, server_default=sa.text("1"))
    )
    op.add_column("runs", sa.Column("pushed", sa.Text()))
    op.create_index("ix_runs_branch", "runs", ["branch", "created_at"])
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()


def _postgresql() -> None:
    _collate()
    op.execute("ALTER TABLE events ALTER COLUMN id TYPE bigint")
    op.execute("ALTER SEQUENCE events_id_seq AS bigint")
    op.execute("ALTER TABLE outputs ALTER COLUMN start TYPE bigint")
    op.execute("ALTER TABLE runs ALTER COLUMN claim TYPE bigint")
    op.execute("CREATE SEQUENCE baton_claim_numbers")
    # Imported here because it is an extra that only PostgreSQL needs.
    from procrastinate.schema import SchemaManager  # noqa: PLC0415 - see above

    # By the driver itself: SQLAlchemy would have it look for parameters behind each percent sign.
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(SchemaManager.get_schema())


def _collate() -> None:
    """Text is compared by its code points, as SQLite does: ids are looked up by their beginnings.

    What slack_sdk describes is left as it is.
    """
    bind = op.get_bind()
    found = bind.execute(
        sa.text(
            "SELECT table_name, column_name, data_type, character_maximum_length"
            " FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND collation_name IS NULL"
            " AND data_type IN ('text', 'character varying')"
            " AND table_name NOT LIKE :slack AND table_name <> 'alembic_version'"
        ),
        {"slack": _OF_SLACK},
    )
    changes: dict[str, list[str]] = {}
    for table, column, kind, length in found:
        sized = f"{kind}({length})" if length else kind
        changes.setdefault(table, []).append(f'ALTER COLUMN {column} TYPE {sized} COLLATE "C"')
    for table, columns in changes.items():
        op.execute(f"ALTER TABLE {table} {', '.join(columns)}")
