"""The loop through the HTTP API in the toy world: seconds from launch to checkpoint, and what was learned."""

from benchmarks.figure import Figure
from plumbline.loop import Loop, Report, Size
from plumbline.tour import connect, private_program

RUN_SECONDS, WIN_RATE = 90.0, 0.75


def measure() -> list[Figure]:
    """One walk of the tour against a private program."""
    with private_program() as (address, token, tend), connect(address, token) as client:
        return figures(Loop(client, Size(prompts=400), lambda *_: tend()).walk())


def figures(report: Report) -> list[Figure]:
    interval = f"{report.level:.0%} interval {report.low:.1%} to {report.high:.1%}, n = {report.n} held-out prompts"
    return [
        Figure(
            "toy DPO run, from launch to checkpoint",
            report.run_seconds,
            "s",
            f"at most {RUN_SECONDS:.0f} s",
            report.run_seconds <= RUN_SECONDS,
            "through the API, with snapshot, process start and evaluations",
        ),
        Figure(
            "true-preference win rate against the base",
            100 * report.rate,
            "%",
            f"at least {WIN_RATE:.0%}",
            report.rate >= WIN_RATE,
            interval,
        ),
        Figure(
            "share of the attainable reward",
            100 * report.share,
            "%",
            note=f"mean true reward {report.base_reward:.2f} to {report.reward:.2f}",
        ),
    ]
