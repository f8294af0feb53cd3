"""The reference is computed once for each sequence, and kept values are believed only where they fit."""

import errno
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from multiprocessing import Event
from pathlib import Path
from typing import IO, Any

import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file

from alignment.objectives import REFERENCE, OtherValue, beside
from alignment.training import Spec, kept, train
from alignment.training.events import Events
from alignment.training.prepare import prepare
from alignment.training.stop import Cancelled, Stop
from tests.alignment.training.conftest import MakeSnapshot, MakeSpec, ended, fork
from tests.alignment.training.conftest import examples as made_up
from tests.alignment.training.test_others import FULL, LORA, stirred

LIMIT_SECONDS = 120


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which runs keep what references gave."""
    folder = tmp_path / "references"
    monkeypatch.setenv(kept.PLACE, str(folder))
    return folder


def logs(run: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [event for event in events if event["type"] == "log"]


def computed(run: Path) -> list[int]:
    """How many examples the reference was asked for, each time it was."""
    return [event["examples"] for event in logs(run) if event["message"].startswith("computing the reference")]


def told(run: Path) -> dict[str, Any]:
    """What is said of the reference once it is known."""
    (found,) = [event for event in logs(run) if "noise_floor" in event]
    return found


def move(cache: Path, by: float) -> None:
    """Afterwards what is kept is as if another computation had rounded otherwise, or gone wrong, by so much."""
    found = load_file(the_file(cache))
    save_file({**found, "logps": found["logps"] + by}, the_file(cache))


def losses(run: Path) -> list[float]:
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [event["values"]["loss"] for event in events if event["type"] == "step" and "loss" in event["values"]]


def the_file(cache: Path) -> Path:
    (found,) = cache.glob("*.safetensors")
    return found


def test_a_second_run_finds_what_the_first_computed(make_spec: MakeSpec, cache: Path, tmp_path: Path) -> None:
    """Another objective and another seed on the same sequences ask the reference for nothing; numbers are the same."""
    spec = make_spec(duration={"steps": 3})
    train(spec, tmp_path / "one")
    train(spec, tmp_path / "again")
    train({**spec, "objective": {"name": "ipo_avg"}, "seed": 3}, tmp_path / "other")

    assert computed(tmp_path / "one") == [16]
    phases = [event["message"] for event in logs(tmp_path / "one") if event.get("phase")]
    assert phases == ["loading the model", "computing the reference", "beginning to train"]
    assert computed(tmp_path / "again") == computed(tmp_path / "other") == []
    assert losses(tmp_path / "again") == losses(tmp_path / "one")
    origins = [(told(tmp_path / name)["computed"], told(tmp_path / name)["examples"]) for name in ("one", "again")]
    assert origins == [(16, 16), (0, 16)]
    assert told(tmp_path / "again")["message"].startswith("reference found: noise floor ")


@pytest.mark.parametrize("tuning", [FULL, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "pure_bf16"])
def test_what_is_kept_is_what_the_reference_says_at_a_step(
    precision: str, tuning: dict[str, Any], make_spec: MakeSpec, cache: Path, tmp_path: Path
) -> None:
    """Asked in the packs of a step by a policy that has moved, as a second model or without adapters, it says what is
    kept, within the noise floor that the run tells: that of a few examples, so that others may differ by a last bit."""
    spec = make_spec(precision=precision, tuning=tuning, duration={"steps": 3})
    train(spec, tmp_path / "one")
    with Events(tmp_path / "events.jsonl") as events:
        found = prepare(Spec.model_validate(spec), events, Stop())
        live = prepare(Spec.model_validate({**spec, "objective": {"name": "tdpo2"}}), events, Stop())
    floor = next(event["noise_floor"] for event in logs(tmp_path) if "noise_floor" in event)
    examples, scoring = live.examples.train, replace(stirred(live.learner).scoring, tokens=100)
    packs = scoring.packs(examples)
    assert len(packs) > 2
    assert found.reference is not None
    assert [kept.key(one) for one in examples] == [kept.key(one) for one in found.examples.train]

    for pack in packs:
        scores = scoring.scores([examples[index] for index in pack], scoring.asked)
        said = scores.sums(beside(REFERENCE, OtherValue.LOGPS))
        known = torch.cat(found.reference.of(pack))

        assert ((said - known).abs() <= floor + torch.finfo(torch.float32).eps * known.abs()).all()
        assert ((scores.logps - known).abs() > 0.1).any()


def asking(spec: dict[str, Any], run: Path, where: str, do: Callable[[], object]) -> None:
    """Train, and do this whenever the run comes there: before it asks the reference, with half of the file written, or
    when another has the file."""
    saved, got = safetensors.torch.save_file, kept._got

    def come_by(place: str) -> None:
        if place == where:
            do()

    def hear(event: dict[str, Any]) -> None:
        if event.get("message") == "computing the reference":
            come_by("computing")

    def saved_there(tensors: Any, path: Path, *more: Any) -> None:
        if path.suffix == kept.PARTIAL:
            path.write_bytes(b"half")
            come_by("writing")
        saved(tensors, path, *more)

    def got_there(lock: IO[str]) -> bool:
        found = got(lock)
        if not found:
            come_by("waiting")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", saved_there)
        patch.setattr(kept, "_got", got_there)
        train(spec, run, hear)


def two_at_once(spec: dict[str, Any], folder: Path, where: str, then: Callable[[], object]) -> tuple[int, int]:
    """How two runs in processes of their own end, the first of which does this there once the second waits for it."""
    there, waiting = Event(), Event()

    def meet() -> None:
        there.set()
        assert waiting.wait(LIMIT_SECONDS)
        then()

    first = fork(lambda: asking(spec, folder / "one", where, meet))
    assert there.wait(LIMIT_SECONDS)
    second = fork(lambda: asking(spec, folder / "two", "waiting", waiting.set))
    return ended(first), ended(second)


def test_of_two_runs_at_once_one_computes_and_the_other_waits(make_spec: MakeSpec, cache: Path, tmp_path: Path) -> None:
    """Processes of their own on the same data: what the first has computed the second finds."""
    spec = make_spec()

    assert two_at_once(spec, tmp_path, "computing", lambda: None) == (0, 0)

    assert (computed(tmp_path / "one"), computed(tmp_path / "two")) == ([16], [])
    assert losses(tmp_path / "two") == losses(tmp_path / "one")
    assert len(load_file(the_file(cache))["counts"]) == 16


@pytest.mark.parametrize("where", ["computing", "writing"])
def test_what_a_killed_run_was_about_to_keep_another_computes(
    where: str, make_spec: MakeSpec, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that waits goes on at once, and has the numbers and leaves the file that it would have left alone."""
    spec = make_spec()

    assert two_at_once(spec, tmp_path, where, lambda: os.kill(os.getpid(), signal.SIGKILL)) == (-signal.SIGKILL, 0)

    assert computed(tmp_path / "two") == [16]
    found = load_file(the_file(cache))
    monkeypatch.setenv(kept.PLACE, str(tmp_path / "another"))
    train(spec, tmp_path / "alone")
    assert losses(tmp_path / "two") == losses(tmp_path / "alone")
    expected = load_file(the_file(tmp_path / "another"))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_only_what_is_new_is_computed(make_spec: MakeSpec, cache: Path, tmp_path: Path) -> None:
    """A longer run asks for the examples that the shorter one did not take, and the file then holds all of them."""
    train(make_spec(duration={"steps": 1}), tmp_path / "short")
    train(make_spec(duration={"steps": 3}), tmp_path / "long")

    assert computed(tmp_path / "short") == [8]
    assert computed(tmp_path / "long") == [8]
    assert len(load_file(the_file(cache))["counts"]) == 16


