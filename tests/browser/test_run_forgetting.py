"""The page of a run that forgets, in a real browser: both curves, and sentences that read them."""

import pytest
from playwright.sync_api import expect

from backend.db import transaction
from backend.runs.models import Metric, Run, RunEvent, RunSnapshot
from tests import contest
from tests.browser.conftest import SignIn
from tests.browser.test_evaluation_pictures import shoot

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)

SPEC = {
    "tuning": {"kind": "full"},
    "optimizer": {"learning_rate": 1e-5, "schedule": "linear"},
    "batch": {"examples_per_step": 8},
    "seed": 0,
    "objective": {"name": "npo_grad_diff"},
}
SETS = {
    "forget": {"answers": 200, "of": 1000, "split": "train"},
    "retain": {"answers": 40, "of": 40, "split": "validation"},
}


def test_forgotten_and_kept(sign_in: SignIn, clean: None) -> None:
    """What is to go has gone, what is to stay stays; on how many answers that is read stands below."""
    made = contest.make(2)
    with transaction() as session:
        run = session.get_one(Run, made.runs[0])
        run.spec, run.objective, run.done, run.total, run.events_offset = SPEC, "npo_grad_diff", 20, 20, 1000
        session.add(RunSnapshot(run_id=run.id, position=0, snapshot_id=run.snapshot_id))
        session.add(RunEvent(run_id=run.id, kind="log", payload={"level": "info", "message": "m", "forgetting": SETS}))
        for place, step in enumerate((0, 10, 20)):
            for name, now, change, reach in (("forget", -1.0, -1.5, 0.2), ("retain", -1.2, -0.01, 0.05)):
                for kind, value in (("logps", now + change * place), ("change", change * place)):
                    for end, bound in (("", 0.0), ("/low", -reach), ("/high", reach)):
                        row = {"run_id": run.id, "name": f"{name}/{kind}{end}", "step": step, "at": place + 1}
                        session.add(Metric(**row, value=value + bound))

    page = sign_in()
    page.goto(f"/run?id={made.runs[0]}")
    card = page.get_by_role("region", name="Forgotten and kept")
    expect(card).to_contain_text(
        "Forgot: the perplexity of the answers to be forgotten went from 2.72 to 54.6 by step 20"
    )
    expect(card).to_contain_text("Kept: the perplexity of the answers to be retained went from 3.32 to 3.39")
    expect(card).to_contain_text("200 of 1 000 answers to be forgotten (trained on)")
    expect(card.locator(".pl-chart .scatterlayer .trace").first).to_be_attached()
    expect(card.get_by_role("heading", name="Judged quality")).to_be_visible()
    expect(card.get_by_text("of the matches against Base & <b>bold</b>, judged by rules")).to_be_visible()
    card.get_by_text("The curves as a table").click()
    expect(card.get_by_role("row")).to_have_count(7)
    expect(page.get_by_role("region", name="Metrics").get_by_text("forget/logps")).to_have_count(0)
    shoot(page, "forgetting")
