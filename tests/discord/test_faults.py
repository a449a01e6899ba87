"""Whatever Discord does with a call: one card, one announcement, one answer, and the truth."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import ClientTimeout

from bot.keeper import Desk
from tests.discord.double import Broken, Cut, Discord, Interaction, Refused, Slow, TooMany
from tests.discord.house import become, kept_locked, open_cards, place_run
from tests.discord.payloads import click, mention, slash
from tests.discord.records import SECONDS_TO_RESPOND, Fault, Json
from tests.discord.stage import (
    Stage,
    cards,
    choosing,
    is_taken_back,
    log_of,
    more_channels,
    news,
    on_stage,
)

SHORT = 1.0
QUICK = 0.2
LOST: dict[str, Fault] = {
    "many": TooMany(0.5),
    "many, of Cloudflare": TooMany(1, via=False),
    "broken": Broken(),
    "broken after all": Broken(effect=True),
    "unavailable": Broken(503),
    "unavailable after all": Broken(503, effect=True),
    "slow": Slow(0.5),
    "too slow": Slow(SHORT + 0.5),
    "cut after": Cut(),
    "cut before": Cut(effect=False),
}
"""After each of these, what was to be said can be said once and no more."""

LEAST_PAUSE = 0.45
PEOPLE = {"operators": ["discord:1", *(f"discord:{1000 + n}" for n in range(len(LOST)))]}


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here, neither for a slow answer nor before trying again."""
    monkeypatch.setattr("adapters.discord.api._TIMEOUT", ClientTimeout(total=SHORT))
    monkeypatch.setattr("adapters.discord.api._UNREACHABLE_SECONDS", QUICK)
    monkeypatch.setattr("bot.patience._AGAIN_SECONDS", QUICK)
    monkeypatch.setattr("bot.keeper._AGAIN_SECONDS", QUICK)
    monkeypatch.setattr(Desk.__init__, "__defaults__", (QUICK,))


@dataclass
class Trial:
    """What meets one fault: four channels, a person, and the runs that they ask for."""

    name: str
    number: int
    runs: list[str] = field(default_factory=list)
    asked: list[Interaction] = field(default_factory=list)

    @property
    def fault(self) -> Fault:
        return LOST[self.name]

    @property
    def user(self) -> str:
        return str(1000 + self.number)

    def channel(self, which: int) -> str:
        return f"5{which}{self.number:02}"


def trials(discord: Discord) -> list[Trial]:
    """One for each fault; they do not share what Discord limits."""
    found = [Trial(name, number) for number, name in enumerate(LOST)]
    more_channels(discord, *(one.channel(which) for one in found for which in range(1, 5)))
    return found


def fail_first_answer(discord: Discord, payload: Json, fault: Fault) -> Json:
    """The first answer to this interaction will meet a fault."""
    discord.fail("POST", f"/interactions/{payload['id']}/*", fault)
    return payload


def assert_patient(discord: Discord, least: int) -> None:
    """Where Discord asked for patience, nothing was said for as long."""
    refused = [call for call in discord.calls if call.status == 429]
    assert len(refused) >= least
    for call in refused:
        later = [one.at for one in discord.called(call.method, call.path) if one.at > call.at]
        assert min(later) - call.at >= LEAST_PAUSE


# --- cards, news and answers in public -------------------------------------------------------


async def prepare_public(stage: Stage, every: list[Trial]) -> None:
    """Everything that is about to be said in public meets its fault."""
    states = ("failed", "working", "failed", "failed")
    for trial in every:
        for which, state in enumerate(states, 1):
            trial.runs.append(place_run(stage.database, state, trial.channel(which)))
    await stage.opens(*(run_id for trial in every for run_id in trial.runs[1:]))
    for trial in every:
        for which in (1, 2, 3):
            path = f"/channels/{trial.channel(which)}/messages"
            stage.discord.fail("POST", path, trial.fault)
            stage.discord.fail("PATCH", f"{path}/*", trial.fault)


async def act_in_public(stage: Stage, trial: Trial) -> None:
    """A card and an announcement are due, one answer to a mention, and one to a click."""
    posted, edited, spoken, clicked = trial.runs
    become(stage.database, edited, "paused")
    await stage.service.store.write(lambda tx: open_cards(tx, [posted]))
    await stage.discord.say(mention(f"resume {spoken}", trial.user, trial.channel(3)))
    payload = click(stage.card(clicked), "Resume", trial.user)
    await stage.discord.interact(fail_first_answer(stage.discord, payload, trial.fault))


SHOWN = [
    ["failed at step 2 of 3, ship?: exit code 1"],
    ["waits at step 2 of 3, ship?: Ship it?"],
    ["waiting for a free worker"],
    ["waiting for a free worker"],
]


