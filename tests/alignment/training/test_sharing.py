"""Examples that share a row are scored as if each sequence stood alone; what cannot be exact does not share."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from alignment.objectives.batch import Role
from alignment.objectives.dpo import DPO
from alignment.training import attention, layout, structure
from alignment.training.data import Example
from alignment.training.encode import Encoded
from alignment.training.events import Events
from alignment.training.model import add_adapters
from alignment.training.ranks import Ranks
from alignment.training.rows import arrange, checked
from alignment.training.scorer import Scorer
from alignment.training.scoring import Scoring
from alignment.training.spec import LoraTuning
from alignment.training.step import sequence_logps

VOCABULARY = 160
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"moe_intermediate_size": 24, "num_experts_per_tok": 2}
LAYERS = {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 8}
SHARED: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama, rope of Llama 3": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            }
        },
    ),
    "qwen2": ("qwen2", {}),
    "qwen2, some windows": ("qwen2", LAYERS | {"use_sliding_window": True}),
    "qwen3": ("qwen3", {}),
    "smollm3": ("smollm3", {}),
    "phi3": ("phi3", {}),
    "olmo2": ("olmo2", {}),
    "olmo3": ("olmo3", LAYERS),
    "granite, scaled logits": ("granite", {"logits_scaling": 3.0}),
    "gemma": ("gemma", {}),
    "gemma3": ("gemma3_text", LAYERS),
    "glm4": ("glm4", {"partial_rotary_factor": 0.5}),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral, windows": ("mistral", {"sliding_window": 8}),
    "gpt2": ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "vocab_size": VOCABULARY}),
    "gpt_neox": ("gpt_neox", {}),
    "mixtral, experts": ("mixtral", EXPERTS | {"num_local_experts": 4}),
    "qwen2_moe, experts": ("qwen2_moe", EXPERTS | {"num_experts": 4, "shared_expert_intermediate_size": 24}),
    "qwen3_moe, experts": ("qwen3_moe", EXPERTS | {"num_experts": 4}),
    "olmoe, experts": ("olmoe", EXPERTS | {"num_experts": 4}),
    "flex_olmo, experts": ("flex_olmo", EXPERTS | {"num_experts": 4}),
    "phimoe, experts": ("phimoe", EXPERTS | {"num_local_experts": 4}),
    "granitemoe, experts": ("granitemoe", EXPERTS | {"num_local_experts": 4, "logits_scaling": 3.0}),
}
ALONE: dict[str, tuple[str, dict[str, Any], str]] = {
    "linear attention": ("qwen3_next", {"layer_types": ["linear_attention", "full_attention"]}, "qwen3_next"),
    "convolutions": ("lfm2", {}, "lfm2"),
    "states": ("mamba", {}, "mamba"),
    "softcapped": ("gemma2", LAYERS | {"final_logit_softcapping": 2.0}, "gemma2"),
    "long rope": (
        "phi3",
        {
            "original_max_position_embeddings": 16,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0] * 4,
                "long_factor": [4.0] * 4,
            },
        },
        "longrope",
    ),
    "dynamic rope": (
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}},
        "dynamic",
    ),
}
CPU = torch.device("cpu")


def build(kind: str, parts: dict[str, Any]) -> PreTrainedModel:
    torch.manual_seed(0)
    given = parts if kind == "gpt2" else SMALL | parts
    model: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        AutoConfig.for_model(kind, **given)
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(4)  # random models are so unsure that mistakes would not show
    return model


def examples(responses: tuple[int, ...] = (2, 2, 1, 3, 2), longest: int = 30) -> list[Encoded]:
    """Examples of many lengths, past every window; two of them have the shortest texts there are."""
    rng = random.Random(5)
    pair = Example("0", "train", [], ({}, {}))

    def ids(count: int) -> list[int]:
        return [rng.randrange(3, VOCABULARY) for _ in range(count)]

    found = [
        Encoded(
            pair,
            ids(rng.randint(1, longest)),
            tuple(ids(rng.randint(1, longest)) for _ in range(count)),
            (Role.CANDIDATE,) * count,
        )
        for count in responses
    ]
    return [*found, Encoded(pair, ids(1), (ids(1), ids(1))), Encoded(pair, ids(longest), (ids(longest), ids(1)))]


def alone(model: PreTrainedModel, some: list[Encoded]) -> Tensor:
    """The plainest computation: every sequence by itself, full logits."""
    found = []
    for example in some:
        for answer in example.responses:
            ids = torch.tensor([example.prompt + answer])
            logps = model(ids).logits[0, :-1].float().log_softmax(-1).gather(1, ids[0, 1:, None])
            found.append(logps[len(example.prompt) - 1 :].sum())
    return torch.stack(found)


def gradients(model: PreTrainedModel, value: Tensor) -> Tensor:
    model.zero_grad(set_to_none=True)
    weights = torch.linspace(-1, 1, len(value))
    torch.autograd.backward((value * weights).sum())
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


@pytest.mark.parametrize("together", [None, 0, 40, 1000], ids=["mask", "parts", "short ones together", "one part"])
@pytest.mark.parametrize("name", SHARED)
def test_a_shared_row_is_exact(name: str, together: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log-probabilities and gradients are those of sequences computed one by one, under a mask or part by part, however
    many tokens of short examples attend at once.

    They agree to 1e-5: of each response's sum, as numbers of 150 nats lie 1.5e-5 apart in float32, and of the largest
    gradient.
    """
    kind, parts = SHARED[name]
    model = build(kind, parts)
    some = examples()
    expected = alone(model, some)
    slope = gradients(model, expected)
    rows = structure.of(model.config, model.config._attn_implementation)
    if together is not None:
        monkeypatch.setattr(attention, "TOGETHER", together)
        rows = arrange(model, CPU)

    found = Scorer(model, "fp32")(layout.shared(some, rows, CPU), rows).logps

    assert rows.shared
    assert kind.removesuffix("_text") in rows.why
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradients(model, found), slope, rtol=1e-5, atol=1e-5 * float(slope.abs().max()))


