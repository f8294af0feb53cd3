"""The report of an evaluation, computed when it is read: win rates by judge, contestants, agreement, doubts."""

import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Integer, func, select
from sqlalchemy.orm import Session

from alignment.statistics import agreement, mean
from backend.checkpoints.models import Checkpoint
from backend.evaluations import (
    benchmarks,
    contamination,
    contestants,
    findings,
    further,
    judging,
    service,
    sizing,
    statements,
)
from backend.evaluations.contamination_schemas import ContaminationOut
from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.evaluations.report_schemas import (
    AgreementOut,
    ContestantOut,
    MeanOut,
    PublishedOut,
    ReportOut,
    StepRateOut,
    TableOut,
)
from backend.evaluations.said import PEOPLE, Rule, Said, plain, query, scores, table
from backend.evaluations.schemas import CheckpointBrief

GUIDED = (
    "People judged more of some verdicts of the judge than of others, so their own rate is not that of all prompts."
    " Read what people would say of all, beside the judge's."
)


class Answer(NamedTuple):
    """What is counted of one contestant's answer to one prompt."""

    prompt_hash: str
    characters: int | None
    ended: bool | None
    error: str | None
    scores: dict[str, Any] | None


def read(session: Session, evaluation: Evaluation, rule: Rule) -> ReportOut:
    """Everything that the verdicts say so far."""
    (shown,) = service.out(session, [evaluation])
    ids = [uuid.UUID(contestant) for contestant in evaluation.contestants]
    said = [Said(*row) for row in session.execute(query().where(Match.evaluation_id == evaluation.id))]
    by_judge: dict[str, list[Said]] = defaultdict(list)
    by_judge[str(evaluation.judge["name"])] = []
    for verdict in said:
        by_judge[verdict.judge or PEOPLE].append(verdict)
    matches = session.scalar(select(func.count()).where(Match.evaluation_id == evaluation.id)) or 0
    known = contestants.named(session, ids)
    runs = contestants.runs(session, known.values())
    answers = _answers(session, evaluation)
    styles = further.styles(session, evaluation) if len(ids) >= findings.FEWEST_RANKED else {}
    seen = contamination.seen(session, evaluation)
    told = _tables(by_judge, ids, answers, styles, seen, rule)
    guided = _guided(by_judge.get(PEOPLE, []), told)
    met, names = statements.met(session, evaluation), {id: one.name for id, one in known.items()}
    shown_so = (one.model_copy(update=_shown(one, evaluation, known)) for one in (_by_lot(told) if guided else told))
    tables = [statements.told(one, names, met) for one in shown_so]
    return ReportOut(
        evaluation=shown,
        matches=matches,
        judged_by_people=len({verdict.match_id for verdict in by_judge.get(PEOPLE, [])}),
        tables=tables,
        contestants=[_contestant(known[one], runs, answers.get(one, {}), rule) for one in ids],
        agreement=_agreement(by_judge),
        measured=benchmarks.read(evaluation, rule),
        contamination=(trained := contamination.read(session, evaluation)),
        warnings=_warnings(evaluation, shown.judge_model, tables, list(known.values()), trained, guided=guided),
    )


def _tables(
    by_judge: dict[str, list[Said]],
    ids: list[uuid.UUID],
    answers: dict[uuid.UUID, dict[int, Answer]],
    styles: further.Styles,
    seen: contamination.Prompts,
    rule: Rule,
) -> list[TableOut]:
    """What each judge said, and what that amounts to."""
    lengths = {
        one: {answer.prompt_hash: answer.characters for answer in given.values() if answer.characters is not None}
        for one, given in answers.items()
    }
    people = findings.decided(by_judge.get(PEOPLE, []))
    tables = []
    for judge, verdicts in by_judge.items():
        matches = people if judge == PEOPLE else findings.decided(verdicts)
        others = None if judge == PEOPLE else people
        watched = findings.first_votes(verdicts) if judge == PEOPLE else matches
        told = {
            "ranking": findings.ranking(matches, ids, styles, rule),
            "against": findings.against(matches, others, ids, lengths, rule, watched),
            "clean": contamination.rates(matches, seen, ids, rule),
        }
        tables.append(table(judge, verdicts, ids, rule).model_copy(update=told))
    return tables


