"""Whether Baton lives, is ready, and how it does; for whatever watches over it."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from adapters.web.house import House
from adapters.web.metrics import MEDIA_TYPE, Metrics

router = APIRouter(include_in_schema=False)
_LOOKS = ["GET", "HEAD"]
"""Many a monitor asks for the head alone."""


@router.api_route("/healthz", methods=_LOOKS)
async def healthz() -> PlainTextResponse:
    """This process answers."""
    return PlainTextResponse("ok\n")


@router.api_route("/readyz", methods=_LOOKS)
async def readyz(house: House) -> JSONResponse:
    """Whether everything that it needs is there; 503 with what is not."""
    wrong = await house.ready()
    return JSONResponse({"ready": not wrong, "wrong": wrong}, 503 if wrong else 200)


@router.api_route("/metrics", methods=_LOOKS)
async def show_metrics(request: Request) -> Response:
    """How Baton does, for Prometheus; it names no run and no person."""
    metrics: Metrics = request.app.state.metrics
    return Response(await metrics.text(), media_type=MEDIA_TYPE)
