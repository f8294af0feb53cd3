"""What the vocabulary says in chunks is what full logits say, gradients too; the full logits never exist."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig, AutoModelForCausalLM

from alignment.objectives.batch import OtherValue, TokenValue, beside
from alignment.training import layout, vocabulary
from alignment.training.measures import MEASURED
from alignment.training.rows import arrange
from alignment.training.scorer import Scorer
from alignment.training.vocabulary import Bend, Voice, token_values, without_gradient
from tests.alignment.training.test_sharing import CPU, SMALL, examples

SIZE = 160
EVERY = frozenset(TokenValue)
SMOOTH = sorted(EVERY - {TokenValue.TOP1, TokenValue.MEAN_LOGIT})


def plainly(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Every value as a textbook has it, from full logits."""
    logs = logits.log_softmax(1)
    probabilities = logs.exp()
    return {
        TokenValue.LOGPS: logs[torch.arange(len(target)), target],
        TokenValue.LOGSUMEXP: logits.logsumexp(1),
        TokenValue.ENTROPY: torch.special.entr(probabilities).sum(1),
        TokenValue.LOG_COLLISION: probabilities.square().sum(1).log(),
        TokenValue.TOP_MASS: probabilities.sort(dim=1).values[:, -10:].sum(1),
        TokenValue.TOP1: (logits.argmax(1) == target).to(logits.dtype),
        TokenValue.MEAN_LOGIT: logits.mean(1),
    }


