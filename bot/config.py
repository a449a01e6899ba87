"""Settings: a TOML file, overlaid by the environment; a mistake names its key and the remedy."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from bot.access import Policy, Role, policy_of, valid_entry
from bot.errors import ConfigurationError
from bot.run import Step
from bot.workflows import Workflow

PREFIX = "BATON_"
DEFAULT_FILE = Path("config.toml")
ECOSYSTEM = {
    "SLACK_BOT_TOKEN": ("slack", "bot_token"),
    "SLACK_APP_TOKEN": ("slack", "app_token"),
    "SLACK_SIGNING_SECRET": ("slack", "signing_secret"),
    "SLACK_CLIENT_ID": ("slack", "client_id"),
    "SLACK_CLIENT_SECRET": ("slack", "client_secret"),
    "DISCORD_TOKEN": ("discord", "token"),
}
"""Names under which other tools of a platform look for the same secrets."""

_PER_RUN = ("BATON_ARG_", "BATON_RUN_ID", "BATON_EPOCH", "BATON_STEP", "BATON_ATTEMPT")
_WEB_ADDRESS = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:\d+)?(/[^\s?#]*)?")
_WORKFLOW_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

Positive = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Section):
    """Where Baton keeps its state."""

    url: str = "sqlite:///.baton/baton.db"


class ServerSettings(_Section):
    """Where Baton listens, and under which address others reach it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8642, ge=0, le=65535)
    public_url: str = ""

    @field_validator("public_url")
    @classmethod
    def _of_the_web(cls, address: str) -> str:
        # To ask for a port out of range raises ValueError.
        if address and (not _WEB_ADDRESS.fullmatch(address) or urlsplit(address).port == 0):
            reason = (
                "that is no address of the web: expected something like https://baton.example.com"
            )
            raise ValueError(reason)
        return address

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def in_the_clear(self) -> bool:
        """Whether tokens would cross a network unprotected; then nothing is served."""
        return not self.local and not self.public_url.startswith("https://")


_NO_SECRET = SecretStr("")
_COMMAND = r"^/[^\s/A-Z]{1,31}$"


class SlackSettings(_Section):
    """How Baton is joined to Slack; not at all without a bot token."""

    mode: Literal["socket", "http"] = "socket"
    connections: int = Field(default=2, ge=1, le=10)
    bot_token: SecretStr = _NO_SECRET
    app_token: SecretStr = _NO_SECRET
    signing_secret: SecretStr = _NO_SECRET
    client_id: str = ""
    client_secret: SecretStr = _NO_SECRET
    api_url: str = "https://slack.com/api/"
    resume_command: str = Field(default="/resume", pattern=_COMMAND)
    cancel_command: str = Field(default="/cancel", pattern=_COMMAND)
    root_command: str = Field(default="/baton", pattern=_COMMAND)

    @property
    def used(self) -> bool:
        """Whether Baton is to talk in Slack."""
        return bool(self.bot_token.get_secret_value() or self.client_id)


class DiscordSettings(_Section):
    """How Baton is joined to Discord; not at all without a token."""

    token: SecretStr = _NO_SECRET
    guild_ids: tuple[Annotated[int, Field(gt=0)], ...] = ()
    api_url: str = Field(default="https://discord.com/api/v10", pattern=r"^https?://[^\s@]+$")
    gateway_url: str = Field(default="wss://gateway.discord.gg/", pattern=r"^wss?://[^\s@]+$")

    @field_validator("api_url", "gateway_url")
    @classmethod
    def _reachable(cls, address: str) -> str:
        parts = urlsplit(address)
        if not parts.hostname or parts.port == 0:
            reason = "there is no host, or no port, in that address"
            raise ValueError(reason)
        return address

    @property
    def used(self) -> bool:
        """Whether Baton is to talk in Discord."""
        return bool(self.token.get_secret_value())


