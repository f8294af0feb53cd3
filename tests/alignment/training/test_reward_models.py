"""Reward models beyond one score for pairs: rankings, preferences in a circle, ensembles of heads."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from alignment.formats import snapshot
from alignment.formats.canonical import Message
from alignment.objectives import Needs, Role
from alignment.training import Spec, train
from alignment.training.encode import Encoded
from alignment.training.errors import BadData, TrainingError
from alignment.training.folder import READING
from alignment.training.kinds.gpm_rm import GPM
from alignment.training.kinds.scored import RewardLoss
from alignment.training.model import load_tokenizer
from alignment.training.prepare import build
from alignment.training.run import run_folder
from alignment.training.step import evaluate
from tests.alignment.training.conftest import Another, MakeSpec, examples, written
from tests.alignment.training.test_resume import curve, last, same, stopping_after
from tests.alignment.training.test_run import events_of, of_type
from tests.alignment.training.test_step import STATE, encoded, gradient, nothing, with_tokens

LORA = {"kind": "lora", "rank": 4, "alpha": 8}
LOSSES: dict[str, dict[str, Any]] = {
    "ensemble": {"name": "bradley_terry", "heads": 3},
    "circle": {"name": "gpm_rm", "dimensions": 4, "gate": True},
    "ranking": {"name": "ranklist_rm", "skip_weights": [1.0, 0.5]},
}
Scores = Callable[..., dict[str, Any]]


def rankings(count: int, validation: int) -> list[snapshot.Example]:
    """Three answers each, the last two alike in every fourth; thanks are better than refusals."""
    made = []
    for place, one in enumerate(examples(count, validation)):
        third: Message = {"role": "assistant", "content": f"never never {one.responses[1]['content']}"}
        facts = {"ranks": [1.0, 2.0, 2.0 if place % 4 == 0 else 3.0]}
        made.append(replace(one, responses=[*one.responses, third], facts=facts))
    return made


@pytest.fixture
def ranked(tmp_path: Path) -> Path:
    """A snapshot of rankings."""
    manifest = snapshot.write(tmp_path / "ranked", rankings(12, 4), kind="ranked", policy={}, dataset={})
    return tmp_path / "ranked" / manifest.hash


@pytest.fixture
def scores(make_spec: MakeSpec, ranked: Path) -> Scores:
    """The spec of a reward model by one of LOSSES, on data that feed it."""

    def make(name: str, **parts: Any) -> dict[str, Any]:
        data = {"snapshots": [{"path": str(ranked)}]} if name == "ranking" else {}
        return make_spec(kind="reward_model", objective=LOSSES[name], **data, **parts)

    return make


def listed(count: int) -> list[Encoded]:
    """Three candidates of very different lengths, in an order."""
    some = encoded(2 * count)
    roles, ranks = (Role.CANDIDATE,) * 3, {"rank": (2.0, 1.0, 3.0)}
    return [
        Encoded(
            replace(one.example, roles=roles, responses=one.example.responses[:1] * 3, values=ranks),
            one.prompt,
            (*one.responses, other.responses[0]),
            roles,
        )
        for one, other in zip(some[:count], some[count:], strict=True)
    ]


class Together(GPM):
    """The same as one number of the whole batch, for tests only."""

    needs: ClassVar[Needs] = GPM.needs._replace(coupled=True)

    def loss(self, batch: Any, state: Any) -> Tensor:
        return super().loss(batch, state).mean()


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_does_not_depend_on_how_examples_lie(name: str, scores: Scores) -> None:
    """Packs of one example or of all, shared rows or padded ones, one pass or two: one gradient, and one evaluation."""
    spec = Spec.model_validate(scores(name))
    learner = build(spec, load_tokenizer(spec.checkpoint), 10)[0]
    some = listed(5) if name == "ranking" else encoded(6)
    assert learner.scoring.structure.shared
    rows = replace(learner.scoring.structure, shared=False)
    plain = replace(learner, scoring=replace(learner.scoring, structure=rows))
    expected = gradient(with_tokens(learner, 4096), some, None)
    measured = evaluate(learner.scoring, some, None, STATE, nothing)

    assert expected.norm() > 0
    others = [with_tokens(learner, 16), with_tokens(plain, 4096), with_tokens(plain, 16)]
    if name == "circle":
        others.append(with_tokens(learner, 100, Together(**LOSSES[name])))
    for other in others:
        torch.testing.assert_close(gradient(other, some, None), expected, rtol=1e-4, atol=1e-5)
    assert evaluate(with_tokens(plain, 16).scoring, some, None, STATE, nothing) == pytest.approx(measured, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_it_goes_on_as_if_it_had_not_been_stopped(name: str, scores: Scores, tmp_path: Path) -> None:
    """A run that is stopped and continued has the curve and the weights of one that is not, to the last bit."""
    spec = scores(name, duration={"steps": 4}, tuning=LORA | {"dropout": 0.2})
    whole, parts = (written(tmp_path / folder, spec) for folder in ("whole", "parts"))
    run_folder(whole)
    stop, hear = stopping_after(2)
    run_folder(parts, hear, stop)
    run_folder(parts)

    assert curve(parts) == curve(whole)
    assert same(last(parts), last(whole))


def logits(folder: Path, rows: list[snapshot.Example]) -> list[Tensor]:
    """What transformers' own classifier says of each response, as the guide tells to read it: (K, labels)."""
    reading = json.loads((folder / READING).read_text())
    adapter = (folder / "adapter_config.json").exists()
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(reading["labels"])).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert adapter or model.config.id2label == dict(enumerate(reading["labels"]))

    def said(texts: list[str]) -> Tensor:
        batch = tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            return cast("Tensor", model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits)

    found = []
    for one in rows:
        chats = [cast("Any", [*one.prompt, answer]) for answer in one.responses]
        rendered = said([str(tokenizer.apply_chat_template(chat, tokenize=False)) for chat in chats])
        if count := reading["of_prompt"]:
            asked = tokenizer.apply_chat_template(cast("Any", one.prompt), tokenize=False, add_generation_prompt=True)
            rendered[:, -count:] = said([str(asked)])[:, -count:]
        found.append(rendered)
    return found


