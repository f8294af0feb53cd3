"""Checks of this machine: Python and its packages, the data folder, the disk, the GPU."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from alignment.amounts import amount
from backend.presets.machine import gpus
from plumbline.check.said import Said, ok, problem, warning
from plumbline.check.scene import Scene

PINS = Path(__file__).resolve().parents[2] / "requirements.txt"
INSTALL = "Run `make setup`; it installs the pinned versions."
LEAST, LITTLE = 10**9, 10 * 10**9
TORCH_SECONDS = 120
TRY_CUDA = (
    "import json, torch\n"
    "usable = torch.cuda.is_available() and float(torch.ones(2, device='cuda').sum()) == 2\n"
    "print(json.dumps({'version': torch.__version__, 'cuda': torch.version.cuda, 'usable': usable,"
    " 'seen': torch.cuda.device_count()}))"
)


def python(_: Scene) -> Said:
    """That this Python is one the program is made for."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    wanted = metadata("plumbline")["Requires-Python"]
    if Requirement(f"python{wanted}").specifier.contains(found, prereleases=True):
        return ok(f"Python {found}.")
    return problem(f"Python {found} is not one that Plumbline is made for ({wanted}).", "Set up with another one.")


def packages(_: Scene) -> Said:
    """That what the program needs is installed, in the versions it was tested with."""
    needed = [Requirement(text) for text in requires("plumbline") or ()]
    names = [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    missing = [name for name in names if _installed(name) is None]
    if missing:
        return problem(f"Packages are missing: {_some(missing)}.", INSTALL)
    pins = _pins() or {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in needed}
    others = [
        f"{name} {found} instead of {wanted}"
        for name, wanted in pins.items()
        if re.fullmatch(r"[\w.!+]+", wanted)
        and (found := _installed(name)) not in (None, wanted)
        and str(found).partition("+")[0] != wanted
    ]
    if others:
        return warning(f"Packages have other versions than those tested: {_some(others)}.", INSTALL)
    return ok(f"All {len(names)} packages are there, in the tested versions.")


def _pins() -> dict[str, str]:
    """The exact versions of everything, where the program runs from its sources."""
    if not PINS.is_file():
        return {}
    lines = (line.partition("==") for line in PINS.read_text("utf-8").splitlines() if re.match(r"[\w.-]+==", line))
    return {canonicalize_name(name): wanted.split(";")[0].strip() for name, _, wanted in lines}


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def data_folder(scene: Scene) -> Said:
    """That the data folder can be written, and by nobody else."""
    folder = scene.settings.data
    if not folder.exists():
        above = next(parent for parent in folder.absolute().parents if parent.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            return problem(f"{folder} does not exist and cannot be made here.", "Name another with PLUMBLINE_DATA.")
        return ok(f"{folder} does not exist yet; the first start makes it.")
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"here")
    except OSError as error:
        reason = error.strerror or "an unknown error"
        return problem(f"{folder} cannot be written: {reason}.", "Mend its rights or its disk, or name another folder.")
    if folder.stat().st_mode & 0o007:
        return warning(f"Everybody on this machine may look into {folder}.", f"Run: chmod o-rwx {folder}")
    return ok(f"{folder} can be written.")


def disk(scene: Scene) -> Said:
    """That there is room for checkpoints and a growing database."""
    folder = scene.settings.data.absolute()
    place = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(place).free
    found = f"{amount(free)} are free on the disk of the data folder."
    if free < LEAST:
        return problem(found, "Free some space now: databases stop when a disk is full.")
    if free < LITTLE:
        return warning(found, "Free some space: each checkpoint of a run takes as much as its model.")
    return ok(found)


def gpu(_: Scene) -> Said:
    """That PyTorch can use the GPU that the driver sees."""
    seen = gpus()
    if not seen:
        return ok("No NVIDIA GPU is seen here; what trains on this machine trains on its processor.")
    names = _some([one.name for one in seen])
    told = _torch()
    if told is None:
        return problem(f"The driver lists {names}, but PyTorch cannot be started.", INSTALL)
    if told["usable"]:
        return ok(f"PyTorch {told['version']} computes on {names}.")
    if told["cuda"] is None:
        return warning(
            f"The driver lists {names}, but this PyTorch ({told['version']}) is built without CUDA.",
            "Install the build of the same version for CUDA, from PyTorch's own package index.",
        )
    return warning(
        f"The driver lists {names}, but PyTorch (for CUDA {told['cuda']}) cannot use it.",
        "Update the driver, look at CUDA_VISIBLE_DEVICES, and in a container at its GPU reservation.",
    )


def _torch() -> dict[str, str | bool | int | None] | None:
    """What PyTorch says of CUDA, in a process of its own: a broken driver may hang or kill it."""
    try:
        done = subprocess.run(  # noqa: S603  (our own program)
            [sys.executable, "-c", TRY_CUDA], capture_output=True, text=True, timeout=TORCH_SECONDS, check=True
        )
        told = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return told if isinstance(told, dict) else None
