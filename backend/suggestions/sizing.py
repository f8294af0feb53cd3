"""What letting a judge suggest labels would take: verdicts, those said already, and what endpoints would cost."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alignment.chat import UnsupportedContent
from alignment.judges.llm import LLM
from alignment.judges.scored import Scored
from backend.evaluations import known
from backend.evaluations.schemas import CostOut, ExpectedOut
from backend.evaluations.sizing import characters, priced, reply, unpriced
from backend.projects.models import Project
from backend.suggestions import progress, suggesters
from backend.suggestions.comparing import Shown, compared, shown
from backend.suggestions.schemas import SuggestionJobIn, SuggestionSizeOut
from backend.tasks import places
from backend.tasks.models import Task
from backend.tasks.schemas import Question

LOOKED_AT = 2_000


def measure(session: Session, project: Project, task: Task, body: SuggestionJobIn) -> SuggestionSizeOut:
    """Of the first items everything is read; more of them are taken to be like these, and new.

    Raises what `suggesters.find` does.
    """
    found = suggesters.find(session, project, Question.model_validate(task.question), body.judge)
    places.fill(session, task)
    query = progress.open_items(task)
    items = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    if isinstance(found.judge, Scored):
        return SuggestionSizeOut(items=items, verdicts=0, taken=0, cost=None)
    paid = known.paid(session, found.judge)
    rows = session.execute(query.limit(LOOKED_AT)).all()
    whole = [one for row in rows for one in shown(row.prompt, compared(row.responses), paid)]
    known_keys = known.verdicts(session, project.id, (one.key for one in whole if one.key))
    left = list({one.key or place: one for place, one in enumerate(whole) if one.key not in known_keys}.values())
    more = items / len(rows) if rows else 1.0
    verdicts = round(len(whole) * more)
    taken = len(whole) - len(left)
    cost = _cost(found, left or whole, verdicts - taken) if verdicts > taken else None
    return SuggestionSizeOut(items=items, verdicts=verdicts, taken=taken, cost=cost)


def _cost(found: suggesters.Suggester, left: list[Shown], requests: int) -> CostOut | None:
    model = found.models.get("checkpoint")
    if not isinstance(found.judge, LLM) or model is None or model.endpoint is None:
        return None
    mean = sum(_length(found.judge, one) for one in left) / len(left)
    each = characters(mean), reply(found.judge)
    tokens, money = priced(model, *(one.times(requests) for one in each))
    return CostOut(
        requests=requests,
        tokens=ExpectedOut(low=round(tokens.low), high=round(tokens.high)),
        money=ExpectedOut(**money._asdict()),
        unpriced=unpriced([model]),
    )


def _length(judge: LLM, one: Shown) -> int:
    try:
        return len(judge.question(one.match)[0]["content"])
    except UnsupportedContent:
        return 0
