"""Lots of the arena: who meets whom, and which prompt is offered, without what the person has just seen."""

import math
import secrets
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from random import Random

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.datasets import service as datasets
from backend.datasets.models import Dataset, Item, Kind
from backend.evaluations.contestants import TooFewCheckpoints, find_ready
from backend.evaluations.models import Battle, Match
from backend.evaluations.prompts import NoPrompts
from backend.projects.models import Project

LATELY = 3
"""Conversations of the person whose pairs are avoided."""
CANDIDATES = 200
LONGEST_PROMPT = 50_000
Pair = frozenset[uuid.UUID]


def contestants(
    session: Session, project: Project, user: User, named: Sequence[uuid.UUID] | None, n: int
) -> list[Checkpoint]:
    """`n` checkpoints in the order shown, of those named, else of all in the project that could answer.

    Raises UnknownCheckpoint, WeightsGone, TemplateMissing, TooFewCheckpoints.
    """
    if named is not None:
        pool = find_ready(session, project.id, named, "checkpoints")
    else:
        own = select(Checkpoint).where(Checkpoint.project_id == project.id)
        pool = [one for one in session.scalars(own.order_by(Checkpoint.id)) if checkpoints.ready(one)]
    if len(pool) < n:
        few = "none" if not pool else "one" if len(pool) == 1 else str(len(pool))
        raise TooFewCheckpoints(
            f"This battle needs {n} checkpoints, and there {'is' if len(pool) == 1 else 'are'} {few}.",
            remedy="Train a run, or register a checkpoint." if len(pool) < 2 else "Let fewer meet.",
        )
    by_id = {one.id: one for one in pool}
    found = lot(list(by_id), n, _seen(session, project, user), _met(session, project), secrets.SystemRandom())
    return [by_id[one] for one in found]


def lot(
    pool: Sequence[uuid.UUID], n: int, seen: Mapping[Pair, int], met: Mapping[Pair, int], random: Random
) -> list[uuid.UUID]:
    """`n` of the pool in random order.

    Of the groups whose pairs the person has seen least lately one is drawn, with a weight that is the sum over its
    pairs of 1 / (1 + how often the two have met).
    """
    if math.comb(len(pool), n) <= CANDIDATES:
        groups = [list(one) for one in combinations(pool, n)]
    else:
        groups = [random.sample(pool, n) for _ in range(CANDIDATES)]
    again = [sum(seen.get(pair, 0) for pair in _pairs(group)) for group in groups]
    fresh = [group for group, times in zip(groups, again, strict=True) if times == min(again)]
    weights = [sum(1 / (1 + met.get(pair, 0)) for pair in _pairs(group)) for group in fresh]
    (found,) = random.choices(fresh, weights)
    return random.sample(found, n)


def _pairs(group: Sequence[uuid.UUID]) -> list[Pair]:
    return [frozenset(pair) for pair in combinations(group, 2)]


def _seen(session: Session, project: Project, user: User) -> Counter[Pair]:
    """How often the person saw two checkpoints meet in the last conversations."""
    own = Battle.created_by == user.id, Battle.project_id == project.id, Battle.first_id.is_(None)
    lately = session.scalars(select(Battle.contestants).where(*own).order_by(Battle.id.desc()).limit(LATELY))
    return Counter(pair for group in lately for pair in _pairs([uuid.UUID(one) for one in group]))


def _met(session: Session, project: Project) -> Counter[Pair]:
    """How many votes of the arena each two checkpoints have."""
    voted = Match.project_id == project.id, Match.evaluation_id.is_(None)
    counted = select(Match.checkpoint_a, Match.checkpoint_b, func.count()).where(*voted)
    found: Counter[Pair] = Counter()
    for a, b, count in session.execute(counted.group_by(Match.checkpoint_a, Match.checkpoint_b)):
        found[frozenset((a, b))] += count
    return found


def prompt(session: Session, project: Project, user: User, dataset_id: uuid.UUID | None) -> str:
    """A prompt that the person has not asked here: of a dataset's test split, or of any prompt set; a single text.

    Raises NotFound, NoPrompts.
    """
    asked = exists().where(
        Battle.created_by == user.id, Battle.project_id == project.id, Battle.prompt_hash == Item.prompt_hash
    )
    text = Item.prompt[0]["content"].astext
    query = (
        select(text)
        .join(Dataset, Dataset.id == Item.dataset_id)
        .where(
            Item.project_id == project.id,
            Item.withdrawn_at.is_(None),
            or_(Item.split == "test", Dataset.kind == Kind.prompts),
            func.jsonb_array_length(Item.prompt) == 1,
            ~Item.prompt[0].has_key("parts"),
            func.length(text).between(1, LONGEST_PROMPT),
            ~asked,
        )
    )
    if dataset_id is not None:
        query = query.where(Item.dataset_id == datasets.find(session, project, dataset_id).id)
    found: str | None = session.scalar(query.order_by(func.random()).limit(1))
    if found is None:
        raise NoPrompts(
            "There is no prompt left that you have not asked.",
            remedy="Import a prompt set, choose another dataset, or type a prompt.",
        )
    return found
