"""Feedback as data: answers with thumbs in one dataset, edits as pairs in another, and nobody's name in either."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from alignment.formats import BadRow
from alignment.formats import Item as ReadItem
from alignment.formats.messages import prompt, refuse_equal, response
from backend.accounts.models import User
from backend.datasets import service as datasets
from backend.datasets.models import Dataset, Item, Kind
from backend.datasets.writer import Writer
from backend.errors import Conflict, Invalid
from backend.feedback.models import Feedback
from backend.feedback.schemas import FeedbackIn, FeedbackItemIn, FeedbackItemOut, FeedbackOut
from backend.labels.models import LabelSource
from backend.outside import service as outside
from backend.outside.service import Said
from backend.projects.models import Project
from backend.secrets import seal
from backend.settings import get_settings

EDITS = " (edits)"
HASH_BYTES = 16


class NotAConversation(Invalid):
    title = "Not a conversation with an answer"


class NotForFeedback(Conflict):
    title = "Not a dataset of feedback"


class FeedbackIdReused(Conflict):
    title = "Feedback id reused"


class Word(NamedTuple):
    """One piece of feedback, read and checked."""

    given: FeedbackItemIn
    answer: ReadItem
    pair: ReadItem | None
    user_hash: str | None
    digest: str


def take(session: Session, project: Project, user: User, body: FeedbackIn) -> FeedbackOut:
    """Store what is not there yet.  Raises NotAConversation, NotForFeedback, FeedbackIdReused, BadSecretKey."""
    key = seal.derived(b"users of feedback" + project.id.bytes, seal.keys(get_settings()))
    words = [_read(place, one, key, body.dataset) for place, one in enumerate(body.items)]
    _one_at_a_time(session, project, body.dataset)
    rows = [_row(session, project, user, place, word) for place, word in enumerate(words)]
    fresh = [(word, row) for word, (row, new) in zip(words, rows, strict=True) if new]
    thumbs = [(word, row) for word, row in fresh if word.given.thumb is not None]
    edits = [(word, row) for word, row in fresh if word.pair is not None]
    if thumbs:
        dataset = _dataset(session, project, user, body.dataset, Kind.unpaired)
        for (word, row), item in zip(
            thumbs, _items(session, dataset, [word.answer for word, _ in thumbs]), strict=True
        ):
            row.item_id = item.id
            _say(session, dataset, item, {"thumb": word.given.thumb}, word)
    if edits:
        dataset = _dataset(session, project, user, f"{body.dataset}{EDITS}", Kind.paired)
        pairs = [word.pair for word, _ in edits if word.pair is not None]
        for (word, row), pair, item in zip(edits, pairs, _items(session, dataset, pairs), strict=True):
            row.pair_id = item.id
            first = item.responses[0] == pair.responses[0]  # the same two may lie there the other way round
            _say(session, dataset, item, {"strength": 1 if first else -1}, word)
    session.flush()
    return _out(session, rows)


def _read(place: int, one: FeedbackItemIn, key: bytes, dataset: str) -> Word:
    field = f"items.{place}"
    try:
        asked = prompt(one.messages[:-1], f"{field}.messages")
        answer = response(one.messages[-1], f"{field}.messages.{len(one.messages) - 1}")
        pair = None
        if one.edited is not None:
            better = response(one.edited, f"{field}.edited")
            refuse_equal(better, answer, f"{field}.edited")
            pair = ReadItem(asked, [better, answer], (), _facts(one))
    except BadRow as bad:
        raise NotAConversation(
            bad.reason,
            field=bad.field,
            remedy="Send the turns as {role, content}, the answer last. Nothing was stored.",
        ) from None
    facts = _facts(one) | {"desirable": bool(one.thumb)}
    told = one.model_dump(mode="json", exclude={"user"})
    user = _hashed(one.user, key) if one.user else None
    digest = hashlib.sha256(orjson.dumps([dataset, user, told], option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Word(one, ReadItem(asked, [answer], (), facts), pair, user, digest)


def _facts(one: FeedbackItemIn) -> dict[str, Any]:
    return {"meta": {"model": one.model}} if one.model else {}


def _hashed(user: str, key: bytes) -> str:
    """A word that is the same for the same user of this project, and names nobody without the server's key."""
    return hashlib.blake2b(user.encode(), key=key, digest_size=HASH_BYTES).hexdigest()


