"""Whole runs: what is on disk afterwards, what was told on the way, and how each failure ends."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from alignment.generation import Generator
from alignment.generation.rows import Room
from alignment.sampling import Sampling
from alignment.training import Spec, TrainingError, train
from alignment.training.__main__ import main
from alignment.training.errors import DiskFull, FolderInUse, OutOfMemory, TooFewExamples, Unexpected
from alignment.training.events import Events
from alignment.training.failures import named, require_room
from alignment.training.measures import METRICS
from alignment.training.prepare import prepare
from alignment.training.ranks import Ranks
from alignment.training.run import EVENTS
from alignment.training.step import Learner
from alignment.training.stop import CONTROL, Stop
from tests.alignment.training.conftest import MakeSnapshot, MakeSpec, ended, fork, written

PROMPT = [{"role": "user", "content": "the cat"}]
GREEDY = Sampling(temperature=0, max_new_tokens=12)


def events_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / EVENTS).read_text().splitlines()]


def of_type(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(next(folder.glob("*.safetensors")))
    return loaded


def test_a_run_tells_its_steps_and_leaves_a_checkpoint_that_answers(make_spec: MakeSpec, tmp_path: Path) -> None:
    """The whole way: metrics by name for each step, an evaluation, a sample, a checkpoint, and done."""
    heard: list[dict[str, Any]] = []
    summary = train(make_spec(duration={"steps": 12}), tmp_path / "out", heard.append)
    events = events_of(tmp_path / "out")
    steps = [event for event in of_type(events, "step") if event["examples"]]

    assert heard == events
    assert [event["step"] for event in steps] == list(range(1, 13))
    assert {*METRICS, "grad_norm", "learning_rate", "memory/peak_gb"} < set(steps[0]["values"])
    assert abs(steps[0]["values"]["rewards/margins"]) < 1e-5
    assert steps[0]["values"]["loss"] == pytest.approx(0.693147, abs=1e-5)
    assert steps[-1]["values"]["loss"] < 0.69
    assert of_type(events, "step")[-1]["values"]["eval/rewards/accuracies"] > 0.5
    assert of_type(events, "sample")[0]["split"] == "validation"
    assert events[-1]["type"] == "done"
    assert events[-1]["cancelled"] is False
    assert events[-1]["checkpoint"] == str(summary.checkpoint) == of_type(events, "checkpoint")[-1]["path"]
    assert summary.checkpoint is not None
    assert Generator(summary.checkpoint).generate([PROMPT], GREEDY)[0].tokens > 0


@pytest.mark.parametrize("objective", ["cdpo", "ipo_avg", "simpo"])
def test_every_objective_trains(objective: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    """Each part of the catalogue lowers its own loss on data that can be learned."""
    spec = make_spec(objective={"name": objective}, duration={"steps": 10}, evaluate={"every_steps": 100, "samples": 0})
    train(spec, tmp_path / "out")
    losses = [event["values"]["loss"] for event in of_type(events_of(tmp_path / "out"), "step") if event["examples"]]

    assert losses[-1] < losses[0]


def test_the_same_seed_gives_the_same_weights(make_spec: MakeSpec, make_snapshot: MakeSnapshot, tmp_path: Path) -> None:
    """A run can be repeated; another seed is another run."""
    data = [{"path": str(make_snapshot())}]
    found = [
        weights(train(make_spec(snapshots=data, seed=seed), tmp_path / name).checkpoint or tmp_path)
        for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    ]

    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert not all(torch.equal(found[0][name], found[2][name]) for name in found[0])


def test_lora_leaves_an_adapter_that_loads_by_its_folder_and_can_be_trained_again(
    make_spec: MakeSpec, base: Path, tmp_path: Path
) -> None:
    """An adapter folder answers alone or beside its base, differs from it, and starts the next run, of either kind."""
    lora = {"kind": "lora", "rank": 4, "alpha": 64, "dropout": 0.1}
    spec = make_spec(tuning=lora, duration={"steps": 8}, optimizer={"learning_rate": 3e-2})
    first = train(spec, tmp_path / "first").checkpoint
    assert first is not None
    second = train(make_spec(tuning=lora, checkpoint=str(first)), tmp_path / "second")
    whole = train(make_spec(checkpoint=str(first)), tmp_path / "whole").checkpoint
    assert second.checkpoint is not None
    opening = of_type(events_of(tmp_path / "second"), "step")[0]["values"]

    assert (first / "adapter_model.safetensors").exists()
    assert not (first / "model.safetensors").exists()
    alone, beside = (Generator(where).generate([PROMPT], GREEDY)[0].text for where in (first, (base, first)))
    assert alone == beside
    assert alone != Generator(base).generate([PROMPT], GREEDY)[0].text
    assert abs(opening["rewards/margins"]) < 1e-4
    assert Generator(second.checkpoint).generate([PROMPT], GREEDY)[0].tokens > 0
    assert whole is not None
    assert (whole / "model.safetensors").exists()


def test_dropout_is_off_while_a_run_is_measured(make_spec: MakeSpec, tmp_path: Path) -> None:
    """What an evaluation says of a checkpoint is what the saved checkpoint gives, whatever dropout it trains with."""
    lora = {"kind": "lora", "rank": 4, "alpha": 64, "dropout": 0.5}
    spec = make_spec(tuning=lora, duration={"steps": 4}, optimizer={"learning_rate": 3e-2})
    summary = train(spec, tmp_path / "run")
    assert summary.checkpoint is not None

    with Events(tmp_path / "events.jsonl") as events:
        saved = prepare(Spec.model_validate(make_spec(checkpoint=str(summary.checkpoint))), events, Stop())

    assert saved.reference is not None
    chosen, rejected = torch.stack(list(saved.reference.validation)).mean(dim=0).tolist()
    assert summary.metrics["eval/logps/chosen"] == pytest.approx(chosen, abs=1e-3)
    assert summary.metrics["eval/logps/rejected"] == pytest.approx(rejected, abs=1e-3)


def test_bf16_runs_keep_rewards_at_zero_at_the_start(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Policy and reference go the same way in reduced precision too."""
    for kind in ("full", "lora"):
        train(make_spec(precision="bf16", tuning={"kind": kind}, duration={"steps": 1}), tmp_path / kind)
        events = events_of(tmp_path / kind)
        floor = next(event["noise_floor"] for event in of_type(events, "log") if "noise_floor" in event)

        assert abs(of_type(events, "step")[0]["values"]["rewards/margins"]) <= 0.1 * 2 * floor + 0.02


