"""Matches turned into data: items of a dataset, verdicts their labels. Done twice, it adds nothing twice."""

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from alignment.formats import Item as ReadItem
from alignment.formats.canonical import Message
from backend.accounts.models import User
from backend.checkpoints.models import Checkpoint
from backend.datasets import service as datasets
from backend.datasets.models import Dataset, Item, Kind
from backend.errors import Invalid
from backend.evaluations import contestants, service
from backend.evaluations.filters import within
from backend.evaluations.models import Battle, Match, MatchItem, Source, Verdict
from backend.evaluations.said import of, scores
from backend.evaluations.schemas import MatchExportIn, MatchExportOut, MatchFilter
from backend.evaluations.votes import label_id
from backend.labels import service as labels
from backend.labels.cards import turned
from backend.labels.models import Label
from backend.projects.models import Project

IDENTICAL = "both answers are the same"
UNANSWERED = "an answer is missing"
PARTED = "the two conversations had parted before this turn"
BLIND = "the names are not shown yet"


class NothingToExport(Invalid):
    title = "Nothing to add"


class Pair(NamedTuple):
    """A match with the verdicts that become labels."""

    match: Match
    verdicts: list[Verdict]


def export(session: Session, project: Project, user: User, body: MatchExportIn) -> MatchExportOut:
    """Add the matches that are meant to a dataset, new or old.

    Raises NotFound, NameTaken, WrongKind, NothingToExport.
    """
    found, left_out = _usable(_pairs(session, project, body), _blind(session, project))
    if not found:
        raise _nothing(body, left_out)
    dataset = _dataset(session, project, user, body, found)
    ids = _items(session, dataset, found)
    items = session.execute(select(Item).where(Item.id.in_(ids.values()))).scalars()
    by_id = {item.id: item for item in items}
    before = _count(session, ids.values())
    for pair in found:
        _label(session, by_id[ids[pair.match.id]], pair)
    added = _count(session, ids.values()) - before
    return MatchExportOut(
        dataset_id=dataset.id,
        dataset=dataset.name,
        items=len(set(ids.values())),
        labels=added,
        trainable=sum(item.split == "train" for item in by_id.values()),
        left_out=dict(left_out),
    )


def _nothing(body: MatchExportIn, left_out: Counter[str]) -> NothingToExport:
    if body.bare:
        return NothingToExport(
            "None of these matches has two different answers.",
            remedy="Choose other matches.",
            left_out=dict(left_out),
        )
    if body.arena:
        return NothingToExport(
            "No conversation has a vote that can become a label.",
            remedy="Vote on some first, and show their names: a vote can be taken back until then.",
            left_out=dict(left_out),
        )
    return NothingToExport(
        "No match has a verdict that can become a label.",
        remedy="Vote on some matches first, or include the automatic judge's verdicts.",
        left_out=dict(left_out),
    )


def _pairs(session: Session, project: Project, body: MatchExportIn) -> list[Pair]:
    """The matches in question with their verdicts, oldest first; an automatic judge's two orders become one."""
    where = _where(session, project, body)
    if body.bare:
        matches = session.scalars(select(Match).where(*where).order_by(Match.id))
        return [Pair(match, []) for match in matches]
    if not body.judges:
        where.append(Verdict.source == Source.person)
    query = select(Match, Verdict).join(Verdict).where(*where).order_by(Match.id, Verdict.id)
    # An undo waits for the export, so that it sees the labels it has to take back.
    rows = session.execute(query.with_for_update(read=True, key_share=True, of=Verdict))
    found: dict[uuid.UUID, Pair] = {}
    for match, verdict in rows:
        found.setdefault(match.id, Pair(match, [])).verdicts.append(verdict)
    return list(found.values())


def _where(session: Session, project: Project, body: MatchExportIn) -> list[ColumnElement[bool]]:
    if body.evaluation_id is None:
        return [Match.project_id == project.id, Match.evaluation_id.is_(None)]
    evaluation = service.find(session, project, body.evaluation_id)
    return within(evaluation.id, body.filter or MatchFilter())


def _blind(session: Session, project: Project) -> set[uuid.UUID]:
    """Battles whose names are not known; the items of their matches would tell them."""
    return set(session.scalars(select(Battle.id).where(Battle.project_id == project.id, Battle.revealed_at.is_(None))))


def _usable(found: Sequence[Pair], blind: set[uuid.UUID]) -> tuple[list[Pair], Counter[str]]:
    """The matches that can become pairs, and why the others cannot."""
    left_out: Counter[str] = Counter()
    usable = []
    for pair in found:
        responses = pair.match.response_a or {}, pair.match.response_b or {}
        if pair.match.battle_id in blind:
            left_out[BLIND] += 1
        elif any("content" not in response for response in responses):
            left_out[UNANSWERED] += 1
        elif any("before" in response for response in responses):
            left_out[PARTED] += 1
        elif responses[0]["content"] == responses[1]["content"]:
            left_out[IDENTICAL] += 1
        else:
            usable.append(pair)
    return usable, left_out


