"""Home asks what somebody has: what fits is offered, and each offer leads to a page that is filled in."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.presets import service
from backend.presets.machine import Found, Gpu, HubState
from tests import loop
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


def test_off_line(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that may ask no hub says what to do instead, and offers no download."""
    monkeypatch.setattr(service, "PROBE", Known("offline"))
    tab = home(sign_in())

    expect(tab.get_by_role("status").filter(has_text="told to ask no hub")).to_contain_text("Copy a model")
    expect(tab.get_by_role("button", name="Look and download: Qwen3 0.6B")).to_have_attribute("aria-disabled", "true")


def test_a_run_starts_with_the_models_own_settings(sign_in: SignIn, tmp_path: Path) -> None:
    """The form takes the model's preset and hides others'; the rate follows the objective unless somebody typed one."""
    tab = sign_in()
    (tmp_path / "config.json").write_text(config())
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    weights(tmp_path / "model.safetensors")
    checkpoint = loop.add_checkpoint(tmp_path)
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
    tab.get_by_label("Objective").first.select_option("simpo")
    expect(rate).to_have_value("1e-5")
    rate.fill("0.003")
    tab.get_by_label("Objective").first.select_option("dpo")
    expect(rate).to_have_value("0.003")
