"""Configurations of other trainers become the same run here, or are refused by the name of what cannot be done."""

from typing import Any

import pytest

from alignment.configs import Converted, NotConverted, convert
from alignment.configs.convert import OURS
from alignment.training.spec import LoraTuning, Spec

TRL = """
model_name_or_path: Qwen/Qwen3-0.6B
dataset_name: trl-lib/ultrafeedback_binarized
learning_rate: 5e-7
beta: 0.05
per_device_train_batch_size: 2
gradient_accumulation_steps: 8
max_length: 1536
max_prompt_length: 1024
warmup_ratio: 0.1
lr_scheduler_type: cosine
num_train_epochs: 1
bf16: true
use_peft: true
lora_r: 32
lora_alpha: 16
logging_steps: 10
some_new_option: 3
"""
LLAMA_FACTORY = """
model_name_or_path: meta-llama/Llama-3.2-1B-Instruct
stage: dpo
do_train: true
finetuning_type: lora
lora_target: q_proj,v_proj
pref_loss: simpo
pref_beta: 2.0
simpo_gamma: 1.0
dataset: dpo_en_demo,mine
mix_strategy: interleave_under
interleave_probs: 0.3,0.7
template: llama3
cutoff_len: 2000
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 5.0e-6
max_steps: 200
warmup_steps: 20
"""


def spec(found: Converted) -> Spec:
    """The recipe as a spec, which refuses what it does not know."""
    return Spec.model_validate(found.recipe | {"checkpoint": "x", "snapshots": [{"path": "y"}]})


def test_our_defaults_are_those_of_the_spec() -> None:
    """What is told of our defaults is what a spec has."""
    plain = Spec.model_validate({"checkpoint": "x", "snapshots": [{"path": "y"}], "objective": {"name": "dpo"}})
    whole: dict[str, Any] = plain.model_dump() | {"tuning": LoraTuning().model_dump()}
    for field, value in OURS.items():
        found: Any = whole
        for name in field.split("."):
            found = found[name]
        assert found == value, field


def test_a_trl_config_becomes_a_run() -> None:
    """Batch sizes multiply, lengths are parted, and every value is accounted for."""
    found = convert(TRL, devices=4)
    run = spec(found)
    assert run.objective.model_dump() == {"name": "dpo", "beta": 0.05}
    assert run.batch.examples_per_step == 2 * 8 * 4
    assert (run.length.max_prompt_tokens, run.length.max_response_tokens) == (1024, 512)
    assert (run.optimizer.learning_rate, run.optimizer.schedule, run.precision) == (5e-7, "cosine", "bf16")
    assert run.tuning.model_dump() == {
        "kind": "lora",
        "rank": 32,
        "alpha": 16,
        "dropout": 0.05,
        "targets": "all-linear",
    }
    assert (found.checkpoint, found.data[0]["name"]) == ("Qwen/Qwen3-0.6B", "trl-lib/ultrafeedback_binarized")
    told = {one["key"] for one in found.understood} | {one["key"] for one in found.ignored}
    assert told == {line.partition(":")[0] for line in TRL.strip().splitlines()}
    assert {one["key"] for one in found.ignored} == {"logging_steps", "some_new_option"}
    assert next(one for one in found.differs if one["field"] == "seed")["value"] == 42


def test_a_llama_factory_config_becomes_a_run() -> None:
    """Its losses, warm-up steps and mixtures are ours under other names."""
    found = convert(LLAMA_FACTORY)
    run = spec(found)
    assert run.objective.model_dump() == {"name": "simpo", "beta": 2.0, "gamma": 1.0}
    assert (run.optimizer.warmup_ratio, run.duration.steps) == (0.1, 200)
    assert run.tuning.model_dump()["targets"] == ["q_proj", "v_proj"]
    assert [(one["name"], one["weight"]) for one in found.data] == [("dpo_en_demo", 0.3), ("mine", 0.7)]


@pytest.mark.parametrize(
    "text",
    [
        "trl dpo --model_name_or_path base --beta 0.2 --loss_type ipo --bf16 --num-train-epochs=2",
        "accelerate launch --num_processes 1 x/dpo.py --beta 0.2 \\\n --loss_type ipo --bf16 --num_train_epochs 2",
        '{"beta": 0.2, "loss_type": ["ipo"], "bf16": true, "num_train_epochs": 2}',
    ],
)
def test_command_lines_and_json_are_read(text: str) -> None:
    """The same run, however it is written."""
    run = spec(convert(text))
    assert run.objective.model_dump() == {"name": "ipo_avg", "tau": 0.2}
    assert (run.duration.epochs, run.precision) == (2.0, "bf16")


def test_processes_of_a_command_line_count() -> None:
    """What a launcher says of devices goes before what was assumed."""
    found = convert("accelerate launch --num_processes 8 dpo.py --per_device_train_batch_size 2 --beta 0.1")
    assert spec(found).batch.examples_per_step == 16


def test_label_smoothing_is_conservative_dpo() -> None:
    """Who asks for it gets cDPO, and is told that TRL's sigmoid loss took no notice of it: that run was DPO."""
    found = convert("label_smoothing: 0.1")

    assert found.recipe["objective"] == {"name": "cdpo", "beta": 0.1, "eps": 0.1}
    (told,) = [one for one in found.differs if one["field"] == "objective.name"]
    assert told["value"] == "cdpo"
    assert "TRL takes no notice" in told["why"]
    assert "dpo" in told["why"]
    assert not [one for one in convert("beta: 0.1").differs if one["field"] == "objective.name"]


