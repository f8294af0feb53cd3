"""The training loop: step after step, with evaluations, samples and checkpoints at their intervals."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from alignment.generation import Generator
from alignment.objectives import State
from alignment.sampling import Sampling
from alignment.training.checkpoint import Checkpoints, Kind, Saved
from alignment.training.events import Events, finite
from alignment.training.model import dropout_off
from alignment.training.prepare import Prepared, draw
from alignment.training.spec import LoraTuning, Spec
from alignment.training.step import evaluate
from alignment.training.stop import Cancelled, Stop
from alignment.training.throughput import Meter

SAMPLE_TOKENS = 256


@dataclass
class Summary:
    """How a run ended: what is on disk, and the last value of every metric."""

    cancelled: bool = False
    step: int = 0
    total_steps: int = 0
    seconds: float = 0.0
    examples: int = 0
    tokens: int = 0
    checkpoint: Path | None = None
    checkpoints: list[Saved] = field(default_factory=list)
    metrics: dict[str, float | None] = field(default_factory=dict)

    @classmethod
    def of(cls, event: dict[str, Any]) -> Summary:
        """The summary that another process has told as its `done` event."""
        told = {name: event["summary"][name] for name in ("step", "total_steps", "seconds", "examples", "tokens")}
        checkpoint = None if event["checkpoint"] is None else Path(event["checkpoint"])
        saved = [Saved(**{**one, "path": Path(one["path"])}) for one in event["checkpoints"]]
        metrics = event["summary"]["metrics"]
        return cls(event["cancelled"], checkpoint=checkpoint, checkpoints=saved, metrics=metrics, **told)

    def event(self) -> dict[str, Any]:
        """The body of the `done` event."""
        return {
            "cancelled": self.cancelled,
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
            "checkpoints": [saved.event() for saved in self.checkpoints],
            "summary": {
                "step": self.step,
                "total_steps": self.total_steps,
                "seconds": round(self.seconds, 3),
                "examples": self.examples,
                "tokens": self.tokens,
                "metrics": self.metrics,
            },
        }


def run(spec: Spec, prepared: Prepared, out: Path, events: Events, stop: Stop) -> Summary:
    """Train until the steps are done or a stop is asked for; in both cases the last whole step is saved.

    Raises NonFiniteLoss, DiskFull; what was saved before stays.
    """
    loop = _Loop(spec, prepared, out, events, stop)
    summary = loop.summary
    started = time.monotonic()
    try:
        for step in range(1, prepared.total_steps + 1):
            loop.step(step)
            if step % spec.evaluate.every_steps == 0 and step < prepared.total_steps:
                loop.look_back(step)
        loop.look_back(prepared.total_steps)
    except Cancelled:
        summary.cancelled = True
        events.log(f"stopping after step {summary.step} of {summary.total_steps}, as asked")
        if summary.step > 0 and (summary.checkpoint is None or summary.checkpoint.name != str(summary.step)):
            loop.save({})
    summary.seconds = time.monotonic() - started
    summary.checkpoints = loop.checkpoints.saved
    return summary


class _Loop:
    """The state of one run."""

    def __init__(self, spec: Spec, prepared: Prepared, out: Path, events: Events, stop: Stop) -> None:
        self._spec, self._prepared, self._events, self._stop = spec, prepared, events, stop
        self._ranks = prepared.learner.scoring.ranks
        self._check = self._ranks.check(stop)
        kind: Kind = "lora" if isinstance(spec.tuning, LoraTuning) else "full"
        self.checkpoints = Checkpoints(out / "checkpoints", kind, spec.keep)
        self._order = draw(spec, prepared.examples)
        self._meter = Meter(prepared.model, prepared.learner.scoring)
        self.summary = Summary(total_steps=prepared.total_steps)
        if not prepared.examples.validation:
            events.log("no validation examples: nothing is evaluated, and the last checkpoint counts", "warning")

    def step(self, step: int) -> None:
        """Take one optimizer step and tell its metrics."""
        self._check()
        prepared, size = self._prepared, self._spec.batch.examples_per_step
        began = time.monotonic()
        indices = list(islice(self._order, size))
        examples = [prepared.examples.train[index] for index in indices]
        reference = None if prepared.reference is None else prepared.reference.of(indices)
        values = prepared.learner.update(examples, reference, State(step - 1), self._check)
        seconds = time.monotonic() - began
        tokens = sum(example.tokens for example in examples)
        values |= self._meter.values(examples, seconds)
        self.summary.step = step
        self.summary.examples += size
        self.summary.tokens += tokens
        values["num_tokens"] = self.summary.tokens
        self._tell(step, values, examples=size, tokens=tokens, seconds=seconds)

    def look_back(self, step: int) -> None:
        """Measure the validation examples, show samples, and save a checkpoint."""
        metrics: dict[str, float] = {}
        prepared = self._prepared
        if prepared.examples.validation:
            began = time.monotonic()
            reference = None if prepared.reference is None else prepared.reference.validation
            scoring = prepared.learner.scoring
            with dropout_off(prepared.model):
                metrics = evaluate(scoring, prepared.examples.validation, reference, State(step), self._check)
            self._tell(step, metrics, examples=0, tokens=0, seconds=time.monotonic() - began)
            metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self._sample(step)
        self.save(metrics)

    def save(self, metrics: dict[str, float]) -> None:
        """Save the weights as they are now, and delete the checkpoints that need not stay; rank 0 does."""
        step, prepared = self.summary.step, self._prepared
        self.summary.checkpoint = self.checkpoints.folder / str(step)
        weights = self._ranks.weights(prepared.learner.scoring.scorer)
        if not self._ranks.first:
            return
        saved = self.checkpoints.save(prepared.model, prepared.tokenizer, step, metrics, weights)
        self._events.emit("checkpoint", **saved.event())
        for gone in self.checkpoints.prune():
            self._events.log(f"deleted the checkpoint of step {gone.step}", removed_checkpoint=str(gone.path))

    def _sample(self, step: int) -> None:
        """Answer a few held-out prompts greedily, the same ones each time; all ranks together, rank 0 tells."""
        spec, examples = self._spec, self._prepared.examples
        split = "validation" if examples.validation else "train"
        shown = (examples.validation or examples.train)[: spec.evaluate.samples]
        if not shown:
            return
        most = min(spec.length.max_response_tokens, SAMPLE_TOKENS)
        sampling = Sampling(temperature=0, max_new_tokens=most, seed=spec.seed)
        model, ranks = self._prepared.model, self._ranks
        prompts = [example.pair.prompt for example in shown]
        with dropout_off(model), ranks.gathered(self._prepared.learner.scoring.scorer):
            generator = Generator.of(model, self._prepared.tokenizer)
            responses = generator.generate(prompts, sampling, stop=lambda: ranks.any(self._stop.asked))
        self._check()
        for example, response in zip(shown, responses, strict=True):
            self._events.emit(
                "sample",
                step=step,
                split=split,
                example=example.pair.id,
                prompt=example.pair.prompt,
                response=response.text,
                finish=response.finish,
                tokens=response.tokens,
                sampling=sampling.model_dump(),
            )

    def _tell(self, step: int, values: dict[str, float], *, examples: int, tokens: int, seconds: float) -> None:
        clean, nonfinite = finite(values)
        self.summary.metrics |= clean
        self._events.emit(
            "step",
            step=step,
            total_steps=self.summary.total_steps,
            epoch=round(self.summary.examples / len(self._prepared.examples.train), 4),
            examples=examples,
            tokens=tokens,
            seconds=round(seconds, 4),
            values=clean,
            nonfinite=nonfinite,
        )
