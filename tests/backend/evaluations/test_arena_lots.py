"""Who meets whom in the arena, and the prompts that it offers."""

import random
import uuid
from collections import Counter
from collections.abc import Callable
from itertools import combinations

from alignment.formats import Item as ReadItem
from alignment.formats.canonical import Message
from backend.accounts.models import Role
from backend.datasets import service as datasets
from backend.datasets.models import Kind
from backend.db import transaction
from backend.evaluations import arena_lots
from backend.evaluations.models import Battle
from backend.projects import service as projects
from tests.backend.evaluations.conftest import Ask
from tests.conftest import Client

URL = "/api/v1/arena/battles"


# ---- lots ----------------------------------------------------------------------------------------------------------


def test_lots_avoid_what_was_just_seen_and_seek_what_was_seldom_compared() -> None:
    """Of four, the pairs that the person saw last are not drawn again; of the rest, seldom compared ones come oftener;
    every order occurs; with more groups than are weighed, still `n` different ones."""
    pool = [uuid.UUID(int=number) for number in range(4)]
    seen = {frozenset(pair): 1 for pair in combinations(pool[:3], 2)}
    met = {frozenset((pool[3], pool[0])): 99, frozenset((pool[3], pool[1])): 99}
    lots = random.Random(4)
    drawn = Counter(tuple(arena_lots.lot(pool, 2, seen, met, lots)) for _ in range(400))

    assert all(pool[3] in pair for pair in drawn)
    both = drawn[pool[3], pool[2]], drawn[pool[2], pool[3]]
    assert min(both) > 100
    assert sum(both) > 350
    many = [uuid.UUID(int=number) for number in range(40)]
    assert len(set(arena_lots.lot(many, 4, {}, {}, lots))) == 4


def test_battles_follow_the_lots(researcher: Client, ask: Ask, three: list[str]) -> None:
    """Somebody who asks again and again meets other pairs before the same one."""
    for number in range(3):
        ask(researcher, f"Prompt {number}")

    with transaction() as session:
        pairs = {frozenset(battle.contestants) for battle in session.query(Battle)}
    assert len(pairs) == 3


def test_prompts_are_offered_once(researcher: Client, make_client: Callable[..., Client], ask: Ask) -> None:
    """A prompt of a prompt set is offered until the person has asked it; then there is none, which is told. An
    annotator is offered nothing: prompts of datasets are not theirs to read."""
    prompts: list[list[Message]] = [[{"role": "user", "content": f"Question {number}?"}] for number in range(2)]
    with transaction() as session:
        project = projects.default(session)
        dataset = datasets.create(session, project, "Prompts", Kind.prompts)
        datasets.append(session, dataset, [ReadItem(prompt, []) for prompt in prompts])
    offered = set()
    for _ in range(2):
        text = researcher.get("/api/v1/arena/prompt").json()["text"]
        ask(researcher, text)
        offered.add(text)

    none = researcher.get("/api/v1/arena/prompt")
    assert offered == {"Question 0?", "Question 1?"}
    assert (none.status_code, bool(none.json()["remedy"])) == (422, True)
    assert make_client(Role.annotator).get("/api/v1/arena/prompt").status_code == 403
