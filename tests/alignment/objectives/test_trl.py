"""Losses that TRL has too: its own code on the same log-probabilities, and where both differ, by what.

Needs the extra `bench`; docs/objectives.md has the table of differences that these tests hold.
"""

import importlib
import warnings
from collections import defaultdict
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from alignment.objectives import REFERENCE, Batch, OtherValue, Role, State, Tokens, TokenValue, beside
from alignment.training.kinds.bradley_terry import BradleyTerry
from alignment.training.kinds.bradley_terry_margin import BradleyTerryMargin
from alignment.training.kinds.sft import SFT
from tests.alignment.objectives.cases import begun, make

if find_spec("trl") is None:
    pytest.skip("TRL is not installed: pip install -e '.[bench]'", allow_module_level=True)

PROMPT, LONGEST = 2, 9
LENGTHS = torch.tensor([5, 3, 7, 2, 4, 7, 6, 1])  # four chosen responses, then as many rejected ones
COUNT = len(LENGTHS)


def trainer(module: str, name: str) -> Any:
    """A trainer's class; what its import warns of is no concern of these tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module(f"trl.{module}"), name)


class Said:
    """What a policy and a reference say of the tokens of eight responses after a prompt of two tokens: values at every
    position, as TRL's models give them, and the same as a batch of four pairs or of single answers."""

    def __init__(self, dtype: Any = torch.float64, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.mask = torch.arange(LONGEST) < PROMPT + LENGTHS[:, None]
        self.completion = self.mask & (torch.arange(LONGEST) >= PROMPT)
        self.learned = self.completion[:, 1:]

        def values() -> torch.Tensor:
            return torch.rand(COUNT, LONGEST - 1, generator=generator).to(dtype) * self.learned

        self.policy = (-4 * values()).requires_grad_()
        self.reference, self.collision = -4 * values(), -3 * values() - 1

    def model(self, logps: torch.Tensor) -> Any:
        """What stands for a model in TRL's code: it answers with these values."""

        def answer(**_: Any) -> SimpleNamespace:
            nothing = torch.zeros_like(self.collision)
            return SimpleNamespace(
                log_probs=logps * self.learned,
                log_sum_sq_probs=self.collision,
                entropy=nothing,
                mean_logits=nothing,
                is_top1=self.learned,
                label_mask=self.learned,
            )

        return answer

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        ids = torch.arange(COUNT * LONGEST).view(COUNT, LONGEST)
        mask = {"attention_mask": self.mask.long(), "completion_mask": self.completion.long()}
        return {"input_ids": ids, **mask}

    def batch(self, roles: list[Role] | None = None) -> Batch:
        """The same for our objectives: pairs of the first half with the second, or each response an example."""
        sequence = torch.arange(COUNT)[:, None].expand_as(self.learned)[self.learned]
        values = {
            TokenValue.LOGPS: self.policy[self.learned],
            TokenValue.LOG_COLLISION: self.collision[self.learned],
            beside(REFERENCE, OtherValue.LOGPS): self.reference[self.learned],
        }
        sides = [int(Role.CHOSEN), int(Role.REJECTED)]
        return Batch(
            logps=(self.policy * self.learned).sum(1),
            lengths=LENGTHS.to(self.policy.dtype),
            example=torch.arange(COUNT) if roles else torch.arange(COUNT // 2).repeat(2),
            role=torch.tensor(roles or sides).repeat_interleave(1 if roles else COUNT // 2),
            reference=self.reference.sum(1),
            tokens=Tokens(sequence, {str(name): value for name, value in values.items()}),
        )


def settings(**changes: Any) -> SimpleNamespace:
    """What TRL's loss reads of its trainer, with TRL's defaults."""
    from accelerate import Accelerator

    model: Any = torch.nn.Identity().eval()
    model.is_gradient_checkpointing = False
    return SimpleNamespace(
        **{
            "accelerator": Accelerator(cpu=True),
            "model": model,
            "args": SimpleNamespace(gradient_checkpointing_kwargs=None, discopop_tau=changes.pop("discopop_tau", 0.05)),
            "aux_loss_enabled": False,
            "precompute_ref_logps": False,
            "calculate_KL": False,
            "ld_alpha": None,
            "f_divergence_type": "reverse_kl",
            "f_alpha_divergence_coef": 0.5,
            "loss_types": ["sigmoid"],
            "loss_weights": [1.0] * len(changes.get("loss_types", "x")),
            "label_smoothing": 0.0,
            "use_weighting": False,
            "beta": 0.1,
            "_metrics": defaultdict(lambda: defaultdict(list)),
            "_total_train_tokens": 0,
            **changes,
        }
    )


def theirs(said: Said, **changes: Any) -> torch.Tensor:
    """The loss of TRL's DPO trainer."""
    own = settings(**changes)
    own.ref_model = said.model(said.reference)
    compute = trainer("trainer.dpo_trainer", "DPOTrainer")._compute_loss
    found: torch.Tensor = compute(own, said.model(said.policy), said.inputs, False)
    return found


def ours(batch: Batch, name: str, **fields: Any) -> torch.Tensor:
    objective = make(name, **fields)
    return objective.loss(batch, begun(objective, batch)).mean()


def assert_alike(said: Said, found: torch.Tensor, expected: torch.Tensor, rtol: float = 1e-9) -> None:
    """Losses and gradients with respect to every token agree."""
    torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol, check_dtype=False)
    slopes = [torch.autograd.grad(one, said.policy, retain_graph=True)[0] for one in (found, expected)]
    assert slopes[0].norm() > 0
    torch.testing.assert_close(*slopes, rtol=rtol, atol=rtol)


SAME: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sigmoid": ("dpo", {"beta": 0.3}, {"beta": 0.3}),
    "hinge": ("rso_hinge_norm", {"gamma": 0.3}, {"beta": 0.3}),
    "ipo": ("ipo_avg", {"tau": 0.3}, {"beta": 0.3}),
    "exo_pair": ("exo_pair", {"beta": 0.3, "eps": 0.01}, {"beta": 0.3, "label_smoothing": 0.01}),
    "nca_pair": ("nca_pair", {"beta": 0.3}, {"beta": 0.3}),
    "robust": ("rdpo", {"beta": 0.3, "eps": 0.2}, {"beta": 0.3, "label_smoothing": 0.2}),
    "bco_pair": ("bco_pair", {"beta": 0.3, "shift": "none"}, {"beta": 0.3}),
    "aot": ("aot_paired", {"beta": 0.3, "eps": 0.1}, {"beta": 0.3, "label_smoothing": 0.1}),
    "aot_unpaired": ("aot_unpaired", {"beta": 0.3, "eps": 0.1}, {"beta": 0.3, "label_smoothing": 0.1}),
    "apo_zero": ("apo_zero", {"beta": 0.3}, {"beta": 0.3}),
    "apo_down": ("apo_down", {"beta": 0.3}, {"beta": 0.3}),
    "discopop": ("discopop", {"beta": 0.05, "tau": 0.05}, {"beta": 0.05}),
    "sigmoid_norm": ("ln_dpo", {"beta": 2.0}, {"beta": 2.0}),
}
"""By TRL's loss type: ours with its fields, and TRL's settings."""


@pytest.mark.parametrize("loss_type", SAME)
def test_losses_of_the_same_name_are_the_same(loss_type: str) -> None:
    """Value and gradient of each loss type, on the same pairs."""
    name, fields, changes = SAME[loss_type]
    said = Said()
    rtol = 1e-6 if loss_type == "exo_pair" else 1e-9  # its epsilon is in single precision there

    assert_alike(said, ours(said.batch(), name, **fields), theirs(said, loss_types=[loss_type], **changes), rtol)


@pytest.mark.parametrize(
    ("name", "fields", "changes"),
    [
        ("fdpo_forward_kl", {}, {"f_divergence_type": "forward_kl"}),
        ("fdpo_js", {}, {"f_divergence_type": "js_divergence"}),
        ("ld_dpo", {"alpha": 0.4}, {"ld_alpha": 0.4}),
        ("wpo", {"beta": 0.1, "clamp": False}, {"use_weighting": True}),
        ("rpo_average", {"beta": 0.1, "nll": "batch"}, {"loss_types": ["sigmoid", "sft"], "loss_weights": [1, 0.2]}),
    ],
)
def test_what_modifies_dpo_is_the_same(name: str, fields: dict[str, Any], changes: dict[str, Any]) -> None:
    """Divergences, discounts of length, weights of pairs, and likelihood of the chosen response beside the margin."""
    said = Said()

    assert_alike(said, ours(said.batch(), name, **fields), theirs(said, **changes))


def test_trl_counts_alpha_from_the_other_end() -> None:
    """Its coefficient of the alpha divergence is 1 less ours.  It computes in single precision at most."""
    said = Said(torch.float32)

    found = ours(said.batch(), "fdpo_alpha", alpha=0.3)
    assert_alike(said, found, theirs(said, f_divergence_type="alpha_divergence", f_alpha_divergence_coef=0.7), 1e-5)


def test_trl_leaves_out_the_half_of_sppo() -> None:
    """Its loss and gradient are twice the paper's, which ours has."""
    said = Said()

    assert_alike(
        said, 2 * ours(said.batch(), "sppo_hard", beta=0.01), theirs(said, loss_types=["sppo_hard"], beta=0.01)
    )


def test_trl_takes_no_notice_of_smoothing_in_dpo() -> None:
    """With label smoothing its `sigmoid` is still DPO; here cDPO is an objective of its own."""
    said = Said()
    smoothed = theirs(said, label_smoothing=0.2)

    assert_alike(said, ours(said.batch(), "dpo"), smoothed)
    assert abs(ours(said.batch(), "cdpo", eps=0.2).item() - smoothed.item()) > 1e-3


def test_trl_does_not_clamp_the_weights_of_wpo() -> None:
    """A pair that the policy would say counts for more than one there, and at most for one in the authors' code."""
    said = Said()
    said.collision = said.collision - 6

    unclamped, clamped = (ours(said.batch(), "wpo", beta=0.1, clamp=clamp) for clamp in (False, True))

    assert_alike(said, unclamped, theirs(said, use_weighting=True))
    assert clamped < 0.5 * unclamped


def test_trl_has_no_threshold_in_bco_of_pairs() -> None:
    """Ours subtracts the mean of all rewards seen, unless `shift` is none."""
    said = Said()

    plain, shifted = theirs(said, loss_types=["bco_pair"]), ours(said.batch(), "bco_pair", beta=0.1)

    assert abs(plain.item() - shifted.item()) > 1e-4


def test_summed_ipo_is_not_trls() -> None:
    """TRL's IPO is that of averages over tokens; the one of sums, which the paper writes, is another objective."""
    said = Said()

    assert abs(ours(said.batch(), "ipo_sum").item() - theirs(said, loss_types=["ipo"]).item()) > 1


def test_kto_is_the_same_around_the_same_point() -> None:
    """TRL's answers to other prompts give the point, ours are examples in the role of mismatched ones."""
    said, other = Said(), Said(seed=1)
    wanted = torch.tensor([True, False] * (COUNT // 2))
    own = settings(calculate_KL=True, loss_type="kto", desirable_weight=1.2, undesirable_weight=0.7, beta=0.3)
    kl = {"policy": (other.policy.detach().sum(1) + 9), "reference": other.reference.sum(1)}
    answers = iter((kl["policy"], kl["reference"]))
    own._compute_kl_logps = lambda *_: next(answers)
    own.ref_model = said.model(said.reference)
    compute = trainer("trainer.kto_trainer", "KTOTrainer")._compute_loss

    expected = compute(own, said.model(said.policy), {**said.inputs, "label": wanted}, False)

    batch = said.batch([Role.DESIRABLE if one else Role.UNDESIRABLE for one in wanted.tolist()])
    both = Batch(
        logps=torch.cat([batch.logps, kl["policy"]]),
        lengths=batch.lengths.repeat(2),
        example=batch.example.repeat(2),
        role=torch.cat([batch.role, torch.full((COUNT,), int(Role.MISMATCHED))]),
        reference=torch.cat([said.reference.sum(1), kl["reference"]]),
    )
    assert (kl["policy"] - kl["reference"]).mean() > 0
    assert_alike(said, ours(both, "kto", beta=0.3, lam_d=1.2, lam_u=0.7), expected)


def of_cpo(said: Said, **changes: Any) -> torch.Tensor:
    """The mean loss of TRL's CPO trainer, without what it adds for the likelihood of the chosen response."""
    sums = (said.policy * said.learned).sum(1)
    logps = sums / LENGTHS if changes["loss_type"] in ("ipo", "simpo") else sums
    own = settings(**{"alpha": 0.0, "simpo_gamma": 0.5, **changes})
    found: torch.Tensor = trainer("experimental.cpo.cpo_trainer", "CPOTrainer").cpo_loss(own, *logps.chunk(2))[0]
    return found.mean()


def test_losses_without_a_reference_are_the_same() -> None:
    """CPO on sums, SimPO on averages and SLiC's hinge; TRL's `simpo` subtracts gamma / beta before it multiplies."""
    said = Said()
    batch = said.batch()

    assert_alike(said, ours(batch, "cpo", beta=0.3, alpha=0), of_cpo(said, loss_type="sigmoid", beta=0.3))
    simpo = of_cpo(said, loss_type="simpo", beta=2.0, simpo_gamma=0.7)
    assert_alike(said, ours(batch, "simpo", beta=2.0, gamma=0.7), simpo)
    assert_alike(said, ours(batch, "cpo_simpo", beta=2.0, gamma=0.7, alpha=0), simpo)
    assert_alike(said, ours(batch, "slic_hf", delta=1.0, lam=0), of_cpo(said, loss_type="hinge", beta=1.0))


def test_orpo_has_the_same_odds() -> None:
    """Beside fine-tuning, which TRL's trainer takes of the prompt as well, ORPO is the same; it casts to single
    precision."""
    said = Said(torch.float32)
    averages = ((said.policy * said.learned).sum(1) / LENGTHS).chunk(2)
    odds = trainer("experimental.orpo.orpo_trainer", "ORPOTrainer").odds_ratio_loss(settings(beta=0.4), *averages)[0]

    assert_alike(said, ours(said.batch(), "orpo", lam=0.4), -averages[0].mean() - odds.mean(), 1e-5)


def of_sft(said: Said, tokens: int | None) -> torch.Tensor:
    """The loss of TRL's SFT trainer where labels are the responses; `tokens` are those of a whole optimizer batch."""
    own = settings(compute_loss_func=None, label_smoother=None, get_tp_size=lambda: 1, _tp_size=1)
    own.args = SimpleNamespace(loss_type="nll", average_tokens_across_devices=False, max_length=None)
    compute = trainer("trainer.sft_trainer", "SFTTrainer").compute_loss
    found: torch.Tensor = compute(own, said.model(said.policy), said.inputs, num_items_in_batch=tokens)
    return found


def test_fine_tuning_weighs_every_token_of_the_optimizer_batch_alike() -> None:
    """TRL's nll is ours by tokens, also where a step has more tokens than are here; by examples is another mean."""
    said = Said()
    tokens = int(LENGTHS.sum())
    batch = replace(said.batch([Role.DESIRABLE] * COUNT), mean_length=tokens / COUNT)
    by_token, by_example = (SFT(mean=mean).loss(batch, State()).mean() for mean in ("token", "example"))

    assert_alike(said, by_token, of_sft(said, None))
    halved = SFT().loss(replace(batch, mean_length=2 * tokens / COUNT), State()).mean()
    assert_alike(said, halved, of_sft(said, 2 * tokens))
    assert abs(by_example.item() - by_token.item()) > 1e-3


@pytest.mark.parametrize(("center", "margins"), [(0.0, False), (0.01, False), (0.0, True), (0.01, True)])
def test_scores_of_pairs_are_learned_alike(center: float, margins: bool) -> None:
    """TRL's reward trainer, with margins and with the pull towards zero, in value and gradient."""
    scores = torch.randn(COUNT, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    margin = torch.rand(COUNT // 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    own = settings(args=SimpleNamespace(center_rewards_coefficient=center or None), _tp_size=1)
    own.accelerator.gather = lambda values: values
    inputs = {"attention_mask": torch.ones(COUNT, 1), **({"margin": margin} if margins else {})}
    compute = trainer("trainer.reward_trainer", "RewardTrainer").compute_loss

    expected = compute(own, lambda **_: SimpleNamespace(logits=scores[:, None]), inputs)

    batch = replace(Said().batch(), logps=scores, facts={"margin": margin.repeat(2)} if margins else {})
    loss = (BradleyTerryMargin if margins else BradleyTerry)(center=center).loss(batch, State()).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    slopes = [torch.autograd.grad(one, scores)[0] for one in (loss, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)
