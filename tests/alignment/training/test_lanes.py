"""Packs that are computed beside each other change nothing: the same bits as one after another."""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from alignment.objectives import Objective
from alignment.objectives.dpo import DPO
from alignment.training import Spec, attention, lanes, ranks, room, structure, train
from alignment.training.batches import AT_ONCE, LANES, packs
from alignment.training.encode import Encoded
from alignment.training.errors import OutOfMemory
from alignment.training.estimate import Lengths, estimate
from alignment.training.model import load_tokenizer
from alignment.training.prepare import build
from alignment.training.rows import arrange
from alignment.training.scorer import Scorer
from alignment.training.scoring import Scoring
from alignment.training.step import Learner, sequence_logps
from alignment.training.stop import Cancelled
from tests.alignment.training import test_routing, test_sharing
from tests.alignment.training.conftest import MakeSpec
from tests.alignment.training.test_resume import curve, last, same, stopping_after
from tests.alignment.training.test_run import events_of
from tests.alignment.training.test_step import STATE, Softmin, encoded, nothing

ROUTED = {
    f"{name}, router loss": (name, test_sharing.EXPERTS | parts)
    for name, parts in test_routing.MODELS.items()
    if name != "gpt_oss"  # its rows are plain
}
STATES = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 16, "mamba_n_groups": 1, "mamba_chunk_size": 16}
LINEAR = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
FEW = {"num_experts_per_tok": 2, "moe_intermediate_size": 16, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1}
ONE_OF_EACH = {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1}
MIXED = {"layer_types": ["linear_attention", "full_attention"]}
PARTS: dict[str, dict[str, Any]] = {
    "bamba": STATES | {"attn_layer_indices": [1]},
    "cohere2": test_sharing.LAYERS,
    "deepseek_v3": LATENT | FEW | {"n_routed_experts": 4, "num_key_value_heads": 4},
    "exaone4": test_sharing.LAYERS,
    "falcon_h1": STATES | {"mamba_d_ssm": 64},
    "gemma2": test_sharing.LAYERS,
    "glm4_moe": FEW | {"n_routed_experts": 4},
    "gpt_oss": test_sharing.EXPERTS | {"num_local_experts": 4},
    "granitemoehybrid": STATES | FEW | {"layer_types": ["mamba", "attention"], "num_local_experts": 4},
    "jamba": ONE_OF_EACH | {"num_experts": 2, "use_mamba_kernels": False, "mamba_d_state": 8},
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 16, "n_groups": 1, "chunk_size": 16},
    "qwen3_5_moe_text": MIXED | LINEAR | FEW | {"num_experts": 4},
    "qwen3_5_text": MIXED | LINEAR,
    "qwen3_next": MIXED,
}
ALONE = {f"{kind}, a row for each response": (kind, PARTS.get(kind, {})) for kind in sorted(structure.STEADY)}
MODELS = test_sharing.SHARED | ROUTED | ALONE


@pytest.fixture
def two_threads() -> Iterator[None]:
    """As a machine with two processors has them."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture
def learner(spec: Spec) -> Learner:
    """One whose packs hold few examples, two of them at once."""
    made = build(spec, load_tokenizer(spec.checkpoint), 10)[0]
    return replace(made, scoring=replace(made.scoring, tokens=120, lanes=2, at_once=2))


def one_after_another(self: Scoring, some: Any, work: Any, check: Any) -> list[Any]:
    """What `Scoring.each` does with one lane, for packs that were made for two."""
    return [work(pack) for pack in some]


def gradients(learner: Learner, examples: list[Encoded], reference: list[Tensor]) -> list[Tensor | None]:
    for parameter in learner.parameters:
        parameter.grad = None
    learner.backward(examples, reference, STATE, nothing)
    return [parameter.grad for parameter in learner.parameters]


def alike(one: list[Tensor | None], other: list[Tensor | None]) -> bool:
    pairs = zip(one, other, strict=True)
    return all((a is None) == (b is None) and (a is None or torch.equal(a, b)) for a, b in pairs)  # type: ignore[arg-type]


@pytest.mark.parametrize("objective", [DPO(beta=0.1), Softmin()], ids=["dpo", "coupled"])
def test_gradients_are_the_same_to_the_last_bit(
    learner: Learner, objective: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever pack is slow: what comes later waits until it is its turn to be added."""
    learner = replace(learner, scoring=replace(learner.scoring, objective=objective))
    some, real = encoded(24), Scoring.scores
    reference = sequence_logps(learner.scoring, some, nothing)
    slow: list[int] = []

    def scores(self: Scoring, examples: Any, *asked: Any) -> Any:
        if slow and int(examples[0].example.id) in slow:
            time.sleep(0.05)
        return real(self, examples, *asked)

    groups = learner.scoring.packs(some)
    assert len(groups) > 4
    with monkeypatch.context() as patched:
        patched.setattr(Scoring, "each", one_after_another)
        expected = gradients(learner, some, reference)
    assert any(gradient is not None for gradient in expected)
    monkeypatch.setattr(Scoring, "scores", scores)
    for late in ([], [groups[0][0]], [groups[1][0]], [group[0] for group in groups[::2]]):
        slow[:] = late
        assert alike(gradients(learner, some, reference), expected)
    assert not any(parameter._backward_hooks for parameter in learner.parameters)  # they are gone with the step


