"""What an objective may know of an example beside its texts: the names of facts, their meaning, and who holds them.

An objective names them in `needs.facts` and finds each as a tensor (S,) in `Batch.facts`, a fact of the whole example
repeated for each of its responses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from alignment.objectives.feeding import TOLD

if TYPE_CHECKING:
    from alignment.objectives.objective import Objective

REWARD: Final = "reward"
"""The name of a further checkpoint that scores responses; one for an aspect alone has its name behind a point."""
NAMED: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ -]{0,99}")  # aspects that the name of a checkpoint can hold

ASPECT: Final = "aspect:"
"""What the name of a fact begins with that is one aspect of each response, as its reader calls it."""

WANTED_PROMPT: Final = "wanted_prompt"
"""The fact that `alignment.training.matching` finds: how probable it is that a prompt is one of a wanted answer."""


REMOVED: Final = "removed"
"""The aspect that says how much was taken out of a response: a degree, which no score is."""

DEGREES: Final = "degree_logits"
"""The fact that a head on the policy tells: how probable each degree of degradation is, as logits."""


class Fact(NamedTuple):
    """One fact: `held` is what data must have for it, `meaning` follows “asks”.

    `take` finds it among the facts of an example (`alignment.formats.facts`): one value of the example, or a list of
    one for each response; None where the example lacks it.  `usual` is what a chosen and a rejected response might
    have, for whoever draws or tries an objective.
    """

    held: str
    meaning: str
    usual: tuple[float, float]
    take: Callable[[Mapping[str, Any]], Any]
    probability: bool = False
    formed: bool = False  # found by training, not in data: examples are given it once all of them are read
    scored: bool = False  # can be told by a checkpoint that scores responses, see `alignment.objectives.rewards`
    named: bool = False  # a text that stands for somebody; batches hold numbers in the order of first appearance


def _aspect(name: str) -> Callable[[Mapping[str, Any]], Any]:
    def take(facts: Mapping[str, Any]) -> list[float] | None:
        found = [one.get(name) for one in facts.get("aspects", ())]
        return found if found and None not in found else None

    return take


def _ranks(facts: Mapping[str, Any]) -> list[float] | None:
    ranks: list[float] | None = facts.get("ranks")
    scores = facts.get("scores")
    if ranks is not None or scores is None:
        return ranks
    return [1.0 + sum(other > score for other in scores) for score in scores]


def _margin(facts: Mapping[str, Any]) -> float | None:
    margin: float | None = facts.get("margin")
    scores = facts.get("scores")
    if margin is not None or scores is None or len(scores) != 2:
        return margin
    if scores[0] < scores[1]:
        raise Contrary(
            f"scores its chosen response {scores[0]:g} and its rejected one {scores[1]:g}",
            "Correct or remove the example, or give it a margin of its own.",
        )
    return float(scores[0] - scores[1])


def _wins(facts: Mapping[str, Any]) -> list[float] | None:
    alone = facts.get("win_probability")
    each: list[float] | None = _aspect("win_probability")(facts)
    if each is not None or alone is None:
        return each
    return [alone, 1 - alone]


def _soft_label(facts: Mapping[str, Any]) -> float | None:
    label: float | None = facts.get("soft_label", facts.get("win_probability"))
    return label


FACTS: Final[Mapping[str, Fact]] = {
    "score": Fact(
        "scores", "how good each response is, more is better", (3, 1), lambda facts: facts.get("scores"), scored=True
    ),
    "rank": Fact("ranks or scores", "the place of each response, 1 the best, ties allowed", (1, 2), _ranks),
    "margin": Fact("a margin or scores", "how much better the chosen response is", (0.7, 0.7), _margin, scored=True),
    "soft_label": Fact(
        "soft labels or win probabilities",
        "how probable it is that the chosen response is better",
        (0.85, 0.85),
        _soft_label,
        probability=True,
        scored=True,
    ),
    "win_probability": Fact(
        "win probabilities (an aspect win_probability of each response, or one of the pair)",
        "how probable it is that each response beats one of the model that is the reference",
        (0.8, 0.3),
        _wins,
        probability=True,
        scored=True,
    ),
    "preference_score": Fact(
        "preference scores (an aspect preference_score of each response)",
        "by how much each response is preferred to those of the model that is the reference",
        (0.9, -0.4),
        _aspect("preference_score"),
    ),
    "weight": Fact("weights", "how much each example counts", (1, 1), lambda facts: facts.get("weight")),
    WANTED_PROMPT: Fact(
        "prompts of wanted and of unwanted answers",
        "how probable it is that the prompt is one of a wanted answer",
        (0.6, 0.4),
        lambda _: math.nan,
        probability=True,
        formed=True,
    ),
    DEGREES: Fact(
        "a head on the policy",
        "by how much each response was degraded",
        (0, 0),
        lambda _: math.nan,
        formed=True,
    ),
    "annotator": Fact("annotators", "who judged", (0, 0), lambda facts: facts.get("annotator"), named=True),
}
"""Every fact that data can hold but aspects, which have names of their own: `aspect:helpfulness`."""

LARGEST: Final = 1e9
"""Values beyond it are refused: in single precision their differences would be lost."""

COLUMNS: Final = ("weight", "soft_label", "margin", "win_probability", "scores", "ranks", "aspects", "annotator")
"""The facts of data (`alignment.formats.facts`) that these are found in."""


def find(name: str) -> Fact | None:
    """The fact of that name; None where no data can hold it."""
    if not name.startswith(ASPECT):
        return FACTS.get(name)
    aspect = name.removeprefix(ASPECT)
    return Fact(
        f"the aspect {aspect} of each response",
        f"how each response does by {aspect}",
        (0.4, 0.1),
        _aspect(aspect),
        scored=aspect != REMOVED and NAMED.fullmatch(aspect) is not None,
    )


def teller(name: str) -> str | None:
    """The name of a further checkpoint that could tell the fact; None where no score does."""
    fact = find(name)
    if fact is None or not fact.scored:
        return None
    return f"{REWARD}.{name.removeprefix(ASPECT)}" if name.startswith(ASPECT) else REWARD


_SAID: Final = {"empty_chosen": "chosen answer without a trace", "empty_rejected": "rejected answer without a trace"}
_NOTES: Final = {"rationale": " What annotators wrote beside their labels is one where the policy takes their reasons."}


class Unfit(ValueError):
    """An example that an objective cannot learn from: `detail` follows its name, `remedy` is a sentence."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


