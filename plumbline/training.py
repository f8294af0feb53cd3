"""`plumbline train`: a run in the terminal, with a progress bar and the same exit codes as behind the browser."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from alignment.training import TrainingError, train
from alignment.training.run import read_spec
from alignment.training.stop import Stop, signals

console = Console(highlight=False)
SHOWN = ("loss", "rewards/margins", "rewards/accuracies")


def run(spec: Path, out: Path) -> int:
    """Train by the YAML file `spec` into the new folder `out`; returns the exit code. Ctrl-C saves and ends."""
    stop = Stop()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    try:
        chosen = read_spec(spec)
        with signals(stop), Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
            bar = progress.add_task("Training", total=None, note="")

            def hear(event: dict[str, Any]) -> None:
                if event["type"] == "log":
                    progress.console.print(event["message"], style="dim")
                elif event["type"] == "alarm":
                    progress.console.print(str(event.get("message", event)), style="yellow")
                elif event["type"] == "step":
                    values = event["values"]
                    note = "  ".join(f"{name} {values[name]:.3f}" for name in SHOWN if values.get(name) is not None)
                    progress.update(bar, completed=event["step"], total=event.get("total_steps"), note=note)

            summary = train(chosen, out, hear, stop)
    except TrainingError as error:
        console.print(f"{error.title}. {error.detail} {error.remedy}", style="red")
        return error.exit_code
    table = Table("Measured", "Last value", title="Stopped early; saved" if summary.cancelled else "Done")
    for name, value in summary.metrics.items():
        table.add_row(name, "not finite" if value is None else f"{value:.4g}")
    console.print(table)
    console.print(f"Checkpoint: {summary.checkpoint or 'none'}")
    return 0
