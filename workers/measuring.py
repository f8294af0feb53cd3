"""The part of an evaluation that lm-evaluation-harness does: a child process for each contestant, task by task."""

import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from backend import storage
from backend.checkpoints import places
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.errors import AppError
from backend.evaluations import progress
from backend.evaluations.schemas import HarnessIn
from backend.offline import barred
from backend.settings import get_settings
from workers.answering import PUT_BACK, Watch
from workers.errand import BROKEN, Words, spoken
from workers.harness import TASK, Order
from workers.refusal import Refused
from workers.supervisor import Child

MODULE = "workers.harness"
QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
PULSE_SECONDS = 1.0
AGAIN = "The worker's log holds the cause. Continue the evaluation, or launch one without these tasks."


def measure(evaluation_id: uuid.UUID, contestants: Sequence[Checkpoint], watch: Watch) -> None:
    """Afterwards what was asked of the harness is measured on every contestant, unless the work is stopped; what was
    measured before is not measured again.  Raises Refused."""
    for checkpoint in contestants:
        with transaction() as session:
            asked, left = progress.unmeasured(session, evaluation_id, checkpoint.id)
            links = places.chain(session, checkpoint) if left else []
        if asked is not None and left and not watch():
            try:
                with storage.using() as use, tempfile.TemporaryDirectory() as folder:
                    with watch.meanwhile():
                        place = places.place(links, use)
                    _one(evaluation_id, checkpoint, _order(asked, left, place), Path(folder), watch)
            except AppError as error:
                reason = f"“{checkpoint.name}” cannot be had: {error.detail}"
                raise Refused(reason, error.remedy or PUT_BACK) from error


def _order(asked: HarnessIn, left: Sequence[str], place: Path) -> Order:
    return Order(
        checkpoint=place, tasks=list(left), limit=asked.limit, num_fewshot=asked.num_fewshot,
        chat_template=asked.chat_template, own=get_settings().harness_tasks,
    )  # fmt: skip


def _one(evaluation_id: uuid.UUID, checkpoint: Checkpoint, order: Order, folder: Path, watch: Watch) -> None:
    printed, written = folder / "said", folder / "order.json"
    written.write_text(order.model_dump_json(), encoding="utf-8")
    known: set[str] = set()
    with Child([sys.executable, "-m", MODULE, str(written)], printed, QUIET | (OFFLINE if barred() else {})) as child:
        while child.exit_code() is None:
            if watch():
                child.stop(PULSE_SECONDS)
            child.wait(PULSE_SECONDS)
            _store(evaluation_id, checkpoint, spoken(printed), known)
    said = spoken(printed)
    _store(evaluation_id, checkpoint, said, known)
    if not watch.stopped and not said.get("done"):
        raise Refused(said.get("reason", BROKEN), said.get("remedy") or AGAIN)


def _store(evaluation_id: uuid.UUID, checkpoint: Checkpoint, said: Words, known: set[str]) -> None:
    """Keep the tasks that were told since."""
    fresh = {key.removeprefix(TASK): found for key, found in said.items() if key.startswith(TASK) and key not in known}
    if fresh:
        known |= {TASK + name for name in fresh}
        with transaction() as session:
            progress.store_measured(session, evaluation_id, checkpoint.id, fresh)
