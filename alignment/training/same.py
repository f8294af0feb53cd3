"""Whether two specs are of the same run: what may differ when one goes on that was interrupted, and what may not."""

from __future__ import annotations

import json
from typing import Any

from alignment.training.spec import Spec

CHANGEABLE = (
    "checkpoint",
    "reference",
    "third",
    "snapshots",
    "keep",
    "evaluate",
    "trackers",
)  # places, what is looked at and what is kept


def comparable(spec: Spec) -> dict[str, Any]:
    """What may not change while a run is interrupted; the sizes of packs may, as no gradient depends on them."""
    told = spec.model_dump(mode="json", exclude=set(CHANGEABLE))
    told["batch"].pop("tokens_per_pack")
    told["weights"] = [source.weight for source in spec.snapshots]
    told["reference_of_its_own"] = spec.reference is not None
    return told


def differences(then: Any, now: Any, path: str = "") -> list[str]:
    """Where two comparable specs differ, each as a field's path and both values."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            line
            for name in sorted({*then, *now})
            for line in differences(then.get(name), now.get(name), f"{path}.{name}" if path else name)
        ]
    return [] if then == now else [f"{path} was {json.dumps(then)} and is {json.dumps(now)}"]
