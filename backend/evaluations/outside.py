"""Results of other tools, read: AlpacaEval outputs and annotations, FastChat battles, Arena-Hard judgments."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from backend.evaluations.outside_rows import MOST_ROWS, Row, read_rows, refused

MOST_ID = 200
MOST_TEXT = 200_000
MOST_NAME = 120
MOST_ERRORS = 50
VOTES = "imported votes"
ROLES: Final = ("system", "user", "assistant")
TIES: Final = {"tie", "tie (bothbad)", "both_bad", "bothbad"}
SCORES: Final = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B=A": 0.5, "B>A": 0.0, "B>>A": 0.0}
ANNOTATIONS: Final = "AlpacaEval annotations"
OUTPUTS: Final = "AlpacaEval outputs"
READ: Final = frozenset(
    ("instruction", "output", "generator", "output_1", "output_2", "generator_1", "generator_2", "preference", "index",
     "annotator", "model_a", "model_b", "winner", "conversation_a", "conversation_b", "question_id", "model",
     "baseline", "judge", "games")
)  # fmt: skip
"""What is kept of a row while a file is read."""


class Said(NamedTuple):
    """One verdict: the probability of `a` winning, or None with a reason. `swapped` is None where no order is told."""

    judge: str
    probability: float | None
    reason: str | None = None
    swapped: bool | None = None


class Meeting(NamedTuple):
    """Two named contestants on one prompt; an answer is None where the file holds no text.

    `place` is the prompt's in its benchmark, where the file tells it.  `prompt_b` is what `b` answered where their
    conversations had parted.
    """

    prompt: list[dict[str, Any]]
    a: str
    b: str
    answer_a: str | None
    answer_b: str | None
    said: tuple[Said, ...]
    place: int | None = None
    prompt_b: list[dict[str, Any]] | None = None


class Answered(NamedTuple):
    """What one named contestant answers to one prompt."""

    prompt: list[dict[str, Any]]
    name: str
    text: str


class RowRefused(ValueError):
    """A row says nothing that can be used; its words are for people."""


@dataclass
class Results:
    """What a file holds: its kind, the meetings, and why rows were left out (`{row number: sentence}`).

    `answers` are all texts of contestants, also where nobody met them.
    """

    kind: str
    meetings: list[Meeting] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    rows: int = 0


def read(path: Path) -> Results:
    """What a file of another tool holds.  Raises ResultsRefused."""
    rows = read_rows(path, READ)
    if all(known in rows[0] for known in ("instruction", "output", "generator")) and "output_1" not in rows[0]:
        return _outputs(rows)
    for kind, fields, reader in KINDS:
        if all(name in rows[0] for name in fields):
            return _each(kind, rows, reader)
    raise refused(
        "These are neither AlpacaEval outputs or annotations, FastChat battles, nor Arena-Hard judgments.",
        "An annotation has instruction, output_1, output_2 and preference; a battle model_a, model_b and winner;"
        " a judgment question_id, model and games.",
    )


def _each(kind: str, rows: list[Row], reader: Callable[[Row], Meeting]) -> Results:
    found = Results(kind, rows=len(rows))
    for number, row in enumerate(rows, start=1):
        try:
            found.meetings.append(reader(row))
        except RowRefused as error:
            found.errors[number] = str(error)
    for one in found.meetings:
        sides = ((one.prompt, one.a, one.answer_a), (one.prompt_b or one.prompt, one.b, one.answer_b))
        found.answers += [Answered(prompt, name, text) for prompt, name, text in sides if text is not None]
    return found


def _annotation(row: Row) -> Meeting:
    """AlpacaEval: `preference` is from 1 (output_1 wins) to 2; 0 and 1.5 are ties, null is none."""
    preference = row.get("preference")
    judge = _name(row.get("annotator") or "AlpacaEval", "annotator")
    a, b = _name(row.get("generator_1") or "output_1", "generator_1"), _name(row.get("generator_2"), "generator_2")
    _differ(a, b)
    if preference is None:
        said = Said(judge, None, "no preference in the file")
    elif isinstance(preference, bool) or not isinstance(preference, int | float):
        raise RowRefused("preference is no number.")
    elif preference == 0:
        said = Said(judge, 0.5)
    elif 1 <= preference <= 2:
        said = Said(judge, 2 - float(preference))
    else:
        raise RowRefused("preference is not from 1 to 2.")
    answers = _text(row.get("output_1"), "output_1"), _text(row.get("output_2"), "output_2")
    index = row.get("index")
    place = index if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < MOST_ROWS else None
    return Meeting(_question(_text(row.get("instruction"), "instruction")), a, b, *answers, (said,), place)


def _battle(row: Row) -> Meeting:
    a, b = _name(row.get("model_a"), "model_a"), _name(row.get("model_b"), "model_b")
    _differ(a, b)
    winner = row.get("winner")
    if not isinstance(winner, str) or winner not in {"model_a", "model_b"} | TIES:
        raise RowRefused("winner is none of model_a, model_b, tie and tie (bothbad).")
    probability = 0.5 if winner in TIES else float(winner == "model_a")
    verdict = (Said(VOTES, probability),)
    one, other = (_talk(row.get(f"conversation_{side}"), side) for side in "ab")
    if one is None or other is None:
        return Meeting(_untold(row), a, b, None, None, verdict)
    return Meeting(one[0], a, b, one[1], other[1], verdict, prompt_b=other[0])


def _judgment(row: Row) -> Meeting:
    """Arena-Hard: in the first game A is the baseline, in the second the model; how clear a win is does not count."""
    baseline, model = _name(row.get("baseline") or "baseline", "baseline"), _name(row.get("model"), "model")
    _differ(baseline, model)
    judge = _name(row.get("judge") or "Arena-Hard", "judge")
    games = row.get("games")
    if not isinstance(games, list) or len(games) != 2 or not all(isinstance(game, dict) for game in games):
        raise RowRefused("games are not two.")
    said = []
    for swapped, game in zip((False, True), games, strict=True):
        score = SCORES.get(str(game.get("score")))
        if score is None:
            said.append(Said(judge, None, "no verdict in the file", swapped))
        else:
            said.append(Said(judge, 1 - score if swapped else score, None, swapped))
    return Meeting(_untold(row), baseline, model, None, None, tuple(said))


KINDS: Final[tuple[tuple[str, tuple[str, ...], Callable[[Row], Meeting]], ...]] = (
    (ANNOTATIONS, ("instruction", "output_1", "output_2", "preference"), _annotation),
    ("FastChat battles", ("model_a", "model_b", "winner"), _battle),
    ("Arena-Hard judgments", ("question_id", "model", "games"), _judgment),
)


def _outputs(rows: list[Row]) -> Results:
    """Every two generators meet on the prompts that both answered; nobody has judged yet."""
    found = Results(OUTPUTS, rows=len(rows))
    by_prompt: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows, start=1):
        try:
            name, prompt = _name(row.get("generator"), "generator"), _text(row.get("instruction"), "instruction")
            by_prompt.setdefault(prompt, {})[name] = _text(row.get("output"), "output")
        except RowRefused as error:
            found.errors[number] = str(error)
    if sum(len(answers) * (len(answers) - 1) // 2 for answers in by_prompt.values()) > MOST_ROWS:
        raise refused(f"The generators make more than {MOST_ROWS:,} matches.", "Take fewer generators.")
    for prompt, answers in by_prompt.items():
        names = list(answers)
        found.answers += [Answered(_question(prompt), name, text) for name, text in answers.items()]
        for place, a in enumerate(names):
            for b in names[place + 1 :]:
                found.meetings.append(Meeting(_question(prompt), a, b, answers[a], answers[b], ()))
    return found


def _talk(messages: Any, side: str) -> tuple[list[dict[str, Any]], str] | None:
    """A conversation up to its last answer, and that answer; None where the file holds none."""
    if messages is None:
        return None
    if not isinstance(messages, list) or len(messages) < 2 or not all(isinstance(one, dict) for one in messages):
        raise RowRefused(f"conversation_{side} is no conversation.")
    turns = [
        {"role": one.get("role"), "content": _text(one.get("content"), f"conversation_{side}")} for one in messages
    ]
    if turns[-1]["role"] != "assistant" or any(turn["role"] not in ROLES for turn in turns):
        raise RowRefused(f"conversation_{side} does not end with the assistant.")
    return turns[:-1], str(turns[-1]["content"])


def _untold(row: Row) -> list[dict[str, Any]]:
    """What stands for a prompt whose text the file does not hold."""
    known = row.get("question_id")
    if not isinstance(known, str | int) or isinstance(known, bool) or not str(known).strip():
        raise RowRefused("Neither a conversation nor a question_id tells which prompt it was.")
    if len(str(known)) > MOST_ID:
        raise RowRefused(f"question_id is longer than {MOST_ID} characters.")
    return _question(f"Question {_storable(str(known))} (the imported file holds no text)")


def _question(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise RowRefused(f"{where} is no text.")
    if len(value) > MOST_TEXT:
        raise RowRefused(f"{where} is longer than {MOST_TEXT:,} characters.")
    return _storable(value)


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RowRefused(f"{where} is no name.")
    if len(value) > MOST_NAME:
        raise RowRefused(f"{where} is longer than {MOST_NAME} characters.")
    return _storable(value.strip())


def _differ(a: str, b: str) -> None:
    if a == b:
        raise RowRefused("A contestant meets itself.")


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()
