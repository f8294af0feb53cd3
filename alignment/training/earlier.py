"""Earlier answers of dialogues, each as an example of its own, where every answer is to be learned.

A prompt that is held out stays so: one that opens a dialogue in training may be the whole prompt of a row for testing.
So all rows are looked at before the first of them becomes examples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alignment.formats.canonical import Split as AnySplit
from alignment.formats.canonical import hash_of
from alignment.objectives.batch import Role

if TYPE_CHECKING:
    from alignment.training.data import Example

STRICTEST: tuple[AnySplit, ...] = ("train", "validation", "test")


class Earlier:
    """The earlier answers that are learned: those whose prompt is of their own split, each once.

    A prompt is of the split of the row that has it, else of training where a dialogue there begins with it.
    """

    def __init__(self) -> None:
        self._split: dict[str, AnySplit] = {}
        self._opening: set[str] = set()
        self._said: set[str] = set()

    def know(self, split: AnySplit, prompt: Sequence[Mapping[str, Any]], examples: Sequence[Example]) -> None:
        """Take note of a row, and of the examples that it is."""
        name = hash_of(prompt)
        self._split[name] = max(split, self._split.get(name, split), key=STRICTEST.index)
        self._said |= {_said(example) for example in examples}
        if split == "train":
            self._opening |= {hash_of(one.prompt) for example in examples for one in _turns(example, Counter())}

    def of(self, example: Example, left_out: Counter[str]) -> Iterator[Example]:
        """Those of an example's prompt, then the example itself; counts what is left out.  Every row is known."""
        for turn in _turns(example, left_out):
            name, said = hash_of(turn.prompt), _said(turn)
            if self._split.get(name, "train" if name in self._opening else turn.split) != turn.split:
                left_out["turn_held_out"] += 1
            elif said in self._said:
                left_out["turn_doubled"] += 1
            else:
                self._said.add(said)
                yield turn
        yield example


def _said(example: Example) -> str:
    return hash_of([example.prompt, *example.responses])


def _turns(example: Example, left_out: Counter[str]) -> Iterator[Example]:
    """Each answer of the assistant in the prompt of one that is wanted, as an example of what came before it.

    One that nothing came before, which nobody could have asked for, is counted and left out.
    """
    if example.roles[0] is Role.UNDESIRABLE:
        return
    for place, turn in enumerate(example.prompt):
        if turn["role"] != "assistant":
            continue
        before = example.prompt[:place]
        if any(one["role"] != "system" for one in before):
            yield replace(example, id=f"{example.id}/turn-{place}", prompt=before, responses=(turn,))
        else:
            left_out["turn_left_out"] += 1
