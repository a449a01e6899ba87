"""Errors as problem details (RFC 9457) that carry the outcome and the reply."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse, Response

from bot.outcome import HTTP_STATUSES, Answer, Outcome, Word, answer_of

MEDIA_TYPE = "application/problem+json"


class RefusedError(Exception):
    """This request is not carried out."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def problem(
    answer: Answer, status: int | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The problem that this answer tells of."""
    status = status or HTTP_STATUSES[answer.word]
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": answer.reply,
        **{key: value for key, value in answer.body.items() if key != "events"},
    }
    patience = {"Retry-After": "1"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
    return JSONResponse(content, status, {**patience, **(headers or {})}, MEDIA_TYPE)


def refusal(
    word: Word, reply: str, status: int, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem that no command had."""
    return problem(answer_of(Outcome(word=word, reply=reply)), status, headers)
