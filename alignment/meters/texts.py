"""Answers as numbers: words with ids, and runs of n words, each with the answer that it stands in."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Scripts that put no spaces between words; each of their signs counts as a word."""
WORD = re.compile(rf"[{CJK}]|[^\W{CJK}]+|[^\w\s]")


def words(text: str) -> list[str]:
    """Words and signs of a text, in lower case."""
    return WORD.findall(text.casefold())


class Grams(NamedTuple):
    """Every run of n words that stands in an answer: its id (0 to kinds - 1), and the place of its answer."""

    ids: Ints
    answers: Ints
    kinds: int


class Texts:
    """Answers with the prompts that they answer; `cluster` (A,) is the place of each one's prompt."""

    def __init__(self, prompts: Sequence[str], answers: Sequence[str]) -> None:
        places: dict[str, int] = {}
        self.cluster: Ints = np.array([places.setdefault(one, len(places)) for one in prompts], dtype=np.int64)
        self.prompts = len(places)
        known: dict[str, int] = {}
        ids = [[known.setdefault(word, len(known)) for word in words(answer)] for answer in answers]
        self.lengths: Ints = np.array([len(one) for one in ids], dtype=np.int64)
        self._ids: Ints = np.array([word for one in ids for word in one], dtype=np.int64)
        self._kinds = len(known)
        self._grams: dict[int, Grams] = {}

    def words(self, answer: int) -> Ints:
        """The ids of one answer's words."""
        end = int(self.lengths[: answer + 1].sum())
        return self._ids[end - int(self.lengths[answer]) : end]

    def grams(self, n: int) -> Grams:
        """All runs of `n` words."""
        if n not in self._grams:
            self._grams[n] = self._found(n)
        return self._grams[n]

    def _found(self, n: int) -> Grams:
        answers = np.repeat(np.arange(len(self.lengths), dtype=np.int64), self.lengths)
        if n == 1:
            return Grams(self._ids, answers, self._kinds)
        before = self.grams(n - 1)
        place = np.arange(len(self._ids)) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        left = np.repeat(self.lengths, self.lengths) - place
        begins = left >= n
        first = before.ids[left[left >= n - 1] >= n]
        last = self._ids[begins.nonzero()[0] + n - 1]
        kinds, ids = np.unique(first * max(1, self._kinds) + last, return_inverse=True)
        return Grams(ids.astype(np.int64), answers[begins], len(kinds))
