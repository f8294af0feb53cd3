"""The time that a first run is told: from what it computes, and how fast a probe found the machine."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from alignment.training import throughput, timing
from alignment.training.data import Example
from alignment.training.encode import Encoded
from alignment.training.estimate import Lengths, estimate
from alignment.training.folder import inspect
from alignment.training.spec import Spec
from alignment.training.timing import DRAWING, SHARE, SPREAD, TO_BEGIN, Curve, Speed
from tests.alignment.training.conftest import MakeSpec
from tests.alignment.training.test_sharing import EXPERTS, build

LENGTHS = Lengths(prompt=6, response=4, longest=14)
TRAIN, VALIDATION = 12, 4
SLOW = Speed(fp32=((64, 1.0),), bf16=((64, 2.0),))  # so slow that nothing but FLOPs counts


def computing(spec: dict[str, Any], speed: Speed = SLOW, devices: int = 1) -> float:
    """Seconds that are told for the FLOPs of a run that draws nothing."""
    chosen = Spec.model_validate(spec | {"evaluate": {"samples": 0}})
    found = estimate(chosen, TRAIN, "cpu", LENGTHS)
    low, high = timing.seconds(chosen, found, LENGTHS, TRAIN, VALIDATION, speed, devices)
    assert high / SPREAD[1] == pytest.approx(low / SPREAD[0])
    return low / SPREAD[0] - TO_BEGIN


def test_a_run_is_counted_by_what_its_steps_compute(make_spec: MakeSpec, base: Path) -> None:
    """Three steps of four examples with a reference that is asked once, and four examples at the one evaluation."""
    pair = Encoded(Example("0", "train", [], ({}, {})), [5] * 6, ([6] * 4, [7] * 4), ())
    model = AutoModelForCausalLM.from_pretrained(base)
    step = throughput.needed(throughput.work(model), [pair], shared=True)
    asked = TRAIN + VALIDATION

    told = computing(make_spec())

    assert told == pytest.approx((12 * step + (asked + VALIDATION) * step / 3) / SHARE)


def test_what_a_run_does_beside_is_counted(make_spec: MakeSpec) -> None:
    """A reference asked at every step, layers computed again, frozen weights, another arithmetic, several devices."""
    whole = computing(make_spec(objective={"name": "simpo"}))
    forward = whole / (3 * 12 + VALIDATION)  # of an example

    def forwards(**parts: Any) -> float:
        return computing(make_spec(**{"objective": {"name": "simpo"}} | parts)) / forward

    assert forwards(gradient_checkpointing="on") == pytest.approx(4 * 12 + VALIDATION)
    assert forwards(tuning={"kind": "lora"}) == pytest.approx(2 * 12 + VALIDATION)
    assert forwards(objective={"name": "tdpo1"}) == pytest.approx(4 * 12 + 2 * VALIDATION)
    assert forwards(objective={"name": "tdpo1"}, tuning={"kind": "lora"}) == pytest.approx(3 * 12 + 2 * VALIDATION)
    assert forwards(precision="bf16") == pytest.approx((3 * 12 + VALIDATION) / 2)
    assert computing(make_spec(objective={"name": "simpo"}), devices=4) == pytest.approx(whole / 4)


def test_samples_are_drawn_token_by_token(make_spec: MakeSpec, base: Path) -> None:
    """At each of three evaluations, up to the longest response."""
    fast = Speed(fp32=((64, 1e30),), bf16=((64, 1e30),))
    spec = Spec.model_validate(make_spec(evaluate={"every_steps": 1, "samples": 2}))

    low, _ = timing.seconds(spec, estimate(spec, TRAIN, "cpu", LENGTHS), LENGTHS, TRAIN, VALIDATION, fast)

    assert low / SPREAD[0] == pytest.approx(TO_BEGIN + 3 * 32 * inspect(base).layers * DRAWING)


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe", "gpt_oss", "granitemoe"])
def test_a_token_meets_the_experts_that_it_is_sent_to(base: Path, tmp_path: Path, kind: str) -> None:
    """Of a mixture of experts two of four count, as they do where a running step's FLOPs are counted, whether they are
    kept one by one or as one; biases, which some have, are too few to count."""
    folder = shutil.copytree(base, tmp_path / "mixture")
    model = build(kind, EXPERTS | {"num_experts" if kind == "qwen3_moe" else "num_local_experts": 4})
    model.save_pretrained(folder)

    assert inspect(folder).active == pytest.approx(throughput.work(model).token / 6, rel=0.025)


@pytest.mark.parametrize(
    "curve",
    [
        ((64, 1e9), (32, 4e9)),
        ((64, 1e9), (64, 4e9)),
        ((10**400, 1e9),),
        ((64, 5e-324),),
        ((64, math.inf),),
        ((0, 1e9),),
        (),
    ],
)
def test_a_speed_that_no_machine_has_is_refused(curve: Any) -> None:
    """It comes from outside, and times are made of it."""
    with pytest.raises(ValidationError):
        Speed(fp32=curve, bf16=((64, 1e9),))


@pytest.mark.parametrize(("width", "expected"), [(32, 1e9), (64, 1e9), (128, 4e9), (256, 16e9), (512, 16e9)])
def test_a_speed_between_two_widths_is_a_power_of_them(width: int, expected: float) -> None:
    """What overhead bounds grows with the width's square; beyond what was measured nothing is made up."""
    curve: Curve = ((64, 1e9), (256, 16e9))

    assert Speed(fp32=curve, bf16=((64, 1.0),)).at(width, "fp32") == pytest.approx(expected)


def test_the_probe_measures_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, at rising widths in both arithmetics; one that fails tells nothing."""
    found = timing.measured()

    assert found is not None
    for curve in (found.fp32, found.bf16):
        widths = [width for width, _ in curve]
        assert widths == sorted(set(widths))
        assert widths[0] == 64
    monkeypatch.setattr(timing, "PROBE", "alignment.training.nothing")
    assert timing.measured() is None
