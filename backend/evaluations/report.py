"""The report of an evaluation, computed when it is read: win rates by judge, contestants, agreement, doubts."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from alignment.statistics import agreement
from backend.checkpoints.models import Checkpoint
from backend.evaluations import (
    answers,
    benchmarks,
    columns,
    contamination,
    contestants,
    findings,
    further,
    judging,
    service,
    sizing,
    statements,
    tables,
)
from backend.evaluations.columns import Floats, Matches, Places, Voice
from backend.evaluations.contamination_schemas import ContaminationOut
from backend.evaluations.models import Evaluation, Source
from backend.evaluations.report_schemas import AgreementOut, PublishedOut, ReportOut, StepRateOut, TableOut
from backend.evaluations.said import PEOPLE, Rule, plain
from backend.evaluations.schemas import EvaluationOut

GUIDED = (
    "People judged more of some verdicts of the judge than of others, so their own rate is not that of all prompts."
    " Read what people would say of all, beside the judge's."
)
WINNERS = np.array(["b", "tie", "a"])


def read(session: Session, evaluation: Evaluation, rule: Rule) -> ReportOut:
    """Everything that the verdicts say so far."""
    (shown,) = service.out(session, [evaluation])
    ids = [uuid.UUID(contestant) for contestant in evaluation.contestants]
    found = columns.of_evaluation(session, evaluation)
    voices = {str(evaluation.judge["name"]): columns.SILENT} | found.voices
    known = contestants.named(session, ids)
    runs = contestants.runs(session, known.values())
    given = answers.given(session, evaluation, found)
    seen = contamination.seen(session, evaluation)
    styles = further.styles(session, evaluation, found.matches.prompts) if len(ids) >= findings.FEWEST_RANKED else None
    told = _tables(voices, found.matches, answers.lengths(given, len(found.matches.prompts)), styles, seen, rule)
    people = voices.get(PEOPLE, columns.SILENT)
    guided = _guided(people, told)
    met, names = statements.met(found, evaluation), {id: one.name for id, one in known.items()}
    shown_so = (one.model_copy(update=_shown(one, evaluation, known)) for one in (_by_lot(told) if guided else told))
    told_so = [statements.told(one, names, met, tables.by_place(voices[one.judge], found.matches)) for one in shown_so]
    return ReportOut(
        evaluation=shown,
        matches=len(found.ids),
        judged_by_people=len(np.unique(people.match)),
        tables=told_so,
        contestants=[answers.contestant(known[one], runs, own, rule) for one, own in zip(ids, given, strict=True)],
        agreement=_agreement(voices, len(found.ids)),
        measured=benchmarks.read(evaluation, rule),
        contamination=(trained := contamination.read(session, evaluation)),
        warnings=_warnings(evaluation, shown, told_so, list(known.values()), trained, guided=guided),
    )


def _tables(
    voices: Mapping[str, Voice],
    matches: Matches,
    lengths: Floats,
    styles: Floats | None,
    seen: contamination.Prompts,
    rule: Rule,
) -> list[TableOut]:
    """What each judge said, and what that amounts to."""
    ids = matches.contestants
    people = tables.decided(voices.get(PEOPLE, columns.SILENT), matches)
    found = []
    for judge, voice in voices.items():
        met = people if judge == PEOPLE else tables.decided(voice, matches)
        others = None if judge == PEOPLE else people
        watched = tables.first_votes(voice, matches) if judge == PEOPLE else met
        told = {
            "ranking": findings.ranking(met, ids, styles, rule),
            "against": findings.against(met, others, ids, lengths, rule, watched),
            "clean": contamination.rates(met, matches.prompts, seen, ids, rule),
        }
        found.append(tables.table(judge, voice, matches, met, rule).model_copy(update=told))
    return found


def _by_lot(told: Sequence[TableOut]) -> list[TableOut]:
    """Without a word on stopping in people's table, because they did not judge matches by lot."""
    return [
        one
        if one.source == Source.judge
        else one.model_copy(update={"against": [row.model_copy(update={"stopping": None}) for row in one.against]})
        for one in told
    ]


def _guided(votes: Voice, told: Sequence[TableOut]) -> bool:
    """Whether people were handed matches by what they tell; of votes from before that was written down, whether they
    judged more of some verdicts of a judge than of others."""
    if (votes.guided == 1).any():
        return True
    return bool((votes.guided < 0).any()) and any(
        row.corrected is not None and row.corrected.uneven for one in told for row in one.against
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


def _agreement(voices: Mapping[str, Voice], matches: int) -> list[AgreementOut]:
    """How far people agree with each judge, on the matches that both decided."""
    people = tables.scores(voices.get(PEOPLE, columns.SILENT), matches)
    found = []
    for judge, voice in voices.items():
        if judge == PEOPLE or np.isnan(people).all():
            continue
        own = tables.scores(voice, matches)
        both = ~np.isnan(own + people)
        result = agreement(WINNERS[_winner(own[both])].tolist(), WINNERS[_winner(people[both])].tolist())
        found.append(AgreementOut(judge=judge, n=result.n, agreed=result.agreed, kappa=plain(result.kappa)))
    return found


def _winner(score: Floats) -> Places:
    return (1 + np.sign(score - 0.5)).astype(np.intp)


def _warnings(
    evaluation: Evaluation,
    shown: EvaluationOut,
    told: Sequence[TableOut],
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
    for one in told:
        missing = sum(sum(pair.undecided.values()) for pair in one.pairs)
        if missing and one.source == Source.judge:
            of = f"{missing} of {one.verdicts} verdicts of {judging.in_words(one.judge, shown)}"
            warnings.append(f"{of} came to nothing; the rates leave their matches out.")
    return warnings
