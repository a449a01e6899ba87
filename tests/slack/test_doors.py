"""What Slack alone has of ways into Baton; tests/chat has what is true of every platform."""

from collections.abc import AsyncIterator

import pytest

from bot.bootstrap import Installation
from tests.slack.double import Slack
from tests.slack.payloads import click, mention, options_of, shortcut
from tests.slack.scenes import THREAD, Scene, place_run, playing, use_shortcut


@pytest.fixture
async def scene(slack: Slack, installation: Installation) -> AsyncIterator[Scene]:
    async with playing(slack, installation) as scene:
        yield scene


@pytest.mark.parametrize("verb", ["resume", "cancel"])
async def test_the_shortcut_on_other_messages_of_a_thread_gives_a_choice(
    scene: Scene, verb: str
) -> None:
    where = {"conversation": f"slack:T1:C1:{THREAD}", "channel": "slack:T1:C1"}
    second = place_run(scene.database, "failed", **where)
    await scene.has("failed", **where)
    news = scene.slack.posted[-1]
    offered = await scene.told(shortcut(news, callback_id="baton_run"))
    assert (offered.how, offered.user) == ("private", "U1")
    wanted = f"baton:{verb}:shortcut"
    options = options_of(offered.shown.blocks).items()
    (picked,) = [one for label, one in options if second in label and one["action_id"] == wanted]
    (public,) = await scene.does(click(offered.shown, picked, user="U1"))
    assert public.place == ("C1", THREAD)
    word = {"resume": "resumed", "cancel": "cancelled"}[verb]
    assert await scene.audit(second, verb) == [(word, "slack-shortcut", "slack:U1")]


@pytest.mark.parametrize("place", ["D1", f"C1:{THREAD}"])
async def test_the_shortcut_on_a_card_is_about_its_run(scene: Scene, place: str) -> None:
    where = {"conversation": f"slack:T1:{place}", "channel": f"slack:T1:{place[:2]}"}
    other = place_run(scene.database, "failed", **where)
    (over,) = await scene.has("completed", **where)
    offered = await scene.told(use_shortcut(scene, over, "U1"))
    assert offered.text.startswith(f"deploy {over} completed")
    assert other not in str(offered.shown.blocks)


async def test_no_private_answer_hides_in_a_thread_that_nobody_began(scene: Scene) -> None:
    """Slack shows ephemeral messages only in active threads (docs.slack.dev: postEphemeral)."""
    (run_id,) = await scene.has("working")
    for act in (mention("help"), mention("run nope"), use_shortcut(scene, run_id, "U1")):
        assert (await scene.told(act)).shown.thread_ts is None
    assert (await scene.told(mention("help", thread_ts=THREAD))).shown.thread_ts == THREAD