def _dataset(session: Session, project: Project, user: User, body: MatchExportIn, found: Sequence[Pair]) -> Dataset:
    if body.dataset_id is not None:
        return datasets.find(session, project, body.dataset_id)
    assert body.name is not None  # noqa: S101  (the schema wants one of the two)
    ids = {one for pair in found for one in (pair.match.checkpoint_a, pair.match.checkpoint_b)}
    toy = all(checkpoint.toy for checkpoint in contestants.named(session, ids).values())
    return datasets.create(
        session,
        project,
        body.name,
        Kind.paired,
        description="Matches of checkpoints." if body.bare else "Votes on matches.",
        toy=toy,
        created_by=user.id,
    )


def _items(session: Session, dataset: Dataset, found: Sequence[Pair]) -> dict[uuid.UUID, uuid.UUID]:
    """The item of each match; those missing are added."""
    known = select(MatchItem.match_id, MatchItem.item_id).where(MatchItem.dataset_id == dataset.id)
    ids = {row[0]: row[1] for row in session.execute(known)}
    fresh = [pair.match for pair in found if pair.match.id not in ids]
    if fresh:
        named = contestants.named(session, {one for m in fresh for one in (m.checkpoint_a, m.checkpoint_b)})
        read = {match.id: _read(match, named) for match in fresh}
        datasets.append(session, dataset, read.values())
        hashes = {match_id: one.content_hash for match_id, one in read.items()}
        stored = select(Item.content_hash, Item.id).where(
            Item.dataset_id == dataset.id, Item.content_hash.in_(set(hashes.values()))
        )
        by_hash = {row[0]: row[1] for row in session.execute(stored)}
        added = {match_id: by_hash[hashed] for match_id, hashed in hashes.items()}
        links = [{"match_id": one, "dataset_id": dataset.id, "item_id": item} for one, item in added.items()]
        session.execute(insert(MatchItem).on_conflict_do_nothing(), links)
        ids |= added
    return {pair.match.id: ids[pair.match.id] for pair in found}


def _read(match: Match, named: dict[uuid.UUID, Checkpoint]) -> ReadItem:
    prompt = [cast(Message, message) for message in match.prompt]
    responses = [_message(match.response_a), _message(match.response_b)]
    sides = (match.checkpoint_a, match.checkpoint_b)
    facts = {"meta": {"checkpoints": [{"id": str(one), "name": named[one].name} for one in sides]}}
    return ReadItem(prompt=prompt, responses=responses, facts=facts)


def _message(response: dict[str, Any] | None) -> Message:
    assert response is not None  # noqa: S101  (usable matches have both)
    return {"role": "assistant", "content": response["content"]}


def _label(session: Session, item: Item, pair: Pair) -> None:
    """The match's verdicts as labels of `item`, whose responses may stand in the other order."""
    match = pair.match
    assert match.response_a is not None  # noqa: S101
    turn = item.responses[0]["content"] != match.response_a["content"]
    for verdict in pair.verdicts:
        if verdict.source is Source.person and verdict.value is not None:
            labels.add_vote(
                session,
                item,
                turned(verdict.value, turn),
                annotator_id=verdict.annotator_id,
                verdict_id=label_id(verdict, item.dataset_id),
                swapped=verdict.swapped != turn,
                seconds=verdict.seconds,
                rationale=verdict.text,
            )
    judges = {verdict.judge for verdict in pair.verdicts if verdict.source is Source.judge}
    for judge in sorted(name for name in judges if name):
        _judged(session, item, match, judge, pair.verdicts, turn)


def _judged(session: Session, item: Item, match: Match, judge: str, verdicts: Sequence[Verdict], turn: bool) -> None:
    """One label of an automatic judge for both side orders; a match without an answer gets none."""
    own = [verdict for verdict in verdicts if verdict.judge == judge and verdict.source is Source.judge]
    score = scores(of(match, verdict) for verdict in own).get(match.id)
    if score is None:
        return
    strength = 0 if score == 0.5 else 1 if score > 0.5 else -1
    labels.add_vote(
        session,
        item,
        turned({"strength": strength}, turn),
        annotator_id=None,
        verdict_id=uuid.uuid5(match.id, f"{judge} {item.dataset_id}"),
        swapped=turn,
        rationale=judge,
    )


def _count(session: Session, item_ids: Any) -> int:
    return session.scalar(select(func.count()).where(Label.item_id.in_(set(item_ids)))) or 0
