"""The launch form by kinds of runs: each asks for what it needs, and offers what it can learn from."""

import math
import re
import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from alignment.formats import Item
from backend.datasets import service as datasets
from backend.datasets.models import Kind as DataKind
from backend.datasets.models import Snapshot
from backend.db import transaction
from backend.projects import service as projects
from tests import loop
from tests.browser.conftest import SignIn, intercept
from tests.browser.labelling import add_task, answered, numbered

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)


EXAMPLES = "dt:has-text('Training examples') + dd"
UNITS = ("Passes over the examples", "Optimizer steps")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama folder."""
    return loop.tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


def test_the_kind_decides_what_is_asked_for(sign_in: SignIn, tiny: Path) -> None:
    """Demonstrations lead to supervised fine-tuning; pairs feed it only when taken apart; a reward model asks for its
    own loss and no reference; and a preference run is as it was."""
    page = sign_in()
    loop.add_checkpoint(tiny, "Tiny base")
    loop.add_dataset(name="Harbor pairs")
    answers = add_answers("Harbor answers")

    page.goto(f"/new-run?dataset={answers}")
    kinds = page.get_by_role("group", name="Kind of run")
    expect(kinds.get_by_role("button", name="Supervised fine-tuning")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Name", exact=True)).to_have_value("SFT on Harbor answers")
    expect(page.get_by_label("Data", exact=True)).to_contain_text("60 demonstrations")
    page.get_by_role("button", name="Quick try").click()
    expect(page.get_by_label("Learning rate").first).to_have_value("2e-4")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()

    page.get_by_label("Data", exact=True).select_option(label="Harbor pairs (60 of 60 labelled)")
    expect(page.get_by_text("these data are pairs").first).to_be_visible()
    page.get_by_label("Pairs", exact=True).select_option("apart")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()

    kinds.get_by_role("button", name="Reward model").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Bradley-Terry on Harbor pairs")
    expect(page.get_by_label("Center", exact=True)).to_be_visible()
    expect(page.get_by_label("Pairs", exact=True)).to_be_hidden()
    expect(page.get_by_label("Data", exact=True)).not_to_contain_text("Harbor answers")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()

    page.get_by_role("radio", name="General preference").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("General preference on Harbor pairs")
    page.get_by_label("Dimensions", exact=True).fill("3")
    expect(page.get_by_text("Must be at least 2, at most 64, a multiple of 2.")).to_be_visible()
    page.get_by_label("Dimensions", exact=True).fill("6")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()
    ranked = page.get_by_role("radio", name="RankList scores")
    expect(ranked).to_have_attribute("aria-disabled", "true")
    ranked.click(force=True)
    expect(page.get_by_text("these data are pairs").first).to_be_visible()
    expect(ranked).not_to_be_checked()

    kinds.get_by_role("button", name="Preference run").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("DPO on Harbor pairs")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()

    page.get_by_text("Reference, and which labels count").click()
    page.get_by_label("Reference", exact=True).select_option(index=1)
    page.get_by_role("radio", name="SimPO").click()
    expect(page.get_by_label("Reference", exact=True)).to_be_hidden()
    expect(page.get_by_text("Which labels count", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()
    page.get_by_role("radio", name="DPO", exact=False).first.click()
    expect(page.get_by_label("Reference", exact=True)).to_be_visible()
    expect(page.get_by_label("Reference", exact=True)).not_to_have_value("")


def add_answers(name: str) -> uuid.UUID:
    """Sixty demonstrations."""
    with transaction() as session:
        said = [Item(one.prompt, one.responses[:1]) for one in loop.pairs(60)]
        return datasets.create_from_items(
            session, projects.default(session), name, said, kind=DataKind.demonstrations
        ).id


def test_chosen_data_stay_with_another_kind_or_come_back(sign_in: SignIn, tiny: Path) -> None:
    """What another kind can use stays chosen, what it cannot is there again when one switches back."""
    loop.add_checkpoint(tiny, "Tiny base")
    for name in ("Harbor pairs", "Mill pairs"):
        loop.add_dataset(name=name)
    for name in ("Harbor answers", "Mill answers"):
        add_answers(name)
    page = sign_in()
    page.goto("/new-run")
    kinds, data = page.get_by_role("group", name="Kind of run"), page.get_by_label("Data", exact=True)
    chosen = data.locator("option:checked")
    data.select_option(label="Harbor pairs (60 of 60 labelled)")
    kinds.get_by_role("button", name="Supervised fine-tuning").click()
    expect(chosen).to_contain_text("Mill answers")
    data.select_option(label="Harbor answers (60 demonstrations)")
    for kind, name in (
        ("Reward model", "Harbor pairs"),
        ("Preference run", "Harbor pairs"),
        ("Supervised fine-tuning", "Harbor answers"),
    ):
        kinds.get_by_role("button", name=kind).click()
        expect(chosen).to_contain_text(name)

    data.select_option(label="Mill pairs (60 of 60 labelled)")
    for kind in ("Preference run", "Supervised fine-tuning"):
        kinds.get_by_role("button", name=kind).click()
        expect(chosen).to_contain_text("Mill pairs")
    kinds.get_by_role("button", name="Preference run").click()
    page.get_by_role("button", name="Mix in more data").click()
    page.get_by_text("Draw by weight").click()
    page.get_by_label("Weight 2").fill("3")
    kinds.get_by_role("button", name="Reward model").click()
    expect(chosen).to_contain_text("Mill pairs")
    expect(page.get_by_label("Data 2").locator("option:checked")).to_contain_text("Harbor pairs")
    expect(page.get_by_label("Weight 2")).to_have_value("3")


def paste(page: Page, text: str) -> None:
    """A configuration of another trainer is taken over."""
    page.get_by_role("button", name="Paste a configuration").click()
    page.get_by_label("YAML, JSON or the command line").fill(text)
    page.get_by_role("button", name="Convert").click()
    page.get_by_role("button", name="Use these settings").click()


def test_a_pasted_configuration_of_another_kind_brings_data_of_its_kind(sign_in: SignIn, tiny: Path) -> None:
    """It is as if that kind had been chosen: what was chosen for the other one comes back with it. Data that a kind
    cannot learn from are shown by name, and the pre-flight says what is wrong with them."""
    loop.add_checkpoint(tiny, "Tiny base")
    loop.add_dataset(name="Harbor pairs")
    add_answers("Harbor answers")
    page = sign_in()
    page.goto("/new-run?kind=reward_model")
    kinds, data = page.get_by_role("group", name="Kind of run"), page.get_by_label("Data", exact=True)
    chosen, ready = data.locator("option:checked"), page.get_by_role("heading", name="Ready to launch")
    expect(chosen).to_contain_text("Harbor pairs")
    paste(page, "stage: sft\ndataset: Harbor answers")
    expect(kinds.get_by_role("button", name="Supervised fine-tuning")).to_have_attribute("aria-pressed", "true")
    expect(chosen).to_have_text("Harbor answers (60 demonstrations)")
    kinds.get_by_role("button", name="Reward model").click()
    expect(chosen).to_contain_text("Harbor pairs")
    expect(data).not_to_contain_text("Harbor answers")

    paste(page, "stage: sft")
    expect(chosen).to_contain_text("Harbor answers")
    paste(page, "stage: rm")
    expect(chosen).to_contain_text("Harbor pairs")
    expect(data).not_to_contain_text("Harbor answers")
    expect(ready).to_be_visible()
    paste(page, "stage: rm\ndataset: Harbor answers")
    expect(chosen).to_have_text("Harbor answers")
    expect(page.get_by_role("list", name="Problems and warnings")).to_contain_text("these data are demonstrations")


def test_it_opens_on_data_that_fill_a_step(sign_in: SignIn, tiny: Path) -> None:
    """Data of which a few pairs are labelled are newer, but nothing could be launched with them."""
    loop.add_checkpoint(tiny, "Tiny base")
    for count, name in ((60, "Old pairs"), (60, "Enough pairs"), (10, "Few pairs")):
        loop.add_dataset(count, name)
    page = sign_in()
    page.goto("/new-run")
    expect(page.get_by_label("Data", exact=True).locator("option:checked")).to_contain_text("Enough pairs")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()


def test_a_duration_is_as_long_in_another_unit(sign_in: SignIn, tiny: Path) -> None:
    """Epochs become the steps that they fill, steps the epochs that fill them; without a batch it is asked for."""
    loop.add_checkpoint(tiny, "Tiny base")
    loop.add_dataset()
    page = sign_in()
    length, batch, epochs, steps = two_epochs(page)
    examples = trained_on(page)
    steps.click()
    expect(length).to_have_value(str(2 * examples // 4))
    epochs.click()
    expect(length).to_have_value("2")

    steps.click()
    length.fill("7")
    epochs.click()
    expect(length).not_to_have_value("7")
    expect(page.locator("dt:text-is('Steps') + dd")).to_have_text("7")
    passes = length.input_value()
    batch.fill("")
    steps.click()
    expect(length).to_have_value("")
    expect(length).to_be_focused()
    epochs.click()
    expect(length).to_have_value(passes)


def two_epochs(page: Page) -> tuple[Locator, Locator, Locator, Locator]:
    """The fields of a run's length and of its batch, of four examples, and the buttons of both units of the length."""
    page.goto("/new-run")
    length, batch = page.get_by_role("textbox", name="Duration"), page.get_by_label("Examples per step")
    batch.fill("4")
    length.fill("2")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()
    epochs, steps = (page.get_by_role("button", name=name) for name in UNITS)
    return length, batch, epochs, steps


