"""Pairs as token ids: the chat template applied once, prompt and response kept apart, long texts cut as stated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from alignment import chat
from alignment.objectives.batch import Role
from alignment.training.data import Pair, Split
from alignment.training.errors import BadData
from alignment.training.spec import Length

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AT_ONCE = 512


@dataclass(frozen=True)
class Encoded:
    """An example ready to compute: the prompt and its responses as token ids, their ends included."""

    pair: Pair
    prompt: list[int]
    responses: tuple[list[int], ...]
    roles: tuple[Role, ...] = (Role.CHOSEN, Role.REJECTED)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence: the prompt and a response."""
        return len(self.prompt) + max(map(len, self.responses))

    @property
    def tokens(self) -> int:
        """Tokens of all sequences, the prompt counted in each."""
        return len(self.responses) * len(self.prompt) + sum(map(len, self.responses))

    @property
    def shared_tokens(self) -> int:
        """Tokens of the prompt, once, and of all responses."""
        return len(self.prompt) + sum(map(len, self.responses))


@dataclass
class Examples:
    """What a run trains on and measures itself by, and what was cut or left out on the way."""

    train: list[Encoded] = field(default_factory=list)
    validation: list[Encoded] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def sizes(self, sources: int) -> list[int]:
        """Training examples of each of so many sources, in whose order they lie."""
        counts = Counter(example.pair.source for example in self.train)
        return [counts[source] for source in range(sources)]

    def of(self, split: Split) -> list[Encoded]:
        """The examples of one split."""
        return self.train if split == "train" else self.validation


class Encoder:
    """Turns pairs into token ids for one tokenizer, one context length, and one rule for cutting."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, ends: frozenset[int], length: Length, context: int | None
    ) -> None:
        self._tokenizer = tokenizer
        self._ends = ends
        self._end = tokenizer.eos_token_id if isinstance(tokenizer.eos_token_id, int) else min(ends)
        self._length = length
        self._context = context

    def encode(self, pairs: Iterable[Pair], check: Callable[[], None]) -> Examples:
        """Every pair that is left once both sides are cut; pairs whose sides are then equal are counted and dropped."""
        examples = Examples()
        source = iter(pairs)
        while some := list(islice(source, AT_ONCE)):
            check()
            for encoded in self._some(some, examples.counts):
                if encoded.responses[0] == encoded.responses[1]:
                    examples.counts["same_dropped"] += 1
                else:
                    examples.of(encoded.pair.split).append(encoded)
        return examples

    def _some(self, pairs: list[Pair], counts: Counter[str]) -> Iterable[Encoded]:
        texts: list[str] = []
        for pair in pairs:
            texts += self._render(pair)
        ids = chat.encode(self._tokenizer, texts)
        for pair, prompt, chosen, rejected in zip(pairs, ids[::3], ids[1::3], ids[2::3], strict=True):
            if not prompt:
                raise BadData(f"Example {pair.id}: the prompt is empty once rendered.", "Remove the example.")
            responses = [chat.end_with_end(answer, self._ends, self._end) for answer in (chosen, rejected)]
            yield self._cut(pair, prompt, responses, counts)

    def _render(self, pair: Pair) -> tuple[str, str, str]:
        try:
            prompt = chat.render_prompt(self._tokenizer, pair.prompt)
            chosen, rejected = (
                chat.render_response(self._tokenizer, pair.prompt, prompt, answer)
                for answer in (pair.chosen, pair.rejected)
            )
        except (chat.TemplateNotPrefixSafe, chat.UnsupportedContent) as error:
            raise BadData(
                f"Example {pair.id}: {error}.", "Change the chat template or the example, and start again."
            ) from error
        return prompt, chosen, rejected

    def _cut(self, pair: Pair, prompt: list[int], responses: list[list[int]], counts: Counter[str]) -> Encoded:
        """Responses lose their end, then the prompt the side that the spec names, until both fit the context.

        In a short context the prompt keeps up to half of it before the responses are cut for its sake.
        """
        length, most_prompt, most_response = (
            self._length,
            self._length.max_prompt_tokens,
            self._length.max_response_tokens,
        )
        if self._context is not None:
            kept = min(len(prompt), most_prompt, self._context // 2)
            most_response = min(most_response, self._context - kept)
        counts["responses_cut"] += sum(len(answer) > most_response for answer in responses)
        chosen, rejected = (answer[:most_response] for answer in responses)
        if self._context is not None:
            most_prompt = min(most_prompt, self._context - max(len(chosen), len(rejected)))
        if len(prompt) > most_prompt:
            counts["prompts_cut"] += 1
            prompt = prompt[-most_prompt:] if length.cut_prompt == "left" else prompt[:most_prompt]
        return Encoded(pair, prompt, (chosen, rejected))