def test_a_reference_goes_with_what_compares_with_one() -> None:
    """One that another loss never read is left out, and the answer says so."""
    plain, alone = (convert(f"ref_model_name_or_path: other\nloss_type: {loss}") for loss in ("sigmoid", "simpo"))

    assert (plain.reference, alone.reference) == ("other", None)
    assert ("ref_model_name_or_path", "The objective compares with no reference.") in [
        (one["key"], one["why"]) for one in alone.ignored
    ]


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("loss_type: robust\nlabel_smoothing: 0.2", {"name": "rdpo", "beta": 0.1, "eps": 0.2}),
        ("loss_type: exo_pair\nlabel_smoothing: 0.01", {"name": "exo_pair", "beta": 0.1, "eps": 0.01}),
        ("loss_type: hinge\nbeta: 0.05", {"name": "rso_hinge_norm", "gamma": 0.05}),
        ("loss_type: sigmoid_norm\nbeta: 5", {"name": "ln_dpo", "beta": 5.0}),
        ("loss_type: bco_pair", {"name": "bco_pair", "beta": 0.1, "shift": "none"}),
        ("loss_type: aot\nlabel_smoothing: 0.1", {"name": "aot_paired", "beta": 0.1, "eps": 0.1}),
        ("loss_type: aot_unpaired", {"name": "aot_unpaired", "beta": 0.1, "eps": 0.0}),
        ("loss_type: discopop\ndiscopop_tau: 0.1", {"name": "discopop", "beta": 0.1, "tau": 0.1}),
        ("loss_type: apo_down", {"name": "apo_down", "beta": 0.1}),
        ("trl cpo --beta 0.2", {"name": "cpo", "beta": 0.2, "alpha": 1.0, "nll": "batch"}),
        ("loss_type: simpo\ncpo_alpha: 0.0", {"name": "simpo", "beta": 0.1, "gamma": 0.5}),
        ("loss_type: simpo", {"name": "cpo_simpo", "beta": 0.1, "gamma": 0.5, "alpha": 1.0}),
        ("stage: dpo\npref_loss: orpo\npref_beta: 0.2", {"name": "orpo", "lam": 0.2}),
    ],
)
def test_losses_of_other_trainers_are_objectives_here(text: str, objective: dict[str, Any]) -> None:
    """A loss becomes the objective that computes the same, under the name it has here."""
    assert spec(convert(text)).objective.model_dump() == objective


def test_a_loss_that_is_not_quite_the_same_is_told() -> None:
    """Where TRL's loss is another multiple or another mean, the answer says so."""
    for text in ("loss_type: sppo_hard", "loss_type: simpo", "loss_type: aot", "loss_type: aot_unpaired"):
        told = [one["why"] for one in convert(text).differs if one["field"] == "objective.name"]
        assert any("TRL" in why for why in told)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("loss_type: aot_pair", "aot_pair"),
        ("loss_type: ipo\nlabel_smoothing: 0.1", "smoothing"),
        ("trl cpo --loss_type hinge", "hinge"),
        ("cpo_alpha: 1.0\nlabel_smoothing: 0.1", "smoothing"),
        ("loss_type: [sigmoid, sft]", "sft"),
        ("rpo_alpha: 1.0", "rpo_alpha"),
        ("trl kto --beta 0.1", "KTO"),
        ("desirable_weight: 1.0", "KTO"),
        ("stage: ppo\ntemplate: llama3", "ppo"),
        ("stage: dpo\npref_loss: kto_pair", "kto_pair"),
        ("stage: dpo\npref_ftx: 0.5", "pref_ftx"),
        ("stage: dpo\nfinetuning_type: freeze", "freeze"),
        ("optim: adafactor", "adafactor"),
        ("lr_scheduler_type: polynomial", "polynomial"),
        ("beta: high", "high"),
        ("seed: 1.5", "seed"),
        ("", "nothing"),
        ("- a\n- b", "value"),
        ("a: [1, 2", "YAML"),
        ("a: &x [1]\nb: *x", "refers"),
        ("--beta 'open", "quotation"),
        ("a: " + "[" * 5000, "YAML"),
        ("x" * 200_000, "longer"),
        ("a: !!python/object/apply:os.system ['true']", "YAML"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(text: str, word: str) -> None:
    """No unknown loss, optimizer or stage is replaced silently; hostile text is refused, not run."""
    with pytest.raises(NotConverted) as refused:
        convert(text)
    assert word in refused.value.reason


@pytest.mark.parametrize(("stage", "kind", "loss"), [("sft", "sft", "sft"), ("rm", "reward_model", "bradley_terry")])
def test_stages_before_preferences_become_runs_of_their_kind(stage: str, kind: str, loss: str) -> None:
    """LLaMA-Factory's supervised and reward stages are runs of those kinds, with their usual loss."""
    run = spec(convert(f"stage: {stage}\ntemplate: llama3\nfinetuning_type: lora\nlearning_rate: 1.0e-4", devices=1))

    assert (run.kind, run.objective.name, run.optimizer.learning_rate) == (kind, loss, 1e-4)
