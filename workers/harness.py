"""Measures one checkpoint on tasks of lm-evaluation-harness in a process of its own: `python -m workers.harness ORDER`.

It prints one JSON object per line: `{"task/NAME": {metric, higher_is_better, value, stderr, n, samples}}` after each
task, and at the end `{done: true}` or `{reason, remedy}`. The library refuses tasks that would run what a model wrote
as code.
"""

import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from alignment.training.errors import TrainingError
from alignment.training.failures import named
from alignment.training.machine import share
from alignment.training.model import load_model, load_tokenizer
from backend.leash import die_with_parent
from workers.hub import say

log = logging.getLogger(__name__)
TASK = "task/"
NO_LIBRARY = "lm-evaluation-harness is not installed on the worker's machine."
BATCH = 8


class Order(BaseModel):
    """What to measure: a checkpoint's folder, names of tasks, and a folder of tasks beside the library's own."""

    checkpoint: Path
    tasks: list[str]
    limit: int | None
    num_fewshot: int | None
    chat_template: bool
    own: Path | None


def measure(order: Order) -> None:
    """Say what each task gave.  Raises TrainingError, OSError."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(order.own) if order.own else None)
    unknown = [name for name in order.tasks if name not in manager.all_tasks]
    if unknown:
        say(reason=f"lm-evaluation-harness knows no task “{unknown[0]}”.", remedy="Choose one that `lm-eval ls` lists.")
        return
    model, tokenizer = _loaded(order.checkpoint)
    measured = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=BATCH)
    for name in order.tasks:
        found = simple_evaluate(
            model=measured, tasks=[name], num_fewshot=order.num_fewshot, limit=order.limit, task_manager=manager,
            apply_chat_template=order.chat_template, bootstrap_iters=1000,
        )  # fmt: skip
        say(**{TASK + name: told(name, found)})
    say(done=True)


def told(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """The first metric of a task, or of a group, of which more is better, else the first, with its error, and each
    sample's score where it is a number.  Raises ValueError where there is no number."""
    own = found["results"].get(name, {})
    keys = [key for key, value in own.items() if "," in key and "_stderr" not in key and _number(value) is not None]
    if not keys:
        raise ValueError(f"“{name}” has no number of its own: name the tasks in it one by one")
    rising = {metric for one in found["higher_is_better"].values() for metric, up in one.items() if up}
    key = next((key for key in keys if key.partition(",")[0] in rising), keys[0])
    metric, _, how = key.partition(",")
    better = next((one[metric] for one in found["higher_is_better"].values() if metric in one), True)
    samples = {
        f"{task}/{sample['doc_id']}": score
        for task, rows in found["samples"].items()
        for sample in rows
        if sample.get("filter", how) == how and (score := _number(sample.get(metric))) is not None
    }
    rows = sum(len({sample["doc_id"] for sample in one}) for one in found["samples"].values())
    return {
        "metric": metric, "higher_is_better": better is not False, "value": float(own[key]),
        "stderr": _number(own.get(f"{metric}_stderr,{how}")), "n": rows, "samples": samples,
    }  # fmt: skip


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) or (hasattr(value, "item") and getattr(value, "shape", None) == ())
    return float(value) if number and math.isfinite(float(value)) else None


def _loaded(folder: Path) -> tuple[Any, Any]:
    """The model, on the first accelerator where there is one, and its tokenizer.  Raises CheckpointRefused."""
    where = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(folder, torch.float32 if where == "cpu" else torch.bfloat16)
    return model.to(where).eval(), load_tokenizer(folder)  # type: ignore[arg-type]


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    (place,) = arguments
    die_with_parent()
    share()
    try:
        measure(Order.model_validate_json(Path(place).read_text("utf-8")))
    except ModuleNotFoundError as error:
        log.exception("a library is missing")
        say(reason=f"{NO_LIBRARY} ({error.name})", remedy="Install the extra `evals` there.")
    except (MemoryError, torch.OutOfMemoryError):
        say(reason="There was not enough memory to measure it.", remedy="Use a larger machine, or leave the tasks out.")
    except (TrainingError, OSError, ValueError, KeyError) as error:
        log.exception("harness failed")
        failure = named(error)
        say(reason=f"A task could not be measured. {failure.detail}", remedy=failure.remedy)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
