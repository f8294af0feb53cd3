"""Feedback of users: stored once as data to train on, under no name, and by a token that opens nothing else."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select, text

from backend.accounts.models import Role
from backend.datasets import reading
from backend.datasets.models import Dataset, Item, Kind, Snapshot
from backend.db import transaction
from backend.feedback.models import Feedback
from backend.feedback.schemas import MOST, MOST_BYTES
from backend.labels.models import Label
from backend.projects.models import Project
from backend.settings import Settings, get_settings
from tests.conftest import Client

PATH = "/api/v1/feedback"
ASKED = {"role": "user", "content": "How do I reset my password?"}
GIVEN = {"role": "assistant", "content": "Ask your admin."}
USER = "ada@example.org"


def word(answer: str = "Ask your admin.", **fields: Any) -> dict[str, Any]:
    """A thumb down on an answer."""
    return {"messages": [ASKED, GIVEN | {"content": answer}], "thumb": False, "user": USER} | fields


def send(client: Client, *items: dict[str, Any], headers: dict[str, str] | None = None, **fields: Any) -> Any:
    return client.post(PATH, json={"items": list(items), **fields}, headers=headers)


def took(client: Client, *items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = send(client, *items, **fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def walked(dataset_id: Any) -> list[reading.Judged]:
    with transaction() as session:
        return list(reading.walk(session, dataset_id))


def test_signed_out(anonymous: Client) -> None:
    """Nobody sends feedback without a token or a session."""
    assert send(anonymous, word()).status_code == 401


def test_who_may(annotator: Client, make_client: Callable[..., Client]) -> None:
    """An annotator adds no data; a project that is somebody else's is no place for it."""
    assert send(annotator, word()).status_code == 403
    with transaction() as session:
        other = Project(name="other")
        session.add(other)
        session.flush()
        named = {"plumbline-project": str(other.id)}
    assert send(make_client(Role.researcher), word(), headers=named).status_code == 403


def test_a_thumb_becomes_an_answer_with_a_thumb(researcher: Client) -> None:
    """The dataset is made at first use and found again; the answer can be frozen and trained on."""
    first = took(researcher, *(word(f"Answer {number}.", thumb=number % 2 == 0, model="m-1") for number in range(40)))
    second = took(researcher, word("One more."))
    assert first["dataset_id"] == second["dataset_id"]
    assert first["pairs_id"] is None
    with transaction() as session:
        dataset = session.get_one(Dataset, first["dataset_id"])
        assert (dataset.name, dataset.kind, sum(dataset.splits.values())) == ("Feedback", Kind.unpaired, 41)
    item = walked(dataset.id)[0].item
    assert (item.prompt, item.responses[0]["content"]) == ([ASKED], "Answer 0.")
    assert item.facts["meta"] == {"model": "m-1"}
    frozen = researcher.post(f"/api/v1/datasets/{dataset.id}/snapshots", json={})
    assert frozen.status_code == 201, frozen.text
    with transaction() as session:
        counts = session.get_one(Snapshot, frozen.json()["id"]).counts
    assert sum(counts["desirable"].values()) == 20


def test_an_edit_becomes_a_pair_as_well(researcher: Client) -> None:
    """The edited answer is better than the one that was given; with a thumb both are stored, without one the pair."""
    both = took(researcher, word(edited="Open Account and choose Change password."))
    assert both["items"][0]["item_id"]
    pair = walked(both["pairs_id"])[0].item
    assert [one["content"] for one in pair.responses] == ["Open Account and choose Change password.", "Ask your admin."]
    assert pair.labels[0].value == {"strength": 1}
    alone = took(researcher, word("Other.", edited="Better.", thumb=None))
    assert (alone["dataset_id"], alone["items"][0]["item_id"]) == (None, None)


def test_an_edit_back_is_a_label_against(researcher: Client) -> None:
    """Two users who edit each other's answer speak of one pair, for different sides."""
    took(researcher, word("A.", edited="B.", thumb=None, user="one"))
    made = took(researcher, word("B.", edited="A.", thumb=None, user="two"))
    (pair,) = walked(made["pairs_id"])
    assert [label.value["strength"] for label in pair.item.labels] == [1, -1]