@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_computes_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Experts that a pack leaves out, too, and the router loss of the whole batch; some examples attend together."""
    monkeypatch.setattr(attention, "TOGETHER", 20)
    model = test_sharing.build(*MODELS[name])
    rows = arrange(model, test_sharing.CPU)
    some = test_routing.pairs() * 3
    reference = [torch.full((2,), -40.0)] * len(some)
    one = test_routing.learner(model, 80 if rows.shared else 200, rows, DPO())
    one = replace(one, scoring=replace(one.scoring, lanes=2, at_once=2))
    assert len(one.scoring.packs(some)) > 3
    with monkeypatch.context() as patched:
        patched.setattr(Scoring, "each", one_after_another)
        expected = gradients(one, some, reference)
        logps = sequence_logps(one.scoring, some, nothing)

    assert alike(gradients(one, some, reference), expected)
    assert alike(list(sequence_logps(one.scoring, some, nothing)), list(logps))
    assert rows.steady
    assert rows.shared == (name not in ALONE)


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3_moe, experts"])
def test_bf16_computes_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast's copies of weights are one lane's own; some examples attend together."""
    monkeypatch.setattr(attention, "TOGETHER", 20)
    model = test_sharing.build(*MODELS[name])
    some = test_routing.pairs() * 2
    one = test_routing.learner(model, 80, arrange(model, test_sharing.CPU, exact=False), DPO())
    scorer = Scorer(model, "bf16")
    one = replace(one, scoring=replace(one.scoring, scorer=scorer, wrapped=scorer, lanes=2, at_once=2))
    reference = [torch.full((2,), -40.0)] * len(some)
    with monkeypatch.context() as patched:
        patched.setattr(Scoring, "each", one_after_another)
        expected = gradients(one, some, reference)

    assert alike(gradients(one, some, reference), expected)


def test_a_pack_that_fails_ends_all(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is what is heard; nothing runs any more, no pack begins, and threads are as they were."""
    begun: list[int] = []
    before = threading.active_count()

    def work(pack: int) -> None:
        begun.append(pack)
        time.sleep(0.02)
        if pack == 1:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        lanes.each(range(50), work, nothing, learner.parameters, lanes=2, at_once=2)

    assert len(begun) < 10
    assert (threading.active_count(), torch.get_num_threads()) == (before, 1)
    assert lanes.each(range(3), lambda pack: pack * 2, nothing, (), lanes=2, at_once=2) == [0, 2, 4]


def test_a_thread_that_cannot_start_leaves_none(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that had started end before the error is heard, and the weights have no hooks any more."""
    begun, before, real = list[int](), threading.active_count(), threading.Thread.start
    started = list[threading.Thread]()

    def start(self: threading.Thread) -> None:
        started.append(self)
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        real(self)

    def work(pack: int) -> None:
        begun.append(pack)
        time.sleep(0.02)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="can't start"):
        lanes.each(range(50), work, nothing, learner.parameters, lanes=3, at_once=3)

    assert len(begun) < 10
    assert threading.active_count() == before
    assert not any(parameter._backward_hooks for parameter in learner.parameters)


def test_a_stop_is_heard_between_packs(learner: Learner) -> None:
    """Also by whoever waits for the pack that is not computed any more."""
    asked = [0]

    def check() -> None:
        asked[0] += 1
        if asked[0] == 2:
            time.sleep(0.3)  # the other lane comes to its gradients meanwhile
            raise Cancelled

    some = encoded(24)
    with pytest.raises(Cancelled):
        learner.backward(some, [torch.zeros(2)] * len(some), STATE, check)
    assert asked == [2]


@pytest.mark.usefixtures("two_threads")
def test_each_lane_has_its_share_of_threads(learner: Learner) -> None:
    """Afterwards this thread has all of them again; one pack alone has them all, too."""

    def threads(packs: int, at_once: int) -> list[int]:
        return lanes.each(range(packs), lambda _: torch.get_num_threads(), nothing, (), lanes=2, at_once=at_once)

    assert threads(4, 2) == threads(4, 1) == [1, 1, 1, 1]
    assert torch.get_num_threads() == 2
    assert threads(1, 2) == [2]
    assert threads(0, 2) == []


