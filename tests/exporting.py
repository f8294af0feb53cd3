"""What there is to export: an adapter that a run made on labelled pairs, judged against its base."""

import uuid
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select, update

from backend.accounts.models import Role
from backend.checkpoints import service as checkpoints
from backend.checkpoints.folder import read_own
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.evaluations import service as evaluations
from backend.evaluations.models import Evaluation, Match, Verdict
from backend.evaluations.models import Source as Said
from backend.evaluations.schemas import EvaluationIn
from backend.projects import service as projects
from backend.runs.models import Run
from backend.work import State
from tests import loop
from tests.people import add_person

ANSWER = {"content": "A quiet place.", "tokens": 4, "ended": True}


class Trained(NamedTuple):
    """A base from a hub, the run on it, and the adapter that the run made."""

    base: Checkpoint
    run: Run
    adapter: Checkpoint


def adapter_folder(base: Path, folder: Path) -> Path:
    """A LoRA adapter on `base` as a run writes it; imports torch."""
    import torch

    from alignment.training.checkpoint import Checkpoints
    from alignment.training.model import add_adapters, load_model, load_tokenizer
    from alignment.training.spec import Keep, LoraTuning

    torch.manual_seed(1)
    model = add_adapters(load_model(base), LoraTuning(rank=4), base)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.03)
    return Checkpoints(folder, "lora", Keep()).save(model, load_tokenizer(base), 4, {}).path


def add_trained(base_folder: Path, adapter: Path, *, dataset: str = "Harbor pairs", **base: Any) -> Trained:
    """Rows of a base, a run on pairs and its adapter, in the default project."""
    with transaction() as session:
        user = add_person(session, Role.researcher, f"ada-{uuid.uuid4().hex[:8]}")
    started = loop.add_checkpoint(base_folder, "Tiny base")
    base = {"source": Source.hub, "hub_id": "someone/tiny", "revision": "c" * 40, "license": "mit"} | base
    with transaction() as session:
        session.execute(update(Checkpoint).where(Checkpoint.id == started.id).values(**base))
    run = loop.add_run(user, started, loop.add_dataset(name=dataset))
    with transaction() as session:
        parent = session.get_one(Checkpoint, started.id)
        session.execute(update(Run).where(Run.id == run.id).values(state=State.succeeded))
        made = checkpoints.add_product(
            session,
            run_id=run.id,
            run_name=run.name,
            parent=parent,
            step=4,
            key=str(adapter),
            facts=read_own(adapter),
        )
        return Trained(parent, run, made)


def add_verdicts(trained: Trained, wins: int, losses: int, name: str = "Harbor check") -> Evaluation:
    """An evaluation of typed prompts in which a judge found for the adapter so often."""
    ids = [str(trained.base.id), str(trained.adapter.id)]
    texts = [f"Question {number}?" for number in range(wins + losses)]
    wanted = {"name": name, "contestants": ids, "prompts": {"texts": texts}, "judge": {"name": "people"}}
    with transaction() as session:
        user = add_person(session, Role.researcher, f"bob-{uuid.uuid4().hex[:8]}")
        project = projects.default(session)
        evaluation: Evaluation = evaluations.launch(session, project, user, EvaluationIn.model_validate(wanted))
        matches = session.scalars(select(Match).where(Match.evaluation_id == evaluation.id).order_by(Match.position))
        for number, match in enumerate(matches):
            match.response_a = match.response_b = ANSWER
            won = number < wins
            probability = float(won is (match.checkpoint_a == trained.adapter.id))
            own = {"project_id": project.id, "match_id": match.id, "source": Said.judge, "judge": "shorter"}
            session.add_all(Verdict(**own, swapped=swapped, probability=probability) for swapped in (False, True))
        return evaluation