def given(
    positions: int, *, bias: bool, dtype: torch.dtype, size: int = SIZE, width: int = 24
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def values(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    hidden, weight, added = values(positions, width), values(size, width), values(size) if bias else None
    return hidden, weight, added, torch.randint(size, (positions,), generator=generator)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of seven positions, so that they end in the middle of what is given."""
    monkeypatch.setattr(vocabulary, "chunk_rows", lambda *_: 7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("bend", [Bend(), Bend(0.25), Bend(0.5, 1.5)], ids=["straight", "scaled", "capped"])
@pytest.mark.parametrize("positions", [0, 1, 40])
def test_values_in_chunks_are_those_of_full_logits(positions: int, bend: Bend, bias: bool, dtype: torch.dtype) -> None:
    """Every value, and the gradient of any mixture of them, is that of the whole distribution."""
    hidden, weight, added, target = given(positions, bias=bias, dtype=dtype)
    leaves = [leaf for leaf in (hidden, weight, added) if leaf is not None]
    expected = plainly(bent(torch.nn.functional.linear(hidden, weight, added), bend), target)
    found = token_values(hidden, weight, added, target, EVERY, bend)

    within = 1e-10 if dtype == torch.float64 else 1e-5
    close = partial(torch.testing.assert_close, rtol=within, atol=within)
    for name in EVERY:
        close(found[name], expected[name])
    for names in ([TokenValue.LOGPS], SMOOTH):
        for one, other in zip(slopes(found, names, leaves), slopes(expected, names, leaves), strict=True):
            close(one, other, atol=within * max([1.0, *other.abs().flatten().tolist()]))


def slopes(values: dict[str, Tensor], names: Sequence[str], leaves: list[Tensor]) -> tuple[Tensor, ...]:
    whole = torch.stack([values[name].square().sum() for name in names]).sum()
    return torch.autograd.grad(whole, leaves, retain_graph=True)


def bent(logits: Tensor, bend: Bend) -> Tensor:
    """As the models write it."""
    return logits * bend.scale if bend.cap is None else bend.cap * torch.tanh(logits * bend.scale / bend.cap)


@pytest.mark.parametrize("bend", [Bend(0.5), Bend(0.5, 1.5)], ids=["scaled", "capped"])
@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_those_of_finite_differences(name: TokenValue, bend: Bend) -> None:
    """Each value's gradient agrees with how the value itself changes, in double precision."""
    hidden, weight, added, target = given(9, bias=True, dtype=torch.float64, size=14, width=3)
    assert added is not None

    def value(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return token_values(hidden, weight, bias, target, frozenset({name}), bend)[name]

    assert torch.autograd.gradcheck(value, (hidden, weight, added), atol=1e-6)


def test_nothing_is_computed_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the values that are named come back, and only they are computed; frozen weights get no gradient."""
    seen: list[frozenset[str]] = []
    whole = vocabulary.values_of

    def watched(logits: Tensor, target: Tensor, asked: frozenset[str], others: object = None) -> vocabulary.Values:
        assert not others
        seen.append(asked)
        return whole(logits, target, asked)

    monkeypatch.setattr(vocabulary, "values_of", watched)
    hidden, weight = torch.randn(5, 8, requires_grad=True), torch.randn(20, 8)
    found = token_values(hidden, weight, None, torch.arange(5), frozenset({TokenValue.LOGPS}))
    torch.autograd.backward(found[TokenValue.LOGPS].sum())

    assert set(found) == {TokenValue.LOGPS}
    assert seen == [frozenset({TokenValue.LOGPS})]
    assert hidden.grad is not None
    assert weight.grad is None


def test_a_value_without_gradient_says_so() -> None:
    """What is a step function of the logits cannot be trained on by mistake."""
    hidden, weight, added, target = given(5, bias=True, dtype=torch.float32)
    found = token_values(hidden, weight, added, target, EVERY)

    assert {name for name in EVERY if not found[name].requires_grad} == {TokenValue.TOP1, TokenValue.MEAN_LOGIT}


def beside_plainly(logits: Tensor, others: dict[str, Tensor], target: Tensor) -> dict[str, Tensor]:
    """Every value beside other models as a textbook has it, from full logits."""
    ours, found = logits.log_softmax(1), {}
    for name, other in others.items():
        theirs = other.log_softmax(1)
        found[beside(name, OtherValue.LOGPS)] = theirs[torch.arange(len(target)), target]
        found[beside(name, OtherValue.KL)] = torch.nn.functional.kl_div(
            ours, theirs, reduction="none", log_target=True
        ).sum(1)
        found[beside(name, OtherValue.EXPECTED)] = (ours.exp() * theirs).sum(1)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("positions", [0, 1, 40])
def test_values_beside_other_models_are_those_of_full_logits(
    positions: int, cap: float | None, dtype: torch.dtype
) -> None:
    """Divergences and expectations in chunks, and their gradients to the policy alone, are those of full logits."""
    hidden, weight, added, target = given(positions, bias=True, dtype=dtype)
    assert added is not None
    generator = torch.Generator().manual_seed(2)
    head = torch.randn(SIZE, 5, generator=generator, dtype=dtype).requires_grad_()
    states = torch.randn(positions, 5, generator=generator, dtype=dtype).requires_grad_()
    told = torch.randn(positions, SIZE, generator=generator, dtype=dtype)
    voices = {"teacher": Voice(states, head, None, Bend(0.5, cap)), "reference": Voice(told)}
    asked = frozenset(beside(name, value) for name in voices for value in OtherValue)
    logits = bent(torch.nn.functional.linear(hidden, weight, added), Bend(0.25, cap))
    full = {"teacher": bent(states.detach() @ head.detach().T, Bend(0.5, cap)), "reference": told}

    found = token_values(hidden, weight, added, target, asked | {TokenValue.LOGPS}, Bend(0.25, cap), voices)
    expected = beside_plainly(logits, full, target) | {TokenValue.LOGPS: plainly(logits, target)[TokenValue.LOGPS]}

    within = 1e-10 if dtype == torch.float64 else 1e-5
    close = partial(torch.testing.assert_close, rtol=within, atol=within)
    for name, value in expected.items():
        close(found[name], value)
    smooth = sorted(name for name in expected if not without_gradient(name))
    for names in (smooth, smooth[:1], [beside("reference", OtherValue.KL), TokenValue.LOGPS]):
        for one, other in zip(
            slopes(found, names, [hidden, weight, added]), slopes(expected, names, [hidden, weight, added]), strict=True
        ):
            close(one, other, atol=within * max([1.0, *other.abs().flatten().tolist()]))
    torch.testing.assert_close(voices["teacher"].means(), full["teacher"].mean(dim=1))
    assert head.grad is None
    assert not any(found[beside(name, OtherValue.LOGPS)].requires_grad for name in voices)


def test_a_model_does_not_diverge_from_itself() -> None:
    """The divergence of equal logits is exactly zero, and so is its gradient."""
    hidden, weight, _, target = given(9, bias=False, dtype=torch.float32)
    voice = Voice(hidden.detach(), weight.detach())
    name = beside("reference", OtherValue.KL)

    found = token_values(hidden, weight, None, target, frozenset({name}), Bend(), {"reference": voice})
    torch.autograd.backward(found[name].sum())

    assert found[name].tolist() == [0.0] * 9
    assert hidden.grad is not None
    assert hidden.grad.abs().max() < 1e-5


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the size of the largest tensor that any operation makes, and how many are as large as the logits."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values = 0

    def __torch_dispatch__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        self.values = max([self.values, *(leaf.numel() for leaf in tree_leaves(made) if isinstance(leaf, Tensor))])
        return made


@pytest.mark.parametrize(
    ("asked", "others"), [(MEASURED, False), (EVERY, False), (MEASURED, True)], ids=["metrics", "everything", "others"]
)
@pytest.mark.parametrize(("kind", "precision"), [("llama", "fp32"), ("gemma2", "fp32"), ("gemma2", "pure_bf16")])
def test_the_full_logits_never_exist(kind: str, precision: str, asked: frozenset[str], others: bool) -> None:
    """In no pass, forward or backward, does a tensor hold a value for each position and word of the vocabulary."""
    parts = SMALL | {"vocab_size": 6000, "num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8}
    config = AutoConfig.for_model(kind, **parts)
    model = AutoModelForCausalLM.from_config(config).eval()  # type: ignore[no-untyped-call]
    model.to(torch.bfloat16 if precision == "pure_bf16" else torch.float32)
    scorer, rows = Scorer(model, precision), arrange(model, CPU)
    laid = layout.shared(examples(), rows, CPU) if rows.shared else layout.plain(examples(), 0, CPU)
    if others:
        asked |= {beside("reference", OtherValue.KL), beside("reference", OtherValue.EXPECTED)}
    with Largest() as watch:
        voices = {"reference": scorer.voice(laid, rows)} if others else {}
        scores = scorer(laid, rows, asked, voices=voices)
        terms = [scores.logps.sum(), *(value.sum() for value in scores.tokens.values())]
        torch.autograd.backward(torch.stack([term for term in terms if term.requires_grad]).sum())

    positions = len(laid.target)
    assert positions > 100
    assert 7 * 6000 <= watch.values < positions * 6000 / 5
    assert set(scores.tokens) == set(asked)
