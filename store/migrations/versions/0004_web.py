"""Tokens for the API, and who is signed in on the web page."""

import sqlalchemy as sa
from alembic import op

from store.partial import where

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add both; of secrets only digests are kept."""
    op.create_table(
        "tokens",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_used_at", sa.Float()),
        sa.Column("revoked_at", sa.Float()),
    )
    op.create_index(
        "uq_tokens_name",
        "tokens",
        ["name"],
        unique=True,
        **where("revoked_at IS NULL"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("token", sa.String(64)),
        sa.Column("expires_at", sa.Float(), nullable=False),
    )
