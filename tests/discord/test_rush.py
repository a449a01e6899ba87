"""Many people at once: one of them wins, all are answered, and Discord never waits."""

import asyncio
import statistics
from collections import Counter
from pathlib import Path

import discord as library
import pytest
from discord import app_commands

from bot.keeper import Desk
from tests.discord.bots import Bot, running
from tests.discord.double import Discord, Interaction
from tests.discord.house import place_run
from tests.discord.payloads import click, mention, slash
from tests.discord.records import Json
from tests.discord.stage import Said, Stage, choosing, more_channels, on_stage

AT_ONCE = 64
IN_FLIGHT = 200
ROUNDS = 3
TIMED_ROUNDS = 3
SLOWEST_ANSWER_SECONDS = 0.3
EMPTY_ANSWER_SECONDS = 0.04
"""What discord.py needs for the same with an empty handler, where the deadline above holds."""
PEOPLE = ("1", "2", "4", "5")
NAMES = {"1": "ana", "2": "ben", "4": "user4", "5": "user5"}
ACCESS = {"operators": [f"discord:{user}" for user in PEOPLE]}
CHANNELS = [f"54{number:02}" for number in range(20)]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards are edited at once: nobody waits for them between rounds."""
    monkeypatch.setattr(Desk.__init__, "__defaults__", (0.1,))


def wishes(stage: Stage, run_id: str) -> list[Json]:
    """Everybody's wish to resume one run: by command, by mention, and with its button."""
    card = stage.card(run_id)
    made: list[Json] = []
    for number in range(AT_ONCE):
        user = PEOPLE[number // 3 % len(PEOPLE)]
        match number % 3:
            case 0:
                made.append(slash("resume", {"run": run_id}, user))
            case 1:
                made.append(mention(f"resume {run_id}", user))
            case _:
                made.append(click(card, "Resume", user))
    return made


async def everybody_asks(discord: Discord, payloads: list[Json]) -> None:
    """All of them at once."""
    sent = [discord.say(one) if "content" in one else discord.interact(one) for one in payloads]
    await asyncio.gather(*sent)


def assert_told(said: list[Said], run_id: str, winner: str) -> None:
    """One message tells everybody, and each of the others is told who won."""
    (public,) = [one for one in said if one.how == "channel"]
    assert public.text.startswith(f"Resuming deploy {run_id}")
    assert NAMES[winner] in public.text
    others = [one for one in said if one is not public]
    assert len(others) == AT_ONCE - 1
    for one in others:
        assert one.text.startswith(f"deploy {run_id} was already claimed by {NAMES[winner]} ")


@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_of_64_who_resume_one_run_one_does_and_all_are_told(
    discord: Discord, tmp_path: Path, repository: Path, round_: int
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0, access=ACCESS) as stage:
        (run_id,) = await stage.has("failed")
        everybody = wishes(stage, run_id)
        stage.listen()
        # Each round somebody else is first.
        await everybody_asks(discord, everybody[round_:] + everybody[:round_])
        await stage.answered(AT_ONCE)
        events = await stage.audit(run_id, "resume")
        outcomes = Counter(word for word, _, _ in events)
        assert outcomes == {"resumed": 1, "already_running": AT_ONCE - 1}
        assert len({(door, actor) for _, door, actor in events}) == 3 * len(PEOPLE)
        winner = next(actor for word, _, actor in events if word == "resumed")
        assert_told(stage.said(), run_id, winner.removeprefix("discord:"))
        losers = Counter(actor for word, _, actor in events if word != "resumed")
        told = Counter(f"discord:{one.user}" for one in stage.said() if one.how != "channel")
        assert told == losers
        assert (await stage.run(run_id)).epoch == 3
        await stage.current()
        assert "waiting for a free worker" in stage.card(run_id).content


async def test_resumes_and_cancels_at_once_end_in_one_truth(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0, access=ACCESS) as stage:
        (run_id,) = await stage.has("paused")
        run = {"run": run_id}
        verbs = ("resume", "cancel")
        mixed = [slash(verbs[n % 2], run, PEOPLE[n % 4]) for n in range(0, AT_ONCE, 2)]
        mixed += [
            mention(f"{verbs[n // 4 % 2]} {run_id}", PEOPLE[n % 4]) for n in range(AT_ONCE // 2)
        ]
        stage.listen()
        await everybody_asks(discord, mixed)
        await stage.answered(AT_ONCE)
        words = Counter([word for word, _, _ in await stage.audit(run_id, "cancel")])
        assert words["cancelled"] == 1
        assert (await stage.run(run_id)).status == "cancelled"
        assert len(stage.said()) == AT_ONCE
        await stage.current()
        assert stage.card(run_id).components == []


async def test_a_choice_made_too_late_is_told_who_was_faster(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        first, second = await stage.has("failed", "failed")
        offered = await stage.told(slash("resume"))
        assert offered.original
        await stage.told(slash("resume", {"run": first}, "2"))
        await stage.told(choosing(offered.original, first))
        await stage.answered()
        assert offered.original.content.startswith(
            f"deploy {first} was already claimed by ben in Discord"
        )
        assert (offered.original.components, offered.original.ephemeral) == ([], True)
        words = [word for word, _, _ in await stage.audit(first, "resume")]
        assert words == ["resumed", "already_running"]
        assert (await stage.run(second)).status == "failed"


# --- 200 at once -----------------------------------------------------------------------------


async def open_failed_runs(stage: Stage) -> list[tuple[str, str]]:
    """Ten failed runs in each of twenty channels, with the channel of each; none has a card."""
    places = [CHANNELS[number % len(CHANNELS)] for number in range(IN_FLIGHT)]
    return [(place_run(stage.database, "failed", place), place) for place in places]


async def resumed_at_once(stage: Stage) -> list[Interaction]:
    """Resume 200 runs in 20 channels at once; each is done and has one answer."""
    runs = await open_failed_runs(stage)
    stage.listen()
    sent = [slash("resume", {"run": run_id}, channel=place) for run_id, place in runs]
    asked = await asyncio.gather(*(stage.discord.interact(one) for one in sent))
    await stage.discord.until(lambda: all(one.answered for one in asked))
    await stage.answered(IN_FLIGHT)
    assert {(await stage.run(run_id)).status for run_id, _ in runs} == {"running"}
    assert Counter(one.how for one in stage.said()) == {"channel": IN_FLIGHT}
    assert [len(one.responses) for one in asked] == [1] * IN_FLIGHT
    return asked


async def nothing(interaction: library.Interaction, run: str) -> None:
    await interaction.response.send_message("Resuming.")


async def answered_by_an_empty_handler(discord: Discord) -> list[Interaction]:
    """The same 200 commands, to a bot of discord.py's that does nothing but answer."""
    bot = Bot(discord)
    bot.tree.add_command(app_commands.Command(name="resume", description="-", callback=nothing))
    sent = [
        slash("resume", {"run": "abcd2345"}, channel=CHANNELS[n % len(CHANNELS)])
        for n in range(IN_FLIGHT)
    ]

    async def once() -> list[Interaction]:
        asked = await asyncio.gather(*(discord.interact(one) for one in sent))
        await discord.until(lambda: all(one.answered for one in asked))
        return asked

    async with running(discord, bot):
        await once()  # the first of a process is slower
        return await once()


def slowest_of(asked: list[Interaction]) -> float:
    """After how many seconds 99 of 100 have their first answer."""
    return statistics.quantiles([one.seconds for one in asked], n=100)[98]


@pytest.mark.alone
async def test_discord_never_waits_however_much_is_going_on(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    more_channels(discord, *CHANNELS)
    ours, empty = [], []
    for round_ in range(TIMED_ROUNDS):
        empty.append(slowest_of(await answered_by_an_empty_handler(discord)))
        async with on_stage(discord, tmp_path / f"{round_}", repository, concurrency=0) as stage:
            await resumed_at_once(stage)
            ours.append(slowest_of(await resumed_at_once(stage)))
    p99, floor = min(ours), min(empty)
    print(f"p99 of {IN_FLIGHT} at once: {p99:.3f} s, an empty handler {floor:.3f} s")  # noqa: T201 - a figure
    # Both are this machine's work alone, and it is not equally fast at all times; the best round of
    # each tells most of them and least of its neighbours.
    slower = max(1.0, floor / EMPTY_ANSWER_SECONDS)
    assert p99 < SLOWEST_ANSWER_SECONDS * slower, (ours, empty)


async def test_a_connection_that_is_cut_in_the_middle_loses_nothing(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    more_channels(discord, *CHANNELS)
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        runs = await open_failed_runs(stage)
        stage.listen()
        asked = []
        for number, (run_id, place) in enumerate(runs):
            asked.append(await discord.interact(slash("resume", {"run": run_id}, channel=place)))
            if number in {IN_FLIGHT // 3, IN_FLIGHT // 2}:
                discord.drop()
        await discord.connected(1)
        await stage.answered(IN_FLIGHT)
        assert {(await stage.run(run_id)).status for run_id, _ in runs} == {"running"}
        assert len(stage.said()) == IN_FLIGHT
        for run_id, _ in runs[:: IN_FLIGHT // 10]:
            assert [word for word, _, _ in await stage.audit(run_id, "resume")] == ["resumed"]
