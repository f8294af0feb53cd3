"""Results of other tools as evaluations: contestants without weights, their answers, and what was said of them."""

import uuid
from collections import Counter

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from alignment.formats.canonical import hash_of
from backend.accounts.models import User
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.models import Source as Origin
from backend.datasets import uploads
from backend.datasets.schemas import Name
from backend.db import look_again
from backend.evaluations import alpaca, outputs, outside
from backend.evaluations.import_schemas import OutputsOut, ResultsIn, ResultsOut, ResultsRowOut
from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.evaluations.outside import Meeting, Results
from backend.evaluations.outside_rows import ResultsRefused
from backend.evaluations.prompts import of_messages
from backend.evaluations.schemas import MOST_AGAINST, CheckpointBrief
from backend.projects.models import Project
from backend.work import State, now

ARCHITECTURE = "outputs"
AT_ONCE = 1_000
SHOWN = 3
NO_TEXT = {"error": "not in the file", "detail": "The imported file holds no text of this answer."}


def preview(session: Session, project: Project, upload_id: uuid.UUID) -> ResultsOut:
    """What an uploaded file holds; nothing is stored.  Raises NotFound, UploadGone, ResultsRefused."""
    return _told(_read(session, project, upload_id))


def run(session: Session, project: Project, user: User, body: ResultsIn) -> Evaluation:
    """The evaluation that the file's results make, ended as if it had been run here.  Raises what `preview` does."""
    results = _read(session, project, body.upload_id)
    if not results.meetings:
        raise ResultsRefused(
            "No prompt was answered by two generators, so there is nothing to compare.",
            field="upload_id",
            remedy="Keep the outputs as a contestant, and let it meet checkpoints on these prompts.",
        )
    names = _contestants(results, body.baseline)
    facts = _facts(session, project, results, body)
    known = {name: _contestant(session, project, user, name) for name in names}
    judge = _judges(results).most_common(1)
    evaluation = Evaluation(
        project_id=project.id,
        name=body.name,
        contestants=[str(known[name].id) for name in names],
        prompts={"imported": results.kind, "count": len({hash_of(one.prompt) for one in results.meetings})},
        judge={"name": judge[0][0] if judge else "people"},
        sampling={},
        seed=0,
        published={str(known[name].id): told for name, told in alpaca.rates(results, names[0], facts).items()} or None,
        state=State.succeeded,
        started_at=now(),
        finished_at=now(),
        created_by=user.id,
    )
    session.add(evaluation)
    session.flush()
    meetings = list(enumerate(results.meetings))
    for start in range(0, len(meetings), AT_ONCE):
        _store(session, evaluation, known, meetings[start : start + AT_ONCE])
    evaluation.done = evaluation.total = len(results.meetings)
    _keep(session, project, known, results)
    look_again(session, len(results.meetings), Match, Verdict)
    return evaluation


def _facts(session: Session, project: Project, results: Results, body: ResultsIn) -> alpaca.Facts | None:
    if body.gamed_upload_id is None:
        return None
    if results.kind != outside.ANNOTATIONS:
        raise ResultsRefused(
            f"Difficulties of prompts are of use for {outside.ANNOTATIONS} alone.",
            field=alpaca.FIELD,
            remedy="Leave that file out.",
        )
    return alpaca.facts(uploads.file_of(uploads.find(session, project, body.gamed_upload_id)))


def keep(session: Session, project: Project, user: User, upload_id: uuid.UUID) -> OutputsOut:
    """The contestants whose outputs a file holds.  Raises what `preview` does, ResultsRefused without a text."""
    results = _read(session, project, upload_id)
    if not results.answers:
        raise ResultsRefused(
            "The file holds no text of an answer.", field="upload_id", remedy="Import it as an evaluation."
        )
    known = {one.name: _contestant(session, project, user, one.name) for one in results.answers}
    _keep(session, project, known, results)
    return OutputsOut(
        contestants=[CheckpointBrief.model_validate(one) for one in known.values()],
        prompts=len({hash_of(one.prompt) for one in results.answers}),
        answers=len(results.answers),
    )


def _keep(session: Session, project: Project, known: dict[str, Checkpoint], results: Results) -> None:
    told = (outputs.Kept(known[one.name].id, of_messages(one.prompt), _answer(one.text)) for one in results.answers)
    outputs.keep(session, project.id, told)


