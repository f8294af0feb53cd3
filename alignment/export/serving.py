"""The commands that serve an export and the lines that load it."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from alignment.export.plan import Kind

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # those that vLLM can be told


class Command(NamedTuple):
    """Something to copy: what it does, the language it is in, the text."""

    title: str
    language: str
    text: str


def commands(kind: Kind, name: str, place: str, base: str | None, rank: int | None, *, template: bool) -> list[Command]:
    """How an export called `name` is used from `place`, a folder (`./name`) or a hub id.

    `base` is what an adapter stands on, a hub id or a folder; `template` whether a chat template lies in a file.
    """
    if kind == "merged":
        return _whole(name, place)
    assert base is not None  # noqa: S101  (an adapter has a base)
    return _adapter(name, place, base, rank or RANKS[0], template=template)


def _whole(name: str, place: str) -> list[Command]:
    quoted = shlex.quote(place)
    return [
        Command("vLLM", "bash", f"vllm serve {quoted} --served-model-name {shlex.quote(name)}"),
        Command("transformers", "bash", f"transformers serve {quoted}"),
        Command(
            "Python",
            "python",
            f"""from transformers import pipeline

chat = pipeline("text-generation", model={_text(place)}, dtype="auto", device_map="auto")
answer = chat([{{"role": "user", "content": "Hello!"}}], max_new_tokens=256)
print(answer[0]["generated_text"][-1]["content"])""",
        ),
    ]


def _adapter(name: str, place: str, base: str, rank: int, *, template: bool) -> list[Command]:
    largest = next((one for one in RANKS if one >= rank), rank)
    local = place.startswith("./")
    written = f" --chat-template {shlex.quote(place + '/chat_template.jinja')}" if template and local else ""
    return [
        Command(
            "vLLM",
            "bash",
            f"vllm serve {shlex.quote(base)} --enable-lora --max-lora-rank {largest}"
            f" --lora-modules {shlex.quote(f'{name}={place}')}{written}",
        ),
        Command(
            "Python",
            "python",
            f"""from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({_text(place)})
base = AutoModelForCausalLM.from_pretrained({_text(base)}, dtype="auto", device_map="auto")
model = PeftModel.from_pretrained(base, {_text(place)})
chat = [{{"role": "user", "content": "Hello!"}}]
inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**inputs.to(model.device), max_new_tokens=256)
print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))""",
        ),
    ]


def _text(value: str) -> str:
    """A Python string literal in double quotes."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
