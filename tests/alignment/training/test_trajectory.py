"""A recorded run is taken again as it was: same examples, same order, same losses and gradients."""

import json
import random
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignment.training import trajectory
from alignment.training.errors import BadData, BadSpec, TooFewExamples
from alignment.training.trajectory import Trajectory, read, take
from tests.alignment.training.conftest import sentence

MOST, STEPS, SEED, RATE = 48, 6, 42, 1e-3


def lines(count: int = 18) -> list[dict[str, Any]]:
    """Dialogues whose prompt is what both begin with; some prompts fill the whole length, some answers go beyond it."""
    rng = random.Random(4)
    found = []
    for place in range(count):
        prompt = [{"role": "user", "content": sentence(rng, *((60, 70) if place % 6 == 0 else (2, 12)))}]
        answers = [[{"role": "assistant", "content": sentence(rng, 1, 25)}] for _ in range(2)]
        found.append({"chosen": prompt + answers[0], "rejected": prompt + answers[1], "score_chosen": 7.0})
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in lines()) + "\n")
    return path


def plainly(base: Path, data: Path) -> list[dict[str, float]]:
    """The same run the plainest way: padded batches, full logits, torch's own sampler, a second model as reference."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows: list[tuple[int, list[list[int]]]] = []

    def ids(text: Any) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    for line in data.read_text().splitlines():
        row = json.loads(line)
        prompt, *whole = (
            ids(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=len(messages) == 1))
            for messages in (row["chosen"][:1], row["chosen"], row["rejected"])
        )
        rows += [(len(prompt), [one[:MOST] for one in whole])] if len(prompt) < MOST else []
    model = AutoModelForCausalLM.from_pretrained(base)
    reference = AutoModelForCausalLM.from_pretrained(base)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / STEPS)
    generator, batches = torch.Generator(), []
    for epoch in range(9):
        sampler = torch.utils.data.RandomSampler(range(len(rows)), generator=generator.manual_seed(SEED + epoch))
        batches += list(torch.utils.data.BatchSampler(sampler, 8, drop_last=False))
    told = []
    for step, batch in enumerate(batches[:STEPS], start=1):
        some = [rows[index] for index in batch]
        with torch.no_grad():
            before = sums(reference, some)
        ratios = sums(model, some) - before
        loss = -torch.nn.functional.logsigmoid(0.1 * (ratios[:, 0] - ratios[:, 1])).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        told.append({"step": step, "loss": loss.item(), "grad_norm": norm.item()})
    return told


def sums(model: Any, some: list[tuple[int, list[list[int]]]]) -> Tensor:
    """Log-probabilities (pairs, 2) of the answers in one padded batch."""
    ids = [torch.tensor(one) for _, whole in some for one in whole]
    seen = torch.nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    logps = model(padded, attention_mask=seen).logits[:, :-1].log_softmax(-1).gather(2, padded[:, 1:, None]).squeeze(2)
    starts = torch.tensor([start for start, whole in some for _ in whole])[:, None]
    places = torch.arange(1, padded.shape[1])[None]
    found: Tensor = (logps * (places >= starts) * seen[:, 1:]).sum(1).view(-1, 2)
    return found


def record(steps: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "title": "A small stand-in",
        "model": {"path": "base"},
        "data": {"path": "pairs.jsonl"},
        "settings": {"learning_rate": RATE, "max_length": MOST, "seed": SEED, "steps": STEPS},
        "tolerance": {"loss": 1e-5, "grad_norm": 1e-4},
        "steps": steps,
    }


def nothing(*_: object) -> None:
    pass


def test_a_run_recorded_by_a_plain_loop_is_taken_again(base: Path, data: Path, tmp_path: Path) -> None:
    """Over passes whose last batch is short, every step has the record's loss and gradient."""
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record(plainly(base, data))))

    taken = list(take(read(path), base, data, nothing, nothing))

    assert [one.step for one in taken] == list(range(1, STEPS + 1))
    assert taken[0].loss == pytest.approx(0.693147, abs=1e-6)
    assert abs(taken[-1].loss - taken[0].loss) > 1e-3
    assert all(one.within for one in taken)
    assert max(abs(one.loss_difference or 0) for one in taken) < 1e-5


