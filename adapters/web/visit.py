"""One visit of a browser: who it is, what they may, and the pages that they are shown."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from adapters.web import cookie, view
from adapters.web.guard import Caller, same
from adapters.web.house import House, WebHouse
from adapters.web.problems import RefusedError, refusal
from adapters.web.streams import MEDIA_TYPE
from bot import refusals
from bot.conversation import Conversation, Door, Message
from bot.outcome import HTTP_STATUSES, Answer, Word

_LONGEST_DELIVERY = 64
OF_RUN = re.compile(r"/runs/[a-z0-9]{4,8}\b")
_TEMPLATES = Jinja2Templates(Path(__file__).with_name("templates"))
_TEMPLATES.env.globals.update(view.NAMES)


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who is signed in."""

    request: Request
    house: WebHouse
    person: Caller

    def page(self, name: str, status: int = 200, **values: Any) -> Response:  # noqa: ANN401 - whatever the template shows
        """A page for this person."""
        return page(self.request, name, status, person=self.person, **values)

    async def goes_on(self) -> bool:
        """Whether this person is still signed in."""
        return await _signed_in(self.request) is not None

    def answered(self, answer: Answer) -> Response:
        """A page that only tells what was answered."""
        status = HTTP_STATUSES[answer.word]
        title = HTTPStatus(status).phrase
        return self.page("message.html", status, title=title, text=answer.reply)

    async def ask(self, text: str, delivery: str = "", epoch: int | None = None) -> Answer:
        """The answer to what this person wants; a form that is sent again has no second effect."""
        actor = f"{Door.WEB}:{self.person.name}"
        message = Message(
            text=text,
            conversation=Conversation(actor),
            author=self.person.author(Door.WEB),
            door=Door.WEB,
            delivery=f"{actor}:{delivery[:_LONGEST_DELIVERY]}" if delivery else None,
            seen_epoch=epoch,
        )
        answer = await self.house.dispatcher.handle(message)
        assert answer is not None  # noqa: S101 - a verb is never plain talk
        return answer


def page(request: Request, name: str, status: int = 200, **values: Any) -> Response:  # noqa: ANN401 - whatever the template shows
    """A page, for anybody."""
    return _TEMPLATES.TemplateResponse(request, name, values, status_code=status)


def fitting(request: Request, problem: JSONResponse) -> Response:
    """A problem in the form that fits: a page for a browser, else the problem itself."""
    wanted = request.headers.get("accept", "")
    if request.url.path.startswith("/api/") or "text/html" not in wanted:
        return problem
    found: Mapping[str, str] = json.loads(bytes(problem.body))
    values = {"title": found["title"], "text": found["reply"]}
    return page(request, "message.html", problem.status_code, **values)


async def _visit(request: Request, house: House) -> Visit:
    """Who is signed in. Raises RefusedError with the way to the sign-in page."""
    caller = await _signed_in(request)
    if caller is not None:
        # The lists of the configuration may name them as well.
        role = house.policy.role_of(caller.author(Door.WEB), Door.WEB)
        return Visit(request, house, replace(caller, role=role))
    if MEDIA_TYPE in request.headers.get("accept", ""):
        raise RefusedError(refusal(Word.DENIED, refusals.signed_out(), 401))
    raise RefusedError(RedirectResponse(f"/signin{_way_back(request.url.path)}", 303))


def _way_back(path: str) -> str:
    """What leads on to the page of a run from where one signs in."""
    of_run = OF_RUN.match(path)
    return f"?to={of_run[0]}" if of_run else ""


async def _signed_in(request: Request) -> Caller | None:
    caller: Caller | None = await request.app.state.guard.of_cookie(cookie.secret_of(request))
    return caller


Visiting = Annotated[Visit, Depends(_visit)]


async def _sent(visit: Visiting, csrf: Annotated[str, Form()] = "") -> Visit:
    """The same for a form of our own. Raises RefusedError where it is none."""
    if not same(csrf, visit.person.csrf):
        values = {"title": refusals.not_done(), "text": refusals.foreign_origin()}
        raise RefusedError(visit.page("message.html", 403, **values))
    return visit


Sending = Annotated[Visit, Depends(_sent)]
