"""Labelling in a real browser: by keyboard alone, blind, undoable, harmless whatever the text, nothing lost."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from playwright.sync_api import Route, expect
from sqlalchemy import func, select, update

from backend.accounts.models import Role
from backend.datasets.models import Item
from backend.db import transaction
from backend.labels.models import Lease
from tests.browser.conftest import SignIn, intercept
from tests.browser.labelling import add_items, add_task, labels, numbered, open_card, prompt, shown, wait_for_labels
from tests.people import add_person

pytestmark = pytest.mark.browser
FIVE, AT_HAND = 5, 5  # people; cards that a browser holds

HOSTILE = [
    "<script>window.pwned = 1</script>",
    '<img src="/nowhere" onerror="window.pwned = 2">',
    "![picture](http://elsewhere.example/x.png)",
    "[link](javascript:window.pwned=3)",
    "<svg onload='window.pwned = 4'><style>*{display:none}</style>",
    "{{constructor.constructor('window.pwned = 5')()}} ${window.pwned = 6}",
    "</div></article><iframe srcdoc='<script>parent.pwned = 7</script>'></iframe>",
    "\u202egnorw eht yaw\u202c <base href='//elsewhere.example'>",
    "$\\href{javascript:window.pwned=8}{x}$ $\\constructor_{\\__proto__}$",
    "$$\\text{<img src=/nowhere onerror=window.pwned=9>}$$",
    "$" + "{" * 900 + "x" + "}" * 900 + "$ $" + "\\sqrt" * 390 + "x$ $}$ $\\end{x}$ $\\begin{cases}a&b$",
]

SPOIL_SECOND = """() => {
  const names = Object.keys(localStorage).filter((key) => key.startsWith("pl-answer"));
  const made = (name) => JSON.parse(localStorage.getItem(name)).made;
  const name = names.sort((one, other) => made(one) - made(other))[1];
  const answer = JSON.parse(localStorage.getItem(name));
  localStorage.setItem(name, JSON.stringify({ ...answer, value: { strength: 9 } }));
}"""


def test_twenty_pairs_without_the_mouse(sign_in: SignIn) -> None:
    """Every key judges as it says; answers are stored in the item's order with the side order, whichever it was."""
    ways: list[tuple[str, dict[str, Any]]] = [
        *((str(place + 1), {"strength": 3 - place}) for place in range(7)),
        ("ArrowLeft", {"strength": 2}),
        ("ArrowRight", {"strength": -2}),
        ("ArrowDown", {"strength": 0}),
        ("t", {"strength": 0}),
        ("b", {"both_bad": True}),
    ]
    keys = [ways[place % len(ways)] for place in range(20)]
    page = sign_in(Role.annotator)
    open_card(page, numbered(len(keys)))
    page.evaluate(
        "for (const name of ['pointerdown', 'mousemove']) addEventListener(name, () => { window.moused = true; })"
    )
    orders = []
    for place, (key, _) in enumerate(keys):
        prompt(page, f"Question {place}")
        orders.append(shown(page)[0] == "First")
        page.keyboard.press(key)
        wait_for_labels(page, place + 1)  # answers that overtake each other may change the order of the pairs
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()

    assert page.evaluate("window.moused") is None
    assert set(orders) == {True, False}
    for (position, label), (_, said), first in zip(wait_for_labels(page, len(keys)), keys, orders, strict=True):
        turned = {"strength": -said["strength"]} if "strength" in said and not first else said
        assert (label.value, label.swapped) == (turned, not first), position
        assert label.seconds is not None
        assert label.client_id is not None