def test_users_are_known_by_a_keyed_hash(researcher: Client) -> None:
    """The same user is one annotator, with their newest word; the name stands in no table and cannot be guessed."""
    took(researcher, word(), word(thumb=True, user="bob"))
    made = took(researcher, word(thumb=True))
    (judged,) = walked(made["dataset_id"])
    assert [label.value["thumb"] for label in judged.item.labels] == [True, True]
    with transaction() as session:
        rows = session.scalars(select(Feedback)).all()
        assert len({row.user_hash for row in rows}) == 2
        for table in ("feedback", "labels", "items", "datasets", "audit_events"):
            found = session.execute(text(f"SELECT string_agg(t::text, ' ') FROM {table} t")).scalar()  # noqa: S608
            assert USER not in (found or "")


def test_users_differ_from_project_to_project(make_client: Callable[..., Client]) -> None:
    """Hashes of two projects tell nothing about each other."""
    with transaction() as session:
        other = Project(name="other")
        session.add(other)
    took(make_client(Role.researcher), word())
    took(make_client(Role.researcher, project=other), word())
    with transaction() as session:
        assert len(set(session.scalars(select(Feedback.user_hash)))) == 2


def test_sent_again_is_stored_once(researcher: Client) -> None:
    """The same id gives the same rows, alone or within a batch; without an id it is another word."""
    one = word(client_id="c-1", edited="Better.")
    first = took(researcher, one)["items"][0]
    again = took(researcher, one, one)["items"]
    assert [row["id"] for row in again] == [first["id"]] * 2
    assert (first["known"], again[0]["known"], again[0]["item_id"]) == (False, True, first["item_id"])
    with transaction() as session:
        assert len(session.scalars(select(Label)).all()) == 2


def test_another_body_under_an_id_is_refused(researcher: Client) -> None:
    """Nothing of a request that contradicts what was stored is kept."""
    took(researcher, word(client_id="c-1"))
    for other in (word(client_id="c-1", thumb=True), word(client_id="c-1", user="bob")):
        refused = send(researcher, word("New."), other)
        assert (refused.status_code, refused.json()["field"]) == (409, "items.1.client_id")
    with transaction() as session:
        assert len(session.scalars(select(Item)).all()) == 1


def test_ids_of_projects_do_not_meet(make_client: Callable[..., Client]) -> None:
    """Another project may use the same id for its own feedback."""
    with transaction() as session:
        other = Project(name="other")
        session.add(other)
    took(make_client(Role.researcher), word(client_id="c-1"))
    assert (
        took(make_client(Role.researcher, project=other), word("Else.", client_id="c-1"))["items"][0]["known"] is False
    )


def test_other_data_are_left_alone(researcher: Client) -> None:
    """Whoever holds a token cannot add to data that were imported, nor to data of another kind."""
    with transaction() as session:
        project = session.scalars(select(Project)).one()
        kinds = {"Mine": Kind.unpaired, "Pairs": Kind.paired}
        for name, kind in kinds.items():
            dataset = Dataset(project_id=project.id, name=name, kind=kind)
            session.add(dataset)
            session.flush()
            words = {"split": "train", "prompt_hash": "p", "content_hash": "c"}
            where = {"project_id": project.id, "dataset_id": dataset.id, "position": 0}
            session.add(Item(**where, **words, prompt=[], responses=[]))
    for name in kinds:
        refused = send(researcher, word(), dataset=name)
        assert (refused.status_code, refused.json()["title"]) == (409, "Not a dataset of feedback")


