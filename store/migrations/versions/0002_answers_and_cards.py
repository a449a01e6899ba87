"""Names of people, answers that are due, and cards that heal."""

import sqlalchemy as sa
from alembic import op

from store.partial import where

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what chat platforms need."""
    _people()
    _deliveries()
    _cards()


def _people() -> None:
    op.add_column("runs", sa.Column("requested_name", sa.Text()))
    op.add_column("runs", sa.Column("changed_name", sa.Text()))
    op.add_column("events", sa.Column("actor_name", sa.Text()))


def _deliveries() -> None:
    op.add_column("deliveries", sa.Column("owner", sa.Text()))
    op.drop_index("ix_deliveries_unfinished", "deliveries")
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["received_at"],
        **where("message IS NOT NULL"),
    )
    # Until now only doors that wait for their answer had deliveries: none of them is due.
    op.execute("UPDATE deliveries SET message = NULL")


def _cards() -> None:
    op.add_column("runs", sa.Column("shown_version", sa.Integer()))
    op.execute(
        "UPDATE runs SET shown_version ="
        " (SELECT shown_version FROM cards WHERE run_id = runs.id"
        " AND cards.channel LIKE 'terminal:%')"
    )
    op.execute("DELETE FROM cards WHERE channel NOT LIKE 'terminal:%'")
    op.create_index(
        "ix_runs_card_due",
        "runs",
        ["channel", "changed_at"],
        **where("shown_version < version"),
    )
    op.drop_index("ix_cards_channel", "cards")
    op.drop_column("cards", "shown_version")
    for name in ("owner", "posting", "news"):
        op.add_column("cards", sa.Column(name, sa.Text()))
    op.add_column(
        "cards", sa.Column("mentioned", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_index("ix_cards_message", "cards", ["channel", "message"])
