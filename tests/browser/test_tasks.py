"""Leading the labelling in a real browser: making a task, following it, settling disagreements, looking after items."""

import re
import uuid

import httpx
from playwright.sync_api import APIResponse, Page, Route, expect
from sqlalchemy import select

from backend.accounts import service as accounts
from backend.accounts.models import Role
from backend.datasets.models import Item, Kind
from backend.db import transaction
from backend.deps import COOKIE
from backend.labels.models import Label, LabelSource
from backend.tasks.models import Gold, Task
from tests.browser.conftest import SignIn, Web
from tests.browser.labelling import add_items, add_task, numbered, prompt
from tests.browser.test_label import HOSTILE
from tests.people import add_person

expect.set_options(timeout=45_000)


def annotator(web: Web, name: str) -> httpx.Client:
    """Somebody who labels through the API."""
    with transaction() as session:
        token = accounts.open_session(session, add_person(session, Role.annotator, name))
    return httpx.Client(base_url=web.address, cookies={COOKIE: token}, headers={"origin": web.address})


def label_all(client: httpx.Client, task: str, prefers: dict[int, int]) -> None:
    """Label every card: `prefers` is the strength for the item's first response by its place, else 2."""
    while cards := client.post(f"/api/v1/tasks/{task}/cards", json={"n": 10}).raise_for_status().json()["cards"]:
        for card in cards:
            place = int(re.findall(r"\d+", card["prompt"][-1]["text"])[0])
            first = card["responses"][0]["text"].startswith("First")
            strength = prefers.get(place, 2)
            body = {
                "client_id": str(uuid.uuid4()),
                "lease": card["lease"],
                "value": {"strength": strength if first else -strength},
                "seconds": 4.0,
            }
            client.post(f"/api/v1/items/{card['item_id']}/labels", json=body).raise_for_status()


def make_task(page: Page, dataset: uuid.UUID, name: str, overlap: int) -> str:
    """The id of a task made by hand from the dataset's page."""
    page.goto(f"/dataset?id={dataset}")
    page.get_by_role("button", name="Label this").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Labels an item").fill(str(overlap))
    page.get_by_role("button", name="Make the task").click()
    page.wait_for_url("**/task?id=*")
    return page.url.rpartition("=")[2]


