"""The Python client of a Plumbline server: the whole loop from a script or a notebook, without torch or a browser.

    from plumbline import Client

    with Client("https://plumbline.example.org", token="plb_…", project="Support answers") as client:
        for dataset in client.datasets.list():
            print(dataset.name, dataset.items)

Methods are grouped by noun. Wherever one names a row, the row itself, its id, or the id's text will do.
"""

import os
import uuid
from types import TracebackType
from typing import Any, Self

import httpx2

from plumbline.client import schemas
from plumbline.client.account import Account
from plumbline.client.checkpoints import Checkpoints
from plumbline.client.datasets import Datasets, Snapshots
from plumbline.client.errors import (
    Conflict,
    Invalid,
    NoAddress,
    NotAllowed,
    NotFound,
    NotReachable,
    NotSucceeded,
    NotUnderstood,
    PlumblineError,
    Refused,
    ServerFailed,
    SignedOut,
    TookTooLong,
    TooMany,
)
from plumbline.client.evaluations import Arena, Evaluations
from plumbline.client.exports import Exports
from plumbline.client.labels import Labels
from plumbline.client.line import PROJECT, Line, checked_address
from plumbline.client.runs import Runs
from plumbline.client.tasks import Tasks

__all__ = [
    "Client", "Conflict", "Invalid", "NoAddress", "NotAllowed", "NotFound", "NotReachable", "NotSucceeded",
    "NotUnderstood", "PlumblineError", "Refused", "ServerFailed", "SignedOut", "TooMany", "TookTooLong", "schemas",
]  # fmt: skip


class NoProject(PlumblineError):
    """The person is in no project of that name or id."""

    title = "No such project"


class Client:
    """One person's line to one server, by API token (also from PLUMBLINE_TOKEN) or by name and password.

    `project` is the name or id of the project that requests are about; without it, the one that the server takes for
    the person's first. Requests that may be repeated are, when the server does not answer or is too busy.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        name: str | None = None,
        password: str | None = None,
        project: str | uuid.UUID | None = None,
        timeout: float = 60.0,
        poll_seconds: float = 1.0,
        allow_http: bool = False,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Raises SignedOut, NoProject, NotReachable, NoAddress."""
        self._line = line = Line(checked_address(url, allow_http=allow_http), timeout, poll_seconds, transport)
        self.account = Account(line)
        self.datasets, self.snapshots = Datasets(line), Snapshots(line)
        self.tasks, self.labels = Tasks(line), Labels(line)
        self.checkpoints, self.runs, self.exports = Checkpoints(line), Runs(line), Exports(line)
        self.evaluations, self.arena = Evaluations(line), Arena(line)
        self._by_password = name is not None
        try:
            self._enter(token, name, password)
            self._choose(project)
        except BaseException:
            line.http.close()
            raise

    def _enter(self, token: str | None, name: str | None, password: str | None) -> None:
        if name is not None:
            if password is None or token is not None:
                raise TypeError("Give a token, or a name and its password.")
            self._line.ask("POST", "/session", retry="never", json={"name": name, "password": password})
            return
        token = token or os.environ.get("PLUMBLINE_TOKEN")
        if not token:
            raise TypeError("Give a token (or set PLUMBLINE_TOKEN), or a name and its password.")
        self._line.http.headers["Authorization"] = f"Bearer {token}"

    def _choose(self, project: str | uuid.UUID | None) -> None:
        own = self._line.get("/me", schemas.MeOut, retry="never")
        if project is None:
            self.project = own.project
            return
        found = [one for one in own.projects if str(project) in (one.name, str(one.id))]
        if not found:
            known = ", ".join(one.name for one in own.projects) or "none"
            raise NoProject(f"{own.name} is in no project called {project}.", f"Projects: {known}.")
        self.project = found[0]
        self._line.http.headers[PROJECT] = str(found[0].id)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """The answer, as JSON, to any other request of the API; `path` is what comes after /api/v1.

        It is not repeated unless it reads.
        """
        answer = self._line.ask(method, path, retry="always" if method in ("GET", "HEAD") else "unsent", **options)
        return answer.json() if answer.content else None

    def close(self) -> None:
        """Close the line; a session that was opened by name and password ends on the server, too."""
        try:
            if self._by_password:
                self._line.ask("DELETE", "/session", retry="never")
        except PlumblineError:
            pass  # the session ends by itself
        finally:
            self._line.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
