"""One command from the command line: claim or look, print, exit."""

import argparse
import asyncio
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from typing import Any

from bot import bootstrap, notices, replies
from bot.bootstrap import Installation
from bot.card import headline, settled
from bot.commands.looking import plain, told_elsewhere
from bot.conversation import Author, Conversation, Door, Message
from bot.outcome import EXIT_CODES, Answer, Word, run_json
from bot.output import Output
from bot.ports import Store
from bot.run import Run

_CLAIMED = frozenset({Word.STARTED, Word.RESUMED})
_LISTS = {"runs": "runs", "history": "events"}
_FOLLOW_SECONDS = 0.2
_PATIENCE_SECONDS = 1.0


def command(options: argparse.Namespace) -> int:
    """Carry out one verb of the command table; returns its exit code."""
    installation = bootstrap.install(options.config)
    if getattr(options, "here", False):
        return asyncio.run(_here(installation, options))
    with _patience_told():
        answer = asyncio.run(_ask(installation, _message(options, worker=None)))
    if options.verb == "logs" and answer.word is Word.SHOWN and answer.run_id:
        return asyncio.run(_show_log(installation, answer.run_id, follow=options.follow))
    _print(answer, options)
    return EXIT_CODES[answer.word]


@contextmanager
def _patience_told() -> Iterator[None]:
    """Whoever waits for the database is told so."""
    waits = threading.Timer(_PATIENCE_SECONDS, print, (notices.waits(),), {"file": sys.stderr})
    waits.daemon = True
    waits.start()
    try:
        yield
    finally:
        waits.cancel()


def _message(options: argparse.Namespace, worker: str | None) -> Message:
    name = options.name or bootstrap.login_name()
    actor = f"cli:{name}"
    delivery = getattr(options, "delivery", None)
    return Message(
        text=_text(options),
        words=_words(options),
        conversation=Conversation(actor),
        author=Author(actor),
        door=Door.CLI,
        delivery=f"{actor}:{delivery}" if delivery else None,
        seen_epoch=getattr(options, "epoch", None),
        worker=worker,
    )


def _text(options: argparse.Namespace) -> str:
    words = getattr(options, "words", [])
    said = [words] if isinstance(words, str) else list(words)
    return f"{options.verb} {' '.join(said)}"


def _words(options: argparse.Namespace) -> Sequence[str] | None:
    """What a shell has split already is not split again."""
    return list(options.words) if options.verb == "run" else None


async def _ask(installation: Installation, message: Message) -> Answer:
    answer = await installation.dispatcher(installation.inline_store()).handle(message)
    assert answer is not None  # noqa: S101 - a verb of the table is never plain talk
    return answer


def _print(answer: Answer, options: argparse.Namespace) -> None:
    if getattr(options, "json", False):
        print(json.dumps(_object(answer, options.verb)))
    else:
        print(answer.reply)


def _object(answer: Answer, verb: str) -> Mapping[str, Any]:
    """The JSON object of the contract for this verb."""
    if answer.word is not Word.SHOWN or verb not in _LISTS:
        return {key: answer.body[key] for key in answer.body if key != "events"}
    source = {"runs": "candidates", "events": "events"}[_LISTS[verb]]
    return {_LISTS[verb]: answer.body.get(source, [])}


# --- --here ----------------------------------------------------------------------------------


async def _here(installation: Installation, options: argparse.Namespace) -> int:
    """Claim and start in one statement, and work on the run until it settles."""
    async with bootstrap.serving(installation, concurrency=0) as service:
        message = _message(options, worker=service.worker.post.name)
        answer = await service.dispatcher.handle(message)
        assert answer is not None  # noqa: S101 - a verb of the table is never plain talk
        if answer.word in _CLAIMED and answer.run_id:
            answer = await _work(service, answer, quiet=options.json)
        _print(answer, options)
    return EXIT_CODES[answer.word]


async def _work(service: bootstrap.Service, answer: Answer, *, quiet: bool) -> Answer:
    """Work on what was claimed just now; a repeated delivery only tells of it, as it is now."""
    run = await _get(service.store, answer.run_id or "")
    if not quiet:
        print(answer.reply, flush=True)
    if run.worker == service.worker.post.name and not settled(run):
        run = await bootstrap.carry_through(service, run, quiet=quiet)
    reply = answer.reply if quiet else headline(run, time.time())
    return Answer(answer.word, reply, {**answer.body, "run": run_json(run)})


async def _get(store: Store, run_id: str) -> Run:
    run = await store.read(lambda tx: tx.runs.get(run_id))
    assert run is not None  # noqa: S101 - runs are never deleted
    return run


# --- logs ------------------------------------------------------------------------------------


async def _show_log(installation: Installation, run_id: str, *, follow: bool) -> int:
    """Print a run's output, and with `follow` go on until the run settles."""
    store = installation.inline_store()
    run = await _get(store, run_id)
    print_on = partial(_print_on, installation, store, run_id)
    at = await print_on(0, last=not follow)
    if at == 0 and not follow:
        print(replies.log_tail(run, deque()))
    while follow:
        over = settled(await _get(store, run_id))
        at = await print_on(at, last=over)
        if over:
            break
        await asyncio.sleep(_FOLLOW_SECONDS)
    return EXIT_CODES[Word.SHOWN]


async def _print_on(
    installation: Installation, store: Store, run_id: str, at: int, *, last: bool
) -> int:
    """Print the whole lines from an offset on; returns the offset behind them.

    The `last` time a line without its end is printed as well.
    """
    host = installation.conductor.house.host
    kept = await store.read(lambda tx: told_elsewhere(tx, run_id, host))
    if kept is None:
        try:
            with installation.workshop.log_path(run_id).open("rb") as file:
                file.seek(at)
                return _print_lines(file, at, last=last)
        except FileNotFoundError:
            kept = await store.read(lambda tx: tx.outputs.get(run_id))
    told = kept.since(at) if kept else Output(at, b"")
    return _print_lines(BytesIO(told.content), told.start, last=last)


def _print_lines(lines: Iterable[bytes], at: int, *, last: bool) -> int:
    for line in lines:
        if not line.endswith(b"\n") and not last:
            break
        at += len(line)
        sys.stdout.write(plain(line.decode("utf-8", "replace")) + "\n")
    sys.stdout.flush()
    return at
