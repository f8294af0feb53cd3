"""The grid, filters, a match with its neighbours, what is made of matches, and tokens read by two checkpoints."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import event, update

from alignment.formats import Item as ReadItem
from alignment.judges.llm import NO_VERDICT
from backend.accounts.models import Role
from backend.datasets import service as datasets
from backend.datasets.models import Item, Kind
from backend.db import get_engine, transaction
from backend.evaluations.models import Evaluation, Match, Source, TokenScores, Verdict
from backend.projects import service as projects
from backend.retention import service as retention
from backend.work import State, now
from tests.backend.evaluations.conftest import Body
from tests.checkpoints import make_llama
from tests.conftest import Client
from tests.people import add_person
from workers.answering import SHELF
from workers.tasks import token_scores

PROMPTS = 8
Said = tuple[float | None, float | None]  # what the judge says of a in both side orders
# question: what the judge said, what a person said, words of both answers
STORY: dict[int, tuple[Said, float | None, tuple[int, int]]] = {
    0: ((1.0, 1.0), 1.0, (5, 5)),
    1: ((0.0, 0.0), None, (5, 5)),
    2: ((1.0, 0.0), None, (5, 5)),
    3: ((0.5, 0.5), 0.5, (5, 50)),
    4: ((0.0, 0.0), 1.0, (5, 5)),
    5: ((None, None), None, (5, 5)),
    6: ((1.0, None), None, (12, 5)),
    7: ((0.0, 0.0), 0.5, (5, 5)),
}


class World(NamedTuple):
    """An evaluation of three contestants: the matches of the second against the first are as in STORY."""

    id: str
    contestants: list[str]
    questions: dict[int, int]  # by the position that the lot gave them

    def path(self, rest: str = "") -> str:
        return f"/api/v1/evaluations/{self.id}/{rest}"


@pytest.fixture
def world(researcher: Client, register: Callable[..., uuid.UUID], folders: list[Path]) -> World:
    ids = [str(register(f"Contestant {number}", folder)) for number, folder in enumerate(folders)]
    with transaction() as session:
        project = projects.default(session)
        kept = datasets.create(session, project, "Prompts", Kind.prompts)
        prompts = [
            ReadItem(
                prompt=[{"role": "user", "content": f'Question "{number}" about 100% tea?'}],
                responses=[],
                facts={"category": "odd"} if number % 2 else {},
            )
            for number in range(PROMPTS)
        ]
        datasets.append(session, kept, prompts)
        dataset = str(kept.id)
    body = {
        "name": "Three",
        "contestants": ids,
        "prompts": {"dataset_id": dataset},
        "judge": {"name": "rules", "max_words": 3},
    }
    launched = researcher.post("/api/v1/evaluations", json=body)
    assert launched.status_code == 202, launched.text
    with transaction() as session:
        person = add_person(session, Role.annotator, "noor")
        questions = {}
        for match in session.query(Match).all():
            number = questions[match.position] = int(match.prompt[0]["content"].split('"')[1])
            story = str(match.checkpoint_a) == ids[0] and str(match.checkpoint_b) == ids[1]
            said, vote, words = STORY[number] if story else ((None, None), None, (4, 4))
            match.state = State.succeeded
            match.response_a = {"content": f"{number} first " + "word " * (words[0] - 2), "ended": True}
            match.response_b = {"content": f"{number} second " + "word " * (words[1] - 2), "ended": True}
            rows = [_verdict(match, None, vote, False, annotator_id=person.id)] if vote is not None else []
            if story:
                rows += [_verdict(match, "rules", one, bool(turn)) for turn, one in enumerate(said)]
            session.add_all(rows)
    return World(launched.json()["id"], ids, questions)


def _verdict(match: Match, judge: str | None, probability: float | None, swapped: bool, **more: Any) -> Verdict:
    return Verdict(
        project_id=match.project_id,
        match_id=match.id,
        source=Source.judge if judge else Source.person,
        judge=judge,
        swapped=swapped,
        probability=probability,
        reason=NO_VERDICT if probability is None else None,
        value=None if judge else {"strength": round(2 * ((probability or 0) - 0.5))},
        text="Length decides." if judge else None,
        **more,
    )


FILTERS: list[tuple[Body, list[int]]] = [
    ({"outcome": "lost"}, [0]),
    ({"outcome": "won"}, [1, 7]),
    ({"outcome": "won", "judge": "rules"}, [1, 4, 7]),
    ({"outcome": "tie"}, [2, 3, 4]),
    ({"outcome": "contradicted"}, [2]),
    ({"outcome": "unreadable"}, [5, 6]),
    ({"outcome": "undecided"}, [5, 6]),
    ({"outcome": "differs"}, [4, 7]),
    ({"outcome": "differs", "judge": "people"}, []),
    ({"outcome": "failed"}, []),
    ({"judge": "people"}, [0, 3, 4, 7]),
    ({"min_ratio": 2}, [3, 6]),
    ({"min_words": 10}, [3]),
    ({"category": "odd"}, [1, 3, 5, 7]),
    ({"text": "3 SECOND"}, [3]),
    ({"text": 'question "4"'}, [4]),
    ({"text": "100%"}, list(range(8))),
    ({"text": "1_0%"}, []),
    ({"category": "odd", "outcome": "differs", "text": "tea"}, [7]),
]
NO_FILTERS: list[Body] = [
    {"outcome": "best"},
    {"min_ratio": "nan"},
    {"min_ratio": 0.5},
    {"min_words": 0},
    {"text": "x" * 201},
    {"text": "nul \x00"},
    {"contestant": "me"},
    {"order": "1; drop table matches"},
]


def test_a_filter_means_the_same_everywhere(researcher: Client, world: World) -> None:
    """List, grid and export take the same matches, whichever way they are asked for; "against" names the pair."""
    for number, (wanted, questions) in enumerate(FILTERS):
        asked = wanted | {"contestant": world.contestants[1], "against": world.contestants[0]}
        listed = researcher.get(world.path("matches"), params=asked | {"limit": 100}).json()["items"]
        outline = researcher.get(world.path("grid"), params=asked).json()
        rows = researcher.get(world.path("grid/rows"), params=asked).json()["items"]
        body = {"evaluation_id": world.id, "name": f"New {number}", "bare": True, "filter": asked}
        made = researcher.post("/api/v1/matches/export", json=body)

        assert sorted(world.questions[match["position"]] for match in listed) == questions, wanted
        assert (outline["matches"], outline["prompts"]) == (len(questions), len(questions))
        shown = [place for first, last in outline["positions"] for place in range(first, last + 1)]
        assert [row["position"] for row in rows] == shown == sorted(match["position"] for match in listed)
        assert made.json()["items"] == len(questions) if questions else made.status_code == 422


def test_an_export_reads_the_prompts_themselves(researcher: Client, world: World) -> None:
    """Matches that were stored under another hash than their prompt's become items all the same."""
    with transaction() as session:
        session.execute(update(Match).values(prompt_hash="of something else"))
    body = {"evaluation_id": world.id, "name": "New", "bare": True}
    made = researcher.post("/api/v1/matches/export", json=body)
    assert (made.status_code, made.json().get("items")) == (201, 16), made.text
    again = researcher.post(
        "/api/v1/matches/export", json=body | {"name": None, "dataset_id": made.json()["dataset_id"]}
    )
    assert again.json()["items"] == 16


