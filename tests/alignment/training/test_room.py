"""Gradient checkpointing changes memory and time, nothing else; it is chosen where a run would not fit without."""

import json
import re
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from transformers import OPTConfig, OPTForCausalLM, PreTrainedModel

from alignment.training import Spec, attention, layout, machine, recompute, room, structure, train
from alignment.training.errors import BadSpec
from alignment.training.model import add_adapters, dropout_off, train_only_adapter_dropout
from alignment.training.rows import arrange
from alignment.training.scorer import Scorer
from alignment.training.spec import LoraTuning
from tests.alignment.training.conftest import MakeSpec
from tests.alignment.training.test_sharing import CPU, build, examples

LORA = LoraTuning(rank=4, alpha=4, dropout=0.2)


def scored(scorer: Scorer, rows: structure.Structure) -> tuple[Tensor, Tensor, int]:
    """Log-probabilities, gradients, and how many values were kept for the backward pass."""
    some, kept = examples(), 0
    laid = layout.shared(some, rows, CPU) if rows.shared else layout.plain(some, 0, CPU)

    def keep(value: Tensor) -> Tensor:
        nonlocal kept
        kept += value.numel()
        return value

    scorer.zero_grad(set_to_none=True)
    torch.manual_seed(3)
    with saved_tensors_hooks(keep, lambda value: value):
        logps = scorer(laid, rows).logps
    torch.autograd.backward((logps * torch.linspace(-1, 1, len(logps))).sum())
    slopes = [parameter.grad.flatten() for parameter in scorer.parameters() if parameter.grad is not None]
    return logps.detach(), torch.cat(slopes), kept


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("path", ["shared", "parts", "together", "plain"])
def test_layers_computed_again_give_the_same_bits(path: str, lora: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients are equal to the last bit on every path, dropout of adapters included; less is kept."""
    model = build("qwen3", {"num_hidden_layers": 4})
    if lora:
        model = add_adapters(model, LORA, Path("base"))
        for parameter in model.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter, std=0.1)
        train_only_adapter_dropout(model)
    rows = structure.of(model.config, model.config._attn_implementation)
    if path in ("parts", "together"):
        monkeypatch.setattr(attention, "TOGETHER", 0 if path == "parts" else 40)
        rows = arrange(model, CPU)
    rows = structure.plain("asked") if path == "plain" else rows
    scorer = Scorer(model, "fp32")
    logps, slopes, kept = scored(scorer, rows)

    recompute.switch_on(scorer)
    found, again, less = scored(scorer, rows)

    assert torch.equal(found, logps)
    assert torch.equal(again, slopes)
    assert less < 0.6 * kept


def test_layers_that_drop_values_out_do_not_begin_to() -> None:
    """A layer that asks itself whether it is in training answers no, although checkpointing needs it to say yes."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 160, "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2}
    config = OPTConfig(**sizes, num_attention_heads=2, max_position_embeddings=64, word_embed_proj_dim=32, dropout=0.5)
    model: PreTrainedModel = OPTForCausalLM(config)
    model.train(mode=False)
    scorer = Scorer(model, "fp32")
    rows = structure.plain("asked")
    logps, slopes, _ = scored(scorer, rows)

    recompute.switch_on(scorer)
    found, again, _ = scored(scorer, rows)

    assert torch.equal(found, logps)
    assert torch.equal(again, slopes)
    with dropout_off(scorer.model):
        assert not any(layer.training for layer in recompute.layers(scorer))
    assert all(layer.training for layer in recompute.layers(scorer))


def said(out: Path) -> dict[str, Any]:
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    return next(event for event in events if "gradient_checkpointing" in event)


@pytest.mark.parametrize(
    ("asked", "free", "on", "level", "why"),
    [
        ("auto", 2**40, False, "info", "off, it fits"),
        ("auto", 1, True, "warning", "on, it would not fit without"),
        ("off", 1, False, "warning", "off, as asked"),
        ("on", 2**40, True, "info", "on, as asked"),
    ],
)
def test_it_is_chosen_where_memory_is_short(
    make_spec: MakeSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    free: int,
    on: bool,
    level: str,
    why: str,
) -> None:
    """The log says whether layers are computed again, why, what is needed and what is free."""
    monkeypatch.setattr(room, "free_bytes", lambda _: free)

    train(make_spec(gradient_checkpointing=asked, duration={"steps": 1}), tmp_path / "out")

    told = said(tmp_path / "out")
    assert (told["gradient_checkpointing"], told["level"], told["free_bytes"]) == (on, level, free)
    assert why in told["message"]
    assert told["why"] == why.partition(", ")[2]
    assert re.search(r": about [\d.,]+ [kMG]B more are needed, and [\d.,]+ [kMG]B are free", told["message"])


def test_the_curve_is_the_same(make_spec: MakeSpec, tmp_path: Path) -> None:
    """A whole run with and without gives the same numbers."""
    ends = []
    for asked in ("off", "on"):
        metrics = train(make_spec(gradient_checkpointing=asked), tmp_path / asked).metrics
        ends.append({name: value for name, value in metrics.items() if not name.startswith(("through", "memory"))})

    assert ends[0] == ends[1]


def test_a_model_without_such_layers_is_refused(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option that cannot be honored is refused at its field; chosen automatically, it is left off."""
    monkeypatch.setattr(recompute, "layers", lambda _: [])
    with pytest.raises(BadSpec) as refused:
        train(make_spec(gradient_checkpointing="on"), tmp_path / "on")
    monkeypatch.setattr(room, "free_bytes", lambda _: 1)
    train(make_spec(duration={"steps": 1}), tmp_path / "auto")

    assert refused.value.field == "gradient_checkpointing"
    told = said(tmp_path / "auto")
    assert (told["gradient_checkpointing"], told["why"]) == (False, "its layers cannot be computed again")


@pytest.mark.parametrize(
    ("most", "current", "free"),
    [("max", "5", None), ("1000", "900", 300), ("1000", "2000", 0), ("rubbish", "5", None), (None, "5", None)],
)
def test_a_container_has_what_its_limit_leaves(
    tmp_path: Path, most: str | None, current: str, free: int | None
) -> None:
    """The limit of a control group counts, its caches as free; without one, or a damaged one, the machine's memory."""
    if most is not None:
        (tmp_path / "memory.max").write_text(f"{most}\n")
    (tmp_path / "memory.current").write_text(f"{current}\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 200\n")

    found = machine.free_memory(tmp_path)

    assert found == free if free is not None else found > 2**20
    assert machine.total_memory(tmp_path) == (1000 if most == "1000" else psutil.virtual_memory().total)


@pytest.mark.parametrize("value", ["yes", True, None, "ON"])
def test_other_words_are_refused(make_spec: MakeSpec, value: Any) -> None:
    """Nothing but the three words is taken."""
    with pytest.raises(ValueError, match="gradient_checkpointing"):
        Spec.model_validate(make_spec(gradient_checkpointing=value))
