"""A card in a place that changes: what Discord does not allow there costs no other card."""

from pathlib import Path

import pytest

from bot.keeper import Desk
from tests.discord.double import Cut, Discord
from tests.discord.house import become, open_cards, place_run
from tests.discord.payloads import bot_message, click, mention, slash
from tests.discord.records import BOT, CHANNEL, CHANNEL_2, OTHER_CHANNEL, OTHER_GUILD, THREAD
from tests.discord.stage import Stage, cards, labels, log_of, news, on_stage


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here."""
    monkeypatch.setattr(Desk.__init__, "__defaults__", (0.1,))
    monkeypatch.setattr("adapters.discord.api._UNREACHABLE_SECONDS", 0.2)
    monkeypatch.setattr("bot.patience._AGAIN_SECONDS", 0.2)


async def goes_on(stage: Stage, run_id: str) -> None:
    """This run's card is kept as if nothing were the matter with others."""
    for state, words in (("paused", "waits at step 2"), ("failed", "failed at step 2")):
        become(stage.database, run_id, state)
        await stage.shows(run_id, words)
    await stage.current()
    assert len(cards(stage.discord, run_id)) == 1


def refusals(tmp_path: Path) -> list[str]:
    """Why cards could not be shown."""
    found = [one for one in log_of(tmp_path / "state") if one["event"] == "card.show_rejected"]
    return [one["reason"] for one in found]


async def test_a_deleted_card_is_posted_again(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        old = stage.card(run_id)
        discord.delete_message(old.id)
        become(stage.database, run_id, "paused")
        card = await stage.shows(run_id, "waits at step 2 of 3")
        await stage.current()
        assert cards(discord, run_id) == [old, card]
        assert [one.reference for one in news(discord, run_id)] == [old.id, card.id]
        (said,) = await stage.does(click(card, "Resume"))
        assert said.text.startswith("Passed gate ship?")
        assert not card.deleted


@pytest.mark.parametrize("place", [CHANNEL, THREAD])
async def test_a_place_that_is_deleted(
    discord: Discord, tmp_path: Path, repository: Path, place: str
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (gone,) = await stage.has("failed", channel=place)
        (other,) = await stage.has("failed", channel=CHANNEL_2)
        discord.delete_channel(place)
        become(stage.database, gone, "paused")
        await goes_on(stage, other)
        # Whoever asks elsewhere still has an answer.
        (private,) = await stage.does(slash("resume", {"run": gone}, channel=CHANNEL_2))
        assert (private.how, private.text.split()[0]) == ("private", "Passed")
        await stage.current()
        assert len(cards(discord, gone)) == 1
    assert any("10003" in reason for reason in refusals(tmp_path))


async def test_a_guild_that_throws_baton_out(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        there = {"conversation": f"discord:{OTHER_GUILD}:{OTHER_CHANNEL}"}
        (gone,) = await stage.has("failed", channel=OTHER_CHANNEL, **there)
        (other,) = await stage.has("failed")
        await discord.leave(OTHER_GUILD)
        become(stage.database, gone, "paused")
        await goes_on(stage, other)
        await stage.current()
    assert any("50001" in reason for reason in refusals(tmp_path))


@pytest.mark.parametrize("place", [CHANNEL, THREAD])
@pytest.mark.parametrize("permission", ["VIEW_CHANNEL", "SEND_MESSAGES"])
async def test_a_place_without_permission_has_its_card_at_the_next_change(
    discord: Discord, tmp_path: Path, repository: Path, permission: str, place: str
) -> None:
    if place == THREAD and permission == "SEND_MESSAGES":
        permission = "SEND_MESSAGES_IN_THREADS"
    discord.deny(place, permission)
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed", channel=place)
        (other,) = await stage.has("failed", channel=CHANNEL_2)
        become(stage.database, run_id, "paused")
        await goes_on(stage, other)
        assert cards(discord, run_id) == []
        discord.allow(place, permission)
        become(stage.database, run_id, "failed")
        card = await stage.shows(run_id, "failed at step 2")
        await stage.current()
        assert (cards(discord, run_id), card.channel) == ([card], place)
        assert [one.pinged for one in news(discord, run_id)] == [{"user:1"}]


@pytest.mark.parametrize("permission", ["VIEW_CHANNEL", "SEND_MESSAGES", "READ_MESSAGE_HISTORY"])
async def test_a_permission_that_is_taken_away_and_given_back(
    discord: Discord, tmp_path: Path, repository: Path, permission: str
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        (other,) = await stage.has("failed", channel=CHANNEL_2)
        card = stage.card(run_id)
        discord.deny(CHANNEL, permission)
        become(stage.database, run_id, "paused")
        await goes_on(stage, other)
        assert ("waits at step 2" in card.content) == (permission != "VIEW_CHANNEL")
        # An interaction can be answered wherever it is made, a mention if need be elsewhere.
        (openly,) = await stage.does(slash("resume", {"run": run_id}))
        assert openly.text.startswith("Passed gate")
        stage.listen()
        await discord.say(mention(f"cancel {run_id}", user="2"))
        await discord.until(stage.said)
        await stage.answered()
        ((text, place),) = [(one.text, one.shown.channel) for one in stage.said()]
        assert text.startswith("Cancelled")
        assert place == (CHANNEL if permission == "READ_MESSAGE_HISTORY" else "602")
        discord.allow(CHANNEL, permission)
        become(stage.database, run_id, "completed")
        await stage.shows(run_id, "completed")
        await stage.current()
        assert (cards(discord, run_id), labels(card)) == ([card], [])
        assert "completed" in news(discord, run_id)[-1].content


async def test_without_the_right_to_look_a_person_who_is_needed_is_called_all_the_same(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    discord.deny(CHANNEL, "READ_MESSAGE_HISTORY")
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("paused")
        assert "waits at step 2" in stage.card(run_id).content
        called = [one for one in discord.posted if one.pinged]
        assert [(one.pinged, one.channel) for one in called] == [({"user:1"}, CHANNEL)]


async def test_an_archived_thread_is_opened_for_its_card(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed", channel=THREAD)
        discord.set_thread(THREAD, archived=True)
        # Its news is known, so that only an edit can open the thread.
        become(stage.database, run_id, "working")
        card = await stage.shows(run_id, "running step 2 of 3")
        await stage.current()
        assert not discord.channels[THREAD].archived
        assert cards(discord, run_id) == [card]


async def test_a_locked_thread_stays_locked(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed", channel=THREAD)
        (other,) = await stage.has("failed", channel=CHANNEL_2)
        discord.set_thread(THREAD, archived=True, locked=True)
        become(stage.database, run_id, "paused")
        await goes_on(stage, other)
        assert discord.channels[THREAD].locked
        assert "failed at step 2" in stage.card(run_id).content
        discord.set_thread(THREAD)
        become(stage.database, run_id, "failed")
        become(stage.database, run_id, "paused")
        await stage.shows(run_id, "waits at step 2")
        await stage.current()
        assert len(cards(discord, run_id)) == 1


async def test_what_somebody_else_wrote_is_not_taken_for_a_card(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        run_id = place_run(stage.database, "failed")
        discord.fail("POST", f"/channels/{CHANNEL}/messages", Cut(effect=False))
        await discord.say(bot_message(f"**deploy** `{run_id}`\n<@{BOT}>, see there"))
        await stage.service.store.write(lambda tx: open_cards(tx, [run_id]))
        await stage.shows(run_id, "failed at step 2")
