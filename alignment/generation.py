"""Sampling from a checkpoint: batched or streamed, each prompt drawn with randomness of its own.

What a prompt is answered does not depend on which other prompts stand beside it in a call. Only where it stands there
itself more than once, each occurrence is drawn anew; asked in calls of its own it is answered the same each time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import torch
from torch import Tensor

from alignment import chat
from alignment.sampling import Sampling
from alignment.training.folder import context_of
from alignment.training.model import load_adapted, load_model, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Generator as PyGenerator

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS_AT_ONCE = 64
TOKENS_AT_ONCE = 32_768
Finish = Literal["end", "length", "stopped"]


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


@dataclass
class _Row:
    prompt: list[int]
    cut: int
    limit: int
    uniforms: Tensor
    produced: list[int] = field(default_factory=list)
    finish: Finish | None = None


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
    def of(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Answer with a model that is already loaded; it stays on its device and in its mode."""
        self = cls.__new__(cls)
        self._take(model, tokenizer)
        return self

    def _take(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._device = next(model.parameters()).device
        self._context = context_of(model.config.get_text_config().to_dict())
        self._ends = chat.end_tokens(tokenizer, model.generation_config)
        self._padding = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else min(self._ends)

    def generate(
        self,
        prompts: Sequence[Sequence[chat.ChatMessage]],
        sampling: Sampling,
        *,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda _done: None,
        cut: bool = True,
    ) -> list[Response]:
        """One response per prompt, in order.  A prompt that occurs twice in a call has two different draws.

        `stop` is asked between tokens; answers that were under way end with finish "stopped". `progress` is told how
        many prompts are answered. Raises PromptTooLong when `cut` is False and a prompt leaves no room.
        """
        rows = self._rows(prompts, sampling, cut)
        for group in _groups(rows):
            for _ in self._advance(group, sampling):
                if stop():
                    return [self._response(row) for row in rows]
            progress(sum(row.finish is not None for row in rows))
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

    def _rows(self, prompts: Sequence[Sequence[chat.ChatMessage]], sampling: Sampling, cut: bool) -> list[_Row]:
        texts = [chat.render_prompt(self._tokenizer, prompt) for prompt in prompts]
        seen: Counter[str] = Counter()
        rows = []
        for text, ids in zip(texts, chat.encode(self._tokenizer, texts), strict=True):
            rows.append(self._row(ids, sampling, cut, f"{sampling.seed}/{seen[text]}/{text}"))
            seen[text] += 1
        return rows

    def _row(self, ids: list[int], sampling: Sampling, cut: bool, key: str) -> _Row:
        """A prompt with room for its answer: in a short context the prompt may take half, and more where it is free."""
        limit, kept = sampling.max_new_tokens, ids
        if self._context is not None:
            room = max(self._context - sampling.max_new_tokens, self._context // 2)
            if len(ids) > room and not cut:
                raise PromptTooLong(len(ids), room)
            kept = ids[-room:]
            limit = min(limit, self._context - len(kept))
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)
        source = torch.Generator().manual_seed(seed)
        return _Row(kept, len(ids) - len(kept), limit, torch.rand(limit, generator=source, dtype=torch.float64))

    @torch.no_grad()
    def _advance(self, rows: list[_Row], sampling: Sampling) -> Iterator[None]:
        """Give every unfinished row its next token, once per turn, until all are finished."""
        active, cache = rows, None
        ids, mask = self._padded(rows)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        while True:
            out = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            uniforms = torch.stack([row.uniforms[min(len(row.produced), row.limit - 1)] for row in active])
            tokens = pick(out.logits[:, -1].float(), sampling, uniforms.to(self._device)).tolist()
            for row, token in zip(active, tokens, strict=True):
                self._accept(row, token)
            yield
            going = [index for index, row in enumerate(active) if row.finish is None]
            if not going:
                return
            if len(going) <= len(active) // 2:
                keep = torch.tensor(going, device=self._device)
                cache.batch_select_indices(keep)
                active, tokens, mask = (
                    [active[index] for index in going],
                    [tokens[index] for index in going],
                    mask[keep],
                )
            ids = torch.tensor(tokens, device=self._device)[:, None]
            mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=1)
            positions = mask.sum(1, keepdim=True) - 1

    def _accept(self, row: _Row, token: int) -> None:
        if row.finish is not None:
            return
        row.produced.append(token)
        if token in self._ends:
            row.finish = "end"
        elif len(row.produced) == row.limit:
            row.finish = "length"

    def _padded(self, rows: list[_Row]) -> tuple[Tensor, Tensor]:
        width = max(len(row.prompt) for row in rows)
        ids = torch.full((len(rows), width), self._padding)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, width - len(row.prompt) :] = torch.tensor(row.prompt)
            mask[index, width - len(row.prompt) :] = 1
        return ids.to(self._device), mask.to(self._device)

    def _text(self, row: _Row) -> str:
        ended = row.finish == "end"
        text = self._tokenizer.decode(row.produced[:-1] if ended else row.produced, skip_special_tokens=True)
        return str(text)

    def _response(self, row: _Row) -> Response:
        return Response(self._text(row), len(row.produced), row.finish or "stopped", len(row.prompt), row.cut)


def pick(logits: Tensor, sampling: Sampling, uniforms: Tensor) -> Tensor:
    """The next token of each row (N,) from logits (N, V): the cumulative distribution inverted at `uniforms` (N,)."""
    if sampling.temperature == 0:
        return logits.argmax(dim=1)
    probabilities, tokens = (logits.double() / sampling.temperature).softmax(dim=1).sort(dim=1, descending=True)
    before = probabilities.cumsum(dim=1) - probabilities
    kept = probabilities.masked_fill(before >= sampling.top_p, 0)
    cumulative = kept.cumsum(dim=1)
    wanted = uniforms[:, None] * cumulative[:, -1:]
    found = torch.searchsorted(cumulative, wanted, right=True)
    last = (kept > 0).sum(dim=1, keepdim=True) - 1
    return tokens.gather(1, found.minimum(last)).squeeze(1)


def _groups(rows: list[_Row]) -> Iterator[list[_Row]]:
    """Rows of like length, few enough that their cache stays small."""
    group: list[_Row] = []
    for row in sorted(rows, key=lambda row: len(row.prompt)):
        size = (len(group) + 1) * (len(row.prompt) + row.limit)
        if group and (len(group) == ROWS_AT_ONCE or size > TOKENS_AT_ONCE):
            yield group
            group = []
        group.append(row)
    if group:
        yield group
