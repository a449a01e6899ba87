"""The one ASGI application: pages, API, health, and whatever a platform mounts beside them."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from adapters.web import api, health, pages, signin
from adapters.web.guard import Guard
from adapters.web.house import WebHouse
from adapters.web.metrics import Metrics
from adapters.web.problems import RefusedError, refusal
from adapters.web.schema import ProblemModel
from adapters.web.shield import LARGEST_BODY, Shield
from adapters.web.visit import fitting
from bot import faults, log, refusals
from bot.dispatcher import explained
from bot.outcome import HTTP_STATUSES, Word, answer_of
from bot.ports import DatabaseUnavailableError

_ROUTERS = (api.router, health.router, signin.router, pages.router)
_STATIC = Path(__file__).with_name("static")
_ABOUT = (
    "Start, resume and cancel workflow runs, and look at them. Every answer has an `outcome` for"
    " scripts and a `reply` for people; errors are problem details (RFC 9457) that carry both."
)


def application(
    house: WebHouse, guard: Guard, hosts: Sequence[str], mounted: Sequence[BaseRoute] = ()
) -> Shield:
    """The application; `mounted` are routes of platforms that are called over HTTP."""
    app = FastAPI(
        title="Baton",
        description=_ABOUT,
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    app.state.house, app.state.guard, app.state.metrics = house, guard, Metrics(house)
    for router in _ROUTERS:
        app.include_router(router)
    app.router.routes.extend(mounted)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    _explain_errors(app)
    _describe(app)
    public = urlsplit(house.public_url).hostname or ""
    return Shield(app, hosts=[public, *hosts], secure=house.secure)


def _describe(app: FastAPI) -> None:
    """The description knows how every error is told."""
    make = app.openapi

    def described() -> dict[str, object]:
        if app.openapi_schema is None:
            made = make()
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            problem = ProblemModel.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(problem.pop("$defs", {}))
            schemas["ProblemModel"] = problem
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign] # as FastAPI's documentation does it


def _explain_errors(app: FastAPI) -> None:
    for kind, explain in _EXPLAINED.items():
        app.add_exception_handler(kind, explain)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 - registered for it
    return error.response


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    return fitting(request, refusal(Word.INVALID, _what_is_wrong(error.errors()[0]), 422))


def _what_is_wrong(first: Mapping[str, Any]) -> str:
    """The first thing that cannot be used."""
    kind, where = first["type"], ".".join(str(part) for part in first["loc"] if part != "body")
    if kind == "json_invalid":
        return refusals.no_json(first["ctx"]["error"])
    if not where and kind in _NO_OBJECT:
        return refusals.no_object()
    what = refusals.odd_characters() if kind == _PATTERN else first["msg"].lower()
    return refusals.bad_request(where or "body", what)


_PATTERN = "string_pattern_mismatch"
_NO_OBJECT = frozenset({"missing", "model_attributes_type", "model_type", "dict_type"})


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    # The contract calls a body that cannot be read what it calls one that cannot be used.
    status = 422 if error.status_code == HTTPStatus.BAD_REQUEST else error.status_code
    found = _WORDS.get(error.status_code)
    word, reply = found or (Word.INVALID, refusals.bad_request("request", str(error.detail)))
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods(request))) or headers.get("Allow", "")
    return fitting(request, refusal(word, reply, status, headers))


def _methods(request: Request) -> set[str]:
    """Every method that this address takes: more than one route may have it."""
    return {
        method
        for router in _ROUTERS
        for route in router.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


_WORDS = {
    400: (Word.INVALID, refusals.unreadable()),
    404: (Word.NOT_FOUND, refusals.no_such_address()),
    413: (Word.INVALID, refusals.body_too_large(LARGEST_BODY)),
    405: (Word.INVALID, refusals.no_such_method()),
}


async def _unavailable(request: Request, error: Exception) -> Response:
    answer = answer_of(explained(error, "web"))
    return fitting(request, refusal(answer.word, answer.reply, HTTP_STATUSES[answer.word]))


async def _broken(request: Request, error: Exception) -> Response:
    reference = log.fault("web.answer_failed", error, path=request.url.path)
    return fitting(request, refusal(Word.ERROR, faults.unexpected(reference), 500))


_EXPLAINED = {
    RefusedError: _refused,
    RequestValidationError: _invalid,
    HTTPException: _http,
    DatabaseUnavailableError: _unavailable,
    Exception: _broken,
}
