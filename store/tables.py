"""The tables. Times are unix seconds by the database's clock (SQLite: the host's).

The indexes are those that keep look-ups flat as the tables grow; each one names its reader.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

from store.partial import where

metadata = MetaData()

_BIG = Integer().with_variant(BigInteger, "postgresql")
"""Numbers that go on rising; SQLite's are large enough as they are."""


WAITING_SQL = "worker IS NULL AND status IN ('pending', 'running')"
"""Claims that no worker has started; literal, so that the partial index below serves it."""

LEASED_SQL = "worker IS NOT NULL AND status = 'running'"
"""Runs with a lease; literal for the same reason."""

STOPPING_SQL = "held_path IS NOT NULL AND status = 'cancelled'"
"""Cancelled runs whose processes are not yet proven gone; literal for the same reason."""

CARD_DUE_SQL = "shown_version < version"
"""Runs whose card is behind; literal for the same reason."""

VALID_SQL = "revoked_at IS NULL"
"""Tokens that open something; literal for the same reason."""

ANSWER_DUE_SQL = "message IS NOT NULL"
"""Deliveries that nobody has answered yet; literal for the same reason."""

REFUSED_SQL = "outcome IN ('denied', 'busy')"
"""Attempts that may be counted instead of written; literal for the same reason."""

CLAIM_NUMBERS = "baton_claim_numbers"
"""PostgreSQL's sequence of claim numbers; SQLite needs none."""

HELD_INDEX = "uq_runs_held_worktree"
"""The index that is promise P1; its violation is told from every other by this name."""

runs = Table(
    "runs",
    metadata,
    Column("id", String(8), primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("claim", _BIG, nullable=False),
    Column("worker", Text),
    Column("lease_expires_at", Float),
    Column("last_activity_at", Float),
    Column("lost_at", Float),
    Column("host", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("held_host", Text),
    Column("held_path", Text),
    Column("repository", Text, nullable=False),
    Column("base", Text, nullable=False),
    Column("branch", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("steps_done", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("error", Text),
    Column("notice", Text),
    Column("requested_by", Text, nullable=False),
    Column("requested_door", Text, nullable=False),
    Column("requested_name", Text),
    Column("created_at", Float, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_door", Text, nullable=False),
    Column("changed_name", Text),
    Column("changed_at", Float, nullable=False),
    Column("version", Integer, nullable=False),
    # NULL where nobody is shown a card of this run.
    Column("shown_version", Integer),
    # The commit of its branch that other hosts can have, too.
    Column("pushed", Text),
    # Promise P1: whatever its status, at most one run holds a worktree.
    Index(HELD_INDEX, "held_host", "held_path", unique=True),
    # The next claim number is one more than the highest.
    Index("ix_runs_claim", "claim"),
    # Candidates of a conversation, by status, newest change first.
    Index("ix_runs_channel_status_changed", "channel", "status", "changed_at"),
    # The same for one thread of a conversation.
    Index("ix_runs_conversation_status_changed", "conversation", "status", "changed_at"),
    # `runs`: newest first.
    Index("ix_runs_created", "created_at"),
    # The same in one status; how many there are in each.
    Index("ix_runs_status_created", "status", "created_at", "id"),
    # Where a branch was last worked on.
    Index("ix_runs_branch", "branch", "created_at"),
    # A worker's survey: its own claims, those to start, those to clean up, expired leases.
    Index("ix_runs_worker", "worker", **where("held_path IS NOT NULL")),
    Index("ix_runs_waiting", "host", "claim", **where(WAITING_SQL)),
    Index("ix_runs_stopping", "host", **where(STOPPING_SQL)),
    Index("ix_runs_leased", "lease_expires_at", **where(LEASED_SQL)),
    # Cards that are behind their runs, by channel.
    Index("ix_runs_card_due", "channel", "changed_at", **where(CARD_DUE_SQL)),
)

steps = Table(
    "steps",
    metadata,
    Column("run_id", String(8), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("exit_code", Integer),
)

events = Table(
    "events",
    metadata,
    Column("id", _BIG, primary_key=True),
    Column("at", Float, nullable=False),
    Column("actor", Text, nullable=False),
    Column("actor_name", Text),
    Column("door", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("run_id", String(8)),
    Column("conversation", Text),
    Column("from_status", String(16)),
    Column("to_status", String(16)),
    Column("epoch", Integer),
    Column("detail", Text),
    Column("times", Integer, nullable=False, server_default=text("1")),
    Index("ix_events_run", "run_id", "id"),
    # Refusals that flood are counted on their latest row.
    Index(
        "ix_events_refused",
        "actor",
        "verb",
        "at",
        **where(REFUSED_SQL),
    ),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text),
    Column("state", String(16), nullable=False),
    Column("received_at", Float, nullable=False),
    Column("owner", Text),
    Column("message", Text),
    Column("answer", Text),
    Index("ix_deliveries_received", "received_at"),
    Index("ix_deliveries_due", "received_at", **where(ANSWER_DUE_SQL)),
)

cards = Table(
    "cards",
    metadata,
    Column("run_id", String(8), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("message", Text),
    Column("owner", Text),
    Column("posting", Text),
    Column("news", Text),
    Column("mentioned", Boolean, nullable=False, server_default=false()),
    # A thread finds the run whose card it hangs under.
    Index("ix_cards_message", "channel", "message"),
)

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    # How many runs it works on at a time; none, where it only answers.
    Column("slots", Integer, nullable=False, server_default=text("1")),
    Column("lease_expires_at", Float, nullable=False),
)

outputs = Table(
    "outputs",
    metadata,
    Column("run_id", String(8), primary_key=True),
    # The end of the log, and the offset in it at which that begins.
    Column("start", _BIG, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
)

hosts = Table(
    "hosts",
    metadata,
    Column("name", Text, primary_key=True),
    # The directory that the host works in, by a name that no two have.
    Column("place", Text, nullable=False),
    # Where its worktrees are, and which workflows' repositories it has: JSON, name to path.
    Column("root", Text, nullable=False),
    Column("repositories", Text, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("last_used_at", Float),
    Column("revoked_at", Float),
    # A name means one token at a time.
    Index("uq_tokens_name", "name", unique=True, **where(VALID_SQL)),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    # The token it was opened with; it ends with that.
    Column("token", String(64)),
    Column("expires_at", Float, nullable=False),
)
