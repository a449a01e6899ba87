"""What opens the API and the web page: tokens, and the sessions of signed-in browsers.

A secret is shown once and never kept; what is kept is its digest, from which nobody gets it back.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.access import Role

SESSION_SECONDS = 7 * 86400.0
USED_SECONDS = 60.0
"""The last use of a token is noted as often as this at most."""

LONGEST_NAME = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREFIX = "baton_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it is kept; times are unix seconds, UTC."""

    name: str
    role: Role
    created_at: float
    created_by: str
    last_used_at: float | None = None
    revoked_at: float | None = None

    @property
    def valid(self) -> bool:
        """Whether it still opens something."""
        return self.revoked_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in browser; `token` is the digest of the token it was opened with, if any."""

    name: str
    role: Role
    expires_at: float
    token: str | None = None


def new_token() -> str:
    """A secret that nobody guesses; its beginning tells scanners for leaked secrets whose it is."""
    return f"{_PREFIX}{secrets.token_urlsafe(32)}"


def new_secret() -> str:
    """The same for what no person ever sees."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is kept of a secret. It is long and random, so that one fast hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def valid_name(name: str) -> bool:
    """Whether this can be the name of a token: letters, digits, `.`, `_` and `-`."""
    return _NAME.fullmatch(name) is not None


class Keys(Protocol):
    """Tokens and sessions, known by the digests of their secrets."""

    def add_token(self, token: Token, digest: str) -> bool:
        """Keep a new token; False where its name is taken."""

    def token(self, digest: str) -> Token | None:
        """The token with this digest, unless it was revoked."""

    def tokens(self) -> Sequence[Token]:
        """Every token there ever was, oldest first."""

    def used(self, digest: str) -> None:
        """Note that a token was used just now."""

    def revoke(self, name: str) -> bool:
        """The token of this name opens nothing any more; False where there is none.

        Neither does a session of this name that was opened by the link of a local start.
        """

    def open_session(self, session: Session, digest: str) -> None:
        """Somebody signed in."""

    def session(self, digest: str) -> Session | None:
        """The session with this digest, unless it or its token has come to its end."""

    def close_session(self, digest: str) -> None:
        """Somebody signed out."""
