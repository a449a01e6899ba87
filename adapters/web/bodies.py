"""Bodies of the API: JSON in which nothing is said twice."""

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from bot import refusals


class _Strict(Request):
    """Takes no object that names one thing twice, since nobody knows which one is meant."""

    async def json(self) -> Any:  # noqa: ANN401 - whatever the body is
        return json.loads(await self.body(), object_pairs_hook=_each_once)


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise json.JSONDecodeError(refusals.key_twice(key), "", 0)
        found[key] = value
    return found


class StrictRoute(APIRoute):
    """A route of the API."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Read bodies strictly."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_Strict(request.scope, request.receive))

        return handle_strictly
