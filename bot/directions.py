"""What `baton move` says: how far it is, why it did not move, and what to do next."""

import json
import re
from collections.abc import Collection, Mapping, Sequence

_SECRETS = (
    # Both greedy: where a password has characters that it should not have, rather too much.
    (re.compile(r"^(\w+://[^:@/]*:)[^/]*@"), r"\1***@"),
    (re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE), r"\1***"),
)
_SHOWN_KEYS = 5


def _masked(url: str) -> str:
    for secret, shown in _SECRETS:
        url = secret.sub(shown, url)
    return url


# --- while it works --------------------------------------------------------------------------


def progress(table: str, done: int, total: int, *, compared: bool) -> str:
    """How far it is with a table."""
    if compared:
        return f"{table}: comparing {total:,} rows"
    return f"{table}: copied {done:,} of {total:,} rows"


# --- why nothing was moved -------------------------------------------------------------------


def no_target(why: str) -> str:
    """What stands behind --to is no address of a PostgreSQL database, or not one for Baton."""
    return f"--to: {why.rstrip('.')}. Nothing was moved."


def expected_target() -> str:
    """What should stand behind --to."""
    return "expected something like postgresql://baton@db.example.com/baton"


def other_encoding(encoding: str) -> str:
    """The database cannot hold every character."""
    return (
        f"this database has the encoding {encoding}, which cannot hold all that people write; make"
        " one with ENCODING 'UTF8' TEMPLATE template0"
    )


def no_driver(missing: str) -> str:
    """What talks to PostgreSQL is not installed."""
    return (
        f"{missing} is not installed, so Baton cannot talk to PostgreSQL. Nothing was moved;"
        " install baton-bot[postgres]."
    )


def moved_before() -> str:
    """The configuration names PostgreSQL."""
    return (
        "database.url names a PostgreSQL database, and only a SQLite file can be moved. Nothing was"
        " moved; see --config, if you meant another Baton."
    )


def nothing_to_move(file: object) -> str:
    """The configuration names a file that is not there."""
    return (
        f"database.url: there is no database at {file}. Nothing was moved; see --config, or the"
        " directory that you are in."
    )


def still_alive(processes: Collection[tuple[str, int]], seconds: float) -> str:
    """Baton runs."""
    named = ", ".join(f"process {pid} on {host}" for host, pid in sorted(processes))
    return (
        f"Baton is still running: {named}. Nothing was moved; stop every Baton that uses this"
        f" database, then move. One that was killed counts as running for {seconds:.0f} seconds."
    )


def not_empty(table: str) -> str:
    """The database to move into is in use, or was."""
    return (
        f"The PostgreSQL database is not empty: its table {table} has rows. Nothing was moved, and"
        " nothing was changed in it; name an empty database."
    )


def not_ours(table: str) -> str:
    """Something else lives in the database."""
    return (
        f"The PostgreSQL database has a table {table} that no Baton made. Nothing was moved, and"
        " nothing was changed in it; name a database of Baton's own."
    )


def target_unavailable(reason: str) -> str:
    """PostgreSQL does not do what it should."""
    return (
        f"The PostgreSQL database cannot be used: {reason}. Nothing was moved; mend that, then move"
        " again."
    )


def unsure() -> str:
    """PostgreSQL went away in the middle of the commit."""
    return (
        "PostgreSQL went away during the commit, so nobody can say yet whether everything was moved"
        " or nothing. Move again once it is back: if it then is not empty, everything was moved,"
        " compared and in order."
    )


def unfit(table: str, key: str, why: str) -> str:
    """PostgreSQL does not take a row."""
    row = f"the row {key} of" if key else "a row of"
    return (
        f"PostgreSQL does not take {row} the table {table}: {why}. Nothing was moved; mend the row"
        " in the SQLite file, then move again."
    )


def differs(table: str) -> str:
    """What arrived is not what was sent."""
    return (
        f"What arrived in the table {table} is not what was sent, so it was not kept. Nothing was"
        " moved; the SQLite file is as it was."
    )


# --- what was moved --------------------------------------------------------------------------


def moved(url: str, counts: Mapping[str, int], mended: Mapping[str, Sequence[str]]) -> str:
    """Everything was moved."""
    width = max(map(len, counts))
    lines = [f"Moved to {_masked(url)}, and compared there row by row:"]
    lines += [f"    {table:<{width}}  {count:>10,}" for table, count in counts.items()]
    lines += [_mended(table, keys) for table, keys in mended.items()]
    return "\n".join(lines)


def _mended(table: str, keys: Sequence[str]) -> str:
    shown = ", ".join(map(repr, keys[:_SHOWN_KEYS]))
    more = f" and {len(keys) - _SHOWN_KEYS:,} more" if len(keys) > _SHOWN_KEYS else ""
    return (
        f"PostgreSQL takes no NUL character within a text; in the table {table} each became U+FFFD:"
        f" {shown}{more}."
    )


def next_steps(url: str, file: object, state: str, *, state_is_set: bool) -> str:
    """What is left to do by hand."""
    if state_is_set:
        keep = "Leave runner.directory as it is: worktrees, logs and the id of this host live there"
    else:
        keep = (
            f"Set runner.directory = {json.dumps(state, ensure_ascii=False)}: worktrees, logs and"
            " the id of this host live there"
        )
    return (
        f"Next:\n  1. Set database.url to {_masked(url)}, with its password.\n  2. {keep}.\n"
        "  3. Start Baton.\n"
        f"{file} is unchanged. Keep it as a backup, and let no Baton use it any more: what it did"
        " there would be missing in PostgreSQL."
    )