def test_undo(sign_in: SignIn) -> None:
    """`u` brings the last pair back with its choice ticked, also after a reload; the new answer is a new version."""
    page = sign_in(Role.annotator)
    open_card(page, numbered(3))
    page.keyboard.press("1")
    prompt(page, "Question 1")
    wait_for_labels(page, 1)
    page.keyboard.press("u")
    prompt(page, "Question 0")
    expect(page.get_by_role("article", name="Response A")).to_have_class("pl-pair-side chosen")
    expect(page.get_by_role("article", name="Response B")).to_have_class("pl-pair-side")

    page.keyboard.press("7")
    prompt(page, "Question 1")
    wait_for_labels(page, 3)
    page.reload()
    prompt(page, "Question 1")
    page.keyboard.press("u")
    prompt(page, "Question 0")
    found = wait_for_labels(page, 4)
    assert [(position, label.version, "retracted" in label.value) for position, label in found] == [
        (0, 1, False),
        (0, 2, True),
        (0, 3, False),
        (0, 4, True),
    ]


def test_skip_with_a_reason(sign_in: SignIn) -> None:
    """A digit chooses a reason, Enter none, another one is typed and its keys judge nothing; Escape goes back."""
    page = sign_in(Role.annotator)
    open_card(page, numbered(3))
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    prompt(page, "Question 0")
    page.keyboard.press("s")
    page.keyboard.press("3")
    prompt(page, "Question 1")
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    prompt(page, "Question 2")
    page.keyboard.press("s")
    page.keyboard.press("o")
    page.keyboard.type("1 both say the same")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()

    said = [label.value["skip"] for _, label in wait_for_labels(page, 3)]
    assert said == ["A response is broken", "", "1 both say the same"]


def test_hostile_text(sign_in: SignIn) -> None:
    """Nothing in a prompt or response runs, loads anything or leaves its place, marked differences included."""
    page = sign_in(Role.annotator)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_card(page, add_items([(text, f"First {text}", f"Second {text}") for text in HOSTILE], HOSTILE[1]))
    for place in range(len(HOSTILE)):
        if place == len(HOSTILE) // 2:
            page.keyboard.press("d")
        expect(page.locator(".pl-pair-side")).to_have_count(2)
        assert page.locator(".pl-pair").locator("img, script, iframe, svg, style, base, form").count() == 0
        assert page.locator(".pl-pair [href^='javascript']").count() == 0
        seen = page.locator(".pl-pair").inner_text()
        assert "First" in seen
        page.keyboard.press("4")
        if place + 1 < len(HOSTILE):  # a hand faster than the server may outrun the pairs at hand
            expect(page.locator(".pl-pair")).not_to_have_text(seen, use_inner_text=True)
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()

    assert page.evaluate("window.pwned") is None
    assert [url for url in asked if "elsewhere.example" in url or "/nowhere" in url] == []


def test_connection_lost_and_reload(sign_in: SignIn) -> None:
    """Answers given without a connection are kept through a reload and stored once, in order; one among them that the
    server refuses holds up none of the later ones."""
    page = sign_in(Role.annotator)
    open_card(page, numbered(7))

    def cut(route: Route) -> None:
        route.abort("connectionfailed")

    intercept(page, "**/api/v1/**", cut)
    for place in range(4):
        prompt(page, f"Question {place}")
        page.keyboard.press("2")
    expect(page.get_by_text("4 answers wait for the connection")).to_be_visible()
    assert labels() == []

    page.evaluate(SPOIL_SECOND)
    page.unroute("**/api/v1/**", cut)
    page.reload()
    prompt(page, "Question 4")
    found = wait_for_labels(page, 3)
    assert [position for position, _ in found] == [0, 2, 3]
    expect(page.get_by_text("One answer could not be saved")).to_be_visible()
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('pl-answer')).length") == 0


def test_a_clock_that_is_set_right(sign_in: SignIn) -> None:
    """Whose clock is years ahead, and is set back while answers wait, has them stored in their order, with the
    server's time and the seconds that they took."""
    page = sign_in(Role.annotator, alone=True)
    page.clock.install(time=datetime.now(UTC) + timedelta(days=900))
    open_card(page, numbered(3))
    intercept(page, "**/items/*/labels", lambda route: route.abort("connectionfailed"))
    page.keyboard.press("1")
    prompt(page, "Question 1")
    page.clock.set_system_time(datetime.now(UTC) - timedelta(days=900))
    page.keyboard.press("1")
    expect(page.get_by_text("2 answers wait for the connection")).to_be_visible()
    page.unroute("**/items/*/labels")
    page.reload()

    found = wait_for_labels(page, 2)
    assert [position for position, _ in found] == [0, 1]
    for _, label in found:
        assert abs(datetime.now(UTC) - label.created_at) < timedelta(minutes=10)
        assert 0 <= (label.seconds or 0) < 600
    expect(page.locator(".pl-judge-numbers")).to_contain_text("2 today")


