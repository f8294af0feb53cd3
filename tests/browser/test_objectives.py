"""Theory cards in a real browser: found by paper, drawn from the objective itself, chosen in the launch form."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from alignment.formats.preference import Policy
from backend.accounts.models import Role
from backend.datasets import snapshots
from backend.datasets.models import Dataset
from backend.db import transaction
from tests import loop
from tests.backend.objectives.test_catalogue import singles
from tests.browser.conftest import SignIn
from tests.browser.test_frame import CONTRAST, PHONE

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama folder."""
    return loop.tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


def test_an_objective_is_found_by_its_paper_and_its_curve_follows_the_sliders(sign_in: SignIn) -> None:
    """Search finds titles of papers, Enter opens the card, a slider moves its field and the curve, bounds hold."""
    tab = sign_in(Role.researcher)
    tab.goto("/objectives")
    search = tab.get_by_label("Search objectives")
    search.fill("dpo secretly a reward")
    expect(tab.get_by_role("article").first).to_have_accessible_name("DPO")
    search.press("Enter")
    dialog = tab.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="DPO", exact=True)).to_be_visible()
    note = dialog.locator(".pl-curve-note")
    expect(note).to_contain_text("Loss 0.693 at 0, where chosen is raised (0.05) and rejected is lowered (0.05)")
    dialog.locator(".pl-curve-panels").scroll_into_view_if_needed()  # a chart is drawn once it is near
    expect(dialog.locator(".js-plotly-plot .scatterlayer .trace")).to_have_count(3)

    slider = dialog.get_by_role("slider", name="Beta, slider")
    slider.focus()
    slider.press("End")
    expect(dialog.get_by_role("textbox", name="Beta")).to_have_value("1")
    expect(note).to_contain_text("raised (0.5)")
    dialog.get_by_role("textbox", name="Beta").fill("-1")
    expect(dialog.locator(".pl-field-error").first).to_contain_text("above 0")

    dialog.get_by_role("link", name="cDPO", exact=True).click()
    expect(dialog.get_by_role("heading", name="cDPO", exact=True)).to_be_visible()
    expect(note).to_contain_text("Drawn for answers")  # what is below moves no more
    dialog.get_by_role("button", name="Set eps = 0").click()
    expect(dialog.get_by_role("textbox", name="Epsilon")).to_have_value("0")
    assert tab.url.endswith("name=cdpo")
    dialog.get_by_role("link", name="Use in a new run").click()
    tab.wait_for_url("**/new-run?objective=cdpo")


def test_masks_are_drawn_as_they_begin_and_what_they_cannot_use_is_refused(sign_in: SignIn) -> None:
    """A loss of tokens has a curve that says what it assumes; L1 without learned masks is named where it stands."""
    tab = sign_in(Role.researcher)
    tab.goto("/objectives?name=sparsepo")
    dialog = tab.get_by_role("dialog")
    note = dialog.locator(".pl-curve-note")
    expect(note).to_contain_text("Learned masks are taken to be 1")
    expect(dialog.get_by_text("modules of its own").first).to_be_visible()

    dialog.get_by_role("textbox", name="L1 of reward masks").fill("0.001")
    dialog.get_by_label("Mask", exact=True).select_option("activation")
    expect(dialog.get_by_text("l1_u would change nothing")).to_be_visible()
    dialog.get_by_role("textbox", name="L1 of reward masks").fill("0")
    expect(note).to_contain_text("The reference is taken to be as active at every token")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_card_is_readable_on_a_phone(sign_in: SignIn, theme: str) -> None:
    """Nothing of the open card is wider than a phone, and its text has AA contrast in both themes."""
    tab = sign_in(Role.researcher, color_scheme=theme, **PHONE)
    tab.goto("/objectives?name=ipo_avg")
    dialog = tab.get_by_role("dialog")
    expect(dialog.locator(".pl-curve-note")).to_contain_text("Drawn for answers")

    assert tab.evaluate(CONTRAST) == []
    assert dialog.evaluate("(box) => box.scrollWidth - box.clientWidth") <= 0
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def on_new_run(tab: Page, tiny: Path, address: str) -> None:
    loop.add_checkpoint(tiny)
    tab.goto(address)
    expect(tab.get_by_role("radiogroup", name="Objective")).to_be_visible()


def test_the_launch_form_shows_the_theory_and_takes_any_objective_by_the_keyboard(sign_in: SignIn, tiny: Path) -> None:
    """Arrow keys go through the recommended ones; all others are behind a search; the card opens and stays open."""
    tab = sign_in(Role.researcher)
    loop.add_dataset(name="Harbor pairs")
    on_new_run(tab, tiny, "/new-run")
    picked = tab.get_by_role("radio", checked=True)
    expect(picked).to_contain_text("DPO")
    picked.press("ArrowRight")
    expect(picked).to_contain_text("IPO")
    expect(tab.get_by_label("Name", exact=True)).to_have_value("IPO on Harbor pairs")

    tab.get_by_text("Theory of IPO").click()
    expect(tab.locator(".pl-curve-note")).to_contain_text("Drawn for answers")
    tab.get_by_role("button", name="objectives…").press("Enter")
    dialog = tab.get_by_role("dialog")
    dialog.get_by_label("Search objectives").fill("cdpo noisy preferences")
    dialog.get_by_label("Search objectives").press("Enter")
    expect(dialog).to_have_count(0)
    expect(picked).to_contain_text("cDPO")
    expect(tab.locator(".pl-curve-note")).to_contain_text("Drawn for answers")
    expect(tab.get_by_role("heading", name="Ready to launch")).to_be_visible()


