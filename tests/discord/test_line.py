"""The way to Discord is cut, refused and mended: nothing is lost, nothing is done twice."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from adapters.discord.client import DiscordClient
from bot.keeper import Desk
from tests.discord.double import Broken, Cut, Discord
from tests.discord.house import (
    installation_in,
    open_cards,
    place_run,
    talking,
)
from tests.discord.payloads import click, mention, slash
from tests.discord.records import Fault, Json
from tests.discord.stage import (
    Stage,
    assert_clean_log,
    cards,
    is_taken_back,
    log_of,
    news,
    on_stage,
)

QUICK = 0.2


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here, not even discord.py before it identifies once more."""

    async def at_once(_client: DiscordClient, _shard: int | None, *, initial: bool = False) -> None:
        pass

    monkeypatch.setattr(DiscordClient, "before_identify_hook", at_once)
    monkeypatch.setattr("adapters.discord.connect._AGAIN_SECONDS", QUICK)
    monkeypatch.setattr("adapters.discord.api._UNREACHABLE_SECONDS", QUICK)
    monkeypatch.setattr("bot.patience._AGAIN_SECONDS", QUICK)
    monkeypatch.setattr(Desk.__init__, "__defaults__", (QUICK,))


async def works(stage: Stage) -> None:
    """Both ways in are open, and the way out."""
    await stage.discord.connected(1, 30)
    told = await stage.private(slash("runs", user="3"))
    stage.listen()
    await stage.discord.say(mention("runs", "3"))
    await stage.answered(1)
    ((how, text),) = [(one.how, one.text) for one in stage.said()]
    assert (how, text.split()[0]) == ("direct", told.split()[0])


# --- brought late ----------------------------------------------------------------------------


def ago(payload: Callable[..., Json], seconds: float, *said: object, **more: str) -> Json:
    """Somebody did this so many seconds ago."""
    return payload(*said, **more, at=time.time() - seconds)


