"""Adding an objective touches one file."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
NEW = '''"""DPO at half its strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.objective import Fidelity, Paper, State, log_sigmoid
from alignment.objectives.pairs import WithReference

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class Halfway(WithReference):
    """DPO with half of beta, for a test. At policy == reference the loss is log 2."""

    name: ClassVar[str] = "halfway"
    title: ClassVar[str] = "Halfway"
    formula: ClassVar[str] = r"-\\log\\sigma(\\beta h/2)"
    paper: ClassVar[Paper] = Paper("None", "Nobody", 2026, "2305.18290", "7")
    fidelity: ClassVar[Fidelity] = "reconstruction"

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h / 2), (examples,)."""
        return -log_sigmoid(0.5 * self.beta * batch.pairs().margin)
'''


OVERFLOWING = NEW.replace("halfway", "overflowing").replace("-log_sigmoid(0.5 * ", "(-0.5 * ")
OVERFLOWING = OVERFLOWING.replace("margin)", "margin).exp()").replace(", log_sigmoid", "")


def test_adding_an_objective_touches_one_file(tmp_path: Path) -> None:
    """A file dropped into the catalogue is offered by the schema and held to the whole contract by itself: one that
    keeps it passes, and one whose loss overflows is told."""
    shutil.copytree(ROOT / "alignment", tmp_path / "alignment", ignore=shutil.ignore_patterns("__pycache__", "base"))
    shutil.copytree(ROOT / "tests/alignment/objectives", tmp_path / "tests/alignment/objectives")
    for package in ("tests", "tests/alignment"):
        (tmp_path / package / "__init__.py").touch()
    for name, text in (("halfway", NEW), ("overflowing", OVERFLOWING)):
        (tmp_path / f"alignment/objectives/{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    tests = [f"tests/alignment/objectives/test_{what}.py" for what in ("catalogue", "contract")]

    done = subprocess.run(
        [*command, "-k", "halfway or overflowing or published_schema", *tests],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    failed = dict(re.findall(r"^FAILED \S+::(\w+)\[(\w+)", done.stdout, re.MULTILINE))
    counted = re.search(r"(\d+) passed", done.stdout)
    assert "test_every_objective_is_finite_at_the_extremes" in failed, done.stdout
    assert set(failed.values()) == {"overflowing"}, done.stdout
    assert counted is not None
    assert int(counted[1]) >= 15