def _read(session: Session, project: Project, upload_id: uuid.UUID) -> Results:
    results = outside.read(uploads.file_of(uploads.find(session, project, upload_id)))
    if not results.meetings and not results.answers:
        number, sentence = next(iter(results.errors.items()))
        raise ResultsRefused(
            f"No row can be used; row {number}: {sentence}", field="upload_id", remedy="Choose another file."
        )
    if len(_contestants(results, None)) > MOST_AGAINST:
        raise ResultsRefused(
            f"The file holds more than {MOST_AGAINST} contestants.", field="upload_id", remedy="Take fewer models."
        )
    return results


def _judges(results: Results) -> Counter[str]:
    return Counter(called(said.judge) for one in results.meetings for said in one.said)


def called(judge: str) -> str:
    """What an imported judge is called here, so that it is never taken for one of ours."""
    return judge if judge == outside.VOTES else f"{judge} (imported)"


def _contestants(results: Results, baseline: str | None) -> list[str]:
    """The names, the baseline first: the one that was chosen, else the one that met most."""
    met = Counter(name for one in results.meetings for name in (one.a, one.b))
    met.update(dict.fromkeys((one.name for one in results.answers), 0))
    if baseline is not None and baseline not in met:
        raise ResultsRefused(f"“{baseline}” is not in the file.", field="baseline", remedy="Choose one of its models.")
    first = baseline or met.most_common(1)[0][0]
    return [first, *(name for name in met if name != first)]


def _contestant(session: Session, project: Project, user: User, name: Name) -> Checkpoint:
    """The project's contestant of that name without weights, made once."""
    path = f"outputs:{name}"
    found = session.scalar(select(Checkpoint).where(Checkpoint.project_id == project.id, Checkpoint.path == path))
    if found is None:
        found = Checkpoint(
            project_id=project.id,
            name=name,
            source=Origin.outputs,
            path=path,
            architecture=ARCHITECTURE,
            parameters=0,
            created_by=user.id,
        )
        session.add(found)
        session.flush()
    return found


def _store(
    session: Session, evaluation: Evaluation, known: dict[str, Checkpoint], meetings: list[tuple[int, Meeting]]
) -> None:
    rows = [
        {
            "project_id": evaluation.project_id,
            "evaluation_id": evaluation.id,
            "position": position,
            "prompt": one.prompt,
            "prompt_hash": hash_of(one.prompt),
            "checkpoint_a": known[one.a].id,
            "checkpoint_b": known[one.b].id,
            "response_a": _answer(one.answer_a),
            "response_b": _answer(one.answer_b),
            "sampling": {},
            "seed": 0,
            "state": State.succeeded,
        }
        for position, one in meetings
    ]
    made = session.scalars(insert(Match).returning(Match.id, sort_by_parameter_order=True), rows).all()
    verdicts = [
        {
            "project_id": evaluation.project_id,
            "match_id": match_id,
            "source": Source.imported if said.swapped is None else Source.judge,
            "judge": called(said.judge),
            "swapped": bool(said.swapped),
            "probability": said.probability,
            "reason": said.reason,
        }
        for match_id, (_, one) in zip(made, meetings, strict=True)
        for said in one.said
    ]
    if verdicts:
        session.execute(insert(Verdict), verdicts)


def _answer(text: str | None) -> dict[str, object]:
    return dict(NO_TEXT) if text is None else {"content": text, "tokens": len(text.split()), "ended": True}


def _prompts(results: Results) -> list[list[dict[str, object]]]:
    return [*(one.prompt for one in results.meetings), *(one.prompt for one in results.answers)]


def _told(results: Results) -> ResultsOut:
    shown = [
        ResultsRowOut(
            prompt=str(one.prompt[-1]["content"])[:300],
            a=one.a,
            b=one.b,
            probability=one.said[0].probability if one.said else None,
        )
        for one in results.meetings[:SHOWN]
    ]
    errors = [f"Row {number}: {sentence}" for number, sentence in list(results.errors.items())[: outside.MOST_ERRORS]]
    return ResultsOut(
        kind=results.kind,
        rows=results.rows,
        matches=len(results.meetings),
        prompts=len({hash_of(one) for one in _prompts(results)}),
        contestants=_contestants(results, None),
        judges=list(_judges(results)),
        answers=len({(one.name, hash_of(one.prompt)) for one in results.answers}),
        texts=bool(results.answers),
        shown=shown,
        left_out=len(results.errors),
        errors=errors,
    )
