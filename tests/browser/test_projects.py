"""Projects in the browser: joining by a link, going from one to another, being taken out in the middle of work."""

from playwright.sync_api import Browser, expect

from backend.accounts.models import Role
from backend.accounts.service import by_name
from backend.db import transaction
from backend.projects import members
from backend.projects import service as projects
from backend.projects.models import Project
from tests.browser.conftest import SignIn, Web
from tests.browser.labelling import numbered, open_card, prompt, wait_for_labels


def test_a_link_brings_somebody_into_the_project(sign_in: SignIn, browser: Browser, web: Web) -> None:
    """The link is shown once; whoever opens it chooses name and password and is in, as what it says."""
    owner = sign_in(Role.owner)
    owner.goto("/team")
    owner.get_by_role("button", name="Invite").first.click()
    owner.get_by_label("Who").fill("Noor <script>")
    owner.get_by_role("button", name="Make the link").click()
    link = owner.locator(".pl-secret").inner_text()
    owner.get_by_role("button", name="Done").click()
    expect(owner.get_by_role("row", name="Noor <script>")).to_be_visible()
    assert link.rpartition("#")[2] not in owner.content()

    context = browser.new_context(base_url=web.address)
    guest = context.new_page()
    guest.goto(link)
    expect(guest.get_by_text("invites you to the project “Tour” as annotator")).to_be_visible()
    assert "#" not in guest.url
    guest.get_by_label("Name").fill("noor")
    guest.get_by_label("Password").fill("a long enough one")
    guest.get_by_role("button", name="Make an account and join").click()
    expect(guest.get_by_role("navigation", name="Main").get_by_role("link", name="Label")).to_be_visible()
    guest.goto("about:blank")
    guest.goto(link)
    expect(guest.get_by_role("alert")).to_contain_text("Somebody has used this invitation")
    guest.goto("about:blank")
    context.close()


def test_two_tabs_in_two_projects(sign_in: SignIn) -> None:
    """Choosing another project leads to its Home; a tab that was open before stays in the project it shows."""
    dataset = numbered(3)
    page = sign_in(Role.annotator, "anna")
    with transaction() as session:
        second = Project(name="Second")
        session.add(second)
        session.flush()
        members.join(session, second.id, by_name(session, "anna"), Role.researcher)
    open_card(page, dataset)
    other = page.context.new_page()
    other.goto("/")
    other.get_by_label("Project").select_option("Second")
    expect(other.get_by_role("heading", name="What do you have?")).to_be_visible()
    expect(other.get_by_label("Project")).to_have_value(str(second.id))

    page.bring_to_front()
    page.keyboard.press("2")
    wait_for_labels(page, 1)
    prompt(page, "Question 1")
    page.reload()
    expect(page.get_by_label("Project")).to_have_value(str(second.id))


def test_taken_out_while_labelling(sign_in: SignIn) -> None:
    """The page says so over everything, the labels given stay, and the browser keeps what was not taken."""
    dataset = numbered(4)
    page = sign_in(Role.annotator, "anna")
    open_card(page, dataset)
    page.keyboard.press("2")
    wait_for_labels(page, 1)
    prompt(page, "Question 1")
    with transaction() as session:
        members.remove(session, projects.default(session), by_name(session, "anna").id)
    page.keyboard.press("2")

    expect(page.get_by_role("heading", name="You are out of this project")).to_be_visible()
    wait_for_labels(page, 1)
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('pl-answer-')).length") == 1
    page.get_by_role("button", name="Reload").click()
    expect(page.get_by_role("heading", name="You are in no project").last).to_be_visible()
