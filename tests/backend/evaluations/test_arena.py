"""The arena: two to four contestants, blind until the vote, streamed, stopped, gone on, safe from hostile prompts."""

import json
import shutil
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from backend.db import transaction
from backend.evaluations import arena as service
from backend.evaluations import tokens
from backend.evaluations.models import Battle, Match
from backend.evaluations.tokens import Piece
from tests.backend.evaluations.conftest import NAMES, SAMPLING, Ask, Body, ballot
from tests.conftest import Client
from workers.tasks import arena

URL = "/api/v1/arena/battles"
SOMEWHERE = uuid.UUID(int=1)
ONE = f"/arena/battles/{SOMEWHERE}"
ROUTES = [
    ("POST", "/arena/battles"),
    ("GET", "/arena/battles"),
    ("GET", ONE),
    ("GET", f"{ONE}/tokens"),
    *(("POST", f"{ONE}/{verb}") for verb in ("turns", "retry", "cancel", "vote", "undo", "reveal")),
    ("GET", "/arena/tally"),
    ("GET", "/arena/prompt"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_signed_out(anonymous: Client, method: str, path: str) -> None:
    """The arena is closed to somebody who is signed out."""
    assert anonymous.request(method, f"/api/v1{path}", json={}).status_code == 401


def test_a_battle_is_its_askers_alone(researcher: Client, admin: Client, ask: Ask) -> None:
    """Nobody else, not even an admin, sees, votes on, goes on with, reveals or stops a person's battle."""
    battle = ask(researcher)
    address = f"{URL}/{battle['id']}"

    assert admin.get(address).status_code == 404
    assert admin.get(f"{address}/tokens").status_code == 404
    for verb in ("cancel", "retry", "undo", "reveal"):
        assert admin.post(f"{address}/{verb}").status_code == 404
    assert admin.post(f"{address}/turns", json={"text": "More"}).status_code == 404
    assert ballot(admin, battle["id"], {"strength": 1}).status_code == 404
    assert admin.get(URL).json()["items"] == []
    with transaction() as session:  # nor does a vote open its matches to the routes of evaluations
        assert session.query(Match).count() == 0


@pytest.mark.parametrize("chosen", [True, False])
def test_nothing_names_a_checkpoint_before_the_vote(
    annotator: Client, ask: Ask, three: list[str], folders: list[Path], chosen: bool
) -> None:
    """No answer of the API holds a name, an id or a folder of a checkpoint until one voted and asked who it was."""
    asked = ask(annotator, contestants=3, **({"checkpoints": three} if chosen else {}))
    address = f"{URL}/{asked['id']}"
    assert annotator.post(f"{address}/reveal").status_code == 409
    before = [
        asked,
        annotator.get(address).json(),
        annotator.get(f"{address}/tokens").json(),
        annotator.get(URL).json(),
        ballot(annotator, asked["id"], {"best": 2}).json(),
        annotator.get("/api/v1/arena/tally").json(),
    ]

    shown = annotator.post(f"{address}/reveal").json()

    told = json.dumps(before)
    for secret in (*NAMES, "third", *three, *(str(folder) for folder in folders)):
        assert secret not in told
    assert len(shown["answers"]) == 3
    assert {one["name"] for one in shown["names"]} == {*NAMES, "Hidden name of the third"}
    assert annotator.get(address).json() == shown


def test_names_stand_over_what_their_checkpoints_wrote(researcher: Client, ask: Ask, three: list[str]) -> None:
    """The order is drawn and kept: over several battles all orders of two occur, and each name fits its text."""
    orders = set()
    for number in range(6):
        asked = ask(researcher, f"Prompt {number}", contestants=3, checkpoints=three)
        ballot(researcher, asked["id"], {"ranking": [[2], [0], [1]]})
        shown = researcher.post(f"{URL}/{asked['id']}/reveal").json()
        orders.add(tuple(one["id"] for one in shown["names"]))
        with transaction() as session:
            matches = session.query(Match).filter(Match.battle_id == uuid.UUID(asked["id"])).all()
            texts = {}
            for match in matches:
                texts[str(match.checkpoint_a)] = (match.response_a or {})["content"]
                texts[str(match.checkpoint_b)] = (match.response_b or {})["content"]
        assert len(matches) == 3
        for checkpoint, answer in zip(shown["names"], asked["answers"], strict=True):
            assert texts[checkpoint["id"]] == answer["text"]
    assert len(orders) > 1


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
        ({"prompt": "x", "contestants": 5}, "contestants"),
        ({"prompt": "x", "contestants": 1}, "contestants"),
        ({"prompt": "x", "checkpoints": [str(SOMEWHERE), str(SOMEWHERE)]}, "checkpoints"),
        ({"prompt": "x", "checkpoints": [str(SOMEWHERE), str(uuid.uuid4())]}, "checkpoints.0"),
        ({"prompt": "x", "checkpoints": [str(SOMEWHERE)]}, "checkpoints"),
    ],
)
def test_wrong_requests_name_the_field(researcher: Client, pair: list[str], body: Body, field: str) -> None:
    """What cannot be asked is refused with the field at fault."""
    answer = researcher.post(URL, json=body)

    assert answer.status_code == 422
    assert answer.json()["field"].startswith(field)


