"""`plumbline export`: a checkpoint folder of this machine as files for others, with no server."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from alignment.export import serving
from alignment.export.card import HUB_ID, Ancestor, Card, Data, Training, Written, license_name, render
from alignment.export.markdown import read_front_matter
from alignment.export.plan import Dtype, Kind, Plan, adapter_rank, plan
from alignment.export.record import Comparison
from alignment.export.write import Base, export
from alignment.training.errors import TrainingError
from alignment.training.folder import inspect
from alignment.training.run import SPEC
from alignment.training.spec import Spec

STEPS = {
    "loading": "Loading",
    "writing": "Writing",
    "comparing": "Loading again and comparing",
    "finishing": "Finishing",
}
HASH_LENGTH = 64


def run(checkpoint: Path, out: Path, kind: Kind, dtype: Dtype, base: str | None) -> int:
    """Export, saying how it goes; the exit status is 0, or that of the named error."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        order = plan(checkpoint.resolve(), kind, dtype)
        adapted = base or f"./{order.chain[1].name}" if kind == "adapter" else None
        rank = adapter_rank(order.checkpoint) if kind == "adapter" else None
        told = card(order, out.name, base)

        def write_card(comparison: Comparison) -> str:
            return render(told, _written(order, adapted, rank, comparison))

        made = export(
            order,
            out.resolve(),
            Base(adapted) if adapted else None,
            write_card,
            lambda step: console.print(f"{STEPS[step]} …"),
        )
    except TrainingError as error:
        console.print(f"[red]{error.title}.[/red] {error.detail} {error.remedy}")
        return error.exit_code
    size = sum(file["size"] for file in made.files)
    console.print(f"{out}: {len(made.files)} files, {size / 10**6:,.1f} MB, {made.dtype}.")
    for command in serving.commands(kind, out.name, f"./{out.name}", adapted, rank, template=True)[:1]:
        console.print(command.text)
    return 0


def _written(order: Plan, base: str | None, rank: int | None, comparison: Comparison) -> Written:
    template = any(path.name == "chat_template.jinja" for path in order.copied)
    return Written(kind=order.kind, dtype=order.dtype, base=base, rank=rank, template=template, comparison=comparison)


def card(order: Plan, name: str, base: str | None) -> Card:
    """What the folders themselves tell: the run around a checkpoint, the base's own card. `base` names its root."""
    facts = inspect(order.checkpoint)
    lineage: list[tuple[Ancestor, Training | None]] = []
    folder: Path | None = order.checkpoint
    while folder is not None and len(lineage) < 100:
        spec = spec_of(folder)
        run_name = folder.parent.parent.name if spec else None
        step = int(folder.name) if spec and folder.name.isdigit() else None
        shown = f"{run_name} · step {step}" if spec else folder.name
        lineage.append(
            (Ancestor(name=shown, run=run_name, step=step), training(run_name or "", spec) if spec else None)
        )
        root, folder = folder, spec.checkpoint if spec and spec.checkpoint.is_dir() else None
    if base is not None and HUB_ID.fullmatch(base):
        lineage[-1] = (lineage[-1][0].model_copy(update={"hub_id": base}), lineage[-1][1])
    told = read_front_matter(root / "README.md")
    tags = told.get("tags")
    return Card(
        name=name,
        title=lineage[0][0].name,
        toy=isinstance(tags, list) and "toy" in tags,
        architecture=facts.architecture,
        parameters=facts.parameters,
        max_tokens=facts.max_tokens,
        license=license_name(told.get("license")),
        ancestors=[ancestor for ancestor, _ in reversed(lineage)],
        trainings=[made for _, made in reversed(lineage) if made],
        results=[],
    )


def spec_of(checkpoint: Path) -> Spec | None:
    """The spec of the run that wrote a checkpoint, if it lies in a run's folder."""
    path = checkpoint.parent.parent / SPEC
    if checkpoint.parent.name != "checkpoints" or not path.is_file():
        return None
    try:
        return Spec.model_validate_json(path.read_bytes())
    except (ValidationError, OSError):
        return None


def training(run_name: str, spec: Spec) -> Training:
    """A run as its folder tells of it."""
    told = spec.model_dump(mode="json")
    return Training(
        run=run_name, objective=told["objective"], spec=told, data=[_data(one.path) for one in spec.snapshots]
    )


def _data(path: Path) -> Data:
    """A snapshot by its manifest, a file by its name."""
    manifest = _manifest(path / "manifest.json")
    dataset = manifest.get("dataset")
    named = dataset.get("name") if isinstance(dataset, dict) else None
    counts = manifest.get("counts")
    return Data(
        dataset=str(named or path.name),
        hash=path.name if len(path.name) == HASH_LENGTH and manifest.get("hash") == path.name else None,
        counts={key: value for key, value in counts.items() if isinstance(value, int)}
        if isinstance(counts, dict)
        else {},
    )


def _manifest(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
