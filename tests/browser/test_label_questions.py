"""Every kind of question in a real browser: by keys and by pointer, in the item's order, nothing half answered."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import select, update

from backend.accounts.models import Role
from backend.datasets.models import Item, Kind
from backend.db import transaction
from backend.suggestions.models import Suggestion
from backend.tasks.models import Task
from backend.work import now
from tests.browser.conftest import SignIn
from tests.browser.labelling import add_task, numbered, open_card, prompt, shown, wait_for_labels

pytestmark = pytest.mark.browser

ASPECTS = [
    {"name": "help", "title": "Helpfulness", "low": 1, "high": 5},
    {"name": "truth", "title": "Correctness", "low": 0, "high": 3},
    {"name": "warmth", "title": "Warmth", "low": -50, "high": 50},
]


def test_preference_with_a_reason(sign_in: SignIn) -> None:
    """Three steps; where a rationale is needed the choice waits for it, and what is typed there judges nothing."""
    task = add_task(numbered(2), {"scale": "preference", "both_bad": False, "rationale": "required"})
    page = sign_in(Role.annotator)
    open_card(page, task=task)
    expect(page.get_by_role("button", name="Both bad")).to_have_count(0)
    first = shown(page)[0] == "First"
    page.keyboard.press("3")
    expect(page.get_by_role("textbox", name="Rationale")).to_be_focused()
    expect(page.get_by_role("article", name="Response B")).to_have_class("pl-pair-side chosen")
    page.keyboard.press("Enter")  # still nothing said
    page.keyboard.press("3")
    page.keyboard.type("12 B is right, t1")
    page.keyboard.press("Enter")
    prompt(page, "Question 1")

    ((_, label),) = wait_for_labels(page, 1)
    assert (label.value, label.rationale) == ({"strength": -1 if first else 1}, "12 B is right, t1")


def test_ratings_by_keys(sign_in: SignIn) -> None:
    """Digits rate field after field and judge only then, in a wide range they write a number; Backspace goes back;
    nothing is sent before all is rated."""
    page = sign_in(Role.annotator)
    open_card(page, task=add_task(numbered(2), {"aspects": ASPECTS, "rationale": "off"}))
    first = shown(page)[0] == "First"
    page.keyboard.press("ArrowLeft")  # judges nothing yet
    expect(page.get_by_text("Rate every response first.").last).to_be_visible()
    for key in ("5", "9", "4", "1", "Backspace", "3", "0"):  # 9 is none of the numbers
        page.keyboard.press(key)
    expect(page.locator(".pl-rating[aria-pressed=true]")).to_have_text(["5", "4", "3", "0"])
    page.get_by_role("group", name="Helpfulness of B").get_by_role("button", name="2").click()
    for key in ("-", "3", "0", "Enter", "7", "0", "Enter", "Backspace", "Enter"):  # 70 is too warm
        page.keyboard.press(key)
    page.keyboard.press("1")
    prompt(page, "Question 1")

    ((_, label),) = wait_for_labels(page, 1)
    expected = {"help": [5, 2], "truth": [3, 0], "warmth": [-30, 7]}
    assert label.aspects == (expected if first else {name: numbers[::-1] for name, numbers in expected.items()})
    assert label.value == {"strength": 3 if first else -3}


def test_ranking_by_keys_and_by_drag(sign_in: SignIn) -> None:
    """Responses are placed in the order of their keys, tied by `t`, moved by drag; the last one is last by itself."""
    page = sign_in(Role.annotator)
    open_card(page, task=add_task(numbered(3, Kind.ranked, 4), {"kind": "ranking"}))
    names = ["First", "Second", "Third", "Fourth"]
    order = [names.index(name) for name in shown(page)]
    page.keyboard.press("Enter")
    expect(page.get_by_text("Give every response a place first.").last).to_be_visible()
    for key in ("3", "1", "t", "4", "Enter"):
        page.keyboard.press(key)
    prompt(page, "Question 1")
    ((_, label),) = wait_for_labels(page, 1)
    assert label.value == {"ranking": [[order[2]], sorted((order[0], order[3])), [order[1]]]}

    order = [names.index(name) for name in shown(page)]
    chip = [page.locator(f".pl-rank-chip[data-one='{one}']") for one in range(4)]
    page.keyboard.press("1")
    page.keyboard.press("2")
    chip[3].drag_to(page.locator("[data-drop='gap:0']"))
    expect(page.get_by_role("article", name="Response D")).to_contain_text("1st")
    chip[2].drag_to(chip[1])
    expect(page.get_by_role("article", name="Response C")).to_contain_text("3rd, tied")
    chip[0].focus()
    page.keyboard.press("ArrowLeft")  # into the place before
    expect(page.get_by_role("article", name="Response A")).to_contain_text("1st, tied")
    page.keyboard.press("Enter")
    prompt(page, "Question 2")
    _, (_, label) = wait_for_labels(page, 2)
    assert label.value == {"ranking": [sorted((order[0], order[3])), sorted((order[1], order[2]))]}


def test_thumbs(sign_in: SignIn) -> None:
    """One response fills the card; good or not is one key, and undo brings it back with its mark."""
    page = sign_in(Role.annotator)
    open_card(page, task=add_task(numbered(2, Kind.unpaired, 1), {"kind": "thumb"}))
    page.keyboard.press("2")
    prompt(page, "Question 1")
    wait_for_labels(page, 1)
    page.keyboard.press("u")
    prompt(page, "Question 0")
    expect(page.get_by_role("article", name="Response")).to_have_class("pl-pair-side rejected")
    page.keyboard.press("1")
    page.keyboard.press("1")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()

    found = wait_for_labels(page, 4)
    assert [label.value for _, label in found] == [
        {"thumb": False},
        {"retracted": True},
        {"thumb": True},
        {"thumb": True},
    ]


def test_guidelines_at_the_first_visit(sign_in: SignIn) -> None:
    """They are shown once, rendered; `g` opens them again, and a change shows them anew."""
    task = add_task(numbered(2), {}, guidelines="# Be fair\n\nPrefer **true** answers.")
    page = sign_in(Role.annotator)
    open_card(page, task=task)
    guidelines = page.get_by_role("dialog", name="Guidelines")
    expect(guidelines.locator("strong")).to_have_text("true")
    page.keyboard.press("1")  # judges nothing behind them
    page.keyboard.press("Enter")
    expect(guidelines).to_have_count(0)
    prompt(page, "Question 0")
    page.keyboard.press("g")
    expect(guidelines).to_be_visible()
    page.reload()
    prompt(page, "Question 0")
    expect(guidelines).to_have_count(0)
    with transaction() as session:
        session.execute(update(Task).values(guidelines="Be fairer."))
    page.reload()
    expect(guidelines).to_contain_text("Be fairer.")


def test_a_task_that_ends(sign_in: SignIn) -> None:
    """Who is at the page when a task ends keeps what they said and is told why there is no more."""
    task = add_task(numbered(12), {}, name="Until tonight")
    page = sign_in(Role.annotator)
    open_card(page, task=task)
    with transaction() as session:
        session.execute(update(Task).values(deadline=now()))
    page.keyboard.press("1")
    wait_for_labels(page, 1)
    page.reload()
    expect(page.get_by_role("heading", name="Deadline passed")).to_be_visible()
    expect(page.get_by_text("what you labelled before is kept")).to_be_visible()
    with transaction() as session:
        session.execute(update(Task).values(deadline=None, closed_at=now()))
    page.reload()
    expect(page.get_by_role("heading", name="Task closed")).to_be_visible()


def test_tasks_to_choose_from(sign_in: SignIn) -> None:
    """Open tasks are listed with what they ask, how far they are and until when; closed and others' ones are not."""
    dataset = numbered(3)
    add_task(
        dataset, {"kind": "ranking"}, name="Rank them", overlap=2, deadline=(now() + timedelta(days=2)).isoformat()
    )
    closed = add_task(numbered(1, name="Others"), {}, name="Closed")
    with transaction() as session:
        session.execute(update(Task).where(Task.id == closed).values(closed_at=now()))
    numbered(1, Kind.unpaired, 1, name="Thumbs")
    page = sign_in(Role.annotator)
    page.goto("/label")
    card = page.locator(".pl-judge-dataset").filter(has_text="Rank them")
    expect(page.locator(".pl-judge-dataset").filter(has_text="Thumbs")).to_contain_text("1 item left for you")
    expect(page.get_by_text("Others")).to_have_count(0)
    expect(card).to_contain_text("Pairs: rank the responses · 2 labels each")
    expect(card).to_contain_text("0 of 3 labelled by people · 3 items left for you · until")
    expect(page.get_by_text("Closed")).to_have_count(0)
    card.get_by_role("link", name="Label").click()
    prompt(page, "Question 0")
    expect(page).to_have_title("Label “Rank them” · Plumbline")


