"""What keeps a model from being fetched, as sentences for people: one class per thing one can do about it."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

ENOUGH_WAITING = 3600.0
DEFAULT_WAIT = 10.0


class Refused(Exception):
    """The model cannot be fetched; `reason` and `remedy` are sentences for people."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class TokenRefused(Refused):
    """The hub wants another token, or one at all."""


class Lied(Refused):
    """The hub's answers contradict each other: nothing of it is kept."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "Nothing was kept. Choose another hub or model; this one is damaged or not honest.")


class Away(Refused):
    """The hub does not answer now; what has arrived can be used later."""

    def __init__(self, endpoint: str, reason: str | None = None) -> None:
        super().__init__(
            reason or f"The hub at {endpoint} cannot be reached from this machine.",
            "Check the network, set HF_ENDPOINT to a mirror, or copy the model into an allowed folder.",
        )


class Busy(Refused):
    """The hub asks to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The hub asks to wait {seconds:,.0f} seconds: too much was asked of it.",
            "Try again after that; with a token of your own the hub allows more.",
        )
        self.seconds = seconds


def wait_of(headers: httpx2.Headers) -> float:
    """Seconds that `Retry-After` asks for, as a number or a date."""
    asked = headers.get("retry-after", "")
    if asked.isdecimal():
        return min(float(asked), 1e9)
    try:
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return DEFAULT_WAIT


def refusal(endpoint: str, hub_id: str, revision: str, response: httpx2.Response, *, token: bool) -> Refused:
    """What an answer that is no success means, and what one can do about it."""
    status, code = response.status_code, response.headers.get("x-error-code", "")
    page = f"{endpoint}/{hub_id}"
    if status == 429:
        return Busy(wait_of(response.headers))
    if status >= 500:
        return Away(endpoint, f"The hub at {endpoint} answers with an error of its own ({status}).")
    if code == "RevisionNotFound":
        return Refused(f"“{hub_id}” has no revision “{revision}”.", "Name a commit, branch or tag it has.")
    if code == "EntryNotFound":
        return Lied("The hub lists a file that it does not have.")
    if code == "GatedRepo":
        return _gated(hub_id, page, token=token)
    if status == 401 and token and code != "RepoNotFound":
        return TokenRefused(
            "The hub does not accept this token.",
            "It may have expired or been revoked: make a new one on the hub, and store it as a secret of the project.",
        )
    if status == 403:
        return TokenRefused(
            f"The token has no right to read “{hub_id}”.",
            f"Open {page} with the token's account and accept the license; a fine-grained token also needs the right"
            " to read gated repositories.",
        )
    if status in (401, 404):
        also = "" if token else " For a private model, store a token of the hub as a secret of the project."
        return Refused(f"There is no model “{hub_id}” on the hub, or it is private.", f"Check the spelling.{also}")
    return Refused(f"The hub answered {status}.", "Try again later.")


def _gated(hub_id: str, page: str, *, token: bool) -> Refused:
    reason = f"“{hub_id}” is gated: its owner decides who may download it."
    if token:
        return TokenRefused(
            f"{reason} The token's account may not yet, or the token lacks the right.",
            f"Accept the license on {page} with that account, wait for approval where the owner decides, and give a"
            " fine-grained token the right to read gated repositories.",
        )
    return TokenRefused(
        reason,
        f"Accept the license on {page}, make a token there, and store it as a secret of the project (kind hub) or"
        " start Plumbline with HF_TOKEN set.",
    )
