"""Anchors that follow the policy: what they are after each step, what is measured from them, and that runs go on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment.formats import snapshot
from alignment.objectives import State
from alignment.training import Spec, train
from alignment.training.errors import BadSpec, TrainingError
from alignment.training.estimate import estimate
from alignment.training.events import Events
from alignment.training.model import dropout_off
from alignment.training.prepare import Prepared, prepare
from alignment.training.requirements import may_shard, require_supported
from alignment.training.run import run_folder
from alignment.training.stop import Stop
from tests.alignment.training.conftest import MakeSpec, examples
from tests.alignment.training.test_resume import _told, curve, last, same, stopping_after

ADPO: dict[str, Any] = {"name": "adpo_pair_soft", "beta": 0.5, "anchor_decay": 0.6}
TUNINGS: dict[str, dict[str, Any]] = {
    "full": {"kind": "full"},
    "lora": {"kind": "lora", "rank": 2, "alpha": 8, "dropout": 0.3},
}


def spec_of(make_spec: MakeSpec, folder: Path, **parts: Any) -> dict[str, Any]:
    rows = [replace(one, facts={"soft_label": 0.9}) for one in examples(12, 4)]
    data = snapshot.write(folder / "snapshots", rows, kind="paired", policy={}, dataset={})
    source = {"path": str(folder / "snapshots" / data.hash)}
    return make_spec(**{"objective": ADPO, "snapshots": [source], **parts})


def prepared(spec: dict[str, Any], folder: Path) -> Prepared:
    with Events(folder / "events.jsonl") as events:
        return prepare(Spec.model_validate(spec), events, Stop())


def trained(ready: Prepared) -> dict[str, torch.Tensor]:
    model = ready.learner.scoring.scorer.model
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("tuning", TUNINGS)
def test_an_anchor_is_the_moving_average_of_what_is_trained(
    tuning: str, precision: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """After each step, from the checkpoint on; the weights themselves come back whenever it has been asked."""
    ready = prepared(spec_of(make_spec, tmp_path, tuning=TUNINGS[tuning], precision=precision), tmp_path)
    learner, anchor = ready.learner, ready.learner.scoring.scorer.anchor
    assert anchor is not None
    expected, state = trained(ready), learner.scoring.begun(0)

    for _ in range(3):
        before = trained(ready)
        _, state = learner.update(ready.examples.train[:4], None, state, lambda: None)
        after = trained(ready)
        assert any(not torch.equal(before[name], after[name]) for name in before)
        expected = {name: 0.6 * value + 0.4 * after[name] for name, value in expected.items()}
        for name, value in expected.items():
            torch.testing.assert_close(anchor.values[name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "pure_bf16"])
@pytest.mark.parametrize("tuning", TUNINGS)
def test_the_loss_is_measured_from_the_anchor(tuning: str, precision: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    """As from a frozen reference with the averaged weights: log 2 at first, and log-ratios of both models later.

    What the policy says, and what it learns, are the same whether its anchor was asked beside it or not.
    """
    optimizer = {"learning_rate": 1e-2, "warmup_ratio": 0}
    parts = {"tuning": TUNINGS[tuning], "precision": precision, "optimizer": optimizer}
    ready = prepared(spec_of(make_spec, tmp_path, **parts), tmp_path)
    learner, scoring, some = ready.learner, ready.learner.scoring, ready.examples.validation
    state = scoring.begun(0)
    first, state = learner.update(ready.examples.train[:4], None, state, lambda: None)
    assert tuning == "lora" or first["loss"] == pytest.approx(0.693147, abs=1e-4)  # dropout is the policy's alone
    _, state = learner.update(ready.examples.train[4:8], None, state, lambda: None)
    anchor = scoring.scorer.anchor
    assert anchor is not None

    with torch.no_grad(), anchor.stands():
        reference = scoring.scores(some).logps
    with torch.no_grad(), dropout_off(ready.model):
        alone = scoring.scores(some).logps
        scores = scoring.scores(some, scoring.asked)
    batch = scoring.batch(scores, some, None)

    assert batch.reference is not None
    torch.testing.assert_close(batch.reference, reference, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(scores.logps, alone, rtol=1e-4, atol=1e-3)
    assert (reference - alone).abs().max() > 1e-2
    assert scoring.objective.loss(batch, State()).isfinite().all()


@pytest.mark.parametrize("tuning", TUNINGS)
def test_a_run_with_an_anchor_goes_on_as_if_it_had_not_stopped(
    tuning: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """The anchor is part of the training state, to the last bit; a state without it, or with a hole, is refused."""
    spec = spec_of(
        make_spec,
        tmp_path,
        tuning=TUNINGS[tuning],
        duration={"steps": 4},
        evaluate={"every_steps": 3, "samples": 0},
    )
    train(spec, tmp_path / "whole")
    stop, hear = stopping_after(2)
    train(spec, tmp_path / "halves", hear, stop)

    train(spec, tmp_path / "halves")

    assert curve(tmp_path / "halves") == curve(tmp_path / "whole")
    assert same(last(tmp_path / "halves"), last(tmp_path / "whole"))


def test_a_state_of_a_run_with_an_anchor_serves_no_other(make_spec: MakeSpec, tmp_path: Path) -> None:
    """A state in which the spec was changed to one without an anchor has weights too many."""
    spec = spec_of(make_spec, tmp_path, duration={"steps": 4}, evaluate={"every_steps": 100, "samples": 0})
    stop, hear = stopping_after(2)
    train(spec, tmp_path / "run", hear, stop)
    plain = {**spec, "objective": {**ADPO, "anchor_decay": None}}
    state = next((tmp_path / "run" / "state").iterdir())
    _told(lambda told: told["origin"]["spec"]["objective"].update(anchor_decay=None))(state)

    (tmp_path / "run" / "spec.json").write_text(json.dumps(plain))
    with pytest.raises(TrainingError, match="does not fit"):
        run_folder(tmp_path / "run")


@pytest.mark.parametrize(("precision", "held"), [("fp32", 4), ("bf16", 4), ("pure_bf16", 6)])
def test_what_an_anchor_takes_is_estimated(precision: str, held: int, make_spec: MakeSpec, tmp_path: Path) -> None:
    """Four bytes of each trained weight, in memory and in the state, and no second model; weights of two bytes are
    stood in for by copies."""
    spec = spec_of(make_spec, tmp_path, precision=precision)
    plain = {**spec, "objective": {**ADPO, "anchor_decay": None}}

    moving, fixed = (estimate(Spec.model_validate(one), 12) for one in (spec, plain))

    assert moving.state_bytes - fixed.state_bytes == 4 * moving.trainable
    assert moving.memory.reference == held * moving.trainable
    assert Spec.model_validate(spec).others() == {}


@pytest.mark.parametrize(
    ("parts", "field", "words"),
    [
        ({"reference": "elsewhere"}, "reference", "begins as the checkpoint and follows it"),
        ({"objective": {**ADPO, "anchor_decay": 1.0}}, "objective.anchor_decay", "below 1"),
        ({"objective": {**ADPO, "anchor_decay": 0.0}}, "objective.anchor_decay", "above 0"),
        (
            {"objective": {"name": "sum", "terms": [{"objective": ADPO}, {"objective": {"name": "dpo"}}]}},
            "objective",
            "different anchors",
        ),
    ],
    ids=["reference", "one", "zero", "sum"],
)
def test_what_an_anchor_cannot_be_is_refused(
    parts: dict[str, Any], field: str, words: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """A reference beside it, a decay that never moves or forgets at once, and parts that are measured otherwise."""
    with pytest.raises(BadSpec, match=words) as refused:
        train(spec_of(make_spec, tmp_path, **parts), tmp_path / "run")
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("other", "remedy"),
    [
        ({"name": "dpo"}, "DPO can only be measured from one that stays: leave anchor_decay empty."),
        ({**ADPO, "anchor_decay": 0.5}, "Give all of them the same anchor_decay, or none."),
        ({**ADPO, "anchor_decay": None}, "Give all of them the same anchor_decay, or none."),
    ],
    ids=["stays", "another", "none"],
)
def test_what_is_said_of_different_anchors_can_be_done(
    other: dict[str, Any], remedy: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """Nobody is told to set what an objective does not have."""
    both = {"name": "sum", "terms": [{"objective": ADPO}, {"objective": other}]}

    with pytest.raises(BadSpec, match="different anchors") as refused:
        require_supported(Spec.model_validate(spec_of(make_spec, tmp_path, objective=both)))
    assert refused.value.remedy == remedy


def test_a_moving_anchor_is_never_sharded(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Refused before anything is queued; where nobody chose how the devices share, each holds the whole model. One that
    stays may be sharded."""
    with pytest.raises(BadSpec, match="sharded over devices") as refused:
        require_supported(Spec.model_validate(spec_of(make_spec, tmp_path, devices=2, parallel="fsdp")))
    assert refused.value.field == "parallel"

    moving = Spec.model_validate(spec_of(make_spec, tmp_path, devices=2))
    staying = Spec.model_validate(spec_of(make_spec, tmp_path, devices=2, objective={**ADPO, "anchor_decay": None}))

    require_supported(moving)
    assert (may_shard(moving), may_shard(staying)) == (False, True)


def test_terms_of_one_anchor_go_together(make_spec: MakeSpec, tmp_path: Path) -> None:
    """A likelihood beside them is measured from none."""
    both = {"name": "sum", "terms": [{"objective": ADPO}, {"objective": {"name": "nll"}}]}

    require_supported(Spec.model_validate(spec_of(make_spec, tmp_path, objective=both)))
