"""Two processes train as one does: the same losses, gradients and weights, and they end as one."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from alignment.formats import snapshot
from alignment.generation import Generator
from alignment.sampling import Sampling
from alignment.training import train
from alignment.training.checkpoint import OWN
from alignment.training.errors import BadData, BadSpec, NonFiniteLoss, ProcessLost, Unexpected, retold
from alignment.training.failures import named
from alignment.training.launch import PLACE, report
from alignment.training.model import load_tokenizer
from alignment.training.ranks import Ranks
from alignment.training.run import EVENTS
from alignment.training.stop import Cancelled, Stop
from tests.alignment.training.conftest import MakeSpec, examples, moved
from tests.alignment.training.test_sharing import EXPERTS, build
from tests.alignment.training.together import OBJECTIVES, SHARDED

CPU = torch.device("cpu")
LIMIT_SECONDS = 300
PROMISED, TOLD = 1e-6, 1e-5
"""Losses and gradient norms are those of one process; what is told of log-probabilities of a hundred nats, whose last
bit is 8e-6, is within that."""
ONE_EXAMPLE = 0.201  # of the fewest that are evaluated
RATE = 1e-4  # so low that weights whose slope is rounding, which AdamW moves as far as others, change no loss
CLOSE = RATE / 50  # of how far AdamW moves a weight in a step
WAYS = ("ddp", "fsdp")
CASES = ("uncoupled", "coupled", "lora", "lora in bf16", "masks", "sft", "scores", "circle in lora", "experts")
Results = dict[str, Any]


class Together:
    """What one process, and each of two, made of the same cases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.one: Results = json.loads((folder / "1-0.json").read_text())
        self.two: list[Results] = [json.loads((folder / f"2-{rank}.json").read_text()) for rank in (0, 1)]

    def weights(self, case: str) -> dict[str, torch.Tensor]:
        """Those of the checkpoint, and of the modules that its objective has trained."""
        place = self.folder / case
        files = [*place.glob("*/*.safetensors"), *place.glob(f"*/{OWN}")]
        assert len(files) == 1 + case.startswith("masks")
        return {name: values for file in files for name, values in load_file(file).items()}


def reward_model(base: Path, source: dict[str, str], folder: Path) -> Path:
    """One that was trained for a step."""
    spec = {
        "kind": "reward_model",
        "checkpoint": str(base),
        "snapshots": [source],
        "objective": {"name": "bradley_terry"},
        "optimizer": {"learning_rate": 3e-2, "warmup_ratio": 0},
        "batch": {"examples_per_step": 8},
        "duration": {"steps": 1},
    }
    made = train(spec, folder).checkpoint
    assert made is not None
    return made