def trained_on(page: Page) -> int:
    """How many examples the pre-flight tells."""
    return int(re.findall(r"\d+", page.locator(EXAMPLES).inner_text())[0])


def test_a_duration_is_turned_by_what_is_chosen_now(sign_in: SignIn, tiny: Path) -> None:
    """Another batch and other data give an epoch other steps, and a number that was right before is not shown again;
    until the pre-flight tells of the other data the length is asked for."""
    loop.add_checkpoint(tiny, "Tiny base")
    loop.add_dataset(120, "Many pairs")
    loop.add_dataset(60, "Few pairs")
    page = sign_in()
    length, batch, epochs, steps = two_epochs(page)
    data = page.get_by_label("Data", exact=True)
    few = trained_on(page)

    steps.click()
    taken = 2 * few // 4
    batch.fill("2")
    epochs.click()
    expect(length).to_have_value(passes(taken, few, 2))
    steps.click()
    expect(length).to_have_value(str(taken))
    data.select_option(label="Many pairs (120 of 120 labelled)")
    expect(page.locator(EXAMPLES)).not_to_have_text(f"about {few}")
    epochs.click()
    expect(length).to_have_value(passes(taken, trained_on(page), 2))
    steps.click()
    expect(length).to_have_value(str(taken))

    intercept(page, "**/runs/preflight", lambda _: None)
    data.select_option(label="Few pairs (60 of 60 labelled)")
    epochs.click()
    expect(length).to_have_value("")
    expect(length).to_be_focused()
    page.unroute("**/runs/preflight")
    steps.click()
    expect(length).to_have_value(str(taken))
    expect(page.locator(EXAMPLES)).to_have_text(f"about {few}")
    epochs.click()
    expect(length).to_have_value(passes(taken, few, 2))


