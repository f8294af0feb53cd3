"""Errors that people may see: a sentence, a status, the field at fault and what to do about it."""

from typing import Any, ClassVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg.errors import UniqueViolation
from pydantic import BaseModel
from redis.exceptions import RedisError
from sqlalchemy.exc import IntegrityError, OperationalError
from starlette.exceptions import HTTPException

from alignment.parts import faults
from backend import trace

log = structlog.get_logger()
PROBLEM = "application/problem+json"


class Problem(BaseModel):
    """What every refused request answers (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    remedy: str | None = None


RESPONSES: dict[int | str, dict[str, Any]] = {
    code: {"description": title, "content": {PROBLEM: {"schema": Problem.model_json_schema()}}}
    for code, title in (("4XX", "Refused; says why and what to do"), ("5XX", "Failed; says why and what to do"))
}


class AppError(Exception):
    """A rule of the program was broken. Subclasses are named after the rule."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "Bad request"

    def __init__(self, detail: str, *, field: str | None = None, remedy: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.remedy = remedy
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 body."""
        return {
            "type": f"/problems/{type(self).__name__}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "field": self.field,
            "remedy": self.remedy,
            **self.extra,
        }


class SignedOut(AppError):
    status, title = 401, "Signed out"

    def __init__(
        self, detail: str = "You are not signed in, or your session has ended.", remedy: str = "Sign in and try again."
    ) -> None:
        super().__init__(detail, remedy=remedy)


class NotAllowed(AppError):
    status, title = 403, "Not allowed"


class NotFound(AppError):
    status, title = 404, "Not found"

    @classmethod
    def of(cls, noun: str) -> "NotFound":
        """The usual sentence for a row that is missing or not the caller's."""
        return cls(f"There is no such {noun}.", remedy="It may have been removed; go back to the list.")


class Conflict(AppError):
    status, title = 409, "Conflict"


class Invalid(AppError):
    status, title = 422, "Invalid input"


class TooLarge(AppError):
    status, title = 413, "Too large"


class TooMany(AppError):
    status, title = 429, "Too many attempts"


class NoSpace(AppError):
    status, title = 507, "Disk full"


class Unavailable(AppError):
    status, title = 503, "Unavailable"


def _respond(error: AppError) -> JSONResponse:
    return JSONResponse(error.problem(), error.status, media_type=PROBLEM)


class Unexpected(AppError):
    status, title = 500, "Unexpected error"


async def _app_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)  # noqa: S101  (registered for this class only)
    return _respond(error)


NO_ADDRESS = frozenset(("uuid_parsing", "uuid_type", "int_parsing", "int_parsing_size", "enum", "literal_error"))
"""What is said of a part of a path that nothing can have; a name that breaks a rule can be told the rule."""


async def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    lines = error.errors()
    missing = [str(line["loc"][1]) for line in lines if line["loc"][0] == "path" and line["type"] in NO_ADDRESS]
    if missing:
        return _respond(NotFound.of(missing[0].removesuffix("_id").replace("_", " ")))
    found = faults(lines)
    problems = [
        {"field": ".".join(str(part) for part in place if part != "body"), "detail": f"{detail}."}
        for place, detail in found
    ]
    first = problems[0]
    return _respond(
        Invalid(f"{first['field'] or 'The body'}: {first['detail']}", field=first["field"] or None, problems=problems)
    )


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    body = {"type": "about:blank", "title": str(error.detail), "status": error.status_code, "detail": str(error.detail)}
    return JSONResponse(body, error.status_code, media_type=PROBLEM, headers=error.headers)


class JustTaken(Conflict):
    title = "Just taken"


async def _integrity(request: Request, error: Exception) -> JSONResponse:
    """Two requests that were both right when they looked; the rule of uniqueness let one of them through."""
    assert isinstance(error, IntegrityError)  # noqa: S101
    if not isinstance(error.orig, UniqueViolation):
        raise error
    log.warning("two requests at once", path=request.url.path, constraint=error.orig.diag.constraint_name)
    return _respond(
        JustTaken("Somebody did the same thing at this very moment.", remedy="Look at the list, then try again.")
    )


async def _server_away(request: Request, error: Exception) -> JSONResponse:
    log.error("a server is away", path=request.url.path, exc_info=error)
    return _respond(
        Unavailable("The database or the broker does not answer now.", remedy="Wait a moment, then try again.")
    )


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    request_id = request.scope.get(trace.HEADER, "unknown")  # this handler stands outside of what binds it
    log.error("unexpected error", path=request.url.path, request_id=request_id, exc_info=error)
    answer = _respond(
        Unexpected(
            "Something went wrong on the server.",
            remedy=f"Try again; if it happens again, look for {request_id} in logs/web.log.",
        )
    )
    answer.headers[trace.HEADER] = request_id
    return answer


def install(app: FastAPI) -> None:
    """Afterwards every error of `app` is a problem document, and none shows an exception's own text."""
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(IntegrityError, _integrity)
    app.add_exception_handler(OperationalError, _server_away)
    app.add_exception_handler(RedisError, _server_away)
    app.add_exception_handler(Exception, _unexpected)
