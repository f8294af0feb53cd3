"""The line of the client: what is tried again, what is not, and what an error says."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from plumbline.client import (
    Client,
    Conflict,
    NoAddress,
    NotReachable,
    NotSucceeded,
    NotUnderstood,
    Refused,
    SignedOut,
    TookTooLong,
    TooMany,
    errors,
    line,
    schemas,
)
from tests.samples import sample

ID = "01890000-0000-7000-8000-000000000001"
Answers = Callable[[httpx2.Request], httpx2.Response]


def an(answer: type[schemas.Answer], **values: Any) -> dict[str, Any]:
    """An answer of the server with these values."""
    schema = answer.model_json_schema()
    return {**sample(schema, schema.get("$defs", {})), **values}


ME = an(schemas.MeOut)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between tries, and no token from outside."""
    monkeypatch.setattr(line, "PAUSES", (0.0, 0.0))
    monkeypatch.delenv("PLUMBLINE_TOKEN", raising=False)


def connected(answers: Answers, **options: Any) -> Client:
    """A client of a server that answers so."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=ME) if request.url.path == "/api/v1/me" else answers(request)

    return Client("http://localhost", "plb_x", poll_seconds=0, transport=httpx2.MockTransport(answer), **options)


class Server:
    """Answers one request after the other as it was told, and remembers them."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers, self.seen = list(answers), list[httpx2.Request]()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.seen.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def page(*names: str, cursor: str | None = None) -> httpx2.Response:
    items = [an(schemas.ProjectOut, name=name) for name in names]
    return httpx2.Response(200, json={"items": items, "next_cursor": cursor})


def problem(status: int, **more: Any) -> httpx2.Response:
    body = {"type": "/problems/KeyReused", "title": "A title", "status": status, "detail": "It is so.", **more}
    return httpx2.Response(status, json=body)


def test_lists_walk_every_page() -> None:
    """An iterator asks for the next page only when it is wanted, by the cursor of the one before."""
    server = Server(page("one", "two", cursor="abc"), page("three"))
    found = connected(server).account.projects()
    assert next(found).name == "one"
    assert len(server.seen) == 1
    assert [project.name for project in found] == ["two", "three"]
    assert server.seen[1].url.params["cursor"] == "abc"


def test_reading_is_tried_again() -> None:
    """A broken line and a busy server pass unseen by whoever reads."""
    server = Server(httpx2.ReadError("gone"), httpx2.Response(503), page("one"))
    assert [project.name for project in connected(server).account.projects()] == ["one"]


def test_creating_is_tried_again_by_one_key() -> None:
    """What the server does once by its key is sent again with the same key."""
    server = Server(httpx2.ReadError("gone"), problem(409))
    with pytest.raises(Conflict):
        connected(server).snapshots.freeze(ID)
    first, second = (request.headers["idempotency-key"] for request in server.seen)
    assert first == second


def test_what_must_not_happen_twice_is_sent_once() -> None:
    """A plain POST whose answer was lost may have been done; one that was never sent was not."""
    server = Server(httpx2.ReadError("gone"))
    with pytest.raises(NotReachable, match="does not answer"):
        connected(server).runs.cancel(ID)
    server = Server(httpx2.Response(503))
    with pytest.raises(errors.ServerFailed):
        connected(server).runs.cancel(ID)
    server = Server(httpx2.ConnectError("no"), problem(404))
    with pytest.raises(errors.NotFound):
        connected(server).runs.cancel(ID)


def test_a_judgement_is_sent_again_with_the_same_id() -> None:
    """The server stores it once, by the id that the client made."""
    server = Server(httpx2.ReadError("gone"), problem(422, field="value"))
    with pytest.raises(errors.Invalid):
        connected(server).arena.vote(ID, strength=1)
    assert server.seen[0].content == server.seen[1].content


def test_too_many_requests_wait_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 429 was not done, so it is asked again after the time that the server names, unless that is long."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    server = Server(httpx2.Response(429, headers={"retry-after": "7"}), page("one"))
    assert next(connected(server).account.projects()).name == "one"
    assert waited == [7.0]

    server = Server(httpx2.Response(429, headers={"retry-after": "3600"}))
    with pytest.raises(TooMany) as caught:
        next(connected(server).account.projects())
    assert caught.value.retry_after == 3600


def test_errors_say_what_the_problem_says() -> None:
    """Status, title, field and remedy of the problem document, and the rule's name."""
    server = Server(problem(409, field="name", remedy="Choose another.", found="x"))
    with pytest.raises(Conflict) as caught:
        connected(server).datasets.get(ID)
    error = caught.value
    assert (error.status, error.title, error.field, error.remedy) == (409, "A title", "name", "Choose another.")
    assert (error.kind, error.problem["found"]) == ("KeyReused", "x")
    assert str(error) == "It is so. Choose another."