async def test_card_news_and_answers_are_posted_once(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    every = trials(discord)
    async with on_stage(discord, tmp_path, repository, concurrency=0, access=PEOPLE) as stage:
        await prepare_public(stage, every)
        stage.listen()
        for trial in every:
            await act_in_public(stage, trial)
        await stage.answered(2 * len(every))
        await stage.current()
    said = stage.said()
    for trial in every:
        seen = [cards(discord, run_id) for run_id in trial.runs]
        shown = [[card.content.split("\n")[2] for card in found] for found in seen]
        told = [len(news(discord, run_id)) for run_id in trial.runs]
        answers = [one for one in said if trial.number == int(one.shown.channel[-2:])]
        where = sorted(one.shown.channel for one in answers)
        assert (trial.name, shown, told) == (trial.name, SHOWN, [1, 1, 1, 1])
        assert (trial.name, where) == (trial.name, [trial.channel(3), trial.channel(4)])
    assert {one.text.split()[0] for one in said} == {"Resuming"}
    assert {one.how for one in said} == {"channel"}
    assert_patient(discord, 10)


# --- private answers -------------------------------------------------------------------------


async def test_a_private_answer_is_given_once(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    every = trials(discord)
    for fault in (Cut(), Cut(effect=False), Broken(503, effect=True), TooMany(0.5)):
        discord.fail("POST", "/users/@me/channels", fault)
    async with on_stage(discord, tmp_path, repository, concurrency=0, access=PEOPLE) as stage:
        (run_id,) = await stage.has("failed")
        stage.listen()
        for trial in every:
            discord.fail("POST", f"/channels/60{trial.user}/messages", trial.fault)
            await discord.say(mention(f"status {run_id}", trial.user))
            payload = slash("status", {"run": run_id}, trial.user)
            await discord.interact(fail_first_answer(discord, payload, trial.fault))
        await stage.answered(2 * len(every))
    seen = Counter((one.how, one.user) for one in stage.said())
    assert seen == {(how, one.user): 1 for one in every for how in ("direct", "private")}
    assert all(one.text.startswith(f"deploy {run_id} failed") for one in stage.said())
    assert_patient(discord, 5)


async def test_an_answer_in_place_of_a_promise_is_given_once(
    discord: Discord, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.discord.interactions._DEFER_SECONDS", 0)
    every = trials(discord)
    async with on_stage(discord, tmp_path, repository, concurrency=0, access=PEOPLE) as stage:
        for trial in every:
            trial.runs = [place_run(stage.database, "failed", trial.channel(1))]
        await stage.opens(*(trial.runs[0] for trial in every))
        stage.listen()
        for trial in every:
            run, where = {"run": trial.runs[0]}, (trial.user, trial.channel(1))
            for payload in (slash("status", run, *where), slash("resume", run, *where)):
                original = f"/webhooks/*/{payload['token']}/messages/@original"
                discord.fail("*", original, trial.fault)
                trial.asked.append(await discord.interact(payload))
        await stage.answered(2 * len(every))
    said = stage.said()
    for trial in every:
        private, public = trial.asked
        assert (private.deferred, public.deferred, is_taken_back(public)) == (True, True, True)
        answers = [one for one in said if one.shown.channel == trial.channel(1)]
        words = sorted((one.how, one.text.split()[0]) for one in answers)
        assert (trial.name, words) == (trial.name, [("channel", "Resuming"), ("private", "deploy")])
    assert_patient(discord, 4)


async def test_a_retry_of_what_was_taken_is_no_second_answer(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        stage.listen()
        fault = Broken(effect=True)
        look = fail_first_answer(discord, slash("status", {"run": run_id}), fault)
        change = fail_first_answer(discord, slash("resume", {"run": run_id}), fault)
        asked = [await discord.interact(one) for one in (look, change)]
        await stage.answered(2)
    assert [one.refused for one in asked] == [[40060], [40060]]
    assert [len(one.responses) for one in asked] == [1, 1]
    assert sorted((one.how, one.text.split()[0]) for one in stage.said()) == [
        ("channel", "Resuming"),
        ("private", "deploy"),
    ]


# --- when it takes long ----------------------------------------------------------------------


@pytest.mark.heavy
async def test_what_takes_long_is_promised_in_time_and_answered_in_that_place(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        one, two, three = await stage.has("failed", "failed", "failed")
        offered = await stage.told(slash("resume", user="2"))
        assert offered.original
        stage.listen()
        with kept_locked(stage.database):
            looks = await discord.interact(slash("status", {"run": one}, "3"))
            clicks = await discord.interact(click(stage.card(one), "Resume"))
            changes = await discord.interact(slash("cancel", {"run": two}))
            chooses = await discord.interact(choosing(offered.original, three, "2"))
            every = (looks, clicks, changes, chooses)
            await discord.until(lambda: all(one.deferred for one in every))
            assert max(one.seconds for one in every) < SECONDS_TO_RESPOND
            assert stage.said() == []
        await stage.answered(4)
        assert looks.original
        assert (looks.original.ephemeral, looks.original.loading) == (True, False)
        assert looks.original.content.startswith(f"deploy {one} failed")
        assert [is_taken_back(one) for one in (clicks, changes)] == [True, True]
        # What stood there as a choice says now what became of it.
        assert chooses.original is offered.original
        assert offered.original.content.startswith(f"Resuming deploy {three}")
        assert offered.original.components == []
        public = [one for one in stage.said() if one.how == "channel"]
        assert sorted(one.text.split()[2].rstrip(";.") for one in public) == [one, two, three]
        for told in public:
            assert told.shown.reference in {stage.card(run).id for run in (one, two, three)}


async def test_after_a_quarter_of_an_hour_answers_come_by_the_bots_token(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        runs = dict(zip((10015, 50027), await stage.has("failed", "failed"), strict=True))
        asked: dict[int, list[Interaction]] = {}
        stage.listen()
        with kept_locked(stage.database):
            for code, run_id in runs.items():
                looks = await discord.interact(slash("status", {"run": run_id}, "3"))
                changes = await discord.interact(slash("resume", {"run": run_id}))
                asked[code] = [looks, changes]
            every = [one for some in asked.values() for one in some]
            await discord.until(lambda: all(one.deferred for one in every))
            for code, some in asked.items():
                for one in some:
                    one.expire(code)
        await stage.answered(4)
        for run_id in runs.values():
            said = {one.how: one for one in stage.said() if run_id in one.text}
            assert said.keys() == {"direct", "channel"}
            assert (said["direct"].user, said["direct"].text.split()[1]) == ("3", run_id)
            assert said["channel"].text.startswith(f"Resuming deploy {run_id}")
            assert said["channel"].shown.reference == stage.card(run_id).id
        assert len(stage.said()) == 4


async def test_a_database_that_stays_locked_is_told_of(
    discord: Discord, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.sqlite._BUSY_SECONDS", 0.2)
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        with kept_locked(stage.database):
            told = await stage.private(slash("resume", {"run": run_id}))
            assert told.startswith("Too much is going on here")
            await discord.say(mention(f"resume {run_id}", "2"))
            await discord.until(lambda: any(one.channel == "602" for one in discord.posted))
        assert (await stage.run(run_id)).status == "failed"
        stage.listen()
        await stage.told(slash("resume", {"run": run_id}))
        assert [one.how for one in stage.said()] == ["channel"]


# --- refused ---------------------------------------------------------------------------------


async def test_an_answer_that_is_refused_goes_another_way(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        stage.listen()
        refused = Refused(404, 10062)
        await discord.interact(fail_first_answer(discord, slash("runs", user="3"), refused))
        payload = slash("resume", {"run": run_id})
        await discord.interact(fail_first_answer(discord, payload, refused))
        discord.no_dms.add("2")
        await discord.say(mention("status", "2"))
        await stage.answered(3)
        said = sorted((one.how, one.user, one.text.split()[0]) for one in stage.said())
        assert said == [
            ("channel", None, "I"),
            ("channel", None, "Resuming"),
            ("direct", "3", run_id),
        ]


async def test_a_choice_that_was_deleted_meanwhile_is_answered_all_the_same(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        one, _ = await stage.has("failed", "failed")
        stage.listen()
        await discord.say(mention("resume"))
        await discord.until(stage.said)
        (offered,) = stage.said()
        payload = choosing(offered.shown, one)
        discord.delete_message(offered.shown.id)
        await discord.interact(payload)
        await stage.answered(2)
        (said,) = stage.said()
        assert said.text.startswith(f"Resuming deploy {one}")


@pytest.mark.heavy
async def test_a_slow_discord_does_not_hold_up_other_answers(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        slow = await discord.interact(fail_first_answer(discord, slash("runs"), Slow(0.9)))
        asked = await stage.told(slash("runs", user="2"))
        assert asked.seconds < 0.6
        await discord.until(lambda: slow.answered)


async def test_an_answer_that_was_given_up_is_logged(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    discord.no_dms.add("3")
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        await discord.interact(
            fail_first_answer(discord, slash("runs", user="3"), Refused(404, 10062))
        )
        await stage.answered(1)
    (lost,) = [one for one in log_of(tmp_path / "state") if one["event"] == "reply.send_rejected"]
    assert "50007" in lost["reason"]
