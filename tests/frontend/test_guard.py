"""What stands before Gradio: who may open which page, and which of Gradio's addresses exist at all."""

import re
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.routing import Mount
from starlette.testclient import TestClient

from backend.accounts import service as accounts
from backend.accounts.models import Role
from backend.db import transaction
from backend.deps import PROJECT_COOKIE
from backend.projects import members
from backend.projects import service as projects
from backend.projects.models import Project
from frontend.guard import Guard
from frontend.page import Page, discover

Visit = Callable[..., TestClient]
PAGES = [module.PAGE for module in discover()]
USED = {"queue/join", "queue/data", "heartbeat", "cancel", "reset", "component_server", "startup-events", "app_id"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.address)
def test_signed_out_pages_lead_to_sign_in(visit: Visit, page: Page) -> None:
    """Nobody sees a page without a session; the sign-in page learns where to go on."""
    response = visit(None).get(f"{page.address}?id=1&x=a%26b")

    assert response.status_code == 303
    assert response.headers["location"].startswith("/sign-in?next=%2F")
    assert "%3Fid%3D1%26x%3Da%2526b" in response.headers["location"]


@pytest.mark.parametrize("role", list(Role))
def test_a_role_opens_its_pages_and_no_others(visit: Visit, role: Role) -> None:
    """Each page answers 200 to its roles; the others get a page that says whose it is."""
    client = visit(role)
    for page in PAGES:
        response = client.get(page.address)

        assert response.status_code == (200 if role in page.roles else 403), page.address
        assert "no-store" in response.headers["cache-control"]
        if role not in page.roles:
            assert f"you are signed in as {role}" in response.text
            assert "gradio_config" not in response.text


def test_navigation_shows_only_what_the_role_may_open(visit: Visit) -> None:
    """An annotator's navigation holds no entry that leads to a refusal."""
    text = visit(Role.annotator).get("/").text

    links = set(re.findall(r'<li><a href="([^"]+)"', text))

    assert links
    assert links <= {page.address for page in PAGES if "annotator" in page.roles}


def test_an_unknown_address_has_a_page(visit: Visit) -> None:
    """A mistyped address answers 404 inside the frame, with a way back."""
    response = visit().get("/no-such-page")

    assert response.status_code == 404
    assert 'href="/"' in response.text


def test_an_unknown_address_of_the_api_is_a_problem(visit: Visit) -> None:
    """A program that asks the API for what is not there is told so, and not shown a page."""
    for role, status in ((None, 401), (Role.admin, 404)):
        response = visit(role).get("/api/v1/nothing")

        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"


def test_signed_out_events_are_refused(visit: Visit) -> None:
    """Gradio's own endpoints need a session; nothing of the application leaks before."""
    client = visit(None)

    for path in (
        "/config",
        "/gradio_api/info",
        "/gradio_api/startup-events",
        "/gradio_api/app_id",
        "/gradio_api/nowhere",
    ):
        assert client.get(path).status_code == 401, path
    for path in ("/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/run/predict", "/login"):
        assert client.post(path).status_code == 401, path


def gradio_paths(web: FastAPI) -> list[str]:
    mount = web.router.routes[-1]
    assert isinstance(mount, Mount)
    assert isinstance(mount.app, Guard)
    routes = mount.app.gradio.routes  # type: ignore[attr-defined]
    return sorted({route.path for route in routes if hasattr(route, "path")})


def test_only_the_addresses_that_pages_use_exist(visit: Visit, web: FastAPI) -> None:
    """Uploads, recordings, run history, code editing, monitoring, MCP: none of it answers, not even to an admin."""
    client = visit()
    own = {page.address for page in PAGES}
    for path in gradio_paths(web):
        address = re.sub(r"\{[^}]*\}", "x", path)
        if address in own or address.startswith(("/assets", "/static", "/theme.css", "/favicon.ico", "/config")):
            continue
        if any(address.removeprefix("/gradio_api/").startswith(used) for used in USED):
            continue
        assert client.get(address).status_code == 404, address
        assert client.post(address).status_code in {404, 405}, address