def test_other_weights_and_other_cuts_are_other_sequences(
    make_spec: MakeSpec, cache: Path, tmp_path: Path, base: Path
) -> None:
    """Weights have files of their own; sequences that are cut elsewhere are not mistaken for each other."""
    train(make_spec(), tmp_path / "one")
    other = shutil.copytree(base, tmp_path / "other-weights")
    weights = load_file(other / "model.safetensors")
    save_file({name: value + 0.01 for name, value in weights.items()}, other / "model.safetensors", {"format": "pt"})

    train(make_spec(checkpoint=str(other)), tmp_path / "other")
    train(make_spec(length={"max_response_tokens": 2}), tmp_path / "cut")
    train(make_spec(length={"max_prompt_tokens": 2, "max_response_tokens": 32}), tmp_path / "cut-prompts")

    assert len(list(cache.glob("*.safetensors"))) == 2
    assert computed(tmp_path / "other") == [16]
    assert computed(tmp_path / "cut") == [16]
    assert computed(tmp_path / "cut-prompts") == [16]


@pytest.mark.parametrize("harm", ["garbage", "counts", "nan", "names"])
def test_a_damaged_file_is_computed_anew(make_spec: MakeSpec, cache: Path, tmp_path: Path, harm: str) -> None:
    """Whatever is wrong with the file, the run has right numbers, and the file is whole afterwards."""
    train(make_spec(), tmp_path / "one")
    path = the_file(cache)
    found = {name: values.clone() for name, values in load_file(path).items()}  # not a view of the file
    if harm == "garbage":
        path.write_bytes(b"\x10" * 100)
    else:
        counts, logps = found["counts"].clone(), found["logps"].clone()
        if harm == "counts":
            counts[0] += 1
        elif harm == "nan":
            logps[3] = float("nan")
        save_file({"keys": found["keys"], "counts": counts, ("x" if harm == "names" else "logps"): logps}, path)

    train(make_spec(), tmp_path / "again")

    assert computed(tmp_path / "again") == [16]
    assert losses(tmp_path / "again") == losses(tmp_path / "one")
    torch.testing.assert_close(load_file(path)["logps"], found["logps"])


