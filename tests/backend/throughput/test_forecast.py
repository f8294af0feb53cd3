"""The forecast of a task's end is the arithmetic that it says it is."""

from datetime import UTC, datetime, timedelta

import pytest

from backend.throughput.forecast import forecast

NOW = datetime(2026, 5, 8, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_steady_week_goes_on() -> None:
    """Ten labels each day of the last week and thirty to go: three days, without a doubt about it."""
    found = forecast(NOW, NOW - 30 * DAY, [10] * 7, 30)

    assert found is not None
    assert (found.per_day, found.days, found.remaining) == (10.0, 7.0, 30)
    assert found.done_at == found.earliest == found.latest == NOW + 3 * DAY


def test_the_days_before_the_first_label_are_no_idle_days() -> None:
    """Two days old with 20 labels is ten a day, not 20 by seven."""
    found = forecast(NOW, NOW - 2 * DAY, [12, 8, 0, 0, 0, 0, 0], 50)

    assert found is not None
    assert found.per_day == pytest.approx(10)
    assert found.done_at == NOW + 5 * DAY
    assert found.earliest is found.latest is None


def test_the_first_hour_is_a_day() -> None:
    """Nobody labels around the clock: what came in an hour is what comes in a day until more is known."""
    found = forecast(NOW, NOW - timedelta(hours=1), [24, 0, 0, 0, 0, 0, 0], 48)

    assert found is not None
    assert found.done_at == NOW + 2 * DAY


def test_uneven_days_make_a_range() -> None:
    """Days of 0, 10 and 20: the mean of ten lies between two paces, by the normal's 1.2816 and the deviation of 10."""
    found = forecast(NOW, NOW - 3 * DAY, [0, 10, 20, 0, 0, 0, 0], 100)

    assert found is not None
    reach = 1.2816 * 10 / 3**0.5
    assert found.done_at == NOW + 10 * DAY
    assert found.earliest == NOW + timedelta(days=100 / (10 + reach))
    assert found.latest == NOW + timedelta(days=100 / (10 - reach))


def test_a_pace_that_may_be_none_has_no_latest_end() -> None:
    found = forecast(NOW, NOW - 30 * DAY, [70, 0, 0, 0, 0, 0, 0], 100)

    assert found is not None
    assert found.earliest is not None
    assert found.latest is None


def test_an_end_beyond_ten_years_is_none() -> None:
    """A million to go at one a week: dates that no calendar holds are not reckoned."""
    found = forecast(NOW, NOW - 30 * DAY, [1, 0, 0, 0, 0, 0, 0], 10**9)

    assert found is not None
    assert found.done_at is found.earliest is found.latest is None


@pytest.mark.parametrize(("came", "remaining"), [(0, 10), (10, 0), (10, -3)])
def test_nothing_came_or_nothing_is_wanted(came: int, remaining: int) -> None:
    assert forecast(NOW, NOW - DAY, [came] + [0] * 6, remaining) is None
