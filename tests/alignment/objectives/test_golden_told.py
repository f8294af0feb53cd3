"""Objectives that read more of a pair than log-probabilities agree with values that were computed independently."""

from typing import Any

import pytest
import torch

from alignment.objectives import CATALOGUE, State
from tests.alignment.objectives import golden
from tests.alignment.objectives.cases import NAMES, make
from tests.alignment.objectives.told import ASPECTS, tells, told

FIELDS: dict[str, dict[str, Any]] = {"modpo": {"aspects": list(ASPECTS)}}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", [name for name in NAMES if tells(CATALOGUE[name].needs)])
def test_they_agree_with_their_golden_values_and_gradients(name: str, dtype: Any) -> None:
    """Loss and gradient equal the independent ones, with respect to every response and to heads, in both precisions."""
    key = golden.golden_id(name)
    entry = golden.contents()["objectives"].get(key)
    if entry is None or entry["scope"] != "pair":
        pytest.skip("nobody computed this objective independently")
    relative, absolute = (1e-10, 1e-15) if dtype is torch.float64 else (1e-5, 1e-4)
    for case in entry["cases"]:
        batch, leaves, slopes = told(case, dtype)

        loss = make(name, **FIELDS.get(name, {}), **case["params"]).loss(batch, State()).mean()
        gradients = torch.cat([part.flatten() for part in torch.autograd.grad(loss, leaves)])

        assert loss.item() == pytest.approx(case["loss"], rel=relative, abs=absolute)
        assert gradients.tolist() == pytest.approx(slopes, rel=relative, abs=absolute)
