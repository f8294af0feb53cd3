"""Checkpoints that tell what data do not: launched with a run, refused by name before anything is queued."""

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from alignment.training.folder import READING
from alignment.training.kinds.bradley_terry import BradleyTerry
from alignment.training.kinds.gpm_rm import GPM
from backend.checkpoints.models import Checkpoint, CheckpointKind
from backend.datasets import service as datasets
from backend.db import transaction
from backend.projects import service as projects
from backend.runs import service
from backend.runs.models import Run
from tests import loop
from tests.backend.runs.conftest import Body, Launched
from tests.checkpoints import make_llama
from tests.conftest import Client

MADPO = {"name": "madpo"}


def reward_model(base: Checkpoint, folder: Path, reading: dict[str, Any] | None) -> str:
    """The id of a reward model, known by its headers, whose head is read so."""
    shutil.copytree(base.path, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "a", "1": "b"}})
    )
    if reading is not None:
        (folder / READING).write_text(json.dumps(reading))
    found = loop.add_checkpoint(folder, folder.name)
    with transaction() as session:
        kind = CheckpointKind.reward_model
        session.execute(update(Checkpoint).where(Checkpoint.id == found.id).values(kind=kind))
    return str(found.id)


def refused(researcher: Client, sent: dict[str, Any], words: str) -> str:
    """The field at which both the launch and the pre-flight refuse with these words."""
    answer = researcher.post("/api/v1/runs", json=sent)
    (told, *_) = researcher.post("/api/v1/runs/preflight", json=sent).json()["errors"]
    assert answer.status_code == 422
    for said in (answer.json(), told):
        assert words in f"{said['detail']} {said.get('remedy')}"
    assert told["field"] == answer.json()["field"]
    return str(told["field"])


def test_a_reward_model_feeds_pairs_without_scores(
    researcher: Client, body: Body, launched: Launched, base: Checkpoint, tmp_path: Path
) -> None:
    """Without it the data are refused, and it is named as a remedy; with it the run has its place in the spec."""
    remedy = "a further checkpoint that scores responses (reward)"
    assert refused(researcher, body(objective=MADPO), remedy) == "dataset_id"

    head = reward_model(base, tmp_path / "head", BradleyTerry().reading())
    told = researcher.post("/api/v1/runs/preflight", json=body(objective=MADPO, third_ids={"reward": head})).json()
    run = launched(objective=MADPO, third_ids={"reward": head})

    assert (told["errors"], told["estimate"]["examples"] > 0) == ([], True)
    assert researcher.get(f"/api/v1/runs/{run['id']}").json()["third_ids"] == {"reward": head}
    with transaction() as session:
        found = service.materials(session, session.get_one(Run, uuid.UUID(run["id"])))
        assert found.fetched(Path).third == {"reward": tmp_path / "head"}


def test_pairs_are_counted_twice_where_nobody_knows_yet_which_agree_with_their_scores(
    researcher: Client, body: Body, base: Checkpoint, tmp_path: Path
) -> None:
    """Each pair may be asked for both of its scores."""
    head = reward_model(base, tmp_path / "head", BradleyTerry().reading())

    def examples(**changes: Any) -> int:
        told = researcher.post("/api/v1/runs/preflight", json=body(**changes)).json()
        return int(told["estimate"]["examples"])

    assert examples(objective={"name": "ra_dpo"}, third_ids={"reward": head}) == 2 * examples()


@pytest.mark.parametrize("degree", [2.0, 2.5])
def test_a_reward_excuses_no_mistake_of_the_data(
    degree: float, researcher: Client, body: Body, base: Checkpoint, tmp_path: Path
) -> None:
    """What the data alone say is looked at as without rewards: a degree that the objective does not know is refused."""
    head = reward_model(base, tmp_path / "head", BradleyTerry().reading())
    items = loop.pairs(60)
    for item in items:
        item.facts["aspects"] = [{"removed": 0.0}, {"removed": degree}]
    with transaction() as session:
        dataset = datasets.create_from_items(session, projects.default(session), "Degrees", items)
    terms = [{"objective": {"name": "spo_degree", "degrees": "data"}}, {"objective": {"name": "odpo_log"}}]
    sent = {
        **body(objective={"name": "sum", "terms": terms}, third_ids={"reward": head}),
        "dataset_id": str(dataset.id),
    }

    if degree == 2.0:
        assert researcher.post("/api/v1/runs", json=sent).status_code == 202
    else:
        assert refused(researcher, sent, "says that 2.5 was removed") == "dataset_id"


def test_an_implicit_reward_has_its_scale(launched: Launched, base: Checkpoint, researcher: Client, body: Body) -> None:
    """Two language models tell one reward, and their scale is part of the run's spec; where none is implicit, it is
    refused."""
    pair = {"reward": str(base.id), "reward_reference": str(base.id)}

    run = launched(objective=MADPO, third_ids=pair, reward_beta=0.3)

    assert researcher.get(f"/api/v1/runs/{run['id']}").json()["spec"]["reward_beta"] == 0.3
    assert refused(researcher, body(reward_beta=0.3), "would scale nothing") == "reward_beta"
    alone = body(objective=MADPO, third_ids={"reward": str(base.id)})
    assert refused(researcher, alone, "Choose that one as reward_reference") == "third_ids"


@pytest.mark.parametrize(
    ("reading", "objective", "against", "words"),
    [
        (BradleyTerry().reading(), MADPO, True, "measured against nothing"),
        (GPM().reading(), MADPO, False, "scores none"),
        (None, MADPO, False, "does not say how its head is read"),
        ({"objective": {"name": "guess"}}, MADPO, False, "names no reward model"),
        ({"objective": ["nonsense"]}, MADPO, False, "names no reward model"),
        (BradleyTerry().reading(), {"name": "dpo"}, False, "asks for no checkpoint named 'reward'"),
    ],
    ids=["against", "general", "unread", "unknown", "hostile", "unasked"],
)
def test_what_tells_no_reward_is_refused_before_anything_is_queued(
    researcher: Client,
    body: Body,
    base: Checkpoint,
    tmp_path: Path,
    reading: dict[str, Any] | None,
    objective: dict[str, Any],
    against: bool,
    words: str,
) -> None:
    """By the pre-flight and by the launch, at the field of the further checkpoints."""
    thirds = {"reward": reward_model(base, tmp_path / "head", reading)}
    thirds |= {"reward_reference": str(base.id)} if against else {}

    assert refused(researcher, body(objective=objective, third_ids=thirds), words).startswith("third_ids")


def test_a_reward_that_compares_other_tokens_is_refused(researcher: Client, body: Body, tmp_path: Path) -> None:
    """Both halves of a log-ratio read the same tokens; the model that is trained may read others."""
    make_llama(tmp_path / "one", ["some words of the one"])
    make_llama(tmp_path / "other", ["altogether different vocabulary here"], vocabulary=280)
    one, other = (str(loop.add_checkpoint(tmp_path / name, name).id) for name in ("one", "other"))

    unlike = body(objective=MADPO, third_ids={"reward": one, "reward_reference": other}, checkpoint_id=other)
    alike = body(objective=MADPO, third_ids={"reward": one, "reward_reference": one}, checkpoint_id=other)

    assert refused(researcher, unlike, "another tokenizer than the reward") == "third_ids"
    assert researcher.post("/api/v1/runs", json=alike).status_code == 202
