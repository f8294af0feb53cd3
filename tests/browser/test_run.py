"""A run in a real browser: launched from the form, watched while a real worker trains it, followed to its lineage."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from sqlalchemy import select

from alignment.training.timing import Speed
from backend import presence
from backend.accounts.models import User
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.runs import resuming
from backend.runs.models import Metric, Run, RunEvent
from backend.settings import Settings
from backend.work import State, finish
from tests import contest, loop
from tests.browser.conftest import SignIn, intercept
from tests.browser.test_evaluation_pictures import shoot

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("warm")]
expect.set_options(timeout=45_000)

WORKER = [sys.executable, "-c", "from workers.tasks import train; train.work()"]
TRAINED_MS = 120_000
HOSTILE = '<img src="/nowhere" onerror="window.pwned = 1">'

COMPUTED: dict[str, str | re.Pattern[str]] = {
    "Rows": "Examples share them, each prompt computed once; exact for llama, full attention",
    "Attention": "Part by part, each response with its prompt, short ones together",
    "Checked": "Sharing changes log-probabilities by at most",
    "Reference": "Computed for this run",
    "Noise floor": re.compile("nats: smaller changes|None: examples asked again"),
    "Layers": "Computed once: it fits",
    "Packs at once": "1",
    "Tokens per pack": "At most 384: the usual size",
}
"""What the page says of a small run on a CPU with one thread."""

Work = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama folder."""
    return loop.tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture
