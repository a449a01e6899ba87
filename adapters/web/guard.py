"""Who is asking: a token, or a browser that signed in with one."""

import asyncio
import hashlib
import hmac
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass

from adapters.web.attempts import Attempts
from bot import log
from bot.access import Role, granted
from bot.conversation import Author, Door
from bot.keys import SESSION_SECONDS, USED_SECONDS, Session, digest, new_secret
from bot.meter import METER
from bot.outcome import AuditEvent, Word
from bot.ports import DatabaseUnavailableError, Store, Transaction

_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may be asking; `csrf` proves that a form came from our own page."""

    name: str
    role: Role
    csrf: str = ""

    @property
    def may_change(self) -> bool:
        """Whether buttons are any use to them."""
        return self.role >= Role.OPERATOR

    def author(self, platform: str) -> Author:
        """The same as an author of messages."""
        # Whoever comes with a token has its role, and is not meant by `everyone`.
        return Author(f"{platform}:{self.name}", granted(self.role), self.name, outsider=True)


class Guard:
    """Knows tokens, sessions, and the one-time ticket of a local start."""

    def __init__(self, store: Store, local: Role) -> None:
        """`local` is the role that whoever is on this machine has now."""
        self._store = store
        self._local = local
        self._tickets: dict[str, tuple[str, Role]] = {}
        self._noting: set[asyncio.Task[None]] = set()
        self._noted: dict[str, float] = {}
        self.attempts = Attempts()

    def ticket(self, name: str, role: Role) -> str:
        """Opens one session, once, for whoever can read this terminal."""
        secret = new_secret()
        self._tickets[digest(secret)] = name, role
        return secret

    async def of_header(self, header: str | None) -> Caller | None:
        """Whose token this `Authorization` has; None where it opens nothing."""
        if header is None or header[: len(_BEARER)].lower() != _BEARER:
            return None
        return await self._of_token(digest(header[len(_BEARER) :].strip()))

    async def _of_token(self, digested: str) -> Caller | None:
        token = await self._store.read(lambda tx: tx.keys.token(digested))
        if token is None:
            return None
        self._note_use(digested)
        return Caller(token.name, token.role)

    def _note_use(self, digested: str) -> None:
        """A look does not wait for this."""
        now = time.monotonic()
        if now - self._noted.get(digested, -USED_SECONDS) < USED_SECONDS:
            return
        self._noted[digested] = now

        async def note() -> None:
            with suppress(DatabaseUnavailableError):
                await self._store.write(lambda tx: tx.keys.used(digested))

        noting = asyncio.create_task(note())
        self._noting.add(noting)
        noting.add_done_callback(self._noting.discard)

    async def of_cookie(self, secret: str | None) -> Caller | None:
        """Who signed in with this cookie; None where nobody is."""
        if not secret:
            return None
        session = await self._store.read(lambda tx: tx.keys.session(digest(secret)))
        if session is None:
            return None
        if session.token:
            self._note_use(session.token)
        role = session.role if session.token else min(session.role, self._local)
        return Caller(session.name, role, _csrf(secret)) if role else None

    # --- signing in ------------------------------------------------------------------------

    async def sign_in(self, token: str, before: str) -> str | None:
        """The cookie for whoever has this token; None where it opens nothing.

        The session of the cookie `before` ends.
        """
        digested = digest(token.strip())
        caller = await self._of_token(digested)
        if caller is None:
            return None
        return await self._new_session(caller.name, caller.role, digested, before)

    async def redeem(self, ticket: str, before: str) -> str | None:
        """The same for whoever has this ticket; it is used up once there is a session."""
        digested = digest(ticket)
        meant = self._tickets.pop(digested, None)
        if meant is None:
            return None
        try:
            return await self._new_session(*meant, None, before)
        except DatabaseUnavailableError:
            self._tickets[digested] = meant
            raise

    async def _new_session(self, name: str, role: Role, token: str | None, before: str) -> str:
        cookie = new_secret()
        until = time.time() + SESSION_SECONDS
        session = Session(name=name, role=role, expires_at=until, token=token)

        def open_session(tx: Transaction) -> None:
            tx.keys.close_session(digest(before))
            tx.keys.open_session(session, digest(cookie))
            tx.audit.add(_event(tx, name, "sign-in", Word.SHOWN))

        await self._store.write(open_session)
        METER.sign_ins[Door.WEB, Word.SHOWN] += 1
        log.event("web.signin_completed", actor=f"{Door.WEB}:{name}")
        return cookie

    async def refuse(self, address: str) -> None:
        """Somebody came with what opens nothing."""
        log.event("web.signin_rejected", address=address)
        detail = f"from {address}"
        with suppress(DatabaseUnavailableError):
            await self._store.write(
                lambda tx: tx.audit.refused(_event(tx, "?", "sign-in", Word.DENIED, detail))
            )

    async def sign_out(self, name: str, secret: str) -> None:
        """The cookie opens nothing any more."""

        def close_session(tx: Transaction) -> None:
            tx.keys.close_session(digest(secret))
            tx.audit.add(_event(tx, name, "sign-out", Word.SHOWN))

        await self._store.write(close_session)


def _event(
    tx: Transaction, name: str, verb: str, outcome: Word, detail: str | None = None
) -> AuditEvent:
    return AuditEvent(
        at=tx.now,
        actor=f"{Door.WEB}:{name}",
        door=Door.WEB,
        verb=verb,
        outcome=outcome,
        detail=detail,
    )


def _csrf(secret: str) -> str:
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Whether both are the same, without telling by the time it takes how much of it is."""
    return secrets.compare_digest(given.encode(), expected.encode())
