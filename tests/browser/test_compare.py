"""Evaluating and comparing in a real browser: the arena by keyboard, blind matches, the report, votes made data."""

import os
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Page, expect

from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint, Source
from backend.datasets.models import Dataset
from backend.db import transaction
from backend.evaluations import arena as arena_service
from backend.evaluations import tokens
from backend.evaluations.models import Battle, Evaluation, Match, Verdict
from backend.evaluations.tokens import Piece
from backend.labels.models import Label
from backend.projects import service as projects
from tests.browser.conftest import SignIn
from tests.checkpoints import make_llama
from workers.answering import SHELF
from workers.tasks import arena, evaluate

pytestmark = pytest.mark.browser
NAMES = ("Base <b>bold</b>", "Tuned & true")
THIRD = "Third “of three”"
FOURTH = "Fourth, whose name is rather long"
PROMPTS = [f"Please tell me something about number {index}." for index in range(12)]
expect.set_options(timeout=45_000)
SHOTS = os.environ.get("PLUMBLINE_SHOTS")


def shoot(page: Page, name: str) -> None:
    """Keep a picture when somebody wants to look at it."""
    if SHOTS:
        page.wait_for_timeout(400)
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


@pytest.fixture(scope="session")
def contestant_folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("contestants")
    return [make_llama(root / f"c{seed}", PROMPTS, context=256, seed=seed) for seed in range(4)]


@pytest.fixture
def pair(clean: None, contestant_folders: list[Path]) -> Iterator[list[str]]:
    """Ids of two registered checkpoints, whose names are not harmless."""
    yield register(NAMES, contestant_folders)
    SHELF.clear()


@pytest.fixture
def three(pair: list[str], contestant_folders: list[Path]) -> list[str]:
    """The same and a third one."""
    return [*pair, *register([THIRD], contestant_folders[2:])]


@pytest.fixture
def four(three: list[str], contestant_folders: list[Path]) -> list[str]:
    """And a fourth one."""
    return [*three, *register([FOURTH], contestant_folders[3:])]


def register(names: Sequence[str], folders: list[Path]) -> list[str]:
    """Ids of checkpoints of these folders."""
    ids = []
    with transaction() as session:
        for name, folder in zip(names, folders, strict=False):
            row = Checkpoint(
                project_id=projects.default(session).id,
                name=name,
                source=Source.folder,
                path=str(folder),
                architecture="LlamaForCausalLM",
                parameters=1_000_000,
                max_tokens=256,
            )
            session.add(row)
            session.flush()
            ids.append(str(row.id))
    return ids


def answer_in_background() -> threading.Thread:
    """The light worker, once."""
    worker = threading.Thread(target=arena.work)
    worker.start()
    return worker


def ask(page: Page, prompt: str) -> None:
    """Type a prompt, send it with Enter, and wait until both answers are there."""
    page.get_by_role("textbox", name="Prompt", exact=True).fill(prompt)
    page.keyboard.press("Enter")
    answered(page)


def answered(page: Page) -> None:
    """The worker comes, and one is asked to vote."""
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    answer_in_background().join()
    expect(page.get_by_text(re.compile("Which answers? (is|are) better"))).to_be_visible()


def shorten(page: Page, tokens: int = 24) -> None:
    page.get_by_text("Sampling", exact=True).click()
    page.get_by_label("Longest answer", exact=True).fill(str(tokens))


