"""Keeps the cards of one platform true: each run's card is edited until it shows its run.

A card is due while the version shown is behind the run's, so nothing that happens can be missed:
what fails is tried again, what a crash interrupts is found by the next process. Beside its card a
run gets a new message only when a person is needed or the run ended.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic

from bot import log, tenure
from bot.board import (
    Board,
    PostGoneError,
    PostLaterError,
    PostRefusedError,
    PostUncertainError,
    TakenForGoneError,
)
from bot.conversation import Conversation
from bot.meter import METER
from bot.ports import DatabaseUnavailableError, Presence, Store, Transaction
from bot.records import Card
from bot.run import Run, RunStatus

EDIT_SECONDS = 1.2
"""Between two edits in one channel, so that no platform finds them too many."""

_RECHECK_SECONDS = 1.0
_AGAIN_SECONDS = 1.0
_CARD = "card"
_AFTER_ALL = "\U0010ffff"


_Post = Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class _Posting:
    """What is posted under which name, what is noted beforehand, and what was noted before."""

    what: str
    note: str
    before: str | None


@dataclass(frozen=True, slots=True)
class Desk:
    """Whose cards a keeper keeps: `owner` is this process, `platform` the first word of a key."""

    platform: str
    owner: str
    edit_seconds: float = EDIT_SECONDS


class CardKeeper:
    """Shows every card of a platform, one edit at a time in each channel."""

    def __init__(self, desk: Desk, store: Store, board: Board, presence: Presence) -> None:
        self._desk = desk
        self._store = store
        self._board = board
        self._presence = presence
        self._ready_at: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._behind: dict[tuple[str, int], float] = {}
        self._freed = asyncio.Event()

    async def keep(self) -> None:
        """Keep the cards until cancelled; then every edit under way has come to its end."""
        watch = self._store.watch()
        try:
            while True:
                await self._look_round()
                await self._first(watch.changed(self._pause()), self._freed.wait())
                self._freed.clear()
        finally:
            METER.behind_since.pop(self._desk.platform, None)
            watch.close()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    @staticmethod
    async def _first(*works: object) -> None:
        waits = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in waits:
                waiting.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _pause(self) -> float:
        """Seconds until the next channel may be edited again, or until all is looked at anew."""
        now = asyncio.get_running_loop().time()
        self._ready_at = {place: at for place, at in self._ready_at.items() if at > now}
        return min((at - now for at in self._ready_at.values()), default=_RECHECK_SECONDS)

    async def _look_round(self) -> None:
        now, since = asyncio.get_running_loop().time, self._presence.stretch
        # What is read of a card while it is being shown is out of date once that is over.
        being_shown = set(self._under_way)
        try:
            cards = await self._store.read(self._due)
            keepable = await self._keepable({card.owner for card in cards})
        except DatabaseUnavailableError as error:
            log.event("card.look_rejected", reason=str(error))
            return
        except Exception as error:  # noqa: BLE001 - the next look may do better
            log.fault("card.look_failed", error)
            return
        self._measure([card for card in cards if card.owner in keepable])
        for card in cards:
            place = Conversation(card.run.conversation).channel
            busy = place in being_shown or place in self._under_way
            ready = not busy and self._ready_at.get(place, 0) <= now()
            if ready and card.owner in keepable:
                self._begin(place, card, since)

    def _measure(self, ours: Sequence[Card]) -> None:
        """Since when each of them waits; one that was shown in between waits anew."""
        waiting = [(card.run.id, card.shown) for card in ours]
        self._behind = {one: self._behind.get(one, monotonic()) for one in waiting}
        if self._behind:
            METER.behind_since[self._desk.platform] = min(self._behind.values())
        else:
            METER.behind_since.pop(self._desk.platform, None)

    def _due(self, tx: Transaction) -> list[Card]:
        first = f"{self._desk.platform}:"
        return list(tx.cards.due(first, first + _AFTER_ALL, self._desk.owner))

    async def _keepable(self, owners: Collection[str | None]) -> Collection[str | None]:
        """Those of these owners whose cards this process may keep."""
        ours = {None, self._desk.owner}
        others = {owner for owner in owners if owner is not None} - ours
        return ours | set(await self._presence.gone(others)) if others else ours

    def _begin(self, place: str, card: Card, since: int) -> None:
        now = asyncio.get_running_loop().time()
        self._ready_at[place] = now + self._desk.edit_seconds
        task = asyncio.create_task(self._keep_one(place, card, since))
        self._under_way[place] = task
        task.add_done_callback(partial(self._ended, place))

    def _ended(self, place: str, _task: object) -> None:
        del self._under_way[place]
        self._freed.set()

    async def _keep_one(self, place: str, card: Card, since: int) -> None:
        """Show one card; whatever goes wrong with it is logged and is no matter of the others."""
        tenure.begin(since)
        try:
            if card.owner != self._desk.owner and not await self._take(card):
                return
            await self._show(replace(card, owner=self._desk.owner), since)
        except PostLaterError as later:
            now = asyncio.get_running_loop().time()
            self._ready_at[place] = now + max(later.seconds, self._desk.edit_seconds)
            log.event("card.show_rejected", run=card.run.id, reason=str(later))
        except (DatabaseUnavailableError, TakenForGoneError) as error:
            log.event("card.show_rejected", run=card.run.id, reason=str(error) or "taken for gone")
        except Exception as error:  # noqa: BLE001 - see above
            log.fault("card.show_failed", error, run=card.run.id)
            self._ready_at[place] = asyncio.get_running_loop().time() + _AGAIN_SECONDS

    async def _take(self, card: Card) -> bool:
        take = partial(_take, card=card, owner=self._desk.owner)
        return await self._store.write(take)

    # --- one card --------------------------------------------------------------------------

    async def _show(self, card: Card, since: int) -> None:
        """Bring card and news up to the run as it was read, and note that people see it."""
        try:
            card = await self._with_message(card, since)
            card = await self._with_news(card, since)
        except PostRefusedError as refused:
            # Nothing to be done before somebody lets us in; the next change tries again.
            log.event("card.show_rejected", run=card.run.id, reason=str(refused))
        await self._store.write(partial(_note_shown, card=card))

    async def _still_ours(self, since: int) -> None:
        """Raises PostLaterError where another process may keep this card by now."""
        if not await self._presence.lasts(since):
            raise PostLaterError("this process was taken for gone", 0)

    async def _with_message(self, card: Card, since: int) -> Card:
        if card.message is not None:
            await self._still_ours(since)
            try:
                await self._board.edit(card.run, card.message)
            except PostGoneError:
                card = replace(card, message=None)
            else:
                return card
        version = f"{_CARD}:{card.run.version}"
        before = card.posting if (card.posting or "").startswith(_CARD) else None
        posting = _Posting(_CARD, version, before)
        message = await self._posted(card, posting, partial(self._board.post, card.run), since)
        if message is not None:
            # Known from now on, whatever goes wrong with the rest.
            await self._store.write(lambda tx: tx.cards.posted(card, message))
        if before is not None and message is not None:
            # What was found was posted for an earlier version.
            await self._board.edit(card.run, message)
        return replace(card, message=message)

    async def _with_news(self, card: Card, since: int) -> Card:
        news = news_of(card.run, self._desk.platform)
        if news is None or news == card.news or card.message is None:
            return card
        mention = not card.mentioned
        announce = partial(self._board.announce, card.run, card.message, mention=mention)
        posting = _Posting(news, news, card.posting if card.posting == news else None)
        await self._posted(card, posting, announce, since)
        return replace(card, news=news, mentioned=True)

    async def _posted(self, card: Card, posting: _Posting, post: _Post, since: int) -> str | None:
        """Post something once, whatever gets lost: its message, None where it cannot be known."""
        if posting.before is not None:
            try:
                found = await self._board.look_for(card.run, card.message, posting.what)
            except PostRefusedError as refused:
                log.event("card.look_rejected", run=card.run.id, reason=str(refused))
                if posting.before == posting.note:
                    # The same may stand there; one message too few is better than two.
                    return None
            else:
                if found is not None:
                    return found
        await self._note_posting(card, posting.note)
        return await self._post(card, posting.what, post, since)

    async def _note_posting(self, card: Card, what: str | None) -> None:
        """Raises PostLaterError where another process keeps this card by now."""
        if not await self._store.write(lambda tx: tx.cards.posting(card, what)):
            raise PostLaterError("another process keeps this card", 0)

    async def _post(self, card: Card, what: str, post: _Post, since: int) -> str | None:
        try:
            await self._still_ours(since)
            return await post(what)
        except PostUncertainError as error:
            log.event("card.post_rejected", run=card.run.id, reason=str(error))
            raise PostLaterError(str(error), _AGAIN_SECONDS) from error
        except (PostLaterError, PostRefusedError, TakenForGoneError):
            await self._note_posting(card, None)
            raise


def _note_shown(tx: Transaction, card: Card) -> None:
    """What another process keeps by now, it has to show again: this edit may have come late."""
    if not tx.cards.shown(card, card.run.version):
        tx.cards.refresh(card.run.id)


def _take(tx: Transaction, card: Card, owner: str) -> bool:
    return tx.cards.take(card.run.id, card.owner, owner)


def news_of(run: Run, platform: str) -> str | None:
    """What is worth a message of its own; None where the card is enough.

    The same news has the same name, so that it is told once. Who cancels a run in its own
    conversation is answered there; a cancel from elsewhere is news.
    """
    return next(_news(run, platform), None)


def _news(run: Run, platform: str) -> Iterator[str]:
    if run.stale:
        yield f"{run.epoch}:interrupted"
    if run.status is RunStatus.PAUSED:
        yield f"{run.epoch}:paused"
    if run.status in {RunStatus.FAILED, RunStatus.COMPLETED}:
        yield f"{run.epoch}:{run.status}"
    if run.stopping and run.error is not None:
        yield f"{run.epoch}:unproven"
    elsewhere = not run.changed.door.startswith(platform)
    if run.status is RunStatus.CANCELLED and not run.held and elsewhere:
        yield f"{run.epoch}:cancelled"
