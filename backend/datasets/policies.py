"""What policies would make of a dataset, before it is frozen: how many examples, and what is left out and why."""

from collections import Counter
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alignment.formats.preference import Policy, that_count
from alignment.formats.writing import UNDECIDED
from backend.datasets import reading, snapshots
from backend.datasets.asked import CHOOSE, mixed, refuse_other_task
from backend.datasets.models import Dataset, Item, Kind
from backend.datasets.schemas import PolicyChoice, PolicyPreviewOut
from backend.datasets.service import WrongKind
from backend.labels.models import LabelSource

LOOKED_AT: Final = 20_000
Choice = tuple[str, str, dict[str, Any]]

_ANY: Final[tuple[Choice, ...]] = (
    ("two_votes", "At least two votes", {"min_votes": 2}),
    ("people", "People\u2019s labels alone", {"sources": "people"}),
    ("adjudicated", "Adjudicated alone", {"sources": "adjudicated"}),
    ("no_surplus", "Without surplus labels", {"surplus": False}),
)
_PAIRS: Final[tuple[Choice, ...]] = (
    ("majority", "The majority of a pair", {"unit": "pair"}),
    ("votes", "Each label by itself", {"unit": "label"}),
    ("ties", "Ties kept as one half", {"ties": "half"}),
    ("margin_1", "A margin of 1", {"min_margin": 1}),
    ("margin_2", "A margin of 2", {"min_margin": 2}),
)


class Outcome:
    """What one policy makes of items, counted."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.examples: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.unasked = 0  # items that no label of the policy's task decides

    def count(self, judged: reading.Judged, kind: Kind) -> None:
        """Take an item into account."""
        found: Any
        if kind is Kind.paired:
            found = snapshots.decisions_on(judged.item, self.policy)
        else:
            found = snapshots.judged_on(judged.item, kind, self.policy)
        if isinstance(found, str):
            self.left_out[found] += 1
        else:
            self.examples[judged.split] += len(found) if kind is Kind.paired else 1
            self.unasked += self.policy.task is not None and not _by_people(judged, self.policy)


def _by_people(judged: reading.Judged, policy: Policy) -> bool:
    """Whether somebody's answer to the task is among the labels that count."""
    found = that_count(judged.item.labels, policy)
    return not isinstance(found, str) and any(label.source == LabelSource.person for label in found)


def preview(session: Session, dataset: Dataset, policy: Policy) -> PolicyPreviewOut:
    """What freezing would make of the first items by this policy, and by others that differ from it in one choice.

    Raises WrongKind, OtherTask.
    """
    refuse_other_task(session, dataset, policy)
    if dataset.kind is Kind.prompts:
        raise WrongKind(f"“{dataset.name}” holds prompts, which no label decides.", remedy="Choose data with answers.")
    choices = (*_PAIRS, *_ANY) if dataset.kind is Kind.paired else _ANY
    outcomes = {name: Outcome(policy.model_copy(update=change)) for name, _, change in choices}
    chosen, looked_at = Outcome(policy), 0
    for judged in reading.walk(session, dataset.id, task_id=policy.task):
        if looked_at == LOOKED_AT:
            break
        looked_at += 1
        for outcome in (chosen, *outcomes.values()):
            outcome.count(judged, dataset.kind)
    items = session.scalar(select(func.count()).where(Item.dataset_id == dataset.id)) or 0
    said = [
        f"{count:,} of {looked_at:,} items {UNDECIDED[why]}; left out." for why, count in chosen.left_out.most_common()
    ]
    if chosen.unasked:
        said.insert(
            0,
            f"{chosen.unasked:,} of {looked_at:,} items are decided by labels that no task asked for: imports, votes,"
            " judges or adjudications. “People's alone” leaves imports and judges out.",
        )
    if mix := mixed(session, dataset, policy):
        said.insert(0, f"{mix} {CHOOSE}")
    if items > looked_at:
        said.insert(0, f"Counted over the first {looked_at:,} of {items:,} items.")
    return PolicyPreviewOut(
        items=items,
        looked_at=looked_at,
        examples=dict(chosen.examples),
        left_out=dict(chosen.left_out),
        sentences=said,
        choices=[
            PolicyChoice(
                name=name,
                title=title,
                change=change,
                examples=outcomes[name].examples.total(),
                left_out=dict(outcomes[name].left_out),
            )
            for name, title, change in choices
        ],
    )
