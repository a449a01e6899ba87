"""What the Slack double remembers, and the faults a test can order from it."""

import copy
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

Json = dict[str, Any]

TEAM = "T1"
APP = "ABATON"
BOT = "UBATON"
BOT_ID = "BBATON"
SIGNING_SECRET = "secret"
NAMES = {"U1": "ana", "U2": "ben", "U3": "cleo"}

_moments = itertools.count(1)
_BEGAN = int(time.time())


def next_ts() -> str:
    """A moment that no other message has: later than all before."""
    seconds, micros = divmod(next(_moments) * 100, 1_000_000)
    return f"{_BEGAN + seconds}.{micros:06}"


@dataclass
class Channel:
    """A conversation of a workspace; `user` is the other side of a direct one."""

    id: str
    team: str = TEAM
    member: bool = True
    archived: bool = False
    exists: bool = True
    user: str | None = None


class Edit(NamedTuple):
    """What a message became, and when on the monotonic clock."""

    at: float
    text: str
    blocks: list[Json]


class Shown(Protocol):
    """Anything with buttons that a person can see."""

    @property
    def channel(self) -> str: ...
    @property
    def ts(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def blocks(self) -> list[Json]: ...
    @property
    def thread_ts(self) -> str | None: ...
    @property
    def ephemeral(self) -> bool: ...


@dataclass(eq=False)
class SentMessage:
    """A message of the bot's as it stands now."""

    channel: str
    ts: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    metadata: Json | None = None
    token: str = ""
    edits: list[Edit] = field(default_factory=list)
    deleted: bool = False
    ephemeral: bool = False

    def change(self, at: float, text: str, blocks: list[Json]) -> None:
        """What everybody sees from now on."""
        self.text, self.blocks = text, blocks
        self.edits.append(Edit(at, text, blocks))


@dataclass(eq=False)
class Ephemeral:
    """A message that one person sees."""

    channel: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    ts: str = field(default_factory=next_ts)
    token: str = ""
    ephemeral: bool = True


@dataclass(eq=False)
class Response:
    """What was posted to a response_url, and where a person sees it."""

    url: str
    body: Json
    channel: str
    user: str
    ts: str = field(default_factory=next_ts)

    @property
    def text(self) -> str:
        return str(self.body.get("text") or "")

    @property
    def blocks(self) -> list[Json]:
        return list(self.body.get("blocks") or [])

    @property
    def thread_ts(self) -> str | None:
        return self.body.get("thread_ts")

    @property
    def ephemeral(self) -> bool:
        return self.body.get("response_type") != "in_channel"


class View(NamedTuple):
    """A dialogue that was opened."""

    trigger_id: str
    view: Json
    token: str


@dataclass(frozen=True)
class Call:
    """One request to the Web API or a response_url; status 0 is a cut connection."""

    method: str
    values: Json
    token: str
    at: float
    status: int
    error: str = ""


class Ack(NamedTuple):
    """A client's acknowledgement of an envelope, and how long it took."""

    envelope_id: str
    payload: Json | None
    seconds: float


class HttpAnswer(NamedTuple):
    """What a bot's own HTTP endpoint answered."""

    status: int
    body: str


@dataclass(frozen=True)
class TooMany:
    """429 with Retry-After, without effect."""

    retry_after: int = 1


@dataclass(frozen=True)
class Broken:
    """A server error, which may have taken effect all the same."""

    status: int = 500
    effect: bool = False


@dataclass(frozen=True)
class Slow:
    """Takes effect at once, answers late."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """The connection is closed without an answer, after the effect or before it."""

    effect: bool = True


@dataclass(frozen=True)
class Refused:
    """An orderly no, without effect."""

    error: str


Fault = TooMany | Broken | Slow | Cut | Refused


def elements_of(block: Json) -> Iterator[Json]:
    """The interactive elements of a block."""
    elements = block.get("elements", []) if block.get("type") == "actions" else []
    accessory = block.get("accessory")
    for element in [*elements, *([accessory] if accessory else [])]:
        if element.get("type") != "image":
            yield element


def with_ids(blocks: list[Json]) -> list[Json]:
    """Blocks as Slack gives them back: what had no id got one."""
    named = copy.deepcopy(blocks)
    for place, block in enumerate(named):
        block.setdefault("block_id", f"block{place}")
        for number, element in enumerate(elements_of(block)):
            element.setdefault("action_id", f"action{place}.{number}")
    return named


def as_slack_shows(message: Shown, team: str) -> Json:
    """A message of the bot's in the words of Slack."""
    said: Json = {
        "type": "message",
        "user": BOT,
        "bot_id": BOT_ID,
        "app_id": APP,
        "team": team,
        "text": message.text,
        "ts": message.ts,
        "blocks": with_ids(message.blocks),
    }
    if message.thread_ts:
        said |= {"thread_ts": message.thread_ts, "parent_user_id": BOT}
    return said