def told_of_ensembles(found: list[Tensor]) -> dict[str, float]:
    """What the scores of three heads, (pairs of) (2, 3), say."""
    margins = torch.stack([one[0] - one[1] for one in found])
    losses = -torch.nn.functional.logsigmoid(margins)
    return {
        "loss": losses.mean().item(),
        "margin": margins.mean().item(),
        "disagreement": margins.std(1, correction=0).mean().item(),
        "accuracy": (margins.mean(1) > 0).float().mean().item(),
        **{f"head_{place + 1}/loss": losses[:, place].mean().item() for place in range(3)},
    }


def told_of_circles(found: list[Tensor]) -> dict[str, float]:
    """What embeddings of four dimensions and two gates say of pairs."""
    odds = []
    for one in found:
        (a, b, c, d), (e, f, g, h) = one[:, :4] / one[:, :4].norm(dim=1, keepdim=True)
        first, second = 2 * one[0, 4:].softmax(0)
        odds.append((first * (a * f - b * e) + second * (c * h - d * g)) / 0.1)
    every = torch.stack(odds)
    losses = -torch.nn.functional.logsigmoid(every)
    return {
        "loss": losses.mean().item(),
        "margin": every.mean().item(),
        "accuracy": (every > 0).float().mean().item(),
    }


def told_of_rankings(found: list[Tensor]) -> dict[str, float]:
    """What scores say of lists of three, the last two of the first list alike."""
    every = torch.stack([one[:, 0] for one in found])
    right, worst = [], []
    for tied, (first, second, third) in zip([True, False, False, False], every, strict=True):
        right += [first > second, first > third] + ([] if tied else [second > third])
        worst.append((second + third) / 2 if tied else third)
    return {
        "mean_reward": every.mean().item(),
        "min_reward": every.min().item(),
        "max_reward": every.max().item(),
        "margin": (every[:, 0] - torch.stack(worst)).mean().item(),
        "accuracy": torch.stack(right).float().mean().item(),
    }


TOLD = {"ensemble": told_of_ensembles, "circle": told_of_circles, "ranking": told_of_rankings}


