"""What the Discord double remembers, and the faults a test can order from it."""

import datetime as dt
import itertools
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = dict[str, Any]

GUILD = "700"
OTHER_GUILD = "701"
CHANNEL = "500"
CHANNEL_2 = "501"
OTHER_CHANNEL = "510"
THREAD = "520"
APP = BOT = "100"
BOT_NAME = "Baton"
BOT_ROLE = "800"
OTHER_BOT = "190"
OWNER = "9"  # nobody in particular
TOKEN = "token"
NAMES = {"1": "ana", "2": "ben", "3": "cleo"}

TEXT, DIRECT, PUBLIC_THREAD, PRIVATE_THREAD = 0, 1, 11, 12
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5  # types of interactions
EPHEMERAL, LOADING, COMPONENTS_V2 = 1 << 6, 1 << 7, 1 << 15

SECONDS_TO_RESPOND = 3.0
SECONDS_OF_A_TOKEN = 900.0
EPOCH_MS = 1_420_070_400_000


class _Ids:
    """Snowflakes: none twice, those of the present rising."""

    def __init__(self) -> None:
        self._last = 0
        self._numbers = itertools.count(1)

    def now(self) -> int:
        self._last = max((time.time_ns() // 1_000_000 - EPOCH_MS) << 22, self._last + 1)
        return self._last

    def then(self, at: float) -> int:
        return (int(at * 1000) - EPOCH_MS) << 22 | next(self._numbers) & 0x3FFFFF


_ids = _Ids()


def snowflake(at: float | dt.datetime | None = None) -> str:
    """An id that nothing else has, made now or at another moment (Unix seconds, or aware)."""
    if at is None:
        return str(_ids.now())
    return str(_ids.then(at.timestamp() if isinstance(at, dt.datetime) else at))


def moment_of(snowflake_id: str) -> str:
    """When an id was made, as Discord writes moments."""
    ms = (int(snowflake_id) >> 22) + EPOCH_MS
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).isoformat()


def name_of(user: str) -> str:
    """The name of anybody."""
    if user == BOT:
        return BOT_NAME
    return NAMES.get(user) or f"user{user}"


def direct_channel(user: str) -> str:
    """The channel in which the bot and a person write to each other."""
    return f"60{user}"


@dataclass
class Channel:
    """A channel or thread as it stands; `user` is the other side of a direct one."""

    id: str
    guild: str | None = GUILD
    kind: int = TEXT
    parent: str | None = None
    user: str | None = None
    owner: str = "1"
    name: str = ""
    deleted: bool = False
    archived: bool = False
    locked: bool = False
    denied: int = 0  # what the bot is denied here, by an overwrite of its own

    @property
    def is_thread(self) -> bool:
        return self.kind in {PUBLIC_THREAD, PRIVATE_THREAD}


@dataclass
class Role:
    """A role of a guild."""

    id: str
    name: str
    permissions: int = 0
    mentionable: bool = False
    managed: bool = False


@dataclass
class Guild:
    """A server that the bot is in; its first role is everybody's."""

    id: str
    name: str
    roles: dict[str, Role] = field(default_factory=dict)
    owner: str = OWNER


def all_channels() -> dict[str, Channel]:
    """The channels of a fresh double; direct ones appear when they are asked for."""
    some = (
        Channel(CHANNEL, name="deploys"),
        Channel(CHANNEL_2, name="random"),
        Channel(OTHER_CHANNEL, OTHER_GUILD, name="elsewhere"),
        Channel(THREAD, kind=PUBLIC_THREAD, parent=CHANNEL, name="talk"),
    )
    return {one.id: one for one in some}


class Edit(NamedTuple):
    """What a message became, and when on the monotonic clock."""

    at: float
    content: str
    components: list[Json]
    embeds: list[Json]


@dataclass(eq=False)
class SentMessage:
    """A message of the bot's as it stands now.

    An `ephemeral` one is seen by `audience` alone. `mentions` is what its present content may
    mention; `pinged` whom it made a sound for, which only happens when it is sent.
    """

    channel: str
    id: str
    content: str = ""
    components: list[Json] = field(default_factory=list)
    embeds: list[Json] = field(default_factory=list)
    flags: int = 0
    reference: str | None = None
    nonce: str | int | None = None
    allowed_mentions: Json | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    attachments: list[Json] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    deleted: bool = False
    author: str = BOT
    guild: str | None = None
    interaction: str | None = None
    metadata: Json | None = None
    audience: str | None = None
    mentions: set[str] = field(default_factory=set)
    pinged: set[str] = field(default_factory=set)
    at: float = field(default_factory=time.monotonic)

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """Nothing but "the bot is thinking" so far."""
        return bool(self.flags & LOADING)

    @property
    def v2(self) -> bool:
        return bool(self.flags & COMPONENTS_V2)


class Response(NamedTuple):
    """A first response that was taken, and when on the monotonic clock."""

    at: float
    type: int
    data: Json
    files: dict[str, bytes]


@dataclass(eq=False)
class Interaction:
    """Something a person did, and all that came of it."""

    id: str
    token: str
    payload: Json
    sent_at: list[float] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)  # Discord's codes, of first responses only
    original: SentMessage | None = None
    followups: list[SentMessage] = field(default_factory=list)
    expired_as: int | None = None

    @property
    def type(self) -> int:
        return int(self.payload["type"])

    @property
    def user(self) -> str:
        who = self.payload.get("user") or self.payload["member"]["user"]
        return str(who["id"])

    @property
    def channel(self) -> str:
        return str(self.payload["channel_id"])

    @property
    def response(self) -> Response | None:
        """The first response; Discord takes no second one."""
        return self.responses[0] if self.responses else None

    @property
    def deferred(self) -> bool:
        """Put off: as "thinking", or silently after a click."""
        return bool(self.responses) and self.responses[0].type in {5, 6}

    @property
    def answered(self) -> bool:
        """Something better than "thinking" came."""
        return bool(self.responses) and not (self.original and self.original.loading)

    @property
    def seconds(self) -> float:
        """How long the first response took."""
        return self.responses[0].at - self.sent_at[0]

    @property
    def choices(self) -> list[Json]:
        """What was offered while somebody typed."""
        return list(self.responses[0].data.get("choices", [])) if self.responses else []

    def expire(self, code: int = 10015) -> None:
        """Its 15 minutes are over; a code of 50027 is what Discord says at other times."""
        self.expired_as = code

    @property
    def age(self) -> float:
        """The seconds since it was first sent."""
        return time.monotonic() - self.sent_at[0]

    def is_over(self) -> int | None:
        """The code with which its token is refused, if it is."""
        if self.expired_as is None and self.age > SECONDS_OF_A_TOKEN:
            return 10015
        return self.expired_as


@dataclass(frozen=True)
class Call:
    """One request, its path below the version; status 0 is a cut connection."""

    method: str
    path: str
    at: float
    status: int
    body: Any = None
    code: int = 0
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class TooMany:
    """429, without effect; one without `via` is Cloudflare's, which discord.py never waits out."""

    retry_after: float = 1.0
    via: bool = True
    global_: bool = False


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

    status: int
    code: int
    message: str = "No"


Fault = TooMany | Broken | Slow | Cut | Refused
