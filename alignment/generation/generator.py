"""A checkpoint ready to answer: prompts and settings in, responses out, all at once or piece by piece.

What a prompt is answered does not depend on which other prompts stand beside it in a call, nor on how many rows are
computed together. Only where it stands there itself more than once, each occurrence is drawn anew; asked in calls of
its own it is answered the same each time. The computation of a row differs with what stands beside it by rounding
alone, so a draw falls differently only where it lies within rounding of the border between two tokens.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch

from alignment import chat
from alignment.generation import reading
from alignment.generation.plain import Plain
from alignment.generation.rows import Finish, Room, Row, room_for, together
from alignment.generation.shared import Shared
from alignment.sampling import Sampling
from alignment.training import attention, structure
from alignment.training.folder import context_of
from alignment.training.model import load_adapted, load_model, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Generator as PyGenerator

    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from alignment.training.vocabulary import Voice


class PromptTooLong(ValueError):
    """Cutting was forbidden, and the prompt leaves no room for a response in the model's context."""

    def __init__(self, tokens: int, room: int) -> None:
        super().__init__(f"the prompt has {tokens} tokens, and the model has room for {room}")
        self.tokens = tokens
        self.room = room


@dataclass(frozen=True)
class Response:
    """One answer. `prompt_cut` tokens were cut from the left of the prompt so that the answer had room."""

    text: str
    tokens: int
    finish: Finish
    prompt_tokens: int
    prompt_cut: int


