"""Colors of charts in a real browser: any two of the palette differ for everybody, and no chart has one twice."""

from itertools import combinations

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import SignIn
from tests.contrast import color, contrast

pytestmark = pytest.mark.browser

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

# How people see light who lack no cones, those for red, those for green (Machado, Oliveira and Fernandes, 2009).
SIGHTS: dict[str, Matrix] = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
}
# Light to OKLab (Ottosson, 2020), in which as far apart means as different.
CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
LAB = (
    (0.2104542553, 0.793617785, -0.0040720468),
    (1.9779984951, -2.428592205, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.808675766),
)
APART = 0.085
GRAPHICS = 3  # WCAG 1.4.11

PALETTE = """async () => {
  const { colorAt, variable } = await import("/ui/charts.js");
  return { back: variable("--pl-surface"), colors: [...Array(8).keys()].map(colorAt) };
}"""
# The colors of the lines of each chart of a run with this id.
OF_RUN = """async ([id, names]) => {
  const { Charts } = await import("/ui/run-charts.js");
  const charts = new Charts({ id });
  document.body.prepend(charts.element);
  const one = { step: [1, 2, 3], value: [1, 2, 3], low: [], high: [] };
  charts.replace({ series: Object.fromEntries(names.map((name) => [name, one])) });
  const boxes = [...charts.element.querySelectorAll(".pl-chart")];
  while (!boxes.every((box) => box.data)) await new Promise(requestAnimationFrame);
  charts.element.remove();
  return boxes.map((box) => box.data.map((line) => line.line.color));
}"""
# How far below the axis's word the first row of the legend of a chart of rewards begins, and how high the curves are.
LEGEND = """async () => {
  const { Charts } = await import("/ui/run-charts.js");
  const charts = new Charts({ id: "run" });
  document.body.prepend(charts.element);
  const one = { step: [1, 2, 3], value: [1, 2, 3], low: [], high: [] };
  const names = ["rewards/chosen", "rewards/rejected", "eval/rewards/chosen", "eval/rewards/rejected"];
  charts.replace({ series: Object.fromEntries(names.map((name) => [name, one])) });
  const find = (name) => charts.element.querySelector(name);
  while (!find(".legend")) await new Promise(requestAnimationFrame);
  const below = find(".legend").getBoundingClientRect().top - find(".xtitle").getBoundingClientRect().bottom;
  return { below, height: Number(find(".plotclip rect").getAttribute("height")) };
}"""
OF_RUNS = """async (ids) => {
  const { colorAt, runTones } = await import("/ui/charts.js");
  return Object.fromEntries([...runTones(ids)].map(([id, tone]) => [id, colorAt(tone)]));
}"""
CURVES = (
    *("loss", "eval/loss", "mean_reward", "min_reward", "max_reward"),
    *("rewards/chosen", "rewards/rejected", "eval/rewards/chosen", "eval/rewards/rejected"),
)


def applied(matrix: Matrix, vector: Vector) -> Vector:
    one, two, three = (sum(part * value for part, value in zip(row, vector, strict=True)) for row in matrix)
    return one, two, three


def seen(text: str, sight: Matrix) -> Vector:
    """Where a color lies in OKLab for this sight."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color(text))
    light = applied(sight, (red, green, blue))
    long, middle, short = (max(part, 0) ** (1 / 3) for part in applied(CONES, light))
    return applied(LAB, (long, middle, short))


def opened(sign_in: SignIn, **looks: object) -> Page:
    page = sign_in(**looks)
    page.goto("/runs")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_any_two_colors_differ_for_everybody(sign_in: SignIn, scheme: str) -> None:
    """For people who see no red or no green as well, and each can be seen on a card."""
    page = opened(sign_in, color_scheme=scheme)
    page.wait_for_function("(scheme) => document.documentElement.dataset.theme === scheme", arg=scheme)
    told = page.evaluate(PALETTE)

    assert all(contrast(one, told["back"]) >= GRAPHICS for one in told["colors"])
    for name, sight in SIGHTS.items():
        for one, other in combinations(told["colors"], 2):
            apart = sum((a - b) ** 2 for a, b in zip(seen(one, sight), seen(other, sight), strict=True)) ** 0.5
            assert apart >= APART, (name, one, other)


def test_no_two_curves_of_a_run_share_a_color(sign_in: SignIn) -> None:
    """Whichever of the eight colors is the run's own, in each of its charts."""
    page = opened(sign_in)
    drawn = {name: page.evaluate(OF_RUN, [name, list(CURVES)]) for name in "01234567"}

    assert len({charts[0][0] for charts in drawn.values()}) == 8
    for charts in drawn.values():
        assert [len(lines) for lines in charts] == [2, 3, 4]
        assert all(len(set(lines)) == len(lines) for lines in charts)


def test_runs_in_one_chart_have_colors_of_their_own(sign_in: SignIn) -> None:
    """In whatever order they come; newer runs change none of an older one, and only beyond eight are there doubles."""
    page = opened(sign_in)
    older = [f"run {number:02}" for number in (0, 1, 2, 3, 4, 5, 8, 9)]
    alone = page.evaluate(OF_RUNS, older)
    by_itself = {page.evaluate(OF_RUNS, [one])[one] for one in older}

    assert len(by_itself) == 6  # so that two of them have to give way
    assert len(set(alone.values())) == 8
    assert page.evaluate(OF_RUNS, [*reversed(older), "run 10", "run 11"]).items() >= alone.items()


def test_the_legend_of_a_chart_on_a_phone_lies_below_its_axis(sign_in: SignIn) -> None:
    """Four rows cover no word of the axis, and leave most of the chart to its curves."""
    drawn = opened(sign_in, viewport={"width": 390, "height": 844}).evaluate(LEGEND)

    assert drawn["below"] >= 0
    assert drawn["height"] > 90