def work(settings: Settings) -> Iterator[Work]:
    """Starts real workers that train what is queued."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(WORKER, env={**os.environ, "OMP_NUM_THREADS": "1"}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def newest() -> Run:
    with transaction() as session:
        return session.scalars(select(Run).order_by(Run.id.desc()).limit(1)).one()


def fill_form(page: Page) -> None:
    """A run that ends after a few steps."""
    page.get_by_role("button", name="Quick try").click()
    page.get_by_role("textbox", name="Duration").fill("6")
    page.get_by_label("Examples per step").fill("4")
    page.get_by_label("Learning rate").first.fill("1e-3")
    page.get_by_text("Lengths, evaluation, checkpoints to keep").click()
    page.get_by_label("Every steps").fill("3")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()


def test_a_first_run_is_told_a_time(sign_in: SignIn, tiny: Path, settings: Settings) -> None:
    """By how fast the machine of a worker computes, where one has told; by an earlier run as soon as there is one."""
    page = sign_in()
    base, dataset = loop.add_checkpoint(tiny, "Tiny base"), loop.add_dataset()
    assert settings.redis_url is not None
    with presence.connect(settings.redis_url) as redis:
        speed = Speed(fp32=((64, 1e5),), bf16=((64, 1e5),))
        presence.announce(redis, ("train",), beat=False, machine=presence.Machine(speed=speed))
    page.goto(f"/new-run?dataset={dataset.id}")
    told = page.locator("dt:text-is('Time') + dd")
    expect(told).to_have_text(re.compile(r"^\d+ min to \d h \d0 min, by how fast the worker's machine computes$"))

    with transaction() as session:
        user = session.scalars(select(User)).one()
    run = loop.add_run(user, base, dataset, tuning={"kind": "lora"})
    with transaction() as session:
        session.add(Metric(run_id=run.id, name="throughput/examples_per_second", step=1, value=0.1, at=0))
    page.reload()
    expect(told).to_have_text(re.compile(", by earlier runs$"))


def test_launch_watch_and_follow(sign_in: SignIn, tiny: Path, work: Work) -> None:
    """From an empty form to new weights: checked while typed, watched without reloading, the same after a reload."""
    page = sign_in()
    base, dataset = loop.add_checkpoint(tiny, "Tiny base"), loop.add_dataset(name="Harbor pairs")
    page.goto(f"/new-run?dataset={dataset.id}")
    expect(page.get_by_label("Name")).to_have_value("DPO on Harbor pairs")

    page.get_by_label("Examples per step").fill("5000")
    expect(page.get_by_text("one step takes 5,000").first).to_be_visible()
    expect(page.get_by_role("button", name="Launch run")).to_have_attribute("aria-disabled", "true")
    fill_form(page)
    page.get_by_text("The same run as YAML").click()
    expect(page.get_by_text("learning_rate: 0.001")).to_be_visible()
    page.get_by_role("button", name="Launch run").click()

    page.wait_for_url("**/run?id=*")
    expect(page.get_by_text("Next in the queue")).to_be_visible()
    process = work()
    expect(page.locator(".pl-run-chart").first).to_be_visible(timeout=TRAINED_MS)
    expect(page.get_by_label("Status").get_by_text("succeeded")).to_be_visible(timeout=TRAINED_MS)
    assert process.wait(30) == 0
    expect(page.get_by_label("Status").get_by_text("6 of 6 steps")).to_be_visible()
    expect(page.get_by_text("saved a checkpoint at step 6")).to_be_visible()
    expect(page.get_by_role("heading", name="Answers to the same prompts")).to_be_visible()
    charts = page.locator(".pl-run-chart").count()
    assert charts >= 8
    computing = page.get_by_role("region", name="How it is computed")
    for name, words in COMPUTED.items():
        expect(row(computing, name)).to_contain_text(words)
    # What is painted, not what is known: every panel shows all six steps.
    page.wait_for_function(
        "(painted) => document.querySelectorAll('.pl-run-chart .js-plotly-plot').length >= 8 && "
        "[...document.querySelectorAll('.pl-run-charts')][0].querySelectorAll('.js-plotly-plot').values()"
        ".every((plot) => Math.max(...plot.calcdata.map((line) => line.length)) === painted)",
        arg=6,
    )

    page.reload()
    expect(page.get_by_text("saved a checkpoint at step 6")).to_be_visible()
    expect(page.locator(".pl-run-chart")).to_have_count(charts)
    page.get_by_role("link", name="Step 6").click()
    expect(page.locator("#pl-title")).to_have_text("DPO on Harbor pairs · step 6")
    expect(page.locator(".pl-lineage > li")).to_have_count(2)
    expect(page.locator(".pl-lineage").get_by_text("Harbor pairs", exact=True)).to_be_visible()
    page.get_by_role("link", name="Tiny base").click()
    expect(page.get_by_role("heading", name="Trained from it")).to_be_visible()
    assert page.url.endswith(str(base.id))


def row(place: Locator, name: str) -> Locator:
    """What stands beside a name in a list of facts."""
    return place.locator("dt", has_text=re.compile(f"^{name}$")).locator("+ dd")


def test_how_a_run_is_computed(sign_in: SignIn, tiny: Path) -> None:
    """The page says it while the run goes on and after a reload, of the run as it goes now and of no other model; what
    the log does not tell has no row."""
    page = sign_in(name="ada")
    with transaction() as session:
        user = session.scalars(select(User)).one()
    run = loop.add_run(user, loop.add_checkpoint(tiny), loop.add_dataset())

    def tell(**facts: object) -> None:
        with transaction() as session:
            session.add(RunEvent(run_id=run.id, kind="log", step=None, payload={"message": "told", **facts}))

    with transaction() as session:
        session.get_one(Run, run.id).state = State.running
    page.goto(f"/run?id={run.id}")
    place = page.get_by_role("region", name="How it is computed")
    expect(page.get_by_label("Status").get_by_text("running")).to_be_visible()
    expect(place).to_be_hidden()

    why = f"llama, full attention, under masks, as attention by blocks does not work here ({HOSTILE})"
    tell(path="shared", why=why, attention="masks", largest_difference=2.5e-6)
    expect(row(place, "Rows")).to_have_text(f"Examples share them, each prompt computed once; exact for {why}")
    expect(row(place, "Attention")).to_have_text("Under a mask")
    expect(row(place, "Checked")).to_have_text("Sharing changes log-probabilities by at most 2.50e\u22126 nats")
    expect(place.locator("dt")).to_have_count(3)

    tell(gradient_checkpointing=True, why="it would not fit without", packs_at_once=2)
    tell(tokens_per_pack=1024, why="12% faster than the usual 384")
    tell(computed=8, examples=24, noise_floor=3.1e-6, unmeasured=None)
    expect(row(place, "Layers")).to_have_text("Computed again, by gradient checkpointing: it would not fit without")
    expect(row(place, "Packs at once")).to_have_text("2")
    expect(row(place, "Tokens per pack")).to_have_text("At most 1\u202f024: 12% faster than the usual 384")
    expect(row(place, "Reference")).to_have_text("Computed for 8 of 24 examples, known for the others")
    expect(row(place, "Noise floor")).to_contain_text("3.10e\u22126 nats: smaller changes")
    shoot(page, "computing")

    tell(
        of="teacher",
        path="plain",
        why="mamba models are not known to be exact",
        attention=None,
        largest_difference=None,
    )
    tell(noise_floor=0.0, unmeasured=None)
    expect(row(place, "Noise floor")).to_have_text("None: examples asked again gave the same, bit for bit")
    tell(computed=0, examples=24, noise_floor=None, unmeasured="all was kept")
    expect(row(place, "Noise floor")).to_have_text("Not measured: all was kept")
    page.reload()
    expect(row(place, "Noise floor")).to_have_text("Not measured: all was kept")
    expect(row(place, "Reference")).to_have_text("Kept from earlier runs")
    expect(row(place, "Rows")).to_contain_text("Examples share them")
    assert page.evaluate("window.pwned") is None

    tell(path="plain", why="the run began so", attention=None, largest_difference=None)
    expect(row(place, "Rows")).to_have_text("One for each response: the run began so")
    expect(row(place, "Attention")).to_have_count(0)
    expect(row(place, "Checked")).to_have_count(0)


def stop(page: Page) -> None:
    """Cancel the run that is shown, and wait for its end."""
    page.get_by_role("button", name="Cancel run").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
    expect(page.get_by_label("Status").get_by_text("cancelled")).to_be_visible(timeout=60_000)


def test_cancel_and_continue(sign_in: SignIn, tiny: Path, work: Work) -> None:
    """Cancelling asks once, then the run saves and ends, and says so; it goes on from there when asked."""
    page = sign_in(name="ada")
    with transaction() as session:
        user = session.scalars(select(User)).one()
    run = loop.add_run(
        user,
        loop.add_checkpoint(tiny),
        loop.add_dataset(),
        duration={"steps": 100_000},
        evaluate={"every_steps": 10_000},
    )
    page.goto(f"/run?id={run.id}")
    work()
    expect(page.get_by_label("Status").get_by_text("running")).to_be_visible(timeout=TRAINED_MS)
    expect(page.locator(".pl-run-chart").first).to_be_visible(timeout=TRAINED_MS)
    stop(page)
    expect(page.get_by_text("what was saved is kept")).to_be_visible()
    expect(page.get_by_role("link", name="Step ")).to_be_visible()

    ended = newest().state_step
    assert ended
    page.get_by_role("button", name=f"Continue from step {ended:,}".replace(",", "\u2009")).click()
    expect(page.get_by_text("Next in the queue")).to_be_visible()
    work()
    expect(page.get_by_label("Status").get_by_text("running")).to_be_visible(timeout=TRAINED_MS)
    expect(page.get_by_text("going on after step")).to_be_visible(timeout=TRAINED_MS)
    stop(page)
    assert (newest().state_step or 0) > ended


def test_what_ran_out_of_memory_goes_on_with_smaller_packs(sign_in: SignIn, tiny: Path, settings: Settings) -> None:
    """Continuing asks how many tokens to compute at once, half as many as before unless told otherwise."""
    page = sign_in(name="ada")
    run = failed_run(tiny, "ada")
    with transaction() as session:
        row = session.get_one(Run, run.id)
        row.failure, row.state_step = "out_of_memory", 3
        state = settings.data / resuming.key(row)
    state.mkdir(parents=True)
    (state / "state.json").write_text("{}")
    page.goto(f"/run?id={run.id}")
    page.get_by_role("button", name="Continue from step 3").click()
    expect(page.get_by_label("Tokens per pack")).to_have_value("256")
    page.get_by_label("Tokens per pack").press("Enter")
    expect(page.get_by_text("Next in the queue")).to_be_visible()
    assert newest().spec["batch"]["tokens_per_pack"] == 256


def test_before_the_first_step(sign_in: SignIn, tiny: Path) -> None:
    """The page says what the run is at, and for how long now while nothing is heard of it; and that it has begun when a
    step is drawn, however late the run's own row is answered."""
    page = sign_in(name="ada", alone=True)
    with transaction() as session:
        user = session.scalars(select(User)).one()
    run = loop.add_run(user, loop.add_checkpoint(tiny), loop.add_dataset())
    with transaction() as session:
        row = session.get_one(Run, run.id)
        row.state, row.started_at = State.running, datetime.now(UTC)
        session.add(RunEvent(run_id=run.id, kind="log", step=None, payload={"message": "starting"}))
    page.clock.install()
    page.goto(f"/run?id={run.id}")
    status = page.get_by_label("Status")
    expect(status).to_contain_text("Loading model and data…")
    page.clock.fast_forward("01:00:00")
    expect(status).to_contain_text("For 1 h 0 min")

    with transaction() as session:
        payload = {"message": "computing the reference", "phase": True}
        session.add(RunEvent(run_id=run.id, kind="log", step=None, payload=payload))
    expect(status).to_contain_text("Computing the reference…")

    def late(route: Route) -> None:
        answer = route.fetch()
        if answer.json()["series"]:
            page.route(f"**/api/v1/runs/{run.id}", lambda _: None)
        route.fulfill(response=answer)

    intercept(page, f"**/api/v1/runs/{run.id}/metrics*", late)
    with transaction() as session:
        session.get_one(Run, run.id).events_offset = 9
        session.add(Metric(run_id=run.id, name="loss", step=1, at=1, value=0.7))
    expect(status).to_contain_text("Step 1 of 4")


