"""Chat templates on sample dialogues: what is refused, what is doubtful, what is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from alignment.templates import Refused, attempt, special_tokens, template_of

TOKENS = {"eos_token": "</s>"}
GOOD = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def test_samples() -> None:
    """Four dialogues are shown as the model would read them, and a good template raises no doubt."""
    tried = attempt(GOOD, TOKENS)

    assert [sample["text"] for sample in tried.samples][:2] == [
        "<|user|>What is the sea?<|assistant|>",
        "<|user|>What is the sea?<|assistant|>The sea is wide.</s>",
    ]
    assert (len(tried.samples), tried.warnings) == (4, [])


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for", "Line 1"),
        ("hello", "leaves out what the user said"),
        ("{{ messages[0].content }}", "leaves out what the assistant said"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__.os.system('touch /tmp/x') }}", "unsafe"),
        ("{{ raise_exception('no such role') }}", "No such role"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% include '/etc/passwd' %}", "fails on it"),
    ],
)
def test_refused(template: str, words: str) -> None:
    """A template that breaks, leaves out what was said or reaches outside is refused with the reason."""
    with pytest.raises(Refused, match=words):
        attempt(template, TOKENS)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (GOOD.replace("{% if add_generation_prompt %}<|assistant|>{% endif %}", ""), "does not open"),
        (GOOD.replace("{{ eos_token }}", ""), "where to end"),
        (GOOD.replace("<|assistant|>{% endif %}", "<|bot|>{% endif %}"), "written differently once its answer follows"),
        ("{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + GOOD, "are refused"),
        ("{% set messages = messages | rejectattr('role', 'equalto', 'system') %}" + GOOD, "without a word"),
    ],
)
def test_doubts(template: str, words: str) -> None:
    """What works and is doubtful is told with the samples."""
    assert words in " ".join(attempt(template, TOKENS).warnings)


def test_tokens_of_a_folder(tmp_path: Path) -> None:
    """Special tokens are read from either file, written plainly or as an object."""
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "x"}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "</s>"}, "pad_token": None}))

    assert special_tokens(tmp_path) == {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (None, None),
        ({}, None),
        ({"chat_template": GOOD}, GOOD),
        ({"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": GOOD}]}, GOOD),
        ({"chat_template": [{"name": "tool_use", "template": "x"}]}, None),
        ({"chat_template": [1, {"name": "default"}]}, None),
    ],
)
def test_the_template_of_a_folder(tmp_path: Path, settings: dict[str, Any] | None, found: str | None) -> None:
    """The settings' own, or of several the default; a file beside them comes first, as it does in transformers."""
    if settings is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert template_of(tmp_path) == found

    (tmp_path / "chat_template.jinja").write_text("its own")
    assert template_of(tmp_path) == "its own"
