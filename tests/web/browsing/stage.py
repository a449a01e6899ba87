"""Somebody at a browser, and workflows that wait to be watched."""

import itertools
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    Route,
    ViewportSize,
    WebError,
    expect,
)
from playwright.async_api import (
    Error as PlaywrightError,
)

from bot.bootstrap import Installation
from tests.conftest import WORKFLOWS, Person, git
from tests.web.house import Web, installation_for

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 320, "height": 640}
DESK_TWICE_AS_LARGE: ViewportSize = {"width": 640, "height": 400}
_PATIENCE_MILLISECONDS = 8000
_names = itertools.count(1)
Scheme = Literal["light", "dark"]

_UNTIL = 'while [ ! -e "$BATON_ARG_{}" ]; do sleep 0.05; done'
WATCHED: dict[str, list[dict[str, Any]]] = {
    **WORKFLOWS,
    "watched": [
        {"name": "build", "run": f"echo building; {_UNTIL.format('FIRST')}; echo built"},
        {"name": "test", "run": f"echo testing; {_UNTIL.format('SECOND')}; echo tested"},
    ],
    "loud": [{"name": "shout", "run": 'cat "$BATON_ARG_FILE"; sleep 300'}],
    "many": [{"name": f"step {number}", "run": "true"} for number in range(40)],
}

# A refusal is an answer like any other, and a stream is refused by way of the sign-in page;
# Chromium notes each in its console.
_USUAL = (
    "Failed to load resource: the server responded with a status of 4",
    'EventSource\'s response has a MIME type ("text/html")',
)
_REPORTS = """addEventListener("securitypolicyviolation", (event) =>
    console.error(`blocked ${event.violatedDirective}: ${event.blockedURI}`));"""

COUNTED = """window.asked = [];
    const real = window.fetch;
    window.fetch = (address, more) => {
        const down = () => Promise.reject(new TypeError("down"));
        asked.push(window.down ? down() : real(address, more));
        return asked.at(-1);
    };"""
HIDDEN = """(hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
_SEEN = """([selector, text]) => new Promise((resolve) => {
    const even = (some) => some.replace(/\\s+/g, " ");
    const look = () => {
        for (const one of document.querySelectorAll(selector)) {
            if (even(one.textContent).includes(even(text))) resolve();
        }
    };
    const all = { subtree: true, childList: true, characterData: true, attributes: true };
    new MutationObserver(look).observe(document, all);
    look();
    setTimeout(resolve, 4000);
})"""


@dataclass
class Troubles:
    """Whatever a browser complains of, and every dialog that a page opened."""

    found: list[str] = field(default_factory=list)
    forgiven: tuple[str, ...] = _USUAL

    def watch(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("dialog", self._dialog)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(self.forgiven):
            self.found.append(message.text)

    def _error(self, error: WebError) -> None:
        self.found.append(str(error.error))

    async def _dialog(self, dialog: Dialog) -> None:
        self.found.append(f"dialog {dialog.message}")
        await dialog.dismiss()


@dataclass
class Visitor:
    """Somebody at a browser of their own."""

    context: BrowserContext
    page: Page
    base: str
    troubles: Troubles
    scripted: bool = True
    name: str = ""

    async def opens(self, path: str = "/") -> None:
        await self.page.goto(f"{self.base}{path}")

    async def opens_run(self, run_id: str) -> None:
        await self.opens(f"/runs/{run_id}")

    async def takes_session(self, web: Web, role: str) -> None:
        """Sign in as somebody new without the form, which has tests of its own."""
        self.name = f"{role}-{next(_names)}"
        token = await web.token(role, self.name)
        answer = await self.context.request.post(f"{self.base}/signin", form={"token": token})
        assert answer.ok, answer.status

    async def another_tab(self) -> "Visitor":
        return replace(self, page=await self.context.new_page())

    def at(self, selector: str) -> Locator:
        return self.page.locator(selector)

    async def sees(self, selector: str, text: str) -> None:
        """Wait until this shows there; by a change of the page, which is sooner than by asking."""
        if self.scripted:
            with suppress(PlaywrightError):  # another page came meanwhile
                await self.page.evaluate(_SEEN, [selector, text])
        await expect(self.at(selector)).to_contain_text(text)

    async def misses(self, selector: str) -> None:
        await expect(self.at(selector)).to_have_count(0)

    async def is_told(self, *texts: str) -> None:
        for text in texts:
            await self.sees("#answer", text)

    async def is_at_sign_in(self) -> None:
        await expect(self.page).to_have_url(
            re.compile(rf"{re.escape(self.base)}/signin(\?to=/runs/\w+)?$")
        )

    async def has_focus(self, selector: str) -> None:
        await expect(self.at(selector)).to_be_focused()

    async def shown_run(self) -> str:
        """The id of the run whose page this is."""
        await self.page.wait_for_url("**/runs/*")
        return self.page.url.rpartition("/")[2]

    async def is_wider_than_shown(self) -> bool:
        """Whether one has to scroll sideways."""
        wide: bool = await self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return wide

    async def stays_behind(self) -> None:
        """From now on this page hears nothing more: what it shows grows old."""

        async def refuse(route: Route) -> None:
            if route.request.method == "GET":
                await route.fulfill(status=429)
            else:
                await route.fallback()

        await self.page.route(re.compile(rf"{self.base}/(runs/\w+)?$"), refuse)


async def asked(visitor: Visitor) -> int:
    """How often a page whose requests are counted has asked for anything."""
    count: int = await visitor.page.evaluate("asked.length")
    return count


@asynccontextmanager
async def visiting(
    chromium: Browser, base: str, *, forgiven: tuple[str, ...] = (), scripted: bool = True
) -> AsyncIterator[Visitor]:
    """A browser of one's own; at the end it must have had nothing to complain of."""
    context = await chromium.new_context(viewport=DESK, java_script_enabled=scripted)
    context.set_default_timeout(_PATIENCE_MILLISECONDS)
    troubles = Troubles(forgiven=(*_USUAL, *forgiven))
    troubles.watch(context)
    await context.add_init_script(_REPORTS)
    try:
        yield Visitor(context, await context.new_page(), base, troubles, scripted=scripted)
        assert not troubles.found, troubles.found
    finally:
        await context.close()


def watched(tmp_path: Path, repository: Path, **server: Any) -> Installation:
    """Baton with the workflows that are watched here."""
    workflows = {
        name: {"repository": str(repository), "steps": steps} for name, steps in WATCHED.items()
    }
    return installation_for(tmp_path, repository, workflows=workflows, server=server)


def empty_repository(place: Path) -> Path:
    """A repository with one commit on main."""
    repository = place / "repository"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    git(repository, "commit", "-q", "--allow-empty", "-m", "begin")
    return repository


def person(web: Web) -> Person:
    """Somebody new, who changes things in a terminal."""
    return Person(web.service, f"ben-{next(_names)}")
