"""Named tensors in a folder of safetensors files, each of them known by its hash; nothing that can run is read back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from alignment.training.errors import StateRefused

if TYPE_CHECKING:
    from torch import Tensor

FILE = re.compile(r"tensors-\d{5}\.safetensors")
SHARD_BYTES = 1 << 30  # of tensors that are on the CPU at once while they are written
BLOCK = 1 << 22


def save(folder: Path, named: Iterable[tuple[str, Tensor]]) -> dict[str, str]:
    """Write the tensors into files of the folder; the SHA-256 of each file by its name.  Raises what the disk gave."""
    hashes: dict[str, str] = {}
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in named:
        # one memory may stand under two names only where it is copied
        shard[name] = gathered(tensor.detach()).to("cpu", copy=tensor.numel() < BLOCK).contiguous()
        size += tensor.numel() * tensor.element_size()
        if size >= SHARD_BYTES:
            _save(folder, shard, hashes)
            shard, size = {}, 0
    _save(folder, shard, hashes)
    return hashes


def _save(folder: Path, shard: dict[str, Tensor], hashes: dict[str, str]) -> None:
    from safetensors.torch import save_file

    path = folder / f"tensors-{len(hashes):05}.safetensors"
    save_file(shard, path)
    hashes[path.name] = digest(path)


def gathered(tensor: Tensor) -> Tensor:
    """The whole of a tensor of which each rank holds a share; all must ask."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shared(tensor: Tensor, like: Tensor) -> Tensor:
    """This rank's share of a whole tensor that lies as a parameter does; one that is no share comes back as it is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or tensor.dim() == 0:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def load(folder: Path, hashes: Mapping[str, str]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the files, on the CPU.  Raises StateRefused when a file is not the one that was written."""
    from safetensors import SafetensorError, safe_open

    for name, expected in hashes.items():
        path = folder / name
        if FILE.fullmatch(name) is None or path.is_symlink() or not path.is_file() or digest(path) != expected:
            raise damaged(folder)
        try:
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118  (no mapping)
                    yield key, file.get_tensor(key)
        except (SafetensorError, ValueError, TypeError, OSError) as error:
            raise damaged(folder) from error


def digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def damaged(folder: Path) -> StateRefused:
    """The error for a training state that is not as it was written."""
    return StateRefused(
        f"The training state of step {folder.name} is damaged, so the run cannot be continued from it.",
        "Remove that folder to go on from an earlier state, or start a new run from one of the run's checkpoints.",
        "state",
    )
