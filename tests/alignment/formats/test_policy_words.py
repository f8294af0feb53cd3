"""What a policy says of itself: the usual one, and every choice that differs from it."""

import uuid
from typing import Any

import pytest

from alignment.formats.policy_words import in_words
from alignment.formats.preference import Policy


def test_the_usual_policy() -> None:
    """Whose labels, how many, how clearly; of what is no pair nothing about pairs."""
    assert in_words(Policy(), "paired") == (
        "People's labels, imported ones where no person judged, else judges'; one vote is enough; the majority of a"
        " pair, by any lead; ties left out."
    )
    assert "pair" not in in_words(Policy(min_margin=1, ties="half"), "ranked")


@pytest.mark.parametrize(
    "change",
    [
        {"sources": "adjudicated"},
        {"task": uuid.uuid4()},
        {"min_votes": 3},
        {"min_margin": 1.5},
        {"unit": "label"},
        {"ties": "half"},
        {"soft": True},
        {"reasons": True},
        {"aspects": True},
        {"surplus": False},
        {"annotators": False},
    ],
)
def test_every_choice_is_said(change: dict[str, Any]) -> None:
    """No two policies that differ read alike."""
    assert in_words(Policy(**change), "paired") != in_words(Policy(), "paired")


def test_no_choice_is_forgotten() -> None:
    """A new choice of the policy needs words."""
    of_labels = {"sources", "task", "min_votes", "surplus", "annotators"}
    of_examples = {"min_margin", "unit", "ties", "soft", "reasons", "aspects"}
    assert set(Policy.model_fields) == of_labels | of_examples


def test_a_task_is_named() -> None:
    """By the name that it has, or as one that is gone."""
    policy = Policy(task=uuid.uuid4())
    assert "; of tasks “Safety” alone; " in in_words(policy, "paired", "Safety")
    assert "; of tasks one that is gone alone; " in in_words(policy, "paired")