def test_connection_comes_back(sign_in: SignIn) -> None:
    """When the server answers again, what waited is sent by itself and the page goes on."""
    page = sign_in(Role.annotator)
    open_card(page, numbered(3))
    page.context.set_offline(True)
    page.keyboard.press("1")
    page.keyboard.press("1")
    expect(page.get_by_text("2 answers wait for the connection")).to_be_visible()
    page.context.set_offline(False)

    wait_for_labels(page, 2)
    expect(page.get_by_text("wait for the connection")).to_be_hidden()
    expect(page.locator(".pl-judge-numbers")).to_contain_text("2 of 3 labelled")


def test_a_server_that_fails(sign_in: SignIn) -> None:
    """While the server cannot save answers they are kept, also over a reload, and after a few attempts the person is
    told; "Try now" sends them all, and keeps the keyboard's place while that fails."""
    page = sign_in(Role.annotator)
    open_card(page, numbered(3))
    intercept(page, "**/items/*/labels", lambda route: route.fulfill(status=500, json={"title": "Unexpected error"}))
    page.keyboard.press("1")
    page.keyboard.press("1")
    told = page.get_by_text("The server fails to save answers just now: 2 answers wait.")
    expect(told).to_be_visible()
    page.reload()
    expect(told).to_be_visible()
    again = page.get_by_role("button", name="Try now")
    again.focus()
    with page.expect_response("**/items/*/labels"):
        page.keyboard.press("Enter")
    expect(again).to_be_focused()
    page.unroute("**/items/*/labels")
    page.keyboard.press("Enter")
    wait_for_labels(page, 2)
    expect(told).to_be_hidden()


def test_refused_answer_is_told(sign_in: SignIn) -> None:
    """An answer that the server will never take, as its pair is gone or the lease is somebody else's, is not dropped in
    silence, and the page goes on."""
    page = sign_in(Role.annotator)
    open_card(page, numbered(3))
    with transaction() as session:
        session.delete(session.scalars(select(Item).where(Item.position == 0)).one())
        second = select(Item.id).where(Item.position == 1)
        theirs = add_person(session, Role.annotator).id
        session.execute(update(Lease).where(Lease.item_id.in_(second)).values(annotator_id=theirs))
    page.keyboard.press("1")
    expect(page.get_by_text("One answer could not be saved")).to_be_visible()
    prompt(page, "Question 1")
    page.keyboard.press("1")
    expect(
        page.get_by_text("This was handed to somebody else. Sign in as whoever asked for this card.")
    ).to_be_visible()
    prompt(page, "Question 2")
    assert labels() == []
    page.reload()
    for left in (1, 0):
        page.get_by_role("button", name="Dismiss").first.click()
        expect(page.get_by_role("button", name="Dismiss")).to_have_count(left)


def test_two_people(sign_in: SignIn) -> None:
    """Two people never hold the same pair; who finds the rest in other hands is told so."""
    dataset = numbered(5)
    one, two = sign_in(Role.annotator, "one"), sign_in(Role.annotator, "two")
    open_card(one, dataset)
    two.goto(f"/label?dataset={dataset}")
    expect(two.get_by_role("heading", name="Others hold the rest")).to_be_visible()

    for place in range(4):
        prompt(one, f"Question {place}")
        one.keyboard.press("3")
    wait_for_labels(one, 4)
    one.goto("/label")  # leaving gives the last pair back
    prompt(two, "Question 4")