def _one_at_a_time(session: Session, project: Project, dataset: str) -> None:
    """Whoever sends to the same dataset waits: it is made once, and its items have places of their own."""
    lock = int.from_bytes(hashlib.sha256(f"feedback {project.id} {dataset}".encode()).digest()[:8], signed=True)
    session.execute(select(func.pg_advisory_xact_lock(lock)))


def _row(session: Session, project: Project, user: User, place: int, word: Word) -> tuple[Feedback, bool]:
    """The row of a piece of feedback, and whether it is new.  Raises FeedbackIdReused."""
    made = session.scalars(
        insert(Feedback)
        .values(
            project_id=project.id,
            client_id=word.given.client_id,
            digest=word.digest,
            user_hash=word.user_hash,
            created_by=user.id,
        )
        .on_conflict_do_nothing(
            index_elements=[Feedback.project_id, Feedback.client_id], index_where=Feedback.client_id.is_not(None)
        )
        .returning(Feedback)
    ).first()
    if made is not None:
        return made, True
    own = Feedback.project_id == project.id, Feedback.client_id == word.given.client_id
    known = session.scalars(select(Feedback).where(*own)).one()
    if known.digest != word.digest:
        raise FeedbackIdReused(
            "This id was used for other feedback.",
            field=f"items.{place}.client_id",
            remedy="Send a fresh id. Nothing was stored.",
        )
    return known, False


def _dataset(session: Session, project: Project, user: User, name: str, kind: Kind) -> Dataset:
    """The dataset of that name, made when it is not there; none that was made of other data."""
    own = Dataset.project_id == project.id, Dataset.name == name
    found = session.scalars(select(Dataset).where(*own)).first()
    if found is None:
        return datasets.create(
            session, project, name, kind, description="What users said of answers.", created_by=user.id
        )
    from_feedback = select(Feedback.id).join(Item, or_(Feedback.item_id == Item.id, Feedback.pair_id == Item.id))
    ours = session.scalar(select(from_feedback.where(Item.dataset_id == found.id).exists()))
    filled = session.scalar(select(exists().where(Item.dataset_id == found.id)))
    if found.kind is not kind or (filled and not ours):
        raise NotForFeedback(
            f"“{name}” holds other data.", field="dataset", remedy="Name another dataset; feedback has its own."
        )
    return found


def _items(session: Session, dataset: Dataset, wanted: Sequence[ReadItem]) -> list[Item]:
    """The rows of these items, locked; those that were not there are added."""
    Writer(session, dataset).add(wanted)
    hashes = [item.content_hash for item in wanted]
    query = select(Item.content_hash, Item.id).where(Item.dataset_id == dataset.id, Item.content_hash.in_(hashes))
    ids = dict(session.execute(query).all())
    found = {item.id: item for item in outside.lock(session, list(ids.values()))}
    return [found[ids[hashed]] for hashed in hashes]


def _say(session: Session, dataset: Dataset, item: Item, value: dict[str, Any], word: Word) -> None:
    said = Said(item, value, word.user_hash, rationale=word.given.comment)
    outside.store(session, dataset, said, LabelSource.imported)


def _out(session: Session, rows: Sequence[tuple[Feedback, bool]]) -> FeedbackOut:
    ids = [id for row, _ in rows for id in (row.item_id, row.pair_id) if id is not None]
    where = dict(session.execute(select(Item.id, Item.dataset_id).where(Item.id.in_(ids))).all())
    return FeedbackOut(
        dataset_id=next((where[row.item_id] for row, _ in rows if row.item_id), None),
        pairs_id=next((where[row.pair_id] for row, _ in rows if row.pair_id), None),
        items=[
            FeedbackItemOut(id=row.id, client_id=row.client_id, item_id=row.item_id, pair_id=row.pair_id, known=not new)
            for row, new in rows
        ],
    )
