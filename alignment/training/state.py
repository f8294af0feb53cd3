"""What it takes to continue a run as if it had never stopped: saved whole beside the checkpoints, the newest kept.

A state is a folder `state/<step>/` with `state.json` and safetensors files: trained weights, what the optimizer
remembers of each, where the random number generators stand, what the reference thinks, what moves in the objective
between steps, and how far the run is.  It is written before the evaluation and the checkpoint of its step, so that no
checkpoint is ever newer than the state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alignment.training import footprint, tensors, whole
from alignment.training.errors import StateRefused
from alignment.training.failures import require_room
from alignment.training.randomness import Generators, Randomness
from alignment.training.structure import Way

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from alignment.training.step import Learner

STATE = "state.json"
FOLDER = "state"
GENERATOR = re.compile(r"\d{1,4}\.\d{1,3}")
STEP = re.compile(r"[1-9]\d{0,11}")
LONGEST_JSON = 64 << 20
Whole = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Kept(_Part):
    """A checkpoint that was on disk."""

    step: int = Field(ge=1)
    metrics: dict[str, float]


class Progress(_Part):
    """How far a run is. `looked_back`: the evaluation of this step, if there is one, has been told and saved."""

    step: int = Field(ge=1)
    total_steps: int = Field(ge=1)
    examples: Whole
    tokens: Whole
    seconds: float = Field(ge=0)
    metrics: dict[str, float | None]
    checkpoints: list[Kept]
    looked_back: bool


class Origin(_Part):
    """What run it is: its spec without paths, hashes of its data and of the weights it started from, and what was
    found out at its beginning that decides how its numbers are rounded."""

    spec: dict[str, Any]
    data: str
    weights: str
    tokens_per_pack: int = Field(ge=1)
    path: Literal["shared", "plain"]
    attention: Way | None = None  # how a shared row attended; states of before do not say
    lanes: int = Field(default=1, ge=1)  # for which examples are divided; states of before had one
    versions: dict[str, str]


class Told(_Part):
    """`state.json`."""

    form: Literal[1] = 1
    origin: Origin
    progress: Progress
    rates: list[Annotated[float, Field(ge=0)]]
    generators: list[Generators] = Field(min_length=1)
    numbers: dict[str, float | int]
    files: dict[str, str]


@dataclass(frozen=True)
class Held:
    """What a state is made of, in memory."""

    parameters: Mapping[str, nn.Parameter]
    optimizer: Optimizer
    reference: Mapping[str, Tensor]
    values: Mapping[str, Tensor] = field(default_factory=dict)  # of the objective's state
    anchor: Mapping[str, Tensor] = field(default_factory=dict)  # weights of one that follows the policy

    @classmethod
    def of(cls, learner: Learner, reference: Mapping[str, Tensor]) -> Held:
        """What a learner trains of its model, whose parameters may be gathered at the moment, in the same order, and
        the modules of its objective."""
        scorer = learner.scoring.scorer
        names = [name for name, parameter in scorer.named_parameters() if parameter.requires_grad]
        names = [name.removeprefix("model.") for name in names]
        anchor = {} if scorer.anchor is None else scorer.anchor.values
        return cls(dict(zip(names, learner.parameters, strict=True)), learner.optimizer, reference, anchor=anchor)

    def names(self) -> dict[int, str]:
        """The name of each trained parameter by its place in the optimizer's groups."""
        known = {id(parameter): name for name, parameter in self.parameters.items()}
        grouped = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        return {place: known[id(parameter)] for place, parameter in enumerate(grouped)}

    def remembered(self) -> Iterator[tuple[str, Tensor | float]]:
        """What the optimizer remembers of each parameter, as `<parameter>/<what>`."""
        names = self.names()
        for place, values in self.optimizer.state_dict()["state"].items():
            for key, value in values.items():
                yield f"{names[place]}/{key}", value

    def bytes(self) -> int:
        """About how much a state takes on disk."""
        trained = footprint.state_bytes(sum(parameter.numel() for parameter in self.parameters.values()))
        others = (*self.reference.values(), *self.anchor.values())
        return trained + sum(part.numel() * part.element_size() for part in others)