def test_the_arena_by_keyboard(sign_in: SignIn, pair: list[str]) -> None:
    """Ask, read, vote by key, see the names, see the tally, send the votes on: nothing names a checkpoint before."""
    page = sign_in()
    page.goto("/compare")
    expect(page.get_by_text("Ask anything")).to_be_visible()
    shorten(page)
    ask(page, "Tell me about <script>window.pwned=1</script> tea.")
    blind = page.locator("#pl-main .pl-arena-stage").inner_text()
    assert not any(name in blind for name in NAMES)
    shoot(page, "arena-vote")

    page.keyboard.press("6")
    expect(page.get_by_text("✓ B better")).to_be_visible()
    expect(page.locator(".pl-reveal")).to_have_count(0)
    page.keyboard.press("u")
    expect(page.get_by_text("Which answer is better?")).to_be_visible()
    page.keyboard.press("2")
    expect(page.get_by_role("button", name="Show names")).to_be_visible()
    page.keyboard.press("Enter")
    for name in NAMES:
        expect(page.locator(".pl-reveal", has_text=name)).to_be_visible()
    expect(page.locator(".pl-arena-tally")).to_contain_text("n = 1")
    shoot(page, "arena-reveal")
    page.keyboard.press("n")
    expect(page.get_by_role("textbox", name="Prompt", exact=True)).to_be_focused()
    ask(page, "Another question")
    page.keyboard.press("b")
    expect(page.get_by_text("✓ Both bad")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".pl-reveal")).to_have_count(2)

    page.get_by_role("button", name="Add votes to a dataset").click()
    page.get_by_label("Name").fill("My votes")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("2 new labels")).to_be_visible()
    shoot(page, "arena-export")
    with transaction() as session:
        assert session.query(Dataset).one().name == "My votes"
        assert {label.source for label in session.query(Label)} == {"vote"}
        assert session.query(Verdict).count() == 2
    assert page.evaluate("window.pwned") is None


def focus_in(page: Page, label: str, keys: str) -> None:
    """Type into a field without the pointer."""
    page.get_by_label(label, exact=True).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type(keys)


def test_three_contestants_and_two_turns_by_keys_alone(sign_in: SignIn, three: list[str]) -> None:
    """Three answers get their places by keys, the conversation goes on blind with all of them, the best of the second
    turn is named by one key, and then the names; no pointer is needed."""
    page = sign_in()
    page.goto("/compare")
    expect(page.get_by_text("Ask anything")).to_be_visible()
    page.get_by_label("How many answers").focus()
    page.keyboard.press("ArrowDown")
    page.locator("summary", has_text="Sampling").focus()
    page.keyboard.press("Enter")
    focus_in(page, "Longest answer", "16")
    focus_in(page, "Prompt", "Tell me about tea.")
    page.keyboard.press("Enter")
    answered(page)
    expect(page.locator(".pl-pair-side")).to_have_count(3)
    for key in "2t1":
        page.keyboard.press(key)
    expect(page.locator(".pl-pair-place", has_text="1st, tied")).to_have_count(2)
    shoot(page, "arena-three")
    page.keyboard.press("Enter")
    expect(page.get_by_text("✓ A = B before C")).to_be_visible()
    shoot(page, "arena-three-voted")

    expect(page.locator(".pl-arena-tally")).to_contain_text("No votes yet")  # names there would end the blindness
    page.keyboard.press("c")
    expect(page.get_by_role("textbox", name="Next turn")).to_be_focused()
    page.keyboard.type("And about coffee?")
    page.keyboard.press("Enter")
    answered(page)
    expect(page.locator(".pl-arena-before")).to_have_count(3)
    expect(page.locator(".pl-pair-prompt")).to_contain_text("And about coffee?")
    assert not any(name in page.locator("#pl-main .pl-arena-stage").inner_text() for name in (*NAMES, THIRD))
    page.keyboard.press("3")
    expect(page.locator(".pl-pair-place", has_text="1st")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_text("✓ C is the best")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".pl-reveal")).to_have_count(3)
    tally = page.locator(".pl-arena-tally")
    expect(tally).to_contain_text("2 votes in the arena")
    expect(tally).to_contain_text("Bradley-Terry strengths from 5 comparisons on 1 first prompt")
    shoot(page, "arena-three-names")
    with transaction() as session:
        values = [battle.value for battle in session.query(Battle).order_by(Battle.turn)]
        assert values == [{"ranking": [[0, 1], [2]]}, {"best": 2}]
        assert session.query(Verdict).count() == 3 + 2


