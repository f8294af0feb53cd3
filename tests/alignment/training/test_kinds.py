"""Runs that are no preference runs: demonstrations, and scores of responses, by the same engine."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from alignment.formats import snapshot
from alignment.generation import Generator
from alignment.objectives import Batch, Role, State
from alignment.training import Spec, train
from alignment.training.data import Example
from alignment.training.encode import Encoded
from alignment.training.errors import BadData, CheckpointRefused, TrainingError
from alignment.training.estimate import estimate
from alignment.training.head_measures import HeadMeasures
from alignment.training.kinds.bradley_terry import BradleyTerry
from alignment.training.kinds.bradley_terry_margin import BradleyTerryMargin
from alignment.training.layout import last_token
from alignment.training.model import load_tokenizer
from alignment.training.prepare import build
from alignment.training.run import run_folder
from alignment.training.step import Learner
from tests.alignment.training.conftest import MakeSpec, examples, written
from tests.alignment.training.test_resume import curve, last, same, stopping_after
from tests.alignment.training.test_run import events_of, of_type
from tests.alignment.training.test_step import encoded, gradient, nothing, with_tokens

LORA = {"kind": "lora", "rank": 4, "alpha": 8}
USED = {"throughput/", "memory/", "num_tokens", "learning_rate", "grad_norm"}


@pytest.fixture
def demonstrations(tmp_path: Path) -> Path:
    """A snapshot of the chosen answers alone."""
    rows = [replace(one, responses=one.responses[:1]) for one in examples(12, 4)]
    manifest = snapshot.write(tmp_path / "told", rows, kind="demonstrations", policy={}, dataset={})
    return tmp_path / "told" / manifest.hash


@pytest.fixture
def sft(make_spec: MakeSpec, demonstrations: Path) -> dict[str, Any]:
    """Supervised fine-tuning by its usual loss."""
    return make_spec(kind="sft", objective=None, snapshots=[{"path": str(demonstrations)}])


@pytest.fixture
def scores(make_spec: MakeSpec) -> dict[str, Any]:
    """A reward model by its usual loss."""
    return make_spec(kind="reward_model", objective=None)


def singles(count: int) -> list[Encoded]:
    """Examples with one response each, of very different lengths."""
    message = {"role": "assistant", "content": ""}
    role = (Role.DESIRABLE,)
    return [
        Encoded(Example(one.example.id, "train", [], (message,), role), one.prompt, one.responses[:1], role)
        for one in encoded(count)
    ]


def learner_of(spec: dict[str, Any]) -> Learner:
    chosen = Spec.model_validate(spec)
    return build(chosen, load_tokenizer(chosen.checkpoint), 10)[0]


def told(metrics: dict[str, float | None]) -> set[str]:
    return {name for name in metrics if not name.startswith(tuple(USED))}


@pytest.mark.parametrize("mean", ["token", "example"])
def test_the_loss_of_demonstrations_is_cross_entropy_over_the_whole_batch(sft: dict[str, Any], mean: str) -> None:
    """Packs of any size give the one loss and gradient of the batch: that of cross-entropy over response tokens."""
    learner = learner_of(sft | {"objective": {"name": "sft", "mean": mean}})
    some = singles(7)
    model = AutoModelForCausalLM.from_pretrained(sft["checkpoint"])
    losses = []
    for one in some:
        logits = model(torch.tensor([one.prompt + one.responses[0]])).logits[0, len(one.prompt) - 1 : -1]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(one.responses[0]), reduction="none"))
    expected = torch.cat(losses).mean() if mean == "token" else torch.stack([loss.mean() for loss in losses]).mean()
    expected.backward()  # type: ignore[no-untyped-call]
    theirs = torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])

    for tokens in (16, 90, 4096):
        packed = with_tokens(learner, tokens)
        found = gradient(packed, some, None)
        rows, _ = packed.backward(some, None, State(), nothing)
        assert packed.scoring.told.summed(rows)[0].item() == pytest.approx(expected.item(), rel=1e-5)
        assert torch.allclose(found, theirs, atol=1e-5)


def test_a_run_on_demonstrations(sft: dict[str, Any], tmp_path: Path) -> None:
    """It learns, tells TRL's metrics and no rewards, answers samples, and keeps the best by the held-out loss."""
    summary = train(sft | {"duration": {"steps": 12}, "evaluate": {"every_steps": 4, "samples": 1}}, tmp_path / "run")

    names = {"loss", "entropy", "mean_token_accuracy"}
    assert told(summary.metrics) == names | {f"eval/{name}" for name in names}
    steps = [event["values"]["loss"] for event in of_type(events_of(tmp_path / "run"), "step") if event["examples"]]
    assert steps[-1] < steps[0] - 0.3
    assert len(of_type(events_of(tmp_path / "run"), "sample")) == 3
    assert json.loads((tmp_path / "run" / "spec.json").read_text())["objective"] == {
        "name": "sft",
        "mean": "token",
        "turns": "last",
    }
    assert all("eval/loss" in saved.metrics for saved in summary.checkpoints)


