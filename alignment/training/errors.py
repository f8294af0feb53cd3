"""Why training stopped: one error class per cause, each with its exit code, a sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from alignment.parts import faults


class TrainingError(Exception):
    """The base of every named error: `title` says what it is, `detail` what happened, `remedy` what to do."""

    code: ClassVar[str] = "training_failed"
    exit_code: ClassVar[int] = 1
    title: ClassVar[str] = "Training failed"

    def __init__(self, detail: str, remedy: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy
        self.field = field

    def event(self) -> dict[str, Any]:
        """The body of the `error` event."""
        body = {"code": self.code, "exit_code": self.exit_code, "title": self.title}
        return {**body, "detail": self.detail, "field": self.field, "remedy": self.remedy}


class BadSpec(TrainingError):
    """The specification cannot be run as it is."""

    code = "bad_spec"
    exit_code = 64
    title = "The run's specification is not valid"


class FolderInUse(BadSpec):
    """The output folder already holds something."""

    code = "folder_in_use"
    title = "The output folder is not empty"


class StateRefused(BadSpec):
    """What was kept of an interrupted run does not fit, is damaged, or is not trusted."""

    code = "state_refused"
    title = "The run cannot be continued"


class CheckpointRefused(BadSpec):
    """A checkpoint folder lacks something that training or sampling needs, or holds what is not trusted."""

    code = "checkpoint_refused"
    title = "The checkpoint cannot be used"


class TemplateHeld(CheckpointRefused):
    """A chat template took more time or memory than any needs, and was stopped."""

    code = "template_held"
    title = "The chat template was stopped"


class BadData(TrainingError):
    """The examples cannot be trained on."""

    code = "bad_data"
    exit_code = 65
    title = "The training data cannot be used"


class TooFewExamples(BadData):
    """There are fewer examples than one optimizer step takes."""

    code = "too_few_examples"
    title = "The dataset is too small"


class NonFiniteLoss(TrainingError):
    """The loss or its gradient became NaN or infinite; the weights were not updated with it.

    `examples` are the ids of those that are at fault: whose own loss is not finite, else all of the step.
    """

    code = "non_finite_loss"
    exit_code = 70
    title = "The loss is no longer a number"

    def __init__(self, detail: str, remedy: str, field: str | None = None, examples: Sequence[str] = ()) -> None:
        super().__init__(detail, remedy, field)
        self.examples = list(examples)

    def event(self) -> dict[str, Any]:
        return {**super().event(), "examples": self.examples}


class OutOfMemory(TrainingError):
    """A batch did not fit."""

    code = "out_of_memory"
    exit_code = 71
    title = "The machine ran out of memory"


class DiskFull(TrainingError):
    """A file could not be written."""

    code = "disk_full"
    exit_code = 74
    title = "The disk is full"


class ProcessLost(TrainingError):
    """One of several processes that train together ended without saying why, or can no longer be reached."""

    code = "process_lost"
    title = "A training process was lost"


class Unexpected(TrainingError):
    """A defect, or a failure of the machine: the traceback is in the run's log."""

    code = "unexpected"
    title = "Training stopped on an unexpected error"


def retold(event: Mapping[str, Any]) -> TrainingError:
    """The error that another process has told as an `error` event."""
    kinds = [TrainingError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    kind = next((kind for kind in kinds if kind.code == event["code"]), Unexpected)
    error = kind(event["detail"], event["remedy"], event["field"])
    if isinstance(error, NonFiniteLoss):
        error.examples = list(event["examples"])
    return error


class Problem(BaseModel):
    """One thing that is wrong with a spec: the path of the field, and a sentence."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


def template_held(detail: str) -> TemplateHeld:
    """The error for a template that was stopped."""
    return TemplateHeld(detail, "Give the checkpoint a chat template that you trust.", "checkpoint")


def problems_of(error: ValidationError) -> list[Problem]:
    """The values at fault with dotted field paths."""
    return [Problem(field=_path(place), message=message) for place, message in faults(error.errors())]


def bad_spec(error: ValidationError) -> BadSpec:
    """A validation error of the spec as the error that stops a run; it names the first field and tells all."""
    problems = problems_of(error)
    detail = "; ".join(
        f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in problems
    )
    return BadSpec(detail, "Correct the fields named and start again.", problems[0].field or None)


def _path(location: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in location)