def test_ranks_answer_prompts_in_the_same_turns(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All compute as much at once as the one with least memory can: else one would wait for turns of another."""
    rooms: list[Room | None] = []
    made = Generator.of

    def of(model: Any, tokenizer: Any, room: Room | None = None) -> Generator:
        rooms.append(room)
        return made(model, tokenizer, room)

    monkeypatch.setattr(Generator, "of", of)
    monkeypatch.setattr(Ranks, "each", lambda _, value: [value, 40] if isinstance(value, int) else [value])
    train(make_spec(duration={"steps": 1}, evaluate={"samples": 3}), tmp_path / "out")

    assert [room.tokens for room in rooms if room is not None] == [40]
    assert len(of_type(events_of(tmp_path / "out"), "sample")) == 3


def test_another_reference_is_compared_with(make_spec: MakeSpec, base: Path, tmp_path: Path) -> None:
    """A reference of its own makes rewards differ from zero at once."""
    moved = train(make_spec(optimizer={"learning_rate": 1e-2}), tmp_path / "moved").checkpoint

    train(make_spec(reference=str(moved)), tmp_path / "out")

    assert abs(of_type(events_of(tmp_path / "out"), "step")[0]["values"]["rewards/chosen"]) > 1e-3


def test_the_latest_and_the_best_checkpoints_stay(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Old checkpoints go, the best by the chosen metric stays, and what stayed is told at the end."""
    spec = make_spec(
        duration={"steps": 6},
        evaluate={"every_steps": 1, "samples": 0},
        keep={"last": 1, "best": "eval/loss"},
    )
    summary = train(spec, tmp_path / "out")
    events = events_of(tmp_path / "out")
    written = of_type(events, "checkpoint")
    best = min(written, key=lambda event: event["metrics"]["eval/loss"])

    assert len(written) == 6
    assert {path.name for path in (tmp_path / "out" / "checkpoints").iterdir()} == {str(best["step"]), "6"}
    assert {str(saved.path) for saved in summary.checkpoints} == {best["path"], written[-1]["path"]}
    removed = {event["removed_checkpoint"] for event in events if "removed_checkpoint" in event}
    assert removed == {event["path"] for event in written} - {best["path"], written[-1]["path"]}


def test_a_folder_that_holds_something_is_not_overwritten(spec: Spec, tmp_path: Path) -> None:
    """Nothing of an earlier run is lost."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("keep")

    with pytest.raises(FolderInUse):
        train(spec, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious.txt"]


def test_too_few_examples_are_refused_with_both_numbers(make_spec: MakeSpec, tmp_path: Path) -> None:
    """A dataset smaller than one step ends the run before any weights are loaded."""
    with pytest.raises(TooFewExamples) as refused:
        train(make_spec(batch={"examples_per_step": 64}), tmp_path / "out")

    last = events_of(tmp_path / "out")[-1]
    assert (last["type"], last["code"], last["exit_code"]) == ("error", "too_few_examples", 65)
    assert last["field"] == "batch.examples_per_step"
    assert "12 training examples" in refused.value.detail
    assert "64" in refused.value.detail


def test_a_bad_spec_in_a_notebook_names_its_field(make_spec: MakeSpec, tmp_path: Path) -> None:
    """The library refuses like the command line, and makes no folder."""
    with pytest.raises(TrainingError) as refused:
        train(make_spec(optimizer={"learning_rat": 1}), tmp_path / "out")

    assert refused.value.field == "optimizer.learning_rat"
    assert not (tmp_path / "out").exists()


def test_weights_that_are_no_numbers_end_the_run_with_70(make_spec: MakeSpec, base: Path, tmp_path: Path) -> None:
    """A loss that is NaN stops the run, says at which step, and writes no checkpoint."""
    broken = shutil.copytree(base, tmp_path / "broken")
    tensors = weights(broken)
    tensors["model.norm.weight"][:] = float("nan")
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})

    with pytest.raises(TrainingError) as stopped:
        train(make_spec(checkpoint=str(broken)), tmp_path / "out")

    assert stopped.value.exit_code == 70
    assert "step 1" in events_of(tmp_path / "out")[-1]["detail"]
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_exhausted_memory_ends_the_run_with_71(spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running out of memory is told as such, with what to lower."""

    def exhausted(*_: object) -> dict[str, float]:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Learner, "update", exhausted)
    with pytest.raises(OutOfMemory):
        train(spec, tmp_path / "out")

    assert events_of(tmp_path / "out")[-1]["field"] == "batch.tokens_per_pack"