def _by_lot(tables: list[TableOut]) -> list[TableOut]:
    """Without a word on stopping in people's table, because they did not judge matches by lot."""
    return [
        one
        if one.source == Source.judge
        else one.model_copy(update={"against": [row.model_copy(update={"stopping": None}) for row in one.against]})
        for one in tables
    ]


def _guided(votes: Sequence[Said], tables: Sequence[TableOut]) -> bool:
    """Whether people were handed matches by what they tell; of votes from before that was written down, whether they
    judged more of some verdicts of a judge than of others."""
    if any(vote.guided for vote in votes):
        return True
    return any(vote.guided is None for vote in votes) and any(
        row.corrected is not None and row.corrected.uneven for one in tables for row in one.against
    )


def _shown(one: TableOut, evaluation: Evaluation, known: Mapping[uuid.UUID, Checkpoint]) -> dict[str, Any]:
    """The pairs that could meet, and the curve over steps."""
    base = uuid.UUID(evaluation.contestants[0])
    against = [pair for pair in one.pairs if pair.second == base]
    pairs = against if evaluation.pairing == "baseline" else one.pairs
    steps = [
        StepRateOut(
            run_id=checkpoint.run_id,
            step=checkpoint.step,
            checkpoint_id=checkpoint.id,
            **pair.win_rate.model_dump(include={"rate", "low", "high", "n"}),
        )
        for pair in against
        if (checkpoint := known[pair.first]).run_id is not None and checkpoint.step is not None
    ]
    published = (evaluation.published or {}) if one.judge == evaluation.judge["name"] else {}
    rows = [
        row.model_copy(update={"published": PublishedOut(**published[str(row.contestant)])})
        if str(row.contestant) in published
        else row
        for row in one.against
    ]
    return {"against": rows, "pairs": pairs, "by_step": sorted(steps, key=lambda step: (step.run_id, step.step))}


def _answers(session: Session, evaluation: Evaluation) -> dict[uuid.UUID, dict[int, Answer]]:
    """Answers by contestant and position, with what a judge measured on them."""
    measured: dict[uuid.UUID, list[dict[str, Any]]] = {}
    judged = select(Verdict.match_id, Verdict.scores).join(Match).where(Match.evaluation_id == evaluation.id)
    for match_id, found in session.execute(judged.where(Verdict.scores.is_not(None))):
        measured[match_id] = found
    answers: dict[uuid.UUID, dict[int, Answer]] = defaultdict(dict)
    for row in _rows(session, evaluation):
        for side, checkpoint_id in enumerate((row.checkpoint_a, row.checkpoint_b)):
            characters, ended, error = row[5 + 3 * side : 8 + 3 * side]
            if characters is None and error is None:
                continue
            known = answers[checkpoint_id].get(row.position)
            if known is None or known.scores is None:
                values = measured[row.id][side] if row.id in measured else None
                answers[checkpoint_id][row.position] = Answer(row.prompt_hash, characters, ended, error, values)
    return answers


def _rows(session: Session, evaluation: Evaluation) -> Iterator[Any]:
    """Matches with the length, the ending and the error of both answers, but not their text."""
    columns: list[Any] = [Match.id, Match.position, Match.prompt_hash, Match.checkpoint_a, Match.checkpoint_b]
    for response in (Match.response_a, Match.response_b):
        columns.append(func.char_length(response["content"].astext).cast(Integer))
        columns.append(response["ended"].as_boolean())
        columns.append(response["error"].astext)
    query = select(*columns).where(Match.evaluation_id == evaluation.id).order_by(Match.position, Match.id)
    yield from session.execute(query)


