"""From an item's labels to chosen and rejected: the policy, the majority, and why a pair is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from alignment.formats.canonical import Item, LabelFacts, Message
from alignment.formats.facts import PER_RESPONSE, training_facts

LeftOut = Literal[
    "unlabelled",
    "tie",
    "both_bad",
    "skipped",
    "other_sources",
    "surplus",
    "too_few_votes",
    "too_close",
    "not_adjudicated",
    "not_wanted",
    "unranked",
    "media",
]
Sources = Literal["people_first", "people", "imports", "judges", "adjudicated"]
Unit = Literal["pair", "label"]
Ties = Literal["leave_out", "half"]
BothBad = Literal["leave_out", "unwanted"]
Verdict = Literal["first", "second", "tie", "both_bad"]

LEVELS: Final = {
    "adjudication": ("adjudication",),
    "people": ("person", "vote"),
    "imports": ("import",),
    "judges": ("judge",),
}
ORDERS: Final = {
    "people_first": ("adjudication", "people", "imports", "judges"),
    "people": ("adjudication", "people"),
    "imports": ("imports",),
    "judges": ("judges",),
    "adjudicated": ("adjudication",),
}


class Policy(BaseModel):
    """How labels become what is trained on or written.  Part of a snapshot's record and manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: Sources = Field(
        "people_first",
        description="Whose labels count: people's, and imported ones only where no person judged; one kind alone; or"
        " what was adjudicated alone. Where an item was adjudicated, that stands for what people said.",
    )
    task: UUID | None = Field(
        None,
        description="Of what people said in labelling tasks, what they said in this one alone; labels that no task"
        " asked for (imports, votes, judges, adjudications) stay. Without it, the newest of each person over all.",
    )
    min_votes: int = Field(
        1, ge=1, le=100, description="People (or judges) who must have judged an item, unless it was adjudicated."
    )
    min_margin: float = Field(
        0, ge=0, le=3, description="The least mean strength, from 0 to 3, by which the better of a pair must lead."
    )
    unit: Unit = Field(
        "pair",
        description="What becomes an example: a pair, as the majority has it; or each label by itself with who gave it,"
        " for objectives that learn how far to trust whom.",
    )
    ties: Ties = Field(
        "leave_out",
        description="Pairs on which nobody leads: left out, or kept with a soft label of one half, which only some"
        " objectives and formats can take.",
    )
    soft: bool = Field(
        False,
        description="Give every example of a pair the share of votes for its better side as a soft label, also where"
        " one person voted; otherwise only where several did.",
    )
    reasons: bool = Field(
        False,
        description="Take what annotators wrote beside their labels as rationales, where the data have none.",
    )
    aspects: bool = Field(
        False, description="Take what annotators rated aspect by aspect, as means over the labels that count."
    )
    surplus: bool = Field(
        True, description="Count labels, too, that came when a task had as many of an item as it asked for."
    )
    annotators: bool = Field(
        True, description="Say who judged, where a file or an example can say it; in snapshots by words that name none."
    )

    @property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """The sources of labels that count, the first ones before all others; of single labels none overrules."""
        found = [LEVELS[level] for level in ORDERS[self.sources]]
        if self.unit == "label" and self.sources in ("people_first", "people"):
            found[:2] = [found[0] + found[1]]
        return tuple(found)


class Decision(NamedTuple):
    """The outcome for one pair: responses with the chosen one first, and what the votes say as facts."""

    responses: list[Message]
    facts: dict[str, Any]


def decide(item: Item, policy: Policy) -> Decision | LeftOut:
    """Chosen first by the majority of the labels that count, or why the pair is left out.

    A tie counts half for each side in `soft_label`; a pair on which ties, both-bad or two sides lead equally is left
    out, unless the policy keeps ties.  A lone imported choice adds no facts, so that an export read back gives the same
    example.
    """
    labels = that_count(item.labels, policy)
    if isinstance(labels, str):
        return labels
    leaders = _leaders(labels)
    if leaders == ["both_bad"]:
        return "both_bad"
    if len(leaders) > 1 or leaders[0] == "tie":
        return _tie(item, labels, policy) if policy.ties == "half" and "both_bad" not in leaders else "tie"
    return _decision(item, labels, leaders[0] == "first", policy)


def decisions(item: Item, policy: Policy) -> list[Decision] | LeftOut:
    """What the labels make of a pair: one decision by the majority, or one of each label that prefers a side.

    Of the latter each has the fact `annotator`, where that is known and wanted.
    """
    if policy.unit == "pair":
        decision = decide(item, policy)
        return decision if isinstance(decision, str) else [decision]
    labels = that_count(item.labels, policy)
    if isinstance(labels, str):
        return labels
    found = [_of_one(item, label, policy) for label in labels]
    kept = [one for one in found if not isinstance(one, str)]
    if kept:
        return kept
    reasons: tuple[LeftOut, ...] = ("too_close", "tie")
    return next((reason for reason in reasons if reason in found), "both_bad")


def that_count(labels: Sequence[LabelFacts], policy: Policy) -> list[LabelFacts] | LeftOut:
    """The judgements (no skips) of the first kind of source that has any, if they are enough; else why not."""
    if not labels:
        return "not_adjudicated" if policy.sources == "adjudicated" else "unlabelled"
    wanted = labels if policy.surplus else [label for label in labels if not label.surplus]
    for level in policy.levels:
        found = [label for label in wanted if label.source in level and "skip" not in label.value]
        if found and level == LEVELS["adjudication"]:
            return found[-1:]  # the newest stands for those before it
        if found:
            return found if len(found) >= policy.min_votes else "too_few_votes"
    if policy.sources == "adjudicated":
        return "not_adjudicated"
    if not wanted:
        return "surplus"
    asked = {source for level in policy.levels for source in level}
    return "skipped" if any(label.source in asked for label in wanted) else "other_sources"


