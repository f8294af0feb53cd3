"""One of the two steps of extragradient play against the policy itself."""

from __future__ import annotations

from typing import ClassVar

from alignment.objectives.objective import Relative
from alignment.objectives.online_ipo import OnlineIPO


class EGPO(OnlineIPO):
    """A step of mirror descent towards the policy that no other beats: twice each time, first against itself.

    Zhou et al. 2025, arXiv 2503.08942.  The half step takes win probabilities against the present policy; the full
    step starts where the half step did, and takes those against the policy that the half step has reached.  Both have
    the loss of `online_ipo`.  Where policy and reference agree, the loss is the squared target.
    """

    name: ClassVar[str] = "egpo"
    title: ClassVar[str] = "EGPO"
    fixes: ClassVar[str] = (
        "Plain self-play circles around the policy that no other beats; looking half a step ahead ends the circling."
    )
    costs: ClassVar[str] = (
        "Two steps for each one that counts. On fixed data it is one of them, by the win probabilities that the data "
        "hold; the loop that draws responses and returns to the start for the full step is not here."
    )
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("online_ipo", "It is the same function, with win rates against an opponent half a step ahead.", {}),
        Relative("sppo_soft", "SPPO aims with each response by itself instead of with their difference."),
    )