def _contestant(
    checkpoint: Checkpoint, runs: dict[uuid.UUID, str], answers: dict[int, Answer], rule: Rule
) -> ContestantOut:
    given = [answer for answer in answers.values() if answer.characters is not None]
    names = sorted({name for answer in given for name in answer.scores or {}})
    return ContestantOut(
        **CheckpointBrief.model_validate(checkpoint).model_dump(),
        run_id=checkpoint.run_id,
        run=runs.get(checkpoint.run_id) if checkpoint.run_id else None,
        step=checkpoint.step,
        responses=len(given),
        failed=dict(Counter(answer.error for answer in answers.values() if answer.error)),
        length=_mean([(answer.prompt_hash, answer.characters) for answer in given], rule),
        cut=sum(answer.ended is False for answer in given),
        scores={
            name: _mean([(a.prompt_hash, a.scores[name]) for a in given if a.scores and name in a.scores], rule)
            for name in names
        },
    )


def _mean(values: Sequence[tuple[str, float | None]], rule: Rule) -> MeanOut:
    there = [(prompt, float(value)) for prompt, value in values if value is not None]
    prompts, numbers = [prompt for prompt, _ in there], [number for _, number in there]
    found = mean(prompts, numbers, level=rule.level, seed=rule.seed)
    return MeanOut(**{name: plain(value) for name, value in found._asdict().items()})


def _agreement(by_judge: dict[str, list[Said]]) -> list[AgreementOut]:
    """How far people agree with each judge, on the matches that both decided."""
    people = scores(by_judge.get(PEOPLE, []))
    found = []
    for judge, said in by_judge.items():
        if judge == PEOPLE or not people:
            continue
        own = scores(said)
        both = [match_id for match_id in own if match_id in people]
        result = agreement([_winner(own[one]) for one in both], [_winner(people[one]) for one in both])
        found.append(AgreementOut(judge=judge, n=result.n, agreed=result.agreed, kappa=plain(result.kappa)))
    return found


def _winner(score: float) -> str:
    return "tie" if score == 0.5 else "a" if score > 0.5 else "b"


def _warnings(
    evaluation: Evaluation,
    model: CheckpointBrief | None,
    tables: Sequence[TableOut],
    found: Sequence[Checkpoint],
    trained: ContaminationOut,
    *,
    guided: bool,
) -> list[str]:
    source = evaluation.prompts
    warnings = []
    old = "dataset_id" in source and source["split"] in {None, "train"}  # it was not always written down
    looked = trained.trained == len(evaluation.contestants) and bool(trained.items)
    if source.get("trained_on", old) and not looked:
        warnings.append(sizing.TRAINED_ON)
    warnings += [one.words for one in trained.items if one.exact + one.overlapping]
    if 0 < source["count"] < 10:
        warnings.append(sizing.FEW)
    if any(checkpoint.toy for checkpoint in found):
        warnings.append(sizing.TOY)
    if {str(one) for one in judging.asked(evaluation.judge).values()} & set(evaluation.contestants):
        warnings.append(sizing.OWN_JUDGE)
    if guided:
        warnings.append(GUIDED)
    for one in tables:
        missing = sum(sum(pair.undecided.values()) for pair in one.pairs)
        if missing and one.source == Source.judge:
            of = f"{missing} of {one.verdicts} verdicts of {model.name if model else one.judge}"
            warnings.append(f"{of} came to nothing; the rates leave their matches out.")
    return warnings


def measured(session: Session, evaluation: Evaluation) -> dict[uuid.UUID, dict[str, dict[str, float]]]:
    """What a judge measured on each contestant's answers: by name and by the hash of the prompt, averaged."""
    found: dict[uuid.UUID, dict[str, dict[str, float]]] = {}
    for contestant, answers in _answers(session, evaluation).items():
        values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for answer in answers.values():
            for name, value in (answer.scores or {}).items():
                if value is not None:
                    values[name][answer.prompt_hash].append(float(value))
        found[contestant] = {
            name: {prompt: math.fsum(own) / len(own) for prompt, own in by_prompt.items()}
            for name, by_prompt in values.items()
        }
    return found
