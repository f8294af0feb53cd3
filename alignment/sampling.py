"""How text is drawn from a checkpoint: the settings that evaluations, the arena and training share."""

from __future__ import annotations

from pydantic import Field

from alignment.parts import Part


class Sampling(Part):
    """Settings of one generation; temperature 0 takes the most probable token each time."""

    temperature: float = Field(0.7, ge=0, le=10, description="0 is greedy; higher is more varied.")
    top_p: float = Field(1.0, gt=0, le=1, description="Draw from the smallest set of tokens with this probability.")
    max_new_tokens: int = Field(256, ge=1, le=65_536, description="Longest response.")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="The same seed and prompt give the same response.")
