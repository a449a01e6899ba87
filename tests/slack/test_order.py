"""What is known of a card is known for good, whatever goes wrong right after it."""

from pathlib import Path

from tests.slack.double import Slack, Slow, TooMany
from tests.slack.stage import cards, news, on_stage


async def test_a_card_is_known_though_its_news_could_not_be_told(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        # The card comes late, so that its news is due at once; then the news is refused.
        for fault in (TooMany(2), Slow(0), TooMany(1)):
            slack.fail("chat.postMessage", fault)
        run_id = await stage.starts("gated")
        await slack.until(lambda: news(slack, run_id))
        await stage.current()
        assert len(cards(slack, run_id)) == 1
