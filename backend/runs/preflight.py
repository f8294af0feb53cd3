"""What a run would need and what would go wrong, before it is launched. Nothing is stored and nothing frozen."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from alignment.amounts import amount
from alignment.objectives import REFERENCE
from alignment.training.errors import CheckpointRefused, problems_of
from alignment.training.machine import total_memory
from alignment.training.spec import Spec
from backend import storage
from backend.checkpoints import places
from backend.checkpoints.models import Checkpoint
from backend.datasets import service as datasets
from backend.datasets import snapshots
from backend.datasets.asked import CHOOSE, mixed
from backend.errors import AppError
from backend.projects.models import Project
from backend.runs import alike, counts, devices, estimate, lengths, mixture, service, spec, suited
from backend.runs.schemas import EstimateOut, Finding, Ingredient, PreflightOut, RunIn
from backend.settings import get_settings

FEW_EXAMPLES = 50
FEW_LOOKED_AT = 1_000  # examples whose facts are looked at: a form asks at every change, and a launch looks at all
HIGH_RATE = {"full": 1e-4, "lora": 5e-3}
SMALL_MODEL = 50_000_000  # below this, high learning rates are usual
SNAPSHOT_TO_BE = "snapshots/made-at-launch"


def check(session: Session, project: Project, raw: dict[str, Any]) -> PreflightOut:
    """Errors and warnings of the run that `raw` describes, field by field, with its estimate and its YAML."""
    try:
        body = RunIn.model_validate(raw)
    except ValidationError as error:
        return PreflightOut(errors=findings(error), warnings=[], estimate=None, yaml=None)
    return _Check(session, project, body).result()


def findings(error: ValidationError) -> list[Finding]:
    """The problems of a spec with the paths that the form uses: without the tags of alternatives."""
    return [Finding(field=_path(problem.field), detail=f"{problem.message}.") for problem in problems_of(error)]


def _path(field: str) -> str | None:
    parts = [part for part in field.split(".") if part]
    if len(parts) > 1 and parts[0] == "tuning" and parts[1] in HIGH_RATE:
        del parts[1]
    return ".".join(parts) or None


class _Check:
    """One pre-flight: each look-up adds what it finds."""

    def __init__(self, session: Session, project: Project, body: RunIn) -> None:
        self.session, self.project, self.body = session, project, body
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []
        self.samples: list[lengths.Sample] = []

    def result(self) -> PreflightOut:
        base = self._usable(self.body.checkpoint_id, "checkpoint_id")
        reference = self._usable(self.body.reference_id, "reference_id") if self.body.reference_id else None
        third = {name: self._usable_third(name, found) for name, found in self.body.third_ids.items()}
        examples, data = self._data()
        if examples is not None:
            self._look_at_data(examples)
        if self.body.devices > 1 and self.body.where == "worker":
            self._look_at_devices()
        found = {name: one for name, one in {**third, REFERENCE: reference}.items() if one is not None}
        if base is not None:
            self._look_at_others(base, found)
        if base is None or examples is None or None in third.values():
            return PreflightOut(errors=self.errors, warnings=self.warnings, estimate=None, yaml=None)
        told = storage.shown(reference.path) if reference else None
        others = {name: found for name, found in third.items() if found is not None}
        thirds = {name: storage.shown(found.path) for name, found in others.items()}
        whole = spec.with_paths(self.body.recipe(), storage.shown(base.path), told, thirds, data)
        self.errors += [Finding(field=field, detail=detail) for field, detail in estimate.unsupported(whole)]
        self.warnings += self._doubts(base)
        taken = self._estimate(base, reference, others, whole, examples)
        return PreflightOut(errors=self.errors, warnings=self.warnings, estimate=taken, yaml=spec.to_yaml(whole))

    def _estimate(
        self,
        base: Checkpoint,
        reference: Checkpoint | None,
        third: dict[str, Checkpoint],
        whole: Spec,
        examples: counts.Examples,
    ) -> EstimateOut | None:
        try:
            headers: dict[str, Any] = {"checkpoint": places.outline(self.session, base)}
            headers["third"] = {name: places.outline(self.session, found) for name, found in third.items()}
            if reference is not None:
                headers["reference"] = places.outline(self.session, reference)
            known = lengths.of_run(self.body, headers["checkpoint"], self.samples)
            taken = estimate.of(self.session, self.body, base, whole.model_copy(update=headers), examples, known)
        except (CheckpointRefused, AppError) as error:
            self.errors.append(Finding(field="checkpoint_id", detail=error.detail, remedy=error.remedy))
            return None
        if self.body.where == "worker":
            self._look_at_memory(taken)
            self._look_at_disk(taken)
        return taken

    def _usable(self, checkpoint_id: Any, field: str) -> Checkpoint | None:
        try:
            return service.usable(self.session, self.project, checkpoint_id, field)
        except AppError as error:
            self._refuse(error, field)
            return None

    def _usable_third(self, name: str, checkpoint_id: Any) -> Checkpoint | None:
        try:
            return service.usable_third(self.session, self.project, name, checkpoint_id, self.body)
        except AppError as error:
            self._refuse(error, "third_ids")
            return None

    def _data(self) -> tuple[counts.Examples | None, list[tuple[str, float | None]]]:
        """The examples of all parts together, and where each will lie."""
        found: list[counts.Examples] = []
        places: list[tuple[str, float | None]] = []
        for field, part in self.body.ingredients():
            try:
                examples, place = self._part(field, part)
                mixture.refuse_empty(examples.train, part.weight, field)
            except AppError as error:
                self._refuse(error, field)
                return None, []
            found.append(examples)
            places.append((place, part.weight))
        try:
            return mixture.together(found, self.body, self.body.ingredients()[0][0]), places
        except AppError as error:
            self._refuse(error, "dataset_id")
            return None, []

    def _part(self, field: str, part: Ingredient) -> tuple[counts.Examples, str]:
        if part.snapshot_id is not None:
            snapshot = snapshots.find(self.session, self.project, part.snapshot_id)
            mixture.refuse_unsuited(snapshot.kind, self.body, field)
            suited.refuse_snapshot(snapshot, self.body, field, FEW_LOOKED_AT)
            self.samples += lengths.of_snapshot(snapshot)
            return counts.of_snapshot(snapshot, self.body), storage.shown(snapshot.path)
        assert part.dataset_id is not None  # noqa: S101  (an ingredient has exactly one of the two)
        dataset = datasets.find(self.session, self.project, part.dataset_id)
        mixture.refuse_unsuited(dataset.kind, self.body, field)
        suited.refuse_dataset(self.session, dataset, self.body, field, FEW_LOOKED_AT)
        self.samples += lengths.of_dataset(self.session, dataset)
        if mix := mixed(self.session, dataset, self.body.policy):
            apart = "Freeze each dataset with the labels of one task, and mix the snapshots."
            self._doubt("policy.task", mix, CHOOSE if self.body.mixture is None else apart)
        return counts.of_dataset(self.session, dataset, self.body), SNAPSHOT_TO_BE

    def _look_at_data(self, examples: counts.Examples) -> None:
        field = self.body.ingredients()[0][0]
        try:
            service.refuse_unfitting(examples.train, self.body, field)
        except AppError as error:
            self._refuse(error, field)
            return
        if examples.train < FEW_EXAMPLES:
            self._doubt(field, f"Only {examples.train} training examples: what is learned will hardly carry over.")
        if not examples.validation:
            self._doubt(field, "No example is in the validation split: nothing is evaluated while it trains.")

    def _look_at_others(self, base: Checkpoint, others: dict[str, Checkpoint]) -> None:
        try:
            alike.refuse_unlike(self.session, base, others, self.body)
        except AppError as error:
            self._refuse(error, "third_ids")

    def _look_at_devices(self) -> None:
        machine = devices.largest(get_settings().redis_url)
        try:
            devices.refuse_too_many(self.body, machine)
        except AppError as error:
            self._refuse(error, "devices")
            return
        if machine is not None and not machine.gpus:
            many = f"{self.body.devices} processes share its processors"
            self._doubt("devices", f"No worker has a GPU: {many}, and are no faster than one.")

    def _look_at_memory(self, taken: EstimateOut) -> None:
        """More than is free is doubtful, as it may be free when a worker takes the run. More than the machine has,
        however far the estimate is off, is wrong where all who might take it are on this machine."""
        needed, free = taken.memory_bytes, taken.available_bytes
        if free is None or needed <= free:
            return
        there, known = total_memory(), taken.tokens is not None  # else nobody knows how full packs are
        never = known and needed / (1 + taken.memory_error) > there and devices.only_here(get_settings().redis_url)
        (self.errors if never else self.warnings).append(
            Finding(
                field="batch.tokens_per_pack",
                detail=f"About {amount(needed)} of memory are needed, and "
                + (f"this machine has {amount(there)}." if never else f"{amount(free)} are free."),
                remedy=_ways_to_less(self.body, taken),
            )
        )

    def _look_at_disk(self, taken: EstimateOut) -> None:
        if taken.disk_bytes > taken.free_disk_bytes:
            told = f"about {amount(taken.disk_bytes)} of disk, and {amount(taken.free_disk_bytes)} are free."
            self._doubt("keep.last", f"The checkpoints take {told}", "Lower keep.last, or free some space.")

    def _doubts(self, base: Checkpoint) -> Iterator[Finding]:
        body, length = self.body, self.body.length
        asked = length.max_prompt_tokens + length.max_response_tokens
        if base.max_tokens is not None and asked > base.max_tokens:
            yield Finding(
                field="length.max_prompt_tokens",
                detail=f"The checkpoint sees {base.max_tokens:,} tokens at once and the lengths allow {asked:,}: longer"
                f" prompts lose their {length.cut_prompt} side, longer responses their end.",
                remedy="Lower the lengths if you want to decide what is cut.",
            )
        rate = body.optimizer.learning_rate
        if base.parameters > SMALL_MODEL and rate > HIGH_RATE[body.tuning.kind]:
            yield Finding(
                field="optimizer.learning_rate",
                detail=f"{rate:g} is high for {base.parameters / 1e6:,.0f} M parameters; runs often diverge.",
                remedy=f"Try {HIGH_RATE[body.tuning.kind] / 100:g}.",
            )

    def _refuse(self, error: AppError, field: str) -> None:
        self.errors.append(Finding(field=error.field or field, detail=error.detail, remedy=error.remedy))

    def _doubt(self, field: str, detail: str, remedy: str | None = None) -> None:
        self.warnings.append(Finding(field=field, detail=detail, remedy=remedy))


def _ways_to_less(body: RunIn, taken: EstimateOut) -> str:
    """What would take less memory, of what is not done yet."""
    batch = body.batch.tokens_per_pack
    ways = [] if batch == "auto" else [f"lower batch.tokens_per_pack from {batch:,}, or leave it at auto"]
    ways += [] if taken.gradient_checkpointing else ["let layers be computed again (gradient_checkpointing)"]
    ways += ["use LoRA"] if body.tuning.kind == "full" else []
    ways += ["use pure_bf16"] if body.precision == "fp32" else []
    told = ", ".join([*ways, "or choose a smaller checkpoint" if ways else "choose a smaller checkpoint"])
    return f"{told[:1].upper()}{told[1:]}."
