"""lm-evaluation-harness as part of an evaluation: both checkpoints are measured, task by task, and compared by sample.

Needs the extra `evals` but for what reads its results.
"""

import json
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.settings import get_settings
from tests import loop
from tests.checkpoints import make_llama
from tests.conftest import Client
from tests.people import add_person
from workers.harness import told
from workers.tasks import evaluate

TASK = """
task: own_facts
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: ["yes", "no"]
doc_to_target: "{{{{answer}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""


def test_results_are_read_as_the_library_writes_them() -> None:
    """The first metric of which more is better with its error, of a group too, and every sample's score."""
    rows = [{"doc_id": place, "filter": "none", "acc": float(place > 0), "acc_norm": 1.0} for place in range(4)]
    found: Any = {
        "results": {"sums": {"alias": "sums", "acc,none": 0.75, "acc_stderr,none": 0.25, "acc_norm,none": 1.0}},
        "higher_is_better": {"sums": {"acc": True, "acc_norm": True}},
        "samples": {"sums": [*rows, {"doc_id": 0, "filter": "strict", "acc": 1.0}]},
    }
    read = told("sums", found)
    assert (read["metric"], read["value"], read["stderr"], read["n"]) == ("acc", 0.75, 0.25, 4)
    assert read["samples"] == {f"sums/{place}": float(place > 0) for place in range(4)}
    found["results"]["sums"]["acc_stderr,none"] = "N/A"
    assert told("sums", found)["stderr"] is None
    found["results"]["sums"] = {"alias": "sums", "word_perplexity,none": 9.0, "acc,none": 0.75}
    found["higher_is_better"]["sums"]["word_perplexity"] = False
    assert told("sums", found)["metric"] == "acc"
    found["results"] = {"sums": {"alias": "sums"}, "one": {"acc,none": 1.0}}
    with pytest.raises(ValueError, match="one by one"):
        told("sums", found)


def test_without_the_library_the_form_says_how_to_get_it(researcher: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.evaluations.harness.installed", lambda: False)
    told_of = researcher.get("/api/v1/harness").json()
    assert (told_of["installed"], told_of["install"]) == (False, ".venv/bin/pip install -e '.[evals]'")
    body = {
        "name": "A", "contestants": [str(uuid.uuid4()), str(uuid.uuid4())], "prompts": {"checks": []},
        "judge": {"name": "prompt_checks"},
    }  # fmt: skip
    for task in ("/etc/passwd", "../own.yaml", "a b", "$(id)"):
        answer = researcher.post("/api/v1/evaluations", json=body | {"harness": {"tasks": [task]}})
        assert (answer.status_code, answer.json()["field"]) == (422, "harness.tasks.0")


@pytest.mark.skipif(find_spec("lm_eval") is None, reason="Not installed: pip install -e '.[evals]'")
def test_a_run_is_compared_on_a_task_of_its_own(
    researcher: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that an admin has put into a folder, without any prompt check: measured on both, compared by sample."""
    texts = [f"Is {number} even? yes no" for number in range(12)]
    (tmp_path / "own").mkdir()
    data = tmp_path / "own" / "facts.jsonl"
    data.write_text(
        "".join(json.dumps({"question": text[:-7], "answer": n % 2}) + "\n" for n, text in enumerate(texts))
    )
    (tmp_path / "own" / "own_facts.yaml").write_text(TASK.format(data=data))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(get_settings(), "harness_tasks", tmp_path / "own")
    base, tuned = (
        loop.add_checkpoint(make_llama(tmp_path / name, texts, context=128, seed=seed), name)
        for seed, name in enumerate(("base", "tuned"))
    )
    with transaction() as session:
        user = add_person(session, Role.researcher)
    run = loop.add_run(user, base, loop.add_dataset(12))
    with transaction() as session:
        row = session.get_one(Checkpoint, tuned.id)
        row.run_id, row.step, row.source = run.id, 4, Source.run
    place = f"/api/v1/runs/{run.id}/regressions"
    asked = researcher.post(place, json={"harness": {"tasks": ["own_facts"], "limit": 10}})
    assert asked.status_code == 202, asked.text
    assert asked.json()["total"] == 2

    evaluate.work()

    found = researcher.get(f"/api/v1/regressions/{asked.json()['id']}").json()
    assert (found["state"], found["done"]) == ("succeeded", 2), found
    (part,) = found["result"]["parts"]
    assert (part["kind"], part["name"], part["prompts"], part["method"]) == ("task", "own_facts (acc)", 10, "paired")

    missing = researcher.post(place, json={"harness": {"tasks": ["none_such"]}}).json()
    evaluate.work()
    failed = researcher.get(f"/api/v1/regressions/{missing['id']}").json()
    assert (failed["state"], failed["reason"]) == ("failed", "lm-evaluation-harness knows no task “none_such”.")