def test_a_suggestion_is_marked(sign_in: SignIn) -> None:
    """What a machine would say is told as such, in the order shown, and one key takes it; its prompt's others count."""
    task = add_task(numbered(2), {}, assistance={"suggest": True, "group_prompts": True})
    with transaction() as session:
        for item in session.scalars(select(Item).where(Item.position == 0)):
            by = {"words": "reward model rm-1"}
            row = Suggestion(
                project_id=item.project_id, task_id=task, item_id=item.id, by=by, value={"strength": 2}, margin=1
            )
            session.add(row)
    page = sign_in(Role.annotator)
    open_card(page, task=task)
    better = "A" if shown(page)[0] == "First" else "B"
    expect(page.locator(".pl-judge-suggestion")).to_contain_text(f"{better} better")
    expect(page.locator(".pl-judge-suggestion")).to_contain_text("by reward model rm-1")
    expect(page.get_by_role("button", name=f"{better} is better (suggested)")).to_be_visible()
    expect(page.get_by_text("1 of 1 with this prompt")).to_be_visible()
    page.keyboard.press("Enter")
    prompt(page, "Question 1")
    expect(page.locator(".pl-judge-suggestion")).to_have_count(0)

    ((_, label),) = wait_for_labels(page, 1)
    assert label.value == {"strength": 2}
    assert label.aided is not None
