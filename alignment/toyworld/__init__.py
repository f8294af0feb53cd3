"""A small world of plain English in which what is better is known: data, ground truth and a toy checkpoint.

An assistant answers short requests (small facts, advice, stories); its answers are kind or rude, concise or rambling,
right or wrong, and `true_reward` reads these back from any text. Importing this package imports neither torch nor
transformers; `python -m alignment.toyworld build --out DIR` makes the checkpoint again.
"""

from pathlib import Path

from alignment.toyworld.answers import BEST, Attributes, answer
from alignment.toyworld.pairs import pairs, truth, write_pairs
from alignment.toyworld.requests import UnknownPrompt, count, prompts, split_of, topic_of
from alignment.toyworld.reward import BEST_REWARD, Reading, attributes_of, best_reward, read, true_reward

CHECKPOINT = Path(__file__).parent / "base"
TOUR = Path(__file__).parent / "tour.jsonl"

__all__ = [
    "BEST",
    "BEST_REWARD",
    "CHECKPOINT",
    "TOUR",
    "Attributes",
    "Reading",
    "UnknownPrompt",
    "answer",
    "attributes_of",
    "best_reward",
    "count",
    "pairs",
    "prompts",
    "read",
    "split_of",
    "topic_of",
    "true_reward",
    "truth",
    "write_pairs",
]