def test_answers_of_something_else_are_told_apart() -> None:
    """A proxy's page, another program and a strange answer end in errors of the family."""
    for answer, kind in (
        (httpx2.Response(418, text="<html>teapot</html>"), Refused),
        (httpx2.Response(200, text="<html>hello</html>"), NotUnderstood),
        (httpx2.Response(200, json={"nothing": "known"}), NotUnderstood),
        (httpx2.Response(307, headers={"location": "https://elsewhere.example"}), Refused),
    ):
        with pytest.raises(kind):
            connected(Server(answer)).runs.get(ID)


def test_addresses_that_would_give_the_token_away() -> None:
    """Plain HTTP to another machine is refused unless it is wanted; so is what is no address."""
    for address in ("http://elsewhere.example", "ftp://localhost", "localhost", "http://ada:pw@localhost", ""):
        with pytest.raises(NoAddress):
            Client(address, "plb_x")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=ME))
    Client("http://elsewhere.example/", "plb_x", allow_http=True, transport=transport).close()


def test_who_asks_must_be_said() -> None:
    """Neither a token nor a name, or both of them, is a mistake of the program."""
    wrongs: list[dict[str, Any]] = [{}, {"name": "ada"}, {"token": "plb_x", "name": "ada", "password": "secret"}]
    for wrong in wrongs:
        with pytest.raises(TypeError):
            Client("http://localhost", **wrong)


def test_a_wrong_token_is_told_at_once() -> None:
    """Making a client asks who it is, once."""
    server = Server(problem(401))
    with pytest.raises(SignedOut):
        Client("http://localhost", "plb_wrong", transport=httpx2.MockTransport(server))
    assert server.seen[0].headers["authorization"] == "Bearer plb_wrong"


def test_the_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that notebooks hold none."""
    monkeypatch.setenv("PLUMBLINE_TOKEN", "plb_env")
    server = Server(httpx2.Response(200, json=ME))
    Client("http://localhost", transport=httpx2.MockTransport(server)).close()
    assert server.seen[0].headers["authorization"] == "Bearer plb_env"


def test_ids_are_ids() -> None:
    """What is no id never becomes part of an address."""
    server = Server()
    for wrong in ("../users", "", "1"):
        with pytest.raises(ValueError, match="UUID"):
            connected(server).runs.get(wrong)


def fetch(state: str) -> httpx2.Response:
    row = an(schemas.FetchOut, state=state, reason="The disk is full.", remedy="Make room.")
    return httpx2.Response(200, json=row)


def test_waiting_tells_and_ends() -> None:
    """Every look is told; what ends badly is an error with its reason, what lasts too long one with the row."""
    heard: list[str] = []
    server = Server(fetch("queued"), fetch("running"), fetch("failed"))
    with pytest.raises(NotSucceeded, match=r"It failed: The disk is full\. Make room\.") as caught:
        connected(server).checkpoints.wait(ID, lambda row: heard.append(row.state))
    assert heard == ["queued", "running", "failed"]
    assert caught.value.row.state == "failed"

    with pytest.raises(TookTooLong, match="still running"):
        connected(Server(fetch("running"))).checkpoints.wait(ID, seconds=0)


class Cut(httpx2.SyncByteStream):
    """A body that breaks off."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self.content
        raise httpx2.ReadError("gone")


def test_a_download_goes_on_at_its_last_byte(tmp_path: Path) -> None:
    """A cut-off is asked for from there on, by the tag of the content, and the file appears whole."""
    whole = bytes(range(200))
    server = Server(
        httpx2.Response(200, stream=Cut(whole[:150])),
        httpx2.Response(206, content=whole[150:]),
    )
    target = tmp_path / "new" / "a.tar"
    got = connected(server)._line.download("/exports/x/archive", target, size=200, tag='"x"')
    assert (got, target.read_bytes(), list(target.parent.iterdir())) == (target, whole, [target])
    assert "range" not in server.seen[0].headers
    assert (server.seen[1].headers["range"], server.seen[1].headers["if-range"]) == ("bytes=150-", '"x"')


def test_a_download_of_something_else_begins_again(tmp_path: Path) -> None:
    """Where the content has changed meanwhile, nothing of the old stays; what never fits is no file."""
    part = tmp_path / "a.tar.part"
    part.write_bytes(b"old")
    client = connected(Server(httpx2.Response(200, content=b"fresh!")))
    assert client._line.download("/x", tmp_path / "a.tar", size=6, tag='"x"').read_bytes() == b"fresh!"

    server = Server(*(httpx2.Response(200, content=b"far too long") for _ in range(3)))
    with pytest.raises(NotReachable):
        connected(server)._line.download("/x", tmp_path / "b.tar", size=6, tag='"x"')
    assert not (tmp_path / "b.tar").exists()


def test_a_refused_download_leaves_what_was_there(tmp_path: Path) -> None:
    """The file of an earlier download is only replaced by a whole one."""
    (tmp_path / "a.jsonl").write_text("before")
    with pytest.raises(errors.NotAllowed):
        connected(Server(problem(403))).datasets.export(ID, tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text() == "before"