def test_values_of_another_model_are_found_out(make_spec: MakeSpec, cache: Path, tmp_path: Path) -> None:
    """Kept values that the model does not give are not believed, and it is said."""
    train(make_spec(), tmp_path / "one")
    move(cache, -0.5)

    train(make_spec(), tmp_path / "again")

    assert losses(tmp_path / "again") == losses(tmp_path / "one")
    assert any(event["level"] == "warning" and "do not fit" in event["message"] for event in logs(tmp_path / "again"))


def test_another_reference_is_kept_too(make_spec: MakeSpec, cache: Path, tmp_path: Path, base: Path) -> None:
    """A reference of its own is asked once as well; the second run does not even load it."""
    reference = shutil.copytree(base, tmp_path / "reference")
    spec = make_spec(reference=str(reference))
    train(spec, tmp_path / "one")
    train(spec, tmp_path / "again")

    assert (computed(tmp_path / "one"), computed(tmp_path / "again")) == ([16], [])
    assert losses(tmp_path / "again") == losses(tmp_path / "one")
    assert told(tmp_path / "one")["noise_floor"] < 1e-4
    assert told(tmp_path / "again")["noise_floor"] is None
    assert "not measured, as all its log-probabilities were kept" in told(tmp_path / "again")["message"]
    of = [event["of"] for event in logs(tmp_path / "one") if "path" in event]
    assert of == [None, "reference"]


@pytest.mark.parametrize("own", [False, True], ids=["where it started from", "another checkpoint"])
def test_the_noise_floor_is_how_far_kept_values_are_from_live_ones(
    make_spec: MakeSpec, cache: Path, tmp_path: Path, base: Path, own: bool
) -> None:
    """Whoever is the reference: what was kept is compared with what it says now, and the log says how far it is."""
    more = {"reference": str(shutil.copytree(base, tmp_path / "reference"))} if own else {}
    train(make_spec(duration={"steps": 1}, **more), tmp_path / "short")
    assert told(tmp_path / "short")["noise_floor"] < 1e-4

    move(cache, 4e-4)
    train(make_spec(duration={"steps": 2}, **more), tmp_path / "long")
    floor = told(tmp_path / "long")["noise_floor"]
    assert floor == pytest.approx(4e-4, rel=0.1)
    assert f"noise floor {floor:.2g} nats" in told(tmp_path / "long")["message"]
    assert computed(tmp_path / "long") == [4]

    move(cache, 0.5)
    train(make_spec(duration={"steps": 3}, **more), tmp_path / "longer")
    assert computed(tmp_path / "longer") == [16]
    assert told(tmp_path / "longer")["noise_floor"] < 1e-4
    assert any("do not fit" in event["message"] for event in logs(tmp_path / "longer"))