def test_what_no_filter_says_is_refused(researcher: Client, world: World) -> None:
    """Unknown names, odd numbers and too long texts are refused by every route that filters."""
    for wanted in NO_FILTERS:
        for rest in ("matches", "grid", "grid/rows"):
            assert researcher.get(world.path(rest), params=wanted).status_code == 422, wanted
        body = {"evaluation_id": world.id, "name": "New", "filter": wanted}
        assert researcher.post("/api/v1/matches/export", json=body).status_code == 422


def test_a_row_holds_every_contestant(researcher: Client, world: World) -> None:
    """Excerpts, scores seen from the contestant, and marks; the baseline has no score; pages go on by position."""
    first = researcher.get(world.path("grid/rows"), params={"limit": 5}).json()
    rest = researcher.get(world.path("grid/rows"), params={"limit": 5, "cursor": first["next_cursor"]}).json()
    rows = {row["position"]: row for row in first["items"] + rest["items"]}

    assert (len(first["items"]), len(rest["items"]), rest["next_cursor"]) == (5, 3, None)
    assert all(len(row["cells"]) == 3 and row["cells"][0]["score"] is None for row in rows.values())
    places = sorted(rows, key=lambda place: world.questions[place])
    cells = [rows[place]["cells"][1] for place in places]
    assert [cell["score"] for cell in cells] == [0.0, 1.0, 0.5, 0.5, 0.5, None, None, 0.75]
    marks = [cell["marks"] for cell in cells]
    assert marks == [[], [], ["contradicted"], [], ["differs"], ["unreadable"], ["unreadable"], ["differs"]]
    assert cells[3]["excerpt"].startswith("3 second word")
    assert len(cells[3]["excerpt"]) <= 180
    assert cells[3]["characters"] > 200
    assert [rows[place]["category"] for place in places] == [None, "odd"] * 4


