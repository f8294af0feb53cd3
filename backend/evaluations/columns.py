"""Matches and what was said of them, as columns: read in a few rows of the database, however many verdicts."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Integer, Select, SmallInteger, case, cast, func, literal, select
from sqlalchemy.orm import Session

from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.evaluations.said import PEOPLE, Said

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]
Ids = NDArray[np.bytes_]
ID = np.dtype("S16")  # the bytes of a uuid
NONE, UNFINISHED, ENDED, FAILED = range(4)
"""How an answer came out: there is none, it was cut, it ended, or there is an error in its place."""
BREAK = "\n"  # between hashes, which are hexadecimal, in the answer of the database
BAD, KNOWN, GUIDED = 2, 4, 8  # beside 1, swapped: what the flags of a verdict are in the answer of the database


class Matches(NamedTuple):
    """Matches (M,): `prompt` is a place in `prompts`, which are hashes in their order, `a` and `b` in `contestants`."""

    contestants: list[uuid.UUID]
    prompts: list[str]
    prompt: Places
    a: Places
    b: Places


class Voice(NamedTuple):
    """What a judge said, or people: verdicts (n,), oldest first.

    `match` is a place in the matches. `probability` is that of `a`, nan where nothing was said; then `reasons`
    has an entry, in the order of verdicts. `ordered` verdicts are those of a judge that was asked in both side orders,
    `imported` ones tell no order. `guided` is 1 or 0, and -1 where nobody wrote it down.
    """

    match: Places
    ordered: Flags
    imported: Flags
    swapped: Flags
    probability: Floats
    both_bad: Flags
    guided: NDArray[np.int8]
    reasons: list[str | None]

    @property
    def outcome(self) -> Floats:
        """1 when `a` won, 0 when it lost, 0.5 for a tie, nan for no answer."""
        return outcome(self.probability)


class Answers(NamedTuple):
    """The answers of both sides of matches (M, 2): characters (-1 without any), how each came out, and errors.

    `position` (M,) is that of the prompt; `errors` has one entry for each that failed, match by match, `a` first.
    """

    position: Places
    length: Places
    state: Places
    errors: list[str]


class Read(NamedTuple):
    """Matches by position and id, their ids (M,), their answers, and voices by judge, in the order they spoke.

    `measured`: some judge has measured something on answers.
    """

    ids: Ids
    matches: Matches
    answers: Answers
    voices: dict[str, Voice]
    measured: bool


def outcome(probability: Floats) -> Floats:
    """Who wins by a probability: 1, 0.5 or 0, and nan for none."""
    return np.asarray(0.5 + 0.5 * np.sign(probability - 0.5))


def read(session: Session, contestants: Sequence[uuid.UUID], *where: ColumnElement[bool]) -> Read:
    """Matches of evaluations between these contestants that fulfil the conditions, and what was said of them."""
    rows = session.execute(_matches().where(*where)).all()
    size = _ints(len(row.positions) // 4 for row in rows)
    ids, position = _joined(rows, "ids", ID), _joined(rows, "positions", ">i4").astype(np.intp)
    order = _in_order(ids)
    order = order[np.argsort(position[order], kind="stable")]
    hashes = [one for row in rows for one in row.prompts.split(BREAK)]
    prompts = sorted(set(hashes))
    number = {one: at for at, one in enumerate(prompts)}
    seat = {one: at for at, one in enumerate(contestants)}
    a, b = (np.repeat(_ints(seat[row[side]] for row in rows), size)[order] for side in (1, 2))
    matches = Matches(list(contestants), prompts, _ints(map(number.__getitem__, hashes))[order], a, b)
    at = _At([row[:3] for row in rows], np.repeat(np.arange(len(rows)), size)[order], position[order])
    voices, measured = _voices(session, at, where)
    return Read(ids[order], matches, _answers(rows, position, order), voices, measured)


def of_evaluation(session: Session, evaluation: Evaluation) -> Read:
    """All matches of an evaluation, and what was said of them."""
    contestants = [uuid.UUID(one) for one in evaluation.contestants]
    return read(session, contestants, Match.evaluation_id == evaluation.id)


def _matches() -> Select[Any]:
    """A row for the matches of an evaluation that two contestants met in, in one order of theirs."""
    columns: list[Any] = [
        *PAIR,
        packed(Match.id, "uuid_").label("ids"),
        packed(Match.position, "int4").label("positions"),
    ]
    columns.append(func.string_agg(Match.prompt_hash, literal(BREAK)).label("prompts"))
    for side, response in (("a", Match.response_a), ("b", Match.response_b)):
        failed = response.has_key("error")
        length = func.coalesce(func.char_length(response["content"].astext).cast(Integer), -1)
        ended = func.coalesce(UNFINISHED + cast(response["ended"].as_boolean(), Integer), NONE)
        columns.append(packed(length, "int4").label(f"length_{side}"))
        columns.append(packed(cast(case((failed, FAILED), else_=ended), SmallInteger), "int2").label(f"state_{side}"))
        columns.append(func.array_agg(response["error"].astext).filter(failed).label(f"errors_{side}"))
    return select(*columns).group_by(*PAIR)


def _answers(rows: Sequence[Any], position: Places, order: Places) -> Answers:
    length, how = (
        np.stack([_joined(rows, f"{name}_{side}", kind).astype(np.intp) for side in "ab"], axis=1)
        for name, kind in (("length", ">i4"), ("state", ">i2"))
    )
    state = np.where((length >= 0) & (how == NONE), ENDED, how)  # one that does not say how it ended was not cut
    state[(length < 0) & (how == UNFINISHED)] = NONE
    errors = np.full(state.shape, "", dtype=np.object_)
    for column, side in enumerate("ab"):
        told = [one for row in rows for one in getattr(row, f"errors_{side}") or ()]
        errors[state[:, column] == FAILED, column] = told
    return Answers(position[order], length[order], state[order], errors[order][state[order] == FAILED].tolist())


class _At:
    """Finds the place of a match by its evaluation, its contestants and its position, of which there is one."""

    def __init__(self, pairs: Sequence[Any], pair: Places, position: Places) -> None:
        self._pairs = {tuple(one): at for at, one in enumerate(pairs)}
        self._span = int(position.max(initial=-1)) + 1
        keys = pair * self._span + position
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def __call__(self, pair: tuple[Any, ...], position: Places) -> Places:
        """-1 for a match that is not known."""
        own = self._pairs.get(pair)
        if own is None:
            return np.full(len(position), -1)
        key = np.where(position < self._span, own * self._span + position, -1)
        place = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        return np.where(self._keys[place] == key, self._order[place], -1)


def _voices(session: Session, at: _At, where: Sequence[ColumnElement[bool]]) -> tuple[dict[str, Voice], bool]:
    """Voices by judge, in the order they spoke, and whether any of them measured something."""
    bad = func.coalesce(Verdict.value.has_key("both_bad"), False)
    flags = cast(Verdict.swapped, Integer) + BAD * cast(bad, Integer)
    flags += case((Verdict.guided.is_(True), KNOWN + GUIDED), (Verdict.guided.is_(False), KNOWN), else_=0)
    query: Select[Any] = select(
        *PAIR,
        Verdict.judge,
        Verdict.source,
        packed(Verdict.id, "uuid_").label("ids"),
        packed(Match.position, "int4").label("positions"),
        packed(func.coalesce(Verdict.probability, float("nan")), "float8").label("probability"),
        packed(cast(flags, SmallInteger), "int2").label("flags"),
        func.array_agg(Verdict.reason).filter(Verdict.probability.is_(None)).label("reasons"),
        func.count(Verdict.scores).label("measured"),
    )
    query = query.join_from(Match, Verdict).where(*where).group_by(*PAIR, Verdict.judge, Verdict.source)
    by_judge: dict[str, list[Any]] = {}
    measured = 0
    for row in session.execute(query):
        by_judge.setdefault(row.judge or PEOPLE, []).append(row)
        measured += row.measured
    found = [(name, *_voice(at, own)) for name, own in by_judge.items()]
    return {name: voice for name, _, voice in sorted(found, key=lambda one: one[1])}, measured > 0


def _voice(at: _At, rows: Sequence[Any]) -> tuple[bytes, Voice]:
    """What one judge said, with the id of its first verdict; rows differ in their source and in who met."""
    match = np.concatenate([at(tuple(row[:3]), np.frombuffer(row.positions, ">i4").astype(np.intp)) for row in rows])
    sources = np.repeat([str(row.source) for row in rows], [len(row.ids) // ID.itemsize for row in rows])
    probability = _joined(rows, "probability", ">f8").astype(np.float64)
    flags, ids = _joined(rows, "flags", ">i2").astype(np.intp), _joined(rows, "ids", ID)
    reasons = np.full(len(ids), None, dtype=np.object_)
    reasons[np.isnan(probability)] = [one for row in rows for one in row.reasons or ()]
    order = _in_order(ids)
    order = order[match[order] >= 0]
    guided = np.where(flags & KNOWN, (flags & GUIDED) // GUIDED, -1).astype(np.int8)
    voice = Voice(
        match=match[order],
        ordered=(sources == Source.judge)[order],
        imported=(sources == Source.imported)[order],
        swapped=((flags & 1) > 0)[order],
        probability=probability[order],
        both_bad=((flags & BAD) > 0)[order],
        guided=guided[order],
        reasons=reasons[order][np.isnan(probability[order])].tolist(),
    )
    return b"".join(ids[order[:1]].tolist()), voice


PAIR = (Match.evaluation_id, Match.checkpoint_a, Match.checkpoint_b)


def packed(value: Any, kind: str) -> ColumnElement[Any]:
    """All values of a group as the bytes of one, in network order: a hundred thousand are read as one."""
    return func.string_agg(getattr(func, f"{kind}send")(value), literal(b""))


def _joined(rows: Sequence[Any], column: str, kind: Any) -> NDArray[Any]:
    return np.frombuffer(b"".join(getattr(row, column) for row in rows), dtype=kind)


def _ints(values: Iterable[int]) -> Places:
    return np.array(list(values), dtype=np.intp)


def _in_order(ids: Ids) -> Places:
    """The places of ids as they are sorted."""
    first, second = ids.view(">u8").reshape(-1, 2).astype(np.uint64).T
    order = np.argsort(first, kind="stable")
    return order if np.diff(first[order]).all() else np.lexsort((second, first))


def uuid_of(known: bytes) -> uuid.UUID:
    """One of `Ids` as what it stands for; numpy leaves zeros at the end out."""
    return uuid.UUID(bytes=known.ljust(ID.itemsize, b"\0"))


def of(said: Sequence[Said], contestants: Sequence[uuid.UUID]) -> tuple[Matches, Voice]:
    """Verdicts of one voice, oldest first, as columns."""
    number: dict[uuid.UUID, int] = {}
    match = np.array([number.setdefault(one.match_id, len(number)) for one in said], dtype=np.intp)
    first = {one.match_id: one for one in reversed(said)}
    own = [first[one] for one in number]
    prompts = sorted({one.prompt_hash for one in own})
    place = {one: at for at, one in enumerate(prompts)}
    seat = {one: at for at, one in enumerate(contestants)}
    matches = Matches(
        list(contestants),
        prompts,
        np.array([place[one.prompt_hash] for one in own], dtype=np.intp),
        np.array([seat[one.a] for one in own], dtype=np.intp),
        np.array([seat[one.b] for one in own], dtype=np.intp),
    )
    return matches, Voice(
        match,
        np.array([one.source is Source.judge for one in said], dtype=np.bool_),
        np.array([one.source is Source.imported for one in said], dtype=np.bool_),
        np.array([one.swapped for one in said], dtype=np.bool_),
        np.array([one.probability for one in said], dtype=np.float64),
        np.array(["both_bad" in (one.value or {}) for one in said], dtype=np.bool_),
        np.array([-1 if one.guided is None else one.guided for one in said], dtype=np.int8),
        [one.reason for one in said if one.probability is None],
    )


SILENT = of((), ())[1]
"""Of whom nothing was heard."""
