"""The shipped toy checkpoint: it loads, speaks, is what its card says; and the command that makes it."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignment import toyworld
from alignment.generation import Generator
from alignment.sampling import Sampling
from alignment.toyworld.__main__ import main
from alignment.toyworld.build import Plan, build, curriculum
from alignment.toyworld.card import read_figures
from alignment.toyworld.figures import ANSWER_TOKENS, measure
from alignment.toyworld.reward import read


@pytest.fixture(scope="module")
def generator() -> Generator:
    """The shipped checkpoint, ready to answer."""
    return Generator(toyworld.CHECKPOINT, device="cpu")


def test_the_checkpoint_is_small_and_safe() -> None:
    """About a million parameters of Llama in safetensors, a few megabytes, with a card that says it is a toy."""
    names = {path.name for path in toyworld.CHECKPOINT.iterdir()}
    model = AutoModelForCausalLM.from_pretrained(toyworld.CHECKPOINT, dtype=torch.float32)

    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "figures.json"} <= names
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pkl", ".pickle", ".py"))}
    assert sum(path.stat().st_size for path in toyworld.CHECKPOINT.iterdir()) < 6_000_000
    assert model.config.model_type == "llama"
    assert 0.9e6 < sum(weight.numel() for weight in model.parameters()) < 1.2e6
    assert "This is a toy" in (toyworld.CHECKPOINT / "README.md").read_text(encoding="utf-8")


def test_the_template_knows_every_role_and_any_text() -> None:
    """System, user and assistant turns are rendered, the answer is opened, and text from outside survives."""
    tokenizer: Any = AutoTokenizer.from_pretrained(toyworld.CHECKPOINT)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Grüße 🦊 <b>你好</b>"},
    ]

    opened = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": "Hi."}], tokenize=False)

    assert whole == opened + "Hi." + tokenizer.eos_token
    assert tokenizer.decode(tokenizer(opened)["input_ids"]) == opened
    assert tokenizer.eos_token_id != tokenizer.pad_token_id
    assert tokenizer.model_max_length == 256
    with pytest.raises(Exception, match="roles"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_answers_are_of_the_grammar_good_and_bad_alike(generator: Generator) -> None:
    """Most answers to held-out prompts are whole sentences of the grammar, and every attribute occurs both ways."""
    prompts = toyworld.prompts(96, seed=11, split="held_out")
    sampling = Sampling(temperature=1.0, max_new_tokens=ANSWER_TOKENS, seed=1)

    answers = generator.generate([[{"role": "user", "content": text}] for text in prompts], sampling)
    readings = [read(text, answer.text) for text, answer in zip(prompts, answers, strict=True)]

    assert sum(answer.finish == "end" for answer in answers) >= 90
    assert sum(reading.coherence == 1.0 for reading in readings) / 96 > 0.75
    for name in ("kind", "concise", "right"):
        share = sum(getattr(reading.attributes, name) for reading in readings) / 96
        assert 0.2 < share < 0.8, name


def test_a_foreign_prompt_gets_some_answer(generator: Generator) -> None:
    """Somebody will ask the toy about the weather in Java; it answers and ends."""
    (answer,) = generator.generate(
        [[{"role": "user", "content": "¿Qué tiempo hace en Java? 🌦️ " * 40}]], Sampling(max_new_tokens=40)
    )

    assert answer.tokens > 0


@pytest.mark.slow
def test_the_figures_of_the_card_are_true() -> None:
    """Measured again on the same prompts, the shares are those of the card, rounding of another machine aside."""
    stated = read_figures(toyworld.CHECKPOINT)
    found = measure(toyworld.CHECKPOINT, n=stated.prompts, seed=stated.seed, temperature=stated.temperature)

    for name in ("readable", "kind", "concise", "right"):
        assert getattr(found, name) == pytest.approx(getattr(stated, name), abs=0.05), name
    assert found.reward == pytest.approx(stated.reward, abs=0.2)


def test_the_card_shows_its_figures() -> None:
    """The table that people read is the record that the check reads."""
    card = (toyworld.CHECKPOINT / "README.md").read_text(encoding="utf-8")
    record = json.loads((toyworld.CHECKPOINT / "figures.json").read_text(encoding="utf-8"))

    assert f"| right | {100 * record['figures']['right']:.1f} % |" in card
    assert f"{record['made']['parameters']:,} parameters" in card


@pytest.mark.slow
def test_the_same_plan_makes_the_same_checkpoint(tmp_path: Path) -> None:
    """A build is fixed by its seed, byte for byte on one machine; another seed gives other weights."""
    said: list[str] = []
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        plan = Plan(seed, steps=4, conversations_per_step=4, threads=1, prompts_measured=2, tokenizer_texts=500)
        build(plan, tmp_path / name, said.append)

    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "same", "other")}
    assert weights["one"] == weights["same"] != weights["other"]
    assert read_figures(tmp_path / "one").prompts == 2
    assert "done" in said[-1]


def test_the_command_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with something in it, or a file, is refused with what to do, and stays as it is."""
    (tmp_path / "mine.txt").write_text("precious")

    assert main(["build", "--out", str(tmp_path)]) == 1
    assert main(["build", "--out", str(tmp_path / "mine.txt")]) == 1

    assert "--out" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_check_says_what_it_misses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without figures, or with broken ones, cannot be checked, and the reason is said."""
    assert main(["check", str(tmp_path)]) == 1
    (tmp_path / "figures.json").write_text("{")
    assert main(["check", str(tmp_path)]) == 1

    assert capsys.readouterr().out.count("figures.json") == 2
    with pytest.raises(SystemExit):
        main(["build", "--out", str(tmp_path / "x"), "--threads", "0"])


def test_the_curriculum_ends_with_good_and_bad_alike() -> None:
    """Bare right answers come first, fewer and fewer; in the last stretch every answer has manners."""
    plan = Plan(steps=100, conversations_per_step=20)
    found = [toyworld.read(one.prompt, one.response) for one in islice(curriculum(plan), 2000)]
    bare = [reading.kindness == 0.5 for reading in found]

    assert 0.7 < sum(bare[:200]) / 200 < 0.95
    assert 0.2 < sum(bare[900:1100]) / 200 < 0.5
    assert not any(bare[1700:])
    assert all(reading.correctness == 1 for reading, plain in zip(found, bare, strict=True) if plain)
