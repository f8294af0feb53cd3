"""What the project was answered and judged earlier, found by content: nothing is paid for twice.

A key digests all that an answer or a verdict depends on. The rows of matches and verdicts are themselves the store, so
what a retention rule or a person's erasure removes is found no longer; verdicts on items stand beside their items.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select, union_all
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from alignment.judges import Judge, resolve
from alignment.judges.panel import Panel
from alignment.sampling import Sampling
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.models import Source as CheckpointSource
from backend.evaluations.models import Match, Verdict
from backend.suggestions.models import SuggestionVerdict

AT_ONCE = 5_000  # keys asked of the database in one query


class Decision(NamedTuple):
    """A model's verdict as it saw the match: `probability` is that of the answer shown first."""

    probability: float | None
    reason: str | None
    text: str | None
    scores: list[dict[str, Any]] | None


def who(checkpoint: Checkpoint) -> list[Any]:
    """What stays the same as long as the checkpoint answers the same: its weights and template, or server and model."""
    if checkpoint.endpoint is not None:
        return ["endpoint", checkpoint.endpoint["base_url"], checkpoint.endpoint["model"]]
    where = [checkpoint.hub_id, checkpoint.revision] if checkpoint.hub_id else [checkpoint.path]
    return ["weights", *where, checkpoint.template, _files(checkpoint)]


def _files(checkpoint: Checkpoint) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a folder's files that others may write anew; what we made or fetched stays as it is."""
    folder = Path(checkpoint.path)
    if checkpoint.source is not CheckpointSource.folder or not folder.is_dir():
        return []
    told = ((one.name, one.stat()) for one in folder.iterdir() if one.is_file())
    return sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in told)


def answer_key(checkpoint: Checkpoint, prompt_hash: str, sampling: Sampling) -> str:
    """The key of the checkpoint's answer to one prompt."""
    return _digest("answer", who(checkpoint), prompt_hash, sampling.model_dump(mode="json"))


def judge_of(session: Session, recorded: Mapping[str, Any]) -> str | None:
    """What all verdict keys of a recorded judge begin with; None for one that asks no model: its verdicts are free."""
    named = [one for text in _texts(recorded) if (one := _id(text))]
    if not named and resolve(dict(recorded)).decided_by != "model":
        return None
    found = {row.id: who(row) for row in session.scalars(select(Checkpoint).where(Checkpoint.id.in_(named)))}
    return _digest("judge", _replaced(recorded, found))


def paid(session: Session, judge: Judge) -> str | None:
    """The same of a judge; None for a panel too, which is made of what its members said."""
    return None if isinstance(judge, Panel) else judge_of(session, judge.model_dump(mode="json"))


def verdict_key(judge: str, prompt_hash: str, first: str, second: str) -> str:
    """The key of a verdict on two answers in the order shown."""
    return _digest("verdict", judge, prompt_hash, first, second)


def answers(session: Session, project_id: uuid.UUID, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The project's newest answer for each key that has one."""
    found: dict[str, dict[str, Any]] = {}
    for some in _parts(keys):
        sides = union_all(
            *(
                select(Match.id, key.label("key"), response.label("response")).where(
                    Match.project_id == project_id, key.in_(some), response.has_key("content")
                )
                for key, response in ((Match.key_a, Match.response_a), (Match.key_b, Match.response_b))
            )
        ).subquery()
        newest = select(sides.c.key, sides.c.response).ext(distinct_on(sides.c.key))
        found |= {row.key: row.response for row in session.execute(newest.order_by(sides.c.key, sides.c.id.desc()))}
    return found


def verdicts(session: Session, project_id: uuid.UUID, keys: Iterable[str]) -> dict[str, Decision]:
    """The project's newest verdict for each key that has one."""
    columns = (Verdict.key, Verdict.swapped, Verdict.probability, Verdict.reason, Verdict.text, Verdict.scores)
    item = SuggestionVerdict
    found: dict[str, Decision] = {}
    for some in _parts(keys):
        own = select(item.key, item.probability, item.reason, item.text)
        rows = session.execute(own.where(item.project_id == project_id, item.key.in_(some)))
        found |= {key: Decision(probability, reason, text, None) for key, probability, reason, text in rows}
        query = select(*columns).where(Verdict.project_id == project_id, Verdict.key.in_(some))
        newest = query.ext(distinct_on(Verdict.key)).order_by(Verdict.key, Verdict.id.desc())
        for key, swapped, probability, reason, text, scores in session.execute(newest):
            if swapped:
                probability, scores = _turned(probability, scores)
            found[key] = Decision(probability, reason, text, scores)
    return found


def row_of(decision: Decision, *, swapped: bool) -> dict[str, Any]:
    """The columns of a verdict, in match order, that says what `decision` says."""
    values = decision._asdict()
    if swapped:
        values["probability"], values["scores"] = _turned(decision.probability, decision.scores)
    return values


def _turned(
    probability: float | None, scores: list[dict[str, Any]] | None
) -> tuple[float | None, list[dict[str, Any]] | None]:
    return None if probability is None else 1 - probability, scores[::-1] if scores else scores


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _parts(keys: Iterable[str]) -> Iterable[Sequence[str]]:
    whole = list(dict.fromkeys(keys))
    return (whole[start : start + AT_ONCE] for start in range(0, len(whole), AT_ONCE))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _texts(one)]


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _replaced(value: Any, found: Mapping[uuid.UUID, Any]) -> Any:
    """The value with ids of checkpoints replaced by what those are."""
    if isinstance(value, str):
        known = _id(value)
        return found.get(known, value) if known else value
    if isinstance(value, Mapping):
        return {name: _replaced(one, found) for name, one in value.items()}
    return [_replaced(one, found) for one in value] if isinstance(value, list) else value
