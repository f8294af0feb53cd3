"""The whole loop in the whole program: started as a user starts it, with its own servers and workers.

With `PLUMBLINE_SHOTS=docs/images` and `-k tour` the pictures of the README are taken anew, of a longer run.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import hub
from tests.browser.attention import Person
from tests.checkpoints import make_llama

pytestmark = [pytest.mark.browser, pytest.mark.slow]
expect.set_options(timeout=45_000)
ROOT = Path(__file__).parents[2]
SHOTS = os.environ.get("PLUMBLINE_SHOTS")
STARTED_WITHIN = 180.0
MINUTES = 60_000.0
TEN_MINUTES = 600.0
THINGS = ("boat", "bike", "door", "clock", "coat", "kite", "lamp", "roof", "tent", "rug", "drum", "saw")
QUESTIONS = [f"How do I {what} a {thing}?" for what in ("clean", "mend", "paint", "store", "sell") for thing in THINGS]
HELPFUL, RAW = "pairwise_hh_helpful.jsonl", "pairwise_hh_raw_format.jsonl"


class Program(NamedTuple):
    """`plumbline up`, running: where it is, and what it printed for its first admin."""

    address: str
    name: str
    password: str
    models: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def printed(log: Path, process: "subprocess.Popen[bytes]", pattern: str) -> str:
    """What the program printed, as soon as it has."""
    limit = time.monotonic() + STARTED_WITHIN
    while not (found := re.search(pattern, log.read_text())):
        if process.poll() is not None or time.monotonic() > limit:
            pytest.fail(f"The program did not start:\n{log.read_text()}")
        time.sleep(0.2)
    return found.group(1)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program on a new data folder, stopped as a service manager stops it."""
    folder = tmp_path_factory.mktemp("program")
    models, log = folder / "models", folder / "output"
    models.mkdir()
    on_hub = make_llama(folder / "on-hub", QUESTIONS, vocabulary=600, context=512)
    ours = ("DATABASE_URL", "REDIS_URL")
    env = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("PLUMBLINE")}
    env |= {
        "PLUMBLINE_DATA": str(folder / "data"),
        "PLUMBLINE_PORT": str(free_port()),
        "PLUMBLINE_CHECKPOINT_ROOTS": str(models),
    }
    with log.open("wb") as out, hub.serving(hub.Manners.of(on_hub)) as address:
        env["HF_ENDPOINT"] = address
        process = subprocess.Popen([sys.executable, "-m", "plumbline", "up"], cwd=ROOT, env=env, stdout=out)
        try:
            password = printed(log, process, r"password +(\S+)")
            address = printed(log, process, r"Plumbline is at (http://\S+)")
            yield Program(address, "admin", password, models)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(90)


@pytest.fixture(scope="module")
def page(program: Program, browser: Browser) -> Iterator[Page]:
    """The first admin's browser, signed in at the keyboard."""
    context = browser.new_context(base_url=program.address, viewport={"width": 1360, "height": 850})
    context.set_default_timeout(45_000)
    page = context.new_page()
    thrown: list[str] = []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    page.goto("/")
    page.wait_for_url("**/sign-in*")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type(program.name)
    page.keyboard.press("Tab")
    page.keyboard.type(program.password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "sign-in" not in url)
    yield page
    context.close()
    assert thrown == []


def shoot(page: Page, name: str) -> None:
    """A picture for the README, when asked for."""
    if SHOTS:
        page.wait_for_timeout(1500)
        page.screenshot(path=f"{SHOTS}/{name}.png")


def bring_in(page: Page, path: Path, good: int) -> str:
    """Import a file through the page; the id of the dataset it has become."""
    page.goto("/import")
    page.locator("#pl-file").set_input_files(path)
    expect(page.get_by_role("heading", name="The first rows, as they will be")).to_be_visible(timeout=MINUTES)
    page.get_by_role("button", name="Start import").click()
    expect(page.get_by_text(f"{good:,} items imported".replace(",", "\u2009"))).to_be_visible(timeout=2 * MINUTES)
    page.get_by_role("button", name="Open the dataset").click()
    page.wait_for_url("**/dataset?id=*")
    return page.url.partition("id=")[2]


def judge(page: Page, dataset: str, keys: str) -> None:
    """Label pairs with keys alone; every key brings another pair."""
    page.goto(f"/label?dataset={dataset}")
    for number, key in enumerate(keys, start=1):
        before = page.locator(".pl-pair").first.inner_text()
        page.keyboard.press(key)
        page.wait_for_function("(text) => document.querySelector('.pl-pair')?.innerText !== text", arg=before)
        expect(page.get_by_text(f"{number} today")).to_be_visible()