class Generator:
    """A checkpoint ready to answer prompts."""

    def __init__(
        self, checkpoint: Path | tuple[Path, Path], device: str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        """Load a checkpoint folder, or a (base, adapter) pair.  Raises CheckpointRefused."""
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        kind = dtype or (torch.float32 if where == "cpu" else torch.bfloat16)
        if isinstance(checkpoint, tuple):
            model, source = load_adapted(*checkpoint, kind), checkpoint[1]
        else:
            model, source = load_model(checkpoint, kind), checkpoint
        model.to(where)  # type: ignore[arg-type]
        self._take(model, load_tokenizer(source))

    @classmethod
    def of(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, room: Room | None = None) -> Self:
        """Answer with a model that is already loaded; it stays on its device and in its mode.

        `room` is what may be computed at once where memory is not to be asked: processes that share a model must agree.
        """
        self = cls.__new__(cls)
        self._take(model, tokenizer, room)
        return self

    def _take(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, room: Room | None = None) -> None:
        self._model = model
        self._room = room
        self._tokenizer = tokenizer
        self._device = next(model.parameters()).device
        self._context = context_of(model.config.get_text_config().to_dict())
        self._ending = chat.ending(tokenizer, model.generation_config)
        self._ends = self._ending.tokens
        self._structure = structure.of(model.config, model.config._attn_implementation)
        if self._structure.shared:
            attention.use(model)
        self._padding = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else min(self._ends)

    def generate(
        self,
        prompts: Sequence[Sequence[chat.ChatMessage]],
        sampling: Sampling,
        *,
        samples: int = 1,
        stop: Callable[[], bool] = lambda: False,
        answered: Callable[[int, Response], None] = lambda _index, _response: None,
        cut: bool = True,
    ) -> list[Response]:
        """`samples` responses per prompt, in order.  A prompt that occurs twice in a call has different draws.

        `stop` is asked between tokens; answers that were under way end with finish "stopped". `answered` is told each
        whole answer with its number as soon as it is there. Raises PromptTooLong when `cut` is False and a prompt
        leaves no room.
        """
        rows = self._rows(prompts, sampling, cut, samples)
        under_way = dict(enumerate(rows))
        for _ in self._advance(rows, sampling):
            for index in [index for index, row in under_way.items() if row.finish is not None]:
                answered(index, self._response(under_way.pop(index)))
            if stop():
                break
        return [self._response(row) for row in rows]

    def stream(
        self,
        prompt: Sequence[chat.ChatMessage],
        sampling: Sampling,
        *,
        stop: Callable[[], bool] = lambda: False,
        cut: bool = True,
    ) -> PyGenerator[str, None, Response]:
        """The answer piece by piece, whole characters only; the generator returns the whole Response."""
        (row,) = self._rows([prompt], sampling, cut)
        told = ""
        for _ in self._advance([row], sampling):
            text = self._text(row)
            if not text.endswith("\ufffd") and len(text) > len(told):
                yield text[len(told) :]
                told = text
            if stop():
                break
        response = self._response(row)
        if len(response.text) > len(told):
            yield response.text[len(told) :]
        return response

    def continued(
        self, prompts: Sequence[list[int]], sampling: Sampling, *, samples: int, stop: Callable[[], bool], key: str
    ) -> list[list[list[int]]]:
        """For each prompt, given as token ids and never cut, the ids of so many answers, their ends included.

        There are none where a prompt fills the context.  `key` and the place of a prompt decide what is drawn.
        """
        rows: list[list[Row]] = []
        for place, ids in enumerate(prompts):
            room = sampling.max_new_tokens if self._context is None else self._context - len(ids)
            limit = min(sampling.max_new_tokens, room)
            draws = [_uniforms(f"{sampling.seed}/{key}/{place}/{number}", limit) for number in range(samples)]
            rows.append([Row(ids, 0, limit, uniforms) for uniforms in draws] if limit > 0 else [])
        for _ in self._advance([row for some in rows for row in some], sampling):
            if stop():
                break
        return [[row.produced for row in some] for some in rows]

    @property
    def context(self) -> int | None:
        """The most tokens that a prompt and its answer may have together, where there is a bound."""
        return self._context

    def reads_like(self, other: Generator) -> bool:
        """Whether both have the same tokens, so that what they think of each can be compared."""
        return bool(self._tokenizer.get_vocab() == other._tokenizer.get_vocab())

    def read(
        self, prompt: Sequence[chat.ChatMessage], response: str, *, ended: bool, context: int | None
    ) -> reading.Read:
        """An answer to a prompt as tokens, with its end where it `ended`.  Raises AnswerTooLong, as `render`."""
        return reading.read(self._tokenizer, self._ending, prompt, response, ended=ended, context=context)

    def voice(self, found: reading.Read) -> Voice:
        """What this checkpoint says where each token of the answer is predicted; `reading.said` compares two."""
        return reading.voice(self._model, found)

    def _rows(
        self, prompts: Sequence[Sequence[chat.ChatMessage]], sampling: Sampling, cut: bool, samples: int = 1
    ) -> list[Row]:
        turns = chat.render(self._tokenizer, [chat.Dialogue(prompt) for prompt in prompts]) if prompts else []
        texts = [turn.prompt for turn in turns]
        seen: Counter[str] = Counter()
        rows = []
        for text, ids in zip(texts, chat.encode(self._tokenizer, texts), strict=True):
            for _ in range(samples):
                rows.append(self._row(ids, sampling, cut, f"{sampling.seed}/{seen[text]}/{text}"))
                seen[text] += 1
        return rows

    def _row(self, ids: list[int], sampling: Sampling, cut: bool, key: str) -> Row:
        """A prompt with room for its answer: in a short context the prompt may take half, and more where it is free."""
        limit, kept = sampling.max_new_tokens, ids
        if self._context is not None:
            room = max(self._context - sampling.max_new_tokens, self._context // 2)
            if len(ids) > room and not cut:
                raise PromptTooLong(len(ids), room)
            kept = chat.shortened(self._tokenizer, ids, room)
            limit = min(limit, self._context - len(kept))
        return Row(kept, len(ids) - len(kept), limit, _uniforms(key, limit))

    def _advance(self, rows: list[Row], sampling: Sampling) -> Iterator[None]:
        """Give unfinished rows their next tokens, turn by turn, until all are finished."""
        room = self._room or room_for(self._model)
        path: Shared | Plain
        if self._structure.shared:
            path = Shared(self._model, self._structure, self._ends, sampling)
        else:
            path = Plain(self._model, self._padding, self._ends, sampling)
        return path.answer(together(rows, room.rows), room)

    def _text(self, row: Row) -> str:
        ended = row.finish == "end"
        text = self._tokenizer.decode(row.produced[:-1] if ended else row.produced, skip_special_tokens=True)
        return str(text)

    def _response(self, row: Row) -> Response:
        return Response(self._text(row), len(row.produced), row.finish or "stopped", len(row.prompt), row.cut)


def _uniforms(key: str, limit: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) for so many tokens, by the key alone."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)
    source = torch.Generator().manual_seed(seed)
    found: NDArray[np.float64] = torch.rand(max(limit, 0), generator=source, dtype=torch.float64).numpy()
    return found