def test_a_cpu_that_cannot_allocate_is_out_of_memory_too() -> None:
    """PyTorch reports it as a plain RuntimeError on a CPU; a defect keeps its own name."""
    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**46)

    assert isinstance(named(failed.value), OutOfMemory)
    assert isinstance(named(RuntimeError("shapes")), Unexpected)
    assert "shapes" not in named(RuntimeError("shapes")).detail


def test_a_disk_without_room_is_told_before_writing(tmp_path: Path) -> None:
    """A checkpoint that cannot fit is not begun."""
    with pytest.raises(DiskFull):
        require_room(tmp_path, 2**60)


def test_a_stop_saves_the_last_whole_step(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Cancelling keeps what was learned and ends as done, not as an error."""
    stop = Stop()

    def after_two(event: dict[str, Any]) -> None:
        if event["type"] == "step" and event["step"] == 2:
            stop.ask()

    summary = train(make_spec(duration={"steps": 1000}), tmp_path / "out", after_two, stop)

    assert summary.cancelled
    assert summary.step == 2
    assert summary.checkpoint == tmp_path / "out" / "checkpoints" / "2"
    assert events_of(tmp_path / "out")[-1]["cancelled"] is True


def test_a_stop_before_the_first_step_leaves_no_checkpoint(spec: Spec, tmp_path: Path) -> None:
    """Nothing was trained, so nothing is saved."""
    stop = Stop()
    stop.ask()

    summary = train(spec, tmp_path / "out", stop=stop)

    assert summary.cancelled
    assert summary.checkpoint is None


def wait_for_step(folder: Path, process: int) -> None:
    deadline = time.monotonic() + 120
    while not ((folder / EVENTS).exists() and '"type": "step"' in (folder / EVENTS).read_text()):
        assert os.waitpid(process, os.WNOHANG) == (0, 0)
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            raise AssertionError("no step was taken")
        time.sleep(0.05)


@pytest.mark.slow
def test_sigterm_saves_and_exits_with_0(make_spec: MakeSpec, tmp_path: Path) -> None:
    """A terminated training process leaves its checkpoint and the word done."""
    folder = written(tmp_path / "run", make_spec(duration={"steps": 1_000_000}))
    process = fork(lambda: os._exit(main([str(folder)])))
    wait_for_step(folder, process)

    os.kill(process, signal.SIGTERM)

    assert ended(process) == 0
    last = events_of(tmp_path / "run")[-1]
    assert last["cancelled"] is True
    assert Path(last["checkpoint"], "model.safetensors").exists()


@pytest.mark.slow
def test_a_training_process_whose_worker_is_gone_saves_and_exits(make_spec: MakeSpec, tmp_path: Path) -> None:
    """The end of the control pipe stops the run: no orphan trains on."""
    folder = written(tmp_path / "run", make_spec(duration={"steps": 1_000_000}))
    reading, writing = os.pipe()

    def orphaned() -> None:
        os.close(writing)
        os.environ[CONTROL] = str(reading)
        os._exit(main([str(folder)]))

    process = fork(orphaned)
    os.close(reading)
    wait_for_step(folder, process)

    os.close(writing)

    assert ended(process) == 0
    assert events_of(tmp_path / "run")[-1]["cancelled"] is True


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_74_and_nothing_half_written(make_spec: MakeSpec, tmp_path: Path) -> None:
    """When a checkpoint cannot be written whole, no part of it stays."""
    folder = written(tmp_path / "run", make_spec())

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        os._exit(main([str(folder)]))

    assert ended(fork(limited)) == 74
    assert events_of(tmp_path / "run")[-1]["code"] == "disk_full"
    assert list((tmp_path / "run").rglob("*.safetensors")) == []
    assert list((tmp_path / "run" / "state").iterdir()) == []


@pytest.mark.slow
def test_a_spec_with_an_unknown_objective_exits_with_64(make_spec: MakeSpec, tmp_path: Path) -> None:
    """The event names the field and the nearest objective; the terminal says the same."""
    folder = written(tmp_path / "run", make_spec(objective={"name": "dppo"}))
    command = [sys.executable, "-m", "alignment.training", str(folder)]
    process = subprocess.run(command, capture_output=True, timeout=60, check=False)

    assert process.returncode == 64
    assert b"did you mean 'dpo'" in process.stderr
    assert events_of(folder)[-1]["field"] == "objective.name"