def passes(steps: int, examples: int, batch: int) -> str:
    """The fewest epochs that fill so many steps, as the form writes them."""
    return f"{math.ceil(1e4 * steps * batch / examples) / 1e4:g}"


PARTS = """(keys) => Object.fromEntries(
  keys.map((key) => [key.textContent.split(" ")[0], key.querySelector("i").style.background]),
)"""


def test_a_part_of_the_memory_has_one_color(sign_in: SignIn, tiny: Path) -> None:
    """Whatever kind of run it is, and however many parts there are."""
    loop.add_checkpoint(tiny, "Tiny base")
    loop.add_dataset()
    add_answers("Harbor answers")
    page = sign_in()
    page.goto("/new-run")
    key = page.locator(".pl-memory-key li")
    expect(key.filter(has_text="reference")).to_be_visible()
    before = key.evaluate_all(PARTS)
    page.get_by_role("button", name="Supervised fine-tuning").click()
    expect(key.filter(has_text="reference")).to_have_count(0)
    after = key.evaluate_all(PARTS)
    assert len(set(before.values())) == len(before)
    assert "program" in after
    assert after.items() <= before.items()


def test_a_preset_that_was_changed_is_not_marked(sign_in: SignIn, tiny: Path) -> None:
    """A number typed by hand takes the mark away; choosing the preset again brings number and mark back."""
    loop.add_checkpoint(tiny, "Tiny base")
    loop.add_dataset()
    page = sign_in()
    page.goto("/new-run")
    marked = page.get_by_role("group", name="Presets").get_by_role("button", pressed=True)
    expect(marked).to_contain_text("LoRA")
    page.get_by_label("Examples per step").fill("4")
    expect(marked).to_have_count(0)
    page.get_by_role("radio", name="IPO").click()
    expect(marked).to_have_count(0)
    page.get_by_role("button", name="LoRA").click()
    expect(marked).to_contain_text("LoRA")
    expect(page.get_by_label("Examples per step")).to_have_value("32")