def test_pairs_feed_supervised_training_only_when_somebody_says_so(make_spec: MakeSpec, tmp_path: Path) -> None:
    """By themselves they are refused with what to do; taken apart, the chosen sides are what demonstrations are."""
    with pytest.raises(BadData) as refused:
        train(make_spec(kind="sft", objective=None), tmp_path / "refused")
    assert "take the sides of pairs apart" in (refused.value.remedy or "")

    train(make_spec(kind="sft", objective=None, pairs="apart"), tmp_path / "run")
    log = [event["message"] for event in of_type(events_of(tmp_path / "run"), "log")]
    assert "12 training and 4 validation examples" in log
    assert "16 examples were left out: the objective has no use for such answers" in log


@pytest.mark.parametrize("kind", ["sft", "scores"])
def test_it_goes_on_as_if_it_had_not_been_stopped(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A run that is stopped and continued has the curve and the weights of one that is not, to the last bit."""
    spec = request.getfixturevalue(kind) | {"duration": {"steps": 5}, "tuning": LORA | {"dropout": 0.2}}
    whole, parts = (written(tmp_path / name, spec) for name in ("whole", "parts"))
    run_folder(whole)

    stop, hear = stopping_after(2)
    run_folder(parts, hear, stop)
    run_folder(parts)

    assert curve(parts) == curve(whole)
    assert same(last(parts), last(whole))


@pytest.mark.parametrize("tuning", [{"kind": "full"}, LORA], ids=["full", "lora"])
def test_transformers_gives_the_scores_that_were_trained(
    scores: dict[str, Any], tuning: dict[str, Any], tmp_path: Path
) -> None:
    """The checkpoint loads as a sequence classifier with one label, whose scores are those that were told."""
    spec = scores | {"tuning": tuning, "duration": {"steps": 12}, "optimizer": {"learning_rate": 1e-2}}
    summary = train(spec, tmp_path / "run")
    assert summary.checkpoint is not None
    labels = {} if tuning["kind"] == "full" else {"num_labels": 1}
    model = AutoModelForSequenceClassification.from_pretrained(summary.checkpoint, **labels).eval()
    tokenizer = AutoTokenizer.from_pretrained(summary.checkpoint)

    margins, found = [], []
    for one in examples(12, 4)[:4]:
        texts = [
            tokenizer.apply_chat_template(cast("Any", [*one.prompt, answer]), tokenize=False)
            for answer in one.responses
        ]
        batch = tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            better, worse = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[:, 0].tolist()
        margins.append(better - worse)
        found += [better, worse]
    assert model.config.num_labels == 1
    metrics = summary.metrics
    assert metrics["eval/margin"] == pytest.approx(sum(margins) / 4, abs=1e-5)
    assert metrics["eval/accuracy"] == sum(margin > 0 for margin in margins) / 4
    assert (metrics["eval/min_reward"], metrics["eval/max_reward"]) == pytest.approx((min(found), max(found)), abs=1e-5)
    names = {"loss", "accuracy", "margin", "mean_reward", "min_reward", "max_reward"}
    assert told(metrics) == names | {f"eval/{name}" for name in names}
    assert not of_type(events_of(tmp_path / "run"), "sample")


def test_scores_do_not_depend_on_how_examples_lie(scores: dict[str, Any]) -> None:
    """Packs of one pair or of all, shared rows or padded ones: one gradient."""
    learner = learner_of(scores)
    assert learner.scoring.structure.shared
    plain = replace(
        learner, scoring=replace(learner.scoring, structure=replace(learner.scoring.structure, shared=False))
    )
    some = encoded(6)
    expected = gradient(with_tokens(learner, 4096), some, None)

    for other in (with_tokens(learner, 16), with_tokens(plain, 4096), with_tokens(plain, 16)):
        assert torch.allclose(gradient(other, some, None), expected, atol=1e-5)


def test_a_score_is_taken_where_transformers_looks() -> None:
    """A tokenizer may pad with the token that ends texts: then the one before it counts, there as here."""
    assert last_token([5, 6, 7], 0) == 2
    assert last_token([5, 6, 0, 0], 0) == 1
    assert last_token([0, 0], 0) == 1


def test_a_reward_model_is_no_language_model(scores: dict[str, Any], make_spec: MakeSpec, tmp_path: Path) -> None:
    """Nothing starts from it, compares with it or lets it speak: each says what it is."""
    for number, tuning in enumerate(({"kind": "full"}, LORA)):
        made = train(scores | {"tuning": tuning, "duration": {"steps": 1}}, tmp_path / f"scores {number}").checkpoint
        assert made is not None
        tries: list[dict[str, Any]] = [{"checkpoint": str(made)}, {"reference": str(made)}]
        for place, changes in enumerate(tries):
            with pytest.raises(TrainingError, match="is a reward model"):
                train(make_spec(**changes), tmp_path / f"{number} {place}")
        with pytest.raises(CheckpointRefused, match="is a reward model"):
            Generator(made)


def test_the_estimate_of_a_reward_model_has_no_vocabulary(scores: dict[str, Any], make_spec: MakeSpec) -> None:
    """Nothing is projected, so less memory is expected than of a preference run without a reference."""
    simpo = Spec.model_validate(make_spec(objective={"name": "simpo"}))
    assert estimate(Spec.model_validate(scores), 12).memory_total < estimate(simpo, 12).memory_total


def batch(better: list[float], worse: list[float], margins: list[float] | None = None) -> Batch:
    both = torch.tensor([one for pair in zip(better, worse, strict=True) for one in pair], dtype=torch.float64)
    numbers = torch.arange(len(better)).repeat_interleave(2)
    facts = {} if margins is None else {"margin": torch.tensor(margins, dtype=torch.float64).repeat_interleave(2)}
    roles = torch.tensor([0, 1]).repeat(len(better))
    return Batch(both.requires_grad_(), torch.ones_like(both), numbers, roles, facts=facts)


def test_bradley_terry_is_the_log_likelihood_of_the_preferences() -> None:
    """-log sigmoid of the difference; centering adds the square of the sum; both finite however far apart."""
    plain, centered = BradleyTerry(), BradleyTerry(center=0.5)
    given = batch([1.0, -2.0, 1e4], [0.5, 3.0, -1e4])
    expected = -torch.nn.functional.logsigmoid(torch.tensor([0.5, -5.0, 2e4], dtype=torch.float64))

    assert torch.allclose(plain.loss(given, State()), expected, rtol=1e-10)
    assert torch.allclose(centered.loss(given, State()), expected + 0.5 * torch.tensor([2.25, 1.0, 0.0]), rtol=1e-10)
    far = batch([-1e4], [1e4])
    (slope,) = torch.autograd.grad(plain.loss(far, State()).sum(), far.logps)
    assert slope.tolist() == [-1.0, 1.0]


def test_a_margin_is_asked_for_beyond_the_preference() -> None:
    """The loss is that of a difference smaller by the margin; margins of nothing change nothing."""
    scored = BradleyTerryMargin()
    assert torch.equal(
        scored.loss(batch([2.0], [1.0], [0.75]), State()), BradleyTerry().loss(batch([0.25], [0.0]), State())
    )
    assert torch.equal(
        scored.loss(batch([2.0], [1.0], [0.0]), State()), BradleyTerry().loss(batch([2.0], [1.0]), State())
    )


def test_the_lowest_and_the_highest_score_are_of_the_batch() -> None:
    """Rows become means but for these two, with the router loss in its place."""
    given = batch([1.0, -3.0], [0.5, 4.0])
    told = HeadMeasures(BradleyTerry())
    rows = told.rows(told.loss, given, torch.tensor([0.1, 0.3]), None, torch.tensor(2.0))  # type: ignore[arg-type]
    found = told.named(told.summed(rows).tolist())

    assert (found["min_reward"], found["max_reward"], found["aux_loss"]) == (-3.0, 4.0, 2.0)
    assert (found["accuracy"], found["margin"], found["mean_reward"]) == (0.5, -3.25, 0.625)
    assert rows.shape[1] == told.columns(routed=True)