@pytest.mark.parametrize(
    ("field", "factor"), [("loss", 1.001), ("grad_norm", 1.01), ("loss", 0.999), ("grad_norm", 0.99)]
)
def test_a_record_that_differs_is_told_apart(field: str, factor: float, base: Path, data: Path) -> None:
    """One number of one step that is elsewhere is beyond the tolerance there, and nowhere else."""
    steps = plainly(base, data)
    steps[3][field] *= factor
    found = list(take(Trajectory.model_validate(record(steps)), base, data, nothing, nothing))

    assert [one.step for one in found if not one.within] == [4]


def test_steps_that_nobody_recorded_are_taken_and_compared_with_nothing(base: Path, data: Path) -> None:
    """A record may hold some steps of a run only."""
    steps = plainly(base, data)[4:5]
    found = list(take(Trajectory.model_validate(record(steps)), base, data, nothing, nothing))

    assert [one.recorded is not None for one in found] == [False, False, False, False, True, False]
    assert all(one.within for one in found)


def test_the_order_is_that_of_a_seeded_sampler() -> None:
    """Each pass is drawn anew, holds every example once, and ends with a short batch."""
    batches = trajectory.order(18, 8, 42)
    first, second = [next(batches) for _ in range(3)], [next(batches) for _ in range(3)]

    assert [len(one) for one in first] == [8, 8, 2]
    assert list(chain(*first)) == torch.randperm(18, generator=torch.Generator().manual_seed(42)).tolist()
    assert sorted(chain(*second)) == list(range(18))
    assert first != second


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [{"step": 7, "loss": 0.1, "grad_norm": 1.0}]}, "beyond"),
        ({"steps": [{"step": 1, "loss": 0.1, "grad_norm": 1.0}] * 2}, "twice"),
        ({"steps": [{"step": 1, "loss": 0.1, "grad_norm": 0.0}]}, "grad_norm"),
        ({"steps": [{"step": 1, "loss": float("nan"), "grad_norm": 1.0}]}, "finite"),
        ({"model": {}}, "neither"),
        ({"model": {"path": "base", "hub_id": "someone/tiny"}}, "both"),
        ({"tolerance": {"loss": 0, "grad_norm": 1}}, "tolerance"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_record_that_cannot_be_taken_is_refused(change: dict[str, Any], word: str, tmp_path: Path) -> None:
    """Before anything is loaded, by the field that is wrong."""
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record([{"step": 1, "loss": 0.7, "grad_norm": 1.0}]) | change))
    with pytest.raises(BadSpec, match=word):
        read(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000], ids=lambda raw: raw[:4].hex())
def test_a_file_that_is_no_record_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever is in it."""
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(BadSpec):
        read(path)


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[1]",
        '{"chosen": "text", "rejected": "text"}',
        '{"chosen": [], "rejected": []}',
        '{"chosen": [{"role": "user", "content": "a"}], "rejected": [{"role": "user", "content": "b"}]}',
        '{"prompt": [{"role": "user"}], "chosen": [{"role": "assistant", "content": "a"}], "rejected": [1]}',
    ],
)
def test_data_that_hold_no_pairs_are_refused_by_their_line(line: str, base: Path, data: Path) -> None:
    """The line is named."""
    with data.open("a") as file:
        file.write(line + "\n")
    steps = [{"step": 1, "loss": 0.7, "grad_norm": 1.0}]
    with pytest.raises(BadData, match="line 19"):
        list(take(Trajectory.model_validate(record(steps)), base, data, nothing, nothing))


def test_data_of_which_nothing_fits_are_refused(base: Path, data: Path) -> None:
    """Every prompt fills the length: there is nothing to compare."""
    given = record([{"step": 1, "loss": 0.7, "grad_norm": 1.0}])
    given["settings"]["max_length"] = 2
    with pytest.raises(TooFewExamples):
        list(take(Trajectory.model_validate(given), base, data, nothing, nothing))
