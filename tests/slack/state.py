"""The workspace that the Slack double plays, and waiting for something in it to change."""

import asyncio
import itertools
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.slack.records import (
    NAMES,
    TEAM,
    Call,
    Channel,
    Ephemeral,
    Fault,
    Json,
    Response,
    SentMessage,
    View,
)

SCOPES = {
    "app_mentions:read",
    "channels:history",
    "chat:write",
    "commands",
    "groups:history",
    "im:history",
    "im:write",
    "usergroups:read",
    "users:read",
}
USES_OF_A_RESPONSE_URL = 5


class SlackError(Exception):
    """Slack's no to a call."""

    def __init__(self, error: str, **more: object) -> None:
        super().__init__(error)
        self.error = error
        self.more = more


@dataclass
class Origin:
    """What a response_url was given out for."""

    channel: str
    user: str
    ts: str | None
    uses_left: int = USES_OF_A_RESPONSE_URL


@dataclass
class Window:
    """At most `limit` calls in any `seconds`."""

    limit: int
    seconds: float
    moments: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Note a call; or how long to wait, if it is one too many."""
        while self.moments and self.moments[0] <= now - self.seconds:
            self.moments.popleft()
        if len(self.moments) >= self.limit:
            return self.moments[0] + self.seconds - now
        self.moments.append(now)
        return 0


class State:
    """All that a test may prepare before, and read afterwards."""

    def __init__(self) -> None:
        self.base = ""
        self.scopes = set(SCOPES)
        self.tokens = {"xoxb-1": TEAM}
        self.app_tokens = {"xapp-1"}
        self.client_id, self.client_secret = "1.1", "client-secret"
        self.codes = {"code-1": TEAM}
        self.refresh_tokens: dict[str, str] = {}
        self.rotation = False
        self.channels = {
            one.id: one for one in (Channel("C1"), Channel("C2"), Channel("D1", user="U1"))
        }
        self.users = {one: person(name) for one, name in NAMES.items()}
        self.groups: dict[str, list[str]] = {}
        self.enforce_rates = False

        self.messages: dict[tuple[str, str], SentMessage] = {}
        self.posted: list[SentMessage] = []
        self.ephemerals: list[Ephemeral] = []
        self.responses: list[Response] = []
        self.views: list[View] = []
        self.calls: list[Call] = []

        self.triggers: dict[str, float] = {}
        self.origins: dict[str, Origin] = {}
        self.posts: defaultdict[str, Window] = defaultdict(lambda: Window(5, 5))
        self.updates: defaultdict[str, Window] = defaultdict(lambda: Window(50, 60))
        self.numbers = itertools.count(1)
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._condition = asyncio.Condition()

    def fail(self, method: str, fault: Fault, times: int = 1) -> None:
        """Let the next calls of a method fail; "response_url" counts as one."""
        self._faults[method].extend([fault] * times)

    def next_fault(self, method: str) -> Fault | None:
        """The fault that this call meets."""
        queue = self._faults[method]
        return queue.popleft() if queue else None

    def called(self, method: str) -> list[Call]:
        """The calls of one method so far."""
        return [call for call in self.calls if call.method == method]

    async def changed(self) -> None:
        """Wake everybody who waits."""
        async with self._condition:
            self._condition.notify_all()

    async def until(self, predicate: Callable[[], object], seconds: float = 10) -> None:
        """Wait until this holds; it is asked again after each change in the double."""
        try:
            async with asyncio.timeout(seconds), self._condition:
                await self._condition.wait_for(lambda: bool(predicate()))
        except TimeoutError:
            recent = "\n".join(f"  {call}" for call in self.calls[-12:])
            raise AssertionError(f"not within {seconds} s; the last calls:\n{recent}") from None

    def keep(self, message: SentMessage) -> SentMessage:
        """A message appears."""
        self.messages[message.channel, message.ts] = message
        self.posted.append(message)
        return message

    def remove(self, message: SentMessage) -> None:
        """A message disappears, whoever deleted it."""
        message.deleted = True
        del self.messages[message.channel, message.ts]

    def direct(self, team: str, user: str) -> Channel:
        """The direct conversation with somebody, opened if need be."""
        for channel in self.channels.values():
            if (channel.team, channel.user) == (team, user):
                return channel
        number = next(n for n in itertools.count(1) if f"D{n}" not in self.channels)
        return self.channels.setdefault(f"D{number}", Channel(f"D{number}", team, user=user))

    def give_out(self, payload: Json) -> None:
        """Note what Slack hands out with an interaction: trigger, and response_url (made if "")."""
        if "trigger_id" in payload:
            self.triggers[payload["trigger_id"]] = time.monotonic()
        if "response_url" not in payload:
            return
        url = payload["response_url"] or f"{self.base}/response/{next(self.numbers)}"
        payload["response_url"] = url
        channel = payload.get("channel_id") or payload["channel"]["id"]
        user = payload.get("user_id") or payload["user"]["id"]
        ts = payload.get("message_ts") or payload.get("container", {}).get("message_ts")
        self.origins.setdefault(url, Origin(channel, user, ts))


def person(name: str, **more: object) -> Json:
    """Somebody in the workspace."""
    return {
        "name": name,
        "real_name": name.capitalize(),
        "is_bot": False,
        "is_restricted": False,
        "is_ultra_restricted": False,
        "deleted": False,
        **more,
    }
