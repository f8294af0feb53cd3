"""Objectives of pairs: what each is at the reference, which way it pushes, and what its settings may be."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from alignment.objectives import State
from tests.alignment.objectives.cases import Holder, Pair, batch_of, begun, evaluated, make, pair_batch, pairs_batch

MARGIN_ONLY = ["adpo_pair_soft", "cdpo", "discopop", "dpo", "egpo", "exo_pair", "fdpo_reverse_kl", "ipo_sum", "lcpo"]
MARGIN_ONLY += ["madpo", "modpo", "odpo_log", "odpo_offset", "online_ipo", "osp_soft_ce", "r_dpo", "rdpo", "spo_degree"]
MARGIN_ONLY += ["rso_hinge_norm", "rso_sigmoid_norm", "smoothed", "soft_labeled", "weighted", "wpo"]
APART = ["apo_down", "apo_zero", "bco_pair", "fdpo_alpha", "fdpo_forward_kl", "fdpo_js", "flex_dpo", "gpo_score"]
APART += ["ipo_avg", "ln_dpo", "nca_pair", "rpo_average", "rpo_cumulative", "sppo_hard", "sppo_soft"]


@pytest.mark.parametrize("name", MARGIN_ONLY + APART)
def test_only_the_margin_moves_those_that_are_made_of_it(name: str) -> None:
    """Both gradients are equal and opposite for functions of the margin, and for no other."""
    objective = make(name)
    batch = batch_of(objective.needs, [(3.0, -1.0), (-2.0, 1.5), (0.5, 0.25)], lengths=(12.0, 31.0))

    _, gradient = evaluated(objective, batch)

    chosen, rejected = gradient.view(-1, 2).unbind(1)
    assert torch.allclose(chosen, -rejected, rtol=1e-9) == (name in MARGIN_ONLY)


def test_discopop_has_a_bump_beside_no_preference() -> None:
    """Between its local minimum and its local maximum the margin is pushed down, beyond both it is pushed up."""
    objective = make("discopop", beta=0.05, tau=0.05)

    def at(z: float) -> tuple[float, float]:
        loss, gradient = evaluated(objective, pair_batch(-40 + z / 0.05, -60.0, reference=(-40.0, -60.0)))
        return loss.item(), gradient[0].item()

    assert at(-0.1186)[0] == pytest.approx(0.785924, abs=1e-6)
    assert at(0.072)[0] == pytest.approx(0.878290, abs=1e-6)
    assert [math.copysign(1, at(z)[1]) for z in (-0.3, 0.0, 0.3)] == [-1, 1, -1]


def test_forward_kl_never_stops_pushing_what_has_fallen_far() -> None:
    """Beyond its clamp, too, a chosen response far below the reference is pulled up, in single precision."""
    for name in ("fdpo_forward_kl", "fdpo_alpha"):
        _, gradient = evaluated(make(name), pair_batch(-1e4, -30.0, reference=(-10.0, -30.0), dtype=torch.float32))

        assert gradient[0] < -1e5


def test_bco_pair_measures_from_the_mean_of_all_rewards_seen() -> None:
    """The threshold is the mean over steps, the present one included; it has no gradient of its own."""
    objective = make("bco_pair", beta=0.5)
    first = batch_of(objective.needs, [(4.0, -2.0)])
    second = batch_of(objective.needs, [(8.0, 6.0)])
    state = begun(objective, first)
    assert (state.moved["sum"] / state.moved["count"]).item() == pytest.approx(0.5)

    loss, gradient = evaluated(objective, second, begun(objective, second, state))

    delta = 0.5 * (4 - 2 + 8 + 6) / 4
    better, worse = torch.tensor([4.0 - delta, 3.0 - delta], dtype=torch.float64)
    assert loss.item() == pytest.approx((-torch.nn.functional.logsigmoid(torch.stack([better, -worse]))).sum().item())
    assert gradient.tolist() == pytest.approx([-0.5 * (-better).sigmoid().item(), 0.5 * worse.sigmoid().item()])


def test_bco_pair_without_a_threshold_keeps_no_state() -> None:
    """`shift: none` needs nothing between steps, so that its examples need not be scored twice."""
    assert make("bco_pair").needs.state
    assert not make("bco_pair", shift="none").needs.state
    assert make("bco_pair", shift="none").start() == {}


@pytest.mark.parametrize("name", ["cpo", "rpo_average"])
def test_the_likelihood_of_a_batch_is_the_mean_over_all_its_tokens(name: str) -> None:
    """With `nll: batch` long chosen responses weigh more, and the loss is one number of the whole batch."""
    weights = {"alpha": 2.0} if name == "cpo" else {"eta": 2.0}
    objective, without = make(name, nll="batch", **weights), make(name, **dict.fromkeys(weights, 0.0))
    assert objective.needs.coupled
    assert not without.needs.coupled
    batch = pairs_batch([Pair(-59.0, -50.0, -60.0, -48.0, 10, 9), Pair(-63.0, -70.0, -60.0, -48.0, 30, 9)])

    loss = objective.loss(batch, State())

    assert loss.shape == ()
    torch.testing.assert_close(loss, without.loss(batch, State()).mean() + 2.0 * (59.0 + 63.0) / (10 + 30))


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"name": "rdpo", "eps": 0.5}, "objective.eps", "less than 0.5"),
        ({"name": "rdpo", "eps": -0.1}, "objective.eps", "greater than or equal to 0"),
        ({"name": "ipo_sum", "tau": 0}, "objective.tau", "greater than or equal to"),
        ({"name": "ln_dpo", "beta": -1}, "objective.beta", "greater than 0"),
        ({"name": "r_dpo", "alpha": -0.1}, "objective.alpha", "greater than or equal to 0"),
        ({"name": "fdpo_alpha", "alpha": 0}, "objective.alpha", "greater than or equal to"),
        ({"name": "fdpo_alpha", "alpha": 1}, "objective.alpha", "less than 1"),
        ({"name": "fdpo_js", "alpha": 0.5}, "objective.alpha", "unknown key"),
        ({"name": "rpo_average", "eta": -0.2}, "objective.eta", "greater than or equal to 0"),
        ({"name": "rpo_average", "nll": "sum"}, "objective.nll", "'mean' or 'batch'"),
        ({"name": "rpo_cumulative", "nll": "mean"}, "objective.nll", "unknown key"),
        ({"name": "dpop", "lam": -1}, "objective.lam", "greater than or equal to 0"),
        ({"name": "flex_dpo", "beta_l": 0}, "objective.beta_l", "greater than 0"),
        ({"name": "exo_pair", "eps": 0}, "objective.eps", "greater than 0"),
        ({"name": "exo_pair", "eps": 0.5}, "objective.eps", "less than 0.5"),
        ({"name": "bco_pair", "shift": "midpoint"}, "objective.shift", "'pooled' or 'none'"),
        ({"name": "sppo_hard", "beta": 0}, "objective.beta", "greater than or equal to"),
        ({"name": "rso_sigmoid_norm", "beta": 0.1}, "objective.beta", "unknown key"),
        ({"name": "slic_hf", "delta": -1}, "objective.delta", "greater than or equal to 0"),
        ({"name": "cpo", "nll": "token"}, "objective.nll", "'sum', 'mean' or 'batch'"),
        ({"name": "cpo", "nll": None}, "objective.nll", "'sum', 'mean' or 'batch'"),
        ({"name": "orpo", "beta": 0.1}, "objective.beta", "unknown key"),
        ({"name": "asft", "lam": float("nan")}, "objective.lam", "finite"),
        ({"name": "discopop", "tau": 0}, "objective.tau", "greater than or equal to"),
    ],
)
def test_a_setting_outside_the_papers_domain_is_refused(given: Any, field: str, words: str) -> None:
    """What makes no sense for an objective, or belongs to another one, is refused with the field and the reason."""
    with pytest.raises(ValidationError) as refused:
        Holder.model_validate({"objective": given})

    (error,) = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert words in error["msg"]