def test_too_few_checkpoints(researcher: Client, pair: list[str]) -> None:
    """With two checkpoints three cannot meet, which is told with what to do."""
    answer = researcher.post(URL, json={"prompt": "Hello", "contestants": 3})

    assert (answer.status_code, answer.json()["remedy"]) == (409, "Let fewer meet.")


def test_markup_stays_text(researcher: Client, ask: Ask) -> None:
    """A prompt with script comes back escaped in the HTML and letter by letter in the text."""
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script> [x](javascript:alert(3))"

    shown = ask(researcher, hostile)["message"][0]

    assert shown["text"] == hostile
    assert "<script" not in shown["html"]
    assert "<img" not in shown["html"]
    assert 'href="javascript' not in shown["html"]


def test_a_prompt_over_the_context_is_told(researcher: Client, ask: Ask) -> None:
    """Nothing is cut silently: the battle fails, says how long the prompt may be, and what to do."""
    battle = ask(researcher, "word " * 400)

    assert battle["state"] == "failed"
    assert "tokens" in battle["reason"]
    assert "Shorten" in battle["remedy"]


def test_missing_weights_are_refused_beforehand(
    researcher: Client, pair: list[str], register: Callable[..., uuid.UUID], tmp_path: Path
) -> None:
    """A checkpoint whose folder is gone is refused by name at its field, and never drawn at random."""
    gone = str(register("Vanished", tmp_path / "gone"))

    answer = researcher.post(URL, json={"prompt": "Hello", "checkpoints": [pair[0], gone]})
    drawn = [researcher.post(URL, json={"prompt": "Hello"}).status_code for _ in range(4)]

    assert (answer.status_code, answer.json()["field"]) == (422, "checkpoints.1")
    assert "Vanished" in answer.json()["detail"]
    assert drawn == [202] * 4
    with transaction() as session:
        assert gone not in {one for battle in session.query(Battle) for one in battle.contestants}


def test_weights_that_vanish_while_it_waits_end_the_blindness(
    researcher: Client, pair: list[str], register: Callable[..., uuid.UUID], folders: list[Path], tmp_path: Path
) -> None:
    """A checkpoint whose folder goes before the worker comes ends the battle failed, with the cause; as that names it,
    the conversation is not tried again."""
    folder = shutil.copytree(folders[2], tmp_path / "going")
    going = str(register("Vanished", folder))
    asked = researcher.post(URL, json={"prompt": "Hello", "checkpoints": [pair[0], going]}).json()
    shutil.rmtree(folder)
    arena.work()

    battle = researcher.get(f"{URL}/{asked['id']}").json()
    assert battle["state"] == "failed"
    assert "Vanished" in battle["reason"]
    assert {one["name"] for one in battle["names"]} == {NAMES[0], "Vanished"}
    assert researcher.post(f"{URL}/{asked['id']}/retry").json()["title"] == "Names are known"


def die(battle_id: str) -> None:
    """A worker takes the battle, writes a little, and is killed; the sweep comes by."""
    with transaction() as session:
        battle = service.take(session)
        assert battle is not None
        battle.pid = 2**22 + 1
    tokens.begin(uuid.UUID(battle_id))
    tokens.write(uuid.UUID(battle_id), [Piece(0, "half of an ans")])
    with transaction() as session:
        assert service.sweep(session) == 1


