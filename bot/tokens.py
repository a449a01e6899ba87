"""`token create`, `token list`, `token revoke`: what opens the API and the web page."""

import argparse
import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot import bootstrap, notices
from bot.access import EVERYONE, Policy, Role
from bot.bootstrap import Installation
from bot.conversation import Author, Door
from bot.keys import Token, digest, new_token, valid_name
from bot.outcome import EXIT_CODES, AuditEvent, Outcome, Word, moment, outcome_json
from bot.ports import Transaction
from bot.words import ago


@dataclass(frozen=True, slots=True)
class _Asked:
    """One action about tokens, by somebody of the local command line."""

    action: str
    actor: str
    name: str
    role: Role

    def event(self, tx: Transaction, word: Word, detail: str) -> AuditEvent:
        """What the audit is told of it."""
        return AuditEvent(
            at=tx.now,
            actor=self.actor,
            door=Door.CLI,
            verb=f"token-{self.action}",
            outcome=word,
            detail=detail,
        )


@dataclass(frozen=True, slots=True)
class _Result:
    """What it came to; the secret of a new token, or every token, beside it."""

    word: Word
    reply: str
    secret: str | None = None
    tokens: Sequence[Token] | None = None


def token(options: argparse.Namespace) -> int:
    """Carry out one action about tokens; returns the exit code."""
    installation = bootstrap.install(options.config)
    result = _result(installation, _asked(options))
    if options.json:
        print(json.dumps(_object(result)))
    else:
        print(f"{result.reply}\n{result.secret}" if result.secret else result.reply)
    return EXIT_CODES[result.word]


def _asked(options: argparse.Namespace) -> _Asked:
    actor = f"cli:{options.speaker or bootstrap.login_name()}"
    role = Role[options.role.upper()] if options.action == "create" else Role.NONE
    return _Asked(options.action, actor, getattr(options, "name", ""), role)


def _result(installation: Installation, asked: _Asked) -> _Result:
    policy = installation.conductor.policy
    needed = Role.VIEWER if asked.action == "list" else Role.ADMIN
    if policy.role_of(Author(asked.actor), Door.CLI) < needed:
        return _denied(installation, asked, needed)
    return {"create": _create, "list": _list, "revoke": _revoke}[asked.action](installation, asked)


def _object(result: _Result) -> Mapping[str, Any]:
    if result.tokens is not None:
        return {"tokens": [_token_json(one) for one in result.tokens]}
    made = {"token": result.secret} if result.secret else {}
    return {**outcome_json(Outcome(word=result.word, reply=result.reply)), **made}


def _token_json(one: Token) -> Mapping[str, Any]:
    return {
        "name": one.name,
        "role": one.role.word,
        "created_at": moment(one.created_at),
        "created_by": one.created_by,
        "last_used_at": moment(one.last_used_at) if one.last_used_at else None,
        "revoked_at": moment(one.revoked_at) if one.revoked_at else None,
    }


def _denied(installation: Installation, asked: _Asked, needed: Role) -> _Result:
    def refuse(tx: Transaction) -> None:
        tx.audit.refused(asked.event(tx, Word.DENIED, ""))

    asyncio.run(installation.inline_store().write(refuse))
    can = _who_can(installation.conductor.policy, needed)
    return _Result(Word.DENIED, notices.no_token_rights(needed.word, can, asked.actor))


def _who_can(policy: Policy, needed: Role) -> Sequence[str]:
    """Those who are named; a token is made nowhere but at the command line."""
    here = (EVERYONE, f"{Door.CLI}:")
    return [name for name in policy.enough_for(needed) if name.startswith(here)]


def _create(installation: Installation, asked: _Asked) -> _Result:
    if not valid_name(asked.name):
        return _Result(Word.INVALID, notices.bad_token_name(asked.name))
    secret = new_token()
    make = partial(_made, asked=asked, digested=digest(secret))
    if not asyncio.run(installation.inline_store().write(make)):
        return _Result(Word.INVALID, notices.token_name_taken(asked.name))
    return _Result(Word.SHOWN, notices.token_made(asked.name, asked.role.word), secret)


def _made(tx: Transaction, asked: _Asked, digested: str) -> bool:
    new = Token(name=asked.name, role=asked.role, created_at=tx.now, created_by=asked.actor)
    made = tx.keys.add_token(new, digested)
    word = Word.SHOWN if made else Word.INVALID
    tx.audit.add(asked.event(tx, word, f"{asked.name} ({asked.role.word})"))
    return made


def _revoke(installation: Installation, asked: _Asked) -> _Result:
    def revoke(tx: Transaction) -> bool:
        revoked = tx.keys.revoke(asked.name)
        tx.audit.add(asked.event(tx, Word.SHOWN if revoked else Word.NOT_FOUND, asked.name))
        return revoked

    if not asyncio.run(installation.inline_store().write(revoke)):
        return _Result(Word.NOT_FOUND, notices.no_such_token(asked.name))
    return _Result(Word.SHOWN, notices.token_revoked(asked.name))


def _list(installation: Installation, _asked: _Asked) -> _Result:
    tokens = asyncio.run(installation.inline_store().read(lambda tx: tx.keys.tokens()))
    lines = [_line(one, time.time()) for one in tokens]
    return _Result(Word.SHOWN, "\n".join(lines) or notices.no_tokens(), tokens=tokens)


def _line(one: Token, now: float) -> str:
    used = f"last used {ago(one.last_used_at, now)}" if one.last_used_at else "never used"
    state = f"revoked {ago(one.revoked_at, now)}" if one.revoked_at else used
    return notices.token_line(one.name, one.role.word, ago(one.created_at, now), state)
