"""Twenty steps of the engine are those of the textbook loop: padded rows, whole logits, a reference model beside."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid
from transformers import LlamaForCausalLM, PreTrainedModel

from alignment.objectives import Objective, State
from alignment.objectives.dpo import DPO
from alignment.objectives.ipo_avg import IPO
from alignment.objectives.simpo import SimPO
from alignment.training import Spec
from alignment.training.encode import Encoded
from alignment.training.model import load_model, load_tokenizer
from alignment.training.prepare import build
from alignment.training.spec import Optimizer
from alignment.training.step import sequence_logps
from tests.alignment.training.test_step import encoded, nothing, with_tokens

STEPS, EXAMPLES = 20, 6
RATE = 1e-3
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

PAPERS: dict[str, tuple[Objective, Loss]] = {
    # policy and reference (2, examples) with chosen first, lengths (2, examples) -> the loss of each example
    "dpo": (DPO(beta=0.3), lambda policy, reference, _: -logsigmoid(0.3 * _margin(policy - reference))),
    "ipo": (IPO(tau=0.4), lambda policy, reference, n: (_margin((policy - reference) / n) - 1 / (2 * 0.4)) ** 2),
    "simpo": (SimPO(beta=2.0, gamma=1.0), lambda policy, _, n: -logsigmoid(2.0 * _margin(policy / n) - 1.0)),
}


def _margin(values: Tensor) -> Tensor:
    return values[0] - values[1]


@pytest.mark.parametrize("name", PAPERS)
def test_the_trajectory_is_that_of_the_textbook_loop(name: str, spec: Spec) -> None:
    """Losses within 1e-5 and gradient norms within 1e-4 relative, step by step, as weights drift from the reference."""
    objective, loss_of = PAPERS[name]
    steady = Optimizer(learning_rate=RATE, schedule="constant", warmup_ratio=0)
    told = spec.model_copy(update={"optimizer": steady})
    learner = with_tokens(build(told, load_tokenizer(spec.checkpoint), STEPS)[0], 64, objective)
    assert learner.scoring.structure.shared
    textbook = load_model(spec.checkpoint)
    optimizer = torch.optim.AdamW(textbook.parameters(), lr=RATE, weight_decay=0.0)
    reference = deepcopy(textbook)
    rows = encoded(STEPS * EXAMPLES, seed=5)
    known = sequence_logps(learner.scoring, rows, nothing)

    for step in range(STEPS):
        some = slice(step * EXAMPLES, (step + 1) * EXAMPLES)
        found = learner.update(rows[some], known[some], State(step), nothing)
        loss, norm = _textbook_step(textbook, reference, optimizer, rows[some], loss_of, learner.max_grad_norm)

        assert found["loss"] == pytest.approx(loss, abs=1e-5), step
        assert found["grad_norm"] == pytest.approx(norm, rel=1e-4), step


def _textbook_step(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    examples: list[Encoded],
    loss_of: Loss,
    most: float,
) -> tuple[float, float]:
    policy, lengths = _logps(model, examples)
    with torch.no_grad():
        frozen, _ = _logps(reference, examples)
    loss = loss_of(policy, frozen, lengths).mean()
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), most)
    optimizer.step()
    return loss.item(), norm.item()


def _logps(model: PreTrainedModel, examples: list[Encoded]) -> tuple[Tensor, Tensor]:
    """Summed log-probabilities and lengths, (2, examples) each, by one padded forward pass with its whole logits."""
    assert isinstance(model, LlamaForCausalLM)
    answers = [example.responses[side] for side in (0, 1) for example in examples]
    whole = [example.prompt + answer for example, answer in zip(2 * examples, answers, strict=True)]
    width = max(map(len, whole))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in whole])
    seen = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in whole])
    logps = log_softmax(model(input_ids=ids, attention_mask=seen).logits[:, :-1].float(), dim=-1)
    taken = logps.gather(2, ids[:, 1:, None]).squeeze(2)
    place = torch.arange(1, width)
    starts = torch.tensor([len(row) - len(answer) for row, answer in zip(whole, answers, strict=True)])[:, None]
    counts = torch.tensor([len(answer) for answer in answers])
    answered = (place >= starts) & (place < starts + counts[:, None])
    return (taken * answered).sum(1).view(2, -1), counts.view(2, -1).float()