async def test_what_was_missed_is_carried_out_once_and_told_another_way(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        resumed, clicked, spoken = await stage.has("failed", "failed", "failed")
        stage.listen()
        discord.drop()
        missed = [
            ago(slash, 5, "resume", {"run": resumed}),
            ago(slash, 5, "status", {"run": resumed}, user="3"),
            click(stage.card(clicked), "Resume", "2", at=time.time() - 5),
        ]
        asked = [await discord.interact(one, seconds_ago=5) for one in missed]
        await discord.say(mention(f"resume {spoken}", "2"))
        await discord.connected(1)
        await stage.answered(4)
        assert len(discord.resumes) == 1
        assert [one.responses for one in asked] == [[], [], []]
        public = [one for one in stage.said() if one.how == "channel"]
        assert sorted(one.text.split()[2] for one in public) == [resumed, clicked, spoken]
        (direct,) = [one for one in stage.said() if one.how != "channel"]
        assert (direct.how, direct.user) == ("direct", "3")
        for run_id in (resumed, clicked, spoken):
            assert [word for word, _, _ in await stage.audit(run_id, "resume")] == ["resumed"]
        await works(stage)


async def test_what_is_long_over_is_not_done_and_its_author_is_told(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        stage.listen()
        discord.drop()
        missed = [
            ago(slash, 61, "resume", {"run": run_id}),
            click(stage.card(run_id), "Resume", "2", at=time.time() - 61),
        ]
        asked = [await discord.interact(one, seconds_ago=61) for one in missed]
        await discord.connected(1)
        await stage.answered(2)
        assert [one.responses for one in asked] == [[], []]
        assert sorted((one.how, one.user) for one in stage.said()) == [
            ("direct", "1"),
            ("direct", "2"),
        ]
        for one in stage.said():
            assert one.text.startswith("That reached Baton too late, and it did nothing")
        run = await stage.run(run_id)
        assert (run.status, run.epoch) == ("failed", 2)
        # Brought once more, it is neither done nor answered again.
        for late in asked:
            await discord.redeliver(late)
        await works(stage)
        assert len([one for one in discord.posted if "too late" in one.content]) == 2


async def test_a_clock_that_is_fast_makes_nothing_late(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        asked = await stage.told(ago(slash, 3600, "resume", {"run": run_id}))
        await stage.answered()
        assert is_taken_back(asked)
        assert (await stage.run(run_id)).status == "running"


async def test_what_was_answered_before_the_cut_is_not_done_again(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        stage.listen()
        asked = await stage.told(slash("resume", {"run": run_id}))
        await stage.answered(1)
        (session,) = discord.live
        discord.drop()
        await discord.redeliver(asked)
        await discord.until(lambda: session.live)
        await works(stage)
        assert [word for word, _, _ in await stage.audit(run_id, "resume")] == ["resumed"]
        assert len([one for one in discord.posted if one.content.startswith("Resuming")]) == 1


# --- cut and refused -------------------------------------------------------------------------


async def _invalid(discord: Discord) -> None:
    await discord.invalidate()


async def _invalid_but_resumable(discord: Discord) -> None:
    await discord.invalidate(resumable=True)


async def _asked_to_come_back(discord: Discord) -> None:
    await discord.ask_reconnect()


async def _cut(discord: Discord) -> None:
    discord.drop()


async def _forgotten(discord: Discord) -> None:
    discord.forget_sessions()
    for socket in list(discord._sockets.values()):
        socket.abort()


async def _refused_for_a_while(discord: Discord) -> None:
    discord.refusing = True
    discord.drop()
    asyncio.get_running_loop().call_later(0.3, setattr, discord, "refusing", False)


def _closed(code: int) -> Callable[[Discord], Awaitable[None]]:
    async def close(discord: Discord) -> None:
        await discord.close(code)

    return close


CUTS = {
    "invalid": _invalid,
    "invalid but resumable": _invalid_but_resumable,
    "asked to come back": _asked_to_come_back,
    "cut": _cut,
    "forgotten": _forgotten,
    "refused for a while": _refused_for_a_while,
    **{f"closed with {code}": _closed(code) for code in (1000, 1001, 4000, 4004, 4007, 4009, 4014)},
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_a_connection_that_is_lost_comes_back(
    discord: Discord, tmp_path: Path, repository: Path, cut: Callable[[Discord], Awaitable[None]]
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (session,) = discord.live
        socket = session.socket
        await cut(discord)
        await discord.until(
            lambda: any(one.live and one.socket is not socket for one in discord.sessions.values()),
            30,
        )
        await works(stage)


async def test_a_wrong_token_is_no_end(discord: Discord, tmp_path: Path, repository: Path) -> None:
    discord.token = "another"
    installation = installation_in(tmp_path, repository, discord)
    async with talking(installation, concurrency=0) as service:
        await discord.until(lambda: len(discord.called("GET", "/users/@me")) == 3)
        assert {call.status for call in discord.calls} == {401}
        assert discord.identifies == []
        discord.token = "token"
        await works(Stage(discord, service, installation))
    refused = [
        one for one in log_of(tmp_path / "state") if one["event"] == "discord.connect_rejected"
    ]
    assert len(refused) >= 3
    assert_clean_log(tmp_path / "state", discord)


@pytest.mark.parametrize("fault", [Broken(503), Cut(effect=False), Cut()])
@pytest.mark.parametrize("path", ["/users/@me", "/gateway/bot", "/applications/*/commands"])
async def test_a_call_that_fails_at_the_beginning_is_no_end(
    discord: Discord, tmp_path: Path, repository: Path, path: str, fault: Fault
) -> None:
    discord.fail("*", path, fault)
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        await works(stage)


async def test_what_happened_meanwhile_is_shown_once_discord_is_there(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    discord.token = "another"
    installation = installation_in(tmp_path, repository, discord)
    async with talking(installation, concurrency=0) as service:
        stage = Stage(discord, service, installation)
        run_id = place_run(stage.database, "paused")
        await service.store.write(lambda tx: open_cards(tx, [run_id]))
        await discord.until(lambda: discord.calls)
        assert cards(discord, run_id) == []
        discord.token = "token"
        await discord.connected(1)
        await stage.shows(run_id, "waits at step 2 of 3", seconds=5)
        await stage.current()
        assert len(cards(discord, run_id)) == len(news(discord, run_id)) == 1
