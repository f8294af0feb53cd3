"""What the tests of the labelling page share: data to label, the card on the screen, and what has been stored."""

import uuid
from typing import Any

from playwright.sync_api import Page, expect
from sqlalchemy import select

from alignment.formats import Item as ReadItem
from backend.accounts.models import Role
from backend.datasets.models import Dataset, Item, Kind
from backend.db import transaction
from backend.labels import tallies
from backend.labels.models import Label, LabelSource
from backend.projects import service as projects
from backend.tasks import service as tasks
from backend.tasks.models import Task
from backend.tasks.schemas import TaskIn
from tests.people import add_person

Response = str | dict[str, Any]
Row = tuple[str | list[dict[str, Any]], *tuple[Response, ...]]


def add_items(rows: list[Row], name: str = "Pairs", kind: Kind = Kind.paired) -> uuid.UUID:
    """A dataset of (prompt, responses…); a prompt is a text or messages, a response a text or a message."""
    with transaction() as session:
        project = projects.default(session)
        dataset = Dataset(project_id=project.id, name=name, kind=kind)
        session.add(dataset)
        session.flush()
        for position, (prompt, *responses) in enumerate(rows):
            messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            said = [{"role": "assistant", **({"content": one} if isinstance(one, str) else one)} for one in responses]
            read = ReadItem(prompt=messages, responses=said)  # type: ignore[arg-type]
            item = Item(
                project_id=project.id,
                dataset_id=dataset.id,
                position=position,
                split="train",
                prompt=messages,
                prompt_hash=read.prompt_hash,
                content_hash=read.content_hash,
                responses=said,
            )
            session.add(item)
        session.flush()
        tallies.recount(session, [dataset.id])
        return dataset.id


def numbered(n: int, kind: Kind = Kind.paired, responses: int = 2, name: str = "Pairs") -> uuid.UUID:
    """Items “Question 0”, … with the responses “First 0”, “Second 0”, …"""
    words = ("First", "Second", "Third", "Fourth")[:responses]
    rows: list[Row] = [(f"Question {place}", *(f"{word} {place}" for word in words)) for place in range(n)]
    return add_items(rows, name, kind)


def add_task(dataset: uuid.UUID, question: dict[str, Any], **more: Any) -> uuid.UUID:
    """A task about the dataset, made by somebody else."""
    with transaction() as session:
        lead = add_person(session, Role.researcher, f"lead-{uuid.uuid4().hex[:8]}")
        body = TaskIn.model_validate({"dataset_id": dataset, "name": "A task", "question": question, **more})
        return tasks.create(session, projects.default(session), lead, body).id


def answered(task: uuid.UUID, better: int) -> None:
    """Somebody has answered the task about all of its items."""
    with transaction() as session:
        person, asked = add_person(session, Role.annotator), session.get_one(Task, task)
        for item in session.scalars(select(Item).where(Item.dataset_id == asked.dataset_id)):
            of = {"project_id": item.project_id, "dataset_id": item.dataset_id, "item_id": item.id, "task_id": task}
            said = {"annotator_id": person.id, "source": LabelSource.person, "value": {"strength": better}}
            session.add(Label(**of, **said))
        session.flush()
        tallies.recount(session, [asked.dataset_id])


def open_card(page: Page, dataset: uuid.UUID | None = None, *, task: uuid.UUID | None = None) -> None:
    page.goto(f"/label?task={task}" if task else f"/label?dataset={dataset}")
    expect(page.locator(".pl-pair-body").first).not_to_be_empty()


def prompt(page: Page, text: str) -> None:
    expect(page.locator(".pl-pair-prompt .pl-turn").last).to_contain_text(text)


def labels() -> list[tuple[int, Label]]:
    """Position and label of everything stored, oldest first."""
    with transaction() as session:
        query = select(Item.position, Label).join(Item, Item.id == Label.item_id).order_by(Label.id)
        return [(position, label) for position, label in session.execute(query)]


def wait_for_labels(page: Page, n: int) -> list[tuple[int, Label]]:
    for _ in range(600):
        if len(labels()) >= n:
            break
        page.wait_for_timeout(50)
    found = labels()
    assert len(found) == n
    return found


def shown(page: Page) -> list[str]:
    """The first word of each response, in the order shown."""
    return [text.split()[0] for text in page.locator(".pl-pair-body").all_inner_texts()]
