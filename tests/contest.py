"""An evaluation as its rows alone: a base, checkpoints of two runs by step, their answers and a judge's verdicts."""

import random
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from alignment.formats import snapshot
from backend import storage
from backend.checkpoints.models import Checkpoint, Source
from backend.datasets.models import Dataset, Kind, Snapshot
from backend.db import transaction
from backend.evaluations.models import Evaluation, Match, TokenScores, Verdict
from backend.evaluations.models import Source as By
from backend.projects import service as projects
from backend.runs.models import Run
from backend.work import State

JUDGE = "rules"
RUNS = {"DPO, beta 0.1": (10, 20, 30), "SimPO <i>fast</i>": (10, 20)}
WORDS = ("tea", "rain", "river", "light", "stone", "quiet", "garden", "morning", "walk", "bread", "window", "slow")


class Contest(NamedTuple):
    """The evaluation, its contestants (the base first) and the runs that made them."""

    id: uuid.UUID
    contestants: list[uuid.UUID]
    runs: list[uuid.UUID]


def make(prompts: int = 24, *, base: str = "Base & <b>bold</b>", seed: int = 0) -> Contest:
    """Contestants that answer longer and win more by step, judged in both side orders, with what a judge measured."""
    generator = random.Random(seed)
    with transaction() as session:
        project = projects.default(session).id
        first = _checkpoint(session, project, base)
        runs = [_run(session, project, first, name) for name in RUNS]
        tuned = [
            _checkpoint(session, project, f"{name} {step}", run, step, first)
            for (name, steps), run in zip(RUNS.items(), runs, strict=True)
            for step in steps
        ]
        ids = [first, *tuned]
        row = Evaluation(
            project_id=project,
            name="Two runs <against> the base",
            contestants=[str(one) for one in ids],
            prompts={"texts": True, "count": prompts},
            judge={"name": JUDGE},
            sampling={"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 32},
            seed=3,
            state=State.succeeded,
        )
        session.add(row)
        session.flush()
        for position in range(prompts):
            _prompt(session, row, position, ids, generator)
        return Contest(row.id, ids, runs)


def read_tokens(made: Contest) -> None:
    """What a worker would have found: each contestant is further from the base than the one before it."""
    base = made.contestants[0]
    with transaction() as session:
        here = select(Match).where(Match.evaluation_id == made.id, Match.checkpoint_a == base)
        for match in session.scalars(here):
            moved = float(made.contestants.index(match.checkpoint_b) + match.position % 3)
            result = {"tokens": ["a", "b"], "policy": [-1.0, -1.0], "reference": [-1.0, -1.0 - moved]}
            session.add(
                TokenScores(
                    project_id=match.project_id,
                    match_id=match.id,
                    side="b",
                    reference_id=base,
                    state=State.succeeded,
                    result={**result, "kl": [moved / 2, moved / 2]},
                )
            )


def by_place(made: Contest) -> None:
    """Afterwards its judge has named the answer that it was shown first, every time."""
    with transaction() as session:
        own = select(Match.id).where(Match.evaluation_id == made.id)
        first = case((Verdict.swapped, 0.0), else_=1.0)
        session.execute(update(Verdict).where(Verdict.match_id.in_(own)).values(probability=first))


def _checkpoint(
    session: Session,
    project: uuid.UUID,
    name: str,
    run: uuid.UUID | None = None,
    step: int | None = None,
    parent: uuid.UUID | None = None,
) -> uuid.UUID:
    row = Checkpoint(
        project_id=project,
        name=name,
        source=Source.run if run else Source.folder,
        path=f"contest/{uuid.uuid4()}",
        run_id=run,
        step=step,
        parent_id=parent,
        architecture="LlamaForCausalLM",
        parameters=1,
        max_tokens=256,
    )
    session.add(row)
    session.flush()
    return row.id


def _run(session: Session, project: uuid.UUID, base: uuid.UUID, name: str) -> uuid.UUID:
    dataset = Dataset(project_id=project, name=f"Pairs of {name} {uuid.uuid4()}", kind=Kind.paired)
    session.add(dataset)
    session.flush()
    snapshot = Snapshot(
        project_id=project,
        dataset_id=dataset.id,
        hash=uuid.uuid4().hex * 2,
        kind=Kind.paired,
        policy={},
        counts={},
        path="nowhere",
    )
    session.add(snapshot)
    session.flush()
    row = Run(
        project_id=project,
        name=name,
        kind="preference",
        spec={},
        objective="dpo",
        checkpoint_id=base,
        reference_id=base,
        snapshot_id=snapshot.id,
        state=State.succeeded,
    )
    session.add(row)
    session.flush()
    return row.id


def _prompt(session: Session, row: Evaluation, position: int, ids: list[uuid.UUID], generator: random.Random) -> None:
    """Every two contestants meet; the later of a run, the better and the longer."""
    text = f"Tell me about number {position}."
    answers = [_answer(place, generator) for place in range(len(ids))]
    good = [0.5 * place + generator.gauss(0, 1.5) for place in range(len(ids))]
    for a in range(len(ids)):
        for b in range(a + 1, len(ids)):
            match = Match(
                project_id=row.project_id,
                evaluation_id=row.id,
                position=position,
                prompt=[{"role": "user", "content": text}],
                prompt_hash=f"{position:064x}",
                checkpoint_a=ids[a],
                checkpoint_b=ids[b],
                response_a=answers[a],
                response_b=answers[b],
                sampling=row.sampling,
                seed=row.seed,
                state=State.succeeded,
            )
            session.add(match)
            session.flush()
            scores = [{"reward": good[one], "brief": -len(answers[one]["content"]) / 40} for one in (a, b)]
            for swapped in (False, True):
                session.add(
                    Verdict(
                        project_id=row.project_id,
                        match_id=match.id,
                        source=By.judge,
                        judge=JUDGE,
                        swapped=swapped,
                        probability=float(good[a] > good[b]),
                        scores=scores,
                    )
                )


def _answer(place: int, generator: random.Random) -> dict[str, Any]:
    words = [generator.choice(WORDS) for _ in range(6 + 2 * place + generator.randrange(4))]
    return {"content": " ".join(words), "tokens": len(words) + 1, "ended": True}


def example(number: int, split: Any = "train") -> snapshot.Example:
    """A pair for a run to be trained on, whose prompt is the evaluation's of that number, written otherwise."""
    told: list[Any] = [{"role": "user", "content": f"Tell me ABOUT number {number}!"}]
    answers: list[Any] = [{"role": "assistant", "content": text} for text in ("Yes.", "No.")]
    return snapshot.Example(str(number), split, told, answers)


def train(made: Contest, folder: Path, data: dict[int, list[snapshot.Example]]) -> None:
    """Afterwards the runs (by place) were trained on these examples."""
    for place, examples in data.items():
        found = snapshot.write(folder, examples, kind="paired", policy={}, dataset={})
        key = storage.put(folder / found.hash, f"snapshots/{found.hash}", move=True)
        with transaction() as session:
            run = session.get_one(Run, made.runs[place])
            row = session.get_one(Snapshot, run.snapshot_id)
            row.path, row.hash, row.counts = key, found.hash, found.counts
