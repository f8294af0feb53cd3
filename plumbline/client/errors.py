"""What can go wrong between this program and a server: one family, each with what is wrong and what to do."""

from typing import Any


class PlumblineError(Exception):
    """The root of the family.  Text: what is wrong, then the remedy."""

    status: int | None = None  # of HTTP, where a server answered
    title: str = "Something went wrong"
    field: str | None = None  # of the request, as in `objective.beta`
    remedy: str | None = None

    def __init__(self, detail: str, remedy: str | None = None) -> None:
        super().__init__(" ".join(part for part in (detail, remedy) if part))
        self.detail, self.remedy = detail, remedy


class NoAddress(PlumblineError):
    """What was given as an address is none, or the token would travel unprotected."""

    title = "Address refused"


class NotReachable(PlumblineError):
    """The server does not answer, or broke off."""

    title = "Not reachable"


class NotUnderstood(PlumblineError):
    """What answered does not speak as a server of this version does."""

    title = "Not understood"


class NotSucceeded(PlumblineError):
    """Work on the server ended otherwise than well; `row` is how it ended."""

    title = "Not succeeded"

    def __init__(self, row: Any) -> None:
        super().__init__(f"It {_ENDED.get(row.state, row.state)}: {row.reason or 'no reason given'}", row.remedy)
        self.row = row


_ENDED = {"failed": "failed", "cancelled": "was cancelled", "lost": "was lost"}


class TookTooLong(PlumblineError):
    """Work on the server goes on after the time that the caller wanted to wait; `row` is how it stands."""

    title = "Took too long"

    def __init__(self, row: Any, seconds: float) -> None:
        super().__init__(f"It is still {row.state} after {seconds:g} seconds.", "It goes on; wait for it again.")
        self.row = row


class Refused(PlumblineError):
    """The server said no: its problem document (RFC 9457)."""

    status: int

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        title = str(problem.get("title") or f"Refused ({status})")
        super().__init__(str(problem.get("detail") or title), problem.get("remedy"))
        self.status, self.title, self.field = status, title, problem.get("field")
        self.kind = str(problem.get("type", "")).rpartition("/")[2]  # the name of the rule, as in `KeyReused`
        self.problem = problem


class SignedOut(Refused):
    """401: the name, password or token is wrong, or has ended."""


class NotAllowed(Refused):
    """403: not in this project, or not with this role."""


class NotFound(Refused):
    """404: missing, or somebody else's."""


class Conflict(Refused):
    """409: not as things stand, as for what has ended or has been done already."""


class Invalid(Refused):
    """422: a value is wrong; `field` says which."""


class TooMany(Refused):
    """429: too many attempts; `retry_after` is the seconds that the server asks to wait, where it says so."""

    retry_after: float | None = None


class ServerFailed(Refused):
    """5xx: the server could not do it now."""


_BY_STATUS: dict[int, type[Refused]] = {
    401: SignedOut, 403: NotAllowed, 404: NotFound, 409: Conflict, 422: Invalid, 429: TooMany,
}  # fmt: skip


def refusal(status: int, problem: Any) -> Refused:
    """The error for an answer; whatever is no problem document, such as a proxy's page, is a plain one."""
    kind = ServerFailed if status >= 500 else _BY_STATUS.get(status, Refused)
    known = problem if isinstance(problem, dict) and "detail" in problem else {}
    return kind(status, known or {"detail": f"The server answered {status}, and not why."})
