"""Examples as token ids: the chat template applied once, prompt and response kept apart, long texts cut as stated."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from alignment import chat
from alignment.objectives.batch import Role
from alignment.training.data import Example, Split, Spoken
from alignment.training.errors import BadData, template_held
from alignment.training.spec import Length
from alignment.turns import called, holds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AT_ONCE = 512
TRACE_END = "</think>"  # templates leave out what stands before it of earlier answers, and are meant to


class Part(NamedTuple):
    """A prompt and the responses that follow it, as token ids."""

    prompt: list[int]
    responses: Sequence[list[int]]


@dataclass(frozen=True)
class Encoded:
    """An example ready to compute: the prompt and its responses as token ids, their ends included.

    `asides` are the prompts of those responses that have their own, by their place; `opening` counts the tokens of the
    first response that the template writes before the answer's own words.
    """

    example: Example
    prompt: list[int]
    responses: tuple[list[int], ...]
    roles: tuple[Role, ...] = (Role.CHOSEN, Role.REJECTED)  # of the example, then those that were formed
    asides: Mapping[int, list[int]] = field(default_factory=dict)
    opening: int = 0

    @property
    def parts(self) -> list[Part]:
        """Every prompt with the responses that follow it, in the order of the responses."""
        if not self.asides:
            return [Part(self.prompt, self.responses)]
        prompts = [self.asides.get(place, self.prompt) for place in range(len(self.responses))]
        runs = groupby(zip(prompts, self.responses, strict=True), key=lambda pair: id(pair[0]))
        return [Part(run[0][0], [answer for _, answer in run]) for run in (list(pairs) for _, pairs in runs)]

    def values(self, fact: str) -> tuple[float, ...]:
        """The value of a fact for each response; NaN for those that were formed and not given."""
        given = self.example.values[fact]
        return given + (math.nan,) * (len(self.responses) - len(given))

    @property
    def learned(self) -> Encoded:
        """The example without its mismatched response, which has no gradient and is the last."""
        if Role.MISMATCHED not in self.roles:
            return self
        return replace(self, responses=self.responses[:-1], roles=self.roles[:-1])

    def joined(self, samples: Sequence[list[int]]) -> Encoded:
        """The example with answers that were drawn to its prompt; a mismatched response stays the last."""
        last = len(self.responses) - (Role.MISMATCHED in self.roles)
        drawn = (Role.POLICY_SAMPLE,) * len(samples)
        return replace(
            self,
            responses=(*self.responses[:last], *samples, *self.responses[last:]),
            roles=(*self.roles[:last], *drawn, *self.roles[last:]),
        )

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence: a prompt and a response."""
        return max(len(prompt) + max(map(len, responses)) for prompt, responses in self.parts)

    @property
    def tokens(self) -> int:
        """Tokens of all sequences, the prompt counted in each."""
        return sum(len(responses) * len(prompt) + sum(map(len, responses)) for prompt, responses in self.parts)

    @property
    def shared_tokens(self) -> int:
        """Tokens of each prompt, once, and of all responses."""
        return sum(len(prompt) + sum(map(len, responses)) for prompt, responses in self.parts)


@dataclass
class Examples:
    """What a run trains on and measures itself by, and what was cut or left out on the way."""

    train: list[Encoded] = field(default_factory=list)
    validation: list[Encoded] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def sizes(self, sources: int) -> list[int]:
        """Training examples of each of so many sources, in whose order they lie."""
        counts = Counter(encoded.example.source for encoded in self.train)
        return [counts[source] for source in range(sources)]

    @property
    def dropped(self) -> int:
        """Examples that are in no split because nothing can be learned from them."""
        return self.counts["same_dropped"] + self.counts["empty_dropped"]

    def of(self, split: Split) -> list[Encoded]:
        """The examples of one split."""
        return self.train if split == "train" else self.validation


