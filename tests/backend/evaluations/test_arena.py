"""The arena: blind until the vote, streamed, cancellable, safe against hostile prompts."""

import json
import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.db import transaction
from backend.evaluations import arena as service
from backend.evaluations import tokens
from backend.evaluations.models import Match, Verdict
from backend.evaluations.tokens import Piece
from backend.work import State
from tests.backend.evaluations.conftest import NAMES, SAMPLING, Body, vote
from tests.conftest import Client
from tests.queries import counted
from workers.tasks import arena

Ask = Callable[..., Body]
SOMEWHERE = uuid.UUID(int=1)
ROUTES = [
    ("POST", "/arena/matches"),
    ("GET", "/arena/matches"),
    ("GET", f"/arena/matches/{SOMEWHERE}"),
    ("GET", f"/arena/matches/{SOMEWHERE}/tokens"),
    ("POST", f"/arena/matches/{SOMEWHERE}/cancel"),
    ("GET", "/arena/tally"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_signed_out(anonymous: Client, method: str, path: str) -> None:
    """The arena is closed to somebody who is signed out."""
    assert anonymous.request(method, f"/api/v1{path}", json={}).status_code == 401


def test_a_match_is_its_askers_alone(researcher: Client, admin: Client, ask: Ask) -> None:
    """Nobody else, not even an admin, sees, votes on or stops a person's match."""
    match = ask(researcher)
    address = f"/api/v1/arena/matches/{match['id']}"

    assert admin.get(address).status_code == 404
    assert admin.get(f"{address}/tokens").status_code == 404
    assert admin.post(f"{address}/cancel").status_code == 404
    assert vote(admin, match["id"], {"strength": 1}).status_code == 404
    assert admin.get("/api/v1/arena/matches").json()["items"] == []


@pytest.mark.parametrize("chosen", [True, False])
def test_nothing_names_a_checkpoint_before_the_vote(
    annotator: Client, ask: Ask, pair: list[str], folders: list[Path], chosen: bool
) -> None:
    """No answer of the API holds a name, an id or a folder of a checkpoint until the vote; then both names."""
    asked = ask(annotator, **({"checkpoints": pair} if chosen else {}))
    address = f"/api/v1/arena/matches/{asked['id']}"
    before = [
        asked,
        annotator.get(address).json(),
        annotator.get(f"{address}/tokens").json(),
        annotator.get("/api/v1/arena/matches").json(),
        annotator.get("/api/v1/arena/tally").json(),
    ]

    answer = vote(annotator, asked["id"], {"strength": 2})

    told = json.dumps(before)
    for secret in (*NAMES, *pair, *(str(folder) for folder in folders)):
        assert secret not in told
    reveal = answer.json()["reveal"]
    assert {reveal["left"]["name"], reveal["right"]["name"]} == set(NAMES)
    assert annotator.get(address).json()["judged"]["reveal"] == reveal


def test_the_reveal_names_the_right_sides(researcher: Client, ask: Ask) -> None:
    """Over many matches both orders occur, and each name stands over the text that its checkpoint wrote."""
    lefts = set()
    for number in range(8):
        asked = ask(researcher, f"Prompt {number}")
        reveal = vote(researcher, asked["id"], {"strength": -1}).json()["reveal"]
        lefts.add(reveal["left"]["name"])
        with transaction() as session:
            match = session.get_one(Match, uuid.UUID(asked["id"]))
            by_id = {str(match.checkpoint_a): match.response_a, str(match.checkpoint_b): match.response_b}
            verdict = session.query(Verdict).where(Verdict.match_id == match.id).one()
            winner = match.checkpoint_b if verdict.probability == 0 else match.checkpoint_a
        for side in ("left", "right"):
            response = by_id[reveal[side]["id"]]
            assert response is not None
            assert asked[side]["text"] == response["content"]
        assert str(winner) == reveal["right"]["id"]  # strength -1: the right one is better
    assert lefts == set(NAMES)


def test_a_vote_sent_twice_is_stored_once(researcher: Client, ask: Ask) -> None:
    """The same client_id gives the same verdict; another id, or another value under it, is refused."""
    match = ask(researcher)["id"]
    client_id = str(uuid.uuid4())

    first, again = (vote(researcher, match, {"strength": 3}, client_id) for _ in range(2))

    assert first.json() == again.json()
    assert vote(researcher, match, {"strength": -3}, client_id).status_code == 409
    assert vote(researcher, match, {"strength": 3}).status_code == 409
    other = ask(researcher, "Another prompt")["id"]
    assert vote(researcher, other, {"strength": 3}, client_id).status_code == 409
    with transaction() as session:
        assert session.query(Verdict).count() == 1


@pytest.mark.parametrize("value", [{"strength": 4}, {"strength": 1.5}, {}, {"strength": 1, "both_bad": True}, {"x": 1}])
def test_a_senseless_vote_is_refused(researcher: Client, ask: Ask, value: Body) -> None:
    """A value is one of strength, both bad and skip, within its bounds."""
    match = ask(researcher)["id"]

    assert vote(researcher, match, value).status_code == 422


def test_no_vote_before_both_answers(researcher: Client, pair: list[str]) -> None:
    """Who has not seen both answers cannot vote, and is told no names."""
    asked = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello", "sampling": SAMPLING}).json()

    answer = vote(researcher, asked["id"], {"strength": 1})

    assert answer.status_code == 409
    assert not any(name in answer.text for name in NAMES)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "   \n"}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": "a" * 50_001}, "prompt"),
        ({"prompt": [{"role": "assistant", "content": "I begin"}]}, "prompt"),
        ({"prompt": [{"role": "root", "content": "x"}]}, "prompt"),
        ({"prompt": "x", "sampling": {"temperature": -1}}, "sampling.temperature"),
        ({"prompt": "x", "sampling": {"top_p": 0}}, "sampling.top_p"),
        ({"prompt": "x", "sampling": {"max_new_tokens": 5000}}, "sampling.max_new_tokens"),
        ({"prompt": "x", "checkpoints": [str(SOMEWHERE), str(SOMEWHERE)]}, "checkpoints"),
        ({"prompt": "x", "checkpoints": [str(SOMEWHERE), str(uuid.uuid4())]}, "checkpoints.0"),
        ({"prompt": "x", "checkpoints": [str(SOMEWHERE)]}, "checkpoints"),
    ],
)
def test_wrong_requests_name_the_field(researcher: Client, pair: list[str], body: Body, field: str) -> None:
    """What cannot be asked is refused with the field at fault."""
    answer = researcher.post("/api/v1/arena/matches", json=body)

    assert answer.status_code == 422
    assert answer.json()["field"].startswith(field)