def test_a_phase_is_of_the_run_as_it_goes_now(sign_in: SignIn, tiny: Path) -> None:
    """A run that goes on is not said to be at what it was at before it was stopped; what is no text, or no line of the
    log, names no phase."""
    page = sign_in(name="ada")
    with transaction() as session:
        user = session.scalars(select(User)).one()
    run = loop.add_run(user, loop.add_checkpoint(tiny), loop.add_dataset())

    def told(*events: tuple[str, object]) -> None:
        with transaction() as session:
            for kind, message in events:
                payload = {"message": message, "phase": True}
                session.add(RunEvent(run_id=run.id, kind=kind, step=None, payload=payload))
                session.flush()

    with transaction() as session:
        session.get_one(Run, run.id).state = State.running
    page.goto(f"/run?id={run.id}")
    status, log = page.get_by_label("Status"), page.get_by_role("log")
    for event in ("continued", "resumed"):
        told(("log", "computing the reference"))
        expect(status).to_contain_text("Computing the reference…")
        told((event, None), ("alarm", f"rewards fall after {event}"), ("log", 5))
        expect(log).to_contain_text(f"rewards fall after {event}")
        expect(status).to_contain_text("Loading model and data…")


def failed_run(tiny: Path, user_name: str) -> Run:
    with transaction() as session:
        user = session.scalars(select(User).where(User.name == user_name)).one()
    run = loop.add_run(user, loop.add_checkpoint(tiny, HOSTILE), loop.add_dataset(name=HOSTILE), name=HOSTILE)
    with transaction() as session:
        row = session.get_one(Run, run.id)
        finish(row, State.failed, f"The loss is no longer a number {HOSTILE}.", "Lower the learning rate.")
        payload = {"message": HOSTILE, "path": "plain", "why": HOSTILE}
        session.add(RunEvent(run_id=run.id, kind="log", step=None, payload=payload))
        for number in range(30):
            session.add(RunEvent(run_id=run.id, kind="log", step=None, payload={"message": f"{HOSTILE} {number}"}))
        session.add(
            RunEvent(
                run_id=run.id,
                kind="sample",
                step=1,
                payload={"prompt": [{"role": "user", "content": HOSTILE}], "response": HOSTILE, "tokens": 3},
            )
        )
    return run


