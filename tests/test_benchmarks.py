"""The benchmark runner: what it finds, and what it keeps of earlier results."""

from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.figure import Figure


def test_every_benchmark_has_a_measure_and_a_sentence() -> None:
    """What `make bench` runs is found by its `measure`, and says what it measures."""
    found = run.names()
    assert {"startup", "closed_loop"} <= set(found)
    for name in found:
        assert run.section(name, []).splitlines()[2]


def test_results_of_other_benchmarks_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring one part replaces that part alone; a broken promise is told, and so is the machine."""
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results.md")
    run.write({"startup": run.section("startup", [Figure("start", 3.21, "s", "at most 15 s", True, "n = 3")])})
    run.write({"closed_loop": run.section("closed_loop", [Figure("win rate", 61.0, "%", "at least 75 %", False)])})
    text = (tmp_path / "results.md").read_text()
    assert "| start | 3.21 s | at most 15 s kept | n = 3 |" in text
    assert "| win rate | 61 % | at least 75 % **not kept** |  |" in text
    assert text.count("cores") == 2
    run.write({"startup": run.section("startup", [Figure("start", 9.0, "s")])})
    text = (tmp_path / "results.md").read_text()
    assert "3.21" not in text
    assert "| start | 9 s |  |  |" in text
    assert "win rate" in text


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt benchmark measures nothing, and the names there are are told."""
    assert run.main(["starrtup"]) == 2
    assert "startup" in capsys.readouterr().err


def test_figures_that_come_one_by_one_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed while it is measured stands in the results afterwards."""
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results.md")
    monkeypatch.setattr("benchmarks.startup.measure", lambda: (Figure(f"part {n}", n, "s") for n in (1, 2)))

    assert run.main(["startup"]) == 0
    assert [word in (tmp_path / "results.md").read_text() for word in ("part 1", "part 2")] == [True, True]
