"""lm-evaluation-harness stopped in its middle: what it had measured stays, its process ends, the rest is done later.

The process and what it says are real; a library that takes as long as the test wants stands in for the harness.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.db import transaction
from backend.evaluations import service
from tests import loop
from tests.checkpoints import make_llama
from tests.conftest import Client
from workers import answering
from workers.tasks import evaluate

pytestmark = pytest.mark.usefixtures("warm")
WORKER = "from workers.tasks import evaluate; evaluate.work()"
LIBRARY = {
    "__init__": """
import os, time
from pathlib import Path
def simple_evaluate(model, tasks, **_):
    (name,), place = tasks, Path(os.environ["STAND_IN"])
    with (place / "asked").open("a") as asked:
        asked.write(f"{name} {os.getpid()}\\n")
    while name == "slow" and not (place / "go").exists():
        time.sleep(0.02)
    samples = [{"doc_id": number, "acc": 1.0} for number in range(4)]
    return {"results": {name: {"acc,none": 1.0, "acc_stderr,none": 0.0}}, "samples": {name: samples},
            "higher_is_better": {name: {"acc": True}}}
""",
    "models/__init__": "",
    "models/huggingface": "class HFLM:\n    def __init__(self, **_): pass\n",
    "tasks": "class TaskManager:\n    all_tasks = ['quick', 'slow']\n    def __init__(self, **_): pass\n",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the library says what it was asked, and waits for leave to end a slow task."""
    for name, source in LIBRARY.items():
        file = tmp_path / "library" / "lm_eval" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    monkeypatch.syspath_prepend(tmp_path / "library")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "library"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("STAND_IN", str(tmp_path))
    return tmp_path


def until(met: Callable[[], Any], what: str) -> Any:
    """What `met` gives, once it gives something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := met():
            return found
        time.sleep(0.02)
    pytest.fail(f"It never came: {what}.")


def test_it_goes_on_where_it_was(researcher: Client, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker is killed, then another one is told to cancel: each time its process ends, the task that was measured
    is kept and not measured again, and at last all of both contestants is there."""
    monkeypatch.setattr(answering, "ASK_SECONDS", 0.05)
    ids = [str(loop.add_checkpoint(make_llama(place / name, ["tea"], context=64), name).id) for name in ("a", "b")]
    made = researcher.post(
        "/api/v1/evaluations",
        json={
            "name": "Stopped", "contestants": ids, "prompts": {"texts": []}, "judge": {"name": "rules"},
            "harness": {"tasks": ["quick", "slow"]},
        },
    )  # fmt: skip
    assert made.status_code == 202, made.text
    path = f"/api/v1/evaluations/{made.json()['id']}"

    def asked() -> list[list[str]]:
        file = place / "asked"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def in_its_middle(slow: int) -> int:
        """The process of the harness, once it is at its slow task for the so manieth time, and quick ones are kept."""
        at = until(lambda: [pid for name, pid in asked() if name == "slow"][slow - 1 :], "the slow task")
        until(lambda: researcher.get(path).json()["done"] == 1, "what was measured")
        return int(at[0])

    worker = subprocess.Popen([sys.executable, "-c", WORKER], env=dict(os.environ))
    try:
        first = in_its_middle(1)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        until(lambda: not psutil.pid_exists(first), "the end of the harness whose worker died")

        def swept() -> int:
            with transaction() as session:
                return service.sweep(session)

        until(swept, "the sweep of what the dead worker had")
        second_worker = threading.Thread(target=evaluate.work, daemon=True)
        second_worker.start()
        second = in_its_middle(2)
        assert researcher.post(f"{path}/cancel").status_code == 200
        second_worker.join(60)
        assert not psutil.pid_exists(second)
        stopped = researcher.get(path).json()
        assert (stopped["state"], stopped["done"], stopped["attempts"]) == ("cancelled", 1, 2), stopped
    finally:
        (place / "go").touch()  # so that nothing waits for ever, whatever failed
        worker.kill()
        worker.wait()

    assert researcher.post(f"{path}/resume").json()["state"] == "queued"
    evaluate.work()

    found = researcher.get(path).json()
    assert (found["state"], found["done"], found["total"]) == ("succeeded", 4, 4), found
    assert [name for name, _ in asked()] == ["quick", "slow", "slow", "slow", "quick", "slow"]
    measured = researcher.get(f"{path}/report").json()["measured"]
    assert "quick" in str(measured)
    assert "slow" in str(measured)
