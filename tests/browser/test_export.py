"""Exporting in a real browser: asked for, watched, downloaded, its command copied, pushed and deleted."""

import hashlib
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from backend.checkpoints.models import Checkpoint, CheckpointKind
from backend.db import transaction
from backend.exports import service
from backend.exports.models import Export, Push
from backend.settings import get_settings
from backend.work import State, finish
from tests import exporting, loop
from tests.browser.conftest import SignIn

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)

CONTENT = {"README.md": b"# Card\n", "model.safetensors": bytes(3_000_000), "tokenizer.json": b"{}"}
COMPARISON = {"prompts": 3, "positions": 242, "difference": 0.0042, "tolerance": 0.1, "same_token": 0.996}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base folder and an adapter on it."""
    root = tmp_path_factory.mktemp("exporting")
    base = loop.tiny_checkpoint(root / "base")
    return base, exporting.adapter_folder(base, root / "adapter")


def newest() -> Export:
    with transaction() as session:
        return session.scalars(select(Export).order_by(Export.id.desc()).limit(1)).one()


def end(export: Export) -> None:
    """What a worker leaves behind."""
    place = get_settings().data / service.key(export.id)
    place.mkdir(parents=True)
    for name, content in CONTENT.items():
        (place / name).write_bytes(content)
    with transaction() as session:
        row = session.get_one(Export, export.id)
        row.files = [
            {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in CONTENT.items()
        ]
        row.comparison, row.written_dtype, row.bytes = COMPARISON, "bfloat16", 3_000_009
        finish(row, State.succeeded)


def test_export(sign_in: SignIn, folders: tuple[Path, Path]) -> None:
    """Asked for and seen to move without reloading; finished, it can be downloaded, served, and deleted."""
    page = sign_in()
    trained = exporting.add_trained(*folders)
    page.goto(f"/checkpoint?id={trained.adapter.id}")
    expect(page.get_by_text("Nothing has been exported yet.")).to_be_visible()

    page.get_by_role("button", name="bf16").click()
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.get_by_text("Waiting for a worker…")).to_be_visible()
    export = newest()
    with transaction() as session:
        row = session.get_one(Export, export.id)
        row.state, row.step, row.done = State.running, "comparing", row.total // 2
    expect(page.get_by_text("Loading it again and comparing…")).to_be_visible()
    end(export)

    with page.expect_download() as download:
        page.get_by_role("link", name="Download (3").click()
    assert download.value.suggested_filename == "small-run-step-4.tar"
    expect(page.get_by_text("vllm serve ./small-run-step-4 --served")).to_be_visible()
    page.get_by_text("3 files, 3 MB").click()
    expect(page.get_by_role("link", name="model.safetensors")).to_be_visible()
    _push(page)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("vllm serve")).to_have_count(0)
    with transaction() as session:
        assert session.get(Export, export.id) is None


def _push(page: Page) -> None:
    """Without a token the dialog says who sets one."""
    page.get_by_role("button", name="Push to a hub…").click()
    expect(page.get_by_text("This project has no token of a hub yet.")).to_be_visible()
    page.get_by_role("button", name="Close", exact=True).last.click()


def test_failures_are_told(sign_in: SignIn, folders: tuple[Path, Path]) -> None:
    """A failed export and a failed upload say why and what to do; an adapter alone is not offered for whole weights."""
    page = sign_in()
    trained = exporting.add_trained(*folders)
    with transaction() as session:
        row = Export(
            project_id=trained.base.project_id,
            checkpoint_id=trained.base.id,
            name="tiny-base",
            kind="merged",
            dtype="as_trained",
            state=State.failed,
            reason="The disk is full.",
            remedy="Delete old exports.",
        )
        push = Push(
            project_id=row.project_id,
            checkpoint_id=trained.base.id,
            repo_id="me/tiny",
            private=True,
            secret="hub",
            state=State.failed,
            reason="The hub does not let this token write to “me/tiny”.",
            remedy="Make a token with write access.",
        )
        session.add_all([row, push])
    page.goto(f"/checkpoint?id={trained.base.id}")

    for words in ("The disk is full.", "Delete old exports.", "does not let this token write", "Make a token"):
        expect(page.get_by_text(words)).to_be_visible()
    expect(page.get_by_role("button", name="Adapter only")).to_have_attribute("aria-disabled", "true")


def test_a_reward_model_says_where_its_folder_lies(sign_in: SignIn, folders: tuple[Path, Path]) -> None:
    """Nothing is offered that would be refused: its page says why, where the folder lies and what loads it."""
    page = sign_in()
    trained = exporting.add_trained(*folders)
    with transaction() as session:
        session.get_one(Checkpoint, trained.adapter.id).kind = CheckpointKind.reward_model
    page.goto(f"/checkpoint?id={trained.adapter.id}")

    card = page.get_by_role("region", name="Export")
    expect(card).to_contain_text("loads it as a sequence classifier")
    expect(card).to_contain_text(f"runs/{trained.run.id}/checkpoints/4")
    expect(card.get_by_role("button")).to_have_count(0)