def test_one_checkpoint_is_too_few(researcher: Client, register: Callable[..., uuid.UUID], tmp_path: Path) -> None:
    """Without two checkpoints the arena says what to do."""
    register("Alone", tmp_path)

    answer = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello"})

    assert answer.status_code == 409
    assert answer.json()["remedy"]


def test_markup_in_a_prompt_stays_text(researcher: Client, ask: Ask) -> None:
    """A prompt with script comes back escaped in the HTML and letter by letter in the text."""
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script> [x](javascript:alert(3))"

    shown = ask(researcher, hostile)["prompt"][0]

    assert shown["text"] == hostile
    assert "<script" not in shown["html"]
    assert "<img" not in shown["html"]
    assert 'href="javascript' not in shown["html"]


def test_a_prompt_over_the_context_is_told(researcher: Client, ask: Ask) -> None:
    """Nothing is cut silently: the match fails, says how long the prompt may be, and what to do."""
    match = ask(researcher, "word " * 400)

    assert match["state"] == "failed"
    assert "tokens" in match["reason"]
    assert "Shorten" in match["remedy"]


def test_missing_weights_are_refused_beforehand(
    researcher: Client, pair: list[str], register: Callable[..., uuid.UUID], tmp_path: Path
) -> None:
    """A checkpoint whose folder is gone is refused by name at its field, and never drawn at random."""
    gone = str(register("Vanished", tmp_path / "gone"))

    answer = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello", "checkpoints": [pair[0], gone]})
    drawn = [researcher.post("/api/v1/arena/matches", json={"prompt": "Hello"}).status_code for _ in range(4)]

    assert (answer.status_code, answer.json()["field"]) == (422, "checkpoints.1")
    assert "Vanished" in answer.json()["detail"]
    assert drawn == [202] * 4
    with transaction() as session:
        assert uuid.UUID(gone) not in {one for match in session.query(Match) for one in contestants_of(match)}


