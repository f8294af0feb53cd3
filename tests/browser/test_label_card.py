"""What a card shows, in a real browser: everything readable, equal on both sides, blind, and keys of one's own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from backend.accounts.models import Role
from tests.browser.conftest import SignIn
from tests.browser.labelling import add_items, add_task, labels, numbered, open_card, prompt, wait_for_labels

pytestmark = pytest.mark.browser

CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
WEATHER = [
    {"type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": "Zürich", "days": 3})}}
]
FORMULAS = (
    r"So $E = mc^2$ and \(\frac{a}{b}\) cost $5 and $10, $f'$ is no power."
    r" $$\begin{aligned} x &= 1 \\ &= \boxed{2} \end{aligned}$$"
)
CODE = '```python\n# <b>five</b> times\nreturn "<img src=x>" * 5\n```'
LONG = "One of many words that fill a line and then the next one. "


def test_everything_is_readable(sign_in: SignIn) -> None:
    """Turns before the last unfold, calls of tools are names and arguments, formulas are drawn, prices are not, and
    code is colored, letter by letter as it was written."""
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": WEATHER},
        {"role": "tool", "content": '{"sky": "clear"}'},
        {"role": "user", "content": "And now?"},
    ]
    page = sign_in(Role.annotator)
    open_card(page, add_items([(turns, {"content": CODE, "tool_calls": WEATHER}, FORMULAS)]))
    page.keyboard.press("p")
    call = page.locator(".pl-pair-prompt").get_by_role("region", name="Call of weather")
    expect(call.locator("dt")).to_have_text(["city", "days"])
    expect(call.locator("dd")).to_have_text(["Zürich", "3"])
    response = page.locator(".pl-pair-body").filter(has_text="cost $5 and $10,")
    expect(response.locator("math")).to_have_count(4)
    expect(response.locator("math msup")).to_have_count(1)
    expect(response.locator("math[display=block] mtr")).to_have_count(2)
    expect(page.locator(".pl-pair-side").filter(has_text="Calls weather")).to_have_count(1)
    code = page.locator(".pl-pair-body pre code")
    assert code.text_content() == '# <b>five</b> times\nreturn "<img src=x>" * 5\n'
    for kind, text in (
        ("comment", "# <b>five</b> times"),
        ("word", "return"),
        ("string", '"<img src=x>"'),
        ("number", "5"),
    ):
        expect(code.locator(f".pl-code-{kind}")).to_have_text(text)
    page.keyboard.press("d")
    expect(code).to_have_text(code.text_content() or "")
    assert page.evaluate(CONTRAST) == []


def test_both_sides_alike(sign_in: SignIn) -> None:
    """Reasoning opens on both sides at once, long sides scroll together, lengths are told only after the vote."""
    page = sign_in(Role.annotator, viewport={"width": 1280, "height": 700})
    thought = {"content": f"<think>Hm.</think>{LONG * 60}", "reasoning": "First I thought."}
    open_card(
        page, add_items([("Why?", thought, {"content": f"<think>Well.</think>{LONG * 90}"}), ("Next?", "a", "b")])
    )
    expect(page.get_by_text("words")).to_have_count(2)  # those of the responses themselves
    expect(page.locator(".pl-lengths")).to_have_count(0)
    page.locator(".pl-reasoning summary").first.click()
    expect(page.locator(".pl-reasoning[open]")).to_have_count(2)
    page.keyboard.press("w")
    expect(page.locator(".pl-reasoning[open]")).to_have_count(0)
    page.locator(".pl-pair-body").first.evaluate("(body) => { body.scrollTop = body.scrollHeight; }")
    ends = "(body) => body.scrollHeight - body.clientHeight - body.scrollTop"
    for _ in range(100):
        if page.locator(".pl-pair-body").last.evaluate(ends) < 2:
            break
        page.wait_for_timeout(20)
    assert page.locator(".pl-pair-body").last.evaluate(ends) < 2
    page.keyboard.press("4")
    prompt(page, "Next?")
    expect(page.locator(".pl-lengths")).to_contain_text("words")


def test_lengths_wait_for_the_vote_and_text_fields_take_the_keys(sign_in: SignIn) -> None:
    """Every key that acts on the card writes while somebody writes why; nowhere is it told how long a response is,
    until the answer is given."""
    page = sign_in(Role.annotator)
    open_card(page, add_items([("Which?", "One two three.", "Four five."), ("Next?", "a", "b")]))
    expect(page.get_by_role("button", name="Tie")).to_be_visible()
    page.keyboard.press("r")
    field = page.locator("textarea:focus")
    keys = "1234567tbsuredwpxg?"
    page.keyboard.type(keys)
    expect(field).to_have_value(keys)
    for name in ("ArrowLeft", "ArrowRight", "ArrowDown"):
        page.keyboard.press(name)
    prompt(page, "Which?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert labels() == []
    assert not re.search(r"\b\d+ (words|characters|tokens)\b", page.locator("body").inner_text())
    page.keyboard.press("Enter")
    page.keyboard.press("t")
    prompt(page, "Next?")
    expect(page.locator(".pl-lengths")).to_contain_text("words")
    ((_, label),) = wait_for_labels(page, 1)
    assert (label.value, label.rationale) == ({"strength": 0}, keys)


def test_differences_keep_what_is_set(sign_in: SignIn) -> None:
    """Words and formulas that differ are marked where they stand, within bold text and code; a second press unmarks."""
    page = sign_in(Role.annotator)
    one, two = (
        "The **old** mill, `run(1)` and $x^2$.\n\n- first\n- last",
        "The **new** mill, `run(2)` and $x^3$.\n\n- first\n- last",
    )
    open_card(page, add_items([("Which?", one, two)]))
    page.keyboard.press("d")
    expect(page.locator(".pl-pair-body mark")).to_have_count(4)
    assert sorted(page.locator(".pl-pair-body strong mark").all_inner_texts()) == ["new", "old"]
    assert sorted(page.locator(".pl-pair-body code mark").all_inner_texts()) == ["1", "2"]
    expect(page.locator(".pl-pair-body math.pl-diff")).to_have_count(2)
    page.keyboard.press("d")
    expect(page.locator(".pl-pair-body mark")).to_have_count(0)


def change(page: Page, action: str, key: str) -> None:
    page.get_by_role("button", name=f"Change the key for {action}", exact=True).click()
    page.keyboard.press(key)


def test_keys_of_ones_own(sign_in: SignIn) -> None:
    """A changed key works at once and after a reload, a conflict is told and solved, a reset undoes it."""
    page = sign_in(Role.annotator)
    open_card(page, numbered(6))
    page.keyboard.press("?")
    change(page, "Both bad", "Tab")
    expect(page.get_by_role("dialog")).to_contain_text("Choose another key")
    change(page, "Both bad", "u")
    expect(page.get_by_role("dialog")).to_contain_text("That was the key of “Undo the last answer”, which is B now.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Both bad")).to_contain_text("U")
    page.reload()
    prompt(page, "Question 0")
    page.keyboard.press("u")
    prompt(page, "Question 1")
    ((_, label),) = wait_for_labels(page, 1)
    assert label.value == {"both_bad": True}
    page.keyboard.press("b")
    prompt(page, "Question 0")
    page.keyboard.press("?")
    page.get_by_role("button", name="Reset all keys").click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    prompt(page, "Question 1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_and_names(sign_in: SignIn, scheme: str) -> None:
    """A card with all there is to ask keeps its contrast, and every control has a name, on a phone too."""
    aspects = [{"name": "help", "title": "Helpfulness"}]
    task = add_task(numbered(2), {"aspects": aspects, "edits": True, "rationale": "required"}, guidelines="Be fair.")
    page = sign_in(Role.annotator, color_scheme=scheme, viewport={"width": 390, "height": 800})
    open_card(page, task=task)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    for key in ("3", "4", "2"):
        page.keyboard.press(key)
    expect(page.get_by_role("textbox", name="Rationale")).to_be_focused()
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    unnamed = "[...document.querySelectorAll('.pl-judge :is(button, input, textarea, [role=group], [role=region])')]"
    assert page.evaluate(f"{unnamed}.filter((one) => !(one.ariaLabel || one.textContent.trim())).length") == 0


def test_hostile_words_of_a_task(sign_in: SignIn) -> None:
    """Whatever whoever made the task wrote as its name, guidelines and aspects stays text, and so does an edit."""
    evil = "<img src=/nowhere onerror='window.pwned = 1'>"
    question = {"edits": True, "aspects": [{"name": "help", "title": evil}]}
    task = add_task(numbered(2), question, name=evil, guidelines=f"{evil} [x](javascript:window.pwned=2) $x^2$")
    page = sign_in(Role.annotator)
    open_card(page, task=task)
    guidelines = page.get_by_role("dialog", name="Guidelines")
    expect(guidelines).to_contain_text(evil)
    expect(guidelines.locator("math")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"Label “{evil}”")).to_be_visible()
    expect(page.locator(".pl-aspect-title")).to_have_text(evil)
    page.keyboard.press("e")
    page.keyboard.press("a")
    page.keyboard.type(evil)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Your edit of A is sent with your answer.")).to_be_visible()
    assert page.locator(".pl-judge, dialog").locator("img, script").count() == 0
    assert page.evaluate("window.pwned") is None