def test_a_task_is_made_followed_and_settled(sign_in: SignIn, web: Web) -> None:
    """A lead makes a task of two labels an item, two people label it, the lead sees how far and how well they agree,
    reads every label of one, settles what they differ on without having seen their votes, and makes it gold."""
    lead = sign_in(Role.researcher, "lead")
    task = make_task(lead, numbered(6), "Which is kinder", 2)
    expect(lead.get_by_text("No label yet: they are drawn here as they come.")).to_be_visible()
    held: list[tuple[Route, APIResponse]] = []
    lead.route("**/throughput*", lambda route: held.append((route, route.fetch())), times=1)
    with annotator(web, "ann") as ann, annotator(web, "ben") as ben:
        label_all(ann, task, {})
        while not held:
            lead.wait_for_timeout(20)
        label_all(ben, task, {0: -2, 1: -3})

    expect(lead.get_by_text("12 of 12 labels")).to_be_visible()
    ((late, answer),) = held  # of before ben: what comes late takes nothing back
    with lead.expect_request_finished(lambda request: request == late.request):
        late.fulfill(response=answer)
    lead.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    expect(lead.get_by_text("12 of 12 labels")).to_be_visible()
    expect(lead.get_by_role("img", name="6 items done, 0 in work, 0 open")).to_be_visible()
    expect(lead.get_by_role("row", name=re.compile("^ann 6 "))).to_be_visible()
    lead.keyboard.press("2")
    expect(lead.get_by_role("row", name=re.compile("^ben 6 "))).to_be_visible()
    lead.get_by_role("link", name="ben", exact=True).click()
    said = lead.get_by_role("table", name="Labels", exact=True).locator("tbody tr")
    expect(said).to_have_count(6)
    expect(said.filter(has_text="second is")).to_have_count(2)
    lead.keyboard.press("2")
    expect(lead.get_by_role("link", name="ann", exact=True)).to_be_visible()
    lead.keyboard.press("3")
    expect(lead.get_by_text(re.compile("say the same 67.*of the time.*6 items"))).to_be_visible()
    lead.keyboard.press("j")
    lead.wait_for_url("**/adjudicate?task=*")
    expect(lead.get_by_role("article", name="Response A")).to_be_visible()
    assert not re.search(r"\bann\b|\bben\b", lead.locator(".pl-judge").inner_text())
    first = lead.locator(".pl-pair-body").first.inner_text().startswith("First")
    lead.keyboard.press("1")
    votes = lead.get_by_role("region", name="Votes")
    expect(votes.get_by_role("row", name=re.compile("^ann"))).to_be_visible()
    expect(votes.get_by_role("row", name=re.compile("^ben"))).to_be_visible()
    lead.keyboard.press("m")
    lead.keyboard.press("Enter")  # nobody waits for it
    expect(lead.get_by_text("It is a gold item now.")).to_be_visible()
    expect(votes).to_be_hidden()
    for key in ("1", "4"):
        expect(lead.get_by_text("1 settled by you")).to_be_visible()
        expect(lead.get_by_text("1 to go")).to_be_visible()
        lead.keyboard.press(key)
        expect(votes).to_be_visible()
        expect(lead.get_by_text("2 settled by you")).to_be_visible()
        if key == "1":
            lead.keyboard.press("u")  # taken back, as if it had not been said
    lead.keyboard.press("Enter")
    expect(lead.get_by_role("heading", name="All settled")).to_be_visible()

    with transaction() as session:
        settled = session.scalars(
            select(Label).where(Label.source == LabelSource.adjudication).order_by(Label.id)
        ).all()
        assert [one.version for one in settled] == [1, 1, 2, 3]
        assert settled[0].value == {"strength": 3 if first else -3}
        assert [one.value for one in settled[2:]] == [{"retracted": True}, {"strength": 0}]
        assert not session.scalars(select(Task).where(Task.standing)).all()
        assert session.scalars(select(Gold.value)).one() == settled[0].value


def test_keys_while_the_server_is_asked(sign_in: SignIn, web: Web) -> None:
    """What is pressed before the answer is there comes after it, in its order, and never meets an item that was not
    shown; what fails leaves the item as it was, and takes with it what was pressed since."""
    task = str(add_task(numbered(2), {}, overlap=2))
    with annotator(web, "ann") as ann, annotator(web, "ben") as ben:
        label_all(ann, task, {})
        label_all(ben, task, {0: -2, 1: -3})
    lead, held = sign_in(Role.researcher, "lead"), list[Route]()
    lead.route("**/adjudication", lambda route: held.append(route))
    settled = select(Label.version, Label.value).where(Label.source == LabelSource.adjudication).order_by(Label.id)

    def press(*keys: str) -> Route:
        """The first key asks the server, the others come while it is asked."""
        for place, key in enumerate(keys):
            lead.keyboard.press(key)
            while not held:
                lead.wait_for_timeout(20)
            assert len(held) == 1, place
        return held.pop()

    lead.goto(f"/adjudicate?task={task}")
    prompt(lead, "Question 0")
    press("4", "Enter").abort()
    expect(lead.get_by_role("button", name="Tie")).to_be_visible()
    expect(lead.get_by_text("0 settled by you")).to_be_visible()
    prompt(lead, "Question 0")
    press("4", "Enter", "1", "s").continue_()
    prompt(lead, "Question 1")
    expect(lead.get_by_text("1 settled by you")).to_be_visible()
    expect(lead.get_by_text("2 labels on this one, hidden")).to_be_visible()
    with lead.expect_response(re.compile("/undo$")):
        press("4", "u").continue_()
    expect(lead.get_by_text("2 labels on this one, hidden")).to_be_visible()
    expect(lead.get_by_text("1 settled by you")).to_be_visible()
    with transaction() as session:
        said = session.execute(settled).all()
    assert [tuple(one) for one in said] == [(1, {"strength": 0}), (1, {"strength": 0}), (2, {"retracted": True})]