class AccessSettings(_Section):
    """Who may do what; nobody until somebody is named."""

    viewers: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()
    local: Literal["none", "viewer", "operator", "admin"] = "admin"

    @field_validator("viewers", "operators", "admins")
    @classmethod
    def _well_formed(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if not valid_entry(entry):
                reason = f"{entry!r} is no entry: expected something like slack:U123 or everyone"
                raise ValueError(reason)
        return entries

    def policy(self) -> Policy:
        """The policy that these lists make."""
        return policy_of(
            viewers=self.viewers,
            operators=self.operators,
            admins=self.admins,
            local=Role[self.local.upper()],
        )


class RunnerSettings(_Section):
    """How this host works on runs."""

    host: str = ""
    directory: str = Field(default=".baton", min_length=1)
    concurrency: int = Field(default=2, ge=0)
    heartbeat_seconds: Positive = 10
    lease_seconds: Positive = 60
    grace_seconds: Positive = 10
    orphan_after_days: Positive = 3
    auto_resume: bool = False

    @model_validator(mode="after")
    def _beats_within_lease(self) -> "RunnerSettings":
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            reason = "lease_seconds must be at least twice heartbeat_seconds"
            raise ValueError(reason)
        return self


class StepSettings(_Section):
    """One step: exactly one of `run` and `gate`."""

    name: str = Field(min_length=1, max_length=80)
    run: str | None = Field(default=None, min_length=1)
    gate: str | None = Field(default=None, min_length=1)
    timeout_seconds: Positive | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "StepSettings":
        if (self.run is None) == (self.gate is None):
            reason = f"step {self.name!r} needs exactly one of run and gate"
            raise ValueError(reason)
        return self


class WorkflowSettings(_Section):
    """A workflow: a repository and the steps that run in worktrees of it."""

    repository: str
    base: str = "main"
    description: str = ""
    steps: tuple[StepSettings, ...] = Field(min_length=1)

    def workflow(self, name: str, beside: Path) -> Workflow:
        """The workflow; a relative repository is looked for beside the configuration file."""
        repository = (beside / Path(self.repository).expanduser()).resolve()
        steps = tuple(
            Step(name=s.name, command=s.run, gate=s.gate, timeout_seconds=s.timeout_seconds)
            for s in self.steps
        )
        return Workflow(
            name=name,
            repository=str(repository),
            base=self.base,
            description=self.description,
            steps=steps,
        )


class Settings(_Section):
    """Everything that can be configured."""

    database: DatabaseSettings = DatabaseSettings()
    server: ServerSettings = ServerSettings()
    slack: SlackSettings = SlackSettings()
    discord: DiscordSettings = DiscordSettings()
    access: AccessSettings = AccessSettings()
    runner: RunnerSettings = RunnerSettings()
    workflows: dict[Annotated[str, Field(pattern=_WORKFLOW_NAME)], WorkflowSettings] = {}


def load(
    file: Path | None, environment: Mapping[str, str], defaults: Mapping[str, Any]
) -> Settings:
    """The settings of this file and environment; `defaults` where there is no file.

    Raises ConfigurationError with a sentence that names the key.
    """
    written = dict(defaults) if file is None else _read(file)
    given = _given(environment)
    try:
        return Settings.model_validate(_overlaid(written, given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        sources = _blamed(first["loc"], file, written, given)
        raise ConfigurationError(_sentence(first, sources)) from None


def file_to_use(named: str | None, environment: Mapping[str, str]) -> Path | None:
    """The configuration file: the named one, else ./config.toml if there is one."""
    chosen = named or environment.get("BATON_CONFIG")
    if chosen:
        return Path(chosen)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"The configuration {file} cannot be read: {error.strerror}."
        raise ConfigurationError(reason) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = f"The configuration {file} is not valid TOML: {error}."
        raise ConfigurationError(reason) from None


@dataclass(frozen=True, slots=True)
class _Given:
    """A setting that comes from the environment."""

    variable: str
    section: str
    key: str
    value: Any


def _given(environment: Mapping[str, str]) -> list[_Given]:
    """What the environment sets: the names of other tools first, as BATON_SECTION__KEY wins."""
    given = [
        _Given(name, section, key, environment[name])
        for name, (section, key) in ECOSYSTEM.items()
        if environment.get(name)
    ]
    for name, value in environment.items():
        section, separator, key = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and separator and not name.startswith(_PER_RUN):
            given.append(_Given(name, section, key, _value(value)))
    return given


def _overlaid(written: Mapping[str, Any], given: Iterable[_Given]) -> dict[str, Any]:
    """The settings with what the environment sets put over them."""
    settings = dict(written)
    for one in given:
        settings[one.section] = {**settings.get(one.section, {}), one.key: one.value}
    return settings


def _value(text: str) -> Any:  # noqa: ANN401 - any TOML value
    """An environment variable is TOML where it can be (numbers, lists), else plain text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


_SAID = {
    "extra_forbidden": "there is no such setting; config.example.toml lists them all",
    "tuple_type": 'a list is wanted, written as in JSON: ["one", "two"]',
}
"""What pydantic would say in its own words."""


def _sentence(first: ErrorDetails, sources: Sequence[str]) -> str:
    key = ".".join(str(part) for part in first["loc"]) or "the configuration"
    said = _SAID.get(first["type"], first["msg"].removeprefix("Value error, "))
    where = f" in {' and '.join(sources)}" if sources else ""
    return f"{key}{where}: {said}. Nothing was started; correct it and try again."


def _blamed(
    place: Sequence[Any], file: Path | None, written: Mapping[str, Any], given: Sequence[_Given]
) -> Sequence[str]:
    """What a wrong setting comes from: its last variable, else the file; a section has several."""
    named = tuple(place[:2])
    variables = [one.variable for one in given if (one.section, one.key)[: len(named)] == named]
    files = [str(file)] if file else []
    if len(named) > 1:
        return variables[-1:] or files
    return variables if named and named[0] not in written else [*files, *variables]


def current(named: str | None, defaults: Mapping[str, Any]) -> tuple[Settings, Path | None]:
    """The settings of this process, and the file that they came from."""
    file = file_to_use(named, os.environ)
    return load(file, os.environ, defaults), file