@pytest.mark.parametrize("grad", [True, False])
def test_lanes_know_whether_gradients_are_wanted(grad: bool) -> None:
    """A new thread would otherwise want them."""
    with torch.set_grad_enabled(grad):
        found = lanes.each(range(6), lambda _: torch.is_grad_enabled(), nothing, (), lanes=3, at_once=3)
    assert found == [grad] * 6


def test_packs_for_lanes_are_of_like_size() -> None:
    """As many as the lanes share evenly, within the budget; every example once."""
    rng = random.Random(2)
    for count, tokens, across in ((24, 120, 2), (7, 60, 3), (1, 50, 2), (40, 90, 4)):
        some = encoded(count, rng.randrange(1000))
        found = packs(some, tokens, shared=True, lanes=across)
        sizes = [sum(some[place].shared_tokens for place in pack) for pack in found]

        assert sorted(place for pack in found for place in pack) == list(range(count))
        assert max(sizes) <= max(tokens, *(one.shared_tokens for one in some), 0)
        if count >= across:
            assert len(found) % across == 0
    alone = packs(some, 90, shared=True)
    assert max(sizes) - min(sizes) < max(sum(some[at].shared_tokens for at in pack) for pack in alone) / 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "plain"])
def test_a_run_of_two_lanes_goes_on_to_the_last_bit(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """Stopped and continued, in packs for as many lanes as it began with, even where there is one thread now."""
    if not shared:
        monkeypatch.setattr(structure, "_rows", lambda *_: structure.plain("asked"))
    spec = make_spec(batch={"examples_per_step": 8, "tokens_per_pack": 60}, duration={"steps": 4})
    train(spec, tmp_path / "whole")
    stop, hear = stopping_after(2)
    train(spec, tmp_path / "halves", hear, stop)
    torch.set_num_threads(1)
    train(spec, tmp_path / "halves")

    counts = [event["packs_at_once"] for event in events_of(tmp_path / "halves") if "packs_at_once" in event]
    paths = {event["path"] for event in events_of(tmp_path / "halves") if "largest_difference" in event}
    assert counts == [2, 1]
    assert paths == {"shared" if shared else "plain"}
    assert curve(tmp_path / "halves") == curve(tmp_path / "whole")
    assert same(last(tmp_path / "halves"), last(tmp_path / "whole"))


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("objective", [{"name": "dpo"}, {"name": "spo_degree"}], ids=lambda one: one["name"])
def test_a_run_measures_the_same(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: dict[str, Any]
) -> None:
    """Evaluations are computed in lanes, too; and what an objective learns beside the model, a module of its own."""
    spec = make_spec(
        objective=objective,
        batch={"examples_per_step": 8, "tokens_per_pack": 60},
        duration={"steps": 3},
        evaluate={"every_steps": 1, "samples": 0},
    )
    train(spec, tmp_path / "abreast")
    monkeypatch.setattr(Scoring, "each", one_after_another)
    torch.set_num_threads(1)
    monkeypatch.setattr(lanes, "most", lambda *_: 2)  # the same packs, on one thread each
    train(spec, tmp_path / "one by one")

    found, expected = (curve(tmp_path / place) for place in ("abreast", "one by one"))
    assert [event["packs_at_once"] for event in events_of(tmp_path / "abreast") if "packs_at_once" in event] == [2]
    assert "eval/loss" in found[3]
    assert found == expected
    assert same(last(tmp_path / "abreast"), last(tmp_path / "one by one"))


def test_memory_that_another_lane_lacks_is_told(spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As what this thread lacks: the run ends with the reason, and no thread stays behind."""
    before, real = threading.active_count(), Scoring.scores
    others = []

    def scores(self: Scoring, *asked: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            return real(self, *asked)
        others.append(1)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes.")

    monkeypatch.setattr(lanes, "most", lambda *_: 2)
    monkeypatch.setattr(Scoring, "scores", scores)
    with pytest.raises(OutOfMemory):
        train(
            spec.model_copy(update={"batch": spec.batch.model_copy(update={"tokens_per_pack": 60})}), tmp_path / "out"
        )
    assert len(others) == 1
    assert threading.active_count() == before


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("parts", "count"),
    [
        ({}, 2),
        ({"tuning": {"kind": "lora", "rank": 2}}, 2),
        ({"tuning": {"kind": "lora", "rank": 2, "dropout": 0.1}}, 1),
        ({"objective": {"name": "tdpo2"}}, 1),
        ({"gradient_checkpointing": "on"}, 1),
    ],
)
def test_what_must_be_alone_is(make_spec: MakeSpec, tmp_path: Path, parts: dict[str, Any], count: int) -> None:
    """Dropout draws its numbers in one order; adapters are switched off, and layers computed again, for everybody."""
    train(make_spec(duration={"steps": 1}, **parts), tmp_path / "out")
    told = next(event for event in events_of(tmp_path / "out") if "packs_at_once" in event)

    assert told["packs_at_once"] == count
    assert ("packs at once: 2" in told["message"]) == (count == 2)


@pytest.mark.usefixtures("two_threads")
def test_less_room_means_fewer_packs_at_once(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is computed twice for want of memory, packs are computed one after another."""
    spec = make_spec(batch={"examples_per_step": 8, "tokens_per_pack": 60}, duration={"steps": 1})
    counts, needed = [], 2**40
    for share in (1.0, 0.8, 0.95):  # of the free memory that would be taken: four fifths are too much for two at once
        monkeypatch.setattr(room, "free_bytes", lambda _, free=int(needed / share): free)
        train(spec, tmp_path / str(share))
        told = next(event for event in events_of(tmp_path / str(share)) if "packs_at_once" in event)
        counts.append((told["packs_at_once"], told["gradient_checkpointing"]))
        needed = told["needed_bytes"]

    assert counts == [(2, False), (1, False), (1, True)]


@pytest.mark.parametrize("name", ["long rope", "dynamic rope"])
def test_a_model_that_changes_as_it_computes_is_not_steady(name: str) -> None:
    """Rotary positions that change with the length of a row are written into the model."""
    kind, parts, _ = test_sharing.ALONE[name]
    assert not arrange(test_sharing.build(kind, parts), test_sharing.CPU).steady


def test_a_reference_that_is_not_steady_is_computed_alone(learner: Learner) -> None:
    """However many packs of the policy are computed at once."""
    rows = replace(learner.scoring.structure, steady=False)

    def threads(scoring: Scoring) -> set[int]:
        together = threading.Barrier(2 if scoring.structure.steady else 1)

        def who(_: list[int]) -> int:
            together.wait(10)
            return threading.get_ident()

        return set(scoring.each([[0], [1]], who, nothing))

    assert threads(replace(learner.scoring, structure=rows)) == {threading.get_ident()}
    assert len(threads(learner.scoring)) == 2


def test_only_steady_models_on_one_processor_are_computed_abreast(
    spec: Spec, learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are of architectures that nobody has looked at; several ranks have a core each."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    scoring = learner.scoring
    assert lanes.most(spec, scoring) == LANES
    assert lanes.most(spec, replace(scoring, structure=structure.plain(""))) == 1
    assert lanes.most(spec, replace(scoring, structure=structure.plain("", steady=True))) == LANES
    assert lanes.most(spec, replace(scoring, ranks=ranks.Ranks(torch.device("cpu"), 0, 2))) == 1
    elsewhere = replace(scoring, ranks=ranks.Ranks(torch.device("meta")))
    assert lanes.most(spec, elsewhere) == 1
    assert [(way.lanes, way.at_once) for way in room._ways(spec, elsewhere, 2)] == [(1, 1)]
    assert [(way.lanes, way.at_once) for way in room._ways(spec, scoring, 2)] == [(2, 2), (2, 1)]
    assert [way.at_once for way in room._ways(spec, scoring, None)] == [4, 3, 2, 1]


def test_more_packs_at_once_are_estimated_to_take_more(spec: Spec) -> None:
    """Twice the activations where a pack is full; no more than a step has where it is not."""

    def activations(threads: str, tokens: int, free: int | None = 2**40) -> int:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("OMP_NUM_THREADS", threads)
            batch = spec.batch.model_copy(update={"examples_per_step": 64, "tokens_per_pack": tokens})
            told = spec.model_copy(update={"batch": batch})
            lengths = Lengths(prompt=20, response=10, longest=60)
            return estimate(told, 1000, "cpu", lengths, free).memory.activations

    assert activations("2", 256) == pytest.approx(2 * activations("1", 256), abs=2)
    assert activations("2", 100_000) < 1.1 * activations("1", 100_000)
    assert activations("2", 256, None) == activations("1", 256)  # what it takes at least, where nothing else is known


def test_a_pack_holds_no_more_than_there_are_examples(spec: Spec) -> None:
    """However much a pack may hold: neither more examples than the data, nor than are divided at once."""

    def activations(examples: int, per_step: int) -> int:
        batch = spec.batch.model_copy(update={"examples_per_step": per_step, "tokens_per_pack": 10_000_000})
        told = spec.model_copy(update={"batch": batch})
        return estimate(told, examples, "cpu", Lengths(prompt=20, response=10, longest=60)).memory.activations

    assert activations(40, 65_536) == activations(40, 40) < activations(80, 65_536)
    assert activations(100_000, 65_536) == activations(100_000, AT_ONCE)
