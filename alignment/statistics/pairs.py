"""Win rates of every pair of contestants that met."""

from collections.abc import Sequence
from typing import NamedTuple

from alignment.statistics.win_rates import Outcome, Ties, WinRate, win_rate


class Meeting(NamedTuple):
    """A decided match of two contestants; `score` is the first one's."""

    prompt: str
    first: str
    second: str
    score: float


class PairRate(NamedTuple):
    """How `first` did against `second`."""

    first: str
    second: str
    win_rate: WinRate


def by_pair(
    contestants: Sequence[str], meetings: Sequence[Meeting], *, ties: Ties = "half", level: float = 0.95, seed: int = 0
) -> list[PairRate]:
    """One row for each pair of `contestants`, in their order, whether it met or not.

    The earlier contestant of a pair is the baseline: the row tells how the later one did against it. A meeting
    counts for its pair whichever side was written first. Raises ValueError for a meeting of a stranger.
    """
    order = {name: index for index, name in enumerate(contestants)}
    outcomes: dict[tuple[str, str], list[Outcome]] = {
        (later, earlier): [] for later in contestants for earlier in contestants[: order[later]]
    }
    for meeting in meetings:
        if (meeting.first, meeting.second) in outcomes:
            outcomes[meeting.first, meeting.second].append(Outcome(meeting.prompt, meeting.score))
        elif (meeting.second, meeting.first) in outcomes:
            outcomes[meeting.second, meeting.first].append(Outcome(meeting.prompt, 1 - meeting.score))
        else:
            raise ValueError(f"{meeting.first} and {meeting.second} are not two of the contestants")
    return [
        PairRate(first, second, win_rate(found, ties=ties, level=level, seed=seed))
        for (first, second), found in outcomes.items()
    ]
