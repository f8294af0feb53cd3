"""How far an export is from its checkpoint, as numbers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Comparison(BaseModel):
    """The distance of logits over `positions` positions of `prompts` prompts, both computed in float32.

    `difference` is the root of the mean square as a share of the logits' spread, `same_token` the share of positions
    with the same most likely token.
    """

    model_config = ConfigDict(frozen=True)

    prompts: int
    positions: int
    difference: float
    tolerance: float
    same_token: float
