"""The benchmark runner: what it finds, and what it keeps of earlier results."""

from pathlib import Path

import pytest

from alignment.training import train
from alignment.training.spec import Spec
from alignment.training.timing import Speed
from benchmarks import engine, estimates, estimates_side, gpu_report, gpu_work, run
from benchmarks.engine_side import Measured
from benchmarks.engine_work import Work
from benchmarks.figure import Figure
from benchmarks.gpu_work import Rival, Seen


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


def measured(seconds: float, gib: float, norm: float = 1.0) -> Measured:
    return Measured(
        seconds=seconds,
        losses=[],
        grad_norms=[norm],
        mib=gib * 512,
        loaded_mib=gib * 512,
        attention="blocks",
        tokens=1,
        computed=1,
    )


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [
        ({1: 5.0, 2: 4.0, 4: 4.9, 8: 9.0}, [2]),
        ({1: 4.7, 2: 4.0, 4: 4.1, 8: 9.0}, [2, 4, 1]),
        ({1: 4.4, 2: 4.0, 4: 4.1, 8: 4.3, 16: 4.2}, [2, 4, 16]),
    ],
)
def test_trls_sizes_that_come_close_take_turns(
    seconds: dict[int, float], sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One measurement is not enough to tell who is fastest; nobody waits for more than three."""
    monkeypatch.setattr(engine, "_run", lambda _folder, rival, _about: measured(seconds[rival.size], 1))
    work = Work("a work", [], tried=tuple(seconds))
    assert engine._close(tmp_path, work, "fp32") == sizes


@pytest.mark.parametrize(("runs", "rounds"), [(2, 1), (3, 1), (4, 2), (9, 3)])
def test_rounds_that_were_whole_are_told_when_it_is_stopped(runs: int, rounds: int) -> None:
    """Ratios are taken within a round: one that was cut short counts for nobody."""
    ours, theirs = (engine.Rival(name, engine.USUAL) for name in ("plumbline", "trl"))
    took = iter(range(runs))

    def run(rival: engine.Rival) -> Measured:
        if (turn := next(took, None)) is None:
            raise KeyboardInterrupt
        return measured(turn, 1)

    seen = engine._taking_turns([ours, theirs], 3, run)
    assert [one["seconds"] for one in seen[ours]] == [0, 2, 4][:rounds]
    assert [one["seconds"] for one in seen[theirs]] == [1, 3, 5][:rounds]


def test_a_first_round_that_was_cut_short_tells_nothing() -> None:
    """What only one side measured cannot be compared."""
    took = iter([measured(1, 1)])

    def run(rival: engine.Rival) -> Measured:
        if (one := next(took, None)) is None:
            raise KeyboardInterrupt
        return one

    with pytest.raises(KeyboardInterrupt):
        engine._taking_turns([engine.Rival(name, engine.USUAL) for name in ("plumbline", "trl")], 3, run)


def test_the_best_of_both_sides_meet_at_equal_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody is measured once; then ours that takes no more than TRL's best and that take turns, and are told."""
    monkeypatch.setattr(gpu_work, "find_spec", lambda name: name == "trl" or None)
    seen: Seen = {}
    speeds = {
        Rival("Plumbline", 0): measured(2, 30),
        Rival("Plumbline", 6144): measured(1.5, 40),
        Rival("Plumbline", 24_576): measured(1, 90),
        Rival("TRL", 2): measured(4, 60, 1.01),
        Rival("TRL", 1, again=True): measured(6, 20),
    }
    turns = []
    while (rival := gpu_work.following(seen)) is not None:
        turns.append(rival)
        seen.setdefault(rival.key, []).append(speeds.get(rival, "out of memory"))

    own, other = Rival("Plumbline", 6144), Rival("TRL", 2)
    assert sorted(turns[:14]) == sorted(gpu_work.rivals())
    assert turns[14:] == [own, other] * 2
    page = gpu_report.report({"a case": seen}, "a machine", "3 passed")
    assert "| a case | 10.7 pairs/s (blocks, 6144 tokens) | 4 pairs/s (TRL, 2 at once) | 2.67" in page
    assert "40.0 GiB | 0.67 | 1.0% | at least 2 times, at most 0.7 of the memory: kept |" in page
    assert "| a case | Plumbline | 30.0 | no | yes | yes |" in page
    assert "| a case | Plumbline, layers computed again | out of memory |" in page
    seen[own.key] = [measured(1.5, 40, 1.2)]
    assert "| 18.8%: **not the same work** | at least 2 times, at most 0.7 of the memory: **not kept** |" in (
        gpu_report.report({"a case": seen}, "a machine", "")
    )
    assert "Tests that need a GPU: 3 passed" in page


def test_what_is_foretold_is_counted_as_a_run_counts(tmp_path: Path) -> None:
    """Steps and tokens of a pass over all pairs are those of the run; the time is that of a machine of this speed."""
    shape = estimates_side.Shape("tiny", hidden=32, prompt=20, response=10)
    estimates_side.make_model(tmp_path / "model", shape)
    estimates_side.make_pairs(tmp_path / "pairs.jsonl", shape)
    slow, fast = (Speed(fp32=((64, speed),), bf16=((64, speed),)) for speed in (1e6, 1e12))

    told = estimates.foretell(tmp_path, shape, fast)
    spec = Spec.model_validate(estimates_side.spec_of(tmp_path, shape))
    done = train(spec, tmp_path / "out")

    assert told.steps == done.step
    assert told.tokens == pytest.approx(done.tokens, rel=estimates.COUNTED_WITHIN)
    assert told.seconds[1] < 60 < estimates.foretell(tmp_path, shape, slow).seconds[0]