@pytest.mark.parametrize("tuning", [{"kind": "full"}, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("name", LOSSES)
def test_transformers_gives_what_was_trained(name: str, tuning: dict[str, Any], scores: Scores, tmp_path: Path) -> None:
    """The checkpoint loads as a sequence classifier, and read as its reward_model.json says it gives what was told; it
    is no start for another run."""
    optimizer = {"learning_rate": 1e-2}
    summary = train(scores(name, tuning=tuning, duration={"steps": 8}, optimizer=optimizer), tmp_path / "run")
    assert summary.checkpoint is not None

    told = TOLD[name](logits(summary.checkpoint, (rankings if name == "ranking" else examples)(12, 4)[:4]))

    for metric, value in told.items():
        assert summary.metrics[f"eval/{metric}"] == pytest.approx(value, abs=1e-4), metric
    assert told.get("disagreement", 1) > 0.01
    assert ("eval/mean_reward" in summary.metrics) == (name != "circle")
    assert not of_type(events_of(tmp_path / "run"), "sample")
    with pytest.raises(TrainingError, match="is a reward model"):
        train(scores("ensemble", checkpoint=str(summary.checkpoint)), tmp_path / "again")


def test_half_precision_shares_rows_too(scores: Scores, tmp_path: Path) -> None:
    """Several numbers for each response are compared within what rounding explains, as one is."""
    summary = train(scores("circle", precision="bf16", duration={"steps": 1}), tmp_path / "run")
    told = [event["path"] for event in of_type(events_of(tmp_path / "run"), "log") if "largest_difference" in event]
    assert (told, summary.step) == (["shared"], 1)


BEATS = {"rock": "scissors", "scissors": "paper", "paper": "rock"}


@pytest.fixture
def circle(tmp_path: Path) -> Path:
    """Rock, paper and scissors: each is preferred to one and loses to the other."""
    rows = []
    for number in range(4):
        for better, worse in BEATS.items():
            said: list[Message] = [{"role": "assistant", "content": word} for word in (better, worse)]
            split: Literal["train", "validation"] = "train" if number else "validation"
            rows.append(snapshot.Example(f"{number} {better}", split, [{"role": "user", "content": "the cat"}], said))
    manifest = snapshot.write(tmp_path / "circle", rows, kind="paired", policy={}, dataset={})
    return tmp_path / "circle" / manifest.hash


@pytest.mark.parametrize("fields", [{}, {"dimensions": 2, "normalize": False}], ids=["usual", "two dimensions"])
def test_a_circle_of_preferences_is_learned_by_embeddings_alone(
    fields: dict[str, Any], circle: Path, another: Another, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """Of a circle of three, scores rank two right at most and their loss is never below log 2, however long they are
    trained; embeddings learn all three."""
    parts = {
        "kind": "reward_model",
        "checkpoint": str(another("apart", 0.05)),  # the plainest model's hidden states hardly tell texts apart
        "snapshots": [{"path": str(circle)}],
        "optimizer": {"learning_rate": 2e-3, "warmup_ratio": 0.1},
        "batch": {"examples_per_step": 9},
        "duration": {"steps": 30},
    }
    scored = train(make_spec(**parts, objective={"name": "bradley_terry"}), tmp_path / "scores").metrics
    general = train(make_spec(**parts, objective={"name": "gpm_rm", **fields}), tmp_path / "general").metrics

    for where in ("", "eval/"):
        assert (scored[f"{where}accuracy"] or 0) <= 2 / 3 + 1e-6
        assert (scored[f"{where}loss"] or 0) >= math.log(2) - 1e-6
        assert general[f"{where}accuracy"] == 1.0
        assert (general[f"{where}loss"] or 1) < 0.05


def test_rankings_are_learned(scores: Scores, tmp_path: Path) -> None:
    """The order of held-out lists is told by their scores, and the loss falls."""
    spec = scores("ranking", duration={"steps": 15}, optimizer={"learning_rate": 1e-2, "warmup_ratio": 0})
    summary = train(spec, tmp_path / "run")

    assert (summary.metrics["eval/loss"] or 1) < 0.7 * math.log(2)
    assert (summary.metrics["eval/accuracy"] or 0) > 0.8


def test_data_that_a_loss_cannot_use(scores: Scores, make_spec: MakeSpec, tmp_path: Path) -> None:
    """Rankings are no pairs, and pairs no rankings: each is refused with what would do."""
    lists = scores("ranking")["snapshots"]
    for number, (changes, words) in enumerate(
        [
            ({"objective": LOSSES["ensemble"], "snapshots": lists}, "Choose pairs"),
            ({"objective": LOSSES["circle"], "snapshots": lists}, "Choose pairs"),
            ({"objective": LOSSES["ranking"]}, "Choose rankings"),
        ]
    ):
        with pytest.raises(BadData) as refused:
            train(make_spec(kind="reward_model", **changes), tmp_path / str(number))
        assert words in (refused.value.remedy or "")


def test_every_loss_says_how_its_head_is_read(scores: Scores) -> None:
    """Labels are named once each, those of the prompt last, and the objective is the one that was asked for."""
    for name, fields in LOSSES.items():
        loss = Spec.model_validate(scores(name)).objective
        assert isinstance(loss, RewardLoss)
        reading = loss.reading()
        assert len(set(reading["labels"])) == len(reading["labels"]) == {"ensemble": 3, "circle": 6, "ranking": 1}[name]
        assert reading["of_prompt"] == (2 if name == "circle" else 0)
        assert fields.items() <= reading["objective"].items()
