"""What labels make of a ranking, of a single answer with a thumb, and of a demonstration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from alignment.formats.canonical import Item, Kind, LabelFacts
from alignment.formats.preference import LEVELS, LeftOut, Policy, ratings, that_count

_STATED: Final[dict[str, tuple[str, ...]]] = {"ranked": ("ranks", "scores"), "unpaired": ("desirable",)}


def judged(item: Item, kind: Kind, policy: Policy) -> dict[str, Any] | LeftOut:
    """The item's facts (`meta`, too) as the labels that count have it, or why the item is left out.

    What a file says of the order, or of the thumb, counts as an imported label where there is none; a demonstration
    says of itself that it is wanted.  `ranks` are the order of mean ranks over the labels, which is that of Borda's
    count; of thumbs the majority decides.
    """
    labels = that_count(item.labels, policy)
    if _stands(item, kind, labels, policy):
        return "too_few_votes" if kind != "demonstrations" and policy.min_votes > 1 else _told(item, policy)
    if isinstance(labels, str):
        return "unranked" if kind == "ranked" and not item.labels and labels == "unlabelled" else labels
    facts = _ranked(item, labels) if kind == "ranked" else _thumbed(item, kind, labels)
    if isinstance(facts, str):
        return facts
    facts["votes"] = len(labels)
    if policy.aspects and (rated := ratings(labels, len(item.responses))):
        facts["aspects"] = rated
    return facts


def mean_ranks(rankings: Sequence[Sequence[Sequence[int]]], responses: int) -> list[float]:
    """The mean rank of each response, 1 the best; responses of one group share the mean of the ranks that they take."""
    sums = [0.0] * responses
    for ranking in rankings:
        taken = 0
        for group in ranking:
            for place in group:
                sums[place] += taken + (len(group) + 1) / 2
            taken += len(group)
    return [total / len(rankings) for total in sums]


def _stands(item: Item, kind: Kind, labels: list[LabelFacts] | LeftOut, policy: Policy) -> bool:
    """Whether what the item says of itself counts: no label comes before it."""
    if LEVELS["imports"] not in policy.levels or (kind != "demonstrations" and not _states(item, kind)):
        return False
    if isinstance(labels, str):
        return labels != "too_few_votes"
    return labels[0].source in LEVELS["judges"]


def _states(item: Item, kind: Kind) -> bool:
    return not item.facts.keys().isdisjoint(_STATED[kind])


def _told(item: Item, policy: Policy) -> dict[str, Any]:
    facts = dict(item.facts)
    if not policy.annotators:
        facts.pop("annotator", None)
    return facts


def _ranked(item: Item, labels: Sequence[LabelFacts]) -> dict[str, Any] | LeftOut:
    rankings = [groups for label in labels if (groups := _groups(label)) is not None]
    if 2 * len(rankings) <= len(labels):
        return "both_bad"
    means = [round(mean, 9) for mean in mean_ranks(rankings, len(item.responses))]
    if len(set(means)) == 1:
        return "tie"
    facts = {name: value for name, value in item.facts.items() if name not in _STATED["ranked"]}
    return facts | {"ranks": [1.0 + sum(other < mean for other in means) for mean in means]}


def _groups(label: LabelFacts) -> Sequence[Sequence[int]] | None:
    """The label as groups of responses, best first; None where it calls all of them bad."""
    if "ranking" in label.value:
        return label.value["ranking"]  # type: ignore[no-any-return]
    if (strength := label.value.get("strength")) is None:
        return None
    return [[0, 1]] if strength == 0 else [[0], [1]] if strength > 0 else [[1], [0]]


def _thumbed(item: Item, kind: Kind, labels: Sequence[LabelFacts]) -> dict[str, Any] | LeftOut:
    up = sum(bool(label.value.get("thumb")) for label in labels)
    if 2 * up == len(labels):
        return "tie"
    wanted = 2 * up > len(labels)
    if kind == "demonstrations":
        return dict(item.facts) if wanted else "not_wanted"
    return item.facts | {"desirable": wanted}
