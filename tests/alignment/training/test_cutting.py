"""Responses cut into steps: where steps begin, how like the best response's they are, and what is learned of that."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

from alignment.formats import Message, snapshot
from alignment.objectives import Batch, Cut, Needs, Role, State, StepValue, step
from alignment.objectives.tpo_code import TPOSteps
from alignment.training import train
from alignment.training.cutting import Cutter
from alignment.training.encode import Encoded
from alignment.training.errors import BadData, BadSpec, CheckpointRefused
from alignment.training.step import Learner
from tests.alignment.training.conftest import MakeSpec
from tests.alignment.training.test_others import FULL, LORA, gradient, made, stirred
from tests.alignment.training.test_step import encoded

TPO: dict[str, Any] = {"name": "tpo_code", "beta": 5.0}
ANSWER = "\n the cat\nsat on\n\n \na mat and\nran\n\n"


@pytest.mark.parametrize(
    ("cut", "expected"),
    [("lines", ["the cat", "sat on", "a mat and", "ran"]), ("paragraphs", ["the cat\nsat on", "a mat and\nran"])],
)
def test_steps_are_lines_or_paragraphs(base: Path, cut: Cut, expected: list[str]) -> None:
    """Empty lines are no steps, nor is the end of the response; tokens of the same step say together what it says."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    ids = tokenizer(ANSWER)["input_ids"] + [tokenizer.eos_token_id]

    places = Cutter(tokenizer, cut).places(ids)

    assert len(places) == len(ids)
    found = [[token for token, place in zip(ids, places, strict=True) if place == at] for at in range(places[-1] + 1)]
    assert [str(tokenizer.decode(each, skip_special_tokens=True)).strip() for each in found] == expected


