"""When the training state of a run is saved, noted and taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from alignment.training import randomness, resume
from alignment.training.errors import DiskFull, NonFiniteLoss
from alignment.training.failures import is_disk_full, require_room
from alignment.training.state import FOLDER, Held, Progress, States, misfit

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.training.events import Events
    from alignment.training.prepare import Prepared
    from alignment.training.spec import Spec

WITHOUT = "set keep.state to never"


class Keeper:
    """Keeps what it takes to continue one run; of several ranks each calls it alike, and rank 0 writes."""

    def __init__(self, spec: Spec, prepared: Prepared, out: Path, events: Events) -> None:
        self._prepared, self._events, self._spec = prepared, events, spec
        self._ranks = prepared.learner.scoring.ranks
        self._wanted = spec.keep.state != "never"
        self._states = States(out / FOLDER)
        self._held = Held.of(prepared.learner, resume.told_reference(prepared.reference))
        self._step = 0  # of the newest state
        self._moving = False  # whether a step has begun to change the weights
        self._randomness = randomness.capture()
        self.values: Mapping[str, Tensor] = {}  # of the objective's state after the last whole step
        prepared.learner.optimizer.register_step_pre_hook(self._move)

    def begin(self) -> Progress | None:
        """Where a run that goes on stands, once the generators stand there too; None when it begins.

        Raises DiskFull when there is no room for what will be written, StateRefused.
        """
        if self._wanted:
            require_room(self._states.folder.parent, 2 * self._held.bytes(), "two training states", WITHOUT)
        resumed = self._prepared.resumed
        if resumed is None:
            return None
        progress = resumed.progress
        if progress.examples != progress.step * self._spec.batch.examples_per_step:
            raise misfit()
        try:
            self._randomness = resumed.randomness[self._ranks.rank]
            randomness.restore(self._randomness)
        except (ValueError, IndexError, TypeError, RuntimeError) as error:
            raise misfit() from error
        self.values = self._prepared.learner.scoring.placed(resumed.values)
        self._states.read()
        self._step = progress.step
        return progress

    def whole(self, values: Mapping[str, Tensor]) -> None:
        """A step is whole, and has left these values of the objective's state: the run could go on from here."""
        self._randomness, self.values = randomness.capture(), values
        self._moving = False

    def save(self, progress: Progress) -> None:
        """Save the state of the last whole step, unless it is there, and let older ones go.  Raises DiskFull."""
        if not self._wanted or self._step == progress.step:
            return
        generators = self._ranks.each(self._randomness)
        held = replace(self._held, values=self.values)
        place = self._states.save(held, self._prepared.origin, progress, generators, writes=self._ranks.first)
        self._step = progress.step
        self._events.emit("state", step=progress.step, path=str(place))
        if self._ranks.first:
            self._states.prune()

    def note(self, progress: Progress) -> None:
        """Say anew how far the run is at the step of the newest state; rank 0 does."""
        if self._step == progress.step:
            self._states.note(progress)

    def try_saving(self, progress: Progress) -> None:
        """Save the state if that can be done; what ends the run is told in any case."""
        try:
            self.save(progress)
        except (OSError, RuntimeError, MemoryError, SafetensorError, DiskFull):
            self._events.log("what it takes to continue from the last step could not be saved", "warning")

    def rescue(self, error: Exception, progress: Progress) -> None:
        """Save the state of the last whole step after an error, where it is untouched and all ranks are there to."""
        alone = self._ranks.size == 1 or isinstance(error, NonFiniteLoss)  # which every rank raises
        if alone and not (self._moving or is_disk_full(error) or isinstance(error, DiskFull)):
            self.try_saving(progress)

    def _move(self, *_: object) -> None:
        self._moving = True