@pytest.mark.parametrize(
    "bad",
    [
        {"thumb": None},
        {"thumb": "yes"},
        {"messages": []},
        {"messages": [ASKED]},
        {"messages": [GIVEN, ASKED]},
        {"messages": [ASKED, ASKED]},
        {"messages": [ASKED, {"role": "assistant", "content": "  "}]},
        {"messages": [ASKED, {"role": "assistant", "content": "x", "evil": "1"}]},
        {"messages": ["How?", "So."]},
        {"messages": [ASKED | {"meta": -(2**63) - 1}, GIVEN]},
        {"messages": [ASKED, GIVEN] * 101},
        {"messages": [ASKED | {"content": "x" * MOST_BYTES}, GIVEN]},
        {"edited": "Ask your admin. "},
        {"edited": ""},
        {"edited": "x" * (MOST_BYTES + 1)},
        {"user": ""},
        {"user": "x" * 501},
        {"client_id": "x" * 201},
        {"facts": {"desirable": True}},
        {"user": "NUL \x00"},
    ],
    ids=lambda bad: json.dumps(bad)[:40],
)
def test_what_is_no_feedback_is_refused_whole(researcher: Client, bad: dict[str, Any]) -> None:
    """Hostile and broken input is refused with its field, and nothing of its batch is stored."""
    refused = send(researcher, word("Fine."), word() | bad)
    assert refused.status_code == 422, refused.text
    assert str(refused.json()["field"]).startswith("items.1")
    with transaction() as session:
        assert session.scalars(select(Feedback)).all() == []
        assert session.scalars(select(Item)).all() == []


def test_a_batch_is_bounded(researcher: Client) -> None:
    """A request holds 1 to 100."""
    assert send(researcher).status_code == 422
    assert send(researcher, *(word() for _ in range(MOST + 1))).status_code == 422


@pytest.fixture
def few(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Five a minute."""
    monkeypatch.setenv("PLUMBLINE_FEEDBACK_PER_MINUTE", "5")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.mark.usefixtures("few")
def test_too_many_are_refused(researcher: Client) -> None:
    """More than a project takes in a minute is refused, says when it may come, and uses up nothing of it."""
    words = [word(f"A{number}.") for number in range(6)]
    assert send(researcher, *words[:3]).status_code == 201
    assert send(researcher, *words[3:]).status_code == 429
    assert send(researcher, *words[3:5]).status_code == 201
    with transaction() as session:
        assert len(session.scalars(select(Feedback)).all()) == 5


@pytest.mark.usefixtures("few")
def test_too_many_at_once(researcher: Client) -> None:
    """What no minute would take is refused as such: waiting would not help."""
    answer = send(researcher, *(word(f"A{number}.") for number in range(6)))
    assert (answer.status_code, answer.json()["title"]) == (422, "Too many at once")
    assert "5 pieces" in answer.json()["detail"]
    with transaction() as session:
        assert session.scalars(select(Feedback)).all() == []


class TestTokens:
    @pytest.fixture
    def headers(self, researcher: Client) -> dict[str, str]:
        """Of a token that is for feedback alone."""
        made = researcher.post("/api/v1/me/tokens", json={"name": "shop", "only": "feedback"})
        assert made.status_code == 201, made.text
        assert made.json()["only"] == "feedback"
        return {"authorization": f"Bearer {made.json()['token']}"}

    def test_it_sends_feedback(self, anonymous: Client, headers: dict[str, str]) -> None:
        """That is what it is for."""
        assert send(anonymous, word(), headers=headers).status_code == 201

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/v1/me"),
            ("GET", "/api/v1/datasets"),
            ("GET", "/api/v1/feedback"),
            ("POST", "/api/v1/me/tokens"),
            ("POST", "/api/v1/uploads?filename=x"),
            ("GET", "/api/v1/members"),
        ],
    )
    def test_it_opens_nothing_else(self, anonymous: Client, headers: dict[str, str], method: str, path: str) -> None:
        """Whoever finds it in an app reads and changes nothing of the project."""
        answer = anonymous.request(method, path, headers=headers, json={"name": "more"} if "tokens" in path else None)
        assert answer.status_code in (403, 405)

    @pytest.mark.parametrize("limits", [{"read_only": True}, {"role": "annotator"}])
    def test_limits_that_contradict_are_refused(self, researcher: Client, limits: dict[str, Any]) -> None:
        """A token that could send nothing is not made."""
        body = {"name": "x", "only": "feedback"} | limits
        assert researcher.post("/api/v1/me/tokens", json=body).status_code == 422
