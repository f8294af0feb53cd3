"""Registering models of a hub and endpoints in a real browser, and giving a chat template."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from backend.addresses import Allowance
from backend.settings import Settings
from tests import endpoint, hub
from tests.backend.checkpoints.conftest import config, weights
from tests.browser.conftest import SignIn

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


TRIED_MS = 30_000  # a template is tried in a process of its own


@pytest.fixture
def bare(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights without a chat template, in an allowed root."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "config.json").write_text(config())
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text('{"eos_token": "</end>"}')
    weights(folder / "model.safetensors")
    monkeypatch.setattr(settings, "checkpoint_roots", (tmp_path,))
    return folder


@pytest.fixture
def a_hub(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub.Manners]:
    """A hub that serves the same weights."""
    manners = hub.Manners.of(bare)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hub.serving(manners) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        yield manners


@pytest.fixture
def served(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[endpoint.Habits]:
    """An OpenAI-compatible server that an admin allows."""
    monkeypatch.setattr(settings, "allowed_addresses", (Allowance.parse("127.0.0.1"),))
    with endpoint.serving(endpoint.Habits()) as habits:
        yield habits


def test_a_model_of_a_hub(sign_in: SignIn, a_hub: hub.Manners) -> None:
    """License, size and access are seen before the download; a gated model says what to do."""
    page = sign_in()
    page.goto("/checkpoints?hub=someone/tiny")
    page.get_by_role("button", name="Look it up").click()
    expect(page.get_by_text("apache-2.0")).to_be_visible()
    expect(page.get_by_text("It has no chat template: give one here")).to_be_visible()
    page.get_by_label("Chat template").fill(TEMPLATE)
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("<|user|>What is the sea?").first).to_be_visible(timeout=TRIED_MS)
    a_hub.gated, a_hub.token = "manual", "hf_needed"
    page.get_by_role("button", name="Look it up").click()
    expect(page.get_by_text("Accept the license on")).to_be_visible()
    a_hub.gated = a_hub.token = None  # type: ignore[assignment]
    page.get_by_role("button", name="Look it up").click()
    page.get_by_role("button", name="Download ", exact=False).click()
    expect(page.get_by_text("Waiting for a worker…")).to_be_visible()


def test_an_endpoint(sign_in: SignIn, served: endpoint.Habits) -> None:
    """An address is asked for its models, tested, and registered; its page tests it again; no run can start from it."""
    page = sign_in()
    page.goto("/checkpoints?register")
    page.get_by_role("button", name="Endpoint").click()
    page.get_by_label("Address").fill("http://127.0.0.1:1/v1")
    page.get_by_label("Model").fill("x")
    page.get_by_role("button", name="Test and register").click()
    expect(page.get_by_text("Nothing answers at")).to_be_visible()
    page.get_by_label("Address").fill(served.url)
    page.get_by_role("button", name="List models").click()
    expect(page.get_by_label("Model")).to_have_value(endpoint.MODEL)
    page.get_by_role("button", name="Test and register").click()
    page.get_by_role("link", name=endpoint.MODEL).click()
    page.get_by_role("button", name="Test it").click()
    expect(page.get_by_text(served.answer)).to_be_visible()
    expect(page.get_by_role("button", name="Use as base")).to_have_attribute("aria-disabled", "true")


def test_a_template_later(sign_in: SignIn, bare: Path) -> None:
    """Weights without a template are registered and marked; on their page one tries a template and gives it."""
    page = sign_in()
    page.goto("/checkpoints?register")
    expect(page.get_by_text("It has no chat template: give it one on its page")).to_be_visible()
    page.locator(".pl-folder").get_by_role("button", name="Register").click()
    expect(page.get_by_text("needs a chat template")).to_be_visible()
    page.goto("/new-run")
    expect(page.get_by_text("A run can start from these once they have a chat template: bare.")).to_be_visible()
    page.get_by_role("link", name="bare").click()
    page.get_by_label("Chat template").fill("{% for messages")
    page.get_by_role("button", name="Give this template").click()
    expect(page.get_by_text("Line 1")).to_be_visible(timeout=TRIED_MS)
    page.get_by_label("Chat template").fill(TEMPLATE)
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("The sea is wide.</end>").first).to_be_visible(timeout=TRIED_MS)
    page.get_by_role("button", name="Give this template").click()
    expect(page.get_by_text("given by somebody")).to_be_visible(timeout=TRIED_MS)
