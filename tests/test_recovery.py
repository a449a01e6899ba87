"""What a crash leaves between a delivery's acknowledgement and its effect."""

import time
from dataclasses import dataclass, replace

import pytest

from bot.bootstrap import Installation, Service, installed, serving
from bot.conversation import Author, Conversation, Door, Message
from bot.outcome import Answer
from bot.ports import Presence
from store.database import open_database
from tests.conftest import Person


@pytest.fixture
def database_url(url: str) -> str:
    """Each kind of database in turn."""
    return url


def delivered(text: str, key: str) -> Message:
    return Message(
        text=text,
        conversation=Conversation("terminal:ana"),
        author=Author("terminal:ana"),
        door=Door.TERMINAL,
        delivery=f"terminal:ana:{key}",
    )


def another(installation: Installation) -> Installation:
    """What another process of this host would have."""
    return installed(installation.settings, installation.state)


@dataclass(frozen=True)
class Recovered:
    """A message that was left over, and its answer."""

    message: Message
    answer: Answer | None


async def recovered(service: Service, presence: Presence, platform: str) -> list[Recovered]:
    dispatcher = service.dispatcher
    return [
        Recovered(one.message, await dispatcher.handle_late(one.message, one))
        for one in await dispatcher.take_over(platform, presence)
    ]


async def test_a_recent_delivery_is_carried_out_after_a_restart(
    installation: Installation, ben: Person
) -> None:
    message = delivered("/run quick", "1")
    async with serving(another(installation), concurrency=0) as crashed:
        assert await crashed.dispatcher.receive(message)
        assert not await ben.service.dispatcher.receive(message)
        assert await recovered(ben.service, installation.presence, "terminal") == []
    found = await recovered(ben.service, installation.presence, "terminal")
    assert [(one.message, one.answer and one.answer.word) for one in found] == [
        (message, "started")
    ]
    assert await recovered(ben.service, installation.presence, "terminal") == []
    assert await ben.service.dispatcher.handle(message) == found[0].answer


async def test_a_done_delivery_keeps_its_answer_until_it_was_taken(
    installation: Installation, ben: Person
) -> None:
    message = delivered("/run quick", "1")
    async with serving(another(installation), concurrency=0) as crashed:
        await crashed.dispatcher.receive(message)
        answer = await crashed.dispatcher.handle(message)
    found = await recovered(ben.service, installation.presence, "terminal")
    assert [one.answer for one in found] == [answer]
    await ben.service.dispatcher.answered(message)
    async with serving(another(installation), concurrency=0) as third:
        assert await recovered(third, installation.presence, "terminal") == []
        assert await third.dispatcher.handle(message) == answer


async def test_what_was_not_done_may_be_delivered_again(ben: Person) -> None:
    message = delivered("/run quick", "1")
    assert await ben.service.dispatcher.receive(message)
    await ben.service.dispatcher.answered(message)
    assert await ben.service.dispatcher.receive(message)


async def test_plain_talk_is_not_kept(ben: Person) -> None:
    talk = replace(delivered("stop the deploy", "1"), addressed=False)
    assert not await ben.service.dispatcher.receive(talk)


async def test_an_old_delivery_is_answered_without_effect(installation: Installation) -> None:
    async with serving(installation, concurrency=0) as service:
        await service.dispatcher.receive(delivered("/run quick", "1"))
    later = another(installation)
    before = installation.database
    later = replace(
        later, database=open_database(before.url, before.terms, lambda: time.time() + 61)
    )
    async with serving(later, concurrency=0) as service:
        [found] = await recovered(service, later.presence, "terminal")
        assert found.answer is not None
        assert "Baton restarted" in found.answer.reply
        assert await service.dispatcher.handle(delivered("/run quick", "1")) == found.answer
        assert await service.store.read(lambda tx: list(tx.runs.recent(None, None))) == []


async def test_another_platform_recovers_its_own(installation: Installation, ben: Person) -> None:
    async with serving(another(installation), concurrency=0) as crashed:
        await crashed.dispatcher.receive(delivered("/run quick", "1"))
    assert await recovered(ben.service, installation.presence, "slack") == []
