"""Runs that are killed, stopped or fail, and go on: the same curve and the same weights, to the last bit."""

import json
import os
import pickle
import resource
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from alignment.formats import snapshot
from alignment.training import Spec, TrainingError, resume, train, whole
from alignment.training.__main__ import main
from alignment.training.data import Example
from alignment.training.encode import Encoded
from alignment.training.errors import DiskFull, FolderInUse, NonFiniteLoss, OutOfMemory, StateRefused
from alignment.training.events import Events
from alignment.training.exhausted import out_of_memory
from alignment.training.footprint import state_bytes
from alignment.training.run import EVENTS, run_folder
from alignment.training.state import Held, States
from alignment.training.step import Learner
from alignment.training.stop import Stop, signals
from tests.alignment.training.conftest import MakeSnapshot, MakeSpec, ended, examples, fork, small, written
from tests.alignment.training.test_run import events_of, of_type, weights

MEASURED_BY_TIME = ("throughput/tokens_per_second", "throughput/examples_per_second", "memory/peak_gb")
LORA = {"kind": "lora", "rank": 2, "alpha": 8, "dropout": 0.3}


def curve(folder: Path) -> dict[int, dict[str, Any]]:
    """The values of every step as a reader has them: later ones take the place of earlier ones."""
    found: dict[int, dict[str, Any]] = {}
    for event in events_of(folder):
        if event["type"] == "resumed":
            found = {step: values for step, values in found.items() if step <= event["step"]}
        if event["type"] == "step":
            told = {name: value for name, value in event["values"].items() if name not in MEASURED_BY_TIME}
            found.setdefault(event["step"], {}).update(told, epoch=event["epoch"])
    return found


