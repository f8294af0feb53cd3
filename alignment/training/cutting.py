"""Responses cut into steps: to which step each token belongs, and how like the best response's that step is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor

from alignment.training.errors import BadData

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from alignment.objectives import Cut
    from alignment.training.encode import Encoded, Examples
    from alignment.training.spec import Spec

ENDS: Final[Mapping[Cut, int]] = {"lines": 1, "paragraphs": 2}
"""Ends of lines, with nothing but white space between them, that part two steps."""
BETWEEN: Final = re.compile(r"\s+")


class _Seen(NamedTuple):
    """What the text of a token adds: ends of lines before what it says and after it, and steps that begin within."""

    before: int
    after: int = 0
    within: int = 0
    says: bool = True


class Cutter:
    """Says where steps of responses begin, for one tokenizer and one way to cut."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, cut: Cut) -> None:
        self._tokenizer, self._ends = tokenizer, ENDS[cut]
        self._known: dict[int, _Seen] = {}

    def places(self, response: Sequence[int]) -> list[int]:
        """The place of each token's step in its response, from 0.

        What ends a step belongs to it, and so does what ends the response; a token that reaches from one step into
        the next belongs to the former.
        """
        found, place, ends, begun = [], 0, 0, False
        for token in response:
            seen = self._known.get(token) or self._look(token)
            if seen.says:
                place += begun and ends + seen.before >= self._ends
                ends, begun = 0, True
            found.append(place)
            place += seen.within
            ends += seen.after if seen.says else seen.before
        return found

    def _look(self, token: int) -> _Seen:
        """Special tokens say nothing."""
        text = str(self._tokenizer.decode([token], skip_special_tokens=True))
        said = text.strip()
        if said:
            before, _, after = text.partition(said)
            within = sum(gap.count("\n") >= self._ends for gap in BETWEEN.findall(said))
            seen = _Seen(before.count("\n"), after.count("\n"), within)
        else:
            seen = _Seen(text.count("\n"), says=False)
        return self._known.setdefault(token, seen)


class Steps(NamedTuple):
    """Those of a pack's responses, whose P tokens follow each other, G steps in all.

    `place` (P,) counts from 0 in each response, `segment` (P,) through the pack; `peer` (G,) is the segment of the same
    step of the best response to the prompt, -1 where that has none.
    """

    place: Tensor
    segment: Tensor
    peer: Tensor

    @torch.no_grad()
    def likeness(self, hidden: Tensor) -> Tensor:
        """The cosine between the mean hidden states (P, D) of each token's step and its peer, (P,); 0 without one."""
        wide = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        sums = wide.new_zeros(len(self.peer), wide.shape[1]).index_add(0, self.segment, wide)
        alike = torch.nn.functional.cosine_similarity(sums, sums[self.peer.clamp(min=0)], dim=1)
        return alike.masked_fill(self.peer < 0, 0.0)[self.segment]


def steps_of(cutter: Cutter, examples: Sequence[Encoded], device: torch.device) -> Steps:
    """The steps of all responses of some examples, in turn; the best of an example has the least `rank`, and of several
    with it is the first."""
    place: list[int] = []
    segment: list[int] = []
    peer: list[int] = []
    for example in examples:
        ranks = example.example.values["rank"]
        each = [cutter.places(response) for response in example.responses]
        counts = [places[-1] + 1 for places in each]
        starts = [len(peer) + sum(counts[:number]) for number in range(len(each))]
        best = min(range(len(ranks)), key=ranks.__getitem__)
        for places, start, count in zip(each, starts, counts, strict=True):
            place += places
            segment += [start + step for step in places]
            peer += [starts[best] + step if step < counts[best] else -1 for step in range(count)]
    return Steps(*(torch.tensor(values, device=device) for values in (place, segment, peer)))


def require_steps(spec: Spec, tokenizer: PreTrainedTokenizerBase, examples: Examples) -> None:
    """Raise BadData where every training response is a single step, so that there is nothing to weigh."""
    for cut in sorted(spec.objective.needs.steps):
        cutter = Cutter(tokenizer, cut)
        if examples.train and not any(cutter.places(answer)[-1] for one in examples.train for answer in one.responses):
            raise BadData(
                f"{spec.objective.title} weighs the steps of responses, and cut into {cut} each of these has but one.",
                "Choose data whose responses have several, another way to cut them (steps), or another objective.",
                "snapshots",
            )