def contestants_of(match: Match) -> set[uuid.UUID]:
    return {match.checkpoint_a, match.checkpoint_b}


def test_weights_that_vanish_while_it_waits_are_told(
    researcher: Client, pair: list[str], register: Callable[..., uuid.UUID], folders: list[Path], tmp_path: Path
) -> None:
    """A checkpoint whose folder goes before the worker comes ends the match failed, with the cause."""
    folder = shutil.copytree(folders[2], tmp_path / "going")
    going = str(register("Vanished", folder))
    asked = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello", "checkpoints": [pair[0], going]}).json()
    shutil.rmtree(folder)
    arena.work()

    match = researcher.get(f"/api/v1/arena/matches/{asked['id']}").json()
    assert match["state"] == "failed"
    assert "Vanished" in match["reason"]


def test_a_match_that_was_swept_is_not_queued_again(researcher: Client, pair: list[str]) -> None:
    """A worker that lives on after the sweep ended its match hands nothing back: what has ended stays so."""
    asked = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello"}).json()
    with transaction() as session:
        taken = service.take(session)
        assert taken is not None
        taken.pid = 2**22 + 1
    with transaction() as session:
        assert service.sweep(session) == 1
    with transaction() as session:
        service.put_back(session, uuid.UUID(asked["id"]))

    assert researcher.get(f"/api/v1/arena/matches/{asked['id']}").json()["state"] == "failed"


def test_tokens_arrive_in_the_shown_order(researcher: Client, pair: list[str]) -> None:
    """While the answers grow, each side gets its own pieces by cursor; in the end the whole answers are told."""
    asked = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello", "sampling": SAMPLING}).json()
    address = f"/api/v1/arena/matches/{asked['id']}/tokens"
    match_id = uuid.UUID(asked["id"])
    tokens.write(match_id, [Piece("a", "from a"), Piece("b", "from b")])
    first = researcher.get(address).json()
    tokens.write(match_id, [Piece("a", " more")])
    second = researcher.get(address, params={"after": first["cursor"]}).json()
    arena.work()
    last = researcher.get(address, params={"after": second["cursor"]}).json()

    assert not first["done"]
    assert {first["left"], first["right"]} == {"from a", "from b"}
    side = "left" if first["left"] == "from a" else "right"
    assert second[side] == " more"
    whole = researcher.get(f"/api/v1/arena/matches/{asked['id']}").json()
    assert (last["done"], last["left"], last["right"]) == (True, whole["left"]["text"], whole["right"]["text"])
    assert researcher.get(address, params={"after": "x"}).status_code == 422


def test_cancel_stops_the_answers(researcher: Client, pair: list[str]) -> None:
    """A running match stops within seconds of being asked and cannot be voted on."""
    long = {"temperature": 1.0, "max_new_tokens": 2000}
    asked = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello", "sampling": long}).json()
    address = f"/api/v1/arena/matches/{asked['id']}"
    with transaction() as session:
        assert service.take(session) is not None
    researcher.post(f"{address}/cancel")
    with transaction() as session:
        assert not service.alive(session, uuid.UUID(asked["id"]))
        service.close(session, uuid.UUID(asked["id"]), ({"content": "a"}, {"content": "b"}))

    assert researcher.get(address).json()["state"] == "cancelled"
    assert vote(researcher, asked["id"], {"strength": 1}).status_code == 409


def test_a_queued_match_is_cancelled_at_once(researcher: Client, pair: list[str]) -> None:
    """Nobody waits for a worker to forget a match."""
    asked = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello"}).json()

    assert researcher.post(f"/api/v1/arena/matches/{asked['id']}/cancel").json()["state"] == "cancelled"
    with transaction() as session:
        assert service.take(session) is None


def test_a_person_cannot_flood_the_worker(researcher: Client, pair: list[str]) -> None:
    """A fifth match at once is refused with what to do."""
    answers = [researcher.post("/api/v1/arena/matches", json={"prompt": str(number)}) for number in range(5)]

    assert [answer.status_code for answer in answers] == [202] * 4 + [429]


