"""Tokens and sessions: only digests of their secrets."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, text, update

from bot.access import Role
from bot.keys import USED_SECONDS, Session, Token
from store.statement import Row, Statement
from store.tables import VALID_SQL, sessions, tokens

_COLUMNS = (
    *(tokens.c.name, tokens.c.role, tokens.c.created_at, tokens.c.created_by),
    *(tokens.c.last_used_at, tokens.c.revoked_at),
)
_FIND = Statement(select(*_COLUMNS).where(tokens.c.digest == bindparam("digest"), text(VALID_SQL)))
_ALL = Statement(select(*_COLUMNS).order_by(tokens.c.created_at))
_NAMED = Statement(
    select(tokens.c.digest).where(tokens.c.name == bindparam("name"), text(VALID_SQL))
)
_ADD = Statement(insert(tokens), columns=("digest", "name", "role", "created_at", "created_by"))
_USED = Statement(
    text(
        "UPDATE tokens SET last_used_at = :now WHERE digest = :digest"
        " AND coalesce(last_used_at, 0) < :now - :often"
    )
)
_REVOKE = Statement(
    update(tokens)
    .where(tokens.c.name == bindparam("named"), text(VALID_SQL))
    .values(revoked_at=bindparam("now"))
)
_OPEN = Statement(insert(sessions), columns=("digest", "name", "role", "token", "expires_at"))
_SESSION = Statement(
    select(sessions.c.name, sessions.c.role, sessions.c.expires_at, sessions.c.token).where(
        sessions.c.digest == bindparam("digest"), sessions.c.expires_at > bindparam("now")
    )
)
_CLOSE = Statement(delete(sessions).where(sessions.c.digest == bindparam("digest")))
_CLOSE_LINKED = Statement(
    delete(sessions).where(sessions.c.name == bindparam("named"), sessions.c.token.is_(None))
)
_EXPIRED = Statement(delete(sessions).where(sessions.c.expires_at <= bindparam("now")))


def _token_of(row: Row) -> Token:
    name, role, created_at, created_by, last_used_at, revoked_at = row
    return Token(
        name=name,
        role=Role[role.upper()],
        created_at=created_at,
        created_by=created_by,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
    )


class KeyRing:
    """Implements bot.ports.Keys on an open connection."""

    def __init__(self, connection: Connection, now: float) -> None:
        self._connection = connection
        self._now = now

    def add_token(self, token: Token, digest: str) -> bool:
        if _NAMED.row(self._connection, {"name": token.name}) is not None:
            return False
        values = {
            "digest": digest,
            "name": token.name,
            "role": token.role.word,
            "created_at": token.created_at,
            "created_by": token.created_by,
        }
        _ADD.run(self._connection, values)
        return True

    def token(self, digest: str) -> Token | None:
        row = _FIND.row(self._connection, {"digest": digest})
        return _token_of(row) if row else None

    def tokens(self) -> Sequence[Token]:
        return [_token_of(row) for row in _ALL.rows(self._connection, {})]

    def used(self, digest: str) -> None:
        values = {"digest": digest, "now": self._now, "often": USED_SECONDS}
        _USED.run(self._connection, values)

    def revoke(self, name: str) -> bool:
        revoked = _REVOKE.run(self._connection, {"named": name, "now": self._now})
        return revoked + _CLOSE_LINKED.run(self._connection, {"named": name}) > 0

    def open_session(self, session: Session, digest: str) -> None:
        _EXPIRED.run(self._connection, {"now": self._now})
        values = {
            "digest": digest,
            "name": session.name,
            "role": session.role.word,
            "token": session.token,
            "expires_at": session.expires_at,
        }
        _OPEN.run(self._connection, values)

    def session(self, digest: str) -> Session | None:
        row = _SESSION.row(self._connection, {"digest": digest, "now": self._now})
        if row is None:
            return None
        name, role, expires_at, token = row
        if token is not None and self.token(token) is None:
            return None
        return Session(name=name, role=Role[role.upper()], expires_at=expires_at, token=token)

    def close_session(self, digest: str) -> None:
        _CLOSE.run(self._connection, {"digest": digest})