def test_scrolling_reads_what_is_seen(researcher: Client, world: World) -> None:
    """However many prompts there are, a page of rows asks the database for those rows alone."""
    seen: list[int] = []

    def note(_conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "FROM matches" in statement and cursor.description is not None:
            seen.append(cursor.rowcount)

    event.listen(get_engine(), "after_cursor_execute", note)
    try:
        found = researcher.get(world.path("grid/rows"), params={"limit": 2, "cursor": "3"}).json()
    finally:
        event.remove(get_engine(), "after_cursor_execute", note)

    assert [row["position"] for row in found["items"]] == [4, 5]
    assert max(seen) <= 2 * 3 * 3  # matches of two prompts, with at most three verdicts each


def test_a_match_stands_among_its_neighbours(researcher: Client, world: World) -> None:
    """One match tells who said what, by name, and which come before and after it within the filter."""
    asked = {"contestant": world.contestants[1], "against": world.contestants[0], "judge": "people"}
    ids = [match["id"] for match in researcher.get(world.path("matches"), params=asked).json()["items"]]

    found = [researcher.get(f"/api/v1/matches/{one}", params=asked).json() for one in ids]

    assert [one["previous"] for one in found] == [None, *ids[:-1]]
    assert [one["next"] for one in found] == [*ids[1:], None]
    assert found[0]["evaluation_id"] == world.id
    spoken = {(one["source"], one["by"]) for one in found[0]["spoken"]}
    assert spoken == {("person", "noor"), ("judge", None)}
    others = [one["checkpoint"]["id"] for one in found[0]["references"]["b"]]
    assert others == [world.contestants[0]]


def test_the_arenas_matches_are_not_read_here(researcher: Client, ask: Callable[..., Body]) -> None:
    """A match of the arena is its asker's, before the vote and after."""
    assert researcher.get(f"/api/v1/matches/{ask(researcher)['id']}").status_code == 404


def test_matches_become_items_to_label(researcher: Client, annotator: Client, world: World) -> None:
    """Bare items of a filter, without any verdict; a task over them deals cards that name no checkpoint."""
    asked = {"contestant": world.contestants[1], "against": world.contestants[0], "outcome": "tie"}
    body = {"evaluation_id": world.id, "name": "To label", "bare": True, "filter": asked}
    made = researcher.post("/api/v1/matches/export", json=body).json()
    again = researcher.post("/api/v1/matches/export", json=body | {"name": None, "dataset_id": made["dataset_id"]})
    task = researcher.post(
        "/api/v1/tasks",
        json={"dataset_id": made["dataset_id"], "name": "Ties", "question": {"kind": "pair", "scale": "preference"}},
    ).json()
    told = json.dumps(annotator.post(f"/api/v1/tasks/{task['id']}/cards", json={"n": 3}).json())

    assert (made["items"], made["labels"], again.json()["items"]) == (3, 0, 3)
    assert task["question"]["scale"] == "preference"
    assert "first" in told
    assert not any(secret in told for secret in ("Contestant", *world.contestants))
    with transaction() as session:
        mine = [item for item in session.query(Item) if item.dataset_id == uuid.UUID(made["dataset_id"])]
        splits = {item.prompt_hash: item.split for item in session.query(Item) if item not in mine}
        assert all(item.split == splits[item.prompt_hash] for item in mine)


def test_a_filter_with_verdicts_becomes_labels(researcher: Client, world: World) -> None:
    """With the judge's verdicts, the matches of a filter become labelled items; a filter of the arena is refused."""
    asked = {"contestant": world.contestants[1], "outcome": "won", "judge": "rules"}
    body = {"evaluation_id": world.id, "name": "Won", "judges": True, "filter": asked}

    made = researcher.post("/api/v1/matches/export", json=body).json()

    assert (made["items"], made["labels"]) == (3, 5)  # two of them were judged by a person too
    for wrong in ({"arena": True, "evaluation_id": None}, {"bare": True}):
        assert researcher.post("/api/v1/matches/export", json=body | wrong).status_code == 422


def tokens(client: Client, match: str, side: str, reference: str) -> Any:
    return client.post(f"/api/v1/matches/{match}/tokens", json={"side": side, "reference_id": reference})


def _match(client: Client, world: World) -> str:
    asked: Body = {"contestant": world.contestants[1], "against": world.contestants[0], "limit": 1}
    found: str = client.get(world.path("matches"), params=asked).json()["items"][0]["id"]
    return found


def test_tokens_are_read_by_a_worker(researcher: Client, world: World) -> None:
    """Asked once, read once: the tokens make the answer, both checkpoints tell each, and hostile text stays text."""
    match, text = _match(researcher, world), "<img src=x onerror=alert(1)> zoë 🙂 tea"
    with transaction() as session:
        session.get_one(Match, uuid.UUID(match)).response_b = {"content": text, "ended": True}
    asked = tokens(researcher, match, "b", world.contestants[0])
    again = tokens(researcher, match, "b", world.contestants[0])
    token_scores.work()
    (found,) = researcher.get(f"/api/v1/matches/{match}/tokens").json()["items"]

    assert (asked.status_code, asked.json()["state"], again.json()["id"]) == (202, "queued", asked.json()["id"])
    assert found["state"] == "succeeded", found
    texts = [one["text"] for one in found["tokens"]]
    assert "".join(texts) == text + "<eos>"
    assert all(one["policy"] < 0 and one["reference"] < 0 for one in found["tokens"])
    assert any(abs(one["policy"] - one["reference"]) > 1e-3 for one in found["tokens"])
    assert tokens(researcher, match, "b", world.contestants[0]).json()["state"] == "succeeded"


def test_what_cannot_be_read_is_told(
    researcher: Client, world: World, register: Callable[..., uuid.UUID], tmp_path: Path
) -> None:
    """Itself, an unknown checkpoint, another tokenizer, a missing answer: each is refused with what to do; what was
    cancelled can be asked anew."""
    match = _match(researcher, world)
    other = str(register("Other tokens", make_llama(tmp_path / "other", ["zebra quartz " * 9] * 9, vocabulary=320)))

    assert tokens(researcher, match, "b", world.contestants[1]).json()["field"] == "reference_id"
    assert tokens(researcher, match, "b", str(uuid.uuid4())).status_code == 404
    row = tokens(researcher, match, "a", other).json()
    cancelled = researcher.post(f"/api/v1/token-scores/{row['id']}/cancel").json()
    assert (cancelled["state"], tokens(researcher, match, "a", other).json()["state"]) == ("cancelled", "queued")
    token_scores.work()
    (found,) = researcher.get(f"/api/v1/matches/{match}/tokens").json()["items"]
    assert (found["state"], found["tokens"]) == ("failed", None)
    assert "other tokens" in found["reason"]
    assert "family" in found["remedy"]
    with transaction() as session:
        session.execute(update(Match).values(response_a={"error": "removed"}))
    assert tokens(researcher, match, "a", world.contestants[2]).status_code == 409
    SHELF.clear()


def test_retention_takes_what_was_read_along(researcher: Client, world: World) -> None:
    """Where answers are deleted, their tokens are."""
    tokens(researcher, _match(researcher, world), "b", world.contestants[0])
    token_scores.work()
    with transaction() as session:
        project = projects.default(session).id
        long_ago = now() - timedelta(days=9)
        session.execute(update(Evaluation).values(state=State.failed, finished_at=long_ago))
        assert retention.remove_answers(session, project, 1, "answers") > 0
        assert session.query(TokenScores).count() == 0
