"""Every objective agrees with values and gradients that were computed independently of it."""

from typing import Any

import pytest
import torch

from alignment.training.kinds import LOSSES
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


ELSEWHERE = {
    "bco_batch": "a whole batch of bco",
    "bco_desirable": "one side of bco",
    "bco_undesirable": "one side of bco",
    "dpo_tok": "dpo from logits, for identities",
    "kto_batch": "a whole batch of kto",
    "kto_desirable": "one side of kto",
    "kto_undesirable": "one side of kto",
    "lcpo_batch": "a whole batch of lcpo",
    "lcpo_dpo": "lcpo with dpo as its base",
    "lcpo_simpo": "lcpo with simpo as its base",
    "mapo_lm": "not built: of another modality, given for its formula",
    "tars": "not built: of another modality",
    "wpo_tok": "wpo from logits",
}
"""Golden ids under which the catalogue has nothing, and why; those that are not built say so."""


def test_every_golden_objective_is_in_the_catalogue_or_elsewhere_for_a_reason() -> None:
    """None is missing, nor hides under a misspelt name; a reason that has become needless is found, too."""
    ids, built = set(golden.contents()["objectives"]), {*NAMES, *LOSSES}

    assert ids - built == set(ELSEWHERE)
    for reason in ELSEWHERE.values():
        assert reason.startswith("not built: ") or set(reason.replace(",", "").split()) & built
    assert set(golden.contents()["aliases"].values()) <= ids
