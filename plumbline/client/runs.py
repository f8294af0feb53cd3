"""Runs: checked, launched, watched and stopped."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from plumbline.client.line import Ref, id_of, optional_id
from plumbline.client.noun import ENDED, Noun, Spec
from plumbline.client.schemas import (
    EventOut,
    EventsOut,
    MetricsOut,
    PreflightOut,
    RegressionOut,
    RunDetail,
    RunOut,
    RunRow,
    Series,
)

BEGINNING = uuid.UUID(int=0)
EVENTS_AT_ONCE = 500


def _body(
    name: str, checkpoint: Ref, objective: Spec, dataset: Ref | None, snapshot: Ref | None, spec: dict[str, Any]
) -> dict[str, Any]:
    reference = optional_id(spec.pop("reference", None))
    third = {name: id_of(found) for name, found in spec.pop("third", {}).items()}
    return {
        "name": name,
        "checkpoint_id": id_of(checkpoint),
        "reference_id": reference,
        "third_ids": third,
        "dataset_id": optional_id(dataset),
        "snapshot_id": optional_id(snapshot),
        "objective": dict(objective),
        **spec,
    }


class Runs(Noun):
    """`client.runs`."""

    def preflight(
        self,
        name: str,
        checkpoint: Ref,
        objective: Spec,
        *,
        dataset: Ref | None = None,
        snapshot: Ref | None = None,
        **spec: Any,
    ) -> PreflightOut:
        """What would be wrong with a run, and what it would take; nothing is stored.  Arguments as in `launch`."""
        body = _body(name, checkpoint, objective, dataset, snapshot, spec)
        return self._line.post("/runs/preflight", PreflightOut, body, retry="always")

    def launch(
        self,
        name: str,
        checkpoint: Ref,
        objective: Spec,
        *,
        dataset: Ref | None = None,
        snapshot: Ref | None = None,
        **spec: Any,
    ) -> RunOut:
        """Freeze the data and queue a run, as in `launch("First", base, {"name": "dpo", "beta": 0.1}, dataset=data)`.

        Data are a dataset, a snapshot, or a `mixture` of several.  `reference`, `third` (other checkpoints that the
        objective asks for, as in `{"guide": checkpoint}`) and the other parts of a run's spec
        (`tuning`, `optimizer`, `batch`, `length`, `duration`, `precision`, `evaluate`, `keep`, `seed`, …) are as the
        API's reference has them under `RunIn`; a wrong one is refused with its field.
        """
        return self._line.create("/runs", RunOut, _body(name, checkpoint, objective, dataset, snapshot, spec))

    def list(self, *, state: str | Sequence[str] | None = None, checkpoint: Ref | None = None) -> Iterator[RunRow]:
        """Every run, newest first."""
        states = [state] if isinstance(state, str) else state
        return self._line.pages("/runs", RunRow, state=states, checkpoint_id=optional_id(checkpoint))

    def get(self, run: Ref) -> RunDetail:
        """One run with its spec and its checkpoints."""
        return self._line.get(f"/runs/{id_of(run)}", RunDetail)

    def wait(
        self, run: Ref, tell: Callable[[RunDetail], None] | None = None, *, seconds: float | None = None
    ) -> RunDetail:
        """The run once it has succeeded.  Raises NotSucceeded, TookTooLong."""
        return self._until_ended(lambda: self.get(run), tell, seconds)

    def cancel(self, run: Ref) -> RunOut:
        """Stop a run; what it has saved is kept."""
        return self._line.post(f"/runs/{id_of(run)}/cancel", RunOut)

    def resume(self, run: Ref, *, tokens_per_pack: int | str | None = None) -> RunOut:
        """Let a run that failed, was cancelled or was lost go on after the last step that it saved.

        After it ran out of memory, with smaller packs.
        """
        return self._line.post(f"/runs/{id_of(run)}/resume", RunOut, {"tokens_per_pack": tokens_per_pack})

    def check(
        self,
        run: Ref,
        *,
        checkpoint: Ref | None = None,
        base: Ref | None = None,
        categories: Sequence[str] | None = (),
        harness: Spec | None = None,
        margin: float | None = None,
        level: float | None = None,
        sampling: Spec | None = None,
        seed: int | None = None,
    ) -> RegressionOut:
        """Compare a run's last checkpoint with its base on prompt checks and refusals: did it break anything?

        Without `categories` on all prompt checks, with None on none; `harness` names tasks of lm-evaluation-harness.
        """
        body = {
            "checkpoint_id": optional_id(checkpoint),
            "base_id": optional_id(base),
            "categories": None if categories is None else list(categories),
            "harness": harness,
            "margin": margin,
            "level": level,
            "sampling": sampling,
            "seed": seed,
        }
        return self._line.create(f"/runs/{id_of(run)}/regressions", RegressionOut, body)

    def checks(self, run: Ref) -> Iterator[RegressionOut]:
        """The checks of a run for regressions, newest first."""
        return self._line.pages(f"/runs/{id_of(run)}/regressions", RegressionOut)

    def wait_for_check(
        self, check: Ref, tell: Callable[[RegressionOut], None] | None = None, *, seconds: float | None = None
    ) -> RegressionOut:
        """The check once it is done: `mark` is `worse`, `no_worse` or `unclear`.  Raises NotSucceeded, TookTooLong."""
        return self._until_ended(lambda: self._line.get(f"/regressions/{id_of(check)}", RegressionOut), tell, seconds)

    def events(
        self, run: Ref, *, after: Ref = BEGINNING, kinds: Sequence[str] | None = None, follow: bool = True
    ) -> Iterator[EventOut]:
        """What a run says (`log`, `sample`, `alarm`, `checkpoint`, …) from its beginning on, or after an event.

        With `follow` as it happens, until the run has ended.
        """
        path, cursor = f"/runs/{id_of(run)}/events", id_of(after)
        while True:
            last = not follow or self.get(run).state in ENDED  # asked first: what was said before it ended is there
            while True:
                found = self._line.get(path, EventsOut, after=cursor, kind=kinds, limit=EVENTS_AT_ONCE)
                yield from found.items
                cursor = str(found.cursor or cursor)
                if len(found.items) < EVENTS_AT_ONCE:
                    break
            if last:
                return
            time.sleep(self._line.poll_seconds)

    def metrics(self, run: Ref, names: Sequence[str] | None = None, *, points: int = 1000) -> dict[str, Series]:
        """The course of every metric so far, or of those named, in at most about so many points each."""
        path = f"/runs/{id_of(run)}/metrics"
        return self._line.get(path, MetricsOut, names=names, points=points).series