def test_a_reload_keeps_the_match(sign_in: SignIn, pair: list[str]) -> None:
    """Whoever closes the page while the answers grow finds them waiting for the vote."""
    page = sign_in()
    page.goto("/compare")
    shorten(page)
    page.get_by_role("textbox", name="Prompt", exact=True).fill("Tell me about tea.")
    page.get_by_role("button", name="Ask both").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    with transaction() as session:
        battle = arena_service.take(session)
        assert battle is not None
        ongoing = battle.id
    tokens.begin(ongoing)
    tokens.write(ongoing, [Piece(0, "written so far"), Piece(1, "and <b>here</b>")])
    expect(page.locator(".pl-pair-body").first).to_contain_text("written so far")
    page.reload()
    expect(page.locator(".pl-pair-body").first).to_contain_text("written so far")
    expect(page.locator(".pl-pair-body").last).to_contain_text("and <b>here</b>")
    page.goto("about:blank")
    with transaction() as session:
        arena_service.put_back(session, ongoing)
    answer_in_background().join()

    page.goto("/compare")

    expect(page.get_by_text("Which answer is better?")).to_be_visible()
    expect(page.locator(".pl-pair-prompt")).to_contain_text("Tell me about tea.")
    expect(page.locator(".pl-pair-body").first).not_to_contain_text("written so far")


def test_a_prompt_that_is_too_long_is_told(sign_in: SignIn, pair: list[str]) -> None:
    """Cause and remedy stand where the answers would be, and the prompt can be taken back."""
    page = sign_in()
    page.goto("/compare")
    shorten(page)
    page.get_by_role("textbox", name="Prompt", exact=True).fill("word " * 300)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    answer_in_background().join()

    expect(page.get_by_role("alert").filter(has_text="tokens")).to_contain_text("Shorten the prompt")
    shoot(page, "arena-too-long")
    page.get_by_role("button", name="Edit the prompt").click()
    expect(page.get_by_role("textbox", name="Prompt", exact=True)).not_to_be_empty()