class Words:
    """A tokenizer whose tokens are these texts."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def decode(self, ids: list[int], **_: bool) -> str:
        return "".join(self._texts[each] for each in ids)


@pytest.mark.parametrize(
    ("cut", "texts", "expected"),
    [
        ("lines", ["a.\n", "b", " \n", "", "c\n\n", ""], [0, 1, 1, 1, 2, 2]),
        ("lines", ["a", "\nb", "c\nd", "e"], [0, 1, 1, 2]),
        ("lines", ["a\r\n", "b\nc\nd", "e"], [0, 1, 3]),
        ("paragraphs", ["a.\n", "b", "\n", " \n", "c"], [0, 0, 0, 0, 1]),
        ("paragraphs", ["a\n", "\nb\n\nc", "\nd"], [0, 1, 2]),
        ("paragraphs", ["\n\n", "a"], [0, 0]),
    ],
)
def test_tokens_that_hold_ends_of_lines_belong_where_what_they_say_begins(
    cut: Cut, texts: list[str], expected: list[int]
) -> None:
    """Ends of lines within tokens, before what they say, after it, and on their own are all seen."""
    assert Cutter(Words(*texts), cut).places(range(len(texts))) == expected  # type: ignore[arg-type]


def ranked(learner: Learner, count: int) -> list[Encoded]:
    """Rankings of three responses with ends of lines among their tokens; the best is not the first."""
    end = next(token for token in range(300) if learner.scoring.cutters["lines"].places([5, token, 6]) == [0, 0, 1])
    found = []
    for one, more in zip(encoded(count), encoded(count, seed=9), strict=True):
        some = [[*answer[: len(answer) // 3], end, *answer[len(answer) // 3 :]] for answer in one.responses]
        answers = (*some, [*more.responses[0], end, 20, end, 21])
        example = replace(one.example, values={"rank": (2.0, 1.0, 3.0)})
        found.append(replace(one, example=example, responses=answers, roles=(Role.CANDIDATE,) * 3))
    return found


class Together(TPOSteps):
    """The same as one number of the whole batch, for this test only."""

    def loss(self, batch: Batch, state: State) -> Tensor:
        return super().loss(batch, state).mean()

    needs: ClassVar[Needs] = TPOSteps().needs._replace(coupled=True)


@pytest.mark.parametrize("tuning", [FULL, LORA], ids=["full", "lora"])
def test_packs_rows_and_coupling_change_no_gradient(make_spec: MakeSpec, tuning: dict[str, Any]) -> None:
    """One ranking at a time or all at once, rows shared or plain, alone or coupled: one gradient, which is another
    where all steps weigh the same."""
    learner = stirred(made(make_spec(objective=TPO, tuning=tuning)))
    some, objective = ranked(learner, 5), TPOSteps(beta=5.0)

    whole = gradient(learner, some, tokens=100_000, rows=True, objective=objective)

    assert whole.norm() > 1e-3
    for tokens, rows, each in ((16, True, objective), (150, False, objective), (150, True, Together(beta=5.0))):
        found = gradient(learner, some, tokens=tokens, rows=rows, objective=each)
        torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-5 * float(whole.abs().max()))
    blank: dict[Cut, Cutter] = {"lines": Cutter(Words(*["x"] * 400), "lines")}  # type: ignore[arg-type]
    uncut = replace(learner, scoring=replace(learner.scoring, cutters=blank))
    one_step = gradient(uncut, some, tokens=100_000, rows=True, objective=objective)
    assert (one_step - whole).norm() > 1e-2 * whole.norm()


def test_a_step_is_compared_with_the_best_responses_by_the_policys_states(make_spec: MakeSpec) -> None:
    """The cosine of mean last hidden states, as plain sequences give them, where the step's tokens are predicted; 1
    for the best response itself, 0 where it has no such step.  Neither value moves anything."""
    learner = stirred(made(make_spec(objective=TPO, tuning=LORA)))
    scoring, some = learner.scoring, ranked(learner, 3)

    tokens = scoring.scores(some, scoring.asked).tokens

    expected = []
    for example in some:
        means = []
        for answer in example.responses:
            ids = torch.tensor([example.prompt + answer])
            with torch.no_grad():
                states = scoring.scorer.model(ids, output_hidden_states=True).hidden_states[-1][0]
            places = torch.tensor(scoring.cutters["lines"].places(answer))
            states = states[len(example.prompt) - 1 : -1]
            means.append([states[places == place].mean(0) for place in range(int(places[-1]) + 1)])
        best = means[1]
        for answer, steps in zip(example.responses, means, strict=True):
            alike = [
                torch.cosine_similarity(mean, best[at], dim=0) if at < len(best) else torch.tensor(0.0)
                for at, mean in enumerate(steps)
            ]
            expected.append(torch.stack(alike)[scoring.cutters["lines"].places(answer)])
    found = tokens[step("lines", StepValue.LIKENESS)]
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-5, atol=1e-5)
    assert len({round(one, 4) for one in found.tolist()}) > 8
    assert (found == 0).any()
    assert not found.requires_grad


def test_what_has_no_steps_is_refused(make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ways to cut that there are none of, responses of one step each, and architectures that show no states."""
    with pytest.raises(BadSpec, match="lines or paragraphs") as unknown:
        train(make_spec(objective={**TPO, "steps": "words"}), tmp_path / "one")
    assert unknown.value.field == "objective.steps"
    prompt: list[Message] = [{"role": "user", "content": "cat"}]
    answers: list[Message] = [{"role": "assistant", "content": words} for words in ("the cat\nsat", "the dogs\nran")]
    rows = [snapshot.Example(str(place), "train", prompt, answers, {"ranks": [1.0, 2.0]}) for place in range(4)]
    data = snapshot.write(tmp_path, rows, kind="ranked", policy={}, dataset={})
    parts: dict[str, Any] = {"snapshots": [{"path": str(tmp_path / data.hash)}], "duration": {"steps": 1}}
    with pytest.raises(BadData, match="cut into paragraphs each of these has but one"):
        train(make_spec(objective={**TPO, "steps": "paragraphs"}, **parts), tmp_path / "two")
    assert train(make_spec(objective=TPO, **parts), tmp_path / "three").step == 1
    monkeypatch.setattr("alignment.training.scorer._bend", lambda _: None)
    with pytest.raises(CheckpointRefused, match="no projection"):
        made(make_spec(objective=TPO))