@dataclass
class States:
    """The training states of one run, under `folder/<step>/`."""

    folder: Path
    told: Told | None = field(default=None)  # of the newest one that this process has written or read

    def save(
        self, held: Held, origin: Origin, progress: Progress, randomness: Sequence[Randomness], *, writes: bool = True
    ) -> Path:
        """Afterwards the state is on disk, whole; older ones stay.  Raises DiskFull, or what the disk gave.

        `randomness` is that of each rank.  A rank that does not write gives its share of what is written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # each rank looks, so that none gathers what another has given up
        require_room(self.folder, held.bytes(), "the training state", "set keep.state to never")
        if not writes:
            for _, tensor in _named(held, dict(held.remembered()), randomness):
                tensors.gathered(tensor)
            return self.folder / str(progress.step)
        place = self.folder / str(progress.step)
        remembered = dict(held.remembered())
        with whole.written(place) as partial:
            told = Told(
                origin=origin,
                progress=progress,
                rates=[float(group["lr"]) for group in held.optimizer.param_groups],
                generators=[one.told() for one in randomness],
                numbers={name: value for name, value in remembered.items() if isinstance(value, int | float)},
                files=tensors.save(partial, _named(held, remembered, randomness)),
            )
            (partial / STATE).write_bytes(_json(told))
        self.told = told
        return place

    def note(self, progress: Progress) -> None:
        """Say anew how far the run is at the step of the state that is there."""
        if self.told is not None:
            self.told = self.told.model_copy(update={"progress": progress})
            whole.replace(self.folder / str(progress.step) / STATE, _json(self.told))

    def prune(self) -> None:
        """Delete all but the newest."""
        for older in self.places()[:-1]:
            whole.remove(older)

    def places(self) -> list[Path]:
        """The folders of states, oldest first."""
        found = [path for path in self.folder.glob("*") if STEP.fullmatch(path.name) and path.is_dir()]
        return sorted(found, key=lambda path: int(path.name))

    def read(self) -> Path | None:
        """The folder of the newest state, whose `told` is known afterwards; None when there is none.

        Raises StateRefused.
        """
        places = self.places()
        if not places:
            return None
        place = places[-1]
        path = place / STATE
        if place.is_symlink() or path.is_symlink() or not path.is_file() or path.stat().st_size > LONGEST_JSON:
            raise tensors.damaged(place)
        try:
            self.told = Told.model_validate_json(path.read_bytes())
        except (ValidationError, RecursionError) as error:
            raise tensors.damaged(place) from error
        if str(self.told.progress.step) != place.name:
            raise tensors.damaged(place)
        return place


def _json(told: Told) -> bytes:
    return json.dumps(told.model_dump(mode="json"), allow_nan=False).encode()


def _named(
    held: Held, remembered: Mapping[str, Tensor | float], randomness: Sequence[Randomness]
) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in held.parameters.items():
        yield f"weights/{name}", parameter
    for name, value in remembered.items():
        if not isinstance(value, int | float):
            yield f"optimizer/{name}", value
    for rank, one in enumerate(randomness):
        for place, state in enumerate(one.torch):
            yield f"random/{rank}.{place}", state
    for name, part in held.reference.items():
        yield f"reference/{name}", part
    for name, value in held.values.items():
        yield f"objective/{name}", value
    for name, weight in held.anchor.items():
        yield f"anchor/{name}", weight


class Rest(NamedTuple):
    """What a state has beside weights and the optimizer's memory, by name; generators by rank and place."""

    reference: dict[str, Tensor]
    random: dict[tuple[int, int], Tensor]
    values: dict[str, Tensor]


def fill(place: Path, told: Told, held: Held) -> Rest:
    """Put a state's weights and optimizer memory into their places; the rest of the state.

    Raises StateRefused when they do not fit; then the model is not to be trained.
    """
    parameters, names, optimizer = held.parameters, held.names(), held.optimizer
    memory: dict[str, dict[str, Any]] = {name: {} for name in parameters}
    rest = Rest({}, {}, {})
    seen, anchored = set(), set()
    for key, tensor in tensors.load(place, told.files):
        kind, _, name = key.partition("/")
        if kind == "weights" and _fits(tensor, parameters.get(name), exactly=True):
            _put(tensor, parameters[name])
            seen.add(name)
        elif kind == "optimizer" and _fits(tensor, parameters.get(name.rpartition("/")[0]), exactly=False):
            memory[name.rpartition("/")[0]][name.rpartition("/")[2]] = tensors.shared(
                tensor, parameters[name.rpartition("/")[0]]
            )
        elif kind == "random" and GENERATOR.fullmatch(name) and tensor.dtype.itemsize == 1 and tensor.dim() == 1:
            rank, _, generator = name.partition(".")
            rest.random[int(rank), int(generator)] = tensor
        elif kind == "reference":
            rest.reference[name] = tensor
        elif kind == "anchor" and _fits(tensor, held.anchor.get(name), exactly=True) and bool(tensor.isfinite().all()):
            held.anchor[name].copy_(tensor)
            anchored.add(name)
        elif kind == "objective" and tensor.is_floating_point() and bool(tensor.isfinite().all()):
            rest.values[name] = tensor
        else:
            raise misfit()
    for name, value in told.numbers.items():
        if name.rpartition("/")[0] not in memory:
            raise misfit()
        memory[name.rpartition("/")[0]][name.rpartition("/")[2]] = value
    groups = optimizer.state_dict()["param_groups"]
    alike = len({frozenset(values) for values in memory.values()}) == 1 and len(told.rates) == len(groups)
    if seen != set(parameters) or anchored != set(held.anchor) or not alike:
        raise misfit()
    for group, rate in zip(groups, told.rates, strict=True):
        group["lr"] = rate
    state = {place: memory[name] for place, name in names.items()}
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return rest


@torch.no_grad()
def _put(tensor: Tensor, parameter: nn.Parameter) -> None:
    parameter.copy_(tensors.shared(tensor, parameter))


def _fits(tensor: Tensor, parameter: Tensor | None, *, exactly: bool) -> bool:
    """Whether a tensor has a parameter's shape, or as an optimizer's memory of it is a single number."""
    if parameter is None:
        return False
    if exactly:
        return tensor.shape == parameter.shape and tensor.dtype == parameter.dtype
    return tensor.shape == parameter.shape or tensor.dim() == 0


def misfit() -> StateRefused:
    """The error for a training state of something else."""
    return StateRefused(
        "The training state does not fit the model and optimizer of the spec.",
        "Start a new run from one of the run's checkpoints.",
        "state",
    )