def test_rankings_and_thumbs_are_settled(sign_in: SignIn, web: Web) -> None:
    """Orders and thumbs on which people differ are settled by the keys of their own questions, and taken back."""
    ranked = add_task(numbered(1, Kind.ranked, 3), {"kind": "ranking"}, overlap=2)
    thumbs = add_task(numbered(1, Kind.unpaired, 1, name="Thumbs"), {"kind": "thumb"}, overlap=2)
    with annotator(web, "ann") as ann, annotator(web, "ben") as ben:
        for client, turn in ((ann, 1), (ben, -1)):
            for task in (ranked, thumbs):
                (card,) = client.post(f"/api/v1/tasks/{task}/cards", json={}).raise_for_status().json()["cards"]
                texts = [one["text"] for one in card["responses"]]
                order = [[texts.index(text)] for text in sorted(texts)[::turn]]
                value = {"ranking": order} if task == ranked else {"thumb": turn == 1}
                body = {"client_id": str(uuid.uuid4()), "lease": card["lease"], "value": value, "seconds": 4.0}
                client.post(f"/api/v1/items/{card['item_id']}/labels", json=body).raise_for_status()
    lead = sign_in(Role.researcher, "lead")
    votes = lead.get_by_role("region", name="Votes")
    for task, keys, said in ((ranked, ("2", "1", "3", "Enter"), "B before A before C"), (thumbs, ("1",), "Good")):
        lead.goto(f"/adjudicate?task={task}")
        expect(lead.get_by_text("2 labels on this one, hidden")).to_be_visible()
        for key in keys:
            lead.keyboard.press(key)
        expect(votes.get_by_role("heading", name=f"✓ {said}")).to_be_visible()
        expect(votes.get_by_role("row")).to_have_count(3)
        lead.keyboard.press("Enter")
        expect(lead.get_by_role("heading", name="All settled")).to_be_visible()
        if task == ranked:
            lead.keyboard.press("u")
            expect(lead.get_by_text("0 settled by you")).to_be_visible()
            expect(lead.get_by_role("article", name="Response C")).to_be_visible()
    with transaction() as session:
        settled = select(Label.value).where(Label.source == LabelSource.adjudication).order_by(Label.id)
        ranking, undone, thumb = session.scalars(settled)
        assert (len(ranking["ranking"]), undone, thumb) == (3, {"retracted": True}, {"thumb": True})


