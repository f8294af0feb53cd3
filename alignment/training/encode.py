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
from alignment.training.errors import BadData, template_held
from alignment.training.spec import Length
from alignment.turns import holds

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

    @property
    def dropped(self) -> int:
        """Pairs that are in no split because nothing can be learned from them."""
        return self.counts["same_dropped"] + self.counts["empty_dropped"]

    def of(self, split: Split) -> list[Encoded]:
        """The examples of one split."""
        return self.train if split == "train" else self.validation


class Encoder:
    """Turns pairs into token ids for one tokenizer, one context length, and one rule for cutting."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, ending: chat.Ending, length: Length, context: int | None
    ) -> None:
        self._tokenizer = tokenizer
        self._ending = ending
        self._length = length
        self._context = context
        first = tokenizer("x")["input_ids"][:1]
        self._bos = first[0] if first == [tokenizer.bos_token_id] else None

    def encode(self, pairs: Iterable[Pair], check: Callable[[], None]) -> Examples:
        """Every pair that is left once both sides are cut.

        A pair with a side that says nothing, or whose sides are then equal, is counted and dropped. Raises BadData
        naming the first example that cannot be trained on, TemplateHeld.
        """
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
        turns = self._render(pairs)
        prompts = chat.encode(self._tokenizer, [turn.prompt for turn in turns])
        sides = [(turn.prompt, self._ending.text(text)) for turn in turns for text in turn.responses]
        ids = chat.encode_responses(self._tokenizer, sides)
        for pair, turn, prompt, *whole in zip(pairs, turns, prompts, ids[::2], ids[1::2], strict=True):
            if not prompt:
                raise BadData(f"Example {pair.id}: the prompt is empty once rendered.", "Remove the example.")
            responses = [self._ending.ids(answer) for answer in whole]
            counts["without_bos"] += self._bos not in (None, prompt[0])
            self._notice(pair, turn, whole, responses, counts)
            encoded = self._cut(pair, prompt, responses, counts)
            counts["pairs"] += 1
            if any(set(answer) <= self._ending.tokens for answer in encoded.responses):
                counts["empty_dropped"] += 1
            else:
                yield encoded

    def _render(self, pairs: list[Pair]) -> list[chat.Turn]:
        try:
            return chat.render(
                self._tokenizer, [chat.Dialogue(one.prompt, (one.chosen, one.rejected)) for one in pairs]
            )
        except chat.TemplateStopped as error:
            raise template_held(f"Example {pairs[error.index].id}: {error.reason}.") from error
        except chat.Unrenderable as error:
            raise BadData(
                f"Example {pairs[error.index].id}: {error.reason}.",
                "Remove or change the example, or give the checkpoint another chat template.",
            ) from error

    def _notice(
        self, pair: Pair, turn: chat.Turn, whole: list[list[int]], ended: list[list[int]], counts: Counter[str]
    ) -> None:
        """Count what the template leaves out without a word, and responses that go on after an end of their own."""
        first = pair.prompt[0]
        if first["role"] == "system" and not holds(turn.prompt, chat.text_of(first["content"])):
            counts["systems_left_out"] += 1
        for answer, text in zip((pair.chosen, pair.rejected), turn.responses, strict=True):
            counts["reasonings_left_out"] += not holds(text, answer.get("reasoning") or "")
        for before, after in zip(whole, ended, strict=True):
            counts["ended_early"] += len(before) - len(after) > self._ending.trailing

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
            left = length.cut_prompt == "left"
            prompt = chat.shortened(self._tokenizer, prompt, most_prompt) if left else prompt[:most_prompt]
        return Encoded(pair, prompt, (chosen, rejected))