def last(folder: Path) -> dict[str, torch.Tensor]:
    places = sorted((folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
    return weights(places[-1])


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def ended_at(folder: Path, place: str, at: int, number: int, stop: Stop | None = None) -> None:
    """Run the folder, and send this process a signal when it comes by a place for the n-th time."""
    seen = [0]

    def come_by(where: str) -> None:
        seen[0] += where == place
        if where == place and seen[0] == at:
            os.kill(os.getpid(), number)

    sync, backward = whole.sync, Learner.backward

    def synced(path: Path) -> None:
        come_by("state written" if "state" in path.parts else "checkpoint written")
        sync(path)

    def passed_back(*arguments: Any) -> Any:
        found = backward(*arguments)
        come_by("step")
        return found

    whole.sync = synced
    Learner.backward = passed_back  # type: ignore[assignment, method-assign]
    run_folder(folder, lambda event: come_by(event["type"]), stop)


def killed(folder: Path, place: str, at: int) -> None:
    """Run the folder in a process that is killed there, with no chance to tidy up."""
    assert ended(fork(lambda: ended_at(folder, place, at, signal.SIGKILL))) == -signal.SIGKILL


def stopping_after(step: int) -> tuple[Stop, Callable[[dict[str, Any]], None]]:
    stop = Stop()

    def hear(event: dict[str, Any]) -> None:
        if event["type"] == "step" and event["step"] == step:
            stop.ask()

    return stop, hear


@pytest.fixture
def mixed(make_spec: MakeSpec, make_snapshot: MakeSnapshot) -> dict[str, Any]:
    """Adapters with dropout, on a mixture, past the end of an epoch, with several evaluations."""
    sources = [
        {"path": str(make_snapshot(examples(9, 2, seed))), "weight": weight} for seed, weight in ((1, 2.0), (2, 1.0))
    ]
    return make_spec(
        snapshots=sources,
        tuning=LORA,
        duration={"steps": 7},
        evaluate={"every_steps": 3, "samples": 1},
        keep={"last": 1, "best": "eval/loss"},
    )


@pytest.mark.slow
def test_a_run_killed_anywhere_goes_on_as_if_it_had_not_been(mixed: dict[str, Any], tmp_path: Path) -> None:
    """kill -9 during a step, while a state, its note or a checkpoint is written, and after an evaluation: the curve,
    the checkpoints that stay and the last weights are those of a run that nobody touched."""
    whole = train(mixed, tmp_path / "whole")
    folder = written(tmp_path / "killed", mixed)

    killed(folder, "step", 2)  # before anything was saved: it begins anew
    assert not (folder / "state").exists()
    killed(folder, "state written", 2)  # the state of step 3 is half there
    assert not (folder / "state" / "3").exists()
    killed(folder, "checkpoint written", 2)  # the state is there, its checkpoint half
    assert (folder / "state" / "3").exists()
    assert not (folder / "checkpoints" / "3").exists()
    killed(folder, "state written", 1)  # the checkpoint is there, the state does not say so
    assert (folder / "checkpoints" / "3").exists()
    assert json.loads((folder / "state" / "3" / "state.json").read_text())["progress"]["looked_back"] is False
    killed(folder, "step", 2)  # steps 4 and 5 were told, and are taken again
    with (folder / EVENTS).open("ab") as file:
        file.write(b'{"type": "step", "ste')
    killed(folder, "sample", 1)  # in the evaluation of step 6
    summary = run_folder(folder)

    assert curve(folder) == curve(tmp_path / "whole")
    assert same(last(folder), last(tmp_path / "whole"))
    assert [saved.step for saved in summary.checkpoints] == [saved.step for saved in whole.checkpoints]
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {
        path.name for path in (tmp_path / "whole" / "checkpoints").iterdir()
    }
    assert (summary.examples, summary.tokens) == (whole.examples, whole.tokens)
    assert [event["step"] for event in of_type(events_of(folder), "resumed")] == [0, 0, 3, 3, 3, 6]
    assert not (folder / "state").exists()


@pytest.mark.parametrize("at", [2, 4])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(at: int, make_spec: MakeSpec, tmp_path: Path) -> None:
    """All weights, a schedule that falls: stopped between evaluations or at one, each step is told once."""
    spec = make_spec(
        duration={"steps": 6},
        evaluate={"every_steps": 4, "samples": 0},
        optimizer={"learning_rate": 1e-3, "warmup_ratio": 0.3},
    )
    train(spec, tmp_path / "whole")
    stop, hear = stopping_after(at)
    assert train(spec, tmp_path / "halves", hear, stop).cancelled

    summary = train(spec, tmp_path / "halves")

    assert not summary.cancelled
    assert curve(tmp_path / "halves") == curve(tmp_path / "whole")
    assert same(last(tmp_path / "halves"), last(tmp_path / "whole"))
    told = [event["step"] for event in of_type(events_of(tmp_path / "halves"), "step") if event["examples"]]
    assert told == [1, 2, 3, 4, 5, 6]


@pytest.fixture(scope="module")
def stopped_once(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The spec and the folder of a run that was stopped after step 2, for copies."""
    folder = tmp_path_factory.mktemp("stopped")
    made = snapshot.write(folder / "snapshots", examples(12, 4), kind="paired", policy={}, dataset={})
    source = {"path": str(folder / "snapshots" / made.hash)}
    spec = small(base, snapshots=[source], duration={"steps": 4}, evaluate={"every_steps": 100, "samples": 0})
    stop, hear = stopping_after(2)
    train(spec, folder / "run", hear, stop)
    return spec, folder / "run"


@pytest.fixture
def stopped(stopped_once: tuple[dict[str, Any], Path], tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """The spec and the folder of a run that was stopped after step 2."""
    spec, folder = stopped_once
    return spec, shutil.copytree(folder, tmp_path / "run")


def test_a_stop_before_it_goes_on_keeps_what_there_was(stopped: tuple[dict[str, Any], Path]) -> None:
    """Stopped again while it loads, it says where it stands, and can still be continued."""
    stop = Stop()
    stop.ask()
    again = run_folder(stopped[1], stop=stop)

    assert (again.cancelled, again.step) == (True, 2)
    assert again.checkpoint == stopped[1] / "checkpoints" / "2"
    assert run_folder(stopped[1]).step == 4


def test_a_state_at_an_interval_of_its_own(make_spec: MakeSpec, tmp_path: Path) -> None:
    """It is saved between checkpoints too, one at a time, and never where nobody wants it."""
    seen: list[set[str]] = []

    def hear(event: dict[str, Any]) -> None:
        if event["type"] == "step" and event["examples"] and event["step"] > 2:
            seen.append({path.name for path in (tmp_path / "often" / "state").iterdir()})

    train(make_spec(duration={"steps": 6}, keep={"state": 2}), tmp_path / "often", hear)
    stop, hear_two = stopping_after(2)
    train(make_spec(keep={"state": "never"}), tmp_path / "never", hear_two, stop)

    assert seen == [{"2"}, {"2"}, {"4"}, {"4"}]
    assert not (tmp_path / "never" / "state").exists()
    with pytest.raises(StateRefused, match="no training state"):
        run_folder(tmp_path / "never")


def test_a_run_that_ended_is_not_run_again(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Nor is one that another process is at; neither gets a word into its events."""
    train(make_spec(duration={"steps": 1}), tmp_path / "out")
    before = (tmp_path / "out" / EVENTS).read_bytes()

    with pytest.raises(FolderInUse, match="come to its end"):
        run_folder(tmp_path / "out")
    with Events(tmp_path / "out" / EVENTS), pytest.raises(FolderInUse, match="is being trained"):
        run_folder(tmp_path / "out")
    assert (tmp_path / "out" / EVENTS).read_bytes() == before


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"seed": 9}, "seed was 0 and is 9"),
        ({"objective": {"name": "dpo", "beta": 0.2}}, "objective.beta was 0.1 and is 0.2"),
        ({"tuning": LORA}, "tuning"),
    ],
)
def test_another_spec_is_refused_by_its_field(
    part: dict[str, Any], field: str, stopped: tuple[dict[str, Any], Path]
) -> None:
    """What decides the numbers may not change on the way; the words name it."""
    spec, folder = stopped
    (folder / "spec.json").write_text(json.dumps({**spec, **part}))

    with pytest.raises(StateRefused, match=field):
        run_folder(folder)
    with pytest.raises(FolderInUse, match="another spec"):
        train(spec, folder)