class Contrary(Unfit):
    """One that has all that is asked for, with values that the objective's paper does not allow."""


class Reader:
    """Reads what one objective asks of examples, and numbers annotators as they come.

    `told` are facts that something else tells (`alignment.objectives.rewards`): those are asked of no example, and what
    an objective that reads one of them would object to is not known.
    """

    def __init__(self, objective: Objective, told: Collection[str] = ()) -> None:
        """Raises KeyError where no data can hold one of the facts; `require_supported` names it before."""
        from alignment.objectives.composite import innermost  # whose parts read facts

        self._objective = objective
        facts = {name: _known(name) for name in sorted(objective.needs.facts)}
        self._wanted = {name: fact for name, fact in facts.items() if not fact.formed and name not in told}
        parts = innermost(objective)
        self._objecting = [part for part in parts if not part.needs.facts & frozenset(told)]
        self._texts = [name for role, name in TOLD.items() if role in objective.needs.roles]
        self._numbers: dict[str, int] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The facts of data that it reads; none where it asks nothing of them."""
        return (*(COLUMNS if self._wanted else ()), *self._texts)

    def read(self, facts: Mapping[str, Any], responses: int) -> dict[str, tuple[float, ...]]:
        """One value for each of so many responses, by the name of the fact.

        Raises Unfit where the example lacks a fact or a text, or the objective's paper does not allow its values.
        """
        for name in self._texts:
            if not (facts.get(name) or "").strip():
                raise Unfit(
                    f"has no {_said(name)}, and {self._objective.title} learns from one beside each pair",
                    f"Choose data with the text “{name}” in every example, or another objective.{_NOTES.get(name, '')}",
                )
        if facts.get("empty_chosen") is not None and facts["empty_chosen"] == facts.get("empty_rejected"):
            raise Unfit("has the same answer twice, chosen and rejected, without a trace", "Correct or remove it.")
        found = {name: self._values(name, fact, facts, responses) for name, fact in self._wanted.items()}
        objection = next(filter(None, (part.objection(found) for part in self._objecting)), None)
        if objection is not None:
            raise Contrary(objection, "Correct or remove the example, or choose another objective.")
        return found

    def _values(self, name: str, fact: Fact, facts: Mapping[str, Any], responses: int) -> tuple[float, ...]:
        try:
            value = fact.take(facts)
            if value is None:
                by = teller(name)
                scorer = "" if by is None else f"a further checkpoint that scores responses ({by}), "
                raise Unfit(
                    f"has no {_said(name)}, and {self._objective.title} asks {fact.meaning}",
                    f"Choose data with {fact.held} in every example, {scorer}or another objective.",
                )
            if fact.named:
                value = self._numbers.setdefault(value, len(self._numbers))
            given = tuple(map(float, value)) if isinstance(value, list) else (float(value),) * responses
        except TypeError as error:  # a hole in a list
            raise Unfit(f"has a {_said(name)} that is no number", "Correct or remove the example.") from error
        require_sound(name, given, responses, fact)
        return given


def _said(name: str) -> str:
    return _SAID.get(name, name.removeprefix(ASPECT).replace("_", " "))


def _known(name: str) -> Fact:
    fact = find(name)
    if fact is None:
        raise KeyError(name)
    return fact


def require_sound(name: str, values: Collection[float], responses: int, fact: Fact) -> None:
    """Raise Unfit unless these are so many finite numbers, and probabilities where the fact is one."""
    said = _said(name)
    if len(values) != responses:
        raise Unfit(
            f"has {len(values)} values of {said} for {responses} responses", "Give each response one, or remove it."
        )
    for value in values:
        if not math.isfinite(value) or abs(value) > LARGEST:
            raise Unfit(f"has {value:g} as its {said}", f"Bring it within {LARGEST:g}, or remove the example.")
        if fact.probability and not 0 <= value <= 1:
            raise Unfit(
                f"has {value:g} as its {said}, which is no probability",
                "Correct it to a number from 0 to 1, or remove the example.",
            )