def test_examples_that_stand_twice_in_the_data_are_counted_once(
    make_spec: MakeSpec, make_snapshot: MakeSnapshot, cache: Path, tmp_path: Path
) -> None:
    """Nothing was known of them before: as many are computed as there are."""
    rows = made_up(6, 2)
    snapshot = make_snapshot([*rows, replace(rows[0], id="again")])
    train(make_spec(snapshots=[{"path": str(snapshot)}], duration={"steps": 2}), tmp_path / "run")

    found = told(tmp_path / "run")
    assert (found["computed"], found["examples"]) == (8, 8)


def test_a_full_disk_keeps_nothing_and_stops_no_run(
    make_spec: MakeSpec, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run needs what its reference gave, not that it is kept; nothing half-written stays."""

    def full(_: object, path: Path, *__: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    assert kept.usable(cache)
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", full)
        with pytest.raises(OSError, match="No space"):
            kept.Kept(cache, "x").write({b"k" * 16: torch.zeros(2)})

    assert list(cache.glob("*.partial")) == list(cache.glob("*.safetensors")) == []
    monkeypatch.setattr(kept.Kept, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    train(make_spec(), tmp_path / "run")
    assert any("disk is full" in event["message"] for event in logs(tmp_path / "run"))


def test_what_nobody_used_is_forgotten(cache: Path) -> None:
    """Old files go, half-written ones too; one that another run is just removing stops nobody."""
    cache.mkdir()
    old, half, used = (cache / name for name in ("old.safetensors", "killed.7.partial", "used.safetensors"))
    for path in (old, half, used):
        path.write_bytes(b"")
    for path in (old, half):
        os.utime(path, (0, 0))
    (cache / "going.safetensors").symlink_to(cache / "gone")

    kept.Kept(cache, "x")

    assert [path.exists() for path in (old, half, used)] == [False, False, True]


def test_a_folder_that_cannot_be_written_stops_no_run(make_spec: MakeSpec, cache: Path, tmp_path: Path) -> None:
    """A run needs no place to keep what its reference gave; it says that nothing is kept."""
    cache.write_text("a file stands where the folder should be")

    train(make_spec(), tmp_path / "run")

    assert computed(tmp_path / "run") == [16]
    assert any("cannot be written" in event["message"] for event in logs(tmp_path / "run"))


def test_whoever_waits_for_a_file_can_be_stopped(cache: Path) -> None:
    """Runs on the same data compute one after the other, and a cancelled one does not wait for its turn."""
    asked = threading.Event()
    assert kept.usable(cache)

    def check() -> None:
        if asked.is_set():
            raise Cancelled
        asked.set()

    def alone(check: Callable[[], None]) -> AbstractContextManager[None]:
        return kept.alone(kept.Kept(cache, "x"), check, lambda got: got)

    with alone(lambda: None), pytest.raises(Cancelled), alone(check):
        pytest.fail("two at once")

    with alone(check):
        pass


def test_without_a_folder_nothing_is_kept(
    make_spec: MakeSpec, make_snapshot: MakeSnapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run on a machine that names no folder computes its reference and leaves nothing outside its own folder."""
    monkeypatch.delenv(kept.PLACE, raising=False)
    spec = make_spec(snapshots=[{"path": str(make_snapshot())}])
    before = set(tmp_path.rglob("*"))

    train(spec, tmp_path / "run")

    assert all(path.is_relative_to(tmp_path / "run") for path in set(tmp_path.rglob("*")) - before)
    assert computed(tmp_path / "run") == [16]