def mixture(base: Path, folder: Path) -> Path:
    """A mixture of experts that reads text as `base` does; its router loss weighs as much as what is learned."""
    tokenizer = load_tokenizer(base)
    experts = EXPERTS | {"num_experts": 4, "router_aux_loss_coef": 0.5, "vocab_size": len(tokenizer)}
    build("qwen3_moe", experts).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def together(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Together:
    """One session of torchrun for all that is compared with a single process."""
    folder = tmp_path_factory.mktemp("together")
    pairs = snapshot.write(folder / "pairs", examples(8, 0), kind="paired", policy={}, dataset={})
    source = {"path": str(folder / "pairs" / pairs.hash)}
    spec = {
        "checkpoint": str(base),
        "other": str(moved(base, folder / "other", 0.05)),
        "head": str(reward_model(base, source, folder / "head")),
        "experts": str(mixture(base, folder / "experts")),
        "snapshots": [source],
        "batch": {"examples_per_step": 8},
        "objective": {"name": "dpo"},
        "optimizer": {"learning_rate": RATE, "warmup_ratio": 0},
        "duration": {"steps": 5},
    }
    program = ["-m", "tests.alignment.training.together", json.dumps(spec), str(folder)]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    started = [
        subprocess.Popen([sys.executable, *before, *program], env=environment, stdout=subprocess.DEVNULL)
        for before in ([], torchrun)
    ]
    assert [process.wait(LIMIT_SECONDS) for process in started] == [0, 0]
    return Together(folder)


def assert_same(found: dict[str, float], expected: dict[str, float], *, exact: bool = True) -> None:
    """What is promised of a step's or an evaluation's values, by name; less where they are not `exact` but bf16."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        within = PROMISED if key in ("loss", "grad_norm", "eval/loss") else TOLD
        if not exact:  # which may turn the sign of one example's margin
            within = ONE_EXAMPLE if key.endswith("rewards/accuracies") else 2e-2
        assert found[key] == pytest.approx(value, rel=PROMISED if exact else 2e-3, abs=within), key


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", WAYS)
def test_two_processes_take_the_steps_of_one(together: Together, way: str, case: str) -> None:
    """Loss, gradient norm and every other metric are those of the whole batch, however it was divided."""
    exact = "bf16" not in case
    alone = together.one[f"{case}, auto"]
    for rank in together.two:
        found = rank[f"{case}, {way}"]
        assert len(found["steps"]) == 5
        for step, expected in zip(found["steps"], alone["steps"], strict=True):
            assert_same(step, expected, exact=exact)
        assert_same(found["evaluated"], alone["evaluated"], exact=exact)
    assert together.two[0][f"{case}, {way}"]["steps"] == together.two[1][f"{case}, {way}"]["steps"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", WAYS)
def test_two_processes_leave_the_checkpoint_of_one(together: Together, way: str, case: str) -> None:
    """The same files with the same names of weights, tied ones once, and values within rounding."""
    found, expected = together.weights(f"{case}, {way}"), together.weights(f"{case}, auto")

    assert found.keys() == expected.keys()
    for name, values in expected.items():
        close = 2e-3 if "bf16" in case else CLOSE  # a slope whose sign rounding turns moves a weight the other way
        torch.testing.assert_close(found[name], values, rtol=1e-5, atol=close)


@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for way, names in zip(WAYS, (OBJECTIVES, SHARDED), strict=True) for name in names]
)
def test_objectives_of_the_whole_batch_see_it_from_every_rank(together: Together, name: str, way: str) -> None:
    """Losses, norms, what is kept between steps and the weights are those of one process, step after step."""
    alone = together.one[f"{name}, auto"]["steps"]
    assert len(alone) == 5
    for rank in together.two:
        for step, expected in zip(rank[f"{name}, {way}"]["steps"], alone, strict=True):
            assert_same(step, expected)
    assert together.two[0][f"{name}, {way}"] == together.two[1][f"{name}, {way}"]
    assert alone[0] != alone[1]
    one, two = (load_file(together.folder / f"{name}, {each}.safetensors") for each in ("auto", way))
    assert one.keys() == two.keys()
    for key, values in one.items():
        torch.testing.assert_close(two[key], values, rtol=1e-5, atol=CLOSE)


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_have_one_router_loss(together: Together, way: str) -> None:
    """Of the tokens of the whole batch, also in the step of which one process has none; it is learned with the rest."""
    alone = together.one["experts, auto"]["steps"]
    for rank in together.two:
        losses = [step["aux_loss"] for step in rank[f"experts, {way}"]["steps"]]
        assert losses == pytest.approx([step["aux_loss"] for step in alone], rel=1e-6)
    assert len(set(losses)) == 5
    assert alone[0]["loss"] == pytest.approx(math.log(2) + 0.5 * losses[0], abs=1e-6)


@pytest.mark.parametrize("case", ["implicit", "head"])
def test_rewards_of_a_further_checkpoint_are_those_of_one_process(together: Together, case: str) -> None:
    """Every response's, whichever process asked for it, and the steps that they lead to; both tell a difference."""
    alone = together.one[f"rewards, {case}"]
    for rank in together.two:
        found = rank[f"rewards, {case}"]
        assert found["scores"].keys() == alone["scores"].keys()
        for name, scores in alone["scores"].items():
            assert found["scores"][name] == pytest.approx(scores, rel=1e-6, abs=1e-6)
        for step, expected in zip(found["steps"], alone["steps"], strict=True):
            assert step == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert len({score for scores in alone["scores"].values() for score in scores}) == 16
    assert together.two[0][f"rewards, {case}"] == together.two[1][f"rewards, {case}"]


@pytest.mark.parametrize("case", CASES)
def test_sharded_parameters_are_shares(together: Together, case: str) -> None:
    """With FSDP every parameter is a DTensor and a rank holds its half; with DDP it holds all of it."""
    ddp, fsdp = ([rank[f"{case}, {way}"] for rank in together.two] for way in WAYS)

    assert all(one["sharded"] == one["parameters"] for one in fsdp)
    assert sum(one["held"] for one in fsdp) == together.one[f"{case}, auto"]["held"]
    assert max(one["held"] for one in fsdp) < 0.6 * together.one[f"{case}, auto"]["held"]
    assert all(one["sharded"] == 0 and one["held"] == together.one[f"{case}, auto"]["held"] for one in ddp)


def test_a_rank_with_less_to_do_keeps_pace(together: Together) -> None:
    """The cases above hold steps in which one process has fewer packs, or none at all, and as many are counted."""
    mine, others = [rank["uncoupled, fsdp"]["packs"] for rank in together.two]

    assert [len(step) for step in mine] == [len(step) for step in others]
    assert any(
        0 in one and 0 not in other for step in zip(mine, others, strict=True) for one, other in (step, step[::-1])
    )
    assert [sum(one) + sum(other) for one, other in zip(mine, others, strict=True)] == [7, 7, 6, 1, 7]


@pytest.mark.parametrize("way", WAYS)
def test_all_ranks_say_what_one_says(together: Together, way: str) -> None:
    """Samples are drawn with the weights of all, whoever holds them."""
    for rank in together.two:
        assert rank[f"uncoupled, {way}"]["said"] == together.one["uncoupled, auto"]["said"]


def test_work_is_divided_evenly() -> None:
    """Each position goes to one rank, and no rank has more than the largest beyond another."""
    costs = [9, 1, 7, 3, 3, 8, 2, 2]
    shares = Ranks(CPU, size=3).divide(costs)
    loads = [sum(costs[position] for position in share) for share in shares]

    assert sorted(position for share in shares for position in share) == list(range(len(costs)))
    assert max(loads) - min(loads) <= 2
    assert Ranks(CPU, size=3).divide([5]) == [[0], [], []]


def processes_of(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def events_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / EVENTS).read_text().splitlines()]


