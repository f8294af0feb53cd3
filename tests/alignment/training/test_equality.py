"""Twenty steps are those of the plainest loop: padded batches, full logits, a second model as the reference."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM

from alignment.objectives import State
from alignment.training import Spec, structure
from alignment.training.encode import Encoded
from alignment.training.model import load_tokenizer
from alignment.training.prepare import build
from alignment.training.step import Learner, sequence_logps
from tests.alignment.training.conftest import MakeSpec
from tests.alignment.training.test_step import encoded, nothing

STEPS, BATCHES, SIZE, RATE = 20, 5, 5, 3e-4
OBJECTIVES: list[dict[str, Any]] = [
    {"name": "dpo", "beta": 0.1},
    {"name": "ipo_avg", "tau": 0.1},
    {"name": "simpo", "beta": 2.0, "gamma": 0.5},
]


def losses(name: str, policy: Tensor, reference: Tensor, lengths: Tensor) -> Tensor:
    """The papers' formulas on log-probabilities (pairs, 2) of chosen and rejected responses."""
    ratios, averages = policy - reference, policy / lengths
    if name == "dpo":
        return -logsigmoid(0.1 * (ratios[:, 0] - ratios[:, 1]))
    if name == "simpo":
        return -logsigmoid(2.0 * (averages[:, 0] - averages[:, 1]) - 0.5)
    margins = ratios / lengths
    found: Tensor = (margins[:, 0] - margins[:, 1] - 1 / (2 * 0.1)) ** 2
    return found


def sums(model: Any, some: list[Encoded]) -> Tensor:
    """Log-probabilities (pairs, 2) of responses in one padded batch.

    They are added up in float64: IPO's loss of 25 shows tenfold what rounding a sum adds to its margin.
    """
    rows = [torch.tensor(one.prompt + answer) for one in some for answer in one.responses]
    starts = torch.tensor([len(one.prompt) for one in some for _ in one.responses])[:, None]
    ids, seen = (pad_sequence(one, batch_first=True) for one in (rows, [torch.ones_like(row) for row in rows]))
    logps = model(ids, attention_mask=seen).logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2)
    places = torch.arange(1, ids.shape[1])[None]
    found: Tensor = (logps * (places >= starts) * seen[:, 1:]).sum(1, dtype=torch.float64).float().view(-1, 2)
    return found


def plainly(base: Path, name: str, batches: list[list[Encoded]]) -> Iterator[tuple[float, float]]:
    """Loss and gradient norm of each step."""
    model, reference = (AutoModelForCausalLM.from_pretrained(base) for _ in range(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    for some in batches:
        with torch.no_grad():
            before = sums(reference, some)
        lengths = torch.tensor([[float(len(answer)) for answer in one.responses] for one in some])
        loss = losses(name, sums(model, some), before, lengths).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield loss.item(), norm.item()


def arranged(learner: Learner, way: str) -> Learner:
    scoring = replace(learner.scoring, tokens=100_000 if way == "one row" else 60)
    if way == "plain":
        scoring = replace(scoring, structure=structure.plain("asked"))
    return replace(learner, scoring=scoring)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one["name"])
def test_twenty_steps_are_those_of_a_plain_loop(objective: dict[str, Any], make_spec: MakeSpec, base: Path) -> None:
    """In packs of shared rows, in one row and in padded rows: losses within 1e-5, gradient norms within 1e-4."""
    optimizer = {"learning_rate": RATE, "warmup_ratio": 0, "schedule": "constant"}
    spec = Spec.model_validate(make_spec(objective=objective, optimizer=optimizer))
    examples = encoded(BATCHES * SIZE)
    places = [slice(step % BATCHES * SIZE, (step % BATCHES + 1) * SIZE) for step in range(STEPS)]
    expected = list(plainly(base, objective["name"], [examples[some] for some in places]))
    assert expected[0][0] - expected[-BATCHES][0] > 1e-3

    for way in ("packs", "one row", "plain"):
        learner = arranged(build(spec, load_tokenizer(base), STEPS)[0], way)
        assert learner.scoring.structure.shared == (way != "plain")
        assert (len(learner.scoring.packs(examples[:SIZE])) == 1) == (way == "one row")
        known = sequence_logps(learner.scoring, examples, nothing)
        for step, (some, (loss, norm)) in enumerate(zip(places, expected, strict=True)):
            values = learner.update(examples[some], known[some], State(step), nothing).metrics
            assert values["loss"] == pytest.approx(loss, abs=1e-5), (way, step)
            assert values["grad_norm"] == pytest.approx(norm, rel=1e-4), (way, step)
