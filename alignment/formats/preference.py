"""From an item's labels to chosen and rejected: the policy, the majority, and why a pair is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from alignment.formats.canonical import Item, LabelFacts, Message
from alignment.formats.facts import PER_RESPONSE, training_facts

LeftOut = Literal["unlabelled", "tie", "both_bad", "skipped", "too_few_votes", "media"]
Sources = Literal["people_first", "people", "imports", "judges"]
Unit = Literal["pair", "label"]
Verdict = Literal["first", "second", "tie", "both_bad"]

LEVELS: Final = {"people": ("person", "vote"), "imports": ("import",), "judges": ("judge",)}
ORDERS: Final = {
    "people_first": ("people", "imports", "judges"),
    "people": ("people",),
    "imports": ("imports",),
    "judges": ("judges",),
}


class Policy(BaseModel):
    """How labels become chosen and rejected.  Part of a snapshot's manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: Sources = Field(
        "people_first",
        description="Whose labels count: people's, and imported ones only where no person judged; or one kind alone.",
    )
    min_votes: int = Field(1, ge=1, le=100, description="People (or judges) who must have judged a pair.")
    unit: Unit = Field(
        "pair",
        description="What becomes an example: a pair, as the majority has it; or each label by itself with who gave it,"
        " for objectives that learn how far to trust whom.",
    )
    reasons: bool = Field(
        False,
        description="Take what annotators wrote beside their labels as rationales, where the data have none.",
    )


class Decision(NamedTuple):
    """The outcome for one pair: responses with the chosen one first, and what the votes say as facts."""

    responses: list[Message]
    facts: dict[str, Any]


def decide(item: Item, policy: Policy) -> Decision | LeftOut:
    """Chosen first by the majority of the labels that count, or why the pair is left out.

    A tie counts half for each side in `soft_label`; a pair on which ties, both-bad or two sides lead equally is left
    out.  A lone imported choice adds no facts, so that an export read back gives the same example.
    """
    labels = _that_count(item.labels, policy)
    if not labels:
        return "skipped" if item.labels else "unlabelled"
    if len(labels) < policy.min_votes:
        return "too_few_votes"
    leaders = _leaders(labels)
    if len(leaders) > 1 or leaders[0] == "tie":
        return "tie"
    if leaders[0] == "both_bad":
        return "both_bad"
    return _decision(item, labels, leaders[0] == "first", policy)


def decisions(item: Item, policy: Policy) -> list[Decision] | LeftOut:
    """What the labels make of a pair: one decision by the majority, or one of each label that prefers a side.

    Of the latter each has the fact `annotator`, where that is known.
    """
    if policy.unit == "pair":
        decision = decide(item, policy)
        return decision if isinstance(decision, str) else [decision]
    labels = _that_count(item.labels, policy)
    if not labels:
        return "skipped" if item.labels else "unlabelled"
    if len(labels) < policy.min_votes:
        return "too_few_votes"
    verdicts = [_verdict(label) for label in labels]
    judged = list(zip(labels, verdicts, strict=True))
    sided = [_of_one(item, label, said == "first", policy) for label, said in judged if said in ("first", "second")]
    return sided or ("tie" if "tie" in verdicts else "both_bad")


def _of_one(item: Item, label: LabelFacts, first: bool, policy: Policy) -> Decision:
    decision = _decision(item, [label], first, policy)
    return decision._replace(facts=decision.facts | {"annotator": label.annotator}) if label.annotator else decision


def _decision(item: Item, labels: Sequence[LabelFacts], first: bool, policy: Policy) -> Decision:
    facts = training_facts(item.facts)
    voted = not _is_bare_import(labels)
    if voted:  # what the file said of its own choice gives way to what was voted here
        facts = {name: value for name, value in facts.items() if name not in ("votes", "margin", "soft_label")}
    if not first:
        facts = _swapped(facts)
    if voted:
        facts |= _vote_facts(labels, first)
    if policy.reasons and "rationale" not in facts and (reason := _reason(labels, first)):
        facts["rationale"] = reason
    return Decision(item.responses if first else item.responses[::-1], facts)


def _leaders(labels: Sequence[LabelFacts]) -> list[Verdict]:
    """What most of the labels say; several where they are as many."""
    if len(labels) == 1:
        return [_verdict(labels[0])]
    counts = Counter(_verdict(label) for label in labels)
    lead = max(counts.values())
    return [verdict for verdict, count in counts.items() if count == lead]


def _that_count(labels: Sequence[LabelFacts], policy: Policy) -> list[LabelFacts]:
    """The judgements (no skips) of the first kind of source that has any."""
    for level in ORDERS[policy.sources]:
        found = [label for label in labels if label.source in LEVELS[level] and "skip" not in label.value]
        if found:
            return found
    return []


def _verdict(label: LabelFacts) -> Verdict:
    if label.value.get("both_bad"):
        return "both_bad"
    strength = label.value["strength"]
    return "tie" if strength == 0 else "first" if strength > 0 else "second"


def _is_bare_import(labels: Sequence[LabelFacts]) -> bool:
    return len(labels) == 1 and labels[0].source == "import" and labels[0].value.get("strength") in (-1, 1)


def _vote_facts(labels: Sequence[LabelFacts], first: bool) -> dict[str, Any]:
    """Number of votes, mean strength towards chosen, and the share of votes for it when there are several."""
    strengths = [label.value["strength"] * (1 if first else -1) for label in labels if "strength" in label.value]
    facts: dict[str, Any] = {"votes": len(labels), "margin": sum(strengths) / len(strengths)}
    if len(labels) > 1:
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
