"""Evaluations whose judge has a known habit, with people's verdicts beside it."""

import uuid
from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy.orm import Session

from backend.checkpoints.models import Checkpoint
from backend.checkpoints.models import Source as From
from backend.db import transaction
from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.projects import service as projects
from backend.work import State

PROMPTS = 80
ANSWERS = ("Yes. " * 9 + "\n- one\n- two", "No.", "**Perhaps**, if it rains.")


class Case(NamedTuple):
    """What a judge may go by: luck, who is better (1: the first), the order shown, whether the first is longer."""

    luck: float
    truth: float
    swapped: bool
    longer: bool


Habit = Callable[[Case], float | None]


def right(case: Case) -> float:
    """Right nine times in ten, sure by 0.9."""
    return 0.9 if (case.truth > 0.5) == (case.luck < 0.9) else 0.1


def judged(
    habit: Habit,
    *,
    people: int = 0,
    prompts: int = PROMPTS,
    contestants: int = 2,
    judge: str = "rules",
    **settings: Any,
) -> str:
    """The id of an evaluation of two or three on so many prompts, each verdict by `habit` in both orders.

    Who is better, and who is longer and has a list, is by lot; people judge the first `people` prompts, rightly.
    """
    generator = np.random.default_rng(0)
    with transaction() as session:
        project = projects.default(session).id
        ids = [_contestant(session, project, name) for name in ("Base", "Tuned", "Tuned again")[:contestants]]
        row = Evaluation(project_id=project, name="Known", contestants=[str(one) for one in ids], seed=1)
        row.prompts, row.judge = {"count": prompts, "texts": True}, {"name": judge} | settings
        row.sampling = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 9}
        row.state = State.succeeded
        session.add(row)
        session.flush()
        for number in range(prompts):
            answers = dict(zip(ids, generator.permutation(ANSWERS[:contestants]).tolist(), strict=True))
            for a, b in combinations(ids, 2):
                match = Match(project_id=project, evaluation_id=row.id, position=number, prompt_hash=f"{number:064}")
                match.prompt, match.sampling, match.seed = [{"role": "user", "content": f"Question {number}?"}], {}, 0
                match.checkpoint_a, match.checkpoint_b, match.state = a, b, State.succeeded
                match.response_a, match.response_b = {"content": answers[a]}, {"content": answers[b]}
                session.add(match)
                session.flush()
                truth = float(generator.random() < 0.5)
                for swapped in (False, True):
                    said = habit(Case(generator.random(), truth, swapped, len(answers[a]) > len(answers[b])))
                    reason = None if said is not None else "The reply holds no verdict."
                    session.add(_verdict(match, Source.judge, said, judge=judge, swapped=swapped, reason=reason))
                if number < people:
                    value = {"strength": 1 if truth else -1}
                    session.add(_verdict(match, Source.person, truth, swapped=False, value=value))
        row.done = row.total = prompts
        return str(row.id)


def _contestant(session: Session, project: uuid.UUID, name: str) -> uuid.UUID:
    row = Checkpoint(project_id=project, name=name, source=From.folder, path=f"/nowhere/{uuid.uuid4()}")
    row.architecture, row.parameters = "LlamaForCausalLM", 1
    session.add(row)
    session.flush()
    return row.id


def _verdict(match: Match, source: Source, probability: float | None, **more: Any) -> Verdict:
    return Verdict(project_id=match.project_id, match_id=match.id, source=source, probability=probability, **more)
