"""From the stored spec, which has ids beside it, to the one that training reads, which has paths; and to YAML."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from alignment.training.spec import Spec


def with_paths(
    recipe: dict[str, Any],
    checkpoint: str,
    reference: str | None,
    third: Mapping[str, str],
    data: Sequence[tuple[str, float | None]],
) -> Spec:
    """The spec as `python -m alignment.training` reads it; `data` are the places of snapshots and their weights."""
    sources = [{"path": path, "weight": weight} for path, weight in data]
    places = {"checkpoint": checkpoint, "reference": reference, "third": dict(third), "snapshots": sources}
    return Spec.model_validate({**recipe, **places})


def to_yaml(spec: Spec) -> str:
    """The same run for `plumbline train SPEC.yaml --out DIR`."""
    return str(yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110))
