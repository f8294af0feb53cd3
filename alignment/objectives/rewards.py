"""Facts that a checkpoint tells in the place of the data: how good it thinks each response.

A run names it among its further checkpoints (`third`) as `reward`, or as `reward.ASPECT` where it stands for one
aspect.  It is a reward model, or a language model, whose reward is the implicit one: beta times the log-ratio to the
checkpoint named `reward_reference` (`reward_reference.ASPECT`).  No import of torch.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from alignment.objectives.facts import FACTS, Unfit, teller
from alignment.objectives.facts import REWARD as REWARD

if TYPE_CHECKING:
    from alignment.objectives.objective import Needs

REFERENCE_OF: Final = "reward_reference"
COMPARED: Final = frozenset({"margin", "soft_label", "win_probability"})
"""Facts of two responses beside each other, which a model that scores none alone can tell as well."""
SAID: Final = ("scores", "margin", "soft_label", "win_probability")
"""Facts of data (`alignment.formats.facts`) that are not looked at where a checkpoint scores the responses."""
BETA: Final = 0.1
"""What an implicit reward multiplies its log-ratio by where nothing else is said."""

PER_TOKEN: Final = frozenset(
    "adpa asft cpo_simpo dckd grad_ascent grad_diff ipo_avg length_normalized ln_dpo nll orpo simpo".split()  # noqa: SIM905
)
"""Objectives whose implicit rewards are means over tokens (NLL's by its field `per`); those of the others are sums."""


def per_token(objective: Mapping[str, Any]) -> bool:
    """Whether the implicit reward of an objective, written `{name, …fields}`, is a mean over tokens."""
    return objective.get("name") in PER_TOKEN and objective.get("per", "token") == "token"


def tellable(needs: Needs) -> dict[str, frozenset[str]]:
    """Facts that an objective asks for and a checkpoint can tell, by the name of that checkpoint."""
    told = {fact: by for fact in needs.facts if (by := teller(fact)) is not None}
    return {name: frozenset(fact for fact, by in told.items() if by == name) for name in sorted({*told.values()})}


def every(needs: Needs) -> frozenset[str]:
    """All facts that checkpoints can tell an objective."""
    return frozenset[str]().union(*tellable(needs).values())


def rewards(names: Iterable[str]) -> list[str]:
    """Those of the further checkpoints' names that are of checkpoints whose rewards are asked."""
    return sorted(name for name in names if name == REWARD or name.startswith(f"{REWARD}."))


def reference_of(name: str) -> str:
    """The name of what the implicit reward of the checkpoint with this name is measured against."""
    return REFERENCE_OF + name.removeprefix(REWARD)


def references(names: Iterable[str]) -> list[str]:
    """Those of the names that are of checkpoints which implicit rewards are measured against."""
    return sorted(name for name in names if name == REFERENCE_OF or name.startswith(f"{REFERENCE_OF}."))


def told_by(needs: Needs, names: Collection[str]) -> frozenset[str]:
    """The facts that checkpoints with these names tell an objective."""
    return frozenset[str]().union(*(facts for name, facts in tellable(needs).items() if name in names))


def taken(facts: Mapping[str, Any], name: str, scores: Sequence[float]) -> dict[str, Any]:
    """The facts of an example whose responses the checkpoint of that name gives these scores.

    What the data say of the same is let go; the order that their scores gave rankings stays.  Of a pair the difference
    of the scores is taken for the log-odds that the first response is better.  Raises Unfit.
    """
    aspects = facts.get("aspects") or [{}] * len(scores)
    if len(aspects) != len(scores):
        raise Unfit(f"has aspects of {len(aspects)} responses and {len(scores)} of them", "Correct or remove it.")
    if name != REWARD:
        aspect = name.removeprefix(f"{REWARD}.")
        return {**facts, "aspects": [{**one, aspect: score} for one, score in zip(aspects, scores, strict=True)]}
    found = {fact: value for fact, value in facts.items() if fact not in SAID}
    ranks = FACTS["rank"].take(facts)
    found |= {} if ranks is None else {"ranks": ranks}
    found["aspects"] = [{key: value for key, value in one.items() if key != "win_probability"} for one in aspects]
    found["scores"] = list(scores)
    if len(scores) == 2:
        found["win_probability"] = (1 + math.tanh((scores[0] - scores[1]) / 2)) / 2
    return found