def test_a_run_on_two_devices_is_told_stopped_and_continued_as_one(make_spec: MakeSpec, tmp_path: Path) -> None:
    """From a notebook: events come once and in order, a stop saves the last whole step, the rest goes on from there to
    the weights of one process, and nobody is left."""
    heard: list[dict[str, Any]] = []
    stop = Stop()

    def listen(event: dict[str, Any]) -> None:
        heard.append(event)
        if event["type"] == "step":
            stop.ask()

    steps = 60
    spec = make_spec(duration={"steps": steps}, batch={"examples_per_step": 3}, optimizer={"learning_rate": 1e-4})
    shared = {**spec, "devices": 2, "parallel": "fsdp"}
    first = train(shared, tmp_path / "out", listen, stop)
    assert heard == events_of(tmp_path / "out")
    assert [(event["devices"], event["parallel"]) for event in heard if "devices" in event] == [(2, "fsdp")]
    assert first.cancelled
    assert first.event() == {name: heard[-1][name] for name in first.event()}
    assert first.checkpoint == tmp_path / "out" / "checkpoints" / str(first.step)
    sampling = Sampling(temperature=0, max_new_tokens=4)
    assert Generator(first.checkpoint).generate([[{"role": "user", "content": "the cat"}]], sampling)[0].tokens > 0
    assert processes_of(tmp_path / "out") == []

    rest = train(shared, tmp_path / "out", heard.append)
    taken = [event["step"] for event in heard if event["type"] == "step" and event["examples"]]
    assert taken == list(range(1, steps + 1))
    alone = train(spec, tmp_path / "alone")
    assert rest.checkpoint is not None
    assert alone.checkpoint is not None
    expected = load_file(alone.checkpoint / "model.safetensors")
    for name, values in load_file(rest.checkpoint / "model.safetensors").items():
        torch.testing.assert_close(values, expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("warm")
def test_a_run_on_two_devices_is_stopped_while_it_is_prepared(make_spec: MakeSpec, tmp_path: Path) -> None:
    """While the examples are read, wherever in that each of the two is: neither goes on to wait for the other."""
    stop = Stop()

    def listen(event: dict[str, Any]) -> None:
        if "examples" in event.get("message", ""):
            stop.ask()

    found = train(make_spec(devices=2, duration={"steps": 100_000}), tmp_path / "out", listen, stop)
    assert stop.asked
    assert found.cancelled
    assert processes_of(tmp_path / "out") == []


def test_a_stop_that_comes_while_ranks_agree_is_for_their_next_turn() -> None:
    """Else the rank that has just heard of it would end, and the others wait for it for ever."""
    stop = Stop()

    class Agreeing(Ranks):
        def any(self, wish: bool) -> bool:
            found = super().any(wish)
            stop.ask()
            return found

    check = Agreeing(torch.device("cpu")).check(stop)
    check()
    with pytest.raises(Cancelled):
        check()


@pytest.fixture
def endless(make_spec: MakeSpec, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A run of two processes that has taken its first step."""
    folder = tmp_path / "run"
    folder.mkdir()
    spec = make_spec(devices=2, duration={"steps": 1_000_000}, evaluate={"every_steps": 1_000_000})
    (folder / "spec.json").write_text(json.dumps(spec))
    command = [sys.executable, "-m", "alignment.training", str(folder)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True)
    try:
        limit = time.monotonic() + LIMIT_SECONDS
        while not ((folder / EVENTS).exists() and '"type": "step"' in (folder / EVENTS).read_text()):
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.1)
        yield process
    finally:
        for left in processes_of(folder):
            left.kill()
        process.wait()


def test_a_killed_rank_ends_the_run_with_its_name(endless: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    """Nobody waits for the dead: the others end at once, the record says who was killed, and no process stays."""
    ranks = psutil.Process(endless.pid).children()
    assert len(ranks) == 2
    assert {os.getpgid(rank.pid) for rank in ranks} == {endless.pid}  # whoever ends the group ends them

    ranks[1].send_signal(signal.SIGKILL)

    assert endless.wait(LIMIT_SECONDS) == 1
    last = events_of(tmp_path / "run")[-1]
    assert (last["type"], last["code"]) == ("error", "process_lost")
    assert "SIGKILL" in last["detail"]
    assert processes_of(tmp_path / "run") == []


def test_more_devices_than_there_are_is_refused(make_spec: MakeSpec, tmp_path: Path) -> None:
    """The sentence says how many this machine has."""
    with pytest.raises(BadSpec) as refused:
        train(make_spec(devices=64), tmp_path / "out")

    assert refused.value.field == "devices"
    assert "64 devices" in refused.value.detail
    assert events_of(tmp_path / "out")[-1]["exit_code"] == 64


def test_what_a_rank_says_of_its_failure_is_what_the_run_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error keeps its class, exit code and words on the way from a rank to the run's record."""
    monkeypatch.setenv(PLACE, str(tmp_path))
    failure = NonFiniteLoss("The loss of step 3 is not finite.", "Lower it.", "optimizer.learning_rate", ["a", "b"])

    assert report(1, failure)

    again = retold(json.loads((tmp_path / "1.json").read_text()))
    assert type(again) is NonFiniteLoss
    assert again.event() == failure.event()
    assert type(retold({**BadData("x", "y").event(), "code": "from the future"})) is Unexpected
    monkeypatch.delenv(PLACE)
    assert not report(1, failure)


def test_losing_touch_has_a_name_of_its_own() -> None:
    """What gloo raises when the other side is gone is no defect of the program."""
    error = RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:5")

    assert isinstance(named(error), ProcessLost)
    assert isinstance(named(torch.distributed.DistNetworkError("gone")), ProcessLost)
    assert isinstance(named(RuntimeError("shapes differ")), Unexpected)
