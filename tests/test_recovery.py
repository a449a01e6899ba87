"""What a crash leaves between a delivery's acknowledgement and its effect."""

from bot.bootstrap import Installation, installed, serving
from bot.conversation import Author, Conversation, Door, Message
from tests.conftest import Person


def delivered(text: str, key: str) -> Message:
    return Message(
        text=text,
        conversation=Conversation("terminal:ana"),
        author=Author("terminal:ana"),
        door=Door.TERMINAL,
        delivery=f"terminal:ana:{key}",
    )


async def test_a_recent_delivery_is_carried_out_after_a_restart(ben: Person) -> None:
    dispatcher = ben.service.dispatcher
    message = delivered("/run quick", "1")
    assert await dispatcher.receive(message)
    assert not await dispatcher.receive(message)
    recovered = [pair async for pair in dispatcher.recover("terminal")]
    assert [(said, answer.word) for said, answer in recovered] == [(message, "started")]
    assert [pair async for pair in dispatcher.recover("terminal")] == []
    assert await dispatcher.handle(message) == recovered[0][1]


async def test_an_old_delivery_is_answered_without_effect(installation: Installation) -> None:
    async with serving(installation, concurrency=0) as service:
        await service.dispatcher.receive(delivered("/run quick", "1"))
    later = installed(installation.settings, installation.database.file.parent)
    later.database.clock = lambda: installation.database.clock() + 61
    async with serving(later, concurrency=0) as service:
        recovered = [pair async for pair in service.dispatcher.recover("terminal")]
        assert "Baton restarted" in recovered[0][1].reply
        assert await service.dispatcher.handle(delivered("/run quick", "1")) == recovered[0][1]
        assert await service.store.read(lambda tx: list(tx.runs.recent(None, None))) == []


async def test_another_platform_recovers_its_own(ben: Person) -> None:
    await ben.service.dispatcher.receive(delivered("/run quick", "1"))
    assert [pair async for pair in ben.service.dispatcher.recover("slack")] == []