def test_a_dead_worker_ends_the_match(researcher: Client, pair: list[str]) -> None:
    """After kill -9 the sweep ends the match failed; an evaluation's matches are none of its business."""
    asked = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello"}).json()
    with transaction() as session:
        match = service.take(session)
        assert match is not None
        match.pid = 2**22 + 1
    with transaction() as session:
        assert service.sweep(session) == 1

    found = researcher.get(f"/api/v1/arena/matches/{asked['id']}").json()
    assert (found["state"], bool(found["remedy"])) == ("failed", True)


def test_the_arena_leaves_evaluations_alone(researcher: Client, body: Body) -> None:
    """A match of an evaluation is never taken as an arena match."""
    researcher.post("/api/v1/evaluations", json=body)

    with transaction() as session:
        assert service.take(session) is None
        assert service.sweep(session) == 0
        assert session.query(Match).where(Match.state == State.queued).count() == 0


def test_the_tally_counts_ones_own_votes(researcher: Client, annotator: Client, ask: Ask) -> None:
    """The session's tally holds the person's votes only; all votes together can be asked for; rates have intervals."""
    for client in (researcher, annotator):
        for prompt in ("one", "two"):
            vote(client, ask(client, prompt)["id"], {"both_bad": True})

    mine = researcher.get("/api/v1/arena/tally").json()
    everybody = researcher.get("/api/v1/arena/tally", params={"mine": "false"}).json()
    later = researcher.get("/api/v1/arena/tally", params={"since": "2999-01-01T00:00:00Z"}).json()

    assert (mine["votes"], everybody["votes"], later["votes"]) == (2, 4, 0)
    (row,) = everybody["pairs"]
    rate = row["win_rate"]
    assert (row["both_bad"], rate["rate"], rate["n"], rate["prompts"], rate["ties"]) == (4, 0.5, 4, 2, 4)
    assert rate["low"] < 0.5 < rate["high"]
    assert set(mine["names"].values()) == set(NAMES)


def test_the_answer_survives_a_closed_page(researcher: Client, pair: list[str]) -> None:
    """A match asked for is answered while nobody looks, and waits for its vote."""
    asked = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello", "sampling": SAMPLING}).json()
    answering = threading.Thread(target=arena.work)
    answering.start()
    answering.join(60)

    (found,) = researcher.get("/api/v1/arena/matches").json()["items"]
    assert (found["id"], found["state"], found["judged"]) == (asked["id"], "succeeded", None)


def test_live_text_is_away_without_redis(
    researcher: Client, pair: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without Redis, live text is refused in plain words, and the answers still reach the database."""
    asked = researcher.post("/api/v1/arena/matches", json={"prompt": "Hello", "sampling": SAMPLING}).json()
    from backend.settings import Settings

    away = Settings(redis_url=f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(tokens, "get_settings", lambda: away)
    answer = researcher.get(f"/api/v1/arena/matches/{asked['id']}/tokens")
    arena.work()

    assert answer.status_code == 503
    assert answer.json()["remedy"]
    assert researcher.get(f"/api/v1/arena/matches/{asked['id']}").json()["state"] == "succeeded"


def test_the_list_takes_as_many_queries_however_long(researcher: Client, ask: Ask) -> None:
    """Matches, own verdicts and names are each fetched at once for the page."""
    counts = []
    for _ in range(2):
        for strength in (1, -1):
            vote(researcher, ask(researcher)["id"], {"strength": strength})
        ask(researcher)
        with counted() as statements:
            items = researcher.get("/api/v1/arena/matches").json()["items"]
        counts.append(len(statements))

    assert counts[0] == counts[1]
    assert len(items) == 6
    for item in items:
        assert item == researcher.get(f"/api/v1/arena/matches/{item['id']}").json()
    assert sum(item["judged"] is not None for item in items) == 4


def test_everybodys_votes_are_a_result(annotator: Client, researcher: Client, ask: Ask) -> None:
    """An annotator's tally holds their own votes and never everybody's; a researcher may see both."""
    asked = ask(researcher)
    vote(researcher, asked["id"], {"strength": 1})

    assert annotator.get("/api/v1/arena/tally", params={"mine": False}).status_code == 403
    assert annotator.get("/api/v1/arena/tally").json()["votes"] == 0
    assert researcher.get("/api/v1/arena/tally", params={"mine": False}).json()["votes"] == 1
