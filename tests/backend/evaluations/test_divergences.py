"""KL of contestants to a reference: asked for once, read by the worker, told with intervals, stopped."""

import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.db import transaction
from backend.evaluations.models import TokenScores
from tests.backend.evaluations.conftest import Body
from tests.conftest import Client
from workers.tasks import token_scores


def test_kl_to_the_baseline(researcher: Client, evaluated: Body) -> None:
    """Every prompt's answer is read once; k1 is the mean log-ratio of what was read, k3 never below 0."""
    path = f"/api/v1/evaluations/{evaluated['id']}/divergences"
    asked = researcher.post(path, json={})
    assert asked.status_code == 202, asked.text
    (one,) = asked.json()["items"]
    assert (one["items"][0]["waiting"], one["items"][0]["k1"]["value"]) == (12, None)
    researcher.post(path, json={})
    token_scores.work()

    (told,) = researcher.get(path).json()["items"]
    (found,) = told["items"]
    base, tuned = evaluated["contestants"]
    assert (told["reference"]["id"], found["contestant"], told["warnings"]) == (base["id"], tuned["id"], [])
    assert (found["waiting"], found["failed"], found["k1"]["n"], found["k1"]["prompts"]) == (0, 0, 12, 12)
    with transaction() as session:
        read = [row.result or {} for row in session.query(TokenScores)]
    ratios = [np.subtract(one["policy"], one["reference"]) for one in read]
    assert len(read) == 12
    assert found["k1"]["value"] == pytest.approx(np.mean([one.sum() for one in ratios]))
    assert found["exact"]["value"] == pytest.approx(np.mean([sum(one["kl"]) for one in read]))
    assert 0 <= found["exact"]["low"] < found["exact"]["high"]
    assert found["k1"]["low"] < found["k1"]["value"] < found["k1"]["high"]
    assert found["k3"]["value"] == pytest.approx(np.mean([(np.exp(-one) - 1 + one).sum() for one in ratios]))
    assert found["k3"]["low"] >= 0
    assert found["per_token"]["value"] == pytest.approx(np.concatenate(ratios).mean())


def test_a_copy_has_not_moved_and_work_can_be_stopped(
    researcher: Client, evaluated: Body, folders: list[Path], register: Callable[..., uuid.UUID], tmp_path: Path
) -> None:
    """Against a copy of itself a contestant is at 0 without spread; what is cancelled tells so and can go on."""
    path = f"/api/v1/evaluations/{evaluated['id']}/divergences"
    (tmp_path / "copy").symlink_to(folders[0])
    copy = register("Copy of the base", tmp_path / "copy")
    body = {"reference_id": str(copy), "prompts": 3}
    assert researcher.post(path, json=body).status_code == 202
    stopped = researcher.post(f"{path}/cancel").json()["items"][0]["items"]
    assert [(one["waiting"], one["failed"]) for one in stopped] == [(0, 3), (0, 3)]
    researcher.post(path, json=body)
    token_scores.work()

    (told,) = researcher.get(path).json()["items"]
    by_id = {one["contestant"]: one for one in told["items"]}
    same = by_id[evaluated["contestants"][0]["id"]]
    assert (same["k1"]["value"], same["k3"]["value"], same["k1"]["low"]) == (0, 0, None)
    assert (same["exact"]["value"], same["exact"]["n"]) == (0, 3)
    assert by_id[evaluated["contestants"][1]["id"]]["k1"]["n"] == 3


def test_what_is_refused(anonymous: Client, annotator: Client, researcher: Client, evaluated: Body) -> None:
    """Others may not; a reference of nowhere, no prompts, and too many of them are refused at their field."""
    path = f"/api/v1/evaluations/{evaluated['id']}/divergences"
    for end in ("", "/cancel"):
        assert [one.post(path + end, json={}).status_code for one in (anonymous, annotator)] == [401, 403]
    assert [one.get(path).status_code for one in (anonymous, annotator)] == [401, 403]
    assert researcher.post(path, json={"reference_id": str(uuid.uuid4())}).status_code in (404, 422)
    for number in (0, 201):
        assert researcher.post(path, json={"prompts": number}).status_code == 422
    assert researcher.get(f"/api/v1/evaluations/{uuid.uuid4()}/divergences").status_code == 404


def test_what_was_read_before_divergences_were_is_read_again(researcher: Client, evaluated: Body) -> None:
    """Rows of an earlier version count for the log-ratios; asked again, they tell the divergence, too."""
    path = f"/api/v1/evaluations/{evaluated['id']}/divergences"
    researcher.post(path, json={"prompts": 2})
    token_scores.work()
    with transaction() as session:
        for row in session.query(TokenScores):
            row.result = {name: value for name, value in (row.result or {}).items() if name != "kl"}
    (old,) = researcher.get(path).json()["items"][0]["items"]
    assert (old["k1"]["n"], old["exact"]["n"], old["exact"]["value"]) == (2, 0, None)
    researcher.post(path, json={"prompts": 2})
    token_scores.work()
    (new,) = researcher.get(path).json()["items"][0]["items"]
    assert (new["k1"], new["exact"]["n"]) == (old["k1"], 2)
