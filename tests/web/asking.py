"""Somebody who asks Baton over HTTP: a script with a token, or a browser that signed in."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http.cookies import Morsel, SimpleCookie
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

_COOKIE = re.compile(r"baton_\d+|__Host-baton")
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')
_LONGEST = 500_000
_WITHIN = aiohttp.ClientTimeout(total=30)


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def kind(self) -> str:
        """The media type alone."""
        return self.headers.get("Content-Type", "").partition(";")[0]

    @property
    def cookie(self) -> "Morsel[str] | None":
        """The cookie of a session, if one was set."""
        set_here: SimpleCookie = SimpleCookie()
        for header in self.headers.getall("Set-Cookie", []):
            set_here.load(header)
        return next((one for one in set_here.values() if _COOKIE.fullmatch(one.key)), None)


@dataclass(frozen=True)
class Asking:
    """Sends requests as they are written: no path is tidied, no redirect followed."""

    session: aiohttp.ClientSession
    base: str
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def having(self, **headers: str) -> "Asking":
        """The same with more headers; `_` stands for a hyphen."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})

    async def ask(self, method: str, path: str, **more: Any) -> Answered:
        url = URL(f"{self.base}{path}", encoded=True)
        headers = {**self.headers, **more.pop("headers", {})}
        asked = self.session.request(method, url, headers=headers, allow_redirects=False, **more)
        async with asked as answer:
            return Answered(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **more: Any) -> Answered:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, **more: Any) -> Answered:
        return await self.ask("POST", path, **more)

    @asynccontextmanager
    async def stream(self, path: str = "/api/events") -> AsyncIterator["Stream"]:
        """Listens to events inside of this."""
        url = URL(f"{self.base}{path}", encoded=True)
        forever = aiohttp.ClientTimeout(total=None, sock_read=20)
        asked = self.session.get(url, headers=self.headers, timeout=forever, allow_redirects=False)
        async with asked as answer:
            stream = Stream(answer)
            if answer.status == 200:
                await stream.comment()
            yield stream


@dataclass(frozen=True)
class Stream:
    """Events as they come."""

    answer: aiohttp.ClientResponse

    async def _block(self) -> list[str]:
        lines = []
        while (line := (await self.answer.content.readline()).decode()) not in {"\n", ""}:
            lines.append(line.rstrip("\n"))
        if not lines:
            raise EOFError
        return lines

    async def comment(self) -> str:
        """The next block, which is a comment."""
        first, *_ = await self._block()
        assert first.startswith(": "), first
        return first[2:]

    async def run(self) -> Any:
        """The next run that changed."""
        while True:
            block = dict(line.split(": ", 1) for line in await self._block())
            if block.get("event") == "run":
                return json.loads(block["data"])

    async def until(self, run_id: str, status: str) -> list[Any]:
        """Every state of a run that is told, up to this one."""
        told = []
        while True:
            run = await self.run()
            if run["id"] == run_id:
                told.append(run)
                if run["status"] == status:
                    return told


@dataclass(frozen=True)
class Browser:
    """A browser in which somebody signed in."""

    asking: Asking
    csrf: str

    async def get(self, path: str, **more: Any) -> Answered:
        return await self.asking.get(path, **more)

    async def send(self, path: str, *, csrf: str | None = None, **fields: str) -> Answered:
        """Send a form, with the proof that it is ours unless another is given."""
        proof = self.csrf if csrf is None else csrf
        return await self.asking.post(path, data={"csrf": proof, **fields})


async def signed_in(asking: Asking, token: str) -> Browser:
    """The browser of whoever has this token."""
    answer = await asking.post("/signin", data={"token": token})
    assert answer.status == 303, answer.text
    return await with_cookie(asking, answer)


async def with_cookie(asking: Asking, answer: Answered) -> Browser:
    """A browser that took the cookie of this answer."""
    assert answer.cookie is not None
    inside = asking.having(Cookie=f"{answer.cookie.key}={answer.cookie.value}")
    page = await inside.get("/")
    assert page.status == 200, page.text
    found = _CSRF.search(page.text)
    assert found is not None
    return Browser(inside, found[1])


@asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections without a limit to their number, and no cookie kept."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=_WITHIN,
        max_line_size=_LONGEST,
        max_field_size=_LONGEST,
    ) as session:
        yield session
