"""What people see of what several replicas say and show, in the doubles of Discord and of Slack."""

from typing import Any

from adapters.discord.shown import card as discord_card
from adapters.slack.blocks import card as slack_card
from bot.run import Run
from tests.discord.double import Discord, SentMessage
from tests.discord.seen import title_of
from tests.discord.stage import cards as discord_cards
from tests.discord.stage import news as discord_news
from tests.slack.double import Slack
from tests.slack.scenes import cards_of as slack_cards
from tests.slack.scenes import is_unasked

__all__ = ["discord_cards", "discord_news", "slack_cards"]


def discord_answers(discord: Discord, run_id: str) -> list[SentMessage]:
    """Every answer about a run, those to one person included; cards and news are none."""
    own = {one.id for one in discord_cards(discord, run_id)}
    return [
        one
        for one in discord.posted
        if run_id in one.content
        and title_of(one) is None
        and not one.deleted
        and not (one.reference in own and "\n-# " not in one.content)
    ]


def slack_answers(slack: Slack, run_id: str) -> list[Any]:
    """The same in Slack."""
    shown: list[Any] = [one for one in slack.posted if not is_unasked(one)]
    shown += [*slack.ephemerals, *slack.responses]
    return [one for one in shown if run_id in one.text]


def slack_news(slack: Slack, run_id: str) -> list[str]:
    """What was announced of a run, by the names of what happened."""
    payloads = [(one.metadata or {}).get("event_payload", {}) for one in slack.posted]
    about = [one["what"] for one in payloads if one.get("run") == run_id and "what" in one]
    return [what for what in about if what != "card"]


def discord_card_is_true(discord: Discord, run: Run) -> bool:
    """Whether a run has one card, which shows it as it is."""
    wanted = discord_card(run)
    shown = [(one.content, one.components) for one in discord_cards(discord, run.id)]
    return shown == [(wanted.content, wanted.components)]


def slack_card_is_true(slack: Slack, run: Run) -> bool:
    """The same in Slack."""
    return [one.blocks for one in slack_cards(slack, run.id)] == [slack_card(run)]
