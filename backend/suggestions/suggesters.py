"""Who may suggest labels for a task: a judge of the catalogue, checked and spelled out before anything is queued."""

from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from alignment.judges.implicit_reward import ImplicitReward
from alignment.judges.judge import Judge
from alignment.judges.panel import Panel
from alignment.judges.scored import Scored
from alignment.training import folder as folders
from backend.checkpoints import places
from backend.checkpoints.models import Checkpoint, CheckpointKind
from backend.errors import Invalid
from backend.evaluations import asked, judging
from backend.projects.models import Project
from backend.runs.alike import refuse_unlike_reference
from backend.tasks.schemas import Question

MOST_WORDS = 200
REFERENCE = "reference"


class CannotSuggest(Invalid):
    title = "This cannot suggest labels here"


class Suggester(NamedTuple):
    """A judge with every setting said, what annotators read of it, and the checkpoints that it asks."""

    judge: Judge
    words: str
    models: dict[str, Checkpoint]


def find(session: Session, project: Project, question: Question, spec: dict[str, Any]) -> Suggester:
    """The judge, ready to answer the question; its checkpoints are kept until the transaction ends.

    Raises CannotSuggest, BadJudge, UnlikeCheckpoints, WeightsGone, WritesNothing and TemplateMissing, at their fields.
    """
    judge = asked.settled(session, project, judging.resolve(spec))
    if not judge.automatic or isinstance(judge, Panel):
        raise CannotSuggest(
            f"“{judge.title}” does not suggest: it takes together what others have said.",
            field="judge.name",
            remedy="Choose a judge that decides by itself.",
        )
    if question.kind == "thumb" and not isinstance(judge, Scored):
        raise CannotSuggest(
            f"“{judge.title}” compares responses, and this task shows one at a time.",
            field="judge.name",
            remedy="Choose a reward model or an implicit reward.",
        )
    models = asked.models(session, project, judge)
    if isinstance(judge, ImplicitReward):
        refuse_unlike_reference(session, models["checkpoint"], models[REFERENCE], f"judge.{REFERENCE}")
    if question.kind != "pair":
        _refuse_comparing(session, models)
    names = [one.name for path, one in models.items() if path != REFERENCE]
    return Suggester(judge, ": ".join(filter(None, (judge.title, ", ".join(names))))[:MOST_WORDS], models)


def _refuse_comparing(session: Session, models: dict[str, Checkpoint]) -> None:
    for path, one in models.items():
        if one.kind is CheckpointKind.reward_model and not folders.reading_of(places.outline(session, one)).comparable:
            raise CannotSuggest(
                f"“{one.name}” compares two responses and scores none, and this task is not about two.",
                field=f"judge.{path}",
                remedy="Choose a reward model that gives scores.",
            )