def test_failure_and_hostile_text(sign_in: SignIn, tiny: Path) -> None:
    """A failed run says why and what to do and leads back to its settings; no text becomes markup on any page."""
    page = sign_in(name="ada")
    run = failed_run(tiny, "ada")
    page.goto(f"/run?id={run.id}")
    expect(page.get_by_role("alert").get_by_text("The loss is no longer a number")).to_be_visible()
    expect(page.get_by_role("alert").get_by_text("Lower the learning rate.")).to_be_visible()
    expect(page.locator(".pl-run-sample")).to_contain_text(HOSTILE)
    expect(page.get_by_label("How it is computed")).to_contain_text(HOSTILE)
    page.get_by_role("link", name="Change the settings and launch again").click()
    expect(page.get_by_label("Name")).to_have_value(f"{HOSTILE} again")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()
    for address in ("/runs", "/checkpoints", f"/checkpoint?id={run.checkpoint_id}"):
        page.goto(address)
        expect(page.get_by_text(HOSTILE).first).to_be_visible()
        assert page.evaluate("window.pwned") is None


def test_deleted_checkpoints_are_counted(sign_in: SignIn, tiny: Path) -> None:
    """What the run itself deleted is told from its events: the rows of most of them are gone too."""
    page = sign_in(name="ada")
    run = failed_run(tiny, "ada")
    with transaction() as session:
        session.get_one(Checkpoint, run.checkpoint_id).run_id = run.id
        for step in (2, 4):
            payload = {"message": f"deleted step {step}", "removed_checkpoint": f"checkpoints/{step}"}
            session.add(RunEvent(run_id=run.id, kind="log", step=None, payload=payload))
    page.goto(f"/run?id={run.id}")
    expect(page.get_by_text("2 earlier ones were deleted")).to_be_visible()


