"""What a card is told: lineage, licence, data, settings and win rates as the rows have them."""

from pathlib import Path

import pytest
from sqlalchemy import case, update

from alignment.export.card import Card
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.evaluations.models import Verdict
from backend.exports import facts, service
from backend.exports.models import Dtype, Export, ExportKind
from tests.exporting import Trained, add_trained, add_verdicts


def card(trained: Trained, checkpoint: Checkpoint | None = None) -> Card:
    with transaction() as session:
        export = Export(
            project_id=trained.base.project_id,
            checkpoint_id=(checkpoint or trained.adapter).id,
            name="x",
            kind=ExportKind.merged,
            dtype=Dtype.as_trained,
        )
        return facts.card(session, export)


def test_lineage_and_data(trained: Trained) -> None:
    """From the base at its commit through the run to this step, with the snapshot, its counts and sources."""
    found = card(trained)

    assert [(one.name, one.hub_id, one.step) for one in found.ancestors] == [
        ("Tiny base", "someone/tiny", None),
        ("Small run · step 4", None, 4),
    ]
    (training,) = found.trainings
    (data,) = training.data
    assert training.objective == {"name": "dpo", "beta": 0.1}
    assert training.spec["optimizer"]["learning_rate"] == 1e-3
    assert (data.dataset, len(data.hash or "")) == ("Harbor pairs", 64)
    assert sum(data.counts.values()) == data.sources["import"] == 60
    assert found.license == "mit"


def test_win_rates(trained: Trained) -> None:
    """The rate against each other contestant by each judge, with n and interval, from this checkpoint's side."""
    add_verdicts(trained, wins=9, losses=3)

    (result,) = card(trained).results
    (other,) = card(trained, trained.base).results

    assert (result.rate, result.n, result.judge, result.against) == (0.75, 12, "shorter", "Tiny base")
    assert result.low is not None
    assert result.high is not None
    assert result.low < 0.75 < result.high
    assert (other.rate, other.against) == (0.25, "Small run · step 4")


def test_a_judge_that_goes_by_the_place(trained: Trained) -> None:
    """One that names the answer shown first every time is no result: its rate would look like one of equals."""
    add_verdicts(trained, wins=9, losses=3)
    with transaction() as session:
        session.execute(update(Verdict).values(probability=case((Verdict.swapped, 0.0), else_=1.0)))

    assert card(trained).results == []


def test_undecided(trained: Trained) -> None:
    """An evaluation that nobody has judged yet is no result."""
    add_verdicts(trained, wins=0, losses=1)
    with transaction() as session:
        session.execute(update(Verdict).values(probability=None, reason="no answer"))

    assert card(trained).results == []


READMES = [
    ("---\nlicense: llama3.2\ntags: [x]\n---\n# Hi\n", "llama3.2"),
    ("---\nlicense: [a, b]\n---\n", None),
    ("---\n: : :\n\t- broken\n---\n", None),
    ("---\n- a\n- b\n---\n", None),
    ("no front matter\nlicense: mit\n", None),
    ("---\nlicense: !!python/object/apply:os.system ['true']\n---\n", None),
]


def test_license_of_a_folder(clean: None, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The card beside a base that came from no hub names the licence; what is broken or hostile there names none."""
    trained = add_trained(*folders, source=Source.folder, hub_id=None, revision=None, license=None)
    with transaction() as session:
        session.get_one(Checkpoint, trained.base.id).path = str(tmp_path)

    (tmp_path / "config.json").write_text("{}")
    for readme, license in READMES:
        (tmp_path / "README.md").write_text(readme)
        assert card(trained).license == license, readme


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Small run · step 4", "small-run-step-4"),
        ("../../etc/passwd", "etc-passwd"),
        ("-rf /", "rf"),
        ("…", "checkpoint"),
        ("a" * 200, "a" * 80),
        ("x\n; rm $HOME `id`", "x-rm-home-id"),
    ],
)
def test_names_of_folders(name: str, slug: str) -> None:
    """Whatever a checkpoint is called, its folder's name means nothing to a shell or a file system."""
    assert service.slug(name) == slug
