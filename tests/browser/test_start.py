"""Home asks what somebody has: what fits is offered, and each offer leads to a page that is filled in."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.presets import service
from backend.presets.machine import Found, Gpu, HubState
from tests import loop, people
from tests.backend.checkpoints.conftest import config, weights
from tests.browser.conftest import SignIn

pytestmark = pytest.mark.browser
READY = ".pl-mount[data-mounted]:not([aria-busy])"


class Known:
    """A probe that has looked."""

    def __init__(self, hub: HubState = "reachable") -> None:
        self.hub = hub

    def read(self) -> Found:
        return Found(gpus=(Gpu("Test GPU", 24 << 30),), hub=self.hub)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one GPU and a hub that is not asked in earnest."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(service, "PROBE", Known())


def model(folder: Path) -> Path:
    """A folder that can be trained from, as far as anybody can see without loading it."""
    folder.mkdir()
    (folder / "config.json").write_text(config())
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    weights(folder / "model.safetensors")
    return folder


def home(tab: Page) -> Page:
    tab.goto("/")
    tab.wait_for_selector(READY)
    return tab


def test_what_fits_is_offered(sign_in: SignIn) -> None:
    """With nothing trained yet the offers are open: what fits, what does not and why; a model leads to its download."""
    tab = home(sign_in())
    expect(tab.get_by_role("heading", name="What do you have?")).to_be_visible()
    expect(tab.get_by_role("status").filter(has_text="Test GPU")).to_contain_text("The hub answers.")
    card = tab.locator(".pl-choice", has=tab.get_by_role("heading", name="Qwen3 0.6B"))
    expect(card).to_contain_text("LoRA: fits")
    tab.get_by_text("too large for this machine").click()
    expect(tab.get_by_text("the GPU has 25.8 GB").last).to_be_visible()

    tab.get_by_role("button", name="Look and download: Qwen3 0.6B").click()
    tab.wait_for_url("**/checkpoints?hub=Qwen%2FQwen3-0.6B")
    expect(tab.get_by_label("Model", exact=True)).to_have_value("Qwen/Qwen3-0.6B")


def test_data_are_offered(sign_in: SignIn) -> None:
    """A dataset leads to the import page with its hub id."""
    tab = home(sign_in())
    tab.get_by_role("button", name="Look and import: HelpSteer3 preference").click()
    tab.wait_for_url("**/import?from=hub&hub=nvidia%2FHelpSteer3&config=preference&split=train")

    expect(tab.get_by_label("Dataset")).to_have_value("nvidia/HelpSteer3")


@pytest.mark.parametrize(
    ("hub", "why"), [("offline", "told to ask no hub"), ("unreachable", "127.0.0.1:9 does not answer from here")]
)
def test_without_a_hub(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, hub: HubState, why: str) -> None:
    """A machine that may ask no hub, or reaches none, says what to do instead, and offers no download."""
    monkeypatch.setattr(service, "PROBE", Known(hub))
    tab = home(sign_in())

    expect(tab.get_by_role("status").filter(has_text=why)).to_contain_text("Copy a model")
    for name in ("Look and download: Qwen3 0.6B", "Look and import: HelpSteer3"):
        expect(tab.get_by_role("button", name=name)).to_have_attribute("aria-disabled", "true")


def test_a_run_starts_with_the_models_own_settings(sign_in: SignIn, tmp_path: Path) -> None:
    """The form takes the model's preset and hides others'; the rate follows the objective unless somebody typed one."""
    tab = sign_in()
    checkpoint = loop.add_checkpoint(model(tmp_path / "model"))
    loop.add_dataset()
    known = {"architecture": "Qwen3ForCausalLM", "parameters": 751_632_384, "toy": False}
    with transaction() as session:
        session.execute(update(Checkpoint).where(Checkpoint.id == checkpoint.id).values(known))
    tab.goto(f"/new-run?checkpoint={checkpoint.id}")
    tab.wait_for_selector(READY)
    presets = tab.get_by_role("group", name="Presets")
    rate = tab.get_by_label("Learning rate")

    expect(presets.get_by_role("button", pressed=True)).to_contain_text("LoRA, Qwen3 0.6B")
    expect(presets.get_by_role("button").filter(has_text="Llama")).to_have_count(0)
    expect(rate).to_have_value("2e-5")
    tab.get_by_role("radio", name="SimPO").click()
    expect(rate).to_have_value("1e-5")
    rate.fill("0.003")
    tab.get_by_role("radio", name="DPO", exact=False).first.click()
    expect(rate).to_have_value("0.003")


def test_a_preset_is_marked_until_what_it_gave_is_changed(sign_in: SignIn, tmp_path: Path) -> None:
    """The objective's numbers are part of what it gave; an objective chosen again has them again."""
    tab = sign_in()
    checkpoint = loop.add_checkpoint(model(tmp_path / "model"))
    loop.add_dataset()
    with transaction() as session:
        session.execute(update(Checkpoint).where(Checkpoint.id == checkpoint.id).values(toy=True))
    tab.goto(f"/new-run?checkpoint={checkpoint.id}")
    tab.wait_for_selector(READY)
    marked = tab.get_by_role("group", name="Presets").get_by_role("button", pressed=True)
    beta = tab.get_by_label("Beta", exact=True)

    expect(marked).to_contain_text("Toy world")
    expect(beta).to_have_value("0.3")
    beta.fill("0.5")
    expect(marked).to_have_count(0)
    beta.fill("0.3")
    expect(marked).to_contain_text("Toy world")
    tab.get_by_role("radio", name="IPO").click()
    expect(marked).to_contain_text("Toy world")
    tab.get_by_role("radio", name="DPO", exact=False).first.click()
    expect(beta).to_have_value("0.3")
    expect(marked).to_contain_text("Toy world")


def test_the_next_run_does_not_pile_up_on_the_last(sign_in: SignIn, tmp_path: Path) -> None:
    """A run starts from the newest model that no run has made, unless one that a run made is asked for by its id."""
    tab = sign_in()
    base, made = (loop.add_checkpoint(model(tmp_path / name), name) for name in ("The base", "Made by a run"))
    with transaction() as session:
        launcher = people.add_person(session, Role.researcher)
    run = loop.add_run(launcher, base, loop.add_dataset())
    with transaction() as session:
        session.execute(update(Checkpoint).where(Checkpoint.id == made.id).values(run_id=run.id, source=Source.run))
    start = tab.get_by_label("Start from", exact=True).locator("option:checked")

    tab.goto("/new-run")
    expect(start).to_contain_text("The base")
    tab.goto(f"/new-run?checkpoint={made.id}")
    expect(start).to_contain_text("Made by a run")