@pytest.mark.parametrize("together", [0, 60, 1000])
def test_responses_with_prompts_of_their_own_are_exact(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand in the row like examples of their own, whatever attends with them."""
    monkeypatch.setattr(attention, "TOGETHER", together)
    model = build("llama", {})
    some = [replace(one, asides={0: [7, 8, 9], 1: [9] * 30}) for one in examples()]
    parts = [part for one in some for part in one.parts]
    expected = alone(model, [replace(some[0], prompt=prompt, responses=tuple(own), asides={}) for prompt, own in parts])
    rows = arrange(model, CPU)

    found = Scorer(model, "fp32")(layout.shared(some, rows, CPU), rows).logps

    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("window", [8, None], ids=["a window", "all of it"])
def test_rows_longer_than_what_a_kernel_sees_at_once_are_exact(window: int | None) -> None:
    """A kernel goes through keys in blocks, of which a window hides some from first to last."""
    model = build("mistral", {"sliding_window": window, "max_position_embeddings": 2048})
    rng = random.Random(1)
    prompt, *answers = ([rng.randrange(3, VOCABULARY) for _ in range(length)] for length in (1200, 30, 40, 20))
    roles = (Role.CANDIDATE,) * len(answers)
    some = [*examples(), Encoded(Example("0", "train", [], ({}, {})), prompt, tuple(answers), roles)]
    rows = arrange(model, CPU)
    expected = alone(model, some)
    slope = gradients(model, expected)

    found = Scorer(model, "fp32")(layout.shared(some, rows, CPU), rows).logps

    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradients(model, found), slope, rtol=1e-5, atol=1e-5 * float(slope.abs().max()))


@pytest.mark.parametrize("name", ALONE)
def test_what_is_not_exact_does_not_share(name: str) -> None:
    """Architectures whose rows leak or move are refused by structure, with the reason named, and scored plainly."""
    kind, parts, reason = ALONE[name]
    model = build(kind, parts)

    rows = structure.of(model.config, model.config._attn_implementation)

    assert not rows.shared
    assert reason in rows.why
    some = examples()
    found = Scorer(model, "fp32")(layout.plain(some, 0, CPU), rows).logps
    torch.testing.assert_close(found, alone(model, some), rtol=1e-5, atol=0)


def test_an_unknown_attention_does_not_share() -> None:
    """A kernel that takes no mask of ours would let examples see each other."""
    assert not structure.of(build("llama", {}).config, "flash_attention_2").shared


def test_attention_by_parts_leaves_everything_else_alone() -> None:
    """Plain rows and generation give what they gave before, and no word of ours is saved with the model."""
    model = build("llama", {})
    ids = torch.tensor([[5, 6, 7, 8]])
    greedy: Any = {"max_new_tokens": 8, "do_sample": False}
    generate: Any = model.generate
    before, written = model(ids).logits, generate(ids, **greedy)

    arrange(model, CPU)

    assert torch.equal(model(ids).logits, before)
    assert torch.equal(generate(ids, **greedy), written)
    assert attention.NAME not in json.dumps(model.config.to_dict())


@pytest.mark.parametrize("together", [0, 40])
def test_adapters_share_too(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With LoRA the language model stands inside another; the same numbers come out."""
    monkeypatch.setattr(attention, "TOGETHER", together)
    adapted = add_adapters(build("llama", {}), LoraTuning(rank=4, alpha=4), Path("base"))
    for index, parameter in enumerate(parameter for parameter in adapted.parameters() if parameter.requires_grad):
        torch.nn.init.normal_(parameter, std=0.1 + index / 1000)
    rows = arrange(adapted, CPU)
    some = examples()

    found = Scorer(adapted, "fp32")(layout.shared(some, rows, CPU), rows).logps

    torch.testing.assert_close(found, alone(adapted, some), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("window", "path"), [(8, "shared"), (None, "plain")])
def test_sharing_is_checked_on_the_longest_rows(window: int | None, path: str, tmp_path: Path) -> None:
    """A structure that is wrong about a model (here: about its window) is found out before anything is trained."""
    model = build("mistral", {"sliding_window": 8})
    believed = structure.Structure(True, "mistral", (("sliding_attention", window),))
    scorer = Scorer(model, "fp32")
    scoring = Scoring(scorer, scorer, DPO(), believed, 0, 128, Ranks(CPU))
    with Events(tmp_path / "events.jsonl") as events:
        found = checked(scoring, examples(), events, lambda: None)

    told = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert found.structure.shared == (path == "shared")
    assert told[-1]["path"] == path
    assert [event["level"] for event in told] == (["info"] if path == "shared" else ["warning", "info"])


def test_the_largest_difference_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of all that were compared, however much rounding explains of each: here the long responses differ most."""
    model = build("llama", {})
    scorer = Scorer(model, "fp32")
    scoring = Scoring(scorer, scorer, DPO(), arrange(model, CPU), 0, 128, Ranks(CPU))

    def further(plain: Scoring, some: list[Encoded], check: Callable[[], None]) -> list[Tensor]:
        found = sequence_logps(plain, some, check)
        away = [torch.tensor([1e-5 * len(answer) for answer in one.responses]) for one in some]
        return [logps + by for logps, by in zip(found, away, strict=True)]

    monkeypatch.setattr("alignment.training.rows.sequence_logps", further)
    with Events(tmp_path / "events.jsonl") as events:
        checked(scoring, examples(), events, lambda: None)

    (told,) = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert told["largest_difference"] == pytest.approx(30e-5, rel=0.1)
    assert f"changes log-probabilities by at most {told['largest_difference']:.2g} nats" in told["message"]