def ratings(labels: Sequence[LabelFacts], responses: int) -> list[dict[str, float]] | None:
    """Of each response its mean rating aspect by aspect, over the labels that rate it; None without any."""
    given: list[dict[str, list[float]]] = [{} for _ in range(responses)]
    for label in labels:
        for name, numbers in (label.aspects or {}).items():
            for place, number in enumerate(numbers[:responses]):
                given[place].setdefault(name, []).append(number)
    if not any(given):
        return None
    return [{name: sum(numbers) / len(numbers) for name, numbers in one.items()} for one in given]


def _of_one(item: Item, label: LabelFacts, policy: Policy) -> Decision | LeftOut:
    said = _verdict(label)
    if said == "both_bad":
        return said
    if said == "tie":
        if policy.ties == "leave_out":
            return said
        decision: Decision | LeftOut = _tie(item, [label], policy)
    else:
        decision = _decision(item, [label], said == "first", policy)
    if isinstance(decision, str) or not (label.annotator and policy.annotators):
        return decision
    return decision._replace(facts=decision.facts | {"annotator": label.annotator})


def _decision(item: Item, labels: Sequence[LabelFacts], first: bool, policy: Policy) -> Decision | LeftOut:
    if policy.min_margin and _margin(labels, first) < policy.min_margin:
        return "too_close"
    voted = not _is_bare_import(labels)
    facts = _less_voted(item.facts) if voted else training_facts(item.facts)
    if not policy.annotators:
        facts.pop("annotator", None)
    if not first:
        facts = _swapped(facts)
    if voted:
        facts |= _vote_facts(labels, first)
    if policy.soft or policy.ties == "half":
        facts.setdefault("soft_label", 1.0)
    if policy.reasons and "rationale" not in facts and (reason := _reason(labels, first)):
        facts["rationale"] = reason
    if policy.aspects and (rated := ratings(labels, len(item.responses))):
        facts["aspects"] = rated if first else rated[::-1]
    return Decision(item.responses if first else item.responses[::-1], facts)


def _tie(item: Item, labels: Sequence[LabelFacts], policy: Policy) -> Decision:
    """The pair in its own order, neither side ahead."""
    facts = _less_voted(item.facts) | {"votes": len(_strengths(labels, True)), "margin": 0.0, "soft_label": 0.5}
    facts.pop("rationale", None)
    if not policy.annotators:
        facts.pop("annotator", None)
    if policy.aspects and (rated := ratings(labels, len(item.responses))):
        facts["aspects"] = rated
    return Decision(item.responses, facts)


def _less_voted(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts less what the file said of its own choice, which gives way to what was voted here."""
    return {name: value for name, value in training_facts(facts).items() if name not in _VOTED}


_VOTED: Final = frozenset({"votes", "margin", "soft_label"})


def _leaders(labels: Sequence[LabelFacts]) -> list[Verdict]:
    """What most of the labels say; several where they are as many."""
    if len(labels) == 1:
        return [_verdict(labels[0])]
    counts = Counter(_verdict(label) for label in labels)
    lead = max(counts.values())
    return [verdict for verdict, count in counts.items() if count == lead]


def _verdict(label: LabelFacts) -> Verdict:
    if label.value.get("both_bad"):
        return "both_bad"
    strength = label.value["strength"]
    return "tie" if strength == 0 else "first" if strength > 0 else "second"


def _is_bare_import(labels: Sequence[LabelFacts]) -> bool:
    return len(labels) == 1 and labels[0].source == "import" and labels[0].value.get("strength") in (-1, 1)


def _strengths(labels: Sequence[LabelFacts], first: bool) -> list[int]:
    return [label.value["strength"] * (1 if first else -1) for label in labels if "strength" in label.value]


def _margin(labels: Sequence[LabelFacts], first: bool) -> float:
    strengths = _strengths(labels, first)
    return sum(strengths) / len(strengths)


def _vote_facts(labels: Sequence[LabelFacts], first: bool) -> dict[str, Any]:
    """Number of votes with a strength, their mean towards chosen, and the share for it when there are several."""
    strengths = _strengths(labels, first)
    facts: dict[str, Any] = {"votes": len(strengths), "margin": sum(strengths) / len(strengths)}
    if len(strengths) > 1:
        facts["soft_label"] = sum(0.5 if s == 0 else float(s > 0) for s in strengths) / len(strengths)
    return facts


def _reason(labels: Sequence[LabelFacts], first: bool) -> str | None:
    """What the first of the annotators who prefer that side, and who wrote something, wrote."""
    side = "first" if first else "second"
    reasons = (label.rationale for label in labels if _verdict(label) == side)
    return next((reason for reason in reasons if reason and reason.strip()), None)


def _swapped(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts that follow the order of the responses, turned round."""
    turned = {name: value for name, value in facts.items() if name != "rationale"}  # which speaks for the other side
    for name in PER_RESPONSE:
        if name in turned:
            turned[name] = turned[name][::-1]
    for name in ("soft_label", "win_probability"):
        if name in turned:
            turned[name] = 1 - turned[name]
    if "margin" in turned:
        turned["margin"] = -turned["margin"]
    return turned
