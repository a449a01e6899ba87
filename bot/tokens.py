"""`token create`, `token list`, `token revoke`: what opens the API and the web page."""

import argparse
import asyncio
import time
from functools import partial

from bot import bootstrap, notices
from bot.access import Role
from bot.bootstrap import Installation
from bot.conversation import Author, Door
from bot.keys import Token, digest, new_token, valid_name
from bot.outcome import AuditEvent
from bot.ports import Transaction
from bot.words import ago

_FAILED, _USAGE, _NOT_FOUND, _DENIED = 1, 2, 3, 4


def token(options: argparse.Namespace) -> int:
    """Carry out one action about tokens; returns the exit code."""
    installation = bootstrap.install(options.config)
    author = Author(f"cli:{bootstrap.login_name()}")
    needed = Role.VIEWER if options.action == "list" else Role.ADMIN
    if installation.conductor.policy.role_of(author, Door.CLI) < needed:
        asyncio.run(installation.inline_store().write(partial(_denied, action=options.action)))
        print(notices.no_token_rights(needed.word))
        return _DENIED
    if options.action == "list":
        return _list(installation)
    if options.action == "create":
        return _create(installation, options.name, Role[options.role.upper()])
    return _revoke(installation, options.name)


def _denied(tx: Transaction, action: str) -> None:
    tx.audit.refused(_event(tx, f"token-{action}", "denied", ""))


def _create(installation: Installation, name: str, role: Role) -> int:
    if not valid_name(name):
        print(notices.bad_token_name(name))
        return _USAGE
    secret = new_token()
    make = partial(_made, name=name, role=role, digested=digest(secret))
    if not asyncio.run(installation.inline_store().write(make)):
        print(notices.token_name_taken(name))
        return _FAILED
    print(notices.token_made(name, role.word, secret))
    return 0


def _made(tx: Transaction, name: str, role: Role, digested: str) -> bool:
    event = _event(tx, "token-create", "shown", f"{name} ({role.word})")
    made = tx.keys.add_token(
        Token(name=name, role=role, created_at=tx.now, created_by=event.actor), digested
    )
    if made:
        tx.audit.add(event)
    return made


def _event(tx: Transaction, verb: str, outcome: str, detail: str) -> AuditEvent:
    actor = f"cli:{bootstrap.login_name()}"
    return AuditEvent(
        at=tx.now, actor=actor, door=Door.CLI, verb=verb, outcome=outcome, detail=detail
    )


def _revoke(installation: Installation, name: str) -> int:
    def revoke(tx: Transaction) -> bool:
        revoked = tx.keys.revoke(name)
        tx.audit.add(_event(tx, "token-revoke", "shown" if revoked else "not_found", name))
        return revoked

    if not asyncio.run(installation.inline_store().write(revoke)):
        print(notices.no_such_token(name))
        return _NOT_FOUND
    print(notices.token_revoked(name))
    return 0


def _list(installation: Installation) -> int:
    tokens = asyncio.run(installation.inline_store().read(lambda tx: tx.keys.tokens()))
    now = time.time()
    for one in tokens:
        used = f"last used {ago(one.last_used_at, now)}" if one.last_used_at else "never used"
        state = f"revoked {ago(one.revoked_at, now)}" if one.revoked_at else used
        print(notices.token_line(one.name, one.role.word, ago(one.created_at, now), state))
    if not tokens:
        print(notices.no_tokens())
    return 0
