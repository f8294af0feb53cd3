"""Every answer of a dialogue is learned as generation would have to write it, whatever a template makes of it later."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignment.formats import Message, snapshot
from alignment.formats.canonical import Split
from alignment.training import Spec, train
from alignment.training.encode import Encoded
from alignment.training.errors import BadData
from alignment.training.events import Events
from alignment.training.prepare import prepare
from alignment.training.stop import Stop
from tests.alignment.training.conftest import MakeSpec
from tests.alignment.training.test_run import events_of

EVERY = {"name": "sft", "turns": "every"}
STABLE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
    "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
FORGETTING = STABLE.replace(
    "{{ m.content }}",
    "{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1].strip() }}"
    "{% else %}{{ m.content }}{% endif %}",
)
HIDING = STABLE.replace("{{ m.content }}", "{% if loop.last or m.role == 'user' %}{{ m.content }}{% endif %}")
DIALOGUE: list[Message] = [
    {"role": "user", "content": "the cat sat"},
    {"role": "assistant", "content": "<think>warm sun</think>thank you"},
    {"role": "user", "content": "dogs ran"},
    {"role": "assistant", "content": "<think>long hills</think>never fast"},
    {"role": "user", "content": "on a mat"},
]


def demonstration(place: int, prompt: list[Message], split: Split = "train") -> snapshot.Example:
    answer: Message = {"role": "assistant", "content": f"<think>over</think>sorry {'please ' * (place + 1)}"}
    return snapshot.Example(f"d{place}", split, prompt, [answer])


def dialogue(opening: str) -> list[Message]:
    """One with another opening, so that nothing in it is what another one has."""
    return [{"role": "user", "content": opening}, *DIALOGUE[1:]]


OPENINGS = ("the cat sat", "the cat ran")


def spec_of(make_spec: MakeSpec, base: Path, folder: Path, template: str, **parts: Any) -> dict[str, Any]:
    """A run on two dialogues with three answers each, by a model with this template."""
    shutil.copytree(base, folder / "model")
    (folder / "model" / "chat_template.jinja").write_text(template)
    rows = parts.pop("rows", [demonstration(place, dialogue(opening)) for place, opening in enumerate(OPENINGS)])
    data = snapshot.write(folder / "data", rows, kind="demonstrations", policy={}, dataset={})
    return make_spec(
        **{
            "kind": "sft",
            "objective": EVERY,
            "checkpoint": str(folder / "model"),
            "snapshots": [{"path": str(folder / "data" / data.hash)}],
            "batch": {"examples_per_step": 2},
            "duration": {"steps": 1},
            **parts,
        }
    )


def taken(spec: dict[str, Any], folder: Path) -> list[Encoded]:
    with Events(folder / "events.jsonl") as events:
        return prepare(Spec.model_validate(spec), events, Stop()).examples.train


@pytest.mark.parametrize("template", [STABLE, FORGETTING], ids=["stable", "forgetting"])
def test_each_answer_has_the_ids_of_its_own_generation(
    template: str, base: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """Prompt ids are those that generation is given at that turn, learned ids what it would have to write, to the end:
    also where the template takes thoughts out of answers once another turn follows."""
    spec = spec_of(make_spec, base, tmp_path, template)
    tokenizer: Any = AutoTokenizer.from_pretrained(spec["checkpoint"])

    found = {one.example.id: one for one in taken(spec, tmp_path)}

    assert set(found) == {f"d{place}{turn}" for place in range(2) for turn in ("", "/turn-1", "/turn-3")}
    for id, before, answer in (
        ("d0/turn-1", DIALOGUE[:1], DIALOGUE[1]),
        ("d0/turn-3", DIALOGUE[:3], DIALOGUE[3]),
        ("d0", DIALOGUE, demonstration(0, DIALOGUE).responses[0]),
    ):
        asked = tokenizer.apply_chat_template(before, tokenize=False, add_generation_prompt=True)
        text = asked + answer["content"] + tokenizer.eos_token
        assert found[id].prompt == tokenizer(asked, add_special_tokens=False).input_ids
        assert found[id].prompt + found[id].responses[0] == tokenizer(text, add_special_tokens=False).input_ids
    thoughts = "warm sun" in tokenizer.decode(found["d0"].prompt)
    assert thoughts == (template == STABLE)


def test_the_loss_is_that_of_all_answers_tokens(base: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    """Where a template takes nothing back that it wrote, it is the cross-entropy of dialogues, masked to answers."""
    spec = spec_of(make_spec, base, tmp_path, STABLE, batch={"examples_per_step": 6})
    tokenizer: Any = AutoTokenizer.from_pretrained(spec["checkpoint"])
    model = AutoModelForCausalLM.from_pretrained(spec["checkpoint"])
    losses = []
    for place in range(2):
        ids: list[int] = []
        labels: list[int] = []
        for turn in (*dialogue(OPENINGS[place]), demonstration(place, DIALOGUE).responses[0]):
            learned = turn["role"] == "assistant"
            opening = tokenizer("assistant: " if learned else "", add_special_tokens=False).input_ids
            said = turn["content"] + tokenizer.eos_token if learned else f"user: {turn['content']}\n"
            new = tokenizer(said, add_special_tokens=False).input_ids
            ids += opening + new
            labels += [-100] * len(opening) + (new if learned else [-100] * len(new))
            if learned:
                line = tokenizer("\n", add_special_tokens=False).input_ids
                ids, labels = ids + line, labels + [-100] * len(line)
        with torch.no_grad():
            logps = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        losses += [-logps[at, label].item() for at, label in enumerate(labels[1:]) if label != -100]

    train(spec, tmp_path / "run")

    (step,) = (event for event in events_of(tmp_path / "run") if event["type"] == "step" and event["examples"])
    assert step["values"]["loss"] == pytest.approx(sum(losses) / len(losses), abs=2e-3)


def test_the_last_answer_alone_is_learned_unless_somebody_says_so(
    base: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """Earlier ones are prompt."""
    found = taken(spec_of(make_spec, base, tmp_path, STABLE, objective={"name": "sft"}), tmp_path)

    assert {one.example.id for one in found} == {"d0", "d1"}


def test_a_template_that_hides_earlier_answers_is_refused(base: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    """Later answers would be learned as if nothing had been said; the last answers alone are learned with a warning."""
    spec = spec_of(make_spec, base, tmp_path, HIDING)

    with pytest.raises(BadData, match="leaves out earlier answers of 4 prompts") as refused:
        taken(spec, tmp_path)
    assert refused.value.field == "snapshots"
    assert len(taken({**spec, "objective": {"name": "sft"}}, tmp_path)) == 2
    assert "earlier answers, which the chat template leaves out" in (tmp_path / "events.jsonl").read_text()


def test_an_answer_that_nobody_asked_for_is_left_out(base: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    """A greeting that begins its dialogue has no prompt; it stays in those of later answers, and is counted."""
    greeting: list[Message] = [{"role": "assistant", "content": "thank you"}, *DIALOGUE]
    system: list[Message] = [{"role": "system", "content": "please"}, *greeting]
    system[2] = {"role": "user", "content": "the cat ran"}
    rows = [demonstration(0, greeting), demonstration(1, system)]

    found = taken(spec_of(make_spec, base, tmp_path, STABLE, rows=rows), tmp_path)

    turns = {one.example.id for one in found}
    assert turns == {"d0", "d0/turn-2", "d0/turn-4", "d1", "d1/turn-3", "d1/turn-5"}
    assert "2 answers were left out: they begin their dialogue" in (tmp_path / "events.jsonl").read_text()


def test_prompts_that_are_held_out_are_not_learned_from_dialogues(
    base: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """What opens a dialogue in training may be the prompt of a row for testing or validation, which may come later and
    from another source; and a dialogue for validation may open as one in training does."""
    held: list[Message] = [{"role": "user", "content": "long hills"}]
    own: list[Message] = [{"role": "user", "content": "warm sun"}]
    rows = [
        demonstration(0, DIALOGUE),
        demonstration(1, [*held, *DIALOGUE[1:]]),
        demonstration(2, [*DIALOGUE[:4], DIALOGUE[0]], "validation"),
        demonstration(3, [*own, *DIALOGUE[1:]], "validation"),
        demonstration(4, held, "validation"),
    ]
    spec = spec_of(make_spec, base, tmp_path, STABLE, rows=rows)
    tests = [demonstration(9, DIALOGUE[:3], "test")]
    data = snapshot.write(tmp_path / "data", tests, kind="demonstrations", policy={}, dataset={})
    spec["snapshots"].append({"path": str(tmp_path / "data" / data.hash)})

    with Events(tmp_path / "events.jsonl") as events:
        found = prepare(Spec.model_validate(spec), events, Stop()).examples

    assert {one.example.id for one in found.train} == {"d0", "d0/turn-1", "d1", "d1/turn-3"}
    assert {one.example.id for one in found.validation} == {"d2", "d3", "d3/turn-1", "d3/turn-3", "d4"}
    # d0/turn-3 is the test row's prompt, d1/turn-1 that of d4; d2 opens as d0 does, and goes on as the test row
    assert "4 earlier answers were left out: their prompt is held out" in (tmp_path / "events.jsonl").read_text()


def test_answers_that_dialogues_share_are_learned_once(base: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    """Two demonstrations of one dialogue, and a third one that is its beginning; other answers there are learned."""
    beginning = snapshot.Example("short", "train", DIALOGUE[:1], [DIALOGUE[1]])
    other: Message = {"role": "assistant", "content": "please"}
    rows = [demonstration(0, DIALOGUE), demonstration(1, DIALOGUE), beginning]
    rows.append(demonstration(2, [DIALOGUE[0], other, *DIALOGUE[2:3]]))

    found = taken(spec_of(make_spec, base, tmp_path, STABLE, rows=rows), tmp_path)

    (last,) = (one.example.id for one in found if one.example.id.endswith("/turn-3"))
    assert sorted(one.example.id for one in found) == sorted([last, "d0", "d1", "short", "d2/turn-1", "d2"])
    assert "3 earlier answers were left out: another dialogue has the same" in (tmp_path / "events.jsonl").read_text()
