"""Golden pairs that say more than log-probabilities: facts of both responses, and responses in further roles."""

from typing import Any

import torch

from alignment.objectives import Batch, Needs, Role
from alignment.objectives.objective import PAIR

SIDES = {
    "score": (("score_w", "score_l"), ("reward_w", "reward_l")),
    "margin": (("margin", "margin"),),
    "soft_label": (("q", "q"),),
    "win_probability": (("p_w", "p_l"), ("pref_w", "pref_l")),
    "preference_score": (("s_w", "s_l"),),
    "degree_logits": (("deg_logits_w", "deg_logits_l"),),
}
"""What the golden file calls a fact of the chosen and of the rejected response."""
ASPECTS = ("first", "second")
"""What MODPO's other objectives are called here."""
FURTHER = (
    ("logp_r", "", Role.RATIONALE),
    ("logp_sample", "", Role.REFERENCE_SAMPLE),
    ("logp_on", "ref_on", Role.POLICY_SAMPLE),
    ("logp_w_e", "ref_w_e", Role.EMPTY_CHOSEN),
    ("logp_l_e", "ref_l_e", Role.EMPTY_REJECTED),
)
TURNED = (("logp_l_gl", "ref_l_gl", Role.CHOSEN), ("logp_w_gl", "ref_w_gl", Role.REJECTED))
"""The same pair as an example of its own, asked for the lower score: the golden loss is the mean of both."""


def tells(needs: Needs) -> bool:
    """Whether an objective reads more of a pair than two log-probabilities."""
    return needs.roles >= PAIR and (bool(needs.facts) or needs.goals or needs.roles > PAIR)


def told(case: dict[str, Any], dtype: Any) -> tuple[Batch, list[torch.Tensor], list[float]]:
    """The whole example, what the gradient is taken of, and the gradient it should be."""
    given, pair = case["inputs"], (("logp_w", "ref_w", Role.CHOSEN), ("logp_l", "ref_l", Role.REJECTED))
    rows = [row for row in (*pair, *TURNED, *FURTHER) if row[0] in given]
    examples = [int(row in TURNED) for row in rows]
    facts = {name: torch.tensor(values, dtype=dtype) for name, values in _facts(given, len(rows)).items()}
    heads = [values.requires_grad_() for values in facts.values() if values.ndim > 1]
    batch = Batch(
        logps=torch.tensor([given[name] for name, _, _ in rows], dtype=dtype, requires_grad=True),
        lengths=torch.tensor([given["len_w"], given["len_l"], *[1.0] * (len(rows) - 2)], dtype=dtype),
        example=torch.tensor(examples),
        role=torch.tensor([int(role) for _, _, role in rows]),
        reference=torch.tensor([given.get(name, 0.0) for _, name, _ in rows], dtype=dtype),
        facts=facts,
    )
    slopes = [case["grad"][name] for name, _, _ in rows]
    inner = [value for name in ("deg_logits_w", "deg_logits_l") for value in case["grad"].get(name, ())]
    return batch, [batch.logps, *heads], slopes + inner


def _facts(given: dict[str, Any], responses: int) -> dict[str, list[Any]]:
    """Every fact that a case gives, for each of so many responses; those beside the pair repeat the chosen one's."""
    found = {
        name: [given[chosen], given[rejected]]
        for name, places in SIDES.items()
        for chosen, rejected in places
        if chosen in given
    }
    if "margin_w" in given:
        found |= {
            f"aspect:{name}": list(both)
            for name, *both in zip(ASPECTS, given["margin_w"], given["margin_l"], strict=True)
        }
    return {name: values + values[:1] * (responses - 2) for name, values in found.items()}