def test_what_it_costs_and_the_preview(sign_in: SignIn) -> None:
    """The form says live what the labels will cost, shows guidelines as annotators will see them, harmlessly, and a
    refusal at its field."""
    dataset = numbered(40)
    page = sign_in(Role.researcher, "lead")
    page.goto(f"/new-task?dataset={dataset}")
    cost = page.get_by_role("region", name="What it will cost")
    expect(cost).to_contain_text("40 items \u00d7 1 = 40 labels")
    expect(cost).to_contain_text("20 s a label is a guess")
    page.get_by_label("Labels an item").fill("3")
    expect(cost).to_contain_text("40 items \u00d7 3 = 120 labels; at 20 s each that is about 40 min of work.")
    expect(cost).to_contain_text("3 labels an item need 3 people, as nobody labels an item twice, and one person may")

    page.get_by_label("Guidelines in Markdown").fill("# Kind first\n\n" + "\n\n".join(HOSTILE))
    page.get_by_role("button", name="Preview").click()
    seen = page.locator(".pl-guidelines-seen")
    expect(seen.get_by_role("heading", name="Kind first")).to_be_visible()
    assert seen.locator("img, script, iframe, svg, style, base, form, [href^=javascript]").count() == 0
    assert page.evaluate("window.pwned") is None

    page.get_by_label("Name", exact=True).fill("")
    page.get_by_role("button", name="Make the task").click()
    expect(page.locator(".pl-field.wrong").get_by_label("Name")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Kindness")
    page.get_by_role("button", name="+ Helpful").click()
    page.get_by_label("Only these").check()
    page.get_by_role("group", name="People who may label").get_by_label("lead").check()
    page.get_by_role("button", name="Make the task").click()
    page.wait_for_url("**/task?id=*")
    with transaction() as session:
        task = session.scalars(select(Task)).one()
        assert (task.name, task.overlap, task.order) == ("Kindness", 3, "random")
        assert task.question["aspects"] == [{"name": "helpful", "title": "Helpful", "low": 1, "high": 5}]
        assert task.guidelines.startswith("# Kind first")

    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Labels an item").fill("2")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("2 labels an item")).to_be_visible()
    page.get_by_role("button", name="Close", exact=True).click()
    page.get_by_role("button", name="Close task").click()
    expect(page.get_by_role("button", name="Reopen")).to_be_visible()
    expect(
        page.get_by_text("No forecast: the task is closed, and 80 labels that were wanted did not come.")
    ).to_be_visible()
    expect(page.get_by_role("main").get_by_role("link", name="Label", exact=True)).to_have_count(0)
    page.goto("/tasks")
    expect(page.get_by_role("heading", name="No task yet")).to_be_visible()
    page.get_by_role("button", name="Closed").click()
    expect(page.get_by_role("link", name="Kindness")).to_be_visible()


def test_an_item_is_looked_after(sign_in: SignIn) -> None:
    """From the task to one item: its answer is made known, it is withdrawn and restored, and tells it all."""
    dataset = add_items([("Question 0", "*First* 0", "Second 0"), ("Question 1", "First 1", "Second 1")])
    page = sign_in(Role.researcher, "lead")
    task = make_task(page, dataset, "Which is kinder", 1)
    page.goto(f"/task?id={task}&view=items")
    page.get_by_role("link", name="#1", exact=True).click()
    page.get_by_role("button", name="Make it gold").click()
    page.get_by_label("The answer").select_option("the second is better")
    page.get_by_label("Note").fill("the second says please")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Known answer")).to_be_visible()
    expect(page.get_by_role("link", name="Back to the task")).to_have_attribute("href", f"/task?id={task}&view=items")
    expect(page.locator(".pl-item-response em")).to_have_text("First")  # drawn as labellers see it

    page.get_by_role("button", name="Withdraw").click()
    page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("dialog").locator(".pl-field.wrong")).to_be_visible()
    page.get_by_label("Reason").fill("<b>names a person</b>")
    page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    expect(page.locator(".pl-card.warn")).to_contain_text("<b>names a person</b>")
    page.get_by_role("button", name="Restore").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    told = page.locator(".pl-history")
    for words in ("was restored by lead", "was withdrawn by lead", "was made gold by lead", "came into the dataset"):
        expect(told).to_contain_text(words)
    with transaction() as session:
        assert session.scalars(select(Gold.value)).one() == {"strength": -2}
        assert session.scalars(select(Item.withdrawn_at)).all() == [None, None]


def test_by_keys_and_on_a_phone(sign_in: SignIn) -> None:
    """Nothing of the pages is wider than a phone, and an annotator is told that they are not theirs."""
    dataset = numbered(3)
    page = sign_in(Role.researcher, "lead", viewport={"width": 390, "height": 844})
    task = make_task(page, dataset, "Which is kinder " + "x" * 80, 1)
    views = [f"/task?id={task}&view={view}" for view in ("progress", "people", "agreement", "items")]
    forms = ["/new-task", f"/new-task?dataset={dataset}", f"/edit-task?id={task}"]
    page.goto("/new-task")
    page.get_by_role("link", name="Pairs").first.click()
    expect(page.get_by_label("Labels an item")).to_be_visible()
    for address in ["/tasks", *forms, f"/adjudicate?task={task}", *views]:
        page.goto(address)
        expect(page.locator(".pl-skeleton")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
    other = sign_in(Role.annotator, "ann")
    for address in ("/tasks", "/task", "/adjudicate", "/item"):
        other.goto(address)
        expect(other.get_by_role("heading", name="Not for your role", level=2)).to_be_visible()
