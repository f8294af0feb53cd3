"""The quick way of a label and the way of all routes say the same; a card costs the same however new its task is."""

import json
import uuid
from typing import Any

import pytest
from fastapi import Request, Response
from sqlalchemy import text

from backend.db import transaction
from backend.deps import COOKIE
from backend.labels.direct import Asked, Direct
from tests.backend.labels.conftest import MakePairs, body, stored, take
from tests.conftest import Client

QUICK, USUAL = "application/json", "application/json; charset=utf-8"


def post(client: Client, item_id: str, sent: object, way: str, **headers: str) -> Any:
    """The same request by one of both ways."""
    content = sent if isinstance(sent, str) else json.dumps(sent)
    told = {"content-type": way, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return client.post(f"/api/v1/items/{item_id}/labels", content=content, headers=told)


def test_both_ways_store_and_answer_alike(annotator: Client, make_pairs: MakePairs) -> None:
    """What is stored and answered is the same; a label sent again by the other way is stored once."""
    one, two = take(annotator, make_pairs(), 2)
    answers = []
    for card, way in ((one, QUICK), (two, USUAL)):
        sent = body(card, rationale="because") | {"seconds": 0}
        answers.append(post(annotator, card["item_id"], sent, way, x_utc_offset="-90"))
        again = post(annotator, card["item_id"], sent, USUAL if way == QUICK else QUICK)
        assert again.json()["label"] == answers[-1].json()["label"]

    quick, usual = answers
    assert (quick.status_code, usual.status_code) == (201, 201)
    own = {"id", "item_id", "created_at", "client_id", "value"}  # strengths are of the sides that were drawn
    alike = [{name: value for name, value in one.json()["label"].items() if name not in own} for one in answers]
    assert alike[0] == alike[1]
    assert quick.headers["content-type"] == usual.headers["content-type"]
    assert quick.json()["next"]["item_id"]
    for card, answer in ((one, quick), (two, usual)):
        (label,) = stored(card)
        assert (str(label.id), label.rationale) == (answer.json()["label"]["id"], "because")


def test_a_browser_takes_the_quick_way(
    annotator: Client, make_pairs: MakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a page sends is done without solving dependencies; what has anything more to it is not."""
    one, two = take(annotator, make_pairs(), 2)
    ways: list[bool] = []
    quick = Direct._do

    def watched(route: Direct, request: Request, asked: Asked) -> Response | None:
        done = quick(route, request, asked)
        ways.append(done is not None)
        return done

    monkeypatch.setattr(Direct, "_do", watched)

    assert post(annotator, one["item_id"], body(one), QUICK, x_utc_offset="60").status_code == 201
    assert ways == [True]
    more = annotator.post(f"/api/v1/items/{two['item_id']}/labels", params={"more": "1"}, json=body(two))
    assert more.status_code == 201
    assert ways == [True]


@pytest.mark.parametrize("way", [QUICK, USUAL])
def test_a_body_that_breaks_off(annotator: Client, make_pairs: MakePairs, way: str) -> None:
    """A browser that goes away while it sends is no error of the server's, and nothing is stored."""
    (card,) = take(annotator, make_pairs())
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/api/v1/items/{card['item_id']}/labels",
        "raw_path": b"",
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"origin", b"http://localhost"),
            (b"content-type", way.encode()),
            (b"cookie", f"{COOKIE}={annotator.cookies[COOKIE]}".encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "scheme": "http",
        "root_path": "",
    }
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    assert annotator.portal is not None
    annotator.portal.call(annotator.app, scope, receive, send)

    assert sent[0]["status"] == 400
    assert stored(card) == []


WRONG: dict[str, Any] = {
    "no JSON": "{",
    "no object": [],
    "nested too deep": "[" * 100_000,
    "a value too many": {"value": {"strength": 1, "both_bad": True}},
    "a strength that is none": {"value": {"strength": 4}},
    "seconds that are no number": {"seconds": float("nan")},
    "text that cannot be stored": {"rationale": "\x00"},
    "half a character": {"rationale": "\ud800"},
    "a field that nobody knows": {"admin": True},
    "a lease that is none": {"lease": "1"},
    "somebody's lease": {"lease": str(uuid.uuid4())},
}


@pytest.mark.parametrize("what", WRONG)
def test_both_ways_refuse_alike(annotator: Client, make_pairs: MakePairs, what: str) -> None:
    """Whatever is wrong is told by both ways in the same words, and nothing is stored."""
    (card,) = take(annotator, make_pairs())
    wrong = WRONG[what]
    sent = body(card) | wrong if isinstance(wrong, dict) else wrong

    quick, usual = (post(annotator, card["item_id"], sent, way) for way in (QUICK, USUAL))

    assert quick.status_code == usual.status_code >= 400
    assert quick.json() == usual.json()
    assert stored(card) == []


@pytest.mark.parametrize("offset", ["1441", "-1441", "1e3", "99999", "\uff11", "+-1", ""])
def test_both_ways_refuse_an_odd_clock(annotator: Client, make_pairs: MakePairs, offset: str) -> None:
    (card,) = take(annotator, make_pairs())

    quick, usual = (
        annotator.post(
            f"/api/v1/items/{card['item_id']}/labels",
            content=json.dumps(body(card)),
            headers=[(b"content-type", way.encode()), (b"x-utc-offset", offset.encode())],
        )
        for way in (QUICK, USUAL)
    )

    assert (quick.status_code, quick.json()) == (usual.status_code, usual.json())


def test_no_item_no_person_no_member(
    annotator: Client, anonymous: Client, admin: Client, make_pairs: MakePairs
) -> None:
    """An id that is none, nobody signed in, and an admin, who is in every project, by the quick way."""
    (card,) = take(annotator, make_pairs())
    (theirs,) = take(admin, uuid.UUID(card["dataset_id"]))

    assert post(annotator, "1", body(card), QUICK).status_code == 404
    assert post(anonymous, card["item_id"], body(card), QUICK).status_code == 401
    assert post(annotator, card["item_id"], body(card), QUICK, plumbline_project=str(uuid.uuid4())).status_code == 403
    assert post(admin, theirs["item_id"], body(theirs), QUICK).status_code == 201


def test_a_card_of_a_task_that_was_just_made(annotator: Client, make_pairs: MakePairs) -> None:
    """Postgres counts the places of a large task before its first card, and not when it next looks round: till then it
    would sort all of them for each card."""
    with transaction() as session:
        session.execute(text("DELETE FROM pg_statistic WHERE starelid = 'places'::regclass"))
    assert take(annotator, make_pairs(3_000))
    with transaction() as session:
        counted = text("SELECT reltuples FROM pg_class JOIN pg_stats ON tablename = relname AND attname = 'task_id'")
        assert session.scalars(text(f"{counted} WHERE relname = 'places'")).one() == 3_000