def test_register(sign_in: SignIn, tiny: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is registered from the list or by its path; a refusal stands at the field, a hub's name is checked."""
    monkeypatch.setattr(settings, "checkpoint_roots", (tiny.parent,))
    page = sign_in()
    page.goto("/checkpoints")
    expect(page.get_by_text("No checkpoint yet")).to_be_visible()
    page.keyboard.press("g")
    page.get_by_label("Or type its path").fill("/etc")
    page.get_by_role("button", name="Register", exact=True).last.click()
    expect(page.get_by_text("not inside one that checkpoints may come from")).to_be_visible()
    page.get_by_role("button", name="From a hub").click()
    page.get_by_label("Model").fill("../../etc")
    page.get_by_role("button", name="Look it up").click()
    expect(page.get_by_text("write owner/model")).to_be_visible()
    page.get_by_role("button", name="From a folder").click()
    page.locator(".pl-folder").get_by_role("button", name="Register").click()
    expect(page.get_by_role("cell", name="tiny", exact=True)).to_be_visible()
    page.get_by_role("link", name="tiny").click()
    expect(page.get_by_text("registered from a folder")).to_be_visible()


def test_the_list_measures_held_out_examples(sign_in: SignIn, clean: None) -> None:
    """Accuracy and loss are both of held-out examples, or both say that they are of the last batch."""
    tested, untested = contest.make(2).runs
    values = {"loss": 0.25, "rewards/accuracies": 0.9}
    with transaction() as session:
        for run, metrics in (tested, values | {"eval/loss": 0.5, "eval/rewards/accuracies": 0.75}), (untested, values):
            session.add_all(Metric(run_id=run, name=name, step=1, at=1, value=value) for name, value in metrics.items())
    page = sign_in()
    page.goto("/runs")
    rows = page.get_by_role("table", name="Runs").get_by_role("row")
    held_out = rows.filter(has_text="DPO, beta 0.1").get_by_title("On held-out examples")
    of_batch = rows.filter(has_text="SimPO").get_by_title("On the last training batch")
    expect(held_out).to_have_text([re.compile("^75.%$"), "0.5"])
    expect(of_batch).to_have_text([re.compile("^90.% batch$"), "0.25 batch"])


def test_phone_width(sign_in: SignIn, tiny: Path) -> None:
    """On a phone nothing is wider than the screen, in both themes."""
    page = sign_in(name="ada", viewport={"width": 390, "height": 844}, color_scheme="light")
    run = failed_run(tiny, "ada")
    for address in ("/runs", f"/run?id={run.id}", "/new-run", "/checkpoints", f"/checkpoint?id={run.checkpoint_id}"):
        page.goto(address)
        expect(page.locator(".pl-page .pl-card, .pl-page .pl-table").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
        page.emulate_media(color_scheme="light")