def test_events_from_another_site_are_refused(visit: Visit) -> None:
    """A page of somebody else cannot make a signed-in browser call Gradio's endpoints."""
    response = visit().post("/gradio_api/queue/join", json={}, headers={"origin": "https://evil.example"})

    assert response.status_code == 403


def test_files_of_the_machine_are_out_of_reach(visit: Visit) -> None:
    """No path reaches outside the folders of assets."""
    client = visit()

    for path in (
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/ui/../settings.py",
        "/ui/%2e%2e/app.py",
        "/ui/v/..%2fapp.py",
        "/ui/%2fetc%2fpasswd",
        "/assets/..%2f..%2f..%2froutes.py",
        "/static/..%2findex.html",
        "/gradio_api/proxy=https://evil.example/",
    ):
        response = client.get(path)
        assert response.status_code in {400, 403, 404}, path
        assert "root:" not in response.text


def test_a_name_cannot_break_out_of_the_frame(visit: Visit) -> None:
    """Whatever a name in the database says, the frame shows it as text, in markup and in script."""
    name = """</script><img src=x onerror=alert(1)>"'&\u2028"""

    text = visit(Role.admin, name).get("/").text

    assert "<img src=x" not in text
    assert "</script><img" not in text
    assert "&lt;/script&gt;" in text
    assert "\\u003c/script\\u003e" in text


def test_short_addresses_lead_to_the_page_of_one(visit: Visit) -> None:
    """The API's plural addresses are redirected; what is no id is no redirect."""
    row = "0193a7b2-0000-7000-8000-000000000000"
    client = visit(None)

    for plural, page in (("runs", "run"), ("datasets", "dataset"), ("checkpoints", "checkpoint")):
        assert client.get(f"/{plural}/{row}").headers["location"] == f"/{page}?id={row}"
    assert client.get("/runs/https:%2f%2fevil.example").headers["location"].startswith("/sign-in")


def test_own_files_are_kept_by_the_browser_and_served_by_type(visit: Visit) -> None:
    """A versioned file may be kept for ever; without a version it is asked for again. Both need no session."""
    client = visit(None)
    versioned, plain = client.get("/ui/abc123/api.js"), client.get("/ui/api.js")

    assert "immutable" in versioned.headers["cache-control"]
    assert plain.headers["cache-control"] == "no-cache"
    assert versioned.headers["content-type"].startswith("text/javascript")
    assert versioned.text == plain.text
    assert client.get("/ui/abc/plotly.min.js").status_code == 200
    assert client.get("/ui/sign-in.html").status_code == 404
    assert client.get("/ui/a/b/api.js").status_code == 404


def test_the_page_loads_nothing_from_elsewhere(visit: Visit) -> None:
    """The framed page names no other host in a place that loads, and Gradio's reporting is off."""
    text = visit().get("/").text

    assert not re.search(r'(?:src|href|content)="https?://', text)
    assert '"analytics_enabled":false' in text
    assert '"footer_links":[]' in text


def test_a_person_in_no_project_is_told_so(visit: Visit) -> None:
    """Every page but the own account says what to do; a project taken away is told apart from none at all."""
    client = visit(Role.annotator, "anna")
    with transaction() as session:
        tour = projects.default(session)
        members.remove(session, tour, accounts.by_name(session, "anna").id)
    page = client.get("/")
    assert page.status_code == 403
    assert "You are in no project" in page.text
    assert client.get("/account").status_code == 200

    with transaction() as session:
        second = Project(name="Second <b>")
        session.add(second)
        session.flush()
        members.join(session, second.id, accounts.by_name(session, "anna"), Role.annotator)
    client.cookies.set(PROJECT_COOKIE, str(tour.id), domain="localhost.local")
    page = client.get("/")
    assert page.status_code == 403
    assert "Not in this project any more" in page.text
    assert "Second &lt;b&gt;" in page.text
    client.cookies.set(PROJECT_COOKIE, str(second.id), domain="localhost.local")
    assert client.get("/").status_code == 200


def test_the_page_of_an_invitation_tells_nobody_its_address(visit: Visit) -> None:
    """It is open to all, kept by nothing on the way, and what it asks for is not told where from."""
    page = visit(None).get("/invitation")

    assert page.status_code == 200
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