def test_a_dead_worker_ends_the_battle_which_is_tried_again(researcher: Client, pair: list[str]) -> None:
    """After kill -9 the sweep ends it failed, with what to do; what had come can still be read. Tried again, whoever
    has read that is told that it is void, and the same contestants answer; a worker that lives on changes nothing."""
    asked = researcher.post(URL, json={"prompt": "Hello", "sampling": SAMPLING}).json()
    address = f"{URL}/{asked['id']}"
    die(asked["id"])
    with transaction() as session:
        service.put_back(session, uuid.UUID(asked["id"]))

    found = researcher.get(address).json()
    assert (found["state"], found["remedy"]) == ("failed", "Try again.")
    read = researcher.get(f"{address}/tokens").json()
    assert (read["texts"], read["done"]) == (["half of an ans", ""], True)
    with transaction() as session:
        before = session.get_one(Battle, uuid.UUID(asked["id"])).contestants

    assert researcher.post(f"{address}/retry").json()["state"] == "queued"
    assert researcher.post(f"{address}/retry").status_code == 409
    with transaction() as session:
        service.close(session, uuid.UUID(asked["id"]), [{"content": "half of an ans"}, {"content": ""}])
        assert session.get_one(Battle, uuid.UUID(asked["id"])).state == "queued"
    tokens.begin(uuid.UUID(asked["id"]))
    anew = researcher.get(f"{address}/tokens", params={"after": read["cursor"]}).json()
    assert (anew["fresh"], anew["texts"], anew["done"]) == (True, ["", ""], False)
    arena.work()
    assert researcher.get(address).json()["state"] == "succeeded"
    with transaction() as session:
        assert session.get_one(Battle, uuid.UUID(asked["id"])).contestants == before


def test_tokens_arrive_in_the_shown_order(researcher: Client, three: list[str]) -> None:
    """While the answers grow, each gets its own pieces by cursor; from the beginning, all again; in the end, whole."""
    body = {"prompt": "Hello", "sampling": SAMPLING, "contestants": 3}
    asked = researcher.post(URL, json=body).json()
    address, battle_id = f"{URL}/{asked['id']}/tokens", uuid.UUID(asked["id"])
    tokens.begin(battle_id)
    tokens.write(battle_id, [Piece(0, "from a"), Piece(2, "from c")])
    first = researcher.get(address).json()
    tokens.write(battle_id, [Piece(0, " more")])
    second = researcher.get(address, params={"after": first["cursor"]}).json()
    reloaded = researcher.get(address).json()
    arena.work()
    last = researcher.get(address, params={"after": second["cursor"]}).json()

    assert (first["texts"], first["fresh"], first["done"]) == (["from a", "", "from c"], True, False)
    assert (second["texts"], second["fresh"]) == ([" more", "", ""], False)
    assert reloaded["texts"] == ["from a more", "", "from c"]
    whole = researcher.get(f"{URL}/{asked['id']}").json()
    assert (last["done"], last["texts"]) == (True, [one["text"] for one in whole["answers"]])
    assert researcher.get(address, params={"after": "x"}).status_code == 422


def test_cancel_stops_the_answers(researcher: Client, pair: list[str]) -> None:
    """A running battle stops when asked, keeps what came, and cannot be voted on."""
    asked = researcher.post(URL, json={"prompt": "Hello", "sampling": {"max_new_tokens": 2000}}).json()
    address = f"{URL}/{asked['id']}"
    with transaction() as session:
        assert service.take(session) is not None
    researcher.post(f"{address}/cancel")
    with transaction() as session:
        assert not service.alive(session, uuid.UUID(asked["id"]))
        service.close(session, uuid.UUID(asked["id"]), [{"content": "so far"}, {"content": "b"}])

    found = researcher.get(address).json()
    assert (found["state"], found["answers"][0]["text"]) == ("cancelled", "so far")
    assert ballot(researcher, asked["id"], {"strength": 1}).status_code == 409


def test_a_queued_battle_is_cancelled_at_once(researcher: Client, pair: list[str]) -> None:
    """Nobody waits for a worker to forget a battle."""
    asked = researcher.post(URL, json={"prompt": "Hello"}).json()

    assert researcher.post(f"{URL}/{asked['id']}/cancel").json()["state"] == "cancelled"
    with transaction() as session:
        assert service.take(session) is None


def test_a_person_cannot_flood_the_worker(researcher: Client, pair: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth battle at once is refused with what to do, and so are too many in an hour."""
    answers = [researcher.post(URL, json={"prompt": str(number)}) for number in range(5)]
    assert [answer.status_code for answer in answers] == [202] * 4 + [429]

    researcher.post(f"{URL}/{answers[0].json()['id']}/cancel")
    monkeypatch.setattr(service, "MOST_AN_HOUR", 4)
    refused = researcher.post(URL, json={"prompt": "one more"})
    assert (refused.status_code, refused.json()["title"]) == (429, "Too many battles in an hour")
    with transaction() as session:
        for battle in session.query(Battle):
            battle.created_at -= timedelta(hours=2)
    assert researcher.post(URL, json={"prompt": "one more"}).status_code == 202


def test_the_arena_leaves_evaluations_alone(researcher: Client, body: Body) -> None:
    """A match of an evaluation is never taken as a battle."""
    researcher.post("/api/v1/evaluations", json=body)

    with transaction() as session:
        assert service.take(session) is None
        assert service.sweep(session) == 0
