"""The recipe of three runs in a real browser: each finished run offers the next one, with its checkpoint and data."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from alignment.formats import Item
from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint, Source
from backend.datasets import service as datasets
from backend.datasets.models import Dataset
from backend.datasets.models import Kind as DataKind
from backend.db import transaction
from backend.projects import service as projects
from backend.runs.models import Run
from backend.work import State, finish
from tests import loop
from tests.browser.conftest import SignIn
from tests.browser.test_frame import CONTRAST, PHONE
from tests.people import add_person

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama folder."""
    return loop.tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


def demonstrations() -> Dataset:
    said = [Item(one.prompt, one.responses[:1]) for one in loop.pairs(60)]
    with transaction() as session:
        return datasets.create_from_items(
            session, projects.default(session), "Harbor answers", said, kind=DataKind.demonstrations
        )


def end(run: Run, folder: Path | None = None) -> None:
    """The run has succeeded, and made the checkpoint that lies in the folder."""
    with transaction() as session:
        finish(session.get_one(Run, run.id), State.succeeded)
        if folder is None:
            return
        project = session.get_one(Run, run.id).project_id
        place = {"source": Source.run, "path": str(folder), "architecture": "LlamaForCausalLM", "parameters": 20_000}
        session.add(
            Checkpoint(project_id=project, name="Fine-tuned", run_id=run.id, step=4, own_template=True, **place)
        )


def fine_tuned(folder: Path) -> Run:
    """A finished run on demonstrations."""
    base = loop.add_checkpoint(folder, "Tiny base")
    tuned = folder.with_name("tuned")
    if not tuned.exists():
        shutil.copytree(folder, tuned)
    with transaction() as session:
        person = add_person(session, Role.researcher, "earlier")
    run = loop.add_run(
        person, base, demonstrations(), name="SFT on Harbor answers", kind="sft", objective={"name": "sft"}
    )
    end(run, tuned)
    return run


def launched(page: Page) -> Run:
    """The run that the form's button queues."""
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()
    page.get_by_role("button", name="Launch run").click()
    page.wait_for_url("**/run?id=*")
    with transaction() as session:
        return session.get_one(Run, page.url.split("id=")[1])


def test_three_runs_are_one_recipe(sign_in: SignIn, tiny: Path) -> None:
    """Of a finished fine-tuning a reward model and a preference run are one button away: kind, checkpoint and pairs
    stand in the form; each of the three then shows what became of the others, and the same pairs are carried on."""
    page = sign_in()
    first = fine_tuned(tiny)
    pairs = loop.add_dataset(name="Harbor pairs")
    loop.add_dataset(name="Other pairs")

    page.goto(f"/run?id={first.id}")
    recipe = page.get_by_role("region", name="Recipe")
    expect(recipe.locator("[aria-current=step]")).to_contain_text("Supervised fine-tuning")
    recipe.get_by_label("With the pairs of").select_option(label="Harbor pairs (60 labelled)")
    recipe.get_by_role("button", name="Train a reward model").click()

    page.wait_for_url("**/new-run?*")
    expect(page.get_by_role("button", name="Reward model")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Bradley-Terry on Harbor pairs")
    expect(page.get_by_label("Start from").locator("option:checked")).to_contain_text("Fine-tuned")
    expect(page.get_by_text("Step 2 of a recipe of three runs")).to_be_visible()
    second = launched(page)
    end(second)

    page.goto(f"/run?id={second.id}")
    expect(recipe.get_by_role("link", name="SFT on Harbor answers")).to_be_visible()
    expect(recipe.get_by_label("With the pairs of").locator("option:checked")).to_contain_text("Harbor pairs")
    recipe.get_by_role("button", name="Preference run from this checkpoint").click()

    page.wait_for_url("**/new-run?*")
    expect(page.get_by_label("Name", exact=True)).to_have_value("DPO on Harbor pairs")
    expect(page.get_by_label("Start from").locator("option:checked")).to_contain_text("Fine-tuned")
    third = launched(page)
    end(third)
    with transaction() as session:
        rows = [session.get_one(Run, one.id) for one in (second, third)]
        assert [one.kind for one in rows] == ["reward_model", "preference"]
        assert rows[0].checkpoint_id == rows[1].checkpoint_id != first.checkpoint_id
        assert rows[0].snapshot_id == rows[1].snapshot_id

    for run in (first, second, third):
        page.goto(f"/run?id={run.id}")
        for name in ("SFT on Harbor answers", "Bradley-Terry on Harbor pairs", "DPO on Harbor pairs"):
            expect(recipe.get_by_role("link", name=name)).to_be_visible()
    assert pairs.name == "Harbor pairs"


def test_a_recipe_without_pairs_says_what_is_missing(sign_in: SignIn, tiny: Path) -> None:
    """Before anything is labelled nothing can follow: the buttons say so, on a phone too, and lead to the data."""
    page = sign_in(**PHONE)
    run = fine_tuned(tiny)
    page.goto(f"/run?id={run.id}")
    recipe = page.get_by_role("region", name="Recipe")
    expect(recipe.get_by_role("button", name="Train a reward model")).to_have_attribute("aria-disabled", "true")
    expect(recipe.get_by_role("link", name="Data")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_recipe_begins_in_the_launch_form(sign_in: SignIn, tiny: Path) -> None:
    """The three steps stand under the kinds of runs, by the keyboard; the first is chosen from there."""
    page = sign_in()
    loop.add_checkpoint(tiny, "Tiny base")
    loop.add_dataset(name="Harbor pairs")
    demonstrations()
    page.goto("/new-run")
    page.get_by_text("A recipe of three runs").press("Enter")
    page.get_by_role("button", name="Begin with fine-tuning").press("Enter")
    expect(page.get_by_role("button", name="Supervised fine-tuning")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Name", exact=True)).to_have_value("SFT on Harbor answers")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()


@pytest.mark.parametrize(("kind", "title"), [("unpaired", "KTO"), ("ranked", "DPO-PL")])
def test_data_that_are_no_pairs_open_with_an_objective_that_they_feed(
    sign_in: SignIn, tiny: Path, kind: str, title: str
) -> None:
    """“Train on this” of thumbs and of rankings leads to a form that is ready, not to a refusal."""
    page = sign_in()
    loop.add_checkpoint(tiny, "Tiny base")
    made = loop.pairs(60)
    items = (
        [
            Item(one.prompt, one.responses[n % 2 : n % 2 + 1], facts={"desirable": n % 2 == 0})
            for n, one in enumerate(made)
        ]
        if kind == "unpaired"
        else [Item(one.prompt, one.responses, facts={"ranks": [1, 2]}) for one in made]
    )
    with transaction() as session:
        row = datasets.create_from_items(session, projects.default(session), "Harbor", items, kind=DataKind(kind))
    page.goto(f"/dataset?id={row.id}")
    page.get_by_role("button", name="Train on this").click()

    expect(page.get_by_label("Name", exact=True)).to_have_value(f"{title} on Harbor")
    page.get_by_role("button", name="Quick try").click()
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()
