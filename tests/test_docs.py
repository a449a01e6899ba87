"""What the documents say is so: names, tables, settings and links are held against the code."""

import re
import tomllib
from argparse import _SubParsersAction
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from adapters.web import api
from adapters.web.metrics import _Gathered, _State
from bot.cli import _parser
from bot.config import ECOSYSTEM, Settings, StepSettings, WorkflowSettings
from bot.outcome import EXIT_CODES, HTTP_STATUSES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = ROOT / "config.example.toml"
PER_RUN = ("BATON_ARG_", "BATON_RUN_ID", "BATON_EPOCH", "BATON_STEP", "BATON_ATTEMPT")
OURS_ELSEWHERE = {"BATON_CONFIG", "BATON_PUBLIC_URL", "BATON"}
"""Names of the environment that are no settings: the file's own, Compose's, that of an example."""


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of the table whose head begins with this column."""
    table = re.search(rf"^\| {re.escape(first)} \|.*\n\|[ -|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table, first
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def words(cell: str) -> list[str]:
    """The code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def settings() -> Iterator[str]:
    """Every setting as `section.key`."""
    for section, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (f"{section}.{key}" for key in kind.model_fields)


def test_every_metric_is_told_with_its_labels() -> None:
    gathered = _Gathered(_State({}, 0), 0).collect()
    labels: Mapping[str, tuple[str, ...]] = {
        one.name + ("_total" if one.type == "counter" else ""): getattr(one, "_labelnames", ())
        for one in gathered
    }
    told = rows(page("operations.md"), "Metric")
    assert {words(row[0])[0]: tuple(words(row[1])) for row in told} == labels
    assert all(row[2] for row in told)


def test_every_outcome_is_told_with_its_status_and_its_exit_code() -> None:
    statuses = rows(page("web.md"), "Outcome")
    assert {w: int(row[1]) for row in statuses for w in words(row[0])} == HTTP_STATUSES
    codes = rows(page("command-line.md"), "Outcome")
    assert {w: int(row[1]) for row in codes for w in words(row[0])} == EXIT_CODES


def test_every_request_of_the_api_is_told() -> None:
    made = {
        f"{method} {route.path}"
        for route in api.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert {words(row[0])[0] for row in rows(page("web.md"), "Request")} == made


def test_every_domain_of_the_log_is_told() -> None:
    said = re.compile(r"log\.(?:event|span|fault)\(\s*f?\"([a-z]+)\.")
    logged = {
        domain
        for folder in ("bot", "adapters", "store")
        for path in (ROOT / folder).rglob("*.py")
        for domain in said.findall(path.read_text(encoding="utf-8"))
    }
    assert {w for row in rows(page("operations.md"), "Domain") for w in words(row[0])} == logged


def test_every_verb_of_the_command_line_is_told() -> None:
    verbs = next(a for a in _parser()._actions if isinstance(a, _SubParsersAction)).choices
    told = rows((ROOT / "README.md").read_text(encoding="utf-8"), "Command")
    assert {w.split()[1] for row in told for w in words(row[0])} == set(verbs)


def test_every_setting_is_told_in_its_line() -> None:
    example = EXAMPLE.read_text(encoding="utf-8")
    lines = re.findall(r"^(\w+) = (.*)$", example, re.MULTILINE)
    assert [key for key, rest in lines if not re.search(r"\s# \S", rest)] == []
    optional = {"timeout_seconds"}
    written = tomllib.loads(example)["workflows"]["release"]
    assert set(written) == set(WorkflowSettings.model_fields)
    assert {key for step in written["steps"] for key in step} == set(StepSettings.model_fields)
    assert optional <= {key for key, _ in lines}


@pytest.mark.parametrize("path", [*PAGES, EXAMPLE], ids=lambda path: path.name)
def test_what_is_called_a_setting_is_one(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    known = set(settings())
    sections = "|".join({name.partition(".")[0] for name in known})
    named = set(re.findall(rf"`((?:{sections})\.[a-z_]+)\b", text))
    events = {name for name in named if name.endswith(("_completed", "_failed", "_rejected"))}
    assert named - events <= known
    environment = set(re.findall(r"\b(BATON(?:_[A-Z]+)+(?:__[A-Z_]+)?)\b", text))
    ours = {name for name in environment if not name.startswith(PER_RUN)} - OURS_ELSEWHERE
    assert ours <= {f"BATON_{name.upper().replace('.', '__')}" for name in known}
    theirs = set(re.findall(r"\b((?:SLACK|DISCORD)_[A-Z_]+)\b", text))
    assert theirs <= set(ECOSYSTEM)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]*)(?:#[^)\s]*)?\)", path.read_text(encoding="utf-8")):
        if target and not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_within_a_page_find_their_heading(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= slugs