def test_smaller_packs_let_a_run_go_on(stopped: tuple[dict[str, Any], Path]) -> None:
    """What decides memory, and what is kept, may change: no gradient depends on it."""
    spec, folder = stopped
    changed = {**spec, "batch": {**spec["batch"], "tokens_per_pack": 64}, "keep": {"last": 1}}

    assert train(changed, folder).step == 4
    said = [event for event in events_of(folder) if "tokens_per_pack" in event][-1]
    assert (said["tokens_per_pack"], said["why"]) == (64, "as asked")


def test_other_data_and_other_weights_are_refused(
    stopped: tuple[dict[str, Any], Path], make_snapshot: MakeSnapshot, base: Path, tmp_path: Path
) -> None:
    """A path may change when what lies there is the same."""
    spec, folder = stopped
    moved = shutil.copytree(base, tmp_path / "moved")
    other = shutil.copytree(base, tmp_path / "other")
    tensors = weights(other)
    tensors["model.norm.weight"][:] = 2.0
    save_file(tensors, other / "model.safetensors", {"format": "pt"})

    for part, words in (
        ({"snapshots": [{"path": str(make_snapshot(examples(12, 4, seed=7)))}]}, "The data are not"),
        ({"checkpoint": str(other)}, "starting weights are not"),
    ):
        (folder / "spec.json").write_text(json.dumps({**spec, **part}))
        with pytest.raises(StateRefused, match=words):
            run_folder(folder)
    (folder / "spec.json").write_text(json.dumps({**spec, "checkpoint": str(moved)}))
    assert run_folder(folder).step == 4


