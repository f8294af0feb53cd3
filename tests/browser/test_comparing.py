"""Comparing in a real browser: a grid of ten thousand prompts, one match, its tokens, and what becomes of a filter."""

import os
import uuid
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import torch
from playwright.sync_api import Page, expect
from sqlalchemy import text

from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint, Source
from backend.db import look_again, transaction
from backend.evaluations.models import Evaluation, Match, Verdict
from backend.evaluations.prompts import of_text
from backend.projects import service as projects
from backend.work import State
from tests.browser.conftest import SignIn
from tests.checkpoints import make_llama
from tests.people import add_person
from workers.answering import SHELF
from workers.tasks import token_scores

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)
SHOTS = os.environ.get("PLUMBLINE_SHOTS")
PROMPTS = 10_000
NAMES = ("The base, which came first", "Tuned & <b>true</b>")
# Of every ten prompts the judge contradicts itself on one, and people contradict it on another.
MATCHES = """
INSERT INTO matches (project_id, evaluation_id, position, prompt, prompt_hash, category, checkpoint_a, checkpoint_b,
 response_a, response_b, sampling, seed, state, stop_requested, done, total)
SELECT :project, :evaluation, g,
 jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'Why is number ' || g || ' called odd?')),
 (CAST(:hashes AS text[]))[g + 1],
 CASE WHEN g % 2 = 0 THEN 'even' ELSE 'odd' END, :a, :b,
 jsonb_build_object('content', 'Number ' || g || ' is <i>plain</i>.', 'tokens', 5, 'ended', true),
 jsonb_build_object('content', 'Number ' || g || repeat(' is quite rare', 1 + g % 4) || '. 🙂', 'ended', true),
 '{}', 0, 'succeeded', false, 0, 0 FROM generate_series(0, :prompts - 1) AS g
"""
VERDICTS = """
INSERT INTO verdicts (project_id, match_id, source, judge, swapped, probability, text, value, annotator_id)
SELECT :project, id, 'judge', 'rules', swapped, CASE WHEN position % 10 = 3 AND swapped THEN 0.0
 ELSE (position % 3) / 2.0 END, 'Because it <img src=x onerror=window.pwned=1> says so.', CAST(NULL AS jsonb),
 CAST(NULL AS uuid)
 FROM matches, (VALUES (false), (true)) AS orders (swapped) WHERE evaluation_id = :evaluation
UNION ALL SELECT :project, id, 'person', NULL, false, 1.0, 'I like it.', '{"strength": 2}', :person
 FROM matches WHERE evaluation_id = :evaluation AND position % 10 = 7
"""


def shoot(page: Page, name: str) -> None:
    """Keep pictures when somebody wants to look at them."""
    if not SHOTS:
        return
    for scheme in ("light", "dark"):
        for width in (1280, 390):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(700)
            page.screenshot(path=f"{SHOTS}/{name}-{scheme}-{width}.png", full_page=width == 1280)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 900})


@pytest.fixture
def evaluation(clean: None, tmp_path: Path) -> str:
    """Two checkpoints that answered ten thousand prompts, judged by rules and now and then by a person."""
    torch.set_num_threads(1)
    with transaction() as session:
        project = projects.default(session).id
        ids = []
        for seed, name in enumerate(NAMES):
            folder = make_llama(tmp_path / str(seed), ["Number is plain"], context=128, seed=seed)
            row = Checkpoint(project_id=project, name=name, source=Source.folder, path=str(folder))
            row.architecture, row.parameters, row.max_tokens = "LlamaForCausalLM", 1_000_000, 128
            session.add(row)
            session.flush()
            ids.append(row.id)
        made = Evaluation(project_id=project, name="Large", contestants=[str(one) for one in ids], sampling={}, seed=0)
        made.prompts, made.judge, made.state = {"texts": PROMPTS, "count": PROMPTS}, {"name": "rules"}, State.succeeded
        made.sampling = {"temperature": 0.7, "top_p": 1, "max_new_tokens": 32}
        session.add(made)
        session.flush()
        person = add_person(session, Role.annotator, "noor").id
        values = {
            "hashes": [of_text(f"Why is number {number} called odd?").hash for number in range(PROMPTS)],
            "person": person,
            "project": project,
            "evaluation": made.id,
            "a": ids[0],
            "b": ids[1],
            "prompts": PROMPTS,
        }
        session.execute(text(MATCHES), values)
        session.execute(text(VERDICTS), values)
        look_again(session, PROMPTS, Match, Verdict)
        return str(made.id)


