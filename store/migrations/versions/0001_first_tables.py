"""The first tables."""

import sqlalchemy as sa
from alembic import op

from store.partial import where

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table and index."""
    op.create_table(
        "cards",
        sa.Column("run_id", sa.String(length=8), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("shown_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("ix_cards_channel", "cards", ["channel"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_deliveries_received", "deliveries", ["received_at"], unique=False)
    op.create_index(
        "ix_deliveries_unfinished",
        "deliveries",
        ["received_at"],
        unique=False,
        **where("state = 'received'"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=8), nullable=True),
        sa.Column("conversation", sa.Text(), nullable=True),
        sa.Column("from_status", sa.String(length=16), nullable=True),
        sa.Column("to_status", sa.String(length=16), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("times", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_events_refused",
        "events",
        ["actor", "verb", "at"],
        unique=False,
        **where("outcome IN ('denied', 'busy')"),
    )
    op.create_index("ix_events_run", "events", ["run_id", "id"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=8), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("claim", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.Float(), nullable=True),
        sa.Column("last_activity_at", sa.Float(), nullable=True),
        sa.Column("lost_at", sa.Float(), nullable=True),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("held_host", sa.Text(), nullable=True),
        sa.Column("held_path", sa.Text(), nullable=True),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("branch", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("steps_done", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("notice", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_door", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_door", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_runs_channel_status_changed", "runs", ["channel", "status", "changed_at"], unique=False
    )
    op.create_index("ix_runs_claim", "runs", ["claim"], unique=False)
    op.create_index(
        "ix_runs_conversation_status_changed",
        "runs",
        ["conversation", "status", "changed_at"],
        unique=False,
    )
    op.create_index("ix_runs_created", "runs", ["created_at"], unique=False)
    op.create_index(
        "ix_runs_leased",
        "runs",
        ["lease_expires_at"],
        unique=False,
        **where("worker IS NOT NULL AND status = 'running'"),
    )
    op.create_index(
        "ix_runs_stopping",
        "runs",
        ["host"],
        unique=False,
        **where("held_path IS NOT NULL AND status = 'cancelled'"),
    )
    op.create_index(
        "ix_runs_waiting",
        "runs",
        ["host", "claim"],
        unique=False,
        **where("worker IS NULL AND status IN ('pending', 'running')"),
    )
    op.create_index(
        "ix_runs_worker",
        "runs",
        ["worker"],
        unique=False,
        **where("held_path IS NOT NULL"),
    )
    op.create_index("uq_runs_held_worktree", "runs", ["held_host", "held_path"], unique=True)
    op.create_table(
        "steps",
        sa.Column("run_id", sa.String(length=8), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "position", "attempt"),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