def test_what_the_data_cannot_feed_says_why_and_is_not_launched(sign_in: SignIn, tiny: Path) -> None:
    """With single answers chosen, an objective of pairs says what it learns from, and nothing can be launched."""
    tab = sign_in(Role.researcher)
    dataset = singles()
    loop.add_dataset(name="Harbor pairs")
    on_new_run(tab, tiny, f"/new-run?dataset={dataset.id}&objective=dpo")

    expect(tab.get_by_role("radiogroup", name="Objective").locator("xpath=..")).to_contain_text(
        "DPO learns from chosen"
    )
    expect(tab.get_by_role("button", name="Launch run")).to_have_attribute("aria-disabled", "true")
    tab.get_by_role("button", name="objectives…").click()
    option = tab.get_by_role("option").filter(has_text="cDPO").first
    expect(option).to_have_attribute("aria-disabled", "true")
    expect(option).to_contain_text("learns from chosen answers")


def test_a_checkpoint_is_chosen_for_scores_that_the_data_lack(sign_in: SignIn, tiny: Path) -> None:
    """ODPO can be chosen on pairs without scores: an earlier run asks what it was trained from and its scale, and the
    run is then ready; without one the data are refused."""
    tab = sign_in(Role.researcher)
    dataset = loop.add_dataset(name="Harbor pairs")
    on_new_run(tab, tiny, f"/new-run?dataset={dataset.id}&objective=madpo")
    expect(tab.get_by_text("or another objective", exact=False).first).to_be_visible()

    tab.get_by_text("Let a checkpoint score the responses").click()
    expect(tab.get_by_label("What it was trained from")).to_be_hidden()
    tab.get_by_label("Reward", exact=True).select_option(label="Tiny")
    expect(
        tab.get_by_text("is what an implicit reward", exact=False).or_(tab.get_by_text("Choose that one as"))
    ).to_be_visible()
    tab.get_by_label("What it was trained from").select_option(label="Tiny")
    tab.get_by_label("Scale of implicit rewards").fill("0.2")

    expect(tab.get_by_role("heading", name="Ready to launch")).to_be_visible()


def test_arrow_keys_reach_what_the_data_cannot_feed_and_do_not_choose_it(sign_in: SignIn, tiny: Path) -> None:
    """With single answers chosen, KTO stays chosen while each other button that is reached says what it needs; a click
    does the same, and going back to what is chosen takes the sentence away."""
    tab = sign_in(Role.researcher)
    dataset = singles()
    on_new_run(tab, tiny, f"/new-run?dataset={dataset.id}")
    group = tab.get_by_role("radiogroup", name="Objective")
    chosen = group.get_by_role("radio", name="KTO")
    dpo, why = group.locator('[value="dpo"]'), tab.locator("p.pl-pick-why")
    expect(chosen).to_be_checked()
    expect(dpo).to_have_attribute("aria-disabled", "true")
    expect(why).to_be_hidden()

    names = [one.get_attribute("value") for one in group.get_by_role("radio").all()]
    back = names.index("kto") - names.index("dpo")
    chosen.focus()
    for _ in range(back):
        tab.keyboard.press("ArrowLeft")
    expect(dpo).to_be_focused()
    expect(why).to_contain_text("DPO learns from chosen")
    expect(chosen).to_be_checked()
    for _ in range(back):
        tab.keyboard.press("ArrowRight")
    expect(chosen).to_be_focused()
    expect(why).to_be_hidden()

    dpo.click(force=True)
    expect(why).to_contain_text("DPO learns from chosen")
    expect(chosen).to_be_checked()
    expect(tab.get_by_label("Name", exact=True)).to_have_value("KTO on Thumbs")


def test_a_snapshot_begins_with_what_its_kind_is_trained_on(sign_in: SignIn, tiny: Path, tmp_path: Path) -> None:
    """A snapshot of thumbs opens the form with KTO, also where labelled pairs exist."""
    tab = sign_in(Role.researcher)
    dataset = singles()
    loop.add_dataset(name="Harbor pairs")
    with transaction() as session:
        frozen = snapshots.freeze(session, session.get_one(Dataset, dataset.id), Policy(), tmp_path).id
    on_new_run(tab, tiny, f"/new-run?snapshot={frozen}")

    expect(tab.get_by_role("radio", checked=True)).to_contain_text("KTO")


def test_a_card_sets_lists_and_choices_of_its_relatives(sign_in: SignIn) -> None:
    """The button beside an equality fills in whatever its fields are: weights, or one of several words."""
    tab = sign_in(Role.researcher)
    tab.goto("/objectives?name=modpo")
    dialog = tab.get_by_role("dialog")
    dialog.get_by_role("button", name="Set w = 1,0").click()
    expect(dialog.get_by_role("textbox", name="Weights")).to_have_value("1, 0")

    tab.goto("/objectives?name=rationale_dpo")
    dialog.get_by_label("Form", exact=True).select_option("logsigmoid")
    dialog.get_by_role("button", name="Set gamma = 0, form = linear").click()
    expect(dialog.get_by_label("Form", exact=True)).to_have_value("linear")
