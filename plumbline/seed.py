"""What the project Tour holds at the first start: pairs to label, a toy world to train in, and a model for it."""

from sqlalchemy.orm import Session

from alignment import formats, toyworld
from alignment.formats import Item
from alignment.toyworld import recipe
from backend.checkpoints import service as checkpoints
from backend.datasets import service as datasets
from backend.datasets.models import Kind
from backend.projects.models import Project

HELD_OUT, SEED = 200, 1
SAMPLE_NAME = "Everyday requests"
TOY_NAME = "Toy world: labelled pairs"
PROMPTS_NAME = "Toy world: held-out prompts"


def tour(session: Session, project: Project) -> None:
    """Afterwards the project holds the tour's datasets and the toy checkpoint. Call once."""
    checkpoints.register_toy(session, project)
    datasets.create_from_items(
        session,
        project,
        PROMPTS_NAME,
        held_out(HELD_OUT),
        kind=Kind.prompts,
        description=(
            "Requests of the toy world that no training pair asks, for evaluations judged by 'Truth of the toy world'."
        ),
        toy=True,
    )
    datasets.create_from_items(
        session,
        project,
        TOY_NAME,
        toyworld.pairs(recipe.PAIRS, SEED),
        description="Pairs of the toy world, labelled by its true preference with noise: train on these first.",
        toy=True,
    )
    datasets.create_from_items(
        session,
        project,
        SAMPLE_NAME,
        [item for item in formats.read(toyworld.TOUR, "native") if isinstance(item, Item)],
        description="Everyday requests with two answers each, waiting for your judgement.",
    )


def held_out(n: int) -> list[Item]:
    """`n` requests of the toy world that are in none of its training pairs."""
    return [
        Item(prompt=[{"role": "user", "content": text}], responses=[]) for text in toyworld.prompts(n, SEED, "held_out")
    ]
