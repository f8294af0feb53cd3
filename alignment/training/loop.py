"""The training loop: step after step, with evaluations, samples and checkpoints at their intervals."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from alignment.sampling import Sampling
from alignment.training import recompute
from alignment.training.checkpoint import Checkpoints, Kind, Saved
from alignment.training.drawing import answering, drawn
from alignment.training.events import Events, finite
from alignment.training.exhausted import out_of_memory
from alignment.training.failures import is_out_of_memory
from alignment.training.forgetting import Forgetting
from alignment.training.keeping import Keeper
from alignment.training.kinds.scored import reading_of
from alignment.training.model import dropout_off
from alignment.training.prepare import Prepared, draw
from alignment.training.spec import SAMPLE_TOKENS, LoraTuning, Spec
from alignment.training.state import Kept, Progress
from alignment.training.step import evaluate
from alignment.training.stop import Cancelled, Stop
from alignment.training.throughput import Meter


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

    @classmethod
    def at(cls, progress: Progress, checkpoints: Path) -> Summary:
        """How a run ends that was stopped before it went on from there."""
        last = max((saved.step for saved in progress.checkpoints), default=None)
        return cls(
            cancelled=True,
            step=progress.step,
            total_steps=progress.total_steps,
            seconds=progress.seconds,
            examples=progress.examples,
            tokens=progress.tokens,
            checkpoint=None if last is None else checkpoints / str(last),
            metrics=dict(progress.metrics),
        )

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
    try:
        loop.begin()
        for step in range(summary.step + 1, prepared.total_steps + 1):
            loop.step(step)
            if loop.pending:
                loop.look_back()
    except Cancelled:
        summary.cancelled = True
        events.log(f"stopping after step {summary.step} of {summary.total_steps}, as asked")
        loop.stop()
    except Exception as error:
        loop.rescue(error)
        raise
    summary.seconds = loop.seconds()
    summary.checkpoints = loop.checkpoints.saved
    return summary


class _Loop:
    """The state of one run. `pending`: the evaluation of the last step is still to be made."""

    def __init__(self, spec: Spec, prepared: Prepared, out: Path, events: Events, stop: Stop) -> None:
        self._spec, self._prepared, self._events, self._stop = spec, prepared, events, stop
        self._ranks = prepared.learner.scoring.ranks
        self._check = self._ranks.check(stop)
        kind: Kind = "lora" if isinstance(spec.tuning, LoraTuning) else "full"
        reading = reading_of(spec.objective)
        self.checkpoints = Checkpoints(out / "checkpoints", kind, spec.keep, spec.best, reading)
        self._order = draw(spec, prepared.examples)
        self._meter = Meter(prepared.model, prepared.learner.scoring)
        self.summary = Summary(total_steps=prepared.total_steps)
        self.pending = False
        self._seconds, self._started = 0.0, time.monotonic()
        self._state = prepared.learner.scoring.begun(spec.seed)
        self._keeper = Keeper(spec, prepared, out, events)
        self._forgetting = Forgetting(spec, prepared.examples, out, events)
        if not prepared.examples.validation:
            events.log("no validation examples: nothing is evaluated, and the last checkpoint counts", "warning")

    def begin(self) -> None:
        """Go to where the run stood, if it is one that goes on; afterwards there is room for what it will write."""
        progress, summary = self._keeper.begin(), self.summary
        if progress is None:
            self._events.log("beginning to train", phase=True)
            self._recall(first=True)
            return
        self.checkpoints.restore((saved.step, saved.metrics) for saved in progress.checkpoints)
        summary.step, summary.examples, summary.tokens = progress.step, progress.examples, progress.tokens
        summary.metrics = dict(progress.metrics)
        summary.checkpoint = self.checkpoints.saved[-1].path if self.checkpoints.saved else None
        self._seconds, self.pending = progress.seconds, not progress.looked_back
        self._state = self._state._replace(step=progress.step, values=self._keeper.values)
        deque(islice(self._order, progress.examples), maxlen=0)
        self._events.emit("resumed", step=summary.step, total_steps=summary.total_steps, evaluates=self.pending)
        if self.pending:
            self.look_back()

    def step(self, step: int) -> None:
        """Take one optimizer step, tell its metrics, and save the training state when it is time."""
        self._check()
        prepared, size = self._prepared, self._spec.batch.examples_per_step
        began = time.monotonic()
        indices = list(islice(self._order, size))
        examples = [prepared.examples.train[index] for index in indices]
        if self._spec.objective.needs.samples:
            examples = drawn(prepared, self._spec, examples, step, self._stop)
            self._check()
        reference = None if prepared.reference is None else prepared.reference.of(indices)
        try:
            values, self._state = prepared.learner.update(examples, reference, self._state, self._check)
        except (MemoryError, RuntimeError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            scoring = prepared.learner.scoring
            shared, again = scoring.structure.shared, recompute.is_on(scoring.scorer)
            tokens, at_once = scoring.tokens, scoring.at_once
            raise out_of_memory(
                self._spec, step, tokens, examples, shared=shared, again=again, at_once=at_once
            ) from error
        seconds = time.monotonic() - began
        tokens = sum(example.tokens for example in examples)
        values |= self._meter.values(examples, seconds)
        self._keeper.whole(self._state.values)
        self.summary.step = step
        self.summary.examples += size
        self.summary.tokens += tokens
        values["num_tokens"] = self.summary.tokens
        self._tell(step, values, examples=size, tokens=tokens, seconds=seconds)
        self.pending = step % self._spec.evaluate.every_steps == 0 or step == prepared.total_steps
        every = self._spec.keep.state
        if self.pending or (isinstance(every, int) and step % every == 0):
            self._keeper.save(self._progress())

    def look_back(self) -> None:
        """Measure the validation examples, show samples, and save a checkpoint."""
        metrics: dict[str, float] = {}
        prepared, step = self._prepared, self.summary.step
        if prepared.examples.validation:
            began = time.monotonic()
            reference = None if prepared.reference is None else prepared.reference.validation
            scoring = prepared.learner.scoring
            with dropout_off(prepared.model):
                metrics = evaluate(scoring, prepared.examples.validation, reference, self._state, self._check)
            self._tell(step, metrics, examples=0, tokens=0, seconds=time.monotonic() - began)
            metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self._recall()
        self._sample(step)
        self.pending = False
        self._save(metrics)

    def stop(self) -> None:
        """Keep the last whole step, to be used and to be continued."""
        summary = self.summary
        if summary.step == 0:
            return
        self._keeper.try_saving(self._progress())
        if summary.checkpoint is None or summary.checkpoint.name != str(summary.step):
            self._save({})

    def rescue(self, error: Exception) -> None:
        """Keep what it takes to continue from the last whole step, where that is still in memory and there is room."""
        if self.summary.step:
            self._keeper.rescue(error, self._progress())

    def seconds(self) -> float:
        """How long the run has worked so far, what was before interruptions included."""
        return self._seconds + time.monotonic() - self._started

    def _recall(self, *, first: bool = False) -> None:
        """Tell what is forgotten and what is kept, in a run that forgets."""
        if not self._forgetting:
            return
        began = time.monotonic()
        with dropout_off(self._prepared.model):
            values = self._forgetting.read(self._prepared.learner.scoring, self._check, first=first)
        self._tell(self.summary.step, values, examples=0, tokens=0, seconds=time.monotonic() - began)

    def _progress(self) -> Progress:
        summary = self.summary
        return Progress(
            step=summary.step,
            total_steps=summary.total_steps,
            examples=summary.examples,
            tokens=summary.tokens,
            seconds=self.seconds(),
            metrics=summary.metrics,
            checkpoints=[Kept(step=saved.step, metrics=dict(saved.metrics)) for saved in self.checkpoints.saved],
            looked_back=not self.pending,
        )

    def _save(self, metrics: dict[str, float]) -> None:
        """Save the weights as they are now, and delete the checkpoints that need not stay; rank 0 does."""
        step, prepared = self.summary.step, self._prepared
        self.summary.checkpoint = self.checkpoints.folder / str(step)
        scorer = prepared.learner.scoring.scorer
        weights, own = self._ranks.weights(scorer), self._ranks.own_weights(scorer)
        if not self._ranks.first:
            return
        saved = self.checkpoints.save(prepared.model, prepared.tokenizer, step, metrics, weights, own)
        self._events.emit("checkpoint", **saved.event())
        for gone in self.checkpoints.prune():
            self._events.log(f"deleted the checkpoint of step {gone.step}", removed_checkpoint=str(gone.path))
        self._keeper.note(self._progress())

    def _sample(self, step: int) -> None:
        """Answer a few held-out prompts greedily, the same ones each time; all ranks together, rank 0 tells."""
        spec, examples = self._spec, self._prepared.examples
        split = "validation" if examples.validation else "train"
        shown = (examples.validation or examples.train)[: spec.evaluate.samples]
        if not shown or spec.kind == "reward_model":
            return  # what scores responses writes none
        most = min(spec.length.max_response_tokens, SAMPLE_TOKENS)
        sampling = Sampling(temperature=0, max_new_tokens=most, seed=spec.seed)
        prompts = [encoded.example.prompt for encoded in shown]
        with answering(self._prepared) as generator:
            responses = generator.generate(prompts, sampling, stop=lambda: self._ranks.any(self._stop.asked))
        self._check()
        for encoded, response in zip(shown, responses, strict=True):
            self._events.emit(
                "sample",
                step=step,
                split=split,
                example=encoded.example.id,
                prompt=encoded.example.prompt,
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
