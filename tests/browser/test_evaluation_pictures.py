"""What an evaluation shows beside rates, in a real browser: meters, the forest plot, curves, ranking, trade-offs."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from tests import contest
from tests.browser.conftest import SignIn
from tests.checkpoints import make_llama
from tests.contrast import contrast
from workers.tasks import contaminations

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)
INKED = """() => {
  const [plot] = document.querySelectorAll("[aria-label='Who beats whom'] .js-plotly-plot");
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--pl-text").trim();
  return plot?.data?.[0].textfont.color === ink;
}"""
DISPLAY = """async (how) => {
  document.querySelector("[aria-label='Who beats whom'] .pl-chart").parentNode.style.display = how;
  for (let count = 0; count < 5; count += 1) await new Promise((drawn) => requestAnimationFrame(drawn));
}"""
FILLED = """() => {
  const box = document.querySelector("[aria-label='Who beats whom'] .pl-chart");
  return box.clientWidth > 0 && box.querySelector("svg.main-svg")?.clientWidth === box.clientWidth;
}"""
INSIDE = """(element, selector) =>
  element.getBoundingClientRect().right <= element.closest(selector).getBoundingClientRect().right"""
ABOVE = """(element, selector) => {
  const other = element.closest(".pl-chart").querySelector(selector);
  return element.getBoundingClientRect().bottom <= other.getBoundingClientRect().top;
}"""
SHOTS = os.environ.get("PLUMBLINE_SHOTS")


def shoot(page: Page, name: str) -> None:
    """Keep pictures when somebody wants to look at them."""
    if SHOTS:
        for scheme in ("light", "dark"):
            for width in (1280, 390):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 900})
                page.wait_for_timeout(600)
                page.screenshot(path=f"{SHOTS}/{name}-{scheme}-{width}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})


def test_the_evaluation_page(sign_in: SignIn, clean: None, tmp_path: Path) -> None:
    """Meters stand beside the rates, each with its picture and its difference to the baseline; prompts that were
    trained on are looked for from the page, and lead to the grid."""
    made = contest.make()
    contest.train(made, tmp_path, {0: [contest.example(number) for number in range(5)], 1: [contest.example(7)]})
    page = sign_in()
    page.goto(f"/evaluation?id={made.id}")
    meters = page.get_by_role("region", name="What the answers are like")
    expect(meters.get_by_role("columnheader", name="Self-BLEU")).to_be_visible()
    expect(meters.get_by_role("row")).to_have_count(7)
    expect(meters.locator(".pl-interval").first).to_be_visible()
    expect(meters.get_by_text("24 prompts")).to_be_visible()
    forest = page.get_by_role("img", name="Win rates against Base & <b>bold</b>")
    expect(forest.locator(".scatterlayer .trace").first).to_be_attached()
    expect(page.get_by_role("img", name="Win rate against the baseline by step")).to_be_visible()
    page.get_by_text("The curve as a table").click()
    expect(page.get_by_role("table", name="Win rate by step").get_by_role("row")).to_have_count(6)
    seen = page.get_by_role("region", name="Prompts seen in training")
    seen.get_by_role("button", name="Look for them").click()
    expect(seen.get_by_text("0 of 6 training examples")).to_be_visible()
    contaminations.work()
    expect(seen.get_by_role("link", name="5 (20.8 %)")).to_have_count(3)
    expect(seen.get_by_role("table", name="Win rates with and without")).to_be_visible()
    expect(page.get_by_label("Seen in training", exact=True)).to_have_value("")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the report").click()
    assert download.value.suggested_filename == f"evaluation-{made.id}.html"
    shoot(page, "evaluation")
    if SHOTS:
        download.value.save_as(f"{SHOTS}/report.html")
    seen.get_by_role("link", name="5 (20.8 %)").first.click()
    expect(page.get_by_text("5 prompts, 25 matches like that")).to_be_visible()
    expect(page.get_by_label("Seen in training", exact=True)).to_have_value("true")
    expect(page.get_by_text("seen in training", exact=True).first).to_be_visible()
    shoot(page, "grid")


def test_a_report_on_a_phone(sign_in: SignIn, clean: None, tmp_path: Path) -> None:
    """What is handed on reads there too: numbers stay in a line, and only wide tables move sideways."""
    made = contest.make()
    page = sign_in(viewport={"width": 390, "height": 844})
    page.goto(f"/evaluation?id={made.id}")
    asked = f"fetch('/api/v1/evaluations/{made.id}/report.html').then((answer) => answer.text())"
    (tmp_path / "report.html").write_text(page.evaluate(asked))
    page.goto(f"file://{tmp_path}/report.html")

    row = page.get_by_role("table", name="Against the baseline").get_by_role("row", name="DPO, beta 0.1 20")
    assert row.evaluate("row => row.clientHeight") < 80
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator(".wide").first.evaluate("box => box.scrollWidth > box.clientWidth")
    expect(page.get_by_text("Blue as judged, orange at equal length")).to_be_visible()


def test_long_names_on_a_phone(sign_in: SignIn, clean: None) -> None:
    """Nothing is wider than its box, and shortened names keep their steps: on the page, in the form and in the grid."""
    made = contest.make(2)
    step = " · step 90"
    with transaction() as session:
        session.get_one(Checkpoint, made.contestants[1]).name = f"DPO on Toy world: labelled pairs of everybody{step}"
    page = sign_in(viewport={"width": 390, "height": 844})
    page.goto(f"/evaluation?id={made.id}")
    answers = page.locator(".pl-eval-response")
    expect(answers.first).to_be_visible()
    assert answers.evaluate_all("boxes => boxes.filter((box) => box.scrollWidth > box.clientWidth).length") == 0
    label = page.locator(".pl-chart .annotation-text").filter(has_text="step 90").first
    expect(label).to_contain_text("(n = ")
    assert label.evaluate(INSIDE, ".pl-chart")
    assert label.evaluate(ABOVE, ".scatterlayer .points path")
    expect(answers.get_by_text(step).first).to_be_visible()
    page.goto("/evaluate?new")
    listed = page.locator(".pl-eval-list .pl-named-step")
    expect(listed).to_have_text(step)
    assert listed.evaluate(INSIDE, ".pl-eval-list")
    page.set_viewport_size({"width": 1280, "height": 900})  # the grid of a phone has no heads
    page.goto(f"/grid?id={made.id}")
    expect(page.get_by_role("columnheader", name="DPO on Toy world").locator(".pl-named-step")).to_be_in_viewport()
    heads = page.get_by_role("columnheader").locator(".pl-cut")
    assert heads.evaluate_all("(cut) => cut.every((one) => getComputedStyle(one).display === 'block')")  # else no “…”


def test_rankings_and_trade_offs(sign_in: SignIn, clean: None) -> None:
    """The ranking with its heat map and table, and a sentence alone of a judge that goes by the place; two objectives
    whose weights move by key; both keep their address."""
    made = contest.make()
    page = sign_in()
    page.goto(f"/ranking?id={made.id}")
    beats = page.get_by_role("region", name="Who beats whom")
    expect(beats.locator(".pl-chart .heatmaplayer").first).to_be_attached()
    expect(beats.get_by_role("row")).to_have_count(7)
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        expect(page.locator(f"html[data-theme={theme}]")).to_be_attached()
        for kind in ("Observed", "Observed less predicted"):
            beats.get_by_role("button", name=kind, exact=True).click()
            expect(page.get_by_role("button", name=kind, exact=True)).to_be_focused()
            expect(beats.locator(".pl-chart .heatmaplayer").first).to_be_attached()
            page.wait_for_function(INKED)
            drawn = beats.evaluate("(one) => one.querySelector('.js-plotly-plot').data[0]")
            ink = drawn["textfont"]["color"]
            assert min(contrast(ink, color) for _, color in drawn["colorscale"]) >= 4.5, (theme, drawn["colorscale"])
    shoot(page, "ranking")
    page.evaluate(DISPLAY, "none")
    page.set_viewport_size({"width": 1000, "height": 900})
    page.evaluate(DISPLAY, "")
    page.wait_for_function(FILLED)
    contest.by_place(made)
    page.reload()
    expect(page.get_by_role("note").filter(has_text="It names the answer that is shown first")).to_be_visible()
    expect(beats).to_have_count(0)
    shoot(page, "ranking-by-place")

    page.goto(f"/trade-offs?id={made.id}")
    expect(page.get_by_text("50 % Score: brief, 50 % Score: reward")).to_be_visible()
    slider = page.get_by_label("Weight of the second objective")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.get_by_text("Best so weighed: Base & <b>bold</b>")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_text("Best so weighed: SimPO <i>fast</i> 20")).to_be_visible()
    page.get_by_label("Second objective", exact=True).select_option("Self-BLEU")
    expect(page.get_by_role("columnheader", name="Self-BLEU")).to_be_visible()
    page.reload()
    expect(page.get_by_text("0 % Score: brief, 100 % Self-BLEU")).to_be_visible()
    kl = page.get_by_role("region", name="KL to a reference")
    expect(kl.get_by_text("Not measured yet.")).to_be_visible()
    shoot(page, "trade-offs")

    page.goto("/ranking")
    expect(page.get_by_text("Which evaluation?")).to_be_visible()


def test_reward_against_kl(sign_in: SignIn, clean: None, tmp_path: Path) -> None:
    """KL is asked for by a button, followed and stopped; where it is known, runs are compared at a KL that a key moves,
    and what cannot join says why."""
    made, other = contest.make(), contest.make(seed=1)
    folder = make_llama(tmp_path / "weights", ["tea"])
    with transaction() as session:
        for row in session.scalars(select(Checkpoint).where(Checkpoint.path.like("contest/%"))):
            place = tmp_path / str(row.id)
            place.symlink_to(folder)
            row.path, row.own_template = str(place), True
    page = sign_in()
    page.goto(f"/trade-offs?id={other.id}")
    kl = page.get_by_role("region", name="KL to a reference")
    expect(page.get_by_text("KL is not measured yet")).to_be_visible()
    kl.get_by_role("button", name="Measure KL on 50 prompts").click()
    expect(kl.get_by_text("120 answers are still to be read")).to_be_visible()
    kl.get_by_role("button", name="Cancel").click()
    expect(kl.get_by_role("button", name="Measure KL on 50 prompts")).to_be_visible()
    expect(kl.get_by_text("24", exact=True).first).to_be_visible()

    contest.read_tokens(made)
    page.goto(f"/trade-offs?id={made.id}")
    card = page.get_by_role("region", name="Reward against KL")
    expect(card.locator(".pl-chart .scatterlayer .trace").first).to_be_attached()
    expect(card.get_by_text("At 2 nats")).to_be_visible()
    shoot(page, "frontier")
    card.get_by_label("Compare runs at this KL").focus()
    page.keyboard.press("End")
    expect(card.get_by_text("At 4 nats")).to_be_visible()
    card.get_by_label("Reward", exact=True).select_option("Score: reward")
    expect(card.get_by_text("At 4 nats")).to_be_visible()
    card.get_by_label("Add points of another evaluation").select_option(index=1)
    expect(card.get_by_text("does not join. KL to this reference is not measured there.")).to_be_visible()
    page.reload()
    expect(card.get_by_text("At 4 nats")).to_be_visible()
    expect(card.get_by_role("button", name="Take out")).to_be_visible()
