"""lm-evaluation-harness, where it is installed: an optional measurement of every contestant besides its answers."""

from collections.abc import Sequence
from importlib.util import find_spec

from backend.checkpoints.models import Checkpoint, Source
from backend.errors import Invalid
from backend.evaluations.schemas import HarnessIn, HarnessOut
from backend.settings import get_settings

INSTALL = ".venv/bin/pip install -e '.[evals]'"  # in the folder of this program


class NoHarness(Invalid):
    title = "lm-evaluation-harness cannot be used"


def told() -> HarnessOut:
    """Whether it is there, and how to get it; and the tasks that an admin has put beside its own."""
    folder = get_settings().harness_tasks
    own = sorted(one.stem for one in folder.glob("*.yaml")) if folder and folder.is_dir() else []
    return HarnessOut(installed=installed(), install=INSTALL, own_tasks=own)


def installed() -> bool:
    """Whether the library is there; nothing of it is loaded."""
    return find_spec("lm_eval") is not None


def require(asked: HarnessIn, found: Sequence[Checkpoint]) -> None:
    """Raises NoHarness when it is not installed, or a contestant is not here."""
    if not installed():
        raise NoHarness(
            "lm-evaluation-harness is not installed here.",
            field="harness",
            remedy=f"Install it with {INSTALL} in Plumbline's folder, on every worker too, or leave its tasks out.",
        )
    if len(set(asked.tasks)) < len(asked.tasks):
        raise NoHarness("A task is named twice.", field="harness.tasks", remedy="Name each task once.")
    for place, one in enumerate(found):
        if one.endpoint is not None or one.source is Source.outputs:
            what = "known by its outputs alone" if one.endpoint is None else "an endpoint"
            raise NoHarness(
                f"“{one.name}” is {what}, and the harness measures checkpoints with weights.",
                field=f"contestants.{place}",
                remedy="Leave its tasks out, or choose a checkpoint with weights.",
            )


def units(asked: HarnessIn | None, found: Sequence[Checkpoint]) -> int:
    """How much of the progress it is: one task of one contestant."""
    return len(asked.tasks) * len(found) if asked else 0
