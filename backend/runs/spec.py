"""From the stored spec, which has ids beside it, to the one that training reads, which has paths; and to YAML."""

from typing import Any

import yaml

from alignment.training.spec import Spec


def with_paths(recipe: dict[str, Any], checkpoint: str, reference: str | None, snapshot: str) -> Spec:
    """The spec as `python -m alignment.training` reads it."""
    return Spec.model_validate(
        {**recipe, "checkpoint": checkpoint, "reference": reference, "snapshots": [{"path": snapshot}]}
    )


def to_yaml(spec: Spec) -> str:
    """The same run for `plumbline train SPEC.yaml --out DIR`."""
    return str(yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110))