def test_an_emptied_number_is_asked_for(sign_in: SignIn, tiny: Path) -> None:
    """A run is not launched with a default that stands nowhere on the page."""
    page = sign_in()
    loop.add_checkpoint(tiny, "Tiny base")
    loop.add_dataset(name="Harbor pairs")
    page.goto("/new-run")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()

    page.get_by_label("Beta", exact=True).fill("")
    expect(page.get_by_text("Give a number.")).to_be_visible()
    expect(page.get_by_role("button", name="Launch run")).to_be_disabled()
    page.get_by_label("Beta", exact=True).fill("0.2")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()


def test_the_labels_of_one_task_train(sign_in: SignIn, tiny: Path) -> None:
    """Where two tasks ask different things the form says that they mix and lets one choose, which is then what is
    frozen; data about which one task asked give no choice."""
    loop.add_checkpoint(tiny, "Tiny base")
    dataset, plain = numbered(40), numbered(40, name="Plain pairs")
    helpful, safe = (add_task(dataset, {}, name=name, guidelines=f"{name}?") for name in ("Helpful", "Safe"))
    answered(helpful, 2)
    answered(safe, -2)
    answered(add_task(plain, {}), 1)
    page = sign_in()
    page.goto(f"/new-run?dataset={dataset}")
    said, task = page.get_by_role("list", name="Problems and warnings"), page.get_by_label("Labels of the task")
    expect(said).to_contain_text("“Helpful” and “Safe” ask different questions")
    page.get_by_label("Data", exact=True).select_option(label="Plain pairs (40 of 40 labelled)")
    expect(said).not_to_contain_text("ask different questions")
    expect(task).to_be_hidden()
    page.get_by_label("Data", exact=True).select_option(label="Pairs (40 of 40 labelled)")
    task.select_option("Safe")
    expect(said).not_to_contain_text("ask different questions")
    page.get_by_role("button", name="Launch run").click()
    page.wait_for_url("**/run?id=*")
    with transaction() as session:
        assert session.scalars(select(Snapshot.policy["task"].astext)).one() == str(safe)