def choose(page: Page, field: str, name: str) -> None:
    """Choose the option of a list whose text holds `name`."""
    options = page.get_by_label(field, exact=True)
    options.select_option(label=options.locator("option", has_text=name).inner_text())


def train(page: Page, steps: int | None = None) -> str:
    """Launch what the form holds and wait for the end; the address of the run."""
    if steps is not None:
        page.get_by_role("textbox", name="Duration").fill(str(steps))
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()
    page.get_by_role("button", name="Launch run").click()
    page.wait_for_url("**/run?id=*")
    expect(page.get_by_label("Status").get_by_text("succeeded")).to_be_visible(timeout=8 * MINUTES)
    return page.url


def ask_and_vote(page: Page, prompt: str, key: str) -> None:
    """One blind match in the arena, by keyboard."""
    page.get_by_role("textbox", name="Prompt", exact=True).fill(prompt)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Which answer is better?")).to_be_visible(timeout=2 * MINUTES)
    shoot(page, "compare")
    page.keyboard.press(key)
    expect(page.get_by_role("button", name="Show names")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".pl-reveal")).to_have_count(2)


def texts(path: Path) -> list[str]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [str(row["chosen"]) for row in rows]


def test_real_pairs_and_a_new_model(program: Program, page: Page, shared_data: Path) -> None:
    """Public pairs and a random Llama: import, label, train, compare blind, and train on the votes next."""
    make_llama(program.models / "random-llama", texts(shared_data / RAW), vocabulary=600, context=512)
    helpful = bring_in(page, shared_data / HELPFUL, 2286)
    bring_in(page, shared_data / RAW, 86)  # two of 88 rows have the same answer twice
    judge(page, helpful, "17264")

    page.goto("/checkpoints")
    expect(page.get_by_role("link", name="Toy world base")).to_be_visible()
    page.keyboard.press("g")
    page.locator(".pl-folder", has_text="random-llama").get_by_role("button", name="Register").click()
    expect(page.get_by_role("cell", name="random-llama").first).to_be_visible()

    page.goto(f"/new-run?dataset={helpful}")
    choose(page, "Start from", "random-llama")
    page.get_by_role("button", name="Quick try").click()
    train(page, steps=4)

    page.get_by_role("link", name="Compare").last.click()
    page.wait_for_url("**/compare*")
    ask_and_vote(page, "How do I bake bread?", "2")
    page.get_by_role("button", name="Add votes to a dataset").click()
    page.get_by_label("Name").fill("Votes on bread")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("1 new label")).to_be_visible()
    page.goto("/data")
    page.get_by_role("link", name="Votes on bread").click()
    page.get_by_role("button", name="Train on this").click()
    page.wait_for_url("**/new-run?dataset=*")
    expect(page.get_by_label("Name")).to_have_value(re.compile("Votes on bread"))


def test_the_tour(page: Page) -> None:
    """What the first start brings: everyday pairs to label, a toy run that succeeds, two checkpoints to compare."""
    page.goto("/data")
    page.get_by_role("link", name="Everyday requests").click()
    page.wait_for_url("**/dataset?id=*")
    dataset = page.url.partition("id=")[2]
    page.goto(f"/label?dataset={dataset}")
    expect(page.locator(".pl-pair").first).to_be_visible()
    shoot(page, "label")

    page.goto("/new-run")
    choose(page, "Data", "Toy world: labelled pairs")
    choose(page, "Start from", "Toy world base")
    page.get_by_role("group", name="Unit of the duration").get_by_role("button", name="Optimizer steps").click()
    run = train(page, steps=60 if SHOTS else 6)
    shoot(page, "run")

    page.get_by_role("link", name="Compare").last.click()
    page.wait_for_url("**/compare*")
    ask_and_vote(page, "What is the capital of Egypt?", "6")
    page.goto(run)
    page.get_by_role("link", name=re.compile("^Step ")).last.click()
    expect(page.locator(".pl-lineage > li")).to_have_count(2)
    expect(page.locator(".pl-lineage")).to_contain_text("Toy world base")