class Encoder:
    """Turns examples into token ids for one tokenizer, one context length, and one rule for cutting.

    With `mismatched`, each example has the answer of another one as well.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        ending: chat.Ending,
        length: Length,
        context: int | None,
        *,
        mismatched: bool = False,
    ) -> None:
        self._tokenizer = tokenizer
        self._ending = ending
        self._length = length
        self._context = context
        self._mismatched = mismatched
        first = tokenizer("x")["input_ids"][:1]
        self._bos = first[0] if first == [tokenizer.bos_token_id] else None

    def encode(self, given: Iterable[Example], check: Callable[[], None]) -> Examples:
        """Every example that is left once its responses are cut.

        One with a response that says nothing, or whose responses are then all equal, is counted and dropped. Raises
        BadData naming the first example that cannot be trained on, TemplateHeld.
        """
        examples = Examples()
        source = iter(given)
        while some := list(islice(source, AT_ONCE)):
            check()
            for encoded in self._some(some, examples.counts):
                first, *others = encoded.responses[: encoded.example.given]
                if others and all(answer == first for answer in others):
                    examples.counts["same_dropped"] += 1
                else:
                    examples.of(encoded.example.split).append(encoded)
        if self._mismatched:
            examples.train = list(mismatched(examples.train, self._context, examples.counts))
            examples.validation = list(mismatched(examples.validation, self._context, examples.counts))
        return examples

    def _some(self, examples: list[Example], counts: Counter[str]) -> Iterable[Encoded]:
        spoken = [(example, one) for example in examples for one in example.dialogues]
        turns = self._render(spoken)
        prompts = iter(chat.encode(self._tokenizer, [turn.prompt for turn in turns]))
        sides = [(turn.prompt, self._ending.text(text)) for turn in turns for text in turn.responses]
        ids, rendered = iter(chat.encode_responses(self._tokenizer, sides)), iter(turns)
        for example in examples:
            parts: list[Part] = []
            openings: list[int] = []
            for one in example.dialogues:
                turn, prompt, whole = next(rendered), next(prompts), list(islice(ids, len(one.responses)))
                if not prompt:
                    raise BadData(f"Example {example.id}: the prompt is empty once rendered.", "Remove the example.")
                responses = [self._ending.ids(answer) for answer in whole]
                counts["without_bos"] += self._bos not in (None, prompt[0])
                self._notice(one, turn, whole, responses, counts)
                parts.append(self._cut(prompt, responses, counts, quotes=one.place is not None))
                openings += map(self._opening, responses, turn.responses, one.responses)
                counts["prompts"] += 1
                counts["responses"] += len(responses)
            kept = [answer for part in parts for answer in part.responses]
            if any(set(answer[own:]) <= self._ending.tokens for answer, own in zip(kept, openings, strict=True)):
                counts["empty_dropped"] += 1
            else:
                yield _encoded(example, parts, openings[0])

    def _opening(self, response: list[int], text: str, answer: Mapping[str, Any]) -> int:
        """How many tokens of a response the template writes before the answer's own words.

        They are found by their text: which tokens white space becomes depends on what follows it.
        """
        before = "".join(_before(text, answer).split())
        texts = (str(self._tokenizer.decode(response[:end])) for end in range(1, len(response) + 1))
        return sum(takewhile(bool, (before.startswith("".join(some.split())) for some in texts)))

    def _render(self, spoken: Sequence[tuple[Example, Spoken]]) -> list[chat.Turn]:
        try:
            return chat.render(self._tokenizer, [chat.Dialogue(one.prompt, one.responses) for _, one in spoken])
        except chat.TemplateStopped as error:
            raise template_held(f"Example {spoken[error.index][0].id}: {error.reason}.") from error
        except chat.Unrenderable as error:
            raise BadData(
                f"Example {spoken[error.index][0].id}: {error.reason}.",
                "Remove or change the example, or give the checkpoint another chat template.",
            ) from error

    def _notice(
        self, spoken: Spoken, turn: chat.Turn, whole: list[list[int]], ended: list[list[int]], counts: Counter[str]
    ) -> None:
        """Count what the template leaves out without a word, and responses that go on after an end of their own."""
        first = spoken.prompt[0]
        if first["role"] == "system" and not holds(turn.prompt, chat.text_of(first["content"])):
            counts["systems_left_out"] += 1
        earlier = (
            chat.text_of(one.get("parts") or one.get("content") or "")
            for one in spoken.prompt
            if one["role"] == "assistant"
        )
        counts["turns_left_out"] += any(not holds(turn.prompt, text.rpartition(TRACE_END)[2]) for text in earlier)
        for answer, text in zip(spoken.responses, turn.responses, strict=True):
            counts["reasonings_left_out"] += not holds(text, answer.get("reasoning") or "")
        for before, after in zip(whole, ended, strict=True):
            counts["ended_early"] += len(before) - len(after) > self._ending.trailing

    def _cut(self, prompt: list[int], responses: list[list[int]], counts: Counter[str], *, quotes: bool) -> Part:
        """Responses lose their end, then the prompt the side that the spec names, until both fit the context.

        In a short context the prompt keeps up to half of it before the responses are cut for its sake.  A prompt that
        quotes a pair may be longer by two responses.
        """
        length, most_prompt, most_response = (
            self._length,
            self._length.max_prompt_tokens + (2 * self._length.max_response_tokens if quotes else 0),
            self._length.max_response_tokens,
        )
        if self._context is not None:
            kept = min(len(prompt), most_prompt, self._context // 2)
            most_response = min(most_response, self._context - kept)
        counts["responses_cut"] += sum(len(answer) > most_response for answer in responses)
        kept_responses = tuple(answer[:most_response] for answer in responses)
        if self._context is not None:
            most_prompt = min(most_prompt, self._context - max(map(len, kept_responses)))
        if len(prompt) > most_prompt:
            counts["prompts_cut"] += 1
            left = length.cut_prompt == "left"
            prompt = chat.shortened(self._tokenizer, prompt, most_prompt) if left else prompt[:most_prompt]
        return Part(prompt, kept_responses)


def _before(text: str, answer: Mapping[str, Any]) -> str:
    """What the template writes before the first words of the answer itself; nothing where it writes these otherwise."""
    calls = [called(call) or "" for call in answer.get("tool_calls") or ()]
    if not all(calls):  # of a form whose words are not known
        return ""
    own = (chat.text_of(answer.get("parts") or answer.get("content") or ""), answer.get("reasoning") or "", *calls)
    return text[: max(min((text.find(words.strip()) for words in own if words.strip()), default=len(text)), 0)]


def _encoded(example: Example, parts: Sequence[Part], opening: int) -> Encoded:
    """The example with what each of its dialogues became."""
    responses: dict[int, list[int]] = {}
    asides: dict[int, list[int]] = {}
    for one, part in zip(example.dialogues, parts, strict=True):
        if one.place is None:
            places = [place for place in range(len(example.responses)) if place not in example.asides]
            responses |= dict(zip(places, part.responses, strict=True))
        else:
            responses[one.place], asides[one.place] = part.responses[0], part.prompt
    in_order = tuple(responses[place] for place in range(len(example.responses)))
    return Encoded(example, parts[0].prompt, in_order, example.roles, asides, opening)


def mismatched(examples: Sequence[Encoded], context: int | None, counts: Counter[str]) -> Iterator[Encoded]:
    """Each example with the answer of the next one that has another prompt, the first following the last.

    The partner stays the same in every epoch and run, so that what the reference thinks of it is computed once. An
    example has none where all have one prompt; one whose prompt leaves no room for a word of it is counted and dropped.
    """
    following: list[int | None] = [None] * len(examples)
    partner: int | None = None
    for place in [*range(len(examples) - 1, -1, -1)] * 2:
        after = (place + 1) % len(examples)
        if examples[after].prompt != examples[place].prompt:
            partner = after
        following[place] = partner
    for example, place in zip(examples, following, strict=True):
        if place is None:
            yield example
            continue
        room = None if context is None else context - len(example.prompt)
        answer = examples[place].responses[0][:room]
        if len(answer) <= examples[place].opening:
            counts["empty_dropped"] += 1
            continue
        yield replace(example, responses=(*example.responses, answer), roles=(*example.roles, Role.MISMATCHED))