def test_answers_whose_thumbs_were_turned_are_other_data(make_spec: MakeSpec, tmp_path: Path) -> None:
    """The same texts in other roles are not what the run began with."""

    def thumbs(*, turned: bool) -> dict[str, Any]:
        rows = [
            replace(one, responses=one.responses[:1], facts={"desirable": (place % 2 == 0) != turned})
            for place, one in enumerate(examples(12, 0))
        ]
        made = snapshot.write(tmp_path / "thumbs", rows, kind="unpaired", policy={}, dataset={})
        return make_spec(
            objective={"name": "kto"},
            snapshots=[{"path": str(tmp_path / "thumbs" / made.hash)}],
            evaluate={"every_steps": 100, "samples": 0},
        )

    stop, hear = stopping_after(1)
    train(thumbs(turned=False), tmp_path / "run", hear, stop)

    with pytest.raises(StateRefused, match="The data are not"):
        train(thumbs(turned=True), tmp_path / "run")


def test_weights_that_differ_anywhere_are_others(base: Path, tmp_path: Path) -> None:
    """Files that are alike at both ends and differ by one value in the middle are told apart."""
    found = set()
    for place in range(3):
        folder = shutil.copytree(base, tmp_path / str(place))
        values = torch.zeros(3 << 18)
        values[len(values) // 2] = float(place == 2)
        save_file({"more": values}, folder / "more.safetensors", {"format": "pt"})
        found.add(resume._weights([folder]))

    assert len(found) == 2


def _truncate(state: Path) -> None:
    path = next(state.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-4])


def _flip(state: Path) -> None:
    path = next(state.glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)