def test_five_browsers_at_once(sign_in: SignIn) -> None:
    """Five people who label one task at the same time never see the same pair, and each pair gets one label."""
    task = add_task(numbered(FIVE * (AT_HAND + 1)), {})
    pages = [sign_in(Role.annotator, f"person-{place}") for place in range(FIVE)]
    for page in pages:
        open_card(page, task=task)
    seen: list[str] = []
    for key in "36":
        on_screen = [page.locator(".pl-pair-prompt .pl-turn").last.inner_text() for page in pages]
        seen += on_screen
        for page in pages:
            page.keyboard.press(key)
        for page, text in zip(pages, on_screen, strict=True):
            expect(page.locator(".pl-pair-prompt .pl-turn").last).not_to_have_text(text)
    assert len(set(seen)) == len(seen) == 2 * FIVE
    found = wait_for_labels(pages[0], 2 * FIVE)
    assert len({position for position, _ in found}) == len({label.client_id for _, label in found}) == 2 * FIVE
    with transaction() as session:
        twice = select(Lease.item_id).where(Lease.expires_at > func.now())
        twice = twice.group_by(Lease.item_id).having(func.count() > 1)
        assert session.scalars(twice).all() == []


def test_lease_lost_while_away(sign_in: SignIn) -> None:
    """Whose lease ran out while they were away, and went to somebody else, is told and gets the next pair."""
    dataset = numbered(9)
    one, two = sign_in(Role.annotator, "one", alone=True), sign_in(Role.annotator, "two")
    one.clock.install()
    open_card(one, dataset)
    with transaction() as session:
        session.execute(update(Lease).values(expires_at=func.now() - timedelta(seconds=1)))
    open_card(two, dataset)
    prompt(two, "Question 0")

    one.clock.fast_forward("05:00")
    prompt(one, "Question 5")
    expect(one.get_by_text("That one went to somebody else")).to_have_count(1)  # told once, though all five were lost
    one.keyboard.press("1")
    assert [position for position, _ in wait_for_labels(one, 1)] == [5]


def test_choosing_a_dataset(sign_in: SignIn) -> None:
    """Without a dataset the page lists them with what is left; without any it says what to do."""
    page = sign_in(Role.annotator)
    page.goto("/label")
    expect(page.get_by_role("heading", name="Nothing to label yet")).to_be_visible()
    numbered(1)
    page.reload()
    expect(page.get_by_text("0 of 1 labelled by people · 1 item left for you")).to_be_visible()
    page.get_by_role("link", name="Label", exact=True).last.click()
    prompt(page, "Question 0")
    page.keyboard.press("4")
    expect(page.get_by_role("link", name="Label something else")).to_be_visible()
    expect(page.get_by_role("link", name="Train on this")).to_have_count(0)

    page.goto(f"/label?dataset={uuid.uuid4()}")
    expect(page.get_by_role("alert")).to_contain_text("There is no such dataset")


LOOKS: tuple[tuple[int, Literal["light", "dark"]], ...] = (
    (390, "light"),
    (820, "dark"),
    (1280, "light"),
    (390, "dark"),
)


def test_fits(sign_in: SignIn) -> None:
    """At every width nothing is cut off sideways, both sides are equally wide and the whole scale is in reach."""
    text = "A sentence that is long enough to wrap, `with_code_that_is_one_very_long_word_" + "x" * 120 + "`. "
    dataset = add_items([("Long question? " * 20, text * 30, text * 20)], "A dataset with a name " * 6)
    page = sign_in(Role.researcher)
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        open_card(page, dataset)

        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        sides = page.locator(".pl-pair-side")  # measured at once: what loads above them moves both
        one, other = sides.evaluate_all("sides => sides.map((side) => side.getBoundingClientRect().toJSON())")
        assert abs(one["width"] - other["width"]) < 1
        assert (one["y"] == other["y"]) == (width > 760)
        for name in ("A is much better", "Tie", "B is much better"):
            choice = page.get_by_role("button", name=name).bounding_box()
            assert choice is not None
            assert choice["x"] >= 0
            assert choice["x"] + choice["width"] <= width
            assert choice["y"] + choice["height"] <= 800
        if width < 760:
            assert page.get_by_role("button", name="Show all of both").count() == 2
