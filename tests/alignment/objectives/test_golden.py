"""Every objective agrees with values and gradients that were computed independently of it."""

from typing import Any

import pytest
import torch

from tests.alignment.objectives import golden
from tests.alignment.objectives.cases import NAMES, make


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", golden.ALONE)
def test_every_objective_agrees_with_its_golden_values_and_gradients(name: str, dtype: Any) -> None:
    """Loss and gradient equal the independently computed ones, in double and in single precision."""
    key = golden.golden_id(name)
    if key is None:
        pytest.skip("nobody computed this objective independently")
    entry = golden.contents()["objectives"][key]
    relative, absolute = (1e-10, 1e-15) if dtype is torch.float64 else (1e-5, 1e-4)
    for case in entry["cases"]:
        batch, leaves, slopes, state = golden.READERS[entry["scope"]](case, dtype)

        loss = make(name, **golden.parameters(name, case)).loss(batch, state).sum()
        gradients = torch.cat([part.flatten() for part in torch.autograd.grad(loss, leaves)])

        assert loss.item() == pytest.approx(case["loss"], rel=relative, abs=absolute)
        assert gradients.tolist() == pytest.approx(slopes, rel=relative, abs=absolute)


PLAIN = {"logp_w", "logp_l", "ref_w", "ref_l", "len_w", "len_l"}
ELSEWHERE = {"mapo_lm": "an objective of another modality, given for its formula"}


def test_every_golden_objective_of_plain_pairs_is_in_the_catalogue() -> None:
    """No objective that needs only sums, lengths and a reference is missing, nor hides under a misspelt name."""
    entries = golden.contents()["objectives"]
    plain = {key for key, entry in entries.items() if set(entry["cases"][0]["inputs"]) == PLAIN}

    pairs = {key for key in plain if entries[key]["scope"] == "pair"}
    assert pairs - set(ELSEWHERE) <= set(NAMES)