def _told(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(state: Path) -> None:
        told = json.loads((state / "state.json").read_text())
        change(told)
        (state / "state.json").write_text(json.dumps(told))

    return damage


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("trapped",)


def _pickle(state: Path) -> None:
    """A pickle in the place of the tensors, with its right hash."""
    import hashlib

    path = next(state.glob("*.safetensors"))
    path.write_bytes(pickle.dumps(_Trap()))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    _told(lambda told: told.update(files={path.name: found}))(state)


def _reshape(state: Path) -> None:
    """Tensors of another model, with their right hash."""
    import hashlib

    path = next(state.glob("*.safetensors"))
    tensors = load_file(path)
    name = next(name for name in tensors if name.startswith("weights/"))
    save_file({**tensors, name: torch.zeros(3)}, path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    _told(lambda told: told.update(files={path.name: found}))(state)


def _outside(state: Path) -> None:
    """A file that lies elsewhere, by its path and by a link."""
    path = next(state.glob("*.safetensors"))
    path.rename(state.parent / path.name)
    path.symlink_to(state.parent / path.name)


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip,
        _pickle,
        _reshape,
        _outside,
        _told(lambda told: told.update(files={"../../spec.json": "0" * 64})),
        _told(lambda told: told["progress"].update(step=3)),
        _told(lambda told: told["progress"].update(total_steps=5)),
        _told(lambda told: told["progress"].update(examples=1)),
        _told(lambda told: told["progress"].update(checkpoints=[{"step": "../..", "metrics": {}}])),
        _told(lambda told: told["generators"][0].update(python=[-1] * 625)),
        _told(lambda told: told["generators"][0].update(python=[2**32 - 1] * 625)),
        _told(lambda told: told.update(rates=[])),
        _told(lambda told: told.update(files={})),
        _told(lambda told: told.update(numbers={"no/such": 1})),
        lambda state: (state / "state.json").write_bytes(b"[" * 100_000),
        lambda state: (state / "state.json").unlink(),
    ],
    ids=range(17),
)
def test_a_damaged_or_hostile_state_is_refused(
    damage: Callable[[Path], object],
    stopped: tuple[dict[str, Any], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing in it is run or trusted: it is refused with a sentence, and the checkpoints stay."""
    monkeypatch.chdir(tmp_path)
    damage(stopped[1] / "state" / "2")

    with pytest.raises(StateRefused) as refused:
        run_folder(stopped[1])

    assert refused.value.remedy
    assert events_of(stopped[1])[-1]["code"] == "state_refused"
    assert (stopped[1] / "checkpoints" / "2").exists()
    assert not (tmp_path / "trapped").exists()


def test_examples_that_break_the_loss_are_named(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ids of the examples at fault stand in the error; the last good step and its checkpoint are kept, and the run
    can go on."""
    from alignment.training.scorer import Scorer, Scores

    spec = make_spec(
        duration={"steps": 4},
        evaluate={"every_steps": 2, "samples": 0},
        keep={"state": 1},
        batch={"examples_per_step": 4, "tokens_per_pack": 48},
    )
    train(spec, tmp_path / "whole")
    forward, broken, bad = Scorer.forward, [False], {}
    update, before = Learner.update, dict[Path, bytes]()

    def checkpoints() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (tmp_path / "out/checkpoints").rglob("*") if path.is_file()}

    def third(self: Learner, some: Any, *rest: Any) -> Any:
        if rest[1].step == 2:
            before.update(checkpoints())
            bad["id"], bad["ids"] = some[1].example.id, some[1].responses[0]
            broken[0] = True
        return update(self, some, *rest)

    def forward_of(self: Scorer, layout: Any, *rest: Any) -> Scores:
        found = forward(self, layout, *rest)
        hit = torch.tensor(list(bad["ids"])) if broken[0] else None
        if hit is None:
            return found
        logps = found.logps.clone()
        for place in range(len(logps)):
            if torch.equal(layout.target[layout.response == place], hit):
                logps[place] = torch.nan
        return found._replace(logps=logps)

    with monkeypatch.context() as patched:
        patched.setattr(Learner, "update", third)
        patched.setattr(Scorer, "forward", forward_of)
        with pytest.raises(NonFiniteLoss, match="step 3") as stopped:
            train(spec, tmp_path / "out")

    assert stopped.value.examples == [bad["id"]]
    assert events_of(tmp_path / "out")[-1]["examples"] == [bad["id"]]
    assert bad["id"] in stopped.value.detail
    assert tmp_path / "out/checkpoints/2/model.safetensors" in before
    assert checkpoints() == before
    train(spec, tmp_path / "out")
    assert same(last(tmp_path / "out"), last(tmp_path / "whole"))


def test_exhausted_memory_names_what_is_set_and_loses_nothing(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice has the present values, and after smaller packs were chosen the run goes on where it was."""
    update = Learner.update

    def exhausted(self: Learner, some: Any, *rest: Any) -> Any:
        if rest[1].step == 2:
            raise torch.OutOfMemoryError
        return update(self, some, *rest)

    spec = make_spec(duration={"steps": 4}, batch={"examples_per_step": 4, "tokens_per_pack": 4096})
    with monkeypatch.context() as patched:
        patched.setattr(Learner, "update", exhausted)
        with pytest.raises(OutOfMemory) as stopped:
            train(spec, tmp_path / "out")

    assert "Step 3" in stopped.value.detail
    assert "4096" in stopped.value.remedy
    assert "LoRA" in stopped.value.remedy
    assert "gradient_checkpointing" in stopped.value.remedy
    assert train({**spec, "batch": {"examples_per_step": 4, "tokens_per_pack": 64}}, tmp_path / "out").step == 4


@pytest.mark.slow
def test_sigterm_during_the_evaluation_saves_what_it_takes(make_spec: MakeSpec, tmp_path: Path) -> None:
    """A process that is ended while it measures leaves state and checkpoint, and goes on with that evaluation."""
    spec = make_spec(duration={"steps": 5}, evaluate={"every_steps": 2, "samples": 4})
    train(spec, tmp_path / "whole")
    folder = written(tmp_path / "run", spec)

    def terminated() -> None:
        stop = Stop()
        with signals(stop):
            ended_at(folder, "sample", 1, signal.SIGTERM, stop)

    assert ended(fork(terminated)) == 0
    assert events_of(folder)[-1]["cancelled"]
    assert (folder / "state" / "2").is_dir()

    run_folder(folder)

    assert curve(folder) == curve(tmp_path / "whole")
    assert same(last(folder), last(tmp_path / "whole"))


def test_a_full_disk_leaves_the_newest_state_and_checkpoint(stopped: tuple[dict[str, Any], Path]) -> None:
    """What is already there is not touched while the next one cannot be written whole."""
    _, folder = stopped

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".json", ".safetensors")}

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        os._exit(main([str(folder)]))

    before = contents()
    assert ended(fork(limited)) == 74
    assert events_of(folder)[-1]["code"] == "disk_full"
    assert contents() == before
    assert run_folder(folder).step == 4


def test_a_disk_without_room_for_states_is_told_before_the_first_step(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words say what to give up for it."""
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    with pytest.raises(TrainingError, match="training states") as refused:
        train(make_spec(), tmp_path / "out")

    assert refused.value.exit_code == 74
    assert "keep.state" in refused.value.remedy
    assert not of_type(events_of(tmp_path / "out"), "step")


@pytest.mark.parametrize(("shared", "field"), [(True, "batch.tokens_per_pack"), (False, "length.max_prompt_tokens")])
def test_the_advice_counts_a_prompt_as_often_as_it_is_computed(shared: bool, field: str, make_spec: MakeSpec) -> None:
    """A pair that fits a pack because its prompt is there once asks for smaller packs, not for shorter texts."""
    spec = Spec.model_validate(make_spec())
    example = Example("", "train", [], ({}, {}))
    some = [Encoded(example, [1] * 50, ([2] * 20, [3] * 10))]

    error = out_of_memory(spec, 1, 100, some, shared=shared, again=True)

    assert error.field == field
    assert "gradient_checkpointing" not in error.remedy


@pytest.mark.parametrize("precision", ["fp32", "pure_bf16"])
def test_a_state_takes_what_is_said(precision: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    """The room that is asked for beforehand, and in estimates, is that of the files."""
    stop, hear = stopping_after(1)
    train(make_spec(precision=precision), tmp_path / "out", hear, stop)
    found = load_file(next((tmp_path / "out" / "state" / "1").glob("*.safetensors")))
    kept = [one for name, one in found.items() if name.startswith(("weights/", "optimizer/")) and one.dim()]
    trained = sum(one.numel() for name, one in found.items() if name.startswith("weights/"))

    assert sum(one.numel() * one.element_size() for one in kept) == state_bytes(trained)


def test_every_rank_gives_up_a_state_that_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that went on would wait for the share of a rank that did not."""
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    weight = torch.nn.Parameter(torch.zeros(1000))
    held = Held({"weight": weight}, torch.optim.AdamW([weight]), {})

    for writes in (True, False):
        with pytest.raises(DiskFull):
            States(tmp_path / "state").save(held, None, None, [], writes=writes)  # type: ignore[arg-type]


def test_a_hole_that_another_machine_left_is_kept(tmp_path: Path) -> None:
    """A reader's place in the events is a byte: what was written elsewhere keeps its room."""
    path = tmp_path / EVENTS
    with path.open("wb") as file:
        file.truncate(100_000)

    with Events(path) as events:
        events.log("here")

    assert path.stat().st_size > 100_000
    with path.open("rb") as file:
        file.seek(100_000)
        assert json.loads(file.readline())["message"] == "here"