def argilla(path: Path) -> Path:
    """What a team has: an export of its labelling tool, two annotators, a question with strengths of its own."""
    rows = []
    for n, text in enumerate(QUESTIONS):
        fields = {"question": text, "one": f"{text} Slowly, with care.", "two": "No idea."}
        best = {1: "two", 2: "both are bad"}.get(n % 9, "one")
        answer = {"user_id": f"u{n % 2}", "status": "submitted", "values": {"best": {"value": best}}}
        rows.append({"fields": fields, "suggestions": [], "responses": [answer]})
    path.write_text(json.dumps(rows))
    return path


def import_labels(person: Person, path: Path) -> None:
    page = person.page
    person.click(page.get_by_role("link", name="Data", exact=True).first)
    person.click(page.get_by_role("button", name="Import data").or_(page.get_by_role("link", name="Import data")).first)
    person.bring(page.locator("#pl-file"), path)
    expect(page.get_by_role("heading", name="What the export means")).to_be_visible(timeout=MINUTES)
    person.read(page.locator(".pl-page").first)
    person.choose(page.get_by_label("Prompt", exact=True), "question")
    person.choose(page.get_by_label("Responses, in order"), ["one", "two"])
    person.choose(page.get_by_label("Question that decides"), "best")
    person.choose(page.get_by_label("“both are bad” means"), "both_bad")
    person.click(page.get_by_role("button", name="Read the rows so"))
    person.click(page.get_by_role("button", name="Start import"))
    expect(page.get_by_text("60 items imported")).to_be_visible(timeout=2 * MINUTES)


def judge_blind(person: Person, matches: int) -> None:
    """An evaluation of what was trained against what it started from, judged match by match by keys."""
    page = person.page
    person.click(page.get_by_role("link", name="Evaluate").last)
    page.wait_for_url("**/evaluate*")
    person.read(page.locator(".pl-page").first)
    person.choose(page.get_by_label("Split", exact=True), "")
    person.type(page.get_by_label("At most", exact=True), str(matches))
    person.type(page.get_by_label("Longest answer", exact=True), "24")
    person.click(page.get_by_role("button", name="Start evaluation"))
    expect(page.locator(".pl-badge.state")).to_have_text("succeeded", timeout=5 * MINUTES)
    person.click(page.get_by_role("link", name="Judge these matches"))
    for number in range(matches):
        expect(page.locator(".pl-judge-numbers")).to_contain_text(f"{number} of {matches}")
        person.judge(page.locator(".pl-pair"), "1746b"[number % 5])
    expect(page.get_by_text("All judged")).to_be_visible()


def test_ten_minutes_of_attention(page: Page, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """From a hub's model and an export of labels to an exported, blind-compared checkpoint: ten minutes of a person's.

    Every page that a newcomer meets is read whole; waiting is not counted.
    """
    person = Person(page)
    page.goto("/checkpoints")
    person.click(page.get_by_role("button", name="Register").first)
    person.click(page.get_by_role("button", name="From a hub"))
    person.type(page.get_by_label("Model", exact=True), "someone/tiny")
    person.click(page.get_by_role("button", name="Look it up"))
    person.read(page.get_by_role("dialog"))
    person.click(page.get_by_role("button", name="Download "))
    expect(page.get_by_role("link", name="tiny", exact=True).first).to_be_visible(timeout=2 * MINUTES)

    import_labels(person, argilla(tmp_path / "argilla.json"))
    person.click(page.get_by_role("button", name="Open the dataset"))
    person.click(page.get_by_role("button", name="Train on this"))
    page.wait_for_url("**/new-run?dataset=*")
    person.read(page.locator(".pl-page").first)
    expect(page.get_by_label("Start from", exact=True).locator("option:checked")).to_contain_text("tiny")
    person.click(page.get_by_role("button", name="Quick try"))
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()
    person.click(page.get_by_role("button", name="Launch run"))
    page.wait_for_url("**/run?id=*")
    expect(page.get_by_label("Status").get_by_text("succeeded")).to_be_visible(timeout=8 * MINUTES)
    run = page.url

    judge_blind(person, 16)
    person.click(page.get_by_role("button", name="Results"))
    person.read(page.get_by_role("table").first)

    page.goto(run)
    person.click(page.get_by_role("link", name=re.compile("^Step ")).last)
    person.click(page.get_by_role("button", name="Export", exact=True))
    expect(page.get_by_text("vllm serve")).to_be_visible(timeout=2 * MINUTES)
    with page.expect_download() as download:
        person.click(page.get_by_role("link", name="Download ("))
    assert download.value.suggested_filename.endswith(".tar")

    told = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in person.seconds.items())
    record_property("attention", f"{person.actions} actions, {person.total:.0f} s: {told}")
    assert person.total <= TEN_MINUTES, told