def test_a_match_can_be_stopped(sign_in: SignIn, pair: list[str]) -> None:
    """A match that no worker has taken is stopped at once."""
    page = sign_in()
    page.goto("/compare")
    page.get_by_role("textbox", name="Prompt", exact=True).fill("Hello")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").click()

    expect(page.get_by_role("alert").filter(has_text="Stopped")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Try again").click()
    answered(page)


def test_too_few_checkpoints_say_what_to_do(sign_in: SignIn) -> None:
    """Without two checkpoints both pages lead to where they come from."""
    page = sign_in()
    page.goto("/compare")
    expect(page.get_by_text("Two checkpoints make a comparison")).to_be_visible()
    shoot(page, "arena-empty")
    page.goto("/evaluate")
    expect(page.get_by_text("No evaluations yet")).to_be_visible()
    shoot(page, "evaluate-empty")
    page.goto("/evaluate?new=1")

    expect(page.get_by_text("Two checkpoints make an evaluation")).to_be_visible()


def test_an_annotator_votes_on_a_drawn_pair(sign_in: SignIn, pair: list[str]) -> None:
    """An annotator asks and votes; chance chooses the checkpoints."""
    page = sign_in(Role.annotator)
    page.goto("/compare")
    expect(page.get_by_text("drawn by lot")).to_be_visible()
    shorten(page)
    ask(page, "Tell me about tea.")
    page.get_by_role("button", name="A is much better").click()
    page.get_by_role("button", name="Show names").click()

    expect(page.locator(".pl-reveal").first).to_be_visible()


def launch(page: Page) -> None:
    """Fill the form and start: two contestants, typed prompts, rules as the judge."""
    page.goto("/evaluate?new=1")
    for name in NAMES:
        page.get_by_label(name).check()
    if page.get_by_role("button", name="Typed here").is_visible():
        page.get_by_role("button", name="Typed here").click()
    page.get_by_label("Prompts", exact=True).fill("\n".join(PROMPTS))
    page.get_by_label("Judge", exact=True).select_option("rules")
    page.get_by_label("Most words", exact=True).fill("6")
    page.get_by_label("Longest answer", exact=True).fill("16")
    expect(page.get_by_text("24, both side orders")).to_be_visible()
    shoot(page, "evaluate-form")
    page.get_by_role("button", name="Start evaluation").click()
    expect(page.locator(".pl-badge.state")).to_have_text("queued")


def test_an_evaluation_from_form_to_dataset(sign_in: SignIn, pair: list[str]) -> None:
    """Launch, watch it end, read rate, interval and n, filter the matches, judge by hand, see both tables."""
    page = sign_in()
    launch(page)
    evaluate.work()
    expect(page.locator(".pl-badge.state")).to_have_text("succeeded", timeout=20_000)
    report = page.get_by_role("table", name="Win rates by rules")
    expect(report).to_contain_text(NAMES[1])
    expect(report).to_contain_text("12")
    expect(page.locator(".js-plotly-plot")).to_be_visible()
    shoot(page, "evaluation")
    page.get_by_label("Outcome").select_option("undecided")
    expect(page.get_by_text("No match is like that.")).to_be_visible()
    page.get_by_role("link", name="Judge these matches").click()
    expect(page.locator(".pl-pair-body").first).not_to_be_empty()
    shoot(page, "judge")
    for key in "1746b":
        before = page.locator(".pl-pair-prompt").inner_text()
        page.keyboard.press(key)
        expect(page.locator(".pl-pair-prompt")).not_to_have_text(before)
    page.keyboard.press("u")
    expect(page.locator(".pl-judge-numbers")).to_contain_text("4 of 12")
    page.get_by_role("button", name="Results").click()
    expect(page.get_by_role("heading", name="Judged by people")).to_be_visible()
    shoot(page, "evaluation-people")
    page.get_by_role("button", name="Make a dataset").click()
    page.get_by_role("button", name="Add", exact=True).click()

    expect(page.get_by_text("4 new labels")).to_be_visible()
    with transaction() as session:
        assert session.query(Verdict).where(Verdict.source == "person").count() == 4


def test_cards_of_an_evaluation_are_blind(sign_in: SignIn, pair: list[str]) -> None:
    """Nothing on the judging page names a contestant, also for an annotator who may not see results."""
    with transaction() as session:
        project = projects.default(session)
        evaluation = Evaluation(
            project_id=project.id,
            name="By hand",
            contestants=pair,
            prompts={"texts": 1, "count": 1},
            judge={"name": "people"},
            sampling={},
            seed=0,
            state="succeeded",
        )
        session.add(evaluation)
        session.flush()
        texts: list[dict[str, Any]] = [{"content": text, "tokens": 1, "ended": True} for text in ("one", "two")]
        session.add(
            Match(
                project_id=project.id,
                evaluation_id=evaluation.id,
                prompt=[{"role": "user", "content": "Hello"}],
                prompt_hash=uuid.uuid4().hex,
                checkpoint_a=uuid.UUID(pair[0]),
                checkpoint_b=uuid.UUID(pair[1]),
                response_a=texts[0],
                response_b=texts[1],
                sampling={},
                seed=0,
                state="succeeded",
            )
        )
        address = f"/compare?evaluation={evaluation.id}"
    page = sign_in(Role.annotator)
    page.goto(address)
    expect(page.locator(".pl-pair-body").first).not_to_be_empty()
    assert not any(name in page.content() for name in (*NAMES, *pair))
    expect(page.get_by_role("button", name="Results")).to_have_count(0)
    page.keyboard.press("ArrowRight")

    expect(page.get_by_text("All judged")).to_be_visible()
    given = page.locator(".pl-judge-last")
    expect(given.get_by_role("button", name="Undo")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(given.get_by_role("button", name="Undo")).to_be_hidden()
    expect(given.locator("strong")).to_be_visible()
    shoot(page, "phone-match-judged")


def fits_in_both_themes(page: Page, name: str) -> None:
    """Nothing is wider than the window."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function("(scheme) => document.documentElement.dataset.theme === scheme", arg=scheme)
        shoot(page, f"{name}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 1


def test_a_phone_shows_everything(sign_in: SignIn, four: list[str]) -> None:
    """Four answers, their names and an evaluation: at phone width nothing is wider than the window, in both themes."""
    page = sign_in(viewport={"width": 390, "height": 844})
    page.goto("/compare")
    page.get_by_label("How many answers").select_option("4")
    shorten(page)
    ask(page, "Tell me about tea.")
    expect(page.locator(".pl-pair-side")).to_have_count(4)
    fits_in_both_themes(page, "phone-arena")
    page.get_by_role("button", name="B, not placed").click()
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("button", name="Show names").click()
    expect(page.locator(".pl-reveal")).to_have_count(4)
    fits_in_both_themes(page, "phone-arena-names")
    launch(page)
    evaluate.work()
    expect(page.locator(".pl-badge.state")).to_have_text("succeeded", timeout=20_000)
    expect(page.locator(".js-plotly-plot")).to_be_visible()
    fits_in_both_themes(page, "phone-evaluation")