def test_ten_thousand_prompts_are_scrolled(sign_in: SignIn, evaluation: str) -> None:
    """The grid asks for the rows that it shows: the first, those jumped to, those of a filter; keys move through it and
    open a match, whose neighbours stay within the filter; nothing that a checkpoint wrote is run."""
    page = sign_in()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/grid/rows" in request.url else None)
    page.goto(f"/grid?id={evaluation}")
    grid = page.get_by_role("grid")
    expect(grid).to_have_attribute("aria-rowcount", str(PROMPTS + 1))
    expect(page.get_by_text("Why is number 0 called odd?")).to_be_visible()
    expect(page.get_by_text("is <i>plain</i>").first).to_be_visible()
    shoot(page, "grid")
    asked.clear()

    page.keyboard.press("g")
    page.keyboard.type("9000")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Why is number 8999 called odd?")).to_be_visible()
    expect(page.get_by_role("row")).not_to_have_count(0)
    assert page.get_by_role("row").count() < 60
    page.reload()
    expect(page.get_by_text("Why is number 8999 called odd?")).to_be_visible()
    assert {limit for url in asked for limit in parse_qs(urlsplit(url).query)["limit"]} == {"50"}
    assert len(asked) <= 8

    page.get_by_label("Outcome").select_option("People said otherwise")
    expect(page.get_by_text("667 matches like that")).to_be_visible()
    page.get_by_label("Category").select_option("odd")
    page.get_by_label("Find in prompts and answers").fill("number 77")
    expect(page.get_by_text("8 matches like that")).to_be_visible()
    grid.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    expect(page.locator(".pl-sheet-active")).to_contain_text("is quite rare")
    page.keyboard.press("Enter")
    page.wait_for_url("**/match?id=*")

    expect(page.get_by_label("Votes of people")).to_contain_text("noor: A better (saw A first)I like it.")
    expect(page.locator(".pl-verdict-order").first).to_contain_text("A was shown first")
    expect(page.get_by_text("Because it <img").first).to_be_visible()
    page.keyboard.press("d")
    expect(page.locator("mark.pl-diff").first).to_be_visible()
    heading = page.locator("#pl-title")
    before = heading.inner_text()
    page.keyboard.press("ArrowRight")
    expect(heading).not_to_have_text(before)
    third = heading.inner_text()
    page.reload()
    expect(heading).to_have_text(third)
    expect(page.locator("mark.pl-diff").first).to_be_visible()

    page.get_by_role("button", name="Read the tokens").click()
    expect(page.get_by_text("reading the tokens…")).to_be_visible()
    token_scores.work()
    tokens = page.get_by_role("application")
    expect(tokens).to_contain_text("is quite rare")
    tokens.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".pl-token-told")).to_contain_text("nats")
    page.get_by_text("As a table").click()
    expect(page.get_by_role("columnheader", name="Log-ratio (nats)")).to_be_visible()
    page.get_by_text("As a table").click()
    shoot(page, "match")
    assert page.evaluate("window.pwned") is None
    SHELF.clear()


def test_a_filter_becomes_a_task(sign_in: SignIn, evaluation: str) -> None:
    """What the filter of the results finds is made a dataset with its labels, and a task with a question; a filter that
    finds nothing says so."""
    page = sign_in()
    page.goto(f"/evaluation?id={evaluation}&outcome=differs&text=number 77")
    expect(page.get_by_text("8 matches like that")).to_be_visible()
    page.get_by_role("button", name="Make a dataset").click()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("8 new labels")).to_be_visible()
    page.get_by_role("button", name="Close", exact=True).last.click()
    page.get_by_role("button", name="Make a labelling task").click()
    page.get_by_label("Question").select_option("preference")
    shoot(page, "matches-task")
    page.get_by_role("button", name="Make the task").click()
    page.wait_for_url("**/task?id=*")
    expect(page.get_by_text("in 3 steps")).to_be_visible()

    page.goto(f"/grid?id={evaluation}&outcome=failed")
    expect(page.get_by_role("heading", name="No match is like that")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("10\u202f000 matches")).to_be_visible()
    page.goto(f"/match?id={uuid.uuid4()}")
    expect(page.get_by_text("There is no such match")).to_be_visible()
