"""Several processes that train one model together: who computes what, and what they tell each other.

Each is a rank on a device of its own.  Torch's DistributedDataParallel keeps the whole model on every rank, its
`fully_shard` (FSDP2) keeps a share of every weight; both average gradients over the ranks, so each rank's part of the
loss is multiplied by their number, and the gradient is that of the whole batch.  accelerate is not asked: on a CPU its
Accelerator runs DDP where FSDP was wanted, without a word.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from alignment.training.errors import BadSpec
from alignment.training.inside import layers_of
from alignment.training.launch import PLACE, Seat
from alignment.training.stop import Cancelled, Stop
from alignment.training.tensors import gathered

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

    from alignment.training.scoring import AnyScorer

PATIENCE = timedelta(minutes=30)
"""How long a rank waits for another: longer than rank 0 takes to write a checkpoint."""
ROOM = 0.7  # share of a device's memory that weights, gradients and optimizer may take before they are sharded

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone it is rank 0 of one, and everything here is at once."""

    device: torch.device
    rank: int = 0
    size: int = 1
    sharded: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes."""
        return self.rank == 0

    def any(self, wish: bool) -> bool:
        """Whether one of the ranks wishes it; all must ask."""
        return bool(self.most(float(wish)))

    def most(self, value: float) -> float:
        """The largest value of all ranks, NaN if there is one; all must ask."""
        if self.size == 1:
            return value
        found = torch.zeros(self.size, dtype=torch.float64)
        found[self.rank] = value
        dist.all_reduce(found)
        return float(found.max())

    def told(self, value: T) -> T:
        """What rank 0 says; all must ask."""
        if self.size == 1:
            return value
        said: list[Any] = [value]
        dist.broadcast_object_list(said, src=0, device=torch.device("cpu"))
        found: T = said[0]
        return found

    def each(self, value: T) -> list[T]:
        """What every rank says, in their order; all must ask."""
        if self.size == 1:
            return [value]
        said: list[Any] = [None] * self.size
        dist.all_gather_object(said, value)
        return said

    def total(self, values: Tensor) -> Tensor:
        """The sum of the ranks' values, which are overwritten with it; all must ask."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def whole(self, values: Tensor) -> Tensor:
        """What each rank of a sharded model holds a part of; all must ask."""
        return cast("DTensor", values).full_tensor() if self.sharded else values

    def check(self, stop: Stop) -> Callable[[], None]:
        """What raises Cancelled on every rank when one of them was asked to stop; all must call it in turn."""

        def check() -> None:
            if self.any(stop.asked):  # asked once: whoever is asked later stops at the next turn, with all others
                stop.ask()
                raise Cancelled

        return check

    def divide(self, costs: Sequence[int]) -> list[list[int]]:
        """For each rank the positions that are its own, in order: the largest first to whoever has least."""
        shares: list[list[int]] = [[] for _ in range(self.size)]
        loads = [(0, rank) for rank in range(self.size)]
        for position in sorted(range(len(costs)), key=lambda position: -costs[position]):
            load, rank = heapq.heappop(loads)
            shares[rank].append(position)
            heapq.heappush(loads, (load + costs[position], rank))
        return [sorted(share) for share in shares]

    @contextmanager
    def gathered(self, scorer: AnyScorer) -> Iterator[None]:
        """While the model inside `scorer` can be called by itself, by all ranks together; layers gather as they go."""
        if not self.sharded:
            yield
            return
        whole = cast("FSDPModule", scorer)  # fully_shard has made it one
        whole.unshard()
        try:
            yield
        finally:
            whole.reshard()

    def reshard(self, scorer: AnyScorer) -> None:
        """Let go of gathered weights, so that what is put into this rank's share counts."""
        from torch.distributed.fsdp import FSDPModule

        for module in scorer.modules():
            if isinstance(module, FSDPModule):
                module.reshard()

    def weights(self, scorer: AnyScorer) -> dict[str, Tensor] | None:
        """What is trained of a sharded model, gathered on rank 0's CPU under the model's own names (other ranks get
        nothing); None where the model holds it itself.  All must ask."""
        if not self.sharded:
            return None
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        frozen = any(not parameter.requires_grad for parameter in scorer.parameters())
        options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=frozen)
        found = cast("dict[str, Tensor]", get_model_state_dict(scorer, options=options))
        first: dict[int, str] = {}  # tied weights are gathered twice, and must be written once
        for name, parameter in scorer.named_parameters(remove_duplicate=False):
            if name in found:
                found[name] = found[first.setdefault(id(parameter), name)]
        return {name.removeprefix("model."): values for name, values in found.items() if name.startswith("model.")}

    def own_weights(self, scorer: AnyScorer) -> dict[str, Tensor]:
        """The weights of the objective's own modules, whole and on the CPU; none where it has none.  All must ask."""
        named = () if scorer.own is None else scorer.own.named_parameters()
        return {name: gathered(weight.detach()).cpu().contiguous() for name, weight in named}


