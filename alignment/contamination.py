"""Which prompts stand in training data: word for word once they are normalised, or by runs of words.

A prompt's words are those of its user turns in Unicode's compatible form and lower case, without punctuation (as in
Brown et al. 2020, arXiv 2005.14165, appendix C); where nobody is told to be the user, those of all turns. A prompt
overlaps where 70 % of its runs of 8 words stand in the data, in whichever examples (Chowdhery et al. 2022, PaLM,
arXiv 2204.02311). One of fewer than 8 words is itself a run (Brown et al.): it counts only where it stands there whole.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Keys = NDArray[np.uint64]
Messages = Sequence[Mapping[str, Any]]
RUN: Final = 8
ENOUGH: Final = 0.7
MOST_WORDS: Final = 2_000
"""Words that are read of a prompt; what follows in longer ones does not count."""
AT_ONCE: Final = 500_000  # words of training data that are looked up together
DENSE: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Scripts that put no spaces between words; each of their signs counts as a word."""
WORD: Final = re.compile(rf"[{DENSE}]|[^\W_{DENSE}]+")
BETWEEN: Final = " \n"  # turns
SPEAKER: Final = re.compile(r"(?:^|\n)[ \t]*(?:#+[ \t]*)?(human|user|assistant|system)[ \t]*:", re.IGNORECASE)


class Stands(NamedTuple):
    """What of the prompts stands in some data: whole prompts (P,), and the kinds of their runs of words (K,)."""

    whole: Bools
    kinds: Bools

    def __or__(self, other: "Stands") -> "Stands":
        return Stands(self.whole | other.whole, self.kinds | other.kinds)


class Seen(NamedTuple):
    """Of each prompt (P,): whether it stands in the data word for word, and which share of its runs of words does."""

    exact: Bools
    share: NDArray[np.float64]

    @property
    def any(self) -> Bools:
        """Prompts that count as seen."""
        return self.exact | (self.share >= ENOUGH)


def spoken(prompt: Messages) -> list[str]:
    """What the user says, turn by turn; a dialogue written out in one turn (`Human: … Assistant: …`) is taken apart."""
    own = [one for one in prompt if one.get("role") == "user"] or list(prompt)
    texts = [str(one.get("content") or "") for one in own]
    return _apart(texts[0]) if len(prompt) == 1 else texts


def _apart(text: str) -> list[str]:
    parts = SPEAKER.split(text)
    if len(parts) == 1:
        return parts
    turns = list(zip(parts[1::2], parts[2::2], strict=True))
    return [words for who, words in turns if who.casefold() in ("human", "user")] or [text]


def words(text: str) -> list[str]:
    """The normalised words."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _key(said: Sequence[str], text: str) -> str:
    """What equal texts have in common: their words; of one without a word its signs, and nothing of an empty one."""
    return " ".join(said) or unicodedata.normalize("NFKC", text).casefold().strip()


class Prompts:
    """The prompts that are looked for; `readable` (P,) tells which of them say anything."""

    def __init__(self, prompts: Iterable[Messages]) -> None:
        texts = [BETWEEN.join(spoken(one)) for one in prompts]
        said = [words(one) for one in texts]
        keys = [_key(own, text) for own, text in zip(said, texts, strict=True)]
        self.readable: Bools = np.array([bool(one) for one in keys], dtype=bool)
        self._places: dict[str, list[int]] = {}
        for place, key in enumerate(keys):
            if key:
                self._places.setdefault(key, []).append(place)
        self._known: dict[str, int] = {}
        ids = [[self._known.setdefault(w, len(self._known) + 1) for w in own[:MOST_WORDS]] for own in said]
        generator = np.random.default_rng(0)
        self._values: Keys = generator.integers(0, 2**64, len(self._known) + 1, dtype=np.uint64)
        self._factors: Keys = generator.integers(0, 2**63, RUN, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        runs = [self._runs(one) for one in ids]
        self._owner = np.repeat(np.arange(len(runs)), [len(one) for one in runs])
        every = np.concatenate(runs) if runs else np.zeros(0, dtype=np.uint64)
        self._kinds, self._kind = np.unique(every, return_inverse=True)

    def _runs(self, ids: Sequence[int]) -> Keys:
        """A number for each run of `RUN` words; runs with a word that no prompt has (0) are left out."""
        row = np.asarray(ids, dtype=np.intp)
        size = len(row) - RUN + 1
        if size <= 0:
            return np.zeros(0, dtype=np.uint64)
        unknown = np.concatenate([[0], np.cumsum(row == 0)])
        begins = np.flatnonzero(unknown[RUN:] == unknown[:-RUN])
        found: Keys = np.zeros(len(begins), dtype=np.uint64)
        for place, factor in enumerate(self._factors):
            found += self._values[row[begins + place]] * factor  # modulo 2**64: no two runs here share a number
        return found

    def nothing(self) -> Stands:
        """What stands in no data at all."""
        return Stands(np.zeros(len(self.readable), dtype=bool), np.zeros(len(self._kinds), dtype=bool))

    def find(self, stands: Stands, examples: Iterable[Messages]) -> None:
        """Mark in `stands` what of the prompts stands in the prompts of these examples, whole or in one turn."""
        waiting: list[int] = []
        for prompt in examples:
            turns = spoken(prompt)
            said = [words(turn) for turn in turns]
            keys = [_key(own, turn) for own, turn in zip(said, turns, strict=True)]
            joined = [word for own in said for word in own]
            if len(turns) > 1:
                keys.append(_key(joined, BETWEEN.join(turns)))
            for key in keys:
                stands.whole[self._places.get(key, [])] = True
            waiting.extend(self._known.get(word, 0) for word in joined)
            waiting.append(0)
            if len(waiting) > AT_ONCE:
                self._mark(stands, waiting)
                waiting = []
        self._mark(stands, waiting)

    def _mark(self, stands: Stands, ids: Sequence[int]) -> None:
        found = self._runs(ids)
        if not len(self._kinds) or not len(found):
            return
        near = np.minimum(np.searchsorted(self._kinds, found), len(self._kinds) - 1)
        stands.kinds[near[self._kinds[near] == found]] = True

    def seen(self, stands: Stands) -> Seen:
        """What that makes of each prompt; one without a run of words has a share of 0."""
        size = len(self.readable)
        own = np.bincount(self._owner, minlength=size)
        there = np.bincount(self._owner, weights=stands.kinds[self._kind].astype(np.float64), minlength=size)
        return Seen(stands.whole, there / np.maximum(own, 1))
