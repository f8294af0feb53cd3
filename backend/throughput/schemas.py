"""What goes out of the routes of throughput."""

import uuid
from datetime import datetime
from typing import Literal

from pydantic import Field

from backend.accounts.schemas import Out

By = Literal["hour", "day"]


class LabellerOut(Out):
    """What one person gave in the time that was asked for."""

    user_id: uuid.UUID
    name: str
    labels: int
    work_seconds: float = Field(description="Time that cards were open before their answers, pauses cut off.")
    per_hour: float | None = Field(description="Labels in an hour of work.")
    buckets: list[int] = Field(description="Labels by hour or day, as `starts` has them.")


class ForecastOut(Out):
    """When the labels that are still wanted will be there, if they go on coming as they did.

    The pace is the labels that counted in the last `days` days, by day; the range of dates is of the pace give or take
    1.28 standard errors of its mean over those days, which holds four times in five if days are alike.
    """

    remaining: int
    per_day: float
    days: float = Field(description="Days looked at: since the first label, between 1 and 7.")
    done_at: datetime | None = Field(description="None when that is more than ten years away.")
    earliest: datetime | None = Field(description="None with fewer than three days to look at.")
    latest: datetime | None


class StandsOut(Out):
    """What a task stands at: its items, withdrawn ones left out, and the labels that they have and want."""

    total: int
    done: int = Field(description="Items that have all the labels wanted.")
    in_work: int = Field(description="Items that have some of them, or are on somebody's screen.")
    open: int = Field(description="Items that nobody has begun.")
    withdrawn: int
    wanted: int = Field(description="Labels wanted of all items together.")
    labels: int = Field(description="Labels given that count towards these: of no withdrawn item, and none too many.")
    surplus: int = Field(description="Labels that came when their item had all of its own.")


class ThroughputOut(Out):
    """Labels by hour or day in the caller's own time, oldest first. Skips and labels taken back do not count."""

    stands: StandsOut
    by: By
    starts: list[datetime]
    totals: list[int]
    people: list[LabellerOut] = Field(description="Who gave the most comes first.")
    forecast: ForecastOut | None = Field(
        description="None when nothing is wanted any more, nothing came lately, or the task ended."
    )


class PaceOut(Out):
    """What is known about the cost of labelling a dataset: its items, and the seconds that a label takes."""

    items: int
    median_seconds: float | None = Field(description="Of the newest labels by people; None where there are none.")
    labels: int = Field(description="How many labels that is the median of, 1000 at the most.")
    of: Literal["dataset", "project"] | None