def alone() -> Ranks:
    """One process, on the machine's best device."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return Ranks(torch.device("cpu") if found is None else torch.device(found.type, 0))


def join(seat: Seat, devices: int) -> Ranks:
    """This process, once all others are there.  Raises BadSpec when they are not as many as the spec says, or more than
    this machine has devices."""
    if seat.size != devices:
        raise BadSpec(
            f"{seat.size} processes were started, and the spec asks for {devices} devices.",
            "Start as many processes as the spec says, or leave starting them to Plumbline.",
            "devices",
        )
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        device, backend = torch.device("cpu"), "gloo"
    else:
        device = torch.device(found.type, seat.local)
        torch.accelerator.set_device_index(seat.local)
        backend = f"cpu:gloo,{found.type}:{dist.get_default_backend_for_device(found)}"
    place = os.environ.get(PLACE)
    meeting = "env://" if place is None else f"file://{Path(place) / 'meeting'}"
    dist.init_process_group(backend, init_method=meeting, rank=seat.rank, world_size=seat.size, timeout=PATIENCE)
    return Ranks(device, seat.rank, seat.size)


def part() -> None:
    """Leave the others, in order; without others nothing happens."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def available() -> int:
    """Processes that can train together on this machine: as many as it has accelerators, or processors."""
    return torch.accelerator.device_count() or os.cpu_count() or 1


def wants_shards(model: nn.Module, device: torch.device) -> bool:
    """Whether weights, gradients and AdamW's two moments leave too little of the device's memory for the rest."""
    if device.type != "cuda":
        return False
    held = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return held + 12 * trained > ROOM * torch.cuda.get_device_properties(device).total_memory


def wrap(ranks: Ranks, scorer: AnyScorer) -> nn.Module:
    """What is called in the place of `scorer`, whose weights then lie on the ranks' devices.

    Sharded, `scorer` itself is changed: each decoder layer is gathered when it computes, everything else with the
    whole forward pass.
    """
    if ranks.sharded:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(ranks.device.type, (ranks.size,))
        for layer in layers_of(scorer.model):
            fully_shard(layer, mesh=mesh)
        fully_shard(scorer, mesh=mesh)
        return scorer
    scorer.to(ranks.device)
    if ranks.size == 1 or not any(parameter.requires_grad for parameter in scorer.parameters()):
        return scorer
    return nn.parallel.DistributedDataParallel(
        scorer,
        forward_sync_buffers=False,
        gradient_as_bucket_view=True,
        find_unused_parameters=True,  # an expert that no token of the last pack went to; looked for once a step
    )


def turns(wrapped: nn.Module, groups: Sequence[T]) -> Iterator[T]:
    """The groups one after another: DDP sends gradients with the last one's backward pass, so once a step and while it
    still computes.  FSDP sends them with each, because a rank has no room for the whole gradient."""
    for number, group in enumerate(groups, start=1):
        last = number == len(groups)
        held = isinstance(wrapped, nn.parallel.DistributedDataParallel) and not last
        with wrapped.no_sync() if held else nullcontext():  # type: ignore[operator]
            yield group
